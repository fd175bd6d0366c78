"""Versions, aliases, permissions, concurrency, event invoke configuration, tags, layers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.errors import AwsError
from tests.services.awslambda.surroundings import ACCOUNT, ADMINISTRATOR, Bench, package

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
KLAYERS = "arn:aws:lambda:us-east-1:770693421928:layer:Klayers-p312-Pillow:1"


@pytest.fixture
async def made(bench: Bench) -> Bench:
    """A function with version 1 and the alias `prod` on it."""
    await bench.create(Publish=True)
    await bench.call("create_alias", FunctionName="f", Name="prod", FunctionVersion="1")
    bench.wakes.clear()
    return bench


async def refused(bench: Bench, operation: str, /, **request: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as refusal:
        await bench.call(operation, **request)
    return refusal.value.code, refusal.value.message


async def test_publishing_what_has_not_changed_makes_no_version(made: Bench) -> None:
    again = await made.call("publish_version", FunctionName="f")
    assert (again["Version"], again["FunctionArn"]) == ("1", f"{ARN}:1")
    await made.call("update_function_configuration", FunctionName="f", Timeout=7)
    second = await made.call("publish_version", FunctionName="f", Description="two")
    assert (second["Version"], second["Timeout"], second["Description"]) == ("2", 7, "two")
    assert (await made.call("get_function_configuration", FunctionName="f", Qualifier="1"))["Timeout"] == 3
    third = await made.call("update_function_code", FunctionName="f", ZipFile=package("x"), Publish=True)
    assert third["Version"] == "3"
    listed = await made.call("list_versions_by_function", FunctionName="f", MaxItems=3)
    assert [version["Version"] for version in listed["Versions"]] == ["$LATEST", "1", "2"]
    rest = await made.call("list_versions_by_function", FunctionName="f", Marker=listed["NextMarker"])
    assert [version["Version"] for version in rest["Versions"]] == ["3"]


async def test_publishing_checks_hash_and_revision(made: Bench) -> None:
    code, message = await refused(made, "publish_version", FunctionName="f", CodeSha256="wrong")
    assert (code, message[:61]) == (
        "InvalidParameterValueException",
        "CodeSHA256 (wrong) is different from current CodeSHA256 in $L",
    )
    assert (await refused(made, "publish_version", FunctionName="f", RevisionId="x"))[
        0
    ] == "PreconditionFailedException"
    assert (await refused(made, "publish_version", FunctionName="g"))[0] == "ResourceNotFoundException"


async def test_numbers_of_deleted_versions_do_not_come_back(made: Bench) -> None:
    assert (await refused(made, "delete_function", FunctionName="f", Qualifier="1"))[0] == "ResourceConflictException"
    await made.call("delete_alias", FunctionName="f", Name="prod")
    await made.call("delete_function", FunctionName="f", Qualifier="1")
    assert (await made.call("publish_version", FunctionName="f"))["Version"] == "2"
    assert (
        "$LATEST version cannot be deleted"
        in (await refused(made, "delete_function", FunctionName="f", Qualifier="$LATEST"))[1]
    )


async def test_an_alias_moves_and_divides(made: Bench) -> None:
    await made.call("update_function_configuration", FunctionName="f", Timeout=7)
    await made.call("publish_version", FunctionName="f")
    alias = await made.call(
        "update_alias",
        FunctionName="f",
        Name="prod",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}},
    )
    assert alias["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 1.0}}
    answer = await made.call("invoke", FunctionName="f:prod", Payload=b"{}")
    assert answer["ExecutedVersion"] == "2"
    assert made.engine.invocations[-1][1].invoked_arn == f"{ARN}:prod"
    await made.call("update_alias", FunctionName="f", Name="prod", RoutingConfig={})
    assert (await made.call("invoke", FunctionName="f:prod", Payload=b"{}"))["ExecutedVersion"] == "1"
    assert [a["Name"] for a in (await made.call("list_aliases", FunctionName="f"))["Aliases"]] == ["prod"]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"Name": "prod", "FunctionVersion": "1"}, "ResourceConflictException", f"Alias already exists: {ARN}:prod"),
        ({"Name": "new", "FunctionVersion": "9"}, "ResourceNotFoundException", f"Function not found: {ARN}:9"),
        (
            {"Name": "n", "FunctionVersion": "$LATEST", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            "InvalidParameterValueException",
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        (
            {"Name": "n", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
            "InvalidParameterValueException",
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
    ],
)
async def test_aliases_that_aws_refuses(made: Bench, request_: dict[str, Any], code: str, message: str) -> None:
    assert await refused(made, "create_alias", FunctionName="f", **request_) == (code, message)


async def test_an_alias_that_is_not_there(made: Bench) -> None:
    assert await refused(made, "get_alias", FunctionName="f", Name="x") == (
        "ResourceNotFoundException",
        f"Cannot find alias arn: {ARN}:x",
    )
    await made.call("delete_alias", FunctionName="f", Name="x")


async def test_permissions_are_a_policy_for_each_qualifier(made: Bench) -> None:
    answer = await made.call(
        "add_permission",
        FunctionName="f",
        Qualifier="prod",
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn="arn:aws:s3:::b",
        SourceAccount=ACCOUNT,
    )
    statement = {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": f"{ARN}:prod",
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": ACCOUNT},
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"},
        },
    }
    assert json.loads(answer["Statement"]) == statement
    policy = await made.call("get_policy", FunctionName="f", Qualifier="prod")
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert (await refused(made, "get_policy", FunctionName="f"))[1] == "The resource you requested does not exist."
    guard = made.parts.service.guard
    params = {"FunctionName": f"{ARN}:prod"}
    (access,) = guard.accesses("Invoke", params, ADMINISTRATOR)
    assert await guard.resource_policy(access, params, ADMINISTRATOR) == policy["Policy"]
    await made.call("remove_permission", FunctionName="f", Qualifier="prod", StatementId="s3")
    assert (await refused(made, "get_policy", FunctionName="f", Qualifier="prod"))[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Principal": "nobody"}, "InvalidParameterValueException", "The provided principal was invalid. Please check"),
        (
            {"FunctionName": "f:$LATEST"},
            "InvalidParameterValueException",
            "We currently do not support adding policies",
        ),
        ({"FunctionName": "g"}, "ResourceNotFoundException", "Function not found"),
        ({"RevisionId": "x"}, "PreconditionFailedException", "The Revision Id provided does not match"),
        ({"StatementId": "taken"}, "ResourceConflictException", "The statement id (taken) provided already exists."),
    ],
)
async def test_permissions_that_aws_refuses(made: Bench, changes: dict[str, Any], code: str, message: str) -> None:
    request = {
        "FunctionName": "f",
        "StatementId": "s",
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
    }
    await made.call("add_permission", **{**request, "StatementId": "taken"})
    assert (await refused(made, "add_permission", **{**request, **changes}))[0] == code
    assert message in (await refused(made, "add_permission", **{**request, **changes}))[1]


async def test_reserved_concurrency_leaves_a_hundred(made: Bench) -> None:
    await made.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=900)
    answer = await made.call("get_function", FunctionName="f")
    assert answer["Concurrency"] == {"ReservedConcurrentExecutions": 900}
    assert await refused(made, "put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=901) == (
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100].",
    )
    settings = await made.call("get_account_settings")
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 100
    await made.call("delete_function_concurrency", FunctionName="f")
    assert await made.call("get_function_concurrency", FunctionName="f") == {}


async def test_limits_reach_the_engine(made: Bench) -> None:
    await made.call("invoke", FunctionName="f", Payload=b"{}")
    limits = made.engine.invocations[-1][1].limits
    assert limits is not None
    assert (limits.group, limits.concurrent) == (f"{ACCOUNT}:us-east-1", 1000)
    await made.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=3)
    await made.call("invoke", FunctionName="f", Payload=b"{}")
    limits = made.engine.invocations[-1][1].limits
    assert limits is not None
    assert (limits.group, limits.concurrent) == (ARN, 3)
    assert limits.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_provisioned_instances_follow_their_alias(made: Bench) -> None:
    answer = await made.call(
        "put_provisioned_concurrency_config", FunctionName="f", Qualifier="prod", ProvisionedConcurrentExecutions=5
    )
    assert (answer["Status"], answer["RequestedProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 5)
    assert made.wakes == ["provisioning"]
    await made.parts.provisioning.work()
    assert made.engine.provisioned == {f"{ARN}:prod": ("1", 5)}
    ready = await made.call("get_provisioned_concurrency_config", FunctionName="f", Qualifier="prod")
    assert (ready["Status"], ready["AvailableProvisionedConcurrentExecutions"]) == ("READY", 5)
    await made.call("invoke", FunctionName="f", Qualifier="prod", Payload=b"{}")
    assert made.engine.invocations[-1][1].provisioned_key == f"{ARN}:prod"
    await made.call("update_function_configuration", FunctionName="f", Timeout=7)
    await made.call("publish_version", FunctionName="f")
    await made.call("update_alias", FunctionName="f", Name="prod", FunctionVersion="2")
    await made.parts.provisioning.work()
    assert made.engine.provisioned == {f"{ARN}:prod": ("2", 5)}
    listed = await made.call("list_provisioned_concurrency_configs", FunctionName="f")
    assert [config["FunctionArn"] for config in listed["ProvisionedConcurrencyConfigs"]] == [f"{ARN}:prod"]
    await made.call("delete_provisioned_concurrency_config", FunctionName="f", Qualifier="prod")
    await made.parts.provisioning.work()
    assert made.engine.provisioned == {f"{ARN}:prod": ("2", 0)}


@pytest.mark.parametrize(
    ("qualifier", "count", "code", "message"),
    [
        (
            "$LATEST",
            1,
            "InvalidParameterValueException",
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
        ),
        ("none", 1, "ResourceNotFoundException", f"Cannot find alias arn: {ARN}:none"),
        ("9", 1, "ResourceNotFoundException", f"Function not found: {ARN}:9"),
        (
            "prod",
            11,
            "InvalidParameterValueException",
            "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function",
        ),
    ],
)
async def test_provisioned_concurrency_that_aws_refuses(
    made: Bench, qualifier: str, count: int, code: str, message: str
) -> None:
    await made.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=10)
    request = {"FunctionName": "f", "Qualifier": qualifier, "ProvisionedConcurrentExecutions": count}
    assert await refused(made, "put_provisioned_concurrency_config", **request) == (code, message)


async def test_no_provisioned_concurrency(made: Bench) -> None:
    assert await refused(made, "get_provisioned_concurrency_config", FunctionName="f", Qualifier="prod") == (
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )


async def test_event_invoke_configuration(made: Bench) -> None:
    await made.call("put_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=1)
    answer = await made.call("update_function_event_invoke_config", FunctionName="f", MaximumEventAgeInSeconds=60)
    assert (answer["MaximumRetryAttempts"], answer["MaximumEventAgeInSeconds"]) == (1, 60)
    assert answer["FunctionArn"] == f"{ARN}:$LATEST"
    await made.call("delete_function_event_invoke_config", FunctionName="f")
    assert await refused(made, "get_function_event_invoke_config", FunctionName="f") == (
        "ResourceNotFoundException",
        f"The function {ARN}:$LATEST doesn't have an EventInvokeConfig",
    )


async def test_tags(made: Bench) -> None:
    await made.call("tag_resource", Resource=ARN, Tags={"a": "1", "b": "2"})
    await made.call("untag_resource", Resource=ARN, TagKeys=["a"])
    assert await made.call("list_tags", Resource=ARN) == {"Tags": {"b": "2"}}


async def test_a_layer_is_published_and_used(made: Bench) -> None:
    layer = await made.call(
        "publish_layer_version", LayerName="l", Content={"ZipFile": package()}, CompatibleRuntimes=["python3.12"]
    )
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:l:1"
    assert (layer["LayerVersionArn"], layer["Version"]) == (arn, 1)
    answer = await made.call("update_function_configuration", FunctionName="f", Layers=[arn])
    assert answer["Layers"] == [{"Arn": arn, "CodeSize": len(package())}]
    await made.call("invoke", FunctionName="f", Payload=b"{}")
    assert len(made.engine.invocations[-1][0].layers) == 1
    await made.call("delete_layer_version", LayerName="l", VersionNumber=1)
    again = await made.call("publish_layer_version", LayerName="l", Content={"ZipFile": package()})
    assert again["Version"] == 2
    listed = await made.call("list_layers")
    assert listed["Layers"][0]["LatestMatchingVersion"]["Version"] == 2
    assert (await refused(made, "get_layer_version", LayerName="l", VersionNumber=1))[0] == "ResourceNotFoundException"


async def test_a_layer_of_another_account_is_made_or_refused_with_the_cure(made: Bench) -> None:
    request = {"FunctionName": "f", "Layers": [KLAYERS]}
    code, message = await refused(made, "update_function_configuration", **request)
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: lambda:GetLayerVersion on resource: {KLAYERS}" in message
    assert "publish-layer-version" in message
    made.shelf.layers[KLAYERS] = package("PIL = 1")
    answer = await made.call("update_function_configuration", **request)
    assert [layer["Arn"] for layer in answer["Layers"]] == [KLAYERS]
    made.shelf.layers.clear()
    assert (await made.call("get_layer_version_by_arn", Arn=KLAYERS))["Version"] == 1


async def test_layer_permissions(made: Bench) -> None:
    await made.call("publish_layer_version", LayerName="l", Content={"ZipFile": package()})
    request = {
        "LayerName": "l",
        "VersionNumber": 1,
        "StatementId": "s",
        "Action": "lambda:GetLayerVersion",
        "Principal": "*",
    }
    await made.call("add_layer_version_permission", **request)
    assert (await refused(made, "add_layer_version_permission", **request))[0] == "ResourceConflictException"
    policy = await made.call("get_layer_version_policy", LayerName="l", VersionNumber=1)
    assert json.loads(policy["Policy"])["Statement"][0]["Principal"] == "*"
    await made.call("remove_layer_version_permission", LayerName="l", VersionNumber=1, StatementId="s")
    assert (await refused(made, "get_layer_version_policy", LayerName="l", VersionNumber=1))[1] == (
        "No policy is associated with the given resource."
    )


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:none:1"], "layer:none:1 does not exist."),
        ([KLAYERS.replace("us-east-1", "eu-west-1")], "Layers are not in the same region as the function."),
        (["nonsense"], "at 'layers' failed to satisfy constraint"),
    ],
)
async def test_layers_that_aws_refuses(made: Bench, layers: list[str], message: str) -> None:
    assert message in (await refused(made, "update_function_configuration", FunctionName="f", Layers=layers))[1]
