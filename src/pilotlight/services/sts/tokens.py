"""Temporary credentials, and the question who somebody is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.authorise import Policies, refusal
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import Credentials, SessionCredentials
from pilotlight.identity.policies import InvalidPolicy, compile_policy
from pilotlight.services.contract import Access

Request = dict[str, Any]
Result = dict[str, Any]

SESSION_SECONDS = 3600
CHAINED_SECONDS_MAX = 3600
USER_SESSION_SECONDS = 43_200
ROOT_SESSION_SECONDS_MAX = 3600
PACKED_POLICY_CHARACTERS_MAX = 2048
NOTHING = '{"Version":"2012-10-17","Statement":[]}'
_ACCOUNT_KEYS = ("AKIA", "ASIA", "AROA", "AIDA")


class Role(Protocol):
    @property
    def account(self) -> str: ...
    @property
    def arn(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def trust(self) -> str: ...
    @property
    def max_session_seconds(self) -> int: ...


class Roles(Protocol):
    """What STS must know of IAM; `app.py` hands in IAM's `Principals`."""

    async def role(self, arn: str) -> Role | None: ...

    async def policy_document(self, account: str, arn: str) -> str | None: ...


class Tokens:
    def __init__(self, *, credentials: Credentials, policies: Policies, roles: Roles) -> None:
        self._credentials = credentials
        self._policies = policies
        self._roles = roles

    async def get_caller_identity(self, caller: Caller, request: Request) -> Result:
        return {"UserId": caller.user_id or caller.account, "Account": caller.account, "Arn": caller.arn}

    async def get_access_key_info(self, caller: Caller, request: Request) -> Result:
        access_key_id = request["AccessKeyId"]
        account = None
        if access_key_id.startswith(_ACCOUNT_KEYS):
            account = self._credentials.account_of(access_key_id)
        elif len(access_key_id) == 12 and access_key_id.isdigit():
            account = access_key_id
        if account is None:
            raise AwsError("ValidationError", f"Invalid Access Key ID: {access_key_id}")
        return {"Account": account}

    async def assume_role(self, caller: Caller, request: Request) -> Result:
        for member in ("SerialNumber", "TokenCode", "ProvidedContexts", "SourceIdentity", "MinimumSessionTokenSize"):
            if member in request:
                raise NotImplementedHere(f"AssumeRole with {member}")
        arn, name = request["RoleArn"], request["RoleSessionName"]
        _check_role_arn(arn)
        role = await self._roles.role(arn)
        access = Access("sts:AssumeRole", arn, _conditions(request))
        await self._check_trust(caller, access, role)
        assert role is not None
        seconds = _role_seconds(caller, request, role.max_session_seconds)
        policies = await self._session_policies(role.account, request)
        issued = self._credentials.issue(
            account=role.account,
            role_arn=role.arn,
            role_id=role.id,
            session_name=name,
            duration_seconds=seconds,
            policies=policies,
            tags=_tags(request),
            instance=caller.instance,
        )
        role_name = role.arn.rsplit("/", 1)[-1]
        result: Result = {
            "Credentials": _shape(issued),
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role.id}:{name}",
                "Arn": f"arn:aws:sts::{role.account}:assumed-role/{role_name}/{name}",
            },
        }
        if policies or request.get("Tags"):
            result["PackedPolicySize"] = _packed(policies, request)
        return result

    async def get_session_token(self, caller: Caller, request: Request) -> Result:
        for member in ("SerialNumber", "TokenCode", "MinimumSessionTokenSize"):
            if member in request:
                raise NotImplementedHere(f"GetSessionToken with {member}")
        if caller.kind == "role" or caller.access_key_id.startswith("ASIA"):
            raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", status=403)
        seconds = request.get("DurationSeconds", USER_SESSION_SECONDS)
        if caller.kind == "administrator":
            # AWS: the root user's sessions last an hour at most, whatever was asked for.
            seconds = min(seconds, ROOT_SESSION_SECONDS_MAX)
        issued = self._credentials.issue_for(
            account=caller.account,
            kind=caller.kind,
            arn=caller.arn,
            user_id=caller.user_id,
            duration_seconds=seconds,
            instance=caller.instance,
        )
        return {"Credentials": _shape(issued)}

    async def get_federation_token(self, caller: Caller, request: Request) -> Result:
        if caller.kind == "role" or caller.access_key_id.startswith("ASIA"):
            raise AwsError("AccessDenied", "Cannot call GetFederationToken with session credentials", status=403)
        name = request["Name"]
        policies = await self._session_policies(caller.account, request)
        seconds = request.get("DurationSeconds", USER_SESSION_SECONDS)
        if caller.kind == "administrator":
            seconds = min(seconds, ROOT_SESSION_SECONDS_MAX)
        arn = f"arn:aws:sts::{caller.account}:federated-user/{name}"
        issued = self._credentials.issue_for(
            account=caller.account,
            kind="user",
            arn=arn,
            user_id=f"{caller.account}:{name}",
            duration_seconds=seconds,
            # AWS: without a session policy, a federated user has no permission of its own.
            policies=policies or (NOTHING,),
            tags=_tags(request),
            instance=caller.instance,
            source_arn=caller.arn,
        )
        return {
            "Credentials": _shape(issued),
            "FederatedUser": {"FederatedUserId": f"{caller.account}:{name}", "Arn": arn},
            "PackedPolicySize": _packed(policies, request),
        }

    async def decode_authorization_message(self, caller: Caller, request: Request) -> Result:
        raise NotImplementedHere("DecodeAuthorizationMessage")

    async def assume_role_with_web_identity(self, caller: Caller, request: Request) -> Result:
        raise NotImplementedHere("AssumeRoleWithWebIdentity")

    async def _check_trust(self, caller: Caller, access: Access, role: Role | None) -> None:
        """The role's trust policy is asked of everyone, administrators too; a role that is not there looks alike."""
        trust = role.trust if role else NOTHING
        decision = await self._policies.decide(caller, access, resource_policy=trust, trust=True)
        if not decision.allowed:
            raise refusal(caller, access, decision, protocol="query")

    async def _session_policies(self, account: str, request: Request) -> tuple[str, ...]:
        documents = []
        if "Policy" in request:
            _check_policy(request["Policy"])
            documents.append(request["Policy"])
        for given in request.get("PolicyArns") or ():
            document = await self._roles.policy_document(account, given.get("arn", ""))
            if document is None:
                raise AwsError("ValidationError", f"The policy with ARN {given.get('arn', '')} could not be found.")
            documents.append(document)
        return tuple(documents)


