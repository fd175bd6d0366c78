"""Transactions: up to a hundred reads, or writes and checks, that all happen or do not.

Writes are evaluated on one snapshot and committed if every item they looked at is still the same; else they are done
again inside the writer. A client's token is a row of the same commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.dynamodb import capacity, store, values
from pilotlight.services.dynamodb.errors import invalid
from pilotlight.services.dynamodb.expressions.binding import Path
from pilotlight.services.dynamodb.expressions.projections import project
from pilotlight.services.dynamodb.items import collection_metrics
from pilotlight.services.dynamodb.names import table_name
from pilotlight.services.dynamodb.requests import binding_of, condition_of, projection_of, update_of
from pilotlight.services.dynamodb.store import Address, Scope, TableCache
from pilotlight.services.dynamodb.surroundings import Surroundings, scope_of
from pilotlight.services.dynamodb.table import Table
from pilotlight.services.dynamodb.values import Item, canonical_item
from pilotlight.services.dynamodb.writes import (
    CHECK,
    DELETE,
    PUT,
    UPDATE,
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
ACTIONS = (CHECK, PUT, UPDATE, DELETE)
TOKEN_MS = 600_000
TRANSACTION_BYTES_MAX = 4 * 1024 * 1024
EMPTY_VALUE = "One or more parameter values are not valid."


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    digest: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class _Get:
    table: str
    key: Item
    paths: list[Path] | None


class Transactions:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def transact_write_items(self, caller: Caller, request: Request) -> Answer:
        writes = [self._write(caller, item) for item in request["TransactItems"]]
        if sum(values.item_size(write.key) for write in writes if write.action == PUT) > TRANSACTION_BYTES_MAX:
            raise invalid("The aggregate size of the items in the transaction exceeded the limit of 4 MB")
        plan = await self._commit(scope_of(caller), writes, self._token(request))
        answer: Answer = {}
        asked = request.get("ReturnConsumedCapacity")
        if plan is None:
            if capacity.wanted(asked):
                # AWS: what was done before is paid for as reading it again (measured by others in 2026).
                found = await self._around.database.scan(_reread, self._around.tables, scope_of(caller), writes)
                answer["ConsumedCapacity"] = _read_capacity(found, str(asked))
            return answer
        if capacity.wanted(asked):
            answer["ConsumedCapacity"] = _write_capacity(plan.outcomes, str(asked))
        if request.get("ReturnItemCollectionMetrics") == "SIZE":
            answer["ItemCollectionMetrics"] = await self._metrics(plan.outcomes, writes)
        return answer

    def _write(self, caller: Caller, item: Request) -> Write:
        chosen = [action for action in ACTIONS if item.get(action) is not None]
        if len(chosen) != 1:
            raise invalid("TransactItems can only contain one of Check, Put, Update or Delete")
        action, part = chosen[0], item[chosen[0]]
        expressions = ["UpdateExpression", "ConditionExpression"] if action == UPDATE else ["ConditionExpression"]
        name = table_name(caller, part["TableName"])
        binding = binding_of(part, expressions)
        key = canonical_item(part["Item"] if action == PUT else part["Key"])
        if action == PUT:
            check_item_size(key)
        update = update_of(part, binding, self._around.parsed) if action == UPDATE else None
        condition = condition_of(part, binding, self._around.parsed)
        binding.check_all_used()
        return Write(
            action=action,
            table=name,
            key=key,
            condition=condition,
            update=update,
            tell_old=part.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD",
            revision=self._around.new_revision(),
        )

    def _token(self, request: Request) -> _Token | None:
        text = request.get("ClientRequestToken")
        if not text:
            return None
        canonical = orjson.dumps(request["TransactItems"], default=_hex, option=orjson.OPT_SORT_KEYS)
        return _Token(text, hashlib.sha256(canonical).hexdigest(), self._around.clock.now_ms())

    async def _commit(self, scope: Scope, writes: Sequence[Write], token: _Token | None) -> Plan | None:
        """None where the token says that it was done before."""
        database, tables = self._around.database, self._around.tables
        plan = await database.read(_plan, tables, scope, writes, token)
        if plan is None:
            return None
        try:
            await database.write(_apply, scope, plan, token)
        except store.Conflict:
            plan = await database.write(_perform, tables, scope, writes, token)
        return plan

    async def _metrics(self, outcomes: Sequence[Outcome], writes: Sequence[Write]) -> Answer:
        found: dict[str, list[Answer]] = {}
        for outcome, write in zip(outcomes, writes, strict=True):
            metrics = await collection_metrics(self._around, outcome.address, write.key)
            if metrics is not None and write.action != CHECK:
                found.setdefault(outcome.address.table.name, []).append(metrics)
        return found

    async def transact_get_items(self, caller: Caller, request: Request) -> Answer:
        gets = [self._get(caller, item["Get"]) for item in request["TransactItems"]]
        found = await self._around.database.scan(_read_all, self._around.tables, scope_of(caller), gets)
        answer: Answer = {"Responses": [{} if item is None else {"Item": item} for _, item, _ in found]}
        asked = request.get("ReturnConsumedCapacity")
        if capacity.wanted(asked):
            answer["ConsumedCapacity"] = _read_capacity([(table, size) for table, _, size in found], str(asked))
        return answer

    def _get(self, caller: Caller, part: Request) -> _Get:
        name = table_name(caller, part["TableName"])
        binding = binding_of(part, ["ProjectionExpression"])
        key = canonical_item(part["Key"])
        paths = projection_of(part, binding, self._around.parsed)
        binding.check_all_used()
        return _Get(name, key, paths)


def _hex(content: Any) -> str:
    return bytes(content).hex()


def _write_capacity(outcomes: Sequence[Outcome], asked: str) -> list[Answer]:
    used: dict[int, capacity.Consumption] = {}
    for outcome in outcomes:
        table = outcome.address.table
        used.setdefault(table.id, capacity.Consumption(table)).add(*outcome.units(transactional=True))
    return [one.described(asked, transaction="Write") for one in used.values()]


def _read_capacity(found: Sequence[tuple[Table, int]], asked: str) -> list[Answer]:
    """For tables and sizes of what was read in them."""
    used: dict[int, capacity.Consumption] = {}
    for table, size in found:
        units = capacity.read_units(size, consistent=True, transactional=True)
        used.setdefault(table.id, capacity.Consumption(table)).add(units)
    return [one.described(asked, transaction="Read") for one in used.values()]


def cancelled(reasons: Sequence[Mapping[str, Any]]) -> AwsError:
    codes = ", ".join(str(reason["Code"]) for reason in reasons)
    return AwsError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        members={"CancellationReasons": list(reasons)},
    )


def _reason(error: AwsError) -> dict[str, Any]:
    """A part's refusal as a reason. What the request alone shows to be wrong refuses the whole, and is raised."""
    if error.code == "ConditionalCheckFailedException":
        return {"Code": "ConditionalCheckFailed", "Message": error.message, **error.members}
    # AWS: an empty key value is told at once; a mistyped one only cancels the transaction.
    if error.code != "ValidationException" or error.message.startswith(EMPTY_VALUE):
        raise error
    return {"Code": "ValidationError", "Message": error.message}


