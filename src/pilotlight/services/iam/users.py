"""Users and their access keys."""

from __future__ import annotations

from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import Credentials
from pilotlight.ids import Ids
from pilotlight.services.iam import shapes, store
from pilotlight.services.iam.entities import (
    Entity,
    StoredKey,
    moment,
    no_such,
    page,
    tags_of,
    tags_shape,
)
from pilotlight.services.iam.principals import Principals
from pilotlight.storage.database import Database

Request = dict[str, Any]
Result = dict[str, Any]


def user_named(caller: Caller, request: Request) -> str:
    """The request's user, or the caller where it is one. Raises ValidationError for others."""
    if "UserName" in request:
        return str(request["UserName"])
    if caller.kind == "user" and ":user/" in caller.arn:
        return caller.arn.rsplit("/", 1)[-1]
    raise AwsError("ValidationError", "Must specify userName when calling with non-User credentials")


class Users:
    def __init__(self, *, database: Database, principals: Principals, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._principals = principals
        self._clock = clock
        self._ids = ids

    async def create_user(self, caller: Caller, request: Request) -> Result:
        boundary = request.get("PermissionsBoundary", "")
        await shapes.check_boundary(self._principals, caller.account, boundary)
        user = Entity(
            account=caller.account,
            kind="user",
            name=request["UserName"],
            path=request.get("Path", "/"),
            id=self._ids.unique("AIDA"),
            created_ms=self._clock.wall_ms(),
            boundary=boundary,
        )
        tags = tags_of(request)
        await self._database.write(store.create_entity, user, tags)
        return {"User": shapes.user(user, tags)}

    async def get_user(self, caller: Caller, request: Request) -> Result:
        if "UserName" not in request and caller.kind == "administrator":
            return {
                "User": {
                    "Path": "/",
                    "UserName": "root",
                    "UserId": caller.account,
                    "Arn": caller.arn,
                    "CreateDate": moment(0),
                }
            }
        name = user_named(caller, request)
        user = await self._database.read(store.get_entity, caller.account, "user", name)
        tags = await self._database.read(store.tags, caller.account, "user", user.name)
        return {"User": shapes.user(user, tags)}

    async def list_users(self, caller: Caller, request: Request) -> Result:
        users = await self._database.scan(store.list_entities, caller.account, "user", request.get("PathPrefix", "/"))
        return page(users, request, "Users", lambda user: shapes.user(user, None), lambda user: user.name)

    async def update_user(self, caller: Caller, request: Request) -> Result:
        user = await self._database.read(store.get_entity, caller.account, "user", request["UserName"])
        await self._database.write(
            store.rename_entity,
            caller.account,
            "user",
            user.name,
            new_name=request.get("NewUserName", user.name),
            new_path=request.get("NewPath", user.path),
        )
        return {}

    async def delete_user(self, caller: Caller, request: Request) -> Result:
        await self._database.write(store.delete_entity, caller.account, "user", request["UserName"])
        return {}

    async def put_user_permissions_boundary(self, caller: Caller, request: Request) -> Result:
        boundary = request["PermissionsBoundary"]
        await shapes.check_boundary(self._principals, caller.account, boundary)
        await self._database.write(store.set_boundary, caller.account, "user", request["UserName"], boundary)
        return {}

    async def delete_user_permissions_boundary(self, caller: Caller, request: Request) -> Result:
        await self._database.write(store.set_boundary, caller.account, "user", request["UserName"], "")
        return {}

    async def tag_user(self, caller: Caller, request: Request) -> Result:
        user = await self._database.read(store.get_entity, caller.account, "user", request["UserName"])
        await self._database.write(store.put_tags, caller.account, "user", user.name, tags_of(request))
        return {}

    async def untag_user(self, caller: Caller, request: Request) -> Result:
        user = await self._database.read(store.get_entity, caller.account, "user", request["UserName"])
        await self._database.write(store.remove_tags, caller.account, "user", user.name, request["TagKeys"])
        return {}

    async def list_user_tags(self, caller: Caller, request: Request) -> Result:
        user = await self._database.read(store.get_entity, caller.account, "user", request["UserName"])
        tags = tags_shape(await self._database.read(store.tags, caller.account, "user", user.name))
        return page(tags, request, "Tags", lambda tag: tag, lambda tag: tag["Key"])


class AccessKeys:
    """Long-term keys. Their ids carry the account, as AWS's do."""

    def __init__(self, *, database: Database, credentials: Credentials, clock: Clock) -> None:
        self._database = database
        self._credentials = credentials
        self._clock = clock

    async def create_access_key(self, caller: Caller, request: Request) -> Result:
        access_key_id, secret = self._credentials.new_access_key(caller.account)
        key = StoredKey(
            id=access_key_id,
            account=caller.account,
            user_name=user_named(caller, request),
            secret=secret,
            active=True,
            created_ms=self._clock.wall_ms(),
        )
        await self._database.write(store.create_key, key)
        return {"AccessKey": shapes.access_key(key) | {"SecretAccessKey": secret}}

    async def list_access_keys(self, caller: Caller, request: Request) -> Result:
        name = user_named(caller, request)
        user = await self._database.read(store.get_entity, caller.account, "user", name)
        keys = await self._database.read(store.keys_of, caller.account, user.name)
        return page(keys, request, "AccessKeyMetadata", shapes.access_key, lambda key: key.id)

    async def update_access_key(self, caller: Caller, request: Request) -> Result:
        await self._database.write(
            store.set_key_active,
            caller.account,
            user_named(caller, request),
            request["AccessKeyId"],
            active=request["Status"] == "Active",
        )
        return {}

    async def delete_access_key(self, caller: Caller, request: Request) -> Result:
        name, access_key_id = user_named(caller, request), request["AccessKeyId"]
        await self._database.write(store.delete_key, caller.account, name, access_key_id)
        return {}


class Groups:
    def __init__(self, *, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids

    async def create_group(self, caller: Caller, request: Request) -> Result:
        group = Entity(
            account=caller.account,
            kind="group",
            name=request["GroupName"],
            path=request.get("Path", "/"),
            id=self._ids.unique("AGPA"),
            created_ms=self._clock.wall_ms(),
        )
        await self._database.write(store.create_entity, group, {})
        return {"Group": shapes.group(group)}

    async def get_group(self, caller: Caller, request: Request) -> Result:
        group = await self._database.read(store.get_entity, caller.account, "group", request["GroupName"])
        names = set(await self._database.read(store.members, caller.account, "group", group.name))
        users = await self._database.scan(store.list_entities, caller.account, "user", "/")
        held = [user for user in users if user.name in names]
        listed = page(held, request, "Users", lambda user: shapes.user(user, None), lambda user: user.name)
        return {"Group": shapes.group(group), **listed}

    async def list_groups(self, caller: Caller, request: Request) -> Result:
        groups = await self._database.scan(store.list_entities, caller.account, "group", request.get("PathPrefix", "/"))
        return page(groups, request, "Groups", shapes.group, lambda group: group.name)

    async def update_group(self, caller: Caller, request: Request) -> Result:
        group = await self._database.read(store.get_entity, caller.account, "group", request["GroupName"])
        await self._database.write(
            store.rename_entity,
            caller.account,
            "group",
            group.name,
            new_name=request.get("NewGroupName", group.name),
            new_path=request.get("NewPath", group.path),
        )
        return {}

    async def delete_group(self, caller: Caller, request: Request) -> Result:
        await self._database.write(store.delete_entity, caller.account, "group", request["GroupName"])
        return {}

    async def add_user_to_group(self, caller: Caller, request: Request) -> Result:
        name, user = request["GroupName"], request["UserName"]
        await self._database.write(store.add_member, caller.account, "group", name, user)
        return {}

    async def remove_user_from_group(self, caller: Caller, request: Request) -> Result:
        name, user = request["GroupName"], request["UserName"]
        await self._database.write(store.remove_member, caller.account, "group", name, user)
        return {}

    async def list_groups_for_user(self, caller: Caller, request: Request) -> Result:
        user = await self._database.read(store.find_entity, caller.account, "user", request["UserName"])
        if user is None:
            raise no_such("user", request["UserName"])
        names = set(await self._database.read(store.owners, caller.account, "group", user.name))
        groups = await self._database.scan(store.list_entities, caller.account, "group", "/")
        held = [group for group in groups if group.name in names]
        return page(held, request, "Groups", shapes.group, lambda group: group.name)
