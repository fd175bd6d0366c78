"""Work nobody waits for.

A `Reconciler` brings the world in line with the database. It runs when it is woken, when cloud time
reaches the moment it named, and every so often anyway; after a crash it needs no hint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from pilotlight.clock import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")

POLL_SECONDS = 5.0
BACK_OFF_SECONDS = 1.0
SETTLE_ROUNDS_MAX = 10


async def travel(clock: Clock, reconcilers: Sequence[Reconciler], moment_ms: int) -> None:
    """Move cloud time to `moment_ms`, and stop on the way at each moment at which something falls due.

    What falls due at one moment is done before the clock moves on, and so is whatever that brings about.
    """
    was_frozen = clock.frozen
    clock.freeze()
    try:
        while True:
            for _ in range(SETTLE_ROUNDS_MAX):
                for reconciler in reconcilers:
                    await reconciler.settle()
                due = [one.next_due_ms for one in reconcilers if one.next_due_ms is not None]
                if all(moment > clock.now_ms() for moment in due):
                    break
            ahead = [moment for moment in due if clock.now_ms() < moment <= moment_ms]
            if not ahead:
                break
            clock.advance_to(min(ahead))
        clock.advance_to(moment_ms)
        for reconciler in reconcilers:
            await reconciler.settle()
    finally:
        if not was_frozen:
            clock.resume()


class Reconciler:
    """Runs `work` until the group that holds it is cancelled.

    `work` does what is due now and returns when it next has something to do, in cloud milliseconds, or
    `None`. It must be safe to run at any time, and to be cancelled at any await.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[int | None]], clock: Clock) -> None:
        self.name = name
        self._work = work
        self._clock = clock
        self._woken = asyncio.Event()
        self._busy = asyncio.Lock()
        self.next_due_ms: int | None = None
        clock.on_move(self.wake)

    def wake(self) -> None:
        """A hint that there is work. Losing it costs at most `POLL_SECONDS`."""
        self._woken.set()

    async def settle(self) -> None:
        """Do what is due now, and return when it is done. Used when cloud time is moved."""
        async with self._busy:
            self.next_due_ms = await self._work()

    async def run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.settle()
            except Exception:
                log.exception("bug in reconciler %s", self.name)
                await asyncio.sleep(BACK_OFF_SECONDS)
                continue
            await self._wait()

    async def _wait(self) -> None:
        """Until woken, due, or polled: whichever comes first. A move of the clock wakes, too."""
        seconds = POLL_SECONDS
        if self.next_due_ms is not None and not self._clock.frozen:
            seconds = min(seconds, max(0.0, (self.next_due_ms - self._clock.now_ms()) / 1000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()


async def settled(work: Coroutine[Any, Any, T]) -> T | Exception:
    """What a task that outlives its caller came to; an exception is for whoever reads it to raise."""
    try:
        return await work
    except Exception as error:
        return error
