"""Managed policies, their versions, where they are attached; the account's overview; simulation."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from tests.services.iam.conftest import LAMBDA_TRUST, Account, document

ARN = "arn:aws:iam::000000000000:policy/P"


async def make_policy(account: Account, *actions: str) -> dict[str, Any]:
    made = await account("create_policy", PolicyName="P", PolicyDocument=document(*(actions or ("s3:*",))))
    return dict(made["Policy"])


async def test_a_policy_and_its_versions(account: Account) -> None:
    made = await make_policy(account)
    assert (made["Arn"], made["DefaultVersionId"], made["AttachmentCount"]) == (ARN, "v1", 0)
    twice = await account.refused("create_policy", PolicyName="p", PolicyDocument=document("s3:*"))
    assert twice.message == "A policy called p already exists. Duplicate names are not allowed."
    new = await account("create_policy_version", PolicyArn=ARN, PolicyDocument=document("sqs:*"), SetAsDefault=True)
    assert new["PolicyVersion"]["VersionId"] == "v2"
    assert (await account("get_policy", PolicyArn=ARN))["Policy"]["DefaultVersionId"] == "v2"
    version = (await account("get_policy_version", PolicyArn=ARN, VersionId="v1"))["PolicyVersion"]
    assert (unquote(version["Document"]), version["IsDefaultVersion"]) == (document("s3:*"), False)
    listed = await account("list_policy_versions", PolicyArn=ARN)
    assert [version["VersionId"] for version in listed["Versions"]] == ["v2", "v1"]
    error = await account.refused("delete_policy_version", PolicyArn=ARN, VersionId="v2")
    assert error.message == "Cannot delete the default version of a policy."
    assert (await account.refused("delete_policy", PolicyArn=ARN)).message.startswith("This policy has more than one")
    await account("set_default_policy_version", PolicyArn=ARN, VersionId="v1")
    await account("delete_policy_version", PolicyArn=ARN, VersionId="v2")
    error = await account.refused("get_policy_version", PolicyArn=ARN, VersionId="v2")
    assert error.message == f"Policy {ARN} version v2 does not exist or is not attachable."
    await account("delete_policy", PolicyArn=ARN)
    assert (await account.refused("get_policy", PolicyArn=ARN)).message == f"Policy {ARN} was not found."


async def test_a_policy_has_five_versions_at_most(account: Account) -> None:
    await make_policy(account)
    for _ in range(4):
        await account("create_policy_version", PolicyArn=ARN, PolicyDocument=document("sqs:*"))
    error = await account.refused("create_policy_version", PolicyArn=ARN, PolicyDocument=document("sqs:*"))
    assert error.code == "LimitExceeded"


async def test_attachments(account: Account) -> None:
    await make_policy(account)
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=LAMBDA_TRUST)
    await account("create_user", UserName="ada", PermissionsBoundary=ARN)
    await account("attach_role_policy", RoleName="R", PolicyArn=ARN)
    await account("attach_role_policy", RoleName="R", PolicyArn=ARN)
    entities = await account("list_entities_for_policy", PolicyArn=ARN)
    assert [role["RoleName"] for role in entities["PolicyRoles"]] == ["R"]
    assert [user["UserName"] for user in entities["PolicyUsers"]] == ["ada"]
    policy = (await account("get_policy", PolicyArn=ARN))["Policy"]
    assert (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"]) == (1, 1)
    error = await account.refused("delete_policy", PolicyArn=ARN)
    assert (error.code, error.message) == ("DeleteConflict", "Cannot delete a policy attached to entities.")
    await account("detach_role_policy", RoleName="R", PolicyArn=ARN)
    await account("delete_user_permissions_boundary", UserName="ada")
    await account("delete_policy", PolicyArn=ARN)
    error = await account.refused("attach_role_policy", RoleName="R", PolicyArn=ARN)
    assert error.message == f"Policy {ARN} does not exist or is not attachable."
    error = await account.refused("detach_role_policy", RoleName="R", PolicyArn=ARN)
    assert error.message == f"Policy {ARN} was not found."
    assert (await account.refused("attach_role_policy", RoleName="R", PolicyArn="P")).code == "InvalidInput"


async def test_aws_policies_are_there_and_are_nobodys(account: Account) -> None:
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert (await account("get_policy", PolicyArn=arn))["Policy"]["PolicyName"] == "AdministratorAccess"
    version = await account("get_policy_version", PolicyArn=arn, VersionId="v1")
    assert '"Action": "*"' in unquote(version["PolicyVersion"]["Document"])
    assert (await account.refused("delete_policy", PolicyArn=arn)).code == "AccessDenied"
    names = [policy["PolicyName"] for policy in (await account("list_policies", Scope="AWS"))["Policies"]]
    assert "AWSLambdaBasicExecutionRole" in names
    assert (await account("list_policies", Scope="Local"))["Policies"] == []


async def test_the_account_in_one_answer(account: Account) -> None:
    await make_policy(account)
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=LAMBDA_TRUST)
    await account("put_role_policy", RoleName="R", PolicyName="in", PolicyDocument=document("s3:*"))
    await account("attach_role_policy", RoleName="R", PolicyArn=ARN)
    summary = (await account("get_account_summary"))["SummaryMap"]
    assert (summary["Roles"], summary["Users"], summary["Policies"]) == (1, 0, 1)
    details = await account("get_account_authorization_details")
    role = details["RoleDetailList"][0]
    assert (role["RoleName"], role["RolePolicyList"][0]["PolicyName"]) == ("R", "in")
    assert details["Policies"][0]["PolicyVersionList"][0]["VersionId"] == "v1"


@pytest.mark.parametrize(
    ("action", "resource", "word"),
    [
        ("s3:GetObject", "arn:aws:s3:::b/k", "allowed"),
        ("s3:GetObject", "arn:aws:s3:::c/k", "implicitDeny"),
        ("s3:DeleteObject", "arn:aws:s3:::b/k", "explicitDeny"),
    ],
)
async def test_simulation_of_a_roles_policies(account: Account, action: str, resource: str, word: str) -> None:
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=LAMBDA_TRUST)
    allowing = document("s3:*", resource="arn:aws:s3:::b/*")
    denying = document("s3:Delete*", effect="Deny")
    await account("put_role_policy", RoleName="R", PolicyName="allow", PolicyDocument=allowing)
    await account("put_role_policy", RoleName="R", PolicyName="deny", PolicyDocument=denying)
    simulated = await account(
        "simulate_principal_policy",
        PolicySourceArn="arn:aws:iam::000000000000:role/R",
        ActionNames=[action],
        ResourceArns=[resource],
    )
    result = simulated["EvaluationResults"][0]
    assert (result["EvalActionName"], result["EvalDecision"]) == (action, word)
    custom = await account(
        "simulate_custom_policy",
        PolicyInputList=[allowing, denying],
        ActionNames=[action],
        ResourceArns=[resource],
    )
    assert custom["EvaluationResults"][0]["EvalDecision"] == word


async def test_simulation_of_what_is_no_policy(account: Account) -> None:
    error = await account.refused("simulate_custom_policy", PolicyInputList=["{"], ActionNames=["s3:GetObject"])
    assert error.code == "InvalidInput"