def _check_role_arn(arn: str) -> None:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "iam" or not parts[5].startswith("role/"):
        raise AwsError("ValidationError", f"{arn} is invalid")


def _check_policy(text: str) -> None:
    try:
        compile_policy(text)
    except InvalidPolicy:
        raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json") from None


def _role_seconds(caller: Caller, request: Mapping[str, Any], longest: int) -> int:
    seconds = int(request.get("DurationSeconds", SESSION_SECONDS))
    if caller.kind == "role" and seconds > CHAINED_SECONDS_MAX:
        message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        raise AwsError("ValidationError", message)
    if seconds > longest:
        message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise AwsError("ValidationError", message)
    return seconds


def _tags(request: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}


def _conditions(request: Mapping[str, Any]) -> dict[str, Any]:
    tags = _tags(request)
    context: dict[str, Any] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    context["sts:RoleSessionName"] = request["RoleSessionName"]
    if "ExternalId" in request:
        context["sts:ExternalId"] = request["ExternalId"]
    if tags:
        context["aws:TagKeys"] = list(tags)
    if request.get("TransitiveTagKeys"):
        raise NotImplementedHere("AssumeRole with TransitiveTagKeys")
    return context


def _shape(issued: SessionCredentials) -> Result:
    return {
        "AccessKeyId": issued.access_key_id,
        "SecretAccessKey": issued.secret_access_key,
        "SessionToken": issued.session_token,
        "Expiration": datetime.fromtimestamp(issued.expires_ms // 1000, UTC),
    }


def _packed(policies: Sequence[str], request: Mapping[str, Any]) -> int:
    """How much of the room for policies and tags is used, in percent. Raises PackedPolicyTooLarge over 100."""
    size = sum(map(len, policies)) + len(json.dumps(request.get("Tags") or ""))
    percent = -(-size * 100 // PACKED_POLICY_CHARACTERS_MAX)
    if percent > 100:
        message = f"Packed policy consumes {percent}% of allotted space, please use smaller policy."
        raise AwsError("PackedPolicyTooLarge", message)
    return percent
