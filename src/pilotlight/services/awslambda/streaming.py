"""Answers while they are made: between the engine, which writes, and a client, which reads at its own speed.

AWS: a function runs on when its reader goes away; what it writes then is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from pilotlight.background import settled
from pilotlight.engine.contract import Outcome

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Starts a task that outlives the request."""


class Answer:
    """A `ResponseSink`, and what is read of it. One reader."""

    def __init__(self) -> None:
        self.content_type = ""
        """Empty until the handler streams; it stays empty where the handler answers at once."""
        self.outcome: Outcome | None = None
        self._error: Exception | None = None
        self._pieces: deque[bytes] = deque()
        self._taken: Callable[[int], None] | None = None
        self._abandoned = False
        self._changed = asyncio.Event()

    def start(self, invoking: Coroutine[Any, Any, Outcome], spawn: Spawn) -> None:
        spawn(self._follow(invoking))

    async def _follow(self, invoking: Coroutine[Any, Any, Outcome]) -> None:
        try:
            came = await settled(invoking)
            if isinstance(came, Exception):
                self._error = came
            else:
                self.outcome = came
        except asyncio.CancelledError:
            self._error = ConnectionAbortedError("the cloud is stopped")
            raise
        finally:
            self._changed.set()

    # What the engine calls.

    def begin(self, content_type: str, taken: Callable[[int], None]) -> None:
        self.content_type, self._taken = content_type, taken
        self._changed.set()

    def write(self, data: bytes) -> None:
        if self._abandoned:
            self._take(len(data))
            return
        self._pieces.append(data)
        self._changed.set()

    def _take(self, size: int) -> None:
        if self._taken is not None:
            self._taken(size)

    # What the reader calls.

    async def wait_begun(self) -> bool:
        """True where the handler streams, False where it is done without. Raises what `invoke` raises."""
        while not self.content_type and self.outcome is None and self._error is None:
            await self._wait()
        if self._error is not None and not self.content_type:
            raise self._error
        return bool(self.content_type)

    async def pieces(self) -> AsyncIterator[bytes]:
        """All that is streamed, until the outcome is here. Raises what `invoke` raises."""
        try:
            while True:
                while self._pieces:
                    piece = self._pieces.popleft()
                    yield piece
                    self._take(len(piece))
                if self._error is not None:
                    raise self._error
                if self.outcome is not None:
                    return
                await self._wait()
        finally:
            self.abandon()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def abandon(self) -> None:
        """Nobody reads any more: the function is not held back."""
        self._abandoned = True
        self._take(sum(map(len, self._pieces)))
        self._pieces.clear()
