"""Who is in a sandbox, and how much memory they use, by /proc where no cgroup counts it: pid_namespaces(7), proc(5)."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Mapping
from pathlib import Path

_RESET_PEAK = "5"
LOOKS_PER_SCAN = 20
"""So many readings of memory use the processes that the last scan of /proc found."""


class Census:
    """The processes in the pid namespace of a sandbox's pid 1, but that one."""

    def __init__(self, holder: int) -> None:
        self._holder = _pid_of(holder)
        self._namespace = os.readlink(f"/proc/{self._holder}/ns/pid")
        self._pids: list[int] = []
        self._looks = 0

    def peak_bytes(self) -> int:
        """What each used at most, added up: it counts what they share as often as they share it."""
        return sum(_peak_bytes(pid) for pid in self._processes())

    def reset(self) -> None:
        for pid in self._processes():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)

    def limit(self, limits: Mapping[str, int]) -> None:
        """Lower the limit on data of all that are inside; whom they fork inherits it."""
        if "data" not in limits:
            return
        for pid in self._scan():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                resource.prlimit(pid, resource.RLIMIT_DATA, (limits["data"], limits["data"]))

    def _processes(self) -> list[int]:
        self._looks -= 1
        if self._looks < 0 or not self._pids:
            self._pids, self._looks = self._scan(), LOOKS_PER_SCAN
        return self._pids

    def _scan(self) -> list[int]:
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_inside(pid)]

    def _is_inside(self, pid: int) -> bool:
        if pid == self._holder:
            return False
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") == self._namespace
        except OSError:
            return False


def _pid_of(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise ProcessLookupError("a sandbox's first process has ended")


def _peak_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
