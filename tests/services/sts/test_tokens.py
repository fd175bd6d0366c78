"""Who somebody is, and the roles they may take."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pilotlight.identity.caller import Caller
from tests.services.iam.conftest import LAMBDA_TRUST, Account, document

ROLE = "arn:aws:iam::000000000000:role/R"


def trust(principal: Any, **condition: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def ada(account: Account) -> Caller:
    return replace(account.caller, kind="user", arn="arn:aws:iam::000000000000:user/ada", user_id="AIDA")


async def assume(account: Account, caller: Caller | None = None, **request: Any) -> dict[str, Any]:
    return await account("assume_role", caller, RoleArn=ROLE, RoleSessionName="s", **request)


async def test_identity(account: Account) -> None:
    assert await account("get_caller_identity") == {
        "UserId": "000000000000",
        "Account": "000000000000",
        "Arn": "arn:aws:iam::000000000000:root",
    }


async def test_a_trusted_caller_takes_the_role(account: Account) -> None:
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))
    taken = await assume(account, Policy=document("s3:*"), Tags=[{"Key": "team", "Value": "blue"}])
    assert taken["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/R/s"
    assert 0 < taken["PackedPolicySize"] < 100
    given = taken["Credentials"]
    principal = await account.credentials.find(given["AccessKeyId"], given["SessionToken"])
    assert principal.secret == given["SecretAccessKey"]
    assert (principal.role_arn, principal.session_policies) == (ROLE, (document("s3:*"),))
    assert principal.context["aws:PrincipalTag/team"] == "blue"
    assert (await account("get_access_key_info", AccessKeyId=given["AccessKeyId"])) == {"Account": "000000000000"}


async def test_nobody_takes_a_role_that_does_not_trust_them(account: Account) -> None:
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=LAMBDA_TRUST)
    for caller in (account.caller, ada(account)):
        error = await account.refused("assume_role", caller, RoleArn=ROLE, RoleSessionName="s")
        assert (error.code, error.status) == ("AccessDenied", 403)
        assert error.message == f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    missing = await account.refused("assume_role", RoleArn=ROLE + "x", RoleSessionName="s")
    assert missing.code == "AccessDenied"
    assert (await account.refused("assume_role", RoleArn="R", RoleSessionName="s")).code == "ValidationError"


async def test_a_user_needs_the_permission_where_only_its_account_is_trusted(account: Account) -> None:
    await account("create_user", UserName="ada")
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))
    assert (await account.refused("assume_role", ada(account), RoleArn=ROLE, RoleSessionName="s")).status == 403
    await account("put_user_policy", UserName="ada", PolicyName="p", PolicyDocument=document("sts:AssumeRole"))
    await assume(account, ada(account))
    await account("delete_user_policy", UserName="ada", PolicyName="p")
    named = trust({"AWS": "arn:aws:iam::000000000000:user/ada"})
    await account("update_assume_role_policy", RoleName="R", PolicyDocument=named)
    await assume(account, ada(account))


async def test_the_external_id_must_fit(account: Account) -> None:
    document = trust({"AWS": "*"}, StringEquals={"sts:ExternalId": "secret"})
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=document)
    assert (await account.refused("assume_role", RoleArn=ROLE, RoleSessionName="s")).code == "AccessDenied"
    await assume(account, ExternalId="secret")


async def test_sessions_have_limits(account: Account) -> None:
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=trust({"AWS": "*"}), MaxSessionDuration=3600)
    error = await account.refused("assume_role", RoleArn=ROLE, RoleSessionName="s", DurationSeconds=7200)
    assert error.message == "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    chained = replace(account.caller, kind="role", role_arn=ROLE)
    error = await account.refused("assume_role", chained, RoleArn=ROLE, RoleSessionName="s", DurationSeconds=7200)
    assert "role chaining" in error.message
    long = document(*(f"s3:Action{number}" for number in range(300)))
    error = await account.refused("assume_role", RoleArn=ROLE, RoleSessionName="s", Policy=long)
    assert error.code == "PackedPolicyTooLarge"


async def test_a_chain_begun_in_a_sandbox_stays_there(account: Account) -> None:
    await account("create_role", RoleName="R", AssumeRolePolicyDocument=trust({"AWS": "*"}))
    inside = replace(account.caller, instance="ASIAINSTANCE")
    given = (await assume(account, inside))["Credentials"]
    principal = await account.credentials.find(given["AccessKeyId"], given["SessionToken"])
    assert principal.instance == "ASIAINSTANCE"


async def test_session_tokens_are_for_long_term_keys(account: Account) -> None:
    given = (await account("get_session_token"))["Credentials"]
    principal = await account.credentials.find(given["AccessKeyId"], given["SessionToken"])
    assert (principal.kind, principal.arn) == ("administrator", "arn:aws:iam::000000000000:root")
    chained = replace(account.caller, kind="role")
    assert (await account.refused("get_session_token", chained)).code == "AccessDenied"


async def test_federated_users_borrow_what_the_policy_says(account: Account) -> None:
    await account("create_user", UserName="ada")
    await account("put_user_policy", UserName="ada", PolicyName="p", PolicyDocument=document("s3:*", "sqs:*"))
    given = await account("get_federation_token", ada(account), Name="Bob", Policy=document("s3:GetObject"))
    assert given["FederatedUser"]["Arn"] == "arn:aws:sts::000000000000:federated-user/Bob"
    keys = given["Credentials"]
    principal = await account.credentials.find(keys["AccessKeyId"], keys["SessionToken"])
    bob = replace(
        ada(account), arn=principal.arn, role_arn=principal.role_arn, session_policies=principal.session_policies
    )
    grants = await account.principals.grants_of(bob)
    assert grants is not None
    assert grants.policies == (document("s3:*", "sqs:*"),)


async def test_what_is_not_here_says_so(account: Account) -> None:
    error = await account.refused("decode_authorization_message", EncodedMessage="x")
    assert (error.code, error.status) == ("NotImplemented", 501)
    error = await account.refused("assume_role", RoleArn=ROLE, RoleSessionName="s", SerialNumber="x")
    assert "SerialNumber" in error.message
    assert (await account.refused("get_access_key_info", AccessKeyId="x" * 20)).code == "ValidationError"
