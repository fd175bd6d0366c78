"""STS put together, and the permissions that its operations need."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import Credentials
from pilotlight.services.contract import Access, Params, Service
from pilotlight.services.sts.tokens import Roles, Tokens

# AWS: these need no permission ("GetCallerIdentity", "GetSessionToken", STS API reference); AssumeRole is judged with
# the role's trust policy by the operation itself, since administrators need that too.
_FREE = frozenset({"GetCallerIdentity", "GetSessionToken", "AssumeRole", "AssumeRoleWithWebIdentity"})


class StsGuard:
    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        if operation in _FREE:
            return ()
        if operation == "GetFederationToken":
            resource = f"arn:aws:sts::{caller.account}:federated-user/{params['Name']}"
            return (Access(f"sts:{operation}", resource),)
        return (Access(f"sts:{operation}", "*"),)

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        return None


def sts_service(*, credentials: Credentials, policies: Policies, roles: Roles) -> Service:
    return Service(
        name="sts",
        nouns=(Tokens(credentials=credentials, policies=policies, roles=roles),),
        guard=StsGuard(),
    )
