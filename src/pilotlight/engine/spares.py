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
SORTS_MAX = 16
DELAY_SECONDS = 0.03
"""Spares are made when the cold start that asked for them is over: it needs the CPU more."""


class Process(Protocol):
    """A bootstrap that was started, by whichever road."""

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
        return None

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
            while not self._closed and len(self._ready.get(sort, ())) < SPARES_EACH:
                if not await self._make(sort, runtime):
                    return
            while len(self._ready) > SORTS_MAX:
                for spare in self._ready.popitem(last=False)[1]:
                    await spare.end()
        except IsolationUnavailable as error:
            log.warning("no sandbox for a spare: %s", error)
        finally:
            self._filling.discard(sort)

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
