"""What AWS's reference says of single parameters: refusals and shapes that belong to no longer story."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pilotlight.errors import AwsError
from pilotlight.services.awslambda import code
from pilotlight.testing.cloud import Cloud
from tests.services.awslambda import wire
from tests.services.awslambda.surroundings import ACCOUNT, Bench, package

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
INVALID = "InvalidParameterValueException"
WHOLE_ONLY = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
    "Please specify either a function name or an unqualified function ARN."
)
PERMISSION = {"StatementId": "s", "Principal": "*", "Action": "lambda:InvokeFunction"}


@pytest.fixture
async def made(bench: Bench) -> Bench:
    await bench.create(Publish=True)
    await bench.call("create_alias", FunctionName="f", Name="prod", FunctionVersion="1")
    return bench


async def refused(bench: Bench, operation: str, **request: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as refusal:
        await bench.call(operation, **request)
    return refusal.value.code, refusal.value.message


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("update_function_code", {"ZipFile": package()}),
        ("update_function_configuration", {}),
        ("publish_version", {}),
        ("list_versions_by_function", {}),
        ("create_alias", {"Name": "a", "FunctionVersion": "1"}),
        ("list_aliases", {}),
        ("put_function_concurrency", {"ReservedConcurrentExecutions": 1}),
        ("get_function_concurrency", {}),
        ("delete_function_concurrency", {}),
        ("put_function_recursion_config", {"RecursiveLoop": "Allow"}),
        ("get_function_code_signing_config", {}),
        ("list_function_event_invoke_configs", {}),
        ("list_provisioned_concurrency_configs", {}),
    ],
)
async def test_what_is_of_whole_functions(made: Bench, operation: str, request_: dict[str, Any]) -> None:
    for name in ("f:1", f"{ARN}:prod", f"{ACCOUNT}:function:f:prod"):
        assert await refused(made, operation, FunctionName=name, **request_) == (INVALID, WHOLE_ONLY)
    await made.call(operation, FunctionName=f"{ARN}:$LATEST", **request_)


@pytest.mark.parametrize("name", ["f", f"{ACCOUNT}:function:f", "function:f", ARN])
async def test_every_form_of_a_name_is_the_same_function(made: Bench, name: str) -> None:
    for operation in ("get_function_configuration", "get_function_event_invoke_config", "get_policy"):
        expected: tuple[Any, ...] = await outcome(made, operation, FunctionName="f")
        assert await outcome(made, operation, FunctionName=name) == expected
        assert (await outcome(made, operation, FunctionName=f"{name}:prod")) == await outcome(
            made, operation, FunctionName="f", Qualifier="prod"
        )


async def outcome(bench: Bench, operation: str, **request: Any) -> tuple[Any, ...]:
    try:
        return ("told", await bench.call(operation, **request))
    except AwsError as error:
        return (error.code, error.message)


async def test_two_qualifiers_must_agree(made: Bench) -> None:
    for operation in ("get_function", "invoke", "get_policy", "delete_function"):
        assert await refused(made, operation, FunctionName="f:1", Qualifier="prod") == (
            INVALID,
            "The derived qualifier from the function name does not match the specified qualifier.",
        )


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (base64.b64encode(b"[]").decode(), "must be a valid Base64-encoded JSON object"),
        (base64.b64encode(json.dumps({"a": "x" * 3000}).encode()).decode(), "at most 3583 bytes"),
    ],
)
async def test_a_client_context_is_a_small_object(made: Bench, context: str, words: str) -> None:
    told = await refused(made, "invoke", FunctionName="f", ClientContext=context)
    assert told[0] == "InvalidRequestContentException"
    assert words in told[1]


async def test_permissions_of_urls_are_for_urls(made: Bench) -> None:
    assert await refused(made, "add_permission", FunctionName="f", FunctionUrlAuthType="NONE", **PERMISSION) == (
        INVALID,
        "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
    )


async def test_conditions_of_a_permission(made: Bench) -> None:
    told = await made.call(
        "add_permission",
        FunctionName="f",
        Qualifier="prod",
        PrincipalOrgID="o-1234567890",
        EventSourceToken="t",
        SourceAccount=ACCOUNT,
        SourceArn="arn:aws:s3:::b",
        **PERMISSION,
    )
    statement = json.loads(told["Statement"])
    assert statement["Resource"] == f"{ARN}:prod"
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:PrincipalOrgID": "o-1234567890",
            "AWS:SourceAccount": ACCOUNT,
            "lambda:EventSourceToken": "t",
        },
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
    }


async def test_a_policy_is_changed_by_whoever_saw_it_last(made: Bench) -> None:
    removal = {"FunctionName": "f", "StatementId": "s"}
    assert await refused(made, "remove_permission", **removal) == (
        "ResourceNotFoundException",
        "No policy is associated with the given resource.",
    )
    stale = {"FunctionName": "f", "RevisionId": "stale", **PERMISSION}
    assert (await refused(made, "add_permission", **stale))[0] == "PreconditionFailedException"
    first = (await made.call("get_function_configuration", FunctionName="f"))["RevisionId"]
    await made.call("add_permission", **{**stale, "RevisionId": first})
    revision = (await made.call("get_policy", FunctionName="f"))["RevisionId"]
    assert (await refused(made, "remove_permission", RevisionId=first, **removal))[0] == "PreconditionFailedException"
    assert (await refused(made, "remove_permission", FunctionName="f", StatementId="t")) == (
        "ResourceNotFoundException",
        "Statement t is not found in resource policy.",
    )
    await made.call("remove_permission", RevisionId=revision, **removal)
    assert await refused(made, "get_policy", FunctionName="f") == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )


async def test_only_what_is_published_is_provisioned(made: Bench) -> None:
    latest = {"FunctionName": "f", "Qualifier": "$LATEST"}
    words = "The function resource provided must be an alias or a published version."
    for operation in ("get_provisioned_concurrency_config", "delete_provisioned_concurrency_config"):
        assert await refused(made, operation, **latest) == (INVALID, words)
    put = "put_provisioned_concurrency_config"
    assert await refused(made, put, ProvisionedConcurrentExecutions=1, **latest) == (
        INVALID,
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    )


async def test_how_a_runtime_is_updated_is_kept_for_each_version(made: Bench) -> None:
    get, put = "get_runtime_management_config", "put_runtime_management_config"
    assert await made.call(get, FunctionName="f") == {"UpdateRuntimeOn": "Auto", "FunctionArn": f"{ARN}:$LATEST"}
    await made.call(put, FunctionName="f", Qualifier="1", UpdateRuntimeOn="FunctionUpdate")
    here = (await made.call("get_function_configuration", FunctionName="f"))["RuntimeVersionConfig"][
        "RuntimeVersionArn"
    ]
    manual = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": here}
    assert await made.call(put, FunctionName="f", **manual) == {**manual, "FunctionArn": f"{ARN}:$LATEST"}
    assert await made.call(get, FunctionName="f", Qualifier="$LATEST") == {**manual, "FunctionArn": f"{ARN}:$LATEST"}
    assert (await made.call(get, FunctionName="f", Qualifier="1"))["UpdateRuntimeOn"] == "FunctionUpdate"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"UpdateRuntimeOn": "Manual"}, "RuntimeVersionArn is required"),
        ({"UpdateRuntimeOn": "Auto", "RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:0"}, "cannot be given"),
        ({"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:0"}, "not available"),
        ({"UpdateRuntimeOn": "Auto", "Qualifier": "prod"}, "aliases have none"),
    ],
)
async def test_runtimes_that_cannot_be_chosen(made: Bench, request_: dict[str, Any], words: str) -> None:
    told = await refused(made, "put_runtime_management_config", FunctionName="f", **request_)
    assert told[0] == INVALID
    assert words in told[1]


async def test_tags_of_all_that_has_them(made: Bench) -> None:
    made.shelf.answer = lambda params: {"Attributes": {"VisibilityTimeout": "30"}}
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
    mapping = await made.call(
        "create_event_source_mapping", FunctionName="f", EventSourceArn=queue, Tags={"from": "mapping"}
    )
    signing = await made.call(
        "create_code_signing_config",
        AllowedPublishers={"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:0:/p"]},
        Tags={"from": "signing"},
    )
    assert "_tags" not in signing["CodeSigningConfig"]
    for arn, kind in (
        (mapping["EventSourceMappingArn"], "mapping"),
        (signing["CodeSigningConfig"]["CodeSigningConfigArn"], "signing"),
    ):
        assert await made.call("list_tags", Resource=arn) == {"Tags": {"from": kind}}
        await made.call("tag_resource", Resource=arn, Tags={"a": "1", "b": "2"})
        await made.call("untag_resource", Resource=arn, TagKeys=["from", "a"])
        assert await made.call("list_tags", Resource=arn) == {"Tags": {"b": "2"}}
        many = {str(number): "" for number in range(50)}
        assert await refused(made, "tag_resource", Resource=arn, Tags=many) == (
            INVALID,
            "Number of tags exceeds resource tag limit.",
        )
    # what is changed otherwise keeps them
    await made.call("update_event_source_mapping", UUID=mapping["UUID"], BatchSize=5)
    assert await made.call("list_tags", Resource=mapping["EventSourceMappingArn"]) == {"Tags": {"b": "2"}}


@pytest.mark.parametrize(
    ("arn", "code_"),
    [
        (f"arn:aws:lambda:us-east-1:{ACCOUNT}:event-source-mapping:{'0' * 8}-0000-0000-0000-{'0' * 12}", "Resource"),
        (f"arn:aws:lambda:us-east-1:{ACCOUNT}:code-signing-config:csc-{'0' * 17}", "ResourceNotFound"),
        (f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:nobody", "ResourceNotFound"),
        (f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:l", "NotImplemented"),
        (f"{ARN}:prod", INVALID),
    ],
)
async def test_what_has_no_tags(made: Bench, arn: str, code_: str) -> None:
    for operation, request in (
        ("list_tags", {}),
        ("tag_resource", {"Tags": {"a": ""}}),
        ("untag_resource", {"TagKeys": []}),
    ):
        assert (await refused(made, operation, Resource=arn, **request))[0].startswith(code_)


async def test_what_code_an_account_may_keep(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(package())
    await made.call("publish_layer_version", LayerName="l", Content={"ZipFile": package()})
    usage = (await made.call("get_account_settings"))["AccountUsage"]
    assert usage == {"TotalCodeSize": 3 * size, "FunctionCount": 1}
    monkeypatch.setattr(code, "STORED_BYTES_MAX", 3 * size)
    full = ("CodeStorageExceededException", "Code storage limit exceeded.")
    assert await refused(made, "publish_layer_version", LayerName="l", Content={"ZipFile": package()}) == full
    assert await refused(made, "update_function_code", FunctionName="f", ZipFile=package("x = 12345" * 99)) == full
    await made.call("update_function_configuration", FunctionName="f", MemorySize=256)
    assert await refused(made, "publish_version", FunctionName="f") == full
    with pytest.raises(AwsError, match="CodeStorageExceeded"):
        await made.create("g")
    await made.call("delete_layer_version", LayerName="l", VersionNumber=1)
    await made.create("g")


async def test_lists_tell_nothing_of_states(made: Bench) -> None:
    for operation, request, member in (
        ("list_functions", {}, "Functions"),
        ("list_functions", {"FunctionVersion": "ALL"}, "Functions"),
        ("list_versions_by_function", {"FunctionName": "f"}, "Versions"),
    ):
        listed = (await made.call(operation, **request))[member]
        shown = await made.call("get_function_configuration", FunctionName="f")
        assert set(shown) - set(listed[0]) == {"State", "LastUpdateStatus", "RuntimeVersionConfig"}
        suffixes = [function["FunctionArn"].removeprefix(ARN) for function in listed]
        assert suffixes == ([""] if not request else [":$LATEST", ":1"])


async def test_a_runtime_that_another_version_serves_shows_in_the_configuration(bench: Bench) -> None:
    bench.machine.missing = {"python3.12": "python3.12 is not on this host; Python 3.13.0 serves it."}
    created = await bench.create()
    told = {"ErrorCode": "RuntimeNotExact", "Message": bench.machine.missing["python3.12"]}
    assert created["RuntimeVersionConfig"]["Error"] == told
    shown = await bench.call("get_function", FunctionName="f")
    assert shown["Configuration"]["RuntimeVersionConfig"]["Error"] == told
    changed = await bench.call("update_function_configuration", FunctionName="f", Runtime="python3.13")
    assert "Error" not in changed["RuntimeVersionConfig"]
    assert await bench.parts.runtimes_in_use() == {"python3.13"}


@pytest.mark.slow
def test_waiters_have_nothing_to_wait_for(sqlite_only_cloud: Cloud) -> None:
    wire.make_role(sqlite_only_cloud)
    client = sqlite_only_cloud.client("lambda")
    wire.make_function(sqlite_only_cloud, "f", wire.zipped(app_py="handler = None"))
    client.get_waiter("function_exists").wait(FunctionName="f")
    client.get_waiter("function_active").wait(FunctionName="f")
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    client.update_function_configuration(FunctionName="f", MemorySize=256)
    client.get_waiter("function_updated").wait(FunctionName="f")
    client.get_waiter("function_updated_v2").wait(FunctionName="f")
    version = client.publish_version(FunctionName="f")["Version"]
    client.get_waiter("published_version_active").wait(FunctionName="f", Qualifier=version)
