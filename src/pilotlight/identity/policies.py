"""Policy documents, and the decision that AWS's evaluation draws from all that apply. Pure.

An explicit deny in any policy wins. Else somebody must allow: inside an account an identity policy or a resource
policy, between accounts both; a permissions boundary and session policies only ever narrow
("Policy evaluation logic", IAM user guide).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from pilotlight.identity.conditions import Condition, compile_conditions
from pilotlight.identity.patterns import Context, Pattern

POLICIES_MAX = 2048
PolicyType = Literal[
    "identity-based policy", "resource-based policy", "permissions boundary", "session policy", "role trust policy"
]
Grade = Literal["none", "account", "role", "direct"]
"""How near a resource policy's principal comes: the whole account (which then must allow it itself), the role behind
the session (which boundary and session policies still narrow), or this very caller."""
_GRADES: tuple[Grade, ...] = ("none", "account", "role", "direct")


class InvalidPolicy(ValueError):
    """Text that is no policy document."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a resource policy's principals are compared with."""

    account: str
    arn: str
    role_arn: str = ""
    service: str = ""
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One action on one resource."""

    action: str
    """In lower case."""
    resource: str
    context: Context
    asker: Asker


@dataclass(frozen=True, slots=True)
class Principals:
    """`Principal` or `NotPrincipal`: pairs of kind and value."""

    entries: tuple[tuple[str, str], ...]
    negated: bool

    def grade(self, asker: Asker) -> Grade:
        best = max((_GRADES.index(_grade(kind, value, asker)) for kind, value in self.entries), default=0)
        if self.negated:
            return "none" if best else "direct"
        return _GRADES[best]


def _grade(kind: str, value: str, asker: Asker) -> Grade:
    if kind == "*" or (kind == "AWS" and value == "*"):
        return "direct"
    if kind == "Service":
        return "direct" if value == asker.service and asker.service else "none"
    if kind != "AWS" or asker.anonymous or asker.service:
        return "none"
    if value == asker.arn:
        return "account" if value.endswith(":root") else "direct"
    if value == asker.role_arn and value:
        return "role"
    if value == asker.account or value == f"arn:aws:iam::{asker.account}:root":
        return "account"
    return "none"


@dataclass(frozen=True, slots=True)
class Statement:
    sid: str
    allow: bool
    actions: tuple[Pattern, ...]
    not_actions: bool
    resources: tuple[Pattern, ...] | None
    """None: the policy is of a kind that has no resources, such as a trust policy."""
    not_resources: bool
    principals: Principals | None
    conditions: tuple[Condition, ...]

    def applies(self, ask: Ask) -> bool:
        """Action, resource and conditions match; the principal is asked apart."""
        if any(pattern.matches(ask.action, ask.context) for pattern in self.actions) == self.not_actions:
            return False
        if self.resources is not None:
            found = any(pattern.matches(ask.resource, ask.context) for pattern in self.resources)
            if found == self.not_resources:
                return False
        return all(condition.holds(ask.context) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Policy:
    statements: tuple[Statement, ...]

    def verdict(self, ask: Ask) -> Literal["deny", "allow", "none"]:
        """Of an identity policy, boundary or session policy."""
        allowed = False
        for statement in self.statements:
            if (statement.allow and allowed) or not statement.applies(ask):
                continue
            if not statement.allow:
                return "deny"
            allowed = True
        return "allow" if allowed else "none"

    def grade(self, ask: Ask) -> Grade | Literal["deny"]:
        """Of a resource policy: denied, or how near its allowing statements come to the caller."""
        best = 0
        for statement in self.statements:
            principals = statement.principals
            grade = principals.grade(ask.asker) if principals else "none"
            if grade == "none" or not statement.applies(ask):
                continue
            if not statement.allow:
                return "deny"
            best = max(best, _GRADES.index(grade))
        return _GRADES[best]


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    explicit: bool = False
    policy_type: PolicyType = "identity-based policy"
    """What denied it, or lacked the permission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """All policies that bear on one request."""

    identity: Sequence[Policy] = ()
    boundary: Policy | None = None
    session: Sequence[Policy] = ()
    resource: Policy | None = None
    cross_account: bool = False
    resource_alone: bool = False
    """Only the resource's policy counts: services and anonymous callers have no policies of their own."""
    trust: bool = False
    """The resource's policy is a role's trust policy, without which nobody gets in."""
    identity_allows_all: bool = False
    """The account's root."""


