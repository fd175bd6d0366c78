"""Work nobody waits for: what is too old, what deleted queues left, and messages on their way back."""

from __future__ import annotations

from pilotlight.services.sqs import fifo_store, message_store, move_store, store
from pilotlight.services.sqs.surroundings import Surroundings
from pilotlight.storage import Transaction

STEP_ROWS = 500


class Maintenance:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def work(self) -> int | None:
        """All that is due; when there is something to do next, in cloud milliseconds. For a `Reconciler`."""
        database = self._around.database
        while await database.read(store.has_sweep):
            await database.write(store.sweep, STEP_ROWS)
        moments = [await self._expire(), await self._move(), await self._forget()]
        return min((moment for moment in moments if moment is not None), default=None)

    async def _expire(self) -> int | None:
        database, now_ms = self._around.database, self._around.clock.now_ms()
        while True:
            oldest = await database.scan(message_store.oldest)
            due = [(queue, retention_ms) for queue, expires_ms, retention_ms in oldest if expires_ms <= now_ms]
            for queue, retention_ms in due:
                await database.write(_expire_some, queue, now_ms - retention_ms + 1, now_ms)
            if not due:
                return min((expires_ms for _, expires_ms, _ in oldest), default=None)

    async def _move(self) -> int | None:
        database, now_ms = self._around.database, self._around.clock.now_ms()
        while True:
            move = await database.read(move_store.next_due)
            if move is None or move.due_ms > now_ms:
                return move.due_ms if move is not None else None
            for queue in await database.write(move_store.step, move.handle, now_ms):
                self._around.waiters.wake(queue)

    async def _forget(self) -> int | None:
        database, now_ms = self._around.database, self._around.clock.now_ms()
        due_ms = await database.read(store.next_forget_ms)
        if due_ms is not None and due_ms <= now_ms:
            due_ms = await database.write(store.forget, now_ms)
        return due_ms


def _expire_some(tx: Transaction, queue: int, before_ms: int, now_ms: int) -> None:
    groups = {group for group in message_store.expire(tx, queue, before_ms, STEP_ROWS) if group}
    fifo_store.refresh_all(tx, queue, groups, now_ms)
