"""Whether Lambda may assume a role: the role is there, and its trust policy says so."""

from __future__ import annotations

from typing import Protocol

from pilotlight.arn import Arn
from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access


class Trusted(Protocol):
    @property
    def trust(self) -> str:
        """The role's trust policy, as JSON."""
        ...


class RoleSource(Protocol):
    async def role(self, arn: str) -> Trusted | None: ...


class RoleTrust:
    """`Surroundings.roles` over IAM's rows and the policy evaluation."""

    def __init__(self, roles: RoleSource, policies: Policies, region: str) -> None:
        self._roles = roles
        self._policies = policies
        self._region = region

    async def may_assume(self, role_arn: str, service: str) -> bool:
        role = await self._roles.role(role_arn)
        if role is None:
            return False
        caller = Caller.of_service(service, account=Arn.parse(role_arn).account, region=self._region)
        access = Access("sts:AssumeRole", role_arn)
        decision = await self._policies.decide(caller, access, resource_policy=role.trust, trust=True)
        return decision.allowed
