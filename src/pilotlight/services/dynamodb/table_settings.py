"""Settings of a table that have operations of their own: its time to live, and its tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.arn import Arn
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.dynamodb import store
from pilotlight.services.dynamodb.descriptions import tags_described
from pilotlight.services.dynamodb.errors import invalid, parameters_invalid, table_not_found
from pilotlight.services.dynamodb.maintenance import Maintenance
from pilotlight.services.dynamodb.names import table_name
from pilotlight.services.dynamodb.store import Scope, TableCache
from pilotlight.services.dynamodb.surroundings import Surroundings, scope_of
from pilotlight.services.dynamodb.table import TTL_OFF, TTL_STARTING, Table
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
Answer = dict[str, Any]
TAGS_MAX = 50


class TimeToLive:
    def __init__(self, around: Surroundings, maintenance: Maintenance) -> None:
        self._around = around
        self._maintenance = maintenance

    async def update_time_to_live(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        wanted = request["TimeToLiveSpecification"]
        await self._around.database.write(_set_ttl, self._around.tables, scope_of(caller), name, wanted)
        await self._maintenance.begin_backfill()
        return {"TimeToLiveSpecification": wanted}

    async def describe_time_to_live(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        table = await self._around.database.read(_found, self._around.tables, scope_of(caller), name)
        told = {"TimeToLiveStatus": table.ttl_status}
        if table.ttl_attribute:
            told["AttributeName"] = table.ttl_attribute
        return {"TimeToLiveDescription": told}


class Tags:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def tag_resource(self, caller: Caller, request: Request) -> Answer:
        new = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        for key in new:
            if key.lower().startswith("aws:"):
                raise parameters_invalid(f"TagKey: {key} is reserved and can not be used")
        await self._change(caller, request, lambda tags: {**tags, **new})
        return {}

    async def untag_resource(self, caller: Caller, request: Request) -> Answer:
        gone = set(request["TagKeys"])
        await self._change(caller, request, lambda tags: {k: v for k, v in tags.items() if k not in gone})
        return {}

    async def list_tags_of_resource(self, caller: Caller, request: Request) -> Answer:
        name = _name_of_resource(caller, request["ResourceArn"])
        table = await self._around.database.read(self._around.tables.find, scope_of(caller), name)
        if table is None:
            raise _no_resource(request["ResourceArn"])
        return {"Tags": tags_described(table.tags)}

    async def _change(self, caller: Caller, request: Request, change: Any) -> None:
        name = _name_of_resource(caller, request["ResourceArn"])
        tables, scope = self._around.tables, scope_of(caller)

        def retag(tx: Transaction) -> bool:
            table = tables.find(tx, scope, name)
            if table is None:
                return False
            tags = change(table.tags)
            if len(tags) > TAGS_MAX:
                raise parameters_invalid(f"Number of tags exceeds the limit of {TAGS_MAX}")
            store.save_table(tx, replace(table, tags=tags))
            return True

        if not await self._around.database.write(retag):
            raise _no_resource(request["ResourceArn"])


def _no_resource(arn: str) -> AwsError:
    # AWS: the word is misspelt in AWS's own message.
    return AwsError("ResourceNotFoundException", f"Requested resource not found: ResourcArn: {arn} not found")


def _name_of_resource(caller: Caller, text: str) -> str:
    try:
        arn = Arn.parse(text)
    except ValueError:
        raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {text}") from None
    kind, _, name = arn.resource.partition("/")
    if arn.service != "dynamodb" or kind != "table" or not name:
        raise invalid(f"Invalid TableArn: Invalid ResourceArn provided as input {text}")
    if (arn.account, arn.region) != (caller.account, caller.region):
        raise _no_resource(text)
    return name


def _found(tx: Transaction, tables: TableCache, scope: Scope, name: str) -> Table:
    table = tables.find(tx, scope, name)
    if table is None:
        raise table_not_found(name)
    return table


def _set_ttl(tx: Transaction, tables: TableCache, scope: Scope, name: str, wanted: Mapping[str, Any]) -> None:
    table = _found(tx, tables, scope, name)
    attribute = wanted["AttributeName"]
    on = table.ttl_status != TTL_OFF
    if not wanted["Enabled"]:
        if not on:
            raise invalid("TimeToLive is already disabled")
        store.save_table(tx, replace(table, ttl_status=TTL_OFF, ttl_attribute=""))
        return
    if on and attribute != table.ttl_attribute:
        raise invalid(
            f"TimeToLive is active on a different AttributeName: current AttributeName is {table.ttl_attribute}"
        )
    if on:
        raise invalid("TimeToLive is already enabled")
    saved = store.save_table(tx, replace(table, ttl_status=TTL_STARTING, ttl_attribute=attribute))
    store.begin_backfill(tx, "ttl", saved.id, saved)
