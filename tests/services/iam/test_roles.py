"""Roles: their documents, their policies, what keeps them from being deleted, and the grants they amount to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from pilotlight.identity.caller import Caller
from tests.services.iam.conftest import LAMBDA_TRUST, Account, document

ROLE = "arn:aws:iam::000000000000:role/R"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


async def make_role(account: Account, name: str = "R") -> None:
    await account("create_role", RoleName=name, AssumeRolePolicyDocument=LAMBDA_TRUST)


def one(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def session(account: Account, role_id: str = "R") -> Caller:
    arn = "arn:aws:sts::000000000000:assumed-role/R/S"
    return replace(account.caller, kind="role", arn=arn, role_arn=ROLE, user_id=f"{role_id}:S")


async def test_a_role_is_returned_as_it_was_made(account: Account) -> None:
    made = await account(
        "create_role",
        RoleName="R",
        Path="/service/",
        AssumeRolePolicyDocument=LAMBDA_TRUST,
        Description="d",
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "blue"}],
    )
    assert made["Role"]["Arn"] == "arn:aws:iam::000000000000:role/service/R"
    role = (await account("get_role", RoleName="R"))["Role"]
    assert role["RoleId"].startswith("AROA")
    assert json.loads(unquote(role["AssumeRolePolicyDocument"])) == json.loads(LAMBDA_TRUST)
    assert (role["Description"], role["MaxSessionDuration"], role["Path"]) == ("d", 7200, "/service/")
    assert role["Tags"] == [{"Key": "team", "Value": "blue"}]
    listed = await account("list_roles", PathPrefix="/service/")
    assert [role["RoleName"] for role in listed["Roles"]] == ["R"]
    assert (await account("list_roles", PathPrefix="/other/"))["Roles"] == []


async def test_refusals_of_roles(account: Account) -> None:
    missing = await account.refused("get_role", RoleName="R")
    assert (missing.code, missing.status) == ("NoSuchEntity", 404)
    assert missing.message == "The role with name R cannot be found."
    await make_role(account)
    twice = await account.refused("create_role", RoleName="r", AssumeRolePolicyDocument=LAMBDA_TRUST)
    assert (twice.code, twice.status, twice.message) == ("EntityAlreadyExists", 409, "Role with name r already exists.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This policy contains invalid Json"),
        (document("sts:AssumeRole"), "Has prohibited field Resource"),
        (
            json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}),
            "Missing required field Principal",
        ),
        (
            LAMBDA_TRUST.replace("sts:AssumeRole", "s3:GetObject"),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (LAMBDA_TRUST.replace("lambda.amazonaws.com", "lambda"), 'Invalid principal in policy: "SERVICE":"lambda"'),
        (LAMBDA_TRUST.replace("2012-10-17", "2012-10-18"), "Policy document must be version 2012-10-17 or greater."),
    ],
)  # fmt: skip
async def test_trust_policies_that_are_none(account: Account, text: str, message: str) -> None:
    error = await account.refused("create_role", RoleName="R", AssumeRolePolicyDocument=text)
    assert (error.code, error.message) == ("MalformedPolicyDocument", message)


async def test_a_role_with_something_on_it_is_not_deleted(account: Account) -> None:
    await make_role(account)
    await account("put_role_policy", RoleName="R", PolicyName="p", PolicyDocument=document("s3:*"))
    await account("attach_role_policy", RoleName="R", PolicyArn=BASIC)
    await account("create_instance_profile", InstanceProfileName="I")
    await account("add_role_to_instance_profile", InstanceProfileName="I", RoleName="R")
    error = await account.refused("delete_role", RoleName="R")
    assert error.message == "Cannot delete entity, must remove roles from instance profile first."
    await account("remove_role_from_instance_profile", InstanceProfileName="I", RoleName="R")
    error = await account.refused("delete_role", RoleName="R")
    assert (error.code, error.message) == ("DeleteConflict", "Cannot delete entity, must detach all policies first.")
    await account("detach_role_policy", RoleName="R", PolicyArn=BASIC)
    error = await account.refused("delete_role", RoleName="R")
    assert error.message == "Cannot delete entity, must delete policies first."
    await account("delete_role_policy", RoleName="R", PolicyName="p")
    await account("delete_role", RoleName="R")
    assert (await account.refused("get_role", RoleName="R")).code == "NoSuchEntity"


async def test_inline_policies(account: Account) -> None:
    await make_role(account)
    text = document("s3:GetObject", resource="arn:aws:s3:::b/*")
    await account("put_role_policy", RoleName="R", PolicyName="p", PolicyDocument=text)
    got = await account("get_role_policy", RoleName="R", PolicyName="p")
    assert (got["RoleName"], got["PolicyName"], unquote(got["PolicyDocument"])) == ("R", "p", text)
    assert (await account("list_role_policies", RoleName="R"))["PolicyNames"] == ["p"]
    error = await account.refused("get_role_policy", RoleName="R", PolicyName="q")
    assert error.message == "The role policy with name q cannot be found."
    error = await account.refused("put_role_policy", RoleName="Q", PolicyName="p", PolicyDocument="{")
    assert error.code == "NoSuchEntity"
    long = document(*(f"s3:Action{number}" for number in range(1000)))
    error = await account.refused("put_role_policy", RoleName="R", PolicyName="p", PolicyDocument=long)
    assert error.message == "Maximum policy size of 10240 bytes exceeded for role R"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "Syntax errors in policy."),
        ("{}", "Syntax errors in policy."),
        (document("s3"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (document("s3:a:b"), "Actions/Condition can contain only one colon."),
        (document("a b:c"), "Vendor a b is not valid"),
        (document("s3:*", resource="bucket"), 'Resource bucket must be in ARN format or "*".'),
        (document("s3:*", resource="arn:x:s3:::b"), 'Partition "x" is not valid for resource "arn:x:s3:::b".'),
        (document("s3:*", resource="arn:aws:s3"), "The policy failed legacy parsing"),
        (LAMBDA_TRUST, "Policy document should not specify a principal."),
        (one(Effect="Allow", Resource="*"), "Policy statement must contain actions."),
        (one(Effect="Allow", Action="*"), "Policy statement must contain resources."),
        (one(Effect="Allow", Action="*", Resource="*", Condition={"Is": {"a": "b"}}), "Syntax errors in policy."),
        (one(Effect="Allow", Action="*", Resource="*", Extra=1), "Syntax errors in policy."),
    ],
)  # fmt: skip
async def test_identity_policies_that_are_none(account: Account, text: str, message: str) -> None:
    await make_role(account)
    error = await account.refused("put_role_policy", RoleName="R", PolicyName="p", PolicyDocument=text)
    assert (error.code, error.message) == ("MalformedPolicyDocument", message)


async def test_grants_follow_every_change(account: Account) -> None:
    await make_role(account)
    role_id = (await account("get_role", RoleName="R"))["Role"]["RoleId"]
    caller = session(account, role_id)
    grants = await account.principals.grants_of(caller)
    assert grants is not None
    assert grants.policies == ()
    text = document("dynamodb:PutItem")
    await account("put_role_policy", RoleName="R", PolicyName="p", PolicyDocument=text)
    await account("attach_role_policy", RoleName="R", PolicyArn=BASIC)
    grants = await account.principals.grants_of(caller)
    assert grants is not None
    assert text in grants.policies
    assert any("logs:PutLogEvents" in policy for policy in grants.policies)
    await account("put_role_permissions_boundary", RoleName="R", PermissionsBoundary=BASIC)
    grants = await account.principals.grants_of(caller)
    assert grants is not None
    assert "logs:PutLogEvents" in (grants.boundary or "")
    assert await account.principals.grants_of(session(account, "AROAANOTHERONE")) is None


async def test_a_role_made_anew_owes_nothing_to_old_sessions(account: Account) -> None:
    await make_role(account)
    caller = session(account, (await account("get_role", RoleName="R"))["Role"]["RoleId"])
    await account("delete_role", RoleName="R")
    assert await account.principals.grants_of(caller) is None
    await make_role(account)
    assert await account.principals.grants_of(caller) is None


async def test_updates_and_tags(account: Account) -> None:
    await make_role(account)
    await account("update_role", RoleName="R", Description="new", MaxSessionDuration=4000)
    changed = LAMBDA_TRUST.replace("lambda.", "states.")
    await account("update_assume_role_policy", RoleName="R", PolicyDocument=changed)
    role = (await account("get_role", RoleName="R"))["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("new", 4000)
    assert "states.amazonaws.com" in unquote(role["AssumeRolePolicyDocument"])
    await account("tag_role", RoleName="R", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    await account("untag_role", RoleName="R", TagKeys=["a"])
    assert (await account("list_role_tags", RoleName="R"))["Tags"] == [{"Key": "b", "Value": "2"}]
    error = await account.refused("tag_role", RoleName="R", Tags=[{"Key": "x", "Value": ""}, {"Key": "X", "Value": ""}])
    assert error.code == "InvalidInput"


async def test_lists_come_in_pages(account: Account) -> None:
    for name in "cab":
        await make_role(account, name)
    first = await account("list_roles", MaxItems=2)
    assert [role["RoleName"] for role in first["Roles"]] == ["a", "b"]
    assert first["IsTruncated"]
    second = await account("list_roles", MaxItems=2, Marker=first["Marker"])
    assert [role["RoleName"] for role in second["Roles"]] == ["c"]
    assert not second["IsTruncated"]
    assert (await account.refused("list_roles", Marker="é")).code == "ValidationError"


async def test_service_linked_roles(account: Account) -> None:
    made = (await account("create_service_linked_role", AWSServiceName="lambda.amazonaws.com"))["Role"]
    assert made["Arn"].endswith(":role/aws-service-role/lambda.amazonaws.com/AWSServiceRoleForLambda")
    twice = await account.refused("create_service_linked_role", AWSServiceName="lambda.amazonaws.com")
    assert twice.code == "InvalidInput"
    assert (await account.refused("delete_role", RoleName="AWSServiceRoleForLambda")).code == "UnmodifiableEntity"
    task = await account("delete_service_linked_role", RoleName="AWSServiceRoleForLambda")
    status = await account("get_service_linked_role_deletion_status", DeletionTaskId=task["DeletionTaskId"])
    assert status == {"Status": "SUCCEEDED"}


async def test_instance_profiles_hold_one_role(account: Account) -> None:
    await make_role(account)
    await make_role(account, "Q")
    await account("create_instance_profile", InstanceProfileName="I")
    await account("add_role_to_instance_profile", InstanceProfileName="I", RoleName="R")
    error = await account.refused("add_role_to_instance_profile", InstanceProfileName="I", RoleName="Q")
    assert error.code == "LimitExceeded"
    profile = (await account("get_instance_profile", InstanceProfileName="I"))["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["R"]
    listed = await account("list_instance_profiles_for_role", RoleName="R")
    assert [profile["InstanceProfileName"] for profile in listed["InstanceProfiles"]] == ["I"]
    error = await account.refused("delete_instance_profile", InstanceProfileName="I")
    assert error.code == "DeleteConflict"
    error = await account.refused("get_instance_profile", InstanceProfileName="J")
    assert error.message == "Instance Profile J cannot be found."
