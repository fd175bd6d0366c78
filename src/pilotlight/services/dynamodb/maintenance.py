"""Work nobody waits for: time to live, filling new indexes, sweeping up after deleted tables.

Each step is a short transaction, and what is left to do is a row, so that a restart goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pilotlight.services.dynamodb import store, values
from pilotlight.services.dynamodb.store import Address, Change, Entry
from pilotlight.services.dynamodb.surroundings import Surroundings
from pilotlight.services.dynamodb.table import ACTIVE, TTL_ON, TTL_STARTING, Index, Table, with_index
from pilotlight.storage import Transaction

EXPIRED_ROWS = 50
BACKFILL_ROWS = 200
SWEPT_ROWS = 500
STEPS_AT_ONCE = 50
"""Steps that a request waits for; the rest is done in the background."""
YEARS_5_MS = 5 * 366 * 86_400_000
"""AWS: what expired longer ago than five years is taken for a mistake, and stays."""


class Maintenance:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def expire(self) -> int | None:
        """Delete what is past its time to live; returns when the next item will be. For a `Reconciler`."""
        database, now_ms = self._around.database, self._around.clock.now_ms()
        oldest_ms = now_ms - YEARS_5_MS
        while True:
            due_ms = await database.read(store.next_expiry_ms, oldest_ms=oldest_ms)
            if due_ms is None or due_ms > now_ms:
                break
            await database.write(expire_some, now_ms)
        if await database.read(store.has_old_tokens, now_ms=now_ms):
            await database.write(store.forget_tokens, now_ms=now_ms)
        return due_ms

    async def tidy(self) -> int | None:
        """Finish back-fills and sweeps. For a `Reconciler`."""
        database = self._around.database
        while await database.read(store.next_backfill) is not None:
            await database.write(backfill_some)
        while await database.read(store.has_sweep):
            await database.write(sweep_some)
        return None

    async def begin_backfill(self) -> None:
        """As much as makes a small table ready before its caller asks again."""
        for _ in range(STEPS_AT_ONCE):
            if not await self._around.database.write(backfill_some):
                return


def expire_some(tx: Transaction, now_ms: int) -> int:
    """How many items were due."""
    rows = store.expired(tx, oldest_ms=now_ms - YEARS_5_MS, now_ms=now_ms, limit=EXPIRED_ROWS)
    tables: dict[int, Table] = {}
    for row in rows:
        table = tables.get(row["table_id"]) or store.find_by_id(tx, row["table_id"])
        assert table is not None
        tables[table.id] = table
        item = values.load(bytes(row["body"]))
        entries = [(index.id, index.entry(item, table)) for index in table.indexes]
        store.apply(
            tx,
            [
                Change(
                    address=Address(table, bytes(row["pk"]), bytes(row["sk"])),
                    expected=row["revision"],
                    removed=[Entry(index, *entry) for index, entry in entries if entry is not None],
                )
            ],
        )
    return len(rows)


def backfill_some(tx: Transaction) -> bool:
    """One step of one back-fill; False where there is none."""
    task = store.next_backfill(tx)
    if task is None:
        return False
    table = store.find_by_id(tx, task.table_id)
    index = next((one for one in table.indexes if one.id == task.id), None) if table is not None else None
    if table is None or (task.kind == "index" and index is None):
        store.end_backfill(tx, task)
        return True
    rows = store.items_after(tx, table, task.pk, task.sk, limit=BACKFILL_ROWS)
    fill = _fill_index(tx, table, index) if index is not None else _fill_ttl(tx, table)
    for row in rows:
        fill(Address(table, bytes(row["pk"]), bytes(row["sk"])), bytes(row["body"]))
    if len(rows) == BACKFILL_ROWS:
        store.move_backfill(tx, task, pk=bytes(rows[-1]["pk"]), sk=bytes(rows[-1]["sk"]))
    else:
        store.end_backfill(tx, task)
        if index is not None:
            store.save_table(tx, with_index(table, replace(index, status=ACTIVE)))
        elif table.ttl_status == TTL_STARTING:
            store.save_table(tx, replace(table, ttl_status=TTL_ON))
    return True


def _fill_index(tx: Transaction, table: Table, index: Index) -> Callable[[Address, bytes], None]:
    def fill(address: Address, body: bytes) -> None:
        entry = index.entry(values.load(body), table)
        if entry is not None:
            store.insert_entry(tx, Entry(index.id, *entry), address)

    return fill


def _fill_ttl(tx: Transaction, table: Table) -> Callable[[Address, bytes], None]:
    def fill(address: Address, body: bytes) -> None:
        store.set_expiry(tx, address, table.expires_ms(values.load(body)))

    return fill


def sweep_some(tx: Transaction) -> bool:
    """Delete some rows of what nobody can reach any more; False where there are none."""
    return store.sweep(tx, limit=SWEPT_ROWS)