def _plan(
    tx: Transaction, tables: TableCache, scope: Scope, writes: Sequence[Write], token: _Token | None
) -> Plan | None:
    if token is not None and _was_done(tx, scope, token):
        return None
    located = [find_table(tx, tables, scope, write.table) for write in writes]
    reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in writes]
    addresses: list[Address | None] = []
    for number, (write, table) in enumerate(zip(writes, located, strict=True)):
        try:
            addresses.append(write.locate(table))
        except AwsError as error:
            addresses.append(None)
            reasons[number] = _reason(error)
    _check_distinct(addresses)
    outcomes, changes = [], []
    for number, (write, address) in enumerate(zip(writes, addresses, strict=True)):
        if address is None:
            continue
        stored = store.read_item(tx, address)
        old = values.load(stored.body) if stored is not None else None
        try:
            new = write.outcome(address, old)
        except AwsError as error:
            reasons[number] = _reason(error)
            continue
        outcomes.append(Outcome(address, old, new))
        changes.append(change(write, address, stored, old, new))
    if len(outcomes) < len(writes):
        raise cancelled(reasons)
    return Plan(outcomes, changes)


def _reread(tx: Transaction, tables: TableCache, scope: Scope, writes: Sequence[Write]) -> list[tuple[Table, int]]:
    """The table and the present size of each item that a transaction wrote or checked."""
    found = []
    for write in writes:
        table = find_table(tx, tables, scope, write.table)
        stored = store.read_item(tx, write.locate(table))
        found.append((table, stored.size if stored is not None else 0))
    return found


def _was_done(tx: Transaction, scope: Scope, token: _Token) -> bool:
    digest = store.find_token(tx, scope, token.text, now_ms=token.now_ms)
    if digest is not None and digest != token.digest:
        raise AwsError(
            "IdempotentParameterMismatchException",
            "The provided client token is already in use by a request with other parameters",
        )
    return digest is not None


def _check_distinct(addresses: Sequence[Address | None]) -> None:
    seen = [(address.table.id, address.pk, address.sk) for address in addresses if address is not None]
    if len(set(seen)) != len(seen):
        raise invalid("Transaction request cannot include multiple operations on one item")


def _apply(tx: Transaction, scope: Scope, plan: Plan, token: _Token | None) -> None:
    if token is not None:
        if store.find_token(tx, scope, token.text, now_ms=token.now_ms) is not None:
            raise store.Conflict
        store.save_token(tx, scope, token.text, token.digest, expires_ms=token.now_ms + TOKEN_MS)
    store.apply(tx, plan.changes)


def _perform(
    tx: Transaction, tables: TableCache, scope: Scope, writes: Sequence[Write], token: _Token | None
) -> Plan | None:
    plan = _plan(tx, tables, scope, writes, token)
    if plan is not None:
        _apply(tx, scope, plan, token)
    return plan


def _read_all(
    tx: Transaction, tables: TableCache, scope: Scope, gets: Sequence[_Get]
) -> list[tuple[Table, Item | None, int]]:
    """Each item as it was at one moment, with its size."""
    located = [find_table(tx, tables, scope, get.table) for get in gets]
    reasons: list[dict[str, Any]] = [{"Code": "None"} for _ in gets]
    addresses: list[Address | None] = []
    for number, (get, table) in enumerate(zip(gets, located, strict=True)):
        try:
            addresses.append(Address(table, *table.address(get.key)))
        except AwsError as error:
            addresses.append(None)
            reasons[number] = _reason(error)
    _check_distinct(addresses)
    if None in addresses:
        raise cancelled(reasons)
    found: list[tuple[Table, Item | None, int]] = []
    for get, table, address in zip(gets, located, addresses, strict=True):
        assert address is not None
        stored = store.read_item(tx, address)
        if stored is None:
            found.append((table, None, 0))
            continue
        item = values.load(stored.body)
        found.append((table, item if get.paths is None else project(item, get.paths), stored.size))
    return found
