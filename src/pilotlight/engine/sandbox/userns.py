"""User namespaces, for who is not root: user_namespaces(7), newuidmap(1).

Two deep. `sandboxd` makes the outer one, in which it has every capability and outside of which it has none; its pid
namespace ends with it, and with that everything it ever started. Each sandbox has an inner one of its own: what the
kernel counts for each user (processes, locks, watches) it then counts for each sandbox. A breakout through here would
end as the ordinary user that started Pilotlight, which is why capabilities are dropped inside as they are for root.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.engine.sandbox import linux

USER_ID = 993
"""AWS: `sbx_user1051` has this number. Inside, it is the function's."""
_PID_BYTES = 64
Map = Sequence[tuple[int, int, int]]
"""First id inside, first id outside, how many."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Whom the outer namespace knows. More than one id takes `newuidmap`, which is setuid root, to write down."""

    uids: Map
    gids: Map
    newuidmap: str = ""
    newgidmap: str = ""

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Maps:
        uids, gids = ([(a, b, c) for a, b, c in message[name]] for name in ("uids", "gids"))
        return cls(uids, gids, message["newuidmap"], message["newgidmap"])


def enter_outer(maps: Maps, platform: socket.socket) -> None:
    """Come back as pid 1 of a pid namespace that the new user namespace owns; the caller waits, and ends with it."""
    with _written_by_tools(maps) if maps.newuidmap else contextlib.nullcontext():
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS | linux.CLONE_NEWPID)
    if not maps.newuidmap:
        write_maps("self", maps.uids, maps.gids, groups=False)
    pid = os.fork()
    if pid:
        platform.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    linux.die_with_parent(signal.SIGKILL)
    # Pids here are those of the new namespace, and /proc must say the same.
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)


@contextlib.contextmanager
def _written_by_tools(maps: Maps) -> Any:
    """A child, still outside, has newuidmap and newgidmap write our maps, once we are in the new namespace."""
    go, going = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(going)
        os.read(go, 1)
        done = 1
        with contextlib.suppress(OSError):
            parent = str(os.getppid())
            done = 0
            for tool, map_ in ((maps.newuidmap, maps.uids), (maps.newgidmap, maps.gids)):
                numbers = [str(number) for entry in map_ for number in entry]
                done = done or os.spawnv(os.P_WAIT, tool, [tool, parent, *numbers])
        os._exit(done & 0xFF)
    os.close(go)
    try:
        yield
    finally:
        os.close(going)
        status = os.waitpid(pid, 0)[1]
    if status:
        raise PermissionError(f"{maps.newuidmap} refused the ranges of /etc/subuid and /etc/subgid")


def write_maps(process: str, uids: Map, gids: Map, *, groups: bool) -> None:
    """Say who is who in the user namespace of a process. Without the right to, groups cannot be changed in it."""
    if not groups:
        Path("/proc", process, "setgroups").write_text("deny")
    for name, map_ in (("uid_map", uids), ("gid_map", gids)):
        Path("/proc", process, name).write_text("\n".join(" ".join(map(str, entry)) for entry in map_))


def fork_inner(uids: Map, gids: Map, run: Callable[[], None]) -> int:
    """Fork pid 1 of a new pid namespace in a new user namespace, to do `run`; its pid. The caller must be pid 1.

    A process in between makes the namespaces and ends: its orphan is then the caller's child.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        between = os.fork()
        if between == 0:
            _make_inner(ours, theirs, run)
        theirs.close()
        try:
            if not ours.recv(1):
                raise OSError("no user namespace can be made in another here")
            write_maps(str(between), uids, gids, groups=True)
            ours.send(b"m")
            told = ours.recv(_PID_BYTES)
        finally:
            ours.close()
            os.waitpid(between, 0)
    if not told:
        raise OSError("no pid namespace can be made here")
    return int(told)


def _make_inner(ours: socket.socket, theirs: socket.socket, run: Callable[[], None]) -> None:
    try:
        ours.close()
        linux.unshare(linux.CLONE_NEWUSER)
        theirs.send(b"u")
        if theirs.recv(1):
            with contextlib.suppress(OSError):  # where /proc is read-only; seccomp refuses them too
                Path("/proc/sys/user/max_user_namespaces").write_text("0")
            linux.unshare(linux.CLONE_NEWPID)
            pid = os.fork()
            if pid == 0:
                theirs.close()
                run()
            theirs.send(b"%d" % pid)
    finally:
        os._exit(0)


def signal_all(pidfd: int, own: int, number: int) -> None:
    """Send a signal to every process of a sandbox but its pid 1, at once: kill(2) with pid -1, from within."""
    linux.setns(pidfd, linux.CLONE_NEWPID)
    try:
        pid = os.fork()
    finally:
        if os.getpid() == 1:
            linux.setns(own, linux.CLONE_NEWPID)
    if pid == 0:
        with contextlib.suppress(OSError):
            os.kill(-1, number)
        os._exit(0)
    os.waitpid(pid, 0)
