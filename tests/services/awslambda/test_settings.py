"""SnapStart's settings, VPCs, code signing, and whole resource policies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotlight.errors import AwsError
from tests.services.awslambda.surroundings import ACCOUNT, Bench, package

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
SNAP = {"SnapStart": {"ApplyOn": "PublishedVersions"}}
PUBLISHERS = {"SigningProfileVersionArns": [f"arn:aws:signer:us-east-1:{ACCOUNT}:/signing-profiles/p/abc"]}


async def refused(bench: Bench, operation: str, **request: Any) -> AwsError:
    with pytest.raises(AwsError) as error:
        await bench.call(operation, **request)
    return error.value


async def test_snap_start_is_for_published_versions(bench: Bench) -> None:
    made = await bench.create(**SNAP)
    assert made["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    published = await bench.call("publish_version", FunctionName="f")
    assert published["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    await bench.call("invoke", FunctionName="f")
    await bench.call("invoke", FunctionName="f", Qualifier="1")
    assert [version.snap_start for version, _ in bench.engine.invocations] == [False, True]
    changed = await bench.call("update_function_configuration", FunctionName="f", SnapStart={"ApplyOn": "None"})
    assert changed["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}


async def test_snap_start_excludes_provisioned_concurrency(bench: Bench) -> None:
    await bench.create(Publish=True, **SNAP)
    request = {"FunctionName": "f", "Qualifier": "1", "ProvisionedConcurrentExecutions": 1}
    error = await refused(bench, "put_provisioned_concurrency_config", **request)
    assert error.code == "InvalidParameterValueException"
    assert "SnapStart" in error.message


async def test_snap_start_is_checked_against_what_the_function_becomes(bench: Bench) -> None:
    await bench.create(**SNAP)
    for change in ({"Runtime": "python3.10"}, {"EphemeralStorage": {"Size": 1024}}):
        error = await refused(bench, "update_function_configuration", FunctionName="f", **change)
        assert error.code == "InvalidParameterValueException"


async def test_a_function_in_a_vpc_has_no_internet(bench: Bench) -> None:
    vpc = {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    made = await bench.create(VpcConfig=vpc)
    assert made["VpcConfig"] == {**vpc, "VpcId": made["VpcConfig"]["VpcId"], "Ipv6AllowedForDualStack": False}
    await bench.call("invoke", FunctionName="f")
    left = {"SubnetIds": [], "SecurityGroupIds": []}
    changed = await bench.call("update_function_configuration", FunctionName="f", VpcConfig=left)
    assert "VpcConfig" not in changed
    await bench.call("invoke", FunctionName="f")
    assert [version.internet for version, _ in bench.engine.invocations] == [False, True]


async def signing(bench: Bench, policy: str) -> str:
    policies = {"UntrustedArtifactOnDeployment": policy}
    made = await bench.call("create_code_signing_config", AllowedPublishers=PUBLISHERS, CodeSigningPolicies=policies)
    arn: str = made["CodeSigningConfig"]["CodeSigningConfigArn"]
    return arn


async def test_unsigned_code_is_refused_where_that_is_enforced(bench: Bench) -> None:
    enforced, warned = await signing(bench, "Enforce"), await signing(bench, "Warn")
    with pytest.raises(AwsError, match="CodeVerificationFailedException"):
        await bench.create("g", CodeSigningConfigArn=enforced)
    await bench.create(CodeSigningConfigArn=warned)
    found = await bench.call("get_function_code_signing_config", FunctionName="f")
    assert found == {"FunctionName": "f", "CodeSigningConfigArn": warned}
    await bench.call("update_function_code", FunctionName="f", ZipFile=package("a = 1"))
    await bench.call("put_function_code_signing_config", FunctionName="f", CodeSigningConfigArn=enforced)
    error = await refused(bench, "update_function_code", FunctionName="f", ZipFile=package("a = 2"))
    assert (error.code, error.status) == ("CodeVerificationFailedException", 400)
    assert await bench.call("list_functions_by_code_signing_config", CodeSigningConfigArn=enforced) == {
        "FunctionArns": [ARN]
    }
    error = await refused(bench, "delete_code_signing_config", CodeSigningConfigArn=enforced)
    assert error.code == "ResourceConflictException"
    await bench.call("delete_function_code_signing_config", FunctionName="f")
    assert await bench.call("get_function_code_signing_config", FunctionName="f") == {"FunctionName": "f"}
    await bench.call("update_function_code", FunctionName="f", ZipFile=package("a = 2"))
    await bench.call("delete_code_signing_config", CodeSigningConfigArn=enforced)
    listed = await bench.call("list_code_signing_configs")
    assert [one["CodeSigningConfigArn"] for one in listed["CodeSigningConfigs"]] == [warned]


async def test_a_signing_configuration_is_changed_and_missed(bench: Bench) -> None:
    arn = await signing(bench, "Warn")
    changed = await bench.call("update_code_signing_config", CodeSigningConfigArn=arn, Description="d")
    assert changed["CodeSigningConfig"]["Description"] == "d"
    assert await bench.call("get_code_signing_config", CodeSigningConfigArn=arn) == changed
    missing = arn[:-17] + "0" * 17
    for operation in ("get_code_signing_config", "update_code_signing_config", "delete_code_signing_config"):
        assert (await refused(bench, operation, CodeSigningConfigArn=missing)).code == "ResourceNotFoundException"
    await bench.create()
    request = {"FunctionName": "f", "CodeSigningConfigArn": missing}
    error = await refused(bench, "put_function_code_signing_config", **request)
    assert (error.code, error.status) == ("CodeSigningConfigNotFoundException", 404)
    error = await refused(bench, "put_function_code_signing_config", FunctionName="g", CodeSigningConfigArn=arn)
    assert error.code == "ResourceNotFoundException"


def policy(resource: str = ARN, **changes: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": resource,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | changes]})


async def test_a_policy_is_put_as_a_whole_and_changed_in_part(bench: Bench) -> None:
    await bench.create()
    put = await bench.call("put_resource_policy", ResourceArn=ARN, Policy=policy())
    assert json.loads(put["Policy"])["Statement"][0]["Sid"] == "statement-1"
    got = await bench.call("get_resource_policy", ResourceArn=ARN)
    assert got == put == await bench.call("get_policy", FunctionName="f")
    grant = {"StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "111122223333"}
    await bench.call("add_permission", FunctionName="f", **grant)
    got = await bench.call("get_resource_policy", ResourceArn=ARN)
    assert len(json.loads(got["Policy"])["Statement"]) == 2
    stale = {"ResourceArn": ARN, "RevisionId": put["RevisionId"]}
    for operation, further in (("put_resource_policy", {"Policy": policy()}), ("delete_resource_policy", {})):
        error = await refused(bench, operation, **stale, **further)
        assert (error.code, error.status) == ("PreconditionFailedException", 412)
    await bench.call("delete_resource_policy", ResourceArn=ARN, RevisionId=got["RevisionId"])
    for operation in ("get_resource_policy", "delete_resource_policy"):
        assert (await refused(bench, operation, ResourceArn=ARN)).code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"ResourceArn": ARN, "Policy": "{"}, "InvalidParameterValueException"),
        ({"ResourceArn": ARN, "Policy": policy(ARN + "x")}, "InvalidParameterValueException"),
        ({"ResourceArn": ARN, "Policy": policy(Effect="Maybe")}, "InvalidParameterValueException"),
        ({"ResourceArn": ARN, "Policy": "{}"}, "InvalidParameterValueException"),
        ({"ResourceArn": f"{ARN}:$LATEST", "Policy": policy()}, "InvalidParameterValueException"),
        ({"ResourceArn": ARN + "g", "Policy": policy(ARN + "g")}, "ResourceNotFoundException"),
    ],
)
async def test_policies_that_are_refused(bench: Bench, request_: Any, code: str) -> None:
    await bench.create()
    assert (await refused(bench, "put_resource_policy", **request_)).code == code
