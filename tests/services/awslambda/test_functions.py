"""CreateFunction, UpdateFunctionCode, UpdateFunctionConfiguration, GetFunction, DeleteFunction, ListFunctions."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pilotlight.errors import AwsError
from tests.services.awslambda.surroundings import ACCOUNT, ROLE, Bench, package

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"


async def test_a_created_function_has_aws_defaults(bench: Bench) -> None:
    answer = await bench.create()
    assert answer["FunctionArn"] == ARN
    assert (answer["MemorySize"], answer["Timeout"], answer["EphemeralStorage"]) == (128, 3, {"Size": 512})
    assert answer["State"] == "Active"
    assert answer["LastUpdateStatus"] == "Successful"
    assert answer["Version"] == "$LATEST"
    assert answer["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", answer["LastModified"])
    assert not [member for member in answer if member.startswith("_")]


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Runtime": "python9"}, "InvalidParameterValueException", "Value python9 at 'runtime' failed to satisfy"),
        ({"Runtime": "python3.7"}, "InvalidParameterValueException", "The runtime parameter of python3.7 is no longer"),
        (
            {"Timeout": 901},
            "ValidationException",
            "'timeout' failed to satisfy constraint: Member must have value less",
        ),
        ({"Timeout": 0}, "ValidationException", "Member must have value greater than or equal to 1"),
        ({"MemorySize": 10241}, "InvalidParameterValueException", "'MemorySize' value failed to satisfy constraint"),
        ({"MemorySize": 64}, "ValidationException", "greater than or equal to 128"),
        ({"EphemeralStorage": {"Size": 100}}, "ValidationException", "'ephemeralStorage.size'"),
        ({"Role": "worker"}, "ValidationException", "Value 'worker' at 'role' failed to satisfy constraint"),
        (
            {"Role": f"arn:aws:iam::{ACCOUNT}:role/untrusted"},
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x", "OTHER": "y"}}},
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
        (
            {"Environment": {"Variables": {"LONG": "x" * 4096}}},
            "InvalidParameterValueException",
            "exceeded the 4KB limit",
        ),
        ({"Handler": ""}, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip uploaded file."),
        ({"Code": {"ZipFile": b""}}, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"),
        ({"Code": {}}, "InvalidParameterValueException", "Please provide a source for function code."),
        (
            {"Code": {"S3Bucket": "b", "S3Key": "none"}},
            "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key",
        ),
        ({"Code": {"ZipFile": b"x" * (50 * 1024 * 1024 + 1)}}, "RequestEntityTooLargeException", "70167211 bytes"),
        ({"Layers": ["a"] * 6}, "InvalidParameterValueException", "Cannot reference more than 5 layers."),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, "InvalidParameterValueException", "must coexist"),
        (
            {"SnapStart": {"ApplyOn": "PublishedVersions"}, "Runtime": "python3.11"},
            "InvalidParameterValueException",
            "python3.11 is not supported for SnapStart enabled functions.",
        ),
        (
            {"SnapStart": {"ApplyOn": "PublishedVersions"}, "EphemeralStorage": {"Size": 513}},
            "InvalidParameterValueException",
            "SnapStart does not support ephemeral storage",
        ),
        (
            {"Code": {"ImageUri": "x"}},
            "InvalidParameterValueException",
            "ImageUri or ImageConfig when PackageType is Zip",
        ),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sns:us-east-1:0:t"}}, "NotImplemented", "DeadLetterConfig"),
        ({"KMSKeyArn": "arn:aws:kms:us-east-1:0:key/k"}, "NotImplemented", "KMSKeyArn"),
        (
            {"LoggingConfig": {"ApplicationLogLevel": "INFO"}},
            "InvalidParameterValueException",
            "LogFormat must be JSON",
        ),
    ],
)
async def test_what_aws_refuses_is_refused(bench: Bench, changes: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(AwsError) as refusal:
        await bench.create(**changes)
    assert refusal.value.code == code
    assert message in refusal.value.message


async def test_what_means_nothing_is_accepted(bench: Bench) -> None:
    answer = await bench.create(
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
        SnapStart={"ApplyOn": "None"},
        TracingConfig={"Mode": "Active"},
        DeadLetterConfig={},
    )
    assert answer["TracingConfig"] == {"Mode": "Active"}
    assert "VpcConfig" not in answer


async def test_a_name_is_taken_once(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(AwsError) as refusal:
        await bench.create()
    assert (refusal.value.code, refusal.value.message) == ("ResourceConflictException", "Function already exist: f")


async def test_code_comes_from_a_bucket(bench: Bench) -> None:
    bench.shelf.objects["b", "k"] = package()
    answer = await bench.create(Code={"S3Bucket": "b", "S3Key": "k"})
    assert answer["CodeSize"] == len(package())


async def test_a_function_is_found_by_name_partial_and_full_arn(bench: Bench) -> None:
    await bench.create(Tags={"a": "b"})
    for name in ("f", f"{ACCOUNT}:function:f", ARN, f"{ARN}:$LATEST"):
        answer = await bench.call("get_function", FunctionName=name)
        assert answer["Configuration"]["FunctionName"] == "f"
    assert answer["Tags"] == {"a": "b"}
    assert answer["Code"]["RepositoryType"] == "S3"


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"FunctionName": "g"}, "ResourceNotFoundException", f"Function not found: {ARN[:-1]}g"),
        ({"FunctionName": "f", "Qualifier": "7"}, "ResourceNotFoundException", f"Function not found: {ARN}:7"),
        (
            {"FunctionName": ARN.replace("us-east-1", "eu-west-1")},
            "ResourceNotFoundException",
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
        (
            {"FunctionName": "f:1", "Qualifier": "2"},
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        ),
    ],
)
async def test_a_function_that_is_not_there(bench: Bench, request_: dict[str, Any], code: str, message: str) -> None:
    await bench.create()
    with pytest.raises(AwsError) as refusal:
        await bench.call("get_function", **request_)
    assert (refusal.value.code, refusal.value.message) == (code, message)
    assert refusal.value.members == {"Type": "User"}


async def test_updating_code_changes_its_hash_and_revision(bench: Bench) -> None:
    old = await bench.create()
    dry = await bench.call("update_function_code", FunctionName="f", ZipFile=package("x = 1"), DryRun=True)
    now = await bench.call("get_function_configuration", FunctionName="f")
    assert dry["CodeSha256"] != old["CodeSha256"] == now["CodeSha256"]
    new = await bench.call("update_function_code", FunctionName="f", ZipFile=package("x = 1"))
    assert new["CodeSha256"] == dry["CodeSha256"]
    assert new["RevisionId"] != old["RevisionId"]
    with pytest.raises(AwsError) as refusal:
        await bench.call("update_function_code", FunctionName="f", ZipFile=package(), RevisionId=old["RevisionId"])
    assert refusal.value.code == "PreconditionFailedException"


async def test_updating_the_configuration_keeps_what_is_not_named(bench: Bench) -> None:
    await bench.create(Timeout=9, Environment={"Variables": {"AB": "1"}})
    answer = await bench.call("update_function_configuration", FunctionName="f", MemorySize=256)
    assert (answer["Timeout"], answer["MemorySize"], answer["Environment"]) == (9, 256, {"Variables": {"AB": "1"}})
    answer = await bench.call("update_function_configuration", FunctionName="f", Environment={"Variables": {}})
    assert "Environment" not in answer


async def test_deleting_a_function_takes_all_of_it(bench: Bench) -> None:
    await bench.create(Publish=True)
    await bench.call("delete_function", FunctionName="f")
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        await bench.call("delete_function", FunctionName="f")
    await bench.create()
    assert len((await bench.call("list_versions_by_function", FunctionName="f"))["Versions"]) == 1


async def test_functions_are_listed_by_name_in_pages(bench: Bench) -> None:
    for name in ("c", "a", "b"):
        await bench.create(name, Publish=True)
    first = await bench.call("list_functions", MaxItems=2)
    second = await bench.call("list_functions", MaxItems=2, Marker=first["NextMarker"])
    assert [f["FunctionName"] for f in first["Functions"] + second["Functions"]] == ["a", "b", "c"]
    assert "NextMarker" not in second
    every, marker = [], None
    while marker is not None or not every:
        answer = await bench.call(
            "list_functions", FunctionVersion="ALL", MaxItems=2, **({"Marker": marker} if marker else {})
        )
        every += [(f["FunctionName"], f["Version"]) for f in answer["Functions"]]
        marker = answer.get("NextMarker")
    assert every == [(name, version) for name in "abc" for version in ("$LATEST", "1")]


async def test_the_guard_asks_for_pass_role(bench: Bench) -> None:
    from tests.services.awslambda.surroundings import ADMINISTRATOR

    guard = bench.parts.service.guard
    accesses = guard.accesses("CreateFunction", {"FunctionName": "f", "Role": ROLE}, ADMINISTRATOR)
    assert [(a.action, a.resource) for a in accesses] == [("lambda:CreateFunction", ARN), ("iam:PassRole", ROLE)]
    assert accesses[1].context == {"iam:PassedToService": "lambda.amazonaws.com"}
    (invoke,) = guard.accesses("Invoke", {"FunctionName": "f", "Qualifier": "prod"}, ADMINISTRATOR)
    assert (invoke.action, invoke.resource) == ("lambda:InvokeFunction", f"{ARN}:prod")


async def test_no_function_is_a_replica_of_another_regions(bench: Bench) -> None:
    await bench.create()
    for region, count in (("us-east-1", 1), ("ALL", 1), ("eu-west-1", 0)):
        listed = await bench.call("list_functions", MasterRegion=region, FunctionVersion="ALL")
        assert len(listed["Functions"]) == count
