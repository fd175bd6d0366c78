"""Single items: put, get, update, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.dynamodb import capacity, store, values
from pilotlight.services.dynamodb.errors import Enveloped, invalid
from pilotlight.services.dynamodb.expressions.projections import project
from pilotlight.services.dynamodb.names import table_name
from pilotlight.services.dynamodb.requests import binding_of, condition_of, projection_of, update_of
from pilotlight.services.dynamodb.store import Address, Scope, Stored, TableCache
from pilotlight.services.dynamodb.surroundings import Surroundings, scope_of
from pilotlight.services.dynamodb.table import LOCAL, Table
from pilotlight.services.dynamodb.values import Item, canonical_item
from pilotlight.services.dynamodb.writes import (
    DELETE,
    PUT,
    UPDATE,
    Outcome,
    Write,
    check_item_size,
    commit_one,
    find_table,
)
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
Answer = dict[str, Any]
LEGACY_CONDITION = ("Expected", "ConditionalOperator")
UPDATE_EXPRESSIONS = ("UpdateExpression", "ConditionExpression")
ENVELOPED = Enveloped()
GIGABYTE = 1024**3


class Items:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def put_item(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        with ENVELOPED:
            binding = binding_of(request, ["ConditionExpression"], LEGACY_CONDITION, enveloped=True)
            item = canonical_item(request["Item"])
            returned = _return_values(request)
            check_item_size(item)
            condition = condition_of(request, binding, self._around.parsed)
            binding.check_all_used()
        write = Write(
            action=PUT,
            table=name,
            key=item,
            condition=condition,
            tell_old=request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
            revision=self._around.new_revision(),
            blind=condition is None and returned == "NONE" and not _asks_capacity(request),
        )
        outcome = await commit_one(self._around, scope_of(caller), write)
        return await self._answer(request, write, outcome, outcome.old if returned == "ALL_OLD" else None)

    async def delete_item(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        with ENVELOPED:
            binding = binding_of(request, ["ConditionExpression"], LEGACY_CONDITION, enveloped=True)
            key = canonical_item(request["Key"])
            returned = _return_values(request)
            condition = condition_of(request, binding, self._around.parsed)
            binding.check_all_used()
        write = Write(
            action=DELETE,
            table=name,
            key=key,
            condition=condition,
            tell_old=request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
            revision=self._around.new_revision(),
            blind=condition is None and returned == "NONE" and not _asks_capacity(request),
        )
        outcome = await commit_one(self._around, scope_of(caller), write)
        return await self._answer(request, write, outcome, outcome.old if returned == "ALL_OLD" else None)

    async def update_item(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        with ENVELOPED:
            binding = binding_of(request, UPDATE_EXPRESSIONS, ("AttributeUpdates", *LEGACY_CONDITION), enveloped=True)
            key = canonical_item(request["Key"])
            update = update_of(request, binding, self._around.parsed)
            condition = condition_of(request, binding, self._around.parsed)
            binding.check_all_used()
        write = Write(
            action=UPDATE,
            table=name,
            key=key,
            condition=condition,
            update=update,
            tell_old=request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
            revision=self._around.new_revision(),
        )
        outcome = await commit_one(self._around, scope_of(caller), write)
        return await self._answer(request, write, outcome, _returned(request.get("ReturnValues"), outcome, write))

    async def get_item(self, caller: Caller, request: Request) -> Answer:
        name = table_name(caller, request["TableName"])
        binding = binding_of(request, ["ProjectionExpression"], ["AttributesToGet"])
        key = canonical_item(request["Key"])
        paths = projection_of(request, binding, self._around.parsed)
        binding.check_all_used()
        table, stored = await self._around.database.read(read_one, self._around.tables, scope_of(caller), name, key)
        answer: Answer = {}
        if stored is not None:
            item = values.load(stored.body)
            answer["Item"] = item if paths is None else project(item, paths)
        if _asks_capacity(request):
            used = capacity.Consumption(table)
            size = stored.size if stored is not None else 0
            used.add(capacity.read_units(size, consistent=bool(request.get("ConsistentRead"))))
            answer["ConsumedCapacity"] = used.described(request["ReturnConsumedCapacity"])
        return answer

    async def _answer(self, request: Request, write: Write, outcome: Outcome, attributes: Item | None) -> Answer:
        answer: Answer = {}
        if attributes:
            answer["Attributes"] = attributes
        if _asks_capacity(request):
            used = capacity.Consumption(outcome.address.table)
            used.add(*outcome.units())
            answer["ConsumedCapacity"] = used.described(request["ReturnConsumedCapacity"])
        if request.get("ReturnItemCollectionMetrics") == "SIZE":
            metrics = await collection_metrics(self._around, outcome.address, write.key)
            if metrics is not None:
                answer["ItemCollectionMetrics"] = metrics
        return answer


async def collection_metrics(around: Surroundings, address: Address, key: Item) -> Answer | None:
    """AWS: only tables with local indexes have item collections, whose size is told as a range."""
    table = address.table
    if not any(table.of_kind(LOCAL)):
        return None
    size = await around.database.scan(store.collection_size, address)
    gigabytes = float(size // GIGABYTE)
    return {
        "ItemCollectionKey": {table.key.partition: key[table.key.partition]},
        "SizeEstimateRangeGB": [gigabytes, gigabytes + 1.0],
    }


def read_one(tx: Transaction, tables: TableCache, scope: Scope, name: str, key: Item) -> tuple[Table, Stored | None]:
    table = find_table(tx, tables, scope, name)
    return table, store.read_item(tx, Address(table, *table.address(key)))


def _asks_capacity(request: Request) -> bool:
    return capacity.wanted(request.get("ReturnConsumedCapacity"))


def _return_values(request: Request) -> str:
    asked: str = request.get("ReturnValues", "NONE")
    if asked not in ("ALL_OLD", "NONE"):
        raise invalid("ReturnValues can only be ALL_OLD or NONE")
    return asked


def _returned(asked: str | None, outcome: Outcome, write: Write) -> Item | None:
    """AWS: `UPDATED_…` is the parts that the update names, not what differs."""
    if asked in (None, "NONE"):
        return None
    item = outcome.old if asked in ("ALL_OLD", "UPDATED_OLD") else outcome.new
    if item is None or asked in ("ALL_OLD", "ALL_NEW"):
        return item
    return project(item, write.update.paths) if write.update is not None else None
