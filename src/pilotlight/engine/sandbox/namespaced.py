"""One sandbox of namespaces, as the engine sees it."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pilotlight.engine.sandbox.census import Census
from pilotlight.engine.sandbox.cgroup import Cgroup
from pilotlight.engine.sandbox.contract import EXEC_REPORT, Entry, Launch
from pilotlight.engine.sandbox.daemon import DaemonClient
from pilotlight.engine.sandbox.ground import Ground

_MEGABYTE = 1024 * 1024


def shown_at_places(directories: Iterable[tuple[Path, str]]) -> list[tuple[str, str]]:
    """What must be mounted: all of the host's /usr is in every sandbox."""
    return [(str(path), place) for path, place in directories if str(path) != place or not place.startswith("/usr/")]


class NamespaceSandbox:
    """Made ahead by the factory, furnished when it is taken. Fits `contract.Sandbox`."""

    isolated: bool = True

    def __init__(
        self, name: str, *, slot: int, ground: Ground, cgroup: Cgroup, daemon: DaemonClient, seccomp: bytes
    ) -> None:
        self.id = name
        self.slot = slot
        self.uid = ground.uid(slot)
        self.cgroup = cgroup
        self.charged = "memory" in ground.parent.hierarchies.limits()
        self.joins: tuple[str, ...] = (
            (f"/proc/{daemon.pid}/ns/user", f"/proc/{daemon.pid}/ns/pid_for_children") if ground.maps else ()
        )
        self._ground = ground
        self._memory_mb: int | None = None
        self._census: Census | None = None
        self.listener: socket.socket | None = None
        self.api_listener: socket.socket | None = None
        self._daemon = daemon
        self._seccomp = base64.b64encode(seccomp).decode()
        self._join = cgroup.join_descriptors()
        self._holder = -1
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._spawning = 0
        self._early: dict[int, int] = {}
        """Statuses of programs that ended before `spawn` could say which they are."""
        self.mounted: set[str] = set()
        """Places where something was mounted before it is furnished."""
        self.gone = asyncio.Event()
        self.on_destroy: Callable[[NamespaceSandbox], Awaitable[None]] | None = None

    def made(self, pidfd: int) -> None:
        self._holder = pidfd
        if not self.charged:
            self._census = Census(pidfd)

    def limit_memory(self, memory_mb: int) -> None:
        """Also for what is inside already."""
        self._memory_mb = memory_mb
        self.cgroup.limit_memory(memory_mb * _MEGABYTE)
        if self._census is not None:
            self._census.limit(self._ground.limits(memory_mb))

    def entry(self) -> Entry:
        plan: dict[str, Any] = {
            "holder": 0,
            "namespaces": self._ground.namespaces,
            "cgroups": list(range(1, 1 + len(self._join))),
            "uid": self.uid,
            "gid": self.uid,
            "groups": self._ground.groups,
            "limits": self._ground.limits(self._memory_mb),
            "seccomp": self._seccomp,
            "directory": "/var/task",
        }
        return Entry(plan, (self._holder, *self._join))

    async def mount(self, directories: Sequence[tuple[Path, str]]) -> None:
        shown = shown_at_places(directories)
        await self._daemon.order("mount", id=self.id, directories=shown)
        self.mounted.update(place for _, place in shown)

    async def spawn(self, launch: Launch) -> int:
        entry = self.entry()
        given = dict(launch.descriptors)
        if launch.report is not None:
            given[EXEC_REPORT] = launch.report
        numbers = list(given)
        self._spawning += 1
        try:
            answer, _ = await self._daemon.order(
                "spawn",
                [*entry.descriptors, *(given[number] for number in numbers)],
                plan={**entry.plan, "directory": "/"},  # an image need not have another
                numbers=numbers,
                argv=list(launch.argv),
                environment=dict(launch.environment),
                directory=launch.working_directory,
            )
            pid = int(answer["pid"])
            future = self._exits[pid] = asyncio.get_running_loop().create_future()
            if pid in self._early:
                future.set_result(self._early.pop(pid))
        finally:
            self._spawning -= 1
            if not self._spawning:
                self._early.clear()
        return pid

    async def wait_exit(self, pid: int) -> int:
        """The exit status of a program that `spawn` started; negative is the signal that ended it."""
        return await asyncio.shield(self._exits[pid])

    def ended(self, pid: int, status: int) -> bool:
        """Take the news that a program of ours has ended; False if it is not ours."""
        future = self._exits.get(pid)
        if future is None:
            if self._spawning:
                self._early[pid] = status
            return False
        if not future.done():
            future.set_result(status)
        return True

    async def socket_inside(self) -> socket.socket:
        _, descriptors = await self._daemon.order("socket", id=self.id)
        made = socket.socket(fileno=descriptors[0])
        made.setblocking(False)
        return made

    def limit_cpu(self, vcpus: float | None) -> None:
        self.cgroup.limit_cpu(vcpus)

    def freeze(self) -> None:
        if self.cgroup.exists:
            self.cgroup.freeze()
        else:
            self._daemon.tell("signal", id=self.id, number=int(signal.SIGSTOP))

    def thaw(self) -> None:
        if self.cgroup.exists:
            self.cgroup.thaw()
        else:
            self._daemon.tell("signal", id=self.id, number=int(signal.SIGCONT))

    def kill(self) -> None:
        if self.cgroup.exists:
            self.cgroup.kill()
        else:
            self._daemon.tell("end", id=self.id)  # pid 1 takes all others with it

    async def destroy(self) -> None:
        if self.on_destroy is not None:
            on_destroy, self.on_destroy = self.on_destroy, None
            await on_destroy(self)

    def memory_peak_bytes(self) -> int:
        return self._census.peak_bytes() if self._census is not None else self.cgroup.memory_peak_bytes()

    def reset_memory_peak(self) -> None:
        if self._census is not None:
            self._census.reset()
        else:
            self.cgroup.reset_memory_peak()

    def out_of_memory(self) -> bool:
        return self.cgroup.out_of_memory()

    def close_descriptors(self) -> None:
        for descriptor in (*self._join, self._holder):
            if descriptor >= 0:
                os.close(descriptor)
        self._join, self._holder = [], -1
        for listener in (self.listener, self.api_listener):
            if listener is not None:
                listener.close()
        self.listener = self.api_listener = None
        for future in self._exits.values():
            if not future.done():
                future.set_result(-signal.SIGKILL)  # whoever waits is not told any more
