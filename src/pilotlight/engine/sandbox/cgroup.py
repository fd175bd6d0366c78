"""Limits on memory, CPU and processes; freezing and killing. cgroups(7); v1, v2, and hosts with both.

Where a host has both, v1 holds the controllers and v2's `cgroup.freeze` and `cgroup.kill` are used beside
them: a process frozen by v1 survives SIGKILL until it is thawed, one frozen by v2 does not. A breakout
through here would be a process outside its cgroup: children are born inside, and no function can write to
`cgroup.procs`, which is not mounted in a sandbox.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.sandbox import linux

PERIOD_US = 100_000
PROCESSES_MAX = 1024
MEMORY, CPU, _PIDS = "memory", "cpu", "pids"
CONTROLLERS = (MEMORY, CPU, _PIDS)
LEAF = "pilotlight-host"
_V2_OPTIONS = (
    *("nsdelegate", "memory_recursiveprot", "memory_localevents", "pids_localevents"),
    "memory_hugetlb_accounting",
)


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where this host's cgroups are: `v1` by controller, and `v2` with the controllers it offers."""

    v1: dict[str, Path]
    v2: Path | None
    v2_controllers: frozenset[str] = frozenset()

    def to_text(self) -> str:
        return json.dumps({"v1": {name: str(path) for name, path in self.v1.items()}, "v2": str(self.v2 or "")})

    @classmethod
    def from_text(cls, text: str) -> Hierarchies:
        """Where a predecessor's cgroups are, as `to_text` wrote them."""
        value = json.loads(text)
        v1 = {name: Path(path) for name, path in value["v1"].items()}
        return cls(v1, Path(value["v2"]) if value["v2"] else None)

    @property
    def kind(self) -> str:
        """`v1`, `v2`, `hybrid` or `none`, for `pilotlight status`."""
        if self.v1:
            return "hybrid" if self.v2 else "v1"
        return "v2" if self.v2 else "none"

    def limits(self) -> tuple[str, ...]:
        """The controllers that can be used here."""
        return tuple(name for name in CONTROLLERS if name in self.v1 or name in self.v2_controllers)

    def directories(self, name: str) -> dict[str, Path]:
        """The directory of cgroup `name` in each hierarchy: by controller, and `v2`."""
        found = {controller: path / name for controller, path in self.v1.items()}
        if self.v2 is not None:
            found["v2"] = self.v2 / name
        return found


def find(root: Path = Path("/")) -> Hierarchies:
    """Hierarchies below the cgroup this process is in, so that a limit on the platform holds for its functions too.

    In v2 a cgroup with processes of its own cannot hand controllers to children, but the root can.
    """
    own = _own_cgroups((root / "proc/self/cgroup").read_text())
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mount_root, mount_point = before.split()[3:5]
        kind, _source, options = after.split()[:3]
        point = root / mount_point.lstrip("/")
        if kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                v1.setdefault(controller, _below(point, mount_root, own.get(controller, "/")))
        elif kind == "cgroup2" and v2 is None:
            v2 = point
    controllers: frozenset[str] = frozenset()
    if v2 is not None:
        offered = (v2 / "cgroup.controllers").read_text().split()
        controllers = frozenset(offered) & set(CONTROLLERS) - set(v1)
    return Hierarchies(v1, v2, controllers)


def find_delegated(root: Path = Path("/")) -> Hierarchies:
    """For who is not root: the v2 cgroup this process is in, where it was handed to this user; else none."""
    own = _own_cgroups((root / "proc/self/cgroup").read_text()).get("", "/")
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mount_root, mount_point = before.split()[3:5]
        if after.split()[0] != "cgroup2":
            continue
        place = _below(root / mount_point.lstrip("/"), mount_root, own)
        if all(os.access(place / name, os.W_OK) for name in (".", "cgroup.procs", "cgroup.subtree_control")):
            offered = (place / "cgroup.controllers").read_text().split()
            return Hierarchies({}, place, frozenset(offered) & set(CONTROLLERS))
    return Hierarchies({}, None)


def _own_cgroups(text: str) -> dict[str, str]:
    own: dict[str, str] = {}
    for line in text.splitlines():
        _number, names, path = line.split(":", 2)
        own.update(dict.fromkeys(names.split(","), path))
    return own


def _below(point: Path, mount_root: str, path: str) -> Path:
    """Where `path` of a hierarchy is, when the mount shows it from `mount_root` on (in containers)."""
    if mount_root != "/":
        path = path.removeprefix(mount_root)
    found = point / path.lstrip("/")
    return found if found.is_dir() else point


