"""What the engine asks of a sandbox, whichever way the host can make one.

Two roads lead in. *Exec*: `spawn` starts a program inside. *Fork*: a warm zygote, outside, is handed
`entry()` (a JSON plan and file descriptors), forks, and the child calls `enter.enter(plan, fds)`, which
joins the namespaces and drops everything before any of the function's code runs.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

ENDPOINT_PORT = 4566
"""Where a function finds its cloud, at 127.0.0.1 inside its own network namespace."""
EXEC_REPORT = -1
"""Stands for a number of a descriptor where `Launch.report` is handed on."""
API_PORT = 9001
"""Where it finds the Runtime, Extensions and Telemetry APIs, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What a function needs of its sandbox; known when one is taken from the pool."""

    code: Path
    """Mounted read-only at /var/task."""
    layers: tuple[Path, ...] = ()
    """Merged read-only at /opt; a later layer hides an earlier one's files."""
    root: tuple[Path, ...] = ()
    """Where not empty: directories that are laid over each other, the lowest first, as the whole root in place of the
    host's `/usr` and of all that is named here."""
    readable: tuple[Path, ...] = ()
    """Host directories that the interpreter needs, mounted read-only at their own paths."""
    mounted: tuple[tuple[Path, str], ...] = ()
    """Host directories, and where they are mounted read-only inside."""
    memory_mb: int = 128
    ephemeral_mb: int = 512
    egress: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A program to start inside."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str = "/var/task"
    descriptors: Mapping[int, int] = field(default_factory=dict)
    """Number inside → descriptor of ours. 0, 1 and 2 are /dev/null where not named."""
    report: int | None = None
    """A descriptor of ours that gets the error's number as text where the program cannot be executed. It is closed when
    that is known, either way. (A sandbox that knows at once raises OSError in `spawn`.)"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a zygote's child needs to come inside: a plan that is JSON, and descriptors to send along."""

    plan: dict[str, Any]
    descriptors: tuple[int, ...]


class Sandbox(Protocol):
    id: str
    listener: socket.socket | None
    """Listens at 127.0.0.1:ENDPOINT_PORT inside; accepted on from outside. None where there is no inside."""
    api_listener: socket.socket | None
    """The same for the Runtime API. Without a sandbox it is a port of the host's loopback."""
    isolated: bool
    """Whether code and layers are at /var/task and /opt, or where they are on the host."""

    charged: bool
    """Whether memory is charged to a cgroup, which leaves out what a fork shares with its zygote."""
    joins: tuple[str, ...]
    """Namespaces, as files of /proc, that a zygote must join before it can fork inside: the user's, then the pids'."""

    async def spawn(self, launch: Launch) -> int:
        """Start a program; a number for `wait_exit`. It is the host's pid, except where `joins` says otherwise."""
        ...

    async def wait_exit(self, pid: int) -> int:
        """The exit status of a program that `spawn` started; negative is the signal that ended it."""
        ...

    async def socket_inside(self) -> socket.socket:
        """A TCP socket of the function's own network, not yet connected; for what listens inside."""
        ...

    async def mount(self, directories: Sequence[tuple[Path, str]]) -> None:
        """Show host directories read-only at these places, before it is furnished: a program that is started ahead
        needs its language, and has no function yet."""
        ...

    def entry(self) -> Entry: ...

    def limit_cpu(self, vcpus: float | None) -> None:
        """The quota from now on; None lifts it (init)."""
        ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def kill(self) -> None:
        """End every process inside at once, frozen or not. The sandbox is then only good for `destroy`."""
        ...

    async def destroy(self) -> None:
        """Leave nothing: processes, mounts, cgroup, directories."""
        ...

    def memory_peak_bytes(self) -> int: ...

    def reset_memory_peak(self) -> None: ...

    def out_of_memory(self) -> bool:
        """The kernel ended a process for its memory since this was last asked."""
        ...


class SandboxFactory(Protocol):
    async def start(self) -> None:
        """Probe the host by trying, remove what a killed predecessor left, and fill the pool.
        Raises engine.contract.IsolationUnavailable with the cure."""
        ...

    async def take(self, spec: SandboxSpec) -> Sandbox:
        """`reserve` and `furnish` in one."""
        ...

    async def reserve(self) -> Sandbox:
        """One that nobody has used; programs may enter it, but it has no code yet."""
        ...

    async def furnish(self, sandbox: Any, spec: SandboxSpec) -> None:
        """Give a reserved one its code and its limits, once. Raises engine.contract.IsolationUnavailable."""
        ...

    async def close(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        """What this host gives, for `pilotlight status`: isolation, cgroup version, limits, network, /tmp."""
        ...