def evaluate(ask: Ask, papers: Papers) -> Decision:
    identity = [policy.verdict(ask) for policy in papers.identity]
    session = [policy.verdict(ask) for policy in papers.session]
    boundary = papers.boundary.verdict(ask) if papers.boundary else "allow"
    grade = papers.resource.grade(ask) if papers.resource else "none"
    resource_type: PolicyType = "role trust policy" if papers.trust else "resource-based policy"
    denials: list[tuple[bool, PolicyType]] = [
        ("deny" in identity, "identity-based policy"),
        (grade == "deny", resource_type),
        (boundary == "deny", "permissions boundary"),
        ("deny" in session, "session policy"),
    ]
    for denied, kind in denials:
        if denied:
            return Decision(False, True, kind)
    if papers.resource_alone or (papers.trust and grade == "none"):
        return Decision(grade != "none", False, resource_type)
    if not papers.cross_account and grade == "direct":
        return Decision(True)
    if not ("allow" in identity or papers.identity_allows_all) and (papers.cross_account or grade != "role"):
        return Decision(False, False, "identity-based policy")
    if boundary != "allow":
        return Decision(False, False, "permissions boundary")
    if session and "allow" not in session:
        return Decision(False, False, "session policy")
    if papers.cross_account and grade == "none":
        return Decision(False, False, "resource-based policy")
    return Decision(True)


def compile_policy(text: str | bytes) -> Policy:
    """Raises InvalidPolicy for what cannot be evaluated; IAM's finer checks of documents are its own."""
    try:
        document = orjson.loads(text)
        statements = document["Statement"]
        variables = document.get("Version") == "2012-10-17"
        many = statements if isinstance(statements, list) else [statements]
        return Policy(tuple(_statement(item, variables=variables) for item in many))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidPolicy(str(error)) from None


def _statement(item: Mapping[str, Any], *, variables: bool) -> Statement:
    if item["Effect"] not in ("Allow", "Deny"):
        raise ValueError(f"Effect {item['Effect']!r}")
    actions = item["Action"] if "Action" in item else item["NotAction"]
    resources = item.get("Resource", item.get("NotResource"))
    named = item.get("Principal", item.get("NotPrincipal"))
    return Statement(
        sid=item.get("Sid", ""),
        allow=item["Effect"] == "Allow",
        actions=tuple(Pattern.compile(action.lower(), variables=variables) for action in listed(actions)),
        not_actions="Action" not in item,
        resources=None
        if resources is None
        else tuple(Pattern.compile(resource, arn=True, variables=variables) for resource in listed(resources)),
        not_resources="NotResource" in item,
        principals=None if named is None else Principals(_principals(named), "NotPrincipal" in item),
        conditions=compile_conditions(item.get("Condition") or {}, variables=variables),
    )


def _principals(named: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(named, str):
        return (("*", named),) if named == "*" else ()
    return tuple((kind, value) for kind, values in named.items() for value in listed(values))


def listed(value: Any) -> list[str]:
    """One text or a list of them, as a list."""
    many = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in many):
        raise ValueError("text expected")
    return many


class PolicyCache:
    """Compiled documents by their text. Bounded; a compiled policy is a value, so any number may share it."""

    def __init__(self, limit: int = POLICIES_MAX) -> None:
        self._policies: dict[str, Policy] = {}
        self._limit = limit

    def get(self, text: str) -> Policy:
        policy = self._policies.get(text)
        if policy is None:
            policy = compile_policy(text)
            if len(self._policies) >= self._limit:
                del self._policies[next(iter(self._policies))]
            self._policies[text] = policy
        return policy
