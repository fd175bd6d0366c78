"""Writing items: what a put, an update, a delete or a check wants, and how it is committed.

Expressions are evaluated on what was read outside of the writer, and the result is committed if the item's revision
is still the same. Where it is not, the whole is done again inside the writer, where nobody can come between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.services.dynamodb import capacity, store, values
from pilotlight.services.dynamodb.errors import condition_failed, invalid, parameters_invalid, resource_not_found
from pilotlight.services.dynamodb.expressions.conditions import Predicate
from pilotlight.services.dynamodb.expressions.updates import BoundUpdate
from pilotlight.services.dynamodb.store import ABSENT, Address, Change, Entry, Scope, Stored, TableCache
from pilotlight.services.dynamodb.surroundings import Surroundings
from pilotlight.services.dynamodb.table import Table
from pilotlight.services.dynamodb.values import ITEM_BYTES_MAX, Item
from pilotlight.storage import Transaction

PUT, UPDATE, DELETE, CHECK = "Put", "Update", "Delete", "ConditionCheck"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One item's part of a request, bound and checked as far as it can be without its table."""

    action: str
    table: str
    key: Item
    """The primary key; for a put, the whole item."""
    condition: Predicate | None = None
    update: BoundUpdate | None = None
    tell_old: bool = False
    """`ReturnValuesOnConditionCheckFailure`."""
    revision: int
    blind: bool = False
    """Nothing of the old item is asked for: neither its attributes nor its size."""

    def locate(self, table: Table) -> Address:
        if self.action == PUT:
            pk, sk = table.address_of_item(self.key)
            table.check_index_keys(self.key)
            return Address(table, pk, sk)
        if self.update is not None:
            _check_update(table, self.update)
        return Address(table, *table.address(self.key))

    def outcome(self, address: Address, old: Item | None) -> Item | None:
        """The next item, or None for none. Raises AwsError."""
        if self.condition is not None and not self.condition(old or {}):
            raise condition_failed(old if self.tell_old else None)
        if self.action == PUT:
            return self.key
        if self.update is None:
            return None if self.action == DELETE else old
        if (
            old is None
            and self.update.steps
            and all(step.section in ("REMOVE", "DELETE") for step in self.update.steps)
        ):
            # AWS: taking something from an item that is not there does not make one.
            return None
        new = self.update.apply(old if old is not None else dict(self.key))
        _check_updated(address.table, new)
        return new


def _check_update(table: Table, update: BoundUpdate) -> None:
    names = table.key.names()
    for step in update.steps:
        if step.path[0] in names:
            raise parameters_invalid(f"Cannot update attribute {step.path[0]}. This attribute is part of the key")
    for name, _ in table.index_keys:
        for step in update.steps:
            if step.path == (name,) and step.section == "SET" and step.literal in ({"S": ""}, {"B": b""}):
                kind = "string" if "S" in (step.literal or {}) else "binary"
                raise invalid(
                    "One or more parameter values are not valid. The update expression attempted to update a "
                    "secondary index key to a value that is not supported. The AttributeValue for a key attribute "
                    f"cannot contain an empty {kind} value."
                )


def _check_updated(table: Table, item: Item) -> None:
    table.check_index_keys(item)
    if values.item_size(item) > ITEM_BYTES_MAX:
        raise invalid("Item size to update has exceeded the maximum allowed size")


def check_item_size(item: Item) -> None:
    if values.item_size(item) > ITEM_BYTES_MAX:
        raise invalid("Item size has exceeded the maximum allowed size")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item. `old` is unknown for a blind write."""

    address: Address
    old: Item | None
    new: Item | None

    def units(self, *, transactional: bool = False) -> tuple[float, dict[str, float]]:
        sizes = [values.item_size(item) for item in (self.old, self.new) if item is not None]
        return (
            capacity.write_units(max(sizes, default=0), transactional=transactional),
            capacity.index_units(self.address.table, self.old, self.new, transactional=transactional),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    outcomes: Sequence[Outcome]
    changes: Sequence[Change]


def find_table(tx: Transaction, tables: TableCache, scope: Scope, name: str) -> Table:
    table = tables.find(tx, scope, name)
    if table is None:
        raise resource_not_found()
    return table


def plan_one(tx: Transaction, tables: TableCache, scope: Scope, write: Write) -> Plan:
    """Read, evaluate, and say what to change; nothing is changed yet."""
    address = write.locate(find_table(tx, tables, scope, write.table))
    if write.blind and not address.table.indexes:
        new = write.outcome(address, None)
        return Plan([Outcome(address, None, new)], [change(write, address, None, None, new, known=False)])
    stored = store.read_item(tx, address)
    old = values.load(stored.body) if stored is not None else None
    new = write.outcome(address, old)
    return Plan([Outcome(address, old, new)], [change(write, address, stored, old, new)])


def perform_one(tx: Transaction, tables: TableCache, scope: Scope, write: Write) -> Plan:
    plan = plan_one(tx, tables, scope, write)
    store.apply(tx, plan.changes)
    return plan


async def commit_one(around: Surroundings, scope: Scope, write: Write) -> Outcome:
    """Returns after the commit. Raises AwsError."""
    database = around.database
    if not write.blind:
        plan = await database.read(plan_one, around.tables, scope, write)
        try:
            await database.write(store.apply, plan.changes)
            return plan.outcomes[0]
        except store.Conflict:
            pass
    plan = await database.write(perform_one, around.tables, scope, write)
    return plan.outcomes[0]


def change(
    write: Write, address: Address, stored: Stored | None, old: Item | None, new: Item | None, *, known: bool = True
) -> Change:
    expected = (stored.revision if stored is not None else ABSENT) if known else None
    if write.action == CHECK:
        return Change(address=address, expected=expected, check_only=True)
    removed, added = _entries(address.table, old, new)
    if new is None:
        return Change(address=address, expected=expected, removed=removed)
    return Change(
        address=address,
        expected=expected,
        body=values.dump(new),
        size=values.item_size(new),
        revision=write.revision,
        expires_ms=address.table.expires_ms(new),
        removed=removed,
        added=added,
    )


def _entries(table: Table, old: Item | None, new: Item | None) -> tuple[list[Entry], list[Entry]]:
    """Index entries that go, and that come."""
    removed, added = [], []
    for index in table.indexes:
        before = index.entry(old, table) if old is not None else None
        after = index.entry(new, table) if new is not None else None
        if before == after:
            continue
        if before is not None:
            removed.append(Entry(index.id, *before))
        if after is not None:
            added.append(Entry(index.id, *after))
    return removed, added
