"""Receivers that wait for messages: woken by what this process sends, and looking anyway every second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from pilotlight.clock import Clock

POLL_SECONDS = 1.0


class Waiters:
    """Hints, in memory only: losing one costs a receiver a second."""

    def __init__(self, clock: Clock) -> None:
        self._events: dict[int, tuple[asyncio.Event, int]] = {}
        self._listeners: list[Callable[[], None]] = []
        clock.on_move(self.wake_all)

    def on_wake(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever any queue may have something to receive."""
        self._listeners.append(listener)

    def wake(self, queue: int) -> None:
        for listener in self._listeners:
            listener()
        found = self._events.get(queue)
        if found is not None:
            found[0].set()

    def wake_all(self) -> None:
        for listener in self._listeners:
            listener()
        for event, _ in self._events.values():
            event.set()

    async def wait_for_message(self, queue: int, seconds: float) -> None:
        """Returns when there may be one, or after the time."""
        event, count = self._events.get(queue, (asyncio.Event(), 0))
        self._events[queue] = event, count + 1
        try:
            event.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(POLL_SECONDS, seconds)):
                    await event.wait()
        finally:
            event, count = self._events[queue]
            if count == 1:
                del self._events[queue]
            else:
                self._events[queue] = event, count - 1
