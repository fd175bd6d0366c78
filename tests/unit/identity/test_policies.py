"""The evaluation of policies, as tables of documents and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.authorise import Grants, Policies
from pilotlight.identity.caller import Caller
from pilotlight.identity.conditions import compile_conditions, context_of
from pilotlight.identity.patterns import Pattern
from pilotlight.identity.policies import Ask, Asker, InvalidPolicy, Papers, compile_policy, evaluate
from pilotlight.settings import Settings

ACCOUNT = "000000000000"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/T"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/R"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/R/S"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def caller(**changes: Any) -> Caller:
    given: dict[str, Any] = {
        "account": ACCOUNT, "region": "us-east-1", "kind": "role", "arn": SESSION, "role_arn": ROLE, "user_id": "A:S",
    }  # fmt: skip
    return Caller(**(given | changes))


@dataclass(frozen=True)
class Access:
    action: str
    resource: str
    context: dict[str, Any] = field(default_factory=dict)


class Principals:
    def __init__(self, grants: Grants | None) -> None:
        self._grants = grants

    async def grants_of(self, caller: Caller) -> Grants | None:
        return self._grants


def policies(*documents: str, boundary: str | None = None, iam: str = "") -> Policies:
    grants = Grants(policies=documents, boundary=boundary, tags={"team": "blue"})
    return Policies(principals=Principals(grants), clock=Clock(), settings=Settings(iam=iam))


async def refused(judge: Policies, who: Caller, access: Access, *, protocol: str = "json", **more: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        await judge.require(who, access, protocol=protocol, **more)
    return caught.value


PUT = Access("dynamodb:PutItem", TABLE)
GET_OBJECT = Access("s3:GetObject", "arn:aws:s3:::b/k")
INVOKE = Access("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f")


async def test_a_role_may_do_what_its_policies_allow() -> None:
    await policies(policy(allow("dynamodb:PutItem", TABLE))).require(caller(), PUT, protocol="json")
    wide = "arn:aws:dynamodb:us-east-1:*:table/T"
    await policies(policy(allow(["dynamodb:put*"], wide))).require(caller(), PUT, protocol="json")


async def test_the_refusal_has_aws_words() -> None:
    error = await refused(policies(policy(allow("dynamodb:GetItem", TABLE))), caller(), PUT)
    assert (error.code, error.status) == ("AccessDeniedException", 400)
    assert error.message == (
        f"User: {SESSION} is not authorized to perform: dynamodb:PutItem on resource: {TABLE} "
        "because no identity-based policy allows the dynamodb:PutItem action"
    )
    error = await refused(policies(policy(allow("*"), deny("dynamodb:*"))), caller(), PUT)
    assert error.message.endswith(f"on resource: {TABLE} with an explicit deny in an identity-based policy")
    assert (await refused(policies(), caller(), INVOKE, protocol="rest-json")).status == 403
    error = await refused(policies(), caller(), GET_OBJECT, protocol="rest-xml")
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert 's3:GetObject on resource: "arn:aws:s3:::b/k" because no identity-based' in error.message


async def test_boundaries_and_session_policies_narrow() -> None:
    everything, nothing = policy(allow("*")), policy(allow("s3:*"))
    error = await refused(policies(everything, boundary=nothing), caller(), PUT)
    assert error.message.endswith("because no permissions boundary allows the dynamodb:PutItem action")
    error = await refused(policies(everything), caller(session_policies=(nothing,)), PUT)
    assert error.message.endswith("because no session policy allows the dynamodb:PutItem action")
    denying = policy(allow("*"), deny("dynamodb:*"))
    error = await refused(policies(everything, boundary=denying), caller(), PUT)
    assert error.message.endswith("with an explicit deny in a permissions boundary")
    error = await refused(policies(everything), caller(session_policies=(denying,)), PUT)
    assert error.message.endswith("with an explicit deny in a session policy")


@pytest.mark.parametrize(
    ("principal", "granted"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": SESSION}, True),
        ({"AWS": ROLE}, True),
        # The account's own root in a policy only delegates to the account's identity policies.
        ({"AWS": ACCOUNT}, False),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, False),
        ({"AWS": [f"arn:aws:iam::{ACCOUNT}:role/Q", ROLE]}, True),
        ({"Service": "s3.amazonaws.com"}, False),
        ({"AWS": "123456789012"}, False),
    ],
)
async def test_resource_policies_inside_an_account(principal: Any, granted: bool) -> None:
    document = policy(allow("s3:GetObject", "arn:aws:s3:::b/*", Principal=principal))
    decision = await policies().decide(caller(), GET_OBJECT, resource_policy=document)
    assert decision.allowed is granted


async def test_a_role_named_by_a_resource_policy_is_still_narrowed() -> None:
    document = policy(allow("s3:GetObject", "arn:aws:s3:::b/*", Principal={"AWS": ROLE}))
    nothing = policy(allow("sqs:*"))
    assert not (await policies(boundary=nothing).decide(caller(), GET_OBJECT, resource_policy=document)).allowed
    direct = policy(allow("s3:GetObject", "arn:aws:s3:::b/*", Principal={"AWS": SESSION}))
    assert (await policies(boundary=nothing).decide(caller(), GET_OBJECT, resource_policy=direct)).allowed


async def test_between_accounts_both_must_allow() -> None:
    theirs = Access("s3:GetObject", "arn:aws:s3:::b/k", {"aws:ResourceAccount": "123456789012"})
    opened = policy(allow("s3:GetObject", "arn:aws:s3:::b/*", Principal={"AWS": ACCOUNT}))
    both = policies(policy(allow("s3:GetObject")))
    assert (await both.decide(caller(), theirs, resource_policy=opened)).allowed
    assert not (await policies().decide(caller(), theirs, resource_policy=opened)).allowed
    error = await refused(both, caller(), theirs, protocol="rest-xml")
    assert error.message == "Access Denied"
    function = Access("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:f")
    error = await refused(policies(policy(allow("*"))), caller(), function, protocol="rest-json")
    assert error.message.endswith("because no resource-based policy allows the lambda:InvokeFunction action")


async def test_denials_and_not_principal_in_resource_policies() -> None:
    document = policy(
        allow("s3:*", "arn:aws:s3:::b/*", Principal="*"),
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "NotPrincipal": {"AWS": [ROLE, ACCOUNT]}},
    )
    assert (await policies().decide(caller(), GET_OBJECT, resource_policy=document)).allowed
    stranger = caller(account="123456789012", arn="arn:aws:iam::123456789012:user/u", kind="user", role_arn="")
    decision = await policies(policy(allow("*"))).decide(stranger, GET_OBJECT, resource_policy=document)
    assert (decision.allowed, decision.explicit) == (False, True)


async def test_anonymous_callers_have_only_the_resources_policy() -> None:
    nobody = caller(kind="anonymous", arn="anonymous", role_arn="", user_id="")
    public = policy(allow("s3:GetObject", "arn:aws:s3:::b/*", Principal="*"))
    await policies().require(nobody, GET_OBJECT, resource_policy=public, protocol="rest-xml")
    owned = policy(allow("s3:GetObject", "arn:aws:s3:::b/*", Principal={"AWS": ACCOUNT}))
    error = await refused(policies(), nobody, GET_OBJECT, protocol="rest-xml", resource_policy=owned)
    assert (error.code, error.message) == ("AccessDenied", "Access Denied")


async def test_services_need_the_functions_policy() -> None:
    s3 = Caller.of_service("s3.amazonaws.com", account=ACCOUNT, region="us-east-1", source_arn="arn:aws:s3:::b")
    condition = {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}, "StringEquals": {"AWS:SourceAccount": ACCOUNT}}
    statement = allow("lambda:InvokeFunction", INVOKE.resource, Principal={"Service": "s3.amazonaws.com"})
    granted = policy(statement | {"Condition": condition})
    await policies().require(s3, INVOKE, resource_policy=granted, protocol="rest-json")
    other = Caller.of_service("s3.amazonaws.com", account=ACCOUNT, region="us-east-1", source_arn="arn:aws:s3:::c")
    error = await refused(policies(), other, INVOKE, protocol="rest-json", resource_policy=granted)
    assert error.message.endswith("because no resource-based policy allows the lambda:InvokeFunction action")
    assert error.message.startswith("User: s3.amazonaws.com is not authorized to perform: lambda:InvokeFunction")


class Guard:
    async def resource_policy(self, access: Any, params: Any, caller: Caller) -> str | None:
        return None

    def accesses(self, operation: str, params: Any, caller: Caller) -> list[Access]:
        return [PUT, GET_OBJECT]


async def test_every_permission_of_an_operation_is_needed() -> None:
    half = policies(policy(allow("dynamodb:*")))
    with pytest.raises(AwsError, match="s3:GetObject"):
        await half.authorise(caller(), Guard(), "PutItem", {}, protocol="json")
    await policies(policy(allow("*"))).authorise(caller(), Guard(), "PutItem", {}, protocol="json")
    await policies().authorise(caller(kind="administrator"), Guard(), "PutItem", {}, protocol="json")


async def test_a_role_that_is_gone_may_nothing() -> None:
    judge = Policies(principals=Principals(None), clock=Clock(), settings=Settings())
    assert not (await judge.decide(caller(), PUT)).allowed


async def test_a_trust_policy_is_needed_by_administrators_too() -> None:
    role = Access("sts:AssumeRole", ROLE)
    root = caller(kind="administrator", arn=f"arn:aws:iam::{ACCOUNT}:root", role_arn="")
    lambdas = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}})
    own = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}})
    assert not (await policies().decide(root, role, resource_policy=lambdas, trust=True)).allowed
    assert (await policies().decide(root, role, resource_policy=own, trust=True)).allowed
    # A user needs its own permission as well where only its account is trusted.
    user = caller(kind="user", arn=f"arn:aws:iam::{ACCOUNT}:user/ada", role_arn="")
    assert not (await policies().decide(user, role, resource_policy=own, trust=True)).allowed
    assert (await policies(policy(allow("sts:*"))).decide(user, role, resource_policy=own, trust=True)).allowed
    assert not (await policies(policy(allow("sts:*"))).decide(user, role, resource_policy=lambdas, trust=True)).allowed


CONTEXT = {
    "aws:username": "ada", "s3:prefix": "home/ada/x", "aws:SourceIp": "10.1.2.3", "aws:SecureTransport": "true",
    "n": "7", "when": "2026-05-01T00:00:00Z", "arn": "arn:aws:sns:us-east-1:1:topic", "aws:TagKeys": ["a", "b"],
    "none": [], "bytes": "aGVsbG8=",
}  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "key", "value", "holds"),
    [
        ("StringEquals", "aws:username", "ada", True),
        ("StringEquals", "AWS:UserName", ["bob", "ada"], True),
        ("StringEquals", "aws:username", "Ada", False),
        ("StringEqualsIgnoreCase", "aws:username", "ADA", True),
        ("StringNotEquals", "aws:username", ["bob", "ada"], False),
        ("StringNotEquals", "missing", "x", True),
        ("StringEquals", "missing", "x", False),
        ("StringEqualsIfExists", "missing", "x", True),
        ("StringLike", "s3:prefix", "home/${aws:username}/*", True),
        ("StringLike", "s3:prefix", "home/${aws:nobody}/*", False),
        ("StringLike", "s3:prefix", "home/${aws:nobody, 'ada'}/?", True),
        ("StringEquals", "s3:prefix", "home/*", False),
        ("StringNotLike", "s3:prefix", "home/*", False),
        ("NumericLessThan", "n", "8", True),
        ("NumericGreaterThanEquals", "n", 7, True),
        ("NumericNotEquals", "n", "7.0", False),
        ("NumericEquals", "aws:username", "7", False),
        ("DateGreaterThan", "when", "2026-01-01T00:00:00Z", True),
        ("DateLessThan", "when", "1767225600", False),
        ("Bool", "aws:SecureTransport", "true", True),
        ("Bool", "aws:SecureTransport", False, False),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", "true", True),
        ("BinaryEquals", "bytes", "aGVsbG8=", True),
        ("IpAddress", "aws:SourceIp", "10.1.0.0/16", True),
        ("NotIpAddress", "aws:SourceIp", ["10.1.0.0/16", "::1"], False),
        ("ArnLike", "arn", "arn:aws:sns:*:1:t*", True),
        ("ArnEquals", "arn", "arn:aws:sqs:*:*", False),
        ("ArnNotLike", "arn", "arn:aws:sqs:*:*:*", True),
        ("Null", "missing", "true", True),
        ("Null", "aws:username", "false", True),
        ("Null", "none", "true", True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b", "c"], True),
        ("ForAllValues:StringEquals", "aws:TagKeys", ["a"], False),
        ("ForAllValues:StringEquals", "missing", ["a"], True),
        ("ForAnyValue:StringEquals", "aws:TagKeys", ["b"], True),
        ("ForAnyValue:StringEquals", "missing", ["b"], False),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", ["a"], True),
        ("ForAllValues:StringLikeIfExists", "aws:TagKeys", "?", True),
    ],
)
def test_condition_operators(operator: str, key: str, value: Any, holds: bool) -> None:
    conditions = compile_conditions({operator: {key: value}}, variables=True)
    assert all(condition.holds(context_of(CONTEXT)) for condition in conditions) is holds


@pytest.mark.parametrize("operator", ["StringIs", "ForSome:StringEquals", "Equals"])
def test_unknown_operators_are_no_policy(operator: str) -> None:
    with pytest.raises(InvalidPolicy):
        compile_policy(policy(allow("*", Condition={operator: {"a": "b"}})))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Statement": 1}', policy({"Effect": "Maybe", "Action": "*"})])
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(InvalidPolicy):
        compile_policy(text)


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("*", "anything", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/a/b:c", True),
        ("arn:aws:s3:::b/?", "arn:aws:s3:::b/ab", False),
        ("arn:aws:lambda:*:function:f", "arn:aws:lambda:us-east-1:1:function:f", False),
        ("arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::1:user/ada", True),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/x", False),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/*", True),
    ],
)
def test_resource_patterns(pattern: str, value: str, matches: bool) -> None:
    assert Pattern.compile(pattern, arn=True).matches(value, context_of(CONTEXT)) is matches


def test_a_variables_value_is_not_a_pattern() -> None:
    context = context_of({"aws:username": "*"})
    assert not Pattern.compile("home/${aws:username}").matches("home/ada", context)


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, True),
        ({"Effect": "Allow", "NotAction": ["dynamodb:*"], "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "*", "NotResource": TABLE}, False),
        ({"Effect": "Allow", "Action": "DYNAMODB:putitem", "NotResource": "arn:aws:s3:::*"}, True),
    ],
)
def test_negated_elements(statement: dict[str, Any], allowed: bool) -> None:
    ask = Ask("dynamodb:putitem", TABLE, {}, Asker(ACCOUNT, SESSION, ROLE))
    assert evaluate(ask, Papers(identity=[compile_policy(policy(statement))])).allowed is allowed
