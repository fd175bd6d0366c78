"""May this caller do this? The gateway asks before every operation, and services may ask for more.

A service's guard names the permissions that an operation needs; the caller's own policies come from whoever
implements `PrincipalPolicies` (IAM's store); the refusal is worded as AWS words it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.identity.conditions import RequestKeys
from pilotlight.identity.policies import Ask, Asker, Decision, InvalidPolicy, Papers, Policy, PolicyCache, evaluate
from pilotlight.identity.sigv4 import timestamp_of
from pilotlight.settings import Settings

SERVICE_NEEDS_POLICY = frozenset(
    {
        "lambda:InvokeFunction",
        "sqs:SendMessage",
        "sns:Publish",
        "ecr:BatchGetImage",
        "ecr:GetDownloadUrlForLayer",
    }
)
"""Actions that another service may take only where the resource's policy says so."""
ASSUME_ROLE = "sts:assumerole"


class Permission(Protocol):
    """An action on a resource, with its condition keys: `services.contract.Access`."""

    @property
    def action(self) -> str: ...
    @property
    def resource(self) -> str: ...
    @property
    def context(self) -> Mapping[str, Any]: ...


class Guarding(Protocol):
    """A service's guard: `services.contract.Guard`."""

    def accesses(self, operation: str, params: Mapping[str, Any], caller: Caller) -> Sequence[Any]: ...

    async def resource_policy(self, access: Any, params: Mapping[str, Any], caller: Caller) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """The policies of a user or role, and what else its principal brings to conditions."""

    policies: tuple[str, ...] = ()
    boundary: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class PrincipalPolicies(Protocol):
    async def grants_of(self, caller: Caller) -> Grants | None:
        """None where the user or role is gone."""
        ...


class Policies:
    def __init__(self, *, principals: PrincipalPolicies, clock: Clock, settings: Settings) -> None:
        self._principals = principals
        self._clock = clock
        self._enforce = settings.iam == "enforce"
        self._cache = PolicyCache()

    async def authorise(
        self, caller: Caller, guard: Guarding, operation: str, params: Mapping[str, Any], *, protocol: str
    ) -> None:
        """Returns, or raises AWS's refusal. `protocol` is the model's: it decides the refusal's code."""
        if caller.kind == "administrator" and not self._enforce:
            return
        accesses = guard.accesses(operation, params, caller)
        for access in accesses:
            if caller.kind == "service" and access.action not in SERVICE_NEEDS_POLICY:
                continue
            policy = await guard.resource_policy(access, params, caller)
            await self.require(caller, access, resource_policy=policy, protocol=protocol)

    async def require(
        self, caller: Caller, access: Permission, *, resource_policy: str | None = None, protocol: str
    ) -> None:
        """Raises AWS's refusal unless the caller has this one permission."""
        decision = await self.decide(caller, access, resource_policy=resource_policy)
        if not decision.allowed:
            raise refusal(caller, access, decision, protocol=protocol)

    async def decide(
        self, caller: Caller, access: Permission, *, resource_policy: str | None = None, trust: bool = False
    ) -> Decision:
        """The decision without the words. With `trust`, `resource_policy` is a role's trust policy, which even
        an administrator needs."""
        owner = _owner(access)
        cross_account = bool(owner) and owner != caller.account
        if caller.kind == "administrator" and not trust and not (cross_account and self._enforce):
            return Decision(True)
        resource = self._cache.get(resource_policy) if resource_policy else None
        if caller.kind in ("service", "anonymous"):
            papers = Papers(resource=resource, resource_alone=True, trust=trust)
            return evaluate(self._ask(caller, access, Grants(), owner), papers)
        grants = await self._grants(caller)
        papers = Papers(
            identity=self._compiled(grants.policies),
            boundary=self._cache.get(grants.boundary) if grants.boundary else None,
            session=self._compiled(caller.session_policies),
            resource=resource,
            cross_account=cross_account,
            trust=trust,
            identity_allows_all=caller.kind == "administrator",
        )
        return evaluate(self._ask(caller, access, grants, owner), papers)

    async def _grants(self, caller: Caller) -> Grants:
        if caller.kind == "administrator":
            return Grants()
        # A deleted user's or role's sessions live on without any permission.
        return await self._principals.grants_of(caller) or Grants()

    def _compiled(self, texts: Sequence[str]) -> list[Policy]:
        return [self._cache.get(text) for text in texts]

    def _ask(self, caller: Caller, access: Permission, grants: Grants, owner: str) -> Ask:
        asker = Asker(caller.account, caller.arn, caller.role_arn, caller.service, caller.kind == "anonymous")
        wall_ms = self._clock.wall_ms()
        context = RequestKeys(
            lambda: (
                request_context(caller, wall_ms),
                {"aws:ResourceAccount": owner or caller.account},
                {f"aws:PrincipalTag/{name}": value for name, value in grants.tags.items()},
                caller.context,
                access.context,
            )
        )
        return Ask(access.action.lower(), access.resource, context, asker)


