"""Sandboxes for who is not root: what this host lets an ordinary user have, found by trying, and what is lost.

Isolation is the same as root's: namespaces, a read-only root of its own, no capability, seccomp. What an ordinary
user cannot have is said in `describe()`, in the log at start, and in docs/hosts.md: limits where no cgroup is
delegated, a /tmp on disk, and, without slirp4netns, a way to the internet.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import IsolationUnavailable
from pilotlight.engine.sandbox import cgroup, linux, slirp
from pilotlight.engine.sandbox.ground import DEFAULT_TMP_MB, LIMITS, NAMESPACES, clear_recorded
from pilotlight.engine.sandbox.userns import USER_ID, Map, Maps

DATA_HEADROOM_MB = 384
"""Stacks of threads count in full from the start, and runtimes set aside more than they use."""
SLOTS = 4096
"""Ids to hand out: one for each sandbox that one platform may have."""
_MEGABYTE = 1024 * 1024
_SYSCTLS = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (or give Python an AppArmor profile with `userns,`)",
    ),
)


class RootlessGround:
    """Fits `ground.Ground`. One user namespace for all sandboxes together, and one more for each."""

    namespaces = NAMESPACES | linux.CLONE_NEWUSER

    def __init__(self, directory: Path, mark: int, *, egress: bool) -> None:
        self._directory = directory
        self.name = f"pilotlight-{mark:08x}"
        self._record = directory / "cgroups.json"
        self.hierarchies = cgroup.Hierarchies({}, None)
        self.parent = cgroup.Parent(self.hierarchies, self.name)
        self.maps: Maps | None = find_maps()
        self.groups = bool(self.maps and self.maps.newuidmap)
        self._slirp = slirp.find(wanted=egress)

    async def open(self) -> None:
        (self._directory / "root").mkdir(parents=True, exist_ok=True, mode=0o700)
        await self.close()
        self.hierarchies = cgroup.find_delegated()
        self.parent = cgroup.Parent(self.hierarchies, self.name)
        try:
            self._record.write_text(self.hierarchies.to_text())
            self.parent.create()
        except OSError as error:
            raise IsolationUnavailable(
                f"the cgroup that was delegated here cannot be used ({error}); leave it, or use --isolation=none"
            ) from error

    async def close(self) -> None:
        await clear_recorded(self._record, self.name)

    def refusal(self, reason: str) -> str:
        return f"{why_refused(reason)}. Or run as root, or with --isolation=none, which isolates nothing"

    def uid(self, slot: int) -> int:
        return USER_ID

    def order(self, slot: int, name: str) -> dict[str, Any]:
        ids = [(USER_ID, 0, 1)] if not self.groups else [(0, 0, 1), (USER_ID, slot, 1)]
        return {
            "holder_uid": 0 if self.groups else USER_ID,
            "groups": self.groups,
            "ids": ids,
            "tmp_mb": DEFAULT_TMP_MB,
            "resolvers": self._slirp.resolvers,
            "slirp": self._slirp.order(),
        }

    def furnishing(self, name: str, ephemeral_mb: int) -> dict[str, Any]:
        return {"tmp_mb": ephemeral_mb if ephemeral_mb != DEFAULT_TMP_MB else 0}

    @property
    def has_egress(self) -> bool:
        return self._slirp.available

    def without_egress(self, reason: str) -> None:
        self._slirp = slirp.Slirp(reason=reason)

    def limits(self, memory_mb: int | None) -> dict[str, int]:
        """Where nothing else limits memory, a process may at least not take all of the host's.

        RLIMIT_AS would not do: the JVM, V8 and Go set gigabytes of addresses aside. RLIMIT_DATA counts what can
        be written to, for each process by itself: a brake, and not the limit that was asked for.
        """
        if memory_mb is None or "memory" in self.hierarchies.limits():
            return LIMITS
        return {**LIMITS, "data": (memory_mb + DATA_HEADROOM_MB) * _MEGABYTE}

    def describe(self) -> dict[str, Any]:
        limits = self.hierarchies.limits()
        own = "ids of their own" if self.groups else "the one id that this user has"
        return {
            "isolation": "namespaces",
            "user": f"rootless, as {_own_name()}; functions run with {own}",
            "cgroup": "v2, delegated" if self.hierarchies.v2 else "none delegated",
            "limits": [*limits, *([] if "pids" in limits else ["pids (rlimit)"])],
            "limits_missing": [name for name in (cgroup.MEMORY, cgroup.CPU) if name not in limits],
            "freeze": "cgroup.freeze" if self.hierarchies.v2 else "SIGSTOP",
            "fast_cgroup_join": False,
            "tmp": "tmpfs, charged to memory: a file system on disk takes root",
            "seccomp": True,
            **self._slirp.describe(),
            "losses": self._losses(limits),
        }

    def _losses(self, limits: tuple[str, ...]) -> list[str]:
        """Sentences for the operator; less isolation is never silent."""
        losses = []
        if cgroup.MEMORY not in limits:
            losses.append(
                "memory is not limited as configured, only braked for each process: no cgroup is delegated to this "
                "user (try `systemd-run --user --scope -p Delegate=yes pilotlight up`)"
            )
        if cgroup.CPU not in limits:
            losses.append("CPU is not limited: memory_mb decides nothing about speed, for the same reason")
        if not self.groups:
            losses.append(
                "all functions share this user's id outside their sandboxes, and with it the kernel's quotas per user "
                "(install uidmap, and give the user a range in /etc/subuid and /etc/subgid)"
            )
        losses.append("/tmp of functions is memory (tmpfs), up to the configured size each")
        if not self._slirp.available:
            losses.append(f"functions reach this cloud only and not the internet: {self._slirp.reason}")
        return losses


def find_maps() -> Maps:
    """All ids that this user may hand out, or at least the user's own."""
    uid, gid = os.getuid(), os.getgid()
    tools = (_tool("newuidmap"), _tool("newgidmap"))
    uids, gids = _range("/etc/subuid", uid), _range("/etc/subgid", uid)
    if all(tools) and uids and gids:
        return Maps([(0, uid, 1), (1, *uids)], [(0, gid, 1), (1, *gids)], tools[0], tools[1])
    one: tuple[Map, Map] = ([(0, uid, 1)], [(0, gid, 1)])
    return Maps(*one)


def _range(path: str, uid: int) -> tuple[int, int] | None:
    """The user's range: subuid(5). Enough of it for as many sandboxes as there are slots, or none."""
    names = {str(uid), _own_name()}
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, numbers = line.partition(":")
        first, _, count = numbers.partition(":")
        if name in names and first.isdigit() and count.isdigit() and int(count) >= SLOTS:
            return int(first), int(count)
    return None


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _tool(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin") or ""


def why_refused(reason: str, proc: Path = Path("/proc/sys")) -> str:
    """One sentence: what on this host forbids an ordinary user's sandboxes, and the cure."""
    for name, forbids, cure in _SYSCTLS:
        try:
            value = (proc / name).read_text().strip()
        except OSError:
            continue
        if value == forbids:
            return f"this host forbids user namespaces ({name.replace('/', '.')}={value}); the cure: {cure}"
    if "mount proc" in reason:
        return (
            "this host lets nobody mount a /proc of their own (as containers do, which cover parts of it); the cure: "
            "run the container with --security-opt systempaths=unconfined"
        )
    return f"sandboxes cannot be made here without root: {reason} (Linux 5.12 with user namespaces is needed)"
