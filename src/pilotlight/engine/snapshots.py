"""SnapStart: instances of a published version that were initialised when it was published, and wait frozen.

AWS keeps one picture of an initialised machine and lets any number go on from it. Here each instance is initialised by
itself, ahead of time: nothing that should be unique (seeds, ids, credentials) is ever shared, threads and sockets need
no care, and nothing in the sandbox is any weaker. What it costs is memory, so there is a limit, and whoever was not
asked for longest makes room. Where none is ready, one is initialised on the spot; docs/decisions has the reasons.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from pilotlight.engine.contract import FunctionVersion, IsolationUnavailable, RuntimeUnavailable
from pilotlight.engine.instance import InitFailed, Instance

log = logging.getLogger(__name__)

SNAPSHOTS_EACH = 2
SNAPSHOTS_MAX = 64
DELAY_SECONDS = 0.03
"""The invocation that took one needs the CPU first."""


class Snapshots:
    """`start` makes an initialised instance, `end` lets one go, `later` runs what nobody waits for."""

    def __init__(
        self,
        *,
        start: Callable[[FunctionVersion], Awaitable[Instance]],
        end: Callable[[Instance], None],
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._start = start
        self._end = end
        self._later = later
        self._versions: OrderedDict[str, FunctionVersion] = OrderedDict()
        """By key, the one that was asked for last at the end."""
        self._ready: dict[str, list[Instance]] = {}
        self._filling: set[str] = set()
        self._broken: set[str] = set()
        """Their init failed. The next invocation tries again, and is told."""

    def prepare(self, version: FunctionVersion) -> None:
        """Have some ready from now on."""
        self._versions[version.key] = version
        self._versions.move_to_end(version.key)
        self._broken.discard(version.key)
        self._fill_later(version)

    def take(self, version: FunctionVersion) -> Instance | None:
        """One that is ready, if there is one; others will follow."""
        found = None
        waiting = self._ready.get(version.key, [])
        while waiting and found is None:
            instance = waiting.pop()
            if instance.usable:
                found = instance
            else:
                self._end(instance)
        self.prepare(version)
        return found

    def ready(self, key: str) -> int:
        return len(self._ready.get(key, ()))

    def tend(self) -> None:
        """Replace those that died, or whose credentials end soon."""
        for key, waiting in list(self._ready.items()):
            lost = [one for one in waiting if not one.usable]
            for instance in lost:
                waiting.remove(instance)
                self._end(instance)
            if lost and key in self._versions:
                self._fill_later(self._versions[key])

    def forget(self, arn: str, keep_keys: Sequence[str]) -> None:
        """Those of a function's versions that are no more."""
        for key in [key for key, one in self._versions.items() if one.arn == arn and key not in keep_keys]:
            self._let_go(key)

    def close(self) -> None:
        """Keep nothing any more; the instances are the agent's to end."""
        self._versions.clear()
        self._ready.clear()

    def _let_go(self, key: str) -> None:
        self._versions.pop(key, None)
        for instance in self._ready.pop(key, ()):
            self._end(instance)

    def _fill_later(self, version: FunctionVersion) -> None:
        if version.key not in self._filling:
            self._filling.add(version.key)
            self._later(self._fill(version))

    async def _fill(self, version: FunctionVersion) -> None:
        key = version.key
        try:
            await asyncio.sleep(DELAY_SECONDS)
            while key in self._versions and key not in self._broken and self.ready(key) < SNAPSHOTS_EACH:
                await self._make(version)
                self._make_room(key)
        finally:
            self._filling.discard(key)

    async def _make(self, version: FunctionVersion) -> None:
        try:
            instance = await self._start(version)
        except InitFailed:  # its log says why
            self._broken.add(version.key)
            return
        except (RuntimeUnavailable, IsolationUnavailable, OSError, RuntimeError) as error:
            log.warning("no snapshot of %s: %s", version.arn, error)
            self._broken.add(version.key)
            return
        if version.key not in self._versions:
            self._end(instance)
            return
        instance.freeze()
        self._ready.setdefault(version.key, []).append(instance)

    def _make_room(self, but: str) -> None:
        while sum(map(len, self._ready.values())) > SNAPSHOTS_MAX:
            oldest = next((key for key in self._versions if key != but and self._ready.get(key)), None)
            if oldest is None:
                return
            self._let_go(oldest)
