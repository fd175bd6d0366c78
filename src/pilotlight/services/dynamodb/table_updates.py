"""UpdateTable: from a definition to the next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb import definitions
from pilotlight.services.dynamodb.definitions import ON_DEMAND, PROVISIONED
from pilotlight.services.dynamodb.errors import invalid, parameters_invalid, resource_not_found
from pilotlight.services.dynamodb.table import CREATING, GLOBAL, Index, Table, Throughput, with_index

Request = Mapping[str, Any]
CHANGES = (
    "ProvisionedThroughput",
    "BillingMode",
    "GlobalSecondaryIndexUpdates",
    "SSESpecification",
    "StreamSpecification",
    "TableClass",
    "OnDemandThroughput",
)


def updated(table: Table, request: Request, *, now_ms: int, new_id: int) -> tuple[Table, list[Index], list[Index]]:
    """The next definition, the indexes that are new in it, and those that are gone. Raises AwsError.

    At most one index is made at a time, and gets `new_id`.
    """
    if not any(request.get(name) for name in CHANGES) and request.get("DeletionProtectionEnabled") is None:
        raise invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates "
            "or SSESpecification or ReplicaUpdates is required"
        )
    table = _billing(table, request, now_ms)
    if request.get("DeletionProtectionEnabled") is not None:
        table = replace(table, protected=request["DeletionProtectionEnabled"])
    if request.get("TableClass"):
        table = replace(table, table_class=request["TableClass"])
    if request.get("OnDemandThroughput"):
        table = replace(table, on_demand_limits=request["OnDemandThroughput"])
    return _indexes(table, request, new_id)


def _billing(table: Table, request: Request, now_ms: int) -> Table:
    mode = request.get("BillingMode") or table.billing
    given = request.get("ProvisionedThroughput")
    if mode == ON_DEMAND:
        if given:
            definitions.throughput(request, mode)
        if table.billing == ON_DEMAND:
            return table
        indexes = tuple(replace(index, throughput=Throughput()) for index in table.indexes)
        return replace(
            table,
            billing=ON_DEMAND,
            billing_chosen=True,
            on_demand_ms=now_ms,
            throughput=Throughput(),
            indexes=indexes,
        )
    if table.billing == ON_DEMAND:
        if not given:
            raise parameters_invalid("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
        return replace(table, billing=PROVISIONED, throughput=definitions.given_throughput(given))
    return _throughput(table, definitions.given_throughput(given), now_ms) if given else table


def _throughput(table: Table, wanted: Throughput, now_ms: int) -> Table:
    old = table.throughput
    if wanted == old:
        raise invalid(
            "The provisioned throughput for the table will not change. The requested value equals the current value. "
            f"Current ReadCapacityUnits provisioned for the table: {old.read}. "
            f"Requested ReadCapacityUnits: {wanted.read}. "
            f"Current WriteCapacityUnits provisioned for the table: {old.write}. "
            f"Requested WriteCapacityUnits: {wanted.write}. "
            "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
        )
    changed = replace(table, throughput=wanted)
    if wanted.read > old.read or wanted.write > old.write:
        changed = replace(changed, throughput_raised_ms=now_ms)
    if wanted.read < old.read or wanted.write < old.write:
        changed = replace(changed, throughput_lowered_ms=now_ms)
    return changed


def _indexes(table: Table, request: Request, new_id: int) -> tuple[Table, list[Index], list[Index]]:
    updates = request.get("GlobalSecondaryIndexUpdates") or []
    _check_updates(updates)
    created: list[Index] = []
    deleted: list[Index] = []
    for update in updates:
        if update.get("Create"):
            table = _with_attributes(table, request)
            index = replace(_created(table, update["Create"]), id=new_id)
            created.append(index)
            table = with_index(table, index)
        elif update.get("Delete"):
            index = _existing(table, update["Delete"]["IndexName"])
            deleted.append(index)
            table = replace(table, indexes=tuple(other for other in table.indexes if other.name != index.name))
        else:
            index = _existing(table, update["Update"]["IndexName"])
            units = update["Update"].get("ProvisionedThroughput")
            if units:
                table = with_index(table, replace(index, throughput=definitions.given_throughput(units)))
    return _without_unused_attributes(table) if created or deleted else table, created, deleted


def _check_updates(updates: list[Request]) -> None:
    seen: set[str] = set()
    for update in updates:
        chosen = [update[name] for name in ("Update", "Create", "Delete") if update.get(name)]
        if not chosen:
            raise parameters_invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        name = chosen[0]["IndexName"]
        if name in seen:
            raise parameters_invalid(
                f"Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
        seen.add(name)
    if sum(1 for update in updates if update.get("Create") or update.get("Delete")) > 1:
        raise AwsError(
            "LimitExceededException",
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
        )


def _with_attributes(table: Table, request: Request) -> Table:
    """AWS: what is defined already keeps its type, and what no key uses is dropped without a word."""
    given = definitions.attribute_types(request.get("AttributeDefinitions") or [])
    return replace(table, attributes={**given, **table.attributes})


def _created(table: Table, given: Request) -> Index:
    if table.index(given["IndexName"]) is not None:
        raise invalid("Attempting to create an index which already exists")
    index = definitions.global_index(given, table.attributes, table.billing, status=CREATING)
    if sum(1 for _ in table.of_kind(GLOBAL)) >= definitions.GLOBAL_INDEXES_MAX:
        raise AwsError(
            "LimitExceededException",
            f"Subscriber limit exceeded: Number of GlobalSecondaryIndexes exceeds per-table limit of "
            f"{definitions.GLOBAL_INDEXES_MAX}",
        )
    return index


def _existing(table: Table, name: str) -> Index:
    index = table.index(name)
    if index is None or index.kind != GLOBAL:
        raise resource_not_found()
    return index


def _without_unused_attributes(table: Table) -> Table:
    used = {name for schema in (table.key, *(index.key for index in table.indexes)) for name in schema.names()}
    return replace(table, attributes={name: kind for name, kind in table.attributes.items() if name in used})
