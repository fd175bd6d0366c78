"""Rows in the order of their keys, for queries and scans: of a table, or of an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.services.dynamodb.table import Index, Table
from pilotlight.storage import Transaction

Position = tuple[bytes, bytes, bytes, bytes]
"""Partition and sort key in the index (for a table: its own), then the item's primary key (for a table: empty)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Which rows. `low` and `high` bound what sorts: the sort key of a query, the partition of a scan."""

    table: Table
    index: Index | None = None
    partition: bytes | None = None
    """Of a query; None for a scan."""
    low: bytes | None = None
    low_open: bool = False
    high: bytes | None = None
    high_open: bool = False
    forward: bool = True

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that rows are sorted by."""
        columns = ("sk",) if self.partition is not None else ("pk", "sk")
        return columns if self.index is None else (*columns, "item_pk", "item_sk")


@dataclass(frozen=True, slots=True)
class Row:
    position: Position
    size: int
    body: bytes


@dataclass(slots=True)
class _Where:
    """A condition that grows, with its parameters."""

    terms: list[str] = field(default_factory=list)
    parameters: dict[str, object] = field(default_factory=dict)

    def add(self, term: str, **parameters: object) -> None:
        self.terms.append(term)
        self.parameters.update(parameters)


def read_range(tx: Transaction, wanted: Range, after: Position | None, limit: int) -> list[Row]:
    """Up to `limit` rows behind a position."""
    where = _where(wanted, after)
    direction = "" if wanted.forward else " desc"
    order = ", ".join(f"r.{column}{direction}" for column in wanted.order)
    if wanted.index is None:
        source = "r.pk, r.sk, r.size, r.body from dynamodb_item r"
    else:
        source = """r.pk, r.sk, r.item_pk, r.item_sk, i.size, i.body from dynamodb_entry r
                    join dynamodb_item i on i.table_id = :table and i.pk = r.item_pk and i.sk = r.item_sk"""
        where.parameters["table"] = wanted.table.id
    rows = tx.all(
        f"select {source} where {' and '.join(where.terms)} order by {order} limit :limit",
        **where.parameters,
        limit=limit,
    )
    return [_row(row) for row in rows]


def _where(wanted: Range, after: Position | None) -> _Where:
    where = _Where()
    if wanted.index is None:
        where.add("r.table_id = :owner", owner=wanted.table.id)
    else:
        where.add("r.index_id = :owner", owner=wanted.index.id)
    if wanted.partition is not None:
        where.add("r.pk = :partition", partition=wanted.partition)
    bounded = wanted.order[0]
    if wanted.low is not None:
        where.add(f"r.{bounded} {'>' if wanted.low_open else '>='} :low", low=wanted.low)
    if wanted.high is not None:
        where.add(f"r.{bounded} {'<' if wanted.high_open else '<='} :high", high=wanted.high)
    if after is not None:
        values = dict(zip(("pk", "sk", "item_pk", "item_sk"), after, strict=True))
        columns = ", ".join(f"r.{column}" for column in wanted.order)
        placeholders = ", ".join(f":after_{column}" for column in wanted.order)
        where.add(
            f"({columns}) {'>' if wanted.forward else '<'} ({placeholders})",
            **{f"after_{column}": values[column] for column in wanted.order},
        )
    return where


def _row(row: Mapping[str, Any]) -> Row:
    position = (bytes(row["pk"]), bytes(row["sk"]), bytes(row.get("item_pk", b"")), bytes(row.get("item_sk", b"")))
    return Row(position, row["size"], bytes(row["body"]))
