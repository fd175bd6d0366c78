"""How fast one instance may talk: what it writes beyond that waits in its own pipe, and the function with it.

Nothing is dropped here, and nothing piles up: a function that writes a gigabyte of log a second is slowed down to what
the platform can write away, and its neighbours keep the event loop. AWS is silent about how fast a log may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PERIOD_SECONDS = 0.1
BYTES_PER_PERIOD = 400_000
BURST_BYTES = 2_000_000
LINE_BYTES = 100
"""What a line or a message costs besides its length."""


class Pace:
    """An allowance that is renewed a little every period. `pause` is called when it is used up, `resume` afterwards."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause = pause
        self._resume = resume
        self._left = BURST_BYTES
        self._paused = False
        self._renewal: asyncio.TimerHandle | None = None

    def spend(self, size: int, items: int) -> None:
        self._left -= size + items * LINE_BYTES
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().call_later(PERIOD_SECONDS, self._renew)
        if self._left < 0 and not self._paused:
            self._paused = True
            self._pause()

    def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()

    def _renew(self) -> None:
        self._renewal = None
        self._left = min(BURST_BYTES, self._left + BYTES_PER_PERIOD)
        if self._left < BURST_BYTES:
            self._renewal = asyncio.get_running_loop().call_later(PERIOD_SECONDS, self._renew)
        if self._left >= 0 and self._paused:
            self._paused = False
            self._resume()
