"""Bootstraps that were forked into sandboxes ahead of time, before anyone knows for which function.

A fork of a warm interpreter and its way into a sandbox cost more than all the rest of a cold start, and depend on
account and interpreter only. So after a cold start a few spares are made for the next ones of the same sort: what is
left to do then is to mount the code, import it and call it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from pilotlight.engine.contract import IsolationUnavailable
from pilotlight.engine.sandbox.contract import Sandbox, SandboxFactory
from pilotlight.engine.wires import Wires

log = logging.getLogger(__name__)

SPARES_EACH = 2
SPARES_MAX = 12
"""As many are kept of a sort after a burst that found none."""
CALM_ROUNDS = 600
"""Rounds of `tend` without such a burst, after which there are `SPARES_EACH` again."""
SORTS_MAX = 16
DELAY_SECONDS = 0.03
"""Spares are made when the cold start that asked for them is over: it needs the CPU more."""
BURST_DELAY_SECONDS = 1.0
"""And those for the next burst, when this one is."""


class Process(Protocol):
    """A bootstrap that was started, by whichever road."""

    pid: int
    """As the host sees it."""
    baseline_mb: int
    """Memory that it shares with a zygote, and that its own cgroup does not count."""

    async def wait(self) -> int | None:
        """How it ended, as subprocess gives it; None where nobody knows."""
        ...


@dataclass(slots=True, eq=False)
class Spare:
    sandbox: Sandbox
    wires: Wires
    process: Process

    async def end(self) -> None:
        self.wires.close()
        self.sandbox.kill()
        await self.sandbox.destroy()


class Forks(Protocol):
    """A runtime that can make spares."""

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None: ...


class Spares:
    def __init__(self, factory: SandboxFactory, later: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._factory = factory
        self._later = later
        self._ready: OrderedDict[Hashable, list[Spare]] = OrderedDict()
        self._wanted: dict[Hashable, int] = {}
        self._calm_rounds = 0
        self._filling: set[Hashable] = set()
        self._closed = False

    def take(self, sort: Hashable, runtime: Forks) -> Spare | None:
        """One that is alive, or None; either way there will be more of this sort."""
        self._fill_later(sort, runtime)
        spares = self._ready.setdefault(sort, [])
        self._ready.move_to_end(sort)
        while spares:
            spare = spares.pop(0)
            if spare.wires.channel.connected:
                return spare
            self._later(spare.end())
        self._wanted[sort] = min(2 * self._wanted.get(sort, SPARES_EACH // 2), SPARES_MAX)
        self._calm_rounds = 0
        return None

    def tend(self) -> None:
        """Let go of those that were kept for a burst, when there was none for long."""
        self._calm_rounds += 1
        if self._calm_rounds < CALM_ROUNDS or not self._wanted:
            return
        self._wanted.clear()
        for spares in self._ready.values():
            while len(spares) > SPARES_EACH:
                self._later(spares.pop().end())

    def ready(self, sort: Hashable) -> int:
        """How many wait."""
        return len(self._ready.get(sort, ()))

    async def close(self) -> None:
        self._closed = True
        spares = [spare for sort in self._ready.values() for spare in sort]
        self._ready.clear()
        await asyncio.gather(*(spare.end() for spare in spares), return_exceptions=True)

    def _fill_later(self, sort: Hashable, runtime: Forks) -> None:
        if sort not in self._filling and not self._closed:
            self._filling.add(sort)
            self._later(self._fill(sort, runtime))

    async def _fill(self, sort: Hashable, runtime: Forks) -> None:
        try:
            await asyncio.sleep(DELAY_SECONDS)
            made = await self._fill_to(SPARES_EACH, sort, runtime)
            if made and self._wanted.get(sort, 0) > SPARES_EACH:
                await asyncio.sleep(BURST_DELAY_SECONDS)
                await self._fill_to(self._wanted.get(sort, SPARES_EACH), sort, runtime)
            while len(self._ready) > SORTS_MAX:
                for spare in self._ready.popitem(last=False)[1]:
                    await spare.end()
        except IsolationUnavailable as error:
            log.warning("no sandbox for a spare: %s", error)
        finally:
            self._filling.discard(sort)

    async def _fill_to(self, wanted: int, sort: Hashable, runtime: Forks) -> bool:
        """False where none can be made now."""
        while not self._closed and len(self._ready.get(sort, ())) < wanted:
            if not await self._make(sort, runtime):
                return False
        return True

    async def _make(self, sort: Hashable, runtime: Forks) -> bool:
        sandbox = await self._factory.reserve()
        made: tuple[Wires, Process] | None = None
        try:
            made = await runtime.fork_spare(sort, sandbox)
        finally:
            if made is None:
                await sandbox.destroy()
        if made is None:
            return False
        spare = Spare(sandbox, *made)
        if self._closed:
            await spare.end()
            return False
        self._ready.setdefault(sort, []).append(spare)
        return True