def request_context(caller: Caller, wall_ms: int) -> dict[str, Any]:
    """The global condition keys of a request."""
    context: dict[str, Any] = {
        "aws:CurrentTime": timestamp_of(wall_ms),
        "aws:EpochTime": wall_ms // 1000,
        "aws:SecureTransport": caller.secure,
        "aws:RequestedRegion": caller.region,
        "aws:PrincipalIsAWSService": caller.kind == "service",
        "aws:ViaAWSService": False,
    }
    if caller.kind == "service":
        context |= {
            "aws:PrincipalServiceName": caller.service,
            "aws:SourceAccount": caller.account,
            "aws:SourceArn": caller.source_arn or None,
        }
        return context
    context["aws:SourceIp"] = caller.source_ip
    if caller.kind == "anonymous":
        return context | {"aws:PrincipalType": "Anonymous", "aws:userid": "anonymous"}
    context |= {
        "aws:PrincipalAccount": caller.account,
        # AWS: for a session this is the role's ARN, not the session's.
        "aws:PrincipalArn": caller.role_arn if caller.kind == "role" else caller.arn,
        "aws:PrincipalType": {"user": "User", "role": "AssumedRole"}.get(caller.kind, "Account"),
        "aws:userid": caller.user_id,
    }
    if caller.kind == "user":
        context["aws:username"] = caller.arn.rsplit("/", 1)[-1]
    return context


def _owner(access: Permission) -> str:
    """The account that the resource belongs to, where its ARN or its service says so."""
    given = access.context.get("aws:ResourceAccount")
    if given:
        return str(given)
    parts = access.resource.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdigit() else ""


def refusal(caller: Caller, access: Permission, decision: Decision, *, protocol: str) -> AwsError:
    """AWS's words, which name the kind of policy that was missing or denied it."""
    s3 = access.action.startswith("s3:")
    status = 400 if protocol == "json" else 403
    code = "AccessDeniedException" if protocol in ("json", "rest-json") else "AccessDenied"
    owner = _owner(access)
    if s3 and (caller.kind == "anonymous" or (owner and owner != caller.account)):
        # AWS: S3 tells strangers no more than this.
        return AwsError("AccessDenied", "Access Denied", status=403)
    resource = f'"{access.resource}"' if s3 else access.resource
    text = f"User: {caller.arn} is not authorized to perform: {access.action} on resource: {resource}"
    article = "an" if decision.policy_type == "identity-based policy" else "a"
    if decision.explicit:
        text += f" with an explicit deny in {article} {decision.policy_type}"
    elif access.action.lower() != ASSUME_ROLE:
        # AWS: AssumeRole does not say which policy is missing.
        text += f" because no {decision.policy_type} allows the {access.action} action"
    return AwsError(code, text, status=status)


__all__ = ["Grants", "InvalidPolicy", "Policies", "PrincipalPolicies", "refusal", "request_context"]
