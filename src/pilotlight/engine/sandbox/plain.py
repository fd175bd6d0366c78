"""No isolation: a function runs as a plain process of our own user. For `--isolation=none`, and said everywhere.

It fits the same contract, so that the engine behaves the same: processes are ended as a group, memory is read from
/proc where there is one, and freezing is SIGSTOP.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilotlight.engine.sandbox.contract import Entry, Launch, SandboxSpec
from pilotlight.ids import Ids

EXIT_POLL_SECONDS = 0.02
_EXECUTABLE = (b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""Scripts, and the programs of Linux and macOS."""


class PlainSandbox:
    def __init__(self, identity: str, scratch: Path) -> None:
        self.id = identity
        self.isolated = False
        self.charged = False
        self.joins: tuple[str, ...] = ()
        self.listener: socket.socket | None = None
        self.api_listener: socket.socket | None = _loopback()
        self._scratch = scratch
        self._leaders: list[int] = []
        self._statuses: dict[int, int] = {}

    @property
    def scratch(self) -> Path:
        """What stands for /tmp, by TMPDIR."""
        return self._scratch

    async def spawn(self, launch: Launch) -> int:
        actions: list[tuple[Any, ...]] = []
        # First out of the way of the numbers that are wanted, then onto them.
        moved = {number: os.dup(descriptor) for number, descriptor in launch.descriptors.items()}
        for number in (0, 1, 2):
            if number not in moved:
                actions.append((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0))
        actions += [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in moved.items()]
        environment = {**launch.environment, "TMPDIR": str(self._scratch)}
        argv = list(launch.argv)
        if launch.report is not None:  # a program that is not ours, which does not find its directory itself
            check_executable(argv[0])
            argv = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', launch.working_directory, *argv]
        try:
            pid = os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True)
        finally:
            for descriptor in moved.values():
                os.close(descriptor)
        self._leaders.append(pid)
        return pid

    def adopt(self, pid: int) -> None:
        """A zygote's child, which leads a session of its own."""
        self._leaders.append(pid)

    async def wait_exit(self, pid: int) -> int:
        while pid not in self._statuses:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self._statuses[pid] = os.waitstatus_to_exitcode(status)
                break
            await asyncio.sleep(EXIT_POLL_SECONDS)
        return self._statuses[pid]

    async def socket_inside(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        return made

    async def mount(self, directories: Sequence[tuple[Path, str]]) -> None:
        """Everything is where it is."""

    def entry(self) -> Entry:
        return Entry({"plain": True}, ())

    def limit_cpu(self, vcpus: float | None) -> None:
        """There is nothing to limit it with."""

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    async def destroy(self) -> None:
        self.kill()
        if self.api_listener is not None:
            self.api_listener.close()
            self.api_listener = None
        for pid in self._leaders:
            with contextlib.suppress(ChildProcessError):
                await self.wait_exit(pid)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    def memory_peak_bytes(self) -> int:
        for pid in self._leaders:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        return int(line.split()[1]) * 1024
        return 0

    def reset_memory_peak(self) -> None:
        """The peak of a process cannot be set back."""

    def out_of_memory(self) -> bool:
        return False

    def _signal(self, number: int) -> None:
        for pid in self._leaders:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)


def check_executable(program: str) -> None:
    """What execve would find, before a shell is asked, which would interpret anything. Raises OSError."""
    if not os.path.isfile(program):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not os.access(program, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with open(program, "rb") as file:
        head = file.read(4)
    if not head.startswith(_EXECUTABLE):
        raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC))


def _loopback() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    listener.setblocking(False)
    return listener


class PlainFactory:
    def __init__(self, directory: Path, ids: Ids) -> None:
        self._directory = directory
        self._ids = ids

    async def start(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)

    async def take(self, spec: SandboxSpec) -> PlainSandbox:
        return await self.reserve()

    async def furnish(self, sandbox: PlainSandbox, spec: SandboxSpec) -> None:
        """There is nothing to mount, and nothing to limit with."""

    async def reserve(self) -> PlainSandbox:
        identity = self._ids.lower(12)
        scratch = self._directory / identity
        scratch.mkdir()
        return PlainSandbox(identity, scratch)

    async def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def describe(self) -> dict[str, Any]:
        return {
            "isolation": "none",
            "limits": [],
            "tmp": "TMPDIR in the data directory, without a limit",
            "network": "the host's",
            "freeze": "SIGSTOP",
            "losses": [],
        }