class Parent:
    """The cgroup that holds all sandboxes of one platform."""

    def __init__(self, hierarchies: Hierarchies, name: str) -> None:
        self.hierarchies = hierarchies
        self.name = name

    def create(self) -> None:
        """Make it, and hand v2's controllers down to it. Raises OSError where the host does not let us."""
        v2, names = self.hierarchies.v2, self.hierarchies.v2_controllers
        if v2 is not None and names:
            _hand_down(v2, names)
        for directory in self.hierarchies.directories(self.name).values():
            directory.mkdir(exist_ok=True)
        if v2 is not None and names:
            _hand_down(v2 / self.name, names)

    def child(self, sandbox: str) -> Cgroup:
        return Cgroup(self.hierarchies, f"{self.name}/{sandbox}")

    def children(self) -> set[str]:
        """Sandboxes with a cgroup here, in any hierarchy."""
        found: set[str] = set()
        for directory in self.hierarchies.directories(self.name).values():
            if directory.is_dir():
                found |= {entry.name for entry in directory.iterdir() if entry.is_dir()}
        return found

    def remove(self) -> None:
        for directory in self.hierarchies.directories(self.name).values():
            with contextlib.suppress(OSError):
                directory.rmdir()


def _hand_down(directory: Path, controllers: frozenset[str]) -> None:
    """Let children use the controllers. In v2 a cgroup with processes of its own may not, unless it is the
    host's root: in a container its processes, which are ours, move one level down."""
    control = directory / "cgroup.subtree_control"
    wanted = controllers - set(control.read_text().split())
    if not wanted:
        return
    order = " ".join(f"+{name}" for name in sorted(wanted))
    try:
        control.write_text(order)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _move_down(directory)
        control.write_text(order)


