"""The only place that asks for the time. There are two times.

*Wall time* is the host's: signatures, credential lifetimes, deadlines and leases. *Cloud time* is what
the cloud's users may freeze and move: schedules, TTL, visibility, delays, retries, retention. Both are
integers of milliseconds since 1970, UTC.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class ClockState:
    """What must survive a restart: how far cloud time is ahead, or where it stands still."""

    offset_ms: int = 0
    frozen_at_ms: int | None = None


class Clock:
    """Hands out both times, and wakes those who wait for a moment of cloud time."""

    def __init__(self, state: ClockState | None = None) -> None:
        self._state = state or ClockState()
        self._moved = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def frozen(self) -> bool:
        return self._state.frozen_at_ms is not None

    def on_move(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever cloud time is frozen, moved or resumed."""
        self._listeners.append(listener)

    @property
    def state(self) -> ClockState:
        return self._state

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def wall_date(self) -> datetime:
        """Wall time as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.wall_ms() / 1000, UTC)

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps; only differences mean something."""
        return time.monotonic()

    def now_ms(self) -> int:
        """Cloud time."""
        if self._state.frozen_at_ms is not None:
            return self._state.frozen_at_ms
        return self.wall_ms() + self._state.offset_ms

    def now(self) -> datetime:
        """Cloud time as an aware datetime, UTC."""
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)

    def freeze(self) -> None:
        self._change(ClockState(self._state.offset_ms, self.now_ms()))

    def resume(self) -> None:
        """Cloud time runs again, from where it stands."""
        if self._state.frozen_at_ms is not None:
            self._change(ClockState(self._state.frozen_at_ms - self.wall_ms()))

    def advance_to(self, moment_ms: int) -> None:
        """Move cloud time forward to `moment_ms`; a moment that has passed changes nothing."""
        ahead_ms = moment_ms - self.now_ms()
        if ahead_ms <= 0:
            return
        if self._state.frozen_at_ms is not None:
            self._change(ClockState(self._state.offset_ms, moment_ms))
        else:
            self._change(ClockState(self._state.offset_ms + ahead_ms))

    def restore(self, state: ClockState) -> None:
        """Cloud time as it was before a restart."""
        self._change(state)

    def reset(self) -> None:
        """Cloud time is wall time again."""
        self._change(ClockState())

    async def wait_until(self, due_ms: int | None) -> None:
        """Return when cloud time has reached `due_ms`; with `None`, when the clock is moved."""
        while due_ms is None or self.now_ms() < due_ms:
            moved = self._moved
            delay = None if due_ms is None or self.frozen else max(0.0, (due_ms - self.now_ms()) / 1000)
            try:
                async with asyncio.timeout(delay):
                    await moved.wait()
                if due_ms is None:
                    return
            except TimeoutError:
                continue

    def _change(self, state: ClockState) -> None:
        self._state = state
        self._moved.set()
        self._moved = asyncio.Event()
        for listener in self._listeners:
            listener()
