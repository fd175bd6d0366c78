"""Policies on users, roles and groups: written into them, or attached to them by ARN."""

from __future__ import annotations

from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.iam import shapes, store
from pilotlight.services.iam.documents import check_identity
from pilotlight.services.iam.entities import INLINE_CHARACTERS_MAX, Kind, encoded, limit_exceeded, page
from pilotlight.services.iam.principals import Principals
from pilotlight.storage.database import Database

Request = dict[str, Any]
Result = dict[str, Any]


class Holders:
    """What users, roles and groups have in common; not an object of operations itself."""

    def __init__(self, *, database: Database, principals: Principals) -> None:
        self._database = database
        self._principals = principals

    async def put(self, caller: Caller, kind: Kind, name: str, request: Request) -> Result:
        document = request["PolicyDocument"]
        await self._database.read(store.get_entity, caller.account, kind, name)
        check_identity(document)
        held = await self._database.read(store.inline_policies, caller.account, kind, name)
        held[request["PolicyName"]] = document
        # AWS: white space does not count against the limit.
        if sum(len("".join(text.split())) for text in held.values()) > INLINE_CHARACTERS_MAX[kind]:
            limit = INLINE_CHARACTERS_MAX[kind]
            raise limit_exceeded(f"Maximum policy size of {limit} bytes exceeded for {kind} {name}")
        await self._database.write(
            store.put_inline, caller.account, kind, name, policy=request["PolicyName"], document=document
        )
        return {}

    async def get(self, caller: Caller, kind: Kind, name: str, policy: str) -> Result:
        held = await self._database.read(store.inline_policies, caller.account, kind, name)
        if policy not in held:
            raise AwsError("NoSuchEntity", f"The {kind} policy with name {policy} cannot be found.", status=404)
        return {f"{kind.capitalize()}Name": name, "PolicyName": policy, "PolicyDocument": encoded(held[policy])}

    async def delete(self, caller: Caller, kind: Kind, name: str, policy: str) -> Result:
        await self._database.write(store.delete_inline, caller.account, kind, name, policy)
        return {}

    async def list_inline(self, caller: Caller, kind: Kind, name: str, request: Request) -> Result:
        held = await self._database.read(store.inline_policies, caller.account, kind, name)
        return page(list(held), request, "PolicyNames", str, str)

    async def attach(self, caller: Caller, kind: Kind, name: str, arn: str) -> Result:
        await self._database.read(store.get_entity, caller.account, kind, name)
        await shapes.check_attachable(self._principals, caller.account, arn)
        await self._database.write(store.attach, caller.account, kind, name, arn)
        return {}

    async def detach(self, caller: Caller, kind: Kind, name: str, arn: str) -> Result:
        await self._database.write(store.detach, caller.account, kind, name, arn)
        return {}

    async def list_attached(self, caller: Caller, kind: Kind, name: str, request: Request) -> Result:
        arns = await self._database.read(store.attached, caller.account, kind, name)
        prefix = request.get("PathPrefix", "/")
        wanted = [arn for arn in arns if ("/" + arn.partition("/")[2]).startswith(prefix)]
        return page(wanted, request, "AttachedPolicies", _attached_shape, lambda arn: arn)


def _attached_shape(arn: str) -> Result:
    return {"PolicyName": arn.rsplit("/", 1)[-1], "PolicyArn": arn}


class UserPolicies:
    def __init__(self, holders: Holders) -> None:
        self._holders = holders

    async def put_user_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.put(caller, "user", request["UserName"], request)

    async def get_user_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.get(caller, "user", request["UserName"], request["PolicyName"])

    async def delete_user_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.delete(caller, "user", request["UserName"], request["PolicyName"])

    async def list_user_policies(self, caller: Caller, request: Request) -> Result:
        return await self._holders.list_inline(caller, "user", request["UserName"], request)

    async def attach_user_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.attach(caller, "user", request["UserName"], request["PolicyArn"])

    async def detach_user_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.detach(caller, "user", request["UserName"], request["PolicyArn"])

    async def list_attached_user_policies(self, caller: Caller, request: Request) -> Result:
        return await self._holders.list_attached(caller, "user", request["UserName"], request)


class RolePolicies:
    def __init__(self, holders: Holders) -> None:
        self._holders = holders

    async def put_role_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.put(caller, "role", request["RoleName"], request)

    async def get_role_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.get(caller, "role", request["RoleName"], request["PolicyName"])

    async def delete_role_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.delete(caller, "role", request["RoleName"], request["PolicyName"])

    async def list_role_policies(self, caller: Caller, request: Request) -> Result:
        return await self._holders.list_inline(caller, "role", request["RoleName"], request)

    async def attach_role_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.attach(caller, "role", request["RoleName"], request["PolicyArn"])

    async def detach_role_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.detach(caller, "role", request["RoleName"], request["PolicyArn"])

    async def list_attached_role_policies(self, caller: Caller, request: Request) -> Result:
        return await self._holders.list_attached(caller, "role", request["RoleName"], request)


class GroupPolicies:
    def __init__(self, holders: Holders) -> None:
        self._holders = holders

    async def put_group_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.put(caller, "group", request["GroupName"], request)

    async def get_group_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.get(caller, "group", request["GroupName"], request["PolicyName"])

    async def delete_group_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.delete(caller, "group", request["GroupName"], request["PolicyName"])

    async def list_group_policies(self, caller: Caller, request: Request) -> Result:
        return await self._holders.list_inline(caller, "group", request["GroupName"], request)

    async def attach_group_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.attach(caller, "group", request["GroupName"], request["PolicyArn"])

    async def detach_group_policy(self, caller: Caller, request: Request) -> Result:
        return await self._holders.detach(caller, "group", request["GroupName"], request["PolicyArn"])

    async def list_attached_group_policies(self, caller: Caller, request: Request) -> Result:
        return await self._holders.list_attached(caller, "group", request["GroupName"], request)
