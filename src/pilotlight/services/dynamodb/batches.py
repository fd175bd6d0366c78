"""Batches: many independent puts, deletes or gets in one request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.dynamodb import capacity, store, values
from pilotlight.services.dynamodb.errors import invalid, key_mismatch
from pilotlight.services.dynamodb.expressions.binding import Path
from pilotlight.services.dynamodb.expressions.projections import project
from pilotlight.services.dynamodb.items import collection_metrics
from pilotlight.services.dynamodb.names import table_name
from pilotlight.services.dynamodb.requests import binding_of, projection_of
from pilotlight.services.dynamodb.store import Address, Scope, TableCache
from pilotlight.services.dynamodb.surroundings import Surroundings, scope_of
from pilotlight.services.dynamodb.table import Table
from pilotlight.services.dynamodb.values import Item, canonical_item
from pilotlight.services.dynamodb.writes import (
    DELETE,
    PUT,
    Outcome,
    Plan,
    Write,
    change,
    check_item_size,
    find_table,
)
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
Answer = dict[str, Any]
WRITES_MAX = 25
READS_MAX = 100
RESPONSE_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Get:
    """What is asked of one table."""

    name: str
    given: str
    """The name as the request spells it, which the answer repeats."""
    keys: Sequence[Item]
    paths: list[Path] | None
    consistent: bool


class Batches:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def batch_write_item(self, caller: Caller, request: Request) -> Answer:
        """AWS: the parts of a batch are independent; here they are also all kept, or none."""
        writes = list(self._writes(caller, request["RequestItems"]))
        if len(writes) > WRITES_MAX:
            raise invalid("Too many items requested for the BatchWriteItem call")
        if not writes:
            raise invalid("The requestItems parameter is required for BatchWriteItem")
        plan = await self._around.database.write(_perform, self._around.tables, scope_of(caller), writes)
        answer: Answer = {"UnprocessedItems": {}}
        asked = request.get("ReturnConsumedCapacity")
        if capacity.wanted(asked):
            answer["ConsumedCapacity"] = [used.described(asked) for used in _consumption(plan.outcomes)]
        if request.get("ReturnItemCollectionMetrics") == "SIZE":
            answer["ItemCollectionMetrics"] = await self._metrics(plan.outcomes, writes)
        return answer

    def _writes(self, caller: Caller, items: Mapping[str, Sequence[Request]]) -> Iterator[Write]:
        for given, requests in items.items():
            name = table_name(caller, given)
            for one in requests:
                put, delete = one.get("PutRequest"), one.get("DeleteRequest")
                if (put is None) == (delete is None):
                    raise invalid(
                        "Supplied AttributeValue has more than one datatypes set, "
                        "must contain exactly one of the supported datatypes"
                        if put is not None
                        else "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
                    )
                if put is not None:
                    item = canonical_item(put["Item"])
                    check_item_size(item)
                    yield Write(action=PUT, table=name, key=item, revision=self._around.new_revision())
                elif delete is not None:
                    key = canonical_item(delete["Key"])
                    yield Write(action=DELETE, table=name, key=key, revision=self._around.new_revision())

    async def _metrics(self, outcomes: Sequence[Outcome], writes: Sequence[Write]) -> Answer:
        found: dict[str, list[Answer]] = {}
        for outcome, write in zip(outcomes, writes, strict=True):
            metrics = await collection_metrics(self._around, outcome.address, write.key)
            if metrics is not None:
                collected = found.setdefault(outcome.address.table.name, [])
                if metrics not in collected:
                    collected.append(metrics)
        return found

    async def batch_get_item(self, caller: Caller, request: Request) -> Answer:
        gets = [self._get(caller, given, asked) for given, asked in request["RequestItems"].items()]
        if sum(len(get.keys) for get in gets) > READS_MAX:
            raise invalid("Too many items requested for the BatchGetItem call")
        if not gets:
            raise invalid("The requestItems parameter is required for BatchGetItem")
        _check_one_kind(request["RequestItems"].values())
        found = await self._around.database.scan(_read_all, self._around.tables, scope_of(caller), gets)
        return _get_answer(request, found)

    def _get(self, caller: Caller, given: str, asked: Request) -> _Get:
        binding = binding_of(asked, ["ProjectionExpression"], ["AttributesToGet"])
        keys = [canonical_item(key) for key in asked["Keys"]]
        paths = projection_of(asked, binding, self._around.parsed)
        binding.check_all_used()
        return _Get(table_name(caller, given), given, keys, paths, bool(asked.get("ConsistentRead")))


def _check_one_kind(asked: Any) -> None:
    """AWS: one request cannot ask one table in the old way and another in the new."""
    older = any(one.get("AttributesToGet") is not None for one in asked)
    if older and any(one.get("ProjectionExpression") is not None for one in asked):
        raise invalid(
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}"
        )


def _perform(tx: Transaction, tables: TableCache, scope: Scope, writes: Sequence[Write]) -> Plan:
    outcomes, changes = [], []
    seen: set[tuple[int, bytes, bytes]] = set()
    for write in writes:
        table = find_table(tx, tables, scope, write.table)
        address = _locate(write, table)
        identity = (table.id, address.pk, address.sk)
        if identity in seen:
            raise invalid("Provided list of item keys contains duplicates")
        seen.add(identity)
        stored = store.read_item(tx, address)
        old = values.load(stored.body) if stored is not None else None
        new = write.outcome(address, old)
        outcomes.append(Outcome(address, old, new))
        changes.append(change(write, address, stored, old, new))
    store.apply(tx, changes)
    return Plan(outcomes, changes)


def _locate(write: Write, table: Table) -> Address:
    """AWS: in a batch, an item whose key is missing or mistyped is a mismatch like any other."""
    if write.action == PUT:
        for name in table.key.names():
            value = write.key.get(name)
            if value is None or next(iter(value)) != table.attributes[name]:
                raise key_mismatch()
    return write.locate(table)


def _consumption(outcomes: Sequence[Outcome]) -> list[capacity.Consumption]:
    used: dict[int, capacity.Consumption] = {}
    for outcome in outcomes:
        table = outcome.address.table
        used.setdefault(table.id, capacity.Consumption(table)).add(*outcome.units())
    return list(used.values())


@dataclass(slots=True)
class _Found:
    get: _Get
    table: Table
    items: list[Item]
    units: float
    left: list[Item]
    """Keys that did not fit into the answer any more."""


def _read_all(tx: Transaction, tables: TableCache, scope: Scope, gets: Sequence[_Get]) -> list[_Found]:
    answered, total = [], 0
    for get in gets:
        table = find_table(tx, tables, scope, get.name)
        addresses = [Address(table, *table.address(key)) for key in get.keys]
        if len({(address.pk, address.sk) for address in addresses}) != len(addresses):
            raise invalid("Provided list of item keys contains duplicates")
        found = _Found(get, table, [], 0.0, [])
        for key, address in zip(get.keys, addresses, strict=True):
            if total > RESPONSE_BYTES_MAX:
                found.left.append(key)
                continue
            stored = store.read_item(tx, address)
            size = stored.size if stored is not None else 0
            if total + size > RESPONSE_BYTES_MAX:
                found.left.append(key)
                total = RESPONSE_BYTES_MAX + 1
                continue
            total += size
            found.units += capacity.read_units(size, consistent=get.consistent)
            if stored is not None:
                item = values.load(stored.body)
                found.items.append(item if get.paths is None else project(item, get.paths))
        answered.append(found)
    return answered


def _get_answer(request: Request, found: Sequence[_Found]) -> Answer:
    answer: Answer = {
        "Responses": {one.get.given: one.items for one in found},
        "UnprocessedKeys": {
            one.get.given: {**request["RequestItems"][one.get.given], "Keys": one.left} for one in found if one.left
        },
    }
    asked = request.get("ReturnConsumedCapacity")
    if capacity.wanted(asked):
        answer["ConsumedCapacity"] = [capacity.Consumption(one.table, one.units).described(asked) for one in found]
    return answer
