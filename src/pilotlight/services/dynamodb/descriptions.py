"""A table as `DescribeTable` and its kin tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.services.dynamodb.definitions import ON_DEMAND
from pilotlight.services.dynamodb.table import CREATING, GLOBAL, LOCAL, Index, Table

ON_DEMAND_READS_WARM = 12_000
ON_DEMAND_WRITES_WARM = 4_000


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def describe(table: Table, *, items: int, size: int, status: str | None = None) -> dict[str, Any]:
    """`TableDescription`. Sizes of indexes are their table's, since they hold no copies."""
    described: dict[str, Any] = {
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in table.attributes.items()
        ],
        "TableName": table.name,
        "KeySchema": table.key.described(),
        "TableStatus": status or table.status,
        "CreationDateTime": moment(table.created_ms),
        "ProvisionedThroughput": _throughput(table),
        "TableSizeBytes": size,
        "ItemCount": items,
        "TableArn": table.arn,
        "TableId": table.table_id,
        "DeletionProtectionEnabled": table.protected,
    }
    for kind, member in ((LOCAL, "LocalSecondaryIndexes"), (GLOBAL, "GlobalSecondaryIndexes")):
        found = [_index(index, table, items=items, size=size) for index in table.of_kind(kind)]
        if found:
            described[member] = found
    described.update(_settings(table))
    return described


def _throughput(table: Table) -> dict[str, Any]:
    told: dict[str, Any] = {"NumberOfDecreasesToday": 0, **table.throughput.described()}
    if table.throughput_raised_ms:
        told["LastIncreaseDateTime"] = moment(table.throughput_raised_ms)
    if table.throughput_lowered_ms:
        told["LastDecreaseDateTime"] = moment(table.throughput_lowered_ms)
    return told


def _settings(table: Table) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if table.billing_chosen:
        told["BillingModeSummary"] = {"BillingMode": table.billing}
        if table.on_demand_ms:
            told["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] = moment(table.on_demand_ms)
    if table.table_class:
        told["TableClassSummary"] = {"TableClass": table.table_class}
    if table.encryption:
        told["SSEDescription"] = dict(table.encryption)
    if table.on_demand_limits:
        told["OnDemandThroughput"] = dict(table.on_demand_limits)
    on_demand = table.billing == ON_DEMAND
    told["WarmThroughput"] = {
        "ReadUnitsPerSecond": ON_DEMAND_READS_WARM if on_demand else table.throughput.read,
        "WriteUnitsPerSecond": ON_DEMAND_WRITES_WARM if on_demand else table.throughput.write,
        "Status": "ACTIVE",
    }
    return told


def _index(index: Index, table: Table, *, items: int, size: int) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": index.projection}
    if index.included:
        projection["NonKeyAttributes"] = list(index.included)
    told: dict[str, Any] = {
        "IndexName": index.name,
        "KeySchema": index.key.described(),
        "Projection": projection,
        "IndexSizeBytes": size,
        "ItemCount": items,
        "IndexArn": f"{table.arn}/index/{index.name}",
    }
    if index.kind == GLOBAL:
        told["IndexStatus"] = index.status
        told["ProvisionedThroughput"] = {"NumberOfDecreasesToday": 0, **index.throughput.described()}
        if index.status == CREATING:
            told["Backfilling"] = True
    return told


def tags_described(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
