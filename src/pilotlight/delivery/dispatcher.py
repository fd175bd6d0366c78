"""Claims events that are due, and has each brought to its target.

`work` returns when nothing is due and nothing under way, so that whoever moves the clock may wait for all that
follows. A claim is a lease of wall time, renewed while the attempt lasts; one that was lost ends in a no-op.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from pilotlight.background import Reconciler
from pilotlight.clock import Clock
from pilotlight.delivery.contract import Done, Later, Target
from pilotlight.ids import Ids
from pilotlight.storage import Database, Transaction, outbox
from pilotlight.storage.outbox import Lease

log = logging.getLogger(__name__)

CONCURRENT_MAX = 1000
LEASE_MS = 60_000
RENEW_SECONDS = 20.0
POLL_SECONDS = 1.0
"""How long a busy dispatcher may miss a hint."""
BUG_WAIT_MS = 60_000


class Dispatcher:
    """Build it with `recover_leases=True` where no other node shares the database: what was claimed before the start
    is then taken up at once."""

    def __init__(
        self,
        database: Database,
        targets: Mapping[str, Target],
        clock: Clock,
        ids: Ids,
        *,
        recover_leases: bool = True,
        concurrent_max: int = CONCURRENT_MAX,
    ) -> None:
        self._database = database
        self._targets = dict(targets)
        self._clock = clock
        self._ids = ids
        self._recover = recover_leases
        self._concurrent_max = concurrent_max
        self._hint = asyncio.Event()
        self._held: dict[str, Lease] = {}
        self.reconciler = Reconciler("delivery", self.work, clock)
        clock.on_move(self._hint.set)

    def wake(self) -> None:
        """An event was posted."""
        self._hint.set()
        self.reconciler.wake()

    @property
    def under_way(self) -> int:
        return len(self._held)

    async def work(self) -> int | None:
        """Deliver all that is due; when the next event falls due, in cloud milliseconds."""
        if self._recover:
            await self._database.write(outbox.release_all)
            self._recover = False
        async with asyncio.TaskGroup() as group:
            renewing: asyncio.Task[None] | None = None
            while True:
                self._hint.clear()
                started = await self._claim(group)
                if not self._held:
                    if started == 0:
                        break
                    continue
                renewing = renewing or group.create_task(self._renew())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._hint.wait()
            if renewing is not None:
                renewing.cancel()
        return await self._database.read(outbox.next_due_ms)

    async def _claim(self, group: asyncio.TaskGroup) -> int:
        free = self._concurrent_max - len(self._held)
        if free <= 0:
            return 0
        wall_ms = self._clock.wall_ms()
        leases = await self._database.claim(
            _claim_due,
            now_ms=self._clock.now_ms(),
            wall_ms=wall_ms,
            token=self._ids.token(12),
            limit=free,
        )
        for lease in leases:
            self._held[lease.event.id] = lease
            group.create_task(self._deliver(lease))
        return len(leases)

    async def _deliver(self, lease: Lease) -> None:
        """A bug in one event's target must not stop the others: it is logged, and the event waits a minute."""
        try:
            (result,) = await asyncio.gather(self._attempt(lease), return_exceptions=True)
            if isinstance(result, Exception):
                log.error("bug in delivering %s", lease.event.id, exc_info=result)
                result = Later(due_ms=self._clock.now_ms() + BUG_WAIT_MS, detail=lease.event.detail)
            elif isinstance(result, BaseException):
                raise result
            await self._database.write(_conclude, lease, result)
        finally:
            self._held.pop(lease.event.id, None)
            self._hint.set()

    async def _attempt(self, lease: Lease) -> Done | Later:
        target = self._targets.get(lease.event.kind)
        if target is None:
            raise LookupError(f"no target for events of kind {lease.event.kind!r}")
        return await target.deliver(lease.event)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            until_ms = self._clock.wall_ms() + LEASE_MS
            tokens = {lease.token for lease in self._held.values()}
            if tokens:
                await self._database.write(_renew_all, tokens, until_ms)


def _claim_due(tx: Transaction, *, now_ms: int, wall_ms: int, token: str, limit: int) -> list[Lease]:
    until_ms = wall_ms + LEASE_MS
    return outbox.claim(tx, now_ms=now_ms, wall_ms=wall_ms, lease_until_ms=until_ms, token=token, limit=limit)


def _renew_all(tx: Transaction, tokens: set[str], until_ms: int) -> None:
    for token in tokens:
        outbox.renew(tx, token, lease_until_ms=until_ms)


def _conclude(tx: Transaction, lease: Lease, result: Done | Later) -> None:
    """What follows is posted only by whoever still holds the lease."""
    if isinstance(result, Later):
        outbox.retry(tx, lease, due_ms=result.due_ms, attempts=lease.event.attempts, detail=result.detail)
        return
    if outbox.complete(tx, lease):
        for event in result.follow_ups:
            outbox.post(tx, event)
