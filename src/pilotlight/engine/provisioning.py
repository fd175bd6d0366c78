"""Provisioned concurrency: so many initialised instances under a key, replaced when one dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pilotlight.clock import Clock
from pilotlight.engine.contract import FunctionVersion, IsolationUnavailable, ProvisionStatus, RuntimeUnavailable
from pilotlight.engine.instance import InitFailed, Instance
from pilotlight.engine.life_cycle import State

log = logging.getLogger(__name__)

AT_ONCE = 4
ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class _Wanted:
    """What was asked for under a key, and how far it is."""

    version: FunctionVersion
    requested: int
    instances: list[Instance] = field(default_factory=list)
    failures: int = 0
    reason: str = ""
    filling: bool = False


class Provisioning:
    """`start` makes an initialised instance, `end` lets one go, `later` runs what nobody waits for."""

    def __init__(
        self,
        *,
        start: Callable[[FunctionVersion], Awaitable[Instance]],
        end: Callable[[Instance], None],
        later: Callable[[Coroutine[Any, Any, None]], None],
        clock: Clock,
    ) -> None:
        self._start = start
        self._end = end
        self._later = later
        self._clock = clock
        self._wanted: dict[str, _Wanted] = {}

    def find_idle(self, key: str, version: FunctionVersion) -> Instance | None:
        wanted = self._wanted.get(key)
        for instance in reversed(wanted.instances if wanted else ()):
            if instance.usable and instance.version.key == version.key:
                return instance
        return None

    def instances(self) -> Iterator[Instance]:
        for wanted in self._wanted.values():
            yield from wanted.instances

    def ask(self, key: str, version: FunctionVersion, count: int) -> None:
        """Keep `count` of them from now on; 0 lets them go."""
        wanted = self._wanted.get(key)
        if wanted is not None and (count == 0 or wanted.version.key != version.key):
            del self._wanted[key]
            for instance in wanted.instances:
                self._release(instance)
            wanted = None
        if count == 0:
            return
        if wanted is None:
            wanted = self._wanted[key] = _Wanted(version, count)
        wanted.requested, wanted.failures, wanted.reason = count, 0, ""
        while len(wanted.instances) > count:
            self._release(wanted.instances.pop(0))
        self._fill_later(wanted)

    def tend(self) -> None:
        """Replace those that have died, or whose credentials end soon."""
        for wanted in self._wanted.values():
            lost = [one for one in wanted.instances if one.state is not State.BUSY and not one.usable]
            if not lost:
                continue
            wanted.instances = [one for one in wanted.instances if one not in lost]
            for instance in lost:
                self._end(instance)
            self._fill_later(wanted)

    def status(self, key: str) -> ProvisionStatus:
        wanted = self._wanted.get(key)
        if wanted is None:
            return ProvisionStatus(requested=0, available=0, allocated=0, status="IN_PROGRESS")
        have = len(wanted.instances)
        status: Literal["IN_PROGRESS", "READY", "FAILED"] = "IN_PROGRESS"
        if have >= wanted.requested:
            status = "READY"
        elif wanted.failures >= ATTEMPTS:
            status = "FAILED"
        # AWS: `available` counts what is initialised, whether it is busy or not.
        return ProvisionStatus(
            requested=wanted.requested, available=have, allocated=have, status=status, reason=wanted.reason
        )

    def reserved(self) -> list[tuple[str, str, float]]:
        """As they stand: account, architecture and GB of each key."""
        return [
            (one.version.account, one.version.architecture, len(one.instances) * one.version.memory_mb / 1024)
            for one in self._wanted.values()
        ]

    def _release(self, instance: Instance) -> None:
        if instance.state is State.BUSY:
            instance.provisioned, instance.retired = False, True  # it ends after its invocation
        else:
            self._end(instance)

    def _fill_later(self, wanted: _Wanted) -> None:
        if not wanted.filling:
            wanted.filling = True
            self._later(self._fill(wanted))

    async def _fill(self, wanted: _Wanted) -> None:
        try:
            while wanted in self._wanted.values() and wanted.failures < ATTEMPTS:
                missing = min(AT_ONCE, wanted.requested - len(wanted.instances))
                if missing <= 0:
                    return
                await asyncio.gather(*(self._start_one(wanted) for _ in range(missing)))
        finally:
            wanted.filling = False

    async def _start_one(self, wanted: _Wanted) -> None:
        try:
            instance = await self._start(wanted.version)
        except InitFailed as failed:
            wanted.failures += 1
            wanted.reason = failed.error_type
            return
        except (RuntimeUnavailable, IsolationUnavailable, OSError, RuntimeError) as error:
            wanted.failures += 1
            wanted.reason = str(error)
            log.warning("provisioned concurrency of %s: %s", wanted.version.arn, error)
            return
        instance.idle_since = self._clock.monotonic()
        if wanted in self._wanted.values() and len(wanted.instances) < wanted.requested:
            wanted.instances.append(instance)
        else:
            self._end(instance)
