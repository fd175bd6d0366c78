"""Roles and instance profiles."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.iam import shapes, store
from pilotlight.services.iam.documents import check_trust
from pilotlight.services.iam.entities import (
    TRUST_CHARACTERS_MAX,
    Entity,
    limit_exceeded,
    page,
    tags_of,
    tags_shape,
)
from pilotlight.services.iam.principals import Principals
from pilotlight.storage.database import Database

Request = dict[str, Any]
Result = dict[str, Any]

SERVICE_ROLE_PATH = "/aws-service-role/"


def _checked_trust(document: str, name: str) -> str:
    check_trust(document)
    if len("".join(document.split())) > TRUST_CHARACTERS_MAX:
        raise limit_exceeded(f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS_MAX}")
    return document


class Roles:
    def __init__(self, *, database: Database, principals: Principals, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._principals = principals
        self._clock = clock
        self._ids = ids

    async def create_role(self, caller: Caller, request: Request) -> Result:
        name, boundary = request["RoleName"], request.get("PermissionsBoundary", "")
        await shapes.check_boundary(self._principals, caller.account, boundary)
        role = Entity(
            account=caller.account,
            kind="role",
            name=name,
            path=request.get("Path", "/"),
            id=self._ids.unique("AROA"),
            created_ms=self._clock.wall_ms(),
            trust=_checked_trust(request["AssumeRolePolicyDocument"], name),
            description=request.get("Description", ""),
            max_session_seconds=request.get("MaxSessionDuration", 3600),
            boundary=boundary,
        )
        tags = tags_of(request)
        await self._database.write(store.create_entity, role, tags)
        shape = shapes.role(role, tags)
        # AWS: CreateRole says nothing of the last use, and names the session's length only where it was given.
        del shape["RoleLastUsed"]
        if "MaxSessionDuration" not in request:
            del shape["MaxSessionDuration"]
        return {"Role": shape}

    async def get_role(self, caller: Caller, request: Request) -> Result:
        role = await self._role(caller, request)
        return {"Role": shapes.role(role, await self._tags(role))}

    async def list_roles(self, caller: Caller, request: Request) -> Result:
        prefix = request.get("PathPrefix", "/")
        roles = await self._database.scan(store.list_entities, caller.account, "role", prefix)
        return page(roles, request, "Roles", lambda role: shapes.role(role, None), lambda role: role.name)

    async def update_role(self, caller: Caller, request: Request) -> Result:
        await self._database.write(
            store.update_role,
            caller.account,
            request["RoleName"],
            description=request.get("Description"),
            max_session_seconds=request.get("MaxSessionDuration"),
        )
        return {}

    async def update_role_description(self, caller: Caller, request: Request) -> Result:
        await self._database.write(
            store.update_role, caller.account, request["RoleName"], description=request["Description"]
        )
        return await self.get_role(caller, request)

    async def update_assume_role_policy(self, caller: Caller, request: Request) -> Result:
        role = await self._role(caller, request)
        trust = _checked_trust(request["PolicyDocument"], role.name)
        await self._database.write(store.update_role, caller.account, role.name, trust=trust)
        return {}

    async def delete_role(self, caller: Caller, request: Request) -> Result:
        role = await self._role(caller, request)
        if role.path.startswith(SERVICE_ROLE_PATH):
            message = "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS"
            raise AwsError("UnmodifiableEntity", message.format(role.name))
        await self._database.write(store.delete_entity, caller.account, "role", role.name)
        return {}

    async def create_service_linked_role(self, caller: Caller, request: Request) -> Result:
        service = request["AWSServiceName"]
        if not service.endswith(".amazonaws.com"):
            raise AwsError("InvalidInput", f"Service role for {service} cannot be found.")
        if "CustomSuffix" in request:
            raise NotImplementedHere("CreateServiceLinkedRole with CustomSuffix")
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        label = "".join(part.capitalize() for part in service.removesuffix(".amazonaws.com").split(".")[0].split("-"))
        role = Entity(
            account=caller.account,
            kind="role",
            name=f"AWSServiceRoleFor{label}",
            path=f"{SERVICE_ROLE_PATH}{service}/",
            id=self._ids.unique("AROA"),
            created_ms=self._clock.wall_ms(),
            trust=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
            description=request.get("Description", ""),
        )
        try:
            await self._database.write(store.create_entity, role, {})
        except AwsError:
            message = f"Service role name {role.name} has been taken in this account, please try a different suffix."
            raise AwsError("InvalidInput", message) from None
        return {"Role": shapes.role(role, None)}

    async def delete_service_linked_role(self, caller: Caller, request: Request) -> Result:
        role = await self._role(caller, request)
        if not role.path.startswith(SERVICE_ROLE_PATH):
            raise AwsError("InvalidInput", f"Role {role.name} is not a service-linked role.")
        await self._database.write(store.delete_entity, caller.account, "role", role.name)
        return {"DeletionTaskId": f"task{role.path}{role.name}/{self._ids.uuid()}"}

    async def get_service_linked_role_deletion_status(self, caller: Caller, request: Request) -> Result:
        """Deletion is done when it is answered: there are no resources to be searched first."""
        task = request["DeletionTaskId"]
        if not task.startswith(f"task{SERVICE_ROLE_PATH}"):
            raise AwsError("NoSuchEntity", f"Deletion task {task} cannot be found.", status=404)
        return {"Status": "SUCCEEDED"}

    async def put_role_permissions_boundary(self, caller: Caller, request: Request) -> Result:
        boundary = request["PermissionsBoundary"]
        await shapes.check_boundary(self._principals, caller.account, boundary)
        await self._database.write(store.set_boundary, caller.account, "role", request["RoleName"], boundary)
        return {}

    async def delete_role_permissions_boundary(self, caller: Caller, request: Request) -> Result:
        await self._database.write(store.set_boundary, caller.account, "role", request["RoleName"], "")
        return {}

    async def tag_role(self, caller: Caller, request: Request) -> Result:
        role = await self._role(caller, request)
        await self._database.write(store.put_tags, caller.account, "role", role.name, tags_of(request))
        return {}

    async def untag_role(self, caller: Caller, request: Request) -> Result:
        role = await self._role(caller, request)
        await self._database.write(store.remove_tags, caller.account, "role", role.name, request["TagKeys"])
        return {}

    async def list_role_tags(self, caller: Caller, request: Request) -> Result:
        tags = tags_shape(await self._tags(await self._role(caller, request)))
        return page(tags, request, "Tags", lambda tag: tag, lambda tag: tag["Key"])

    async def _role(self, caller: Caller, request: Request) -> Entity:
        return await self._database.read(store.get_entity, caller.account, "role", request["RoleName"])

    async def _tags(self, role: Entity) -> dict[str, str]:
        return await self._database.read(store.tags, role.account, "role", role.name)


class InstanceProfiles:
    """Kept for the templates that make them: nothing here runs on an instance."""

    def __init__(self, *, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def create_instance_profile(self, caller: Caller, request: Request) -> Result:
        profile = Entity(
            account=caller.account,
            kind="instance-profile",
            name=request["InstanceProfileName"],
            path=request.get("Path", "/"),
            id=self._ids.unique("AIPA"),
            created_ms=self._clock.wall_ms(),
        )
        tags = tags_of(request)
        await self._database.write(store.create_entity, profile, tags)
        return {"InstanceProfile": shapes.instance_profile(profile, [], tags)}

    async def get_instance_profile(self, caller: Caller, request: Request) -> Result:
        return {"InstanceProfile": await self._shape(await self._profile(caller, request))}

    async def list_instance_profiles(self, caller: Caller, request: Request) -> Result:
        prefix = request.get("PathPrefix", "/")
        profiles = await self._database.scan(store.list_entities, caller.account, "instance-profile", prefix)
        return await self._page(profiles, request)

    async def list_instance_profiles_for_role(self, caller: Caller, request: Request) -> Result:
        role = await self._database.read(store.get_entity, caller.account, "role", request["RoleName"])
        names = await self._database.read(store.owners, caller.account, "instance-profile", role.name)
        profiles = await self._database.scan(store.list_entities, caller.account, "instance-profile", "/")
        return await self._page([profile for profile in profiles if profile.name in names], request)

    async def delete_instance_profile(self, caller: Caller, request: Request) -> Result:
        name = request["InstanceProfileName"]
        await self._database.write(store.delete_entity, caller.account, "instance-profile", name)
        return {}

    async def add_role_to_instance_profile(self, caller: Caller, request: Request) -> Result:
        name, role = request["InstanceProfileName"], request["RoleName"]
        await self._database.write(store.add_member, caller.account, "instance-profile", name, role)
        return {}

    async def remove_role_from_instance_profile(self, caller: Caller, request: Request) -> Result:
        name, role = request["InstanceProfileName"], request["RoleName"]
        await self._database.write(store.remove_member, caller.account, "instance-profile", name, role)
        return {}

    async def tag_instance_profile(self, caller: Caller, request: Request) -> Result:
        profile = await self._profile(caller, request)
        await self._database.write(store.put_tags, caller.account, profile.kind, profile.name, tags_of(request))
        return {}

    async def untag_instance_profile(self, caller: Caller, request: Request) -> Result:
        profile = await self._profile(caller, request)
        await self._database.write(store.remove_tags, caller.account, profile.kind, profile.name, request["TagKeys"])
        return {}

    async def list_instance_profile_tags(self, caller: Caller, request: Request) -> Result:
        profile = await self._profile(caller, request)
        tags = tags_shape(await self._database.read(store.tags, caller.account, profile.kind, profile.name))
        return page(tags, request, "Tags", lambda tag: tag, lambda tag: tag["Key"])

    async def _profile(self, caller: Caller, request: Request) -> Entity:
        name = request["InstanceProfileName"]
        return await self._database.read(store.get_entity, caller.account, "instance-profile", name)

    async def _page(self, profiles: list[Entity], request: Request) -> Result:
        listed = page(profiles, request, "InstanceProfiles", lambda profile: profile, lambda profile: profile.name)
        listed["InstanceProfiles"] = [await self._shape(profile) for profile in listed["InstanceProfiles"]]
        return listed

    async def _shape(self, profile: Entity) -> Result:
        names = await self._database.read(store.members, profile.account, "instance-profile", profile.name)
        roles = [await self._database.read(store.get_entity, profile.account, "role", name) for name in names]
        tags = await self._database.read(store.tags, profile.account, "instance-profile", profile.name)
        return shapes.instance_profile(profile, roles, tags)