def _move_down(directory: Path) -> None:
    leaf = directory / LEAF
    leaf.mkdir(exist_ok=True)
    for pid in (directory / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(pid)


class Cgroup:
    """One sandbox's cgroup, the same name in every hierarchy."""

    def __init__(self, hierarchies: Hierarchies, name: str) -> None:
        self._paths = hierarchies.directories(name)
        self._hierarchies = hierarchies
        self._out_of_memory = 0
        self._kept: dict[str, int] = {}

    def create(self) -> None:
        for directory in self._paths.values():
            directory.mkdir(exist_ok=True)
        self._set_pids(PROCESSES_MAX)

    @property
    def exists(self) -> bool:
        """False where this host has none for us."""
        return bool(self._paths)

    def join_descriptors(self) -> list[int]:
        """Descriptors of the `cgroup.procs` files; whoever writes `0` is inside."""
        return [os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for path in self._paths.values()]

    def limit_memory(self, size_bytes: int) -> None:
        if MEMORY in self._paths:
            _write(self._paths[MEMORY] / "memory.limit_in_bytes", size_bytes)
            with contextlib.suppress(OSError):  # hosts without swap accounting have no such file
                _write(self._paths[MEMORY] / "memory.memsw.limit_in_bytes", size_bytes)
        elif MEMORY in self._hierarchies.v2_controllers:
            _write(self._paths["v2"] / "memory.max", size_bytes)
            with contextlib.suppress(OSError):
                _write(self._paths["v2"] / "memory.swap.max", 0)

    def limit_cpu(self, vcpus: float | None) -> None:
        """The quota from now on; None lifts it."""
        if CPU in self._paths:
            quota = -1 if vcpus is None else max(1000, int(vcpus * PERIOD_US))
            self._put(self._paths[CPU] / "cpu.cfs_quota_us", b"%d" % quota)
        elif CPU in self._hierarchies.v2_controllers:
            text = b"max" if vcpus is None else b"%d" % max(1000, int(vcpus * PERIOD_US))
            self._put(self._paths["v2"] / "cpu.max", text + b" %d" % PERIOD_US)

    def freeze(self) -> None:
        if "v2" in self._paths:
            self._put(self._paths["v2"] / "cgroup.freeze", b"1")
        else:
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if "v2" in self._paths:
            self._put(self._paths["v2"] / "cgroup.freeze", b"0")
        else:
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End all processes inside, frozen or not."""
        with contextlib.suppress(FileNotFoundError):
            _write(self._paths["v2"] / "cgroup.kill" if "v2" in self._paths else Path("/nonexistent"), 1)
            return
        while self.processes():  # before Linux 5.14: until no fork escapes
            self._signal(signal.SIGKILL)

    def processes(self) -> list[int]:
        path = next(iter(self._paths.values()))
        try:
            return [int(line) for line in (path / "cgroup.procs").read_text().split()]
        except FileNotFoundError:
            return []

    def memory_peak_bytes(self) -> int:
        """The most that was in use since the last reset, without files' pages that are cached now: those can go."""
        if MEMORY in self._paths:
            directory = self._paths[MEMORY]
            peak = int((directory / "memory.max_usage_in_bytes").read_text())
            counters = _counters(directory / "memory.stat")
            cached = counters.get("cache", 0) - counters.get("shmem", 0)
            return max(counters.get("rss", 0), peak - max(0, cached))
        if MEMORY not in self._hierarchies.v2_controllers:
            return 0
        directory = self._paths["v2"]
        counters = _counters(directory / "memory.stat")
        try:
            peak = int(os.pread(self._keep(directory / "memory.peak", os.O_RDWR), 32, 0))
        except OSError:  # before Linux 5.19
            peak = int((directory / "memory.current").read_text())
        return max(counters.get("anon", 0), peak - counters.get("file", 0) + counters.get("shmem", 0))

    def reset_memory_peak(self) -> None:
        if MEMORY in self._paths:
            self._put(self._paths[MEMORY] / "memory.max_usage_in_bytes", b"0")
        elif MEMORY in self._hierarchies.v2_controllers:
            with contextlib.suppress(OSError):  # before Linux 6.12 it cannot be reset
                os.pwrite(self._keep(self._paths["v2"] / "memory.peak", os.O_RDWR), b"0", 0)

    def out_of_memory(self) -> bool:
        """The kernel ended a process for its memory since this was last asked."""
        if MEMORY in self._paths:
            count = _counters(self._paths[MEMORY] / "memory.oom_control").get("oom_kill", 0)
        elif MEMORY in self._hierarchies.v2_controllers:
            count = _counters(self._paths["v2"] / "memory.events").get("oom_kill", 0)
        else:
            return False
        before, self._out_of_memory = self._out_of_memory, count
        return count > before

    def remove(self) -> bool:
        """False while processes are still ending inside."""
        for descriptor in self._kept.values():
            os.close(descriptor)
        self._kept.clear()
        gone = True
        for directory in self._paths.values():
            try:
                directory.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                gone = False
        return gone

    def _set_pids(self, count: int) -> None:
        if _PIDS in self._paths:
            _write(self._paths[_PIDS] / "pids.max", count)
        elif _PIDS in self._hierarchies.v2_controllers:
            _write(self._paths["v2"] / "pids.max", count)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _keep(self, path: Path, mode: int) -> int:
        """A descriptor kept open, since these files are written around every invocation."""
        name = str(path)
        if name not in self._kept:
            self._kept[name] = os.open(name, mode | os.O_CLOEXEC)
        return self._kept[name]

    def _put(self, path: Path, value: bytes) -> None:
        os.pwrite(self._keep(path, os.O_WRONLY), value, 0)


def favour_migrations(hierarchies: Hierarchies) -> bool:
    """Make joining a cgroup cheap: 0.13 ms instead of the 8 ms that it costs to wait for all CPUs.

    `favordynmods` (Linux 6.0) holds for all hierarchies of the host and makes fork and exit a little dearer.
    It cannot be taken back for sure, so it is left on. False where it cannot be had.
    """
    if hierarchies.v2 is None:
        return False
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _source, point, _kind, options = line.split()[:4]
        if point == str(hierarchies.v2):
            return _favour(point, options.split(","))
    return False


def _favour(point: str, options: Sequence[str]) -> bool:
    """Remount with the option added and everything else as it was."""
    if "favordynmods" in options:
        return True
    flags = linux.MS_REMOUNT
    for name, flag in (("nosuid", linux.MS_NOSUID), ("nodev", linux.MS_NODEV), ("noexec", linux.MS_NOEXEC)):
        flags |= flag if name in options else 0
    kept = [name for name in options if name in _V2_OPTIONS]
    try:
        linux.mount("cgroup2", point, "cgroup2", flags | linux.MS_RELATIME, ",".join([*kept, "favordynmods"]))
    except OSError:
        return False
    return True


def _counters(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _write(path: Path, value: int) -> None:
    path.write_text(str(value))
