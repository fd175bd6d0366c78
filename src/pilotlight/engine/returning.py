"""Instances of one version that have answered and are not done yet, and the invocations that wait for one of them.

A runtime asks for its next invocation a moment after its answer. Who calls again within that moment is better served
by this instance than by a cold start.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from pilotlight.engine.instance import Instance


class Returning:
    def __init__(self, give_back: Callable[[Instance], None]) -> None:
        """`give_back` takes one whose waiter has gone in the very moment."""
        self.expected = 0
        self._give_back = give_back
        self._waiting: deque[asyncio.Future[Instance]] = deque()

    async def wait(self, seconds: float) -> Instance | None:
        """One that comes back in time; None where there are as many waiting already."""
        if len(self._waiting) >= self.expected:
            return None
        promised: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(promised)
        try:
            await asyncio.wait((promised,), timeout=seconds)
        except asyncio.CancelledError:
            if promised.done():
                self._give_back(promised.result())
            else:
                self._waiting.remove(promised)
            raise
        if promised.done():
            return promised.result()
        self._waiting.remove(promised)
        return None

    def hand_over(self, instance: Instance) -> bool:
        """To whoever has waited longest; False where nobody has."""
        if not self._waiting:
            return False
        self._waiting.popleft().set_result(instance)
        return True
