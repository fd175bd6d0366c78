"""Capacity units, as DynamoDB counts them: 4 KB a read, 1 KB a write, and an index's share of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.services.dynamodb.table import LOCAL, Index, Table
from pilotlight.services.dynamodb.values import Item, item_size

READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024


def read_units(size: int, *, consistent: bool, transactional: bool = False) -> float:
    """At least one block is paid for, also where nothing is found."""
    blocks = max(1, -(-size // READ_UNIT_BYTES))
    return blocks * (2.0 if transactional else 1.0 if consistent else 0.5)


def write_units(size: int, *, transactional: bool = False) -> float:
    return max(1, -(-size // WRITE_UNIT_BYTES)) * (2.0 if transactional else 1.0)


def index_units(table: Table, old: Item | None, new: Item | None, *, transactional: bool = False) -> dict[str, float]:
    """What a write costs each index that it changes.

    AWS: an index that holds the same as before costs nothing; one whose key changes pays for a delete and a put.
    """
    costs = {}
    for index in table.indexes:
        before, after = _held(index, table, old), _held(index, table, new)
        if before == after:
            continue
        sizes = [item_size(held) for held in (before, after) if held is not None]
        if before is not None and after is not None and all(before[n] == after[n] for n in index.key.names()):
            sizes = [max(sizes)]
        costs[index.name] = sum(write_units(size, transactional=transactional) for size in sizes)
    return costs


def _held(index: Index, table: Table, item: Item | None) -> Item | None:
    if item is None or index.entry(item, table) is None:
        return None
    return index.projected(item, table)


@dataclass(slots=True)
class Consumption:
    """One table's share of an answer's `ConsumedCapacity`."""

    table: Table
    units: float = 0.0
    indexes: dict[str, float] = field(default_factory=dict)

    def add(self, units: float, indexes: Mapping[str, float] | None = None) -> None:
        self.units += units
        for name, more in (indexes or {}).items():
            self.indexes[name] = self.indexes.get(name, 0.0) + more

    def described(self, asked: str | None, *, transaction: str = "") -> dict[str, Any]:
        """`asked` is `ReturnConsumedCapacity`; `transaction` is `Read` or `Write` where units are told apart."""
        total = self.units + sum(self.indexes.values())
        answer: dict[str, Any] = {"TableName": self.table.name, "CapacityUnits": total}
        if transaction:
            answer[f"{transaction}CapacityUnits"] = total
        if asked == "INDEXES":
            answer["Table"] = _units(self.units, transaction)
            for name, units in self.indexes.items():
                index = self.table.index(name)
                local = index is not None and index.kind == LOCAL
                member = "LocalSecondaryIndexes" if local else "GlobalSecondaryIndexes"
                answer.setdefault(member, {})[name] = _units(units, transaction)
        return answer


def _units(units: float, transaction: str) -> dict[str, float]:
    return {"CapacityUnits": units, **({f"{transaction}CapacityUnits": units} if transaction else {})}


def wanted(asked: str | None) -> bool:
    return asked in ("TOTAL", "INDEXES")
