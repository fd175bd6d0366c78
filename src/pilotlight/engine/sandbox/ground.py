"""What sandboxes stand on: the host's side of them, as root prepares it. `rootless` is an ordinary user's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Any, Protocol

from pilotlight.engine.contract import IsolationUnavailable
from pilotlight.engine.sandbox import cgroup, linux, tmp
from pilotlight.engine.sandbox.cgroup import PROCESSES_MAX
from pilotlight.engine.sandbox.egress import Egress
from pilotlight.engine.sandbox.userns import Maps

log = logging.getLogger(__name__)

DEFAULT_TMP_MB = 512
FIRST_UID = 600_000
UIDS_EACH = 4096
_UID_RANGES = 256
REMOVE_ATTEMPTS = 2000
REMOVE_AGAIN_SECONDS = 0.001
NAMESPACES = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWPID
LIMITS = {"nofile": 1024, "core": 0, "nproc": PROCESSES_MAX, "memlock": 65536, "rtprio": 0, "nice": 20}
"""AWS: a function may open 1,024 files and run 1,024 processes and threads."""


class Ground(Protocol):
    """`slot` numbers the sandboxes of one platform, from 1 on."""

    parent: cgroup.Parent
    maps: Maps | None
    """The user namespace that `sandboxd` is to make for itself, if it is not root."""
    namespaces: int
    """What a process joins to be inside."""
    groups: bool
    """Whether supplementary groups can be left there."""

    async def open(self) -> None:
        """Remove what a killed predecessor left, and prepare. Raises IsolationUnavailable with the cure."""
        ...

    async def close(self) -> None: ...

    def refusal(self, reason: str) -> str:
        """Why no sandbox can be made here, and the cure, in one sentence for the operator."""
        ...

    def uid(self, slot: int) -> int:
        """Whom a function becomes, as it sees it itself."""
        ...

    def order(self, slot: int, name: str) -> dict[str, Any]:
        """What a holder must know to build this one: fields of `holder.Order`."""
        ...

    def furnishing(self, name: str, ephemeral_mb: int) -> dict[str, Any]:
        """How `sandboxd` gives /tmp its size; blocks."""
        ...

    @property
    def has_egress(self) -> bool: ...

    def without_egress(self, reason: str) -> None:
        """A holder found that there is no way out from here."""
        ...

    def limits(self, memory_mb: int | None) -> dict[str, int]:
        """The rlimits of processes inside, by name."""
        ...

    def describe(self) -> dict[str, Any]: ...


class RootGround:
    """cgroups of all kinds, a veth pair and a firewall, a file system for each /tmp, a uid for each sandbox."""

    maps: Maps | None = None
    namespaces = NAMESPACES
    groups = True

    def __init__(self, directory: Path, mark: int, *, egress: bool) -> None:
        self._directory = directory
        self.name = f"pilotlight-{mark:08x}"
        self._first_uid = FIRST_UID + (mark % _UID_RANGES) * UIDS_EACH
        self._record = directory / "cgroups.json"  # a successor may run in another cgroup, and look elsewhere
        self.hierarchies = cgroup.Hierarchies({}, None)
        self.parent = cgroup.Parent(self.hierarchies, self.name)
        self.egress = Egress(mark, directory, wanted=egress)
        self._template: Path | None = None
        self._fast_cgroups = False
        self._why_no_disk_tmp = ""

    async def open(self) -> None:
        for name in ("root", "images", "devices", "place"):
            (self._directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.hierarchies = cgroup.find()
        self.parent = cgroup.Parent(self.hierarchies, self.name)
        await self.close()
        try:
            self._record.write_text(self.hierarchies.to_text())
            self.parent.create()
        except OSError as error:
            raise IsolationUnavailable(
                f"cgroups cannot be made here ({error}); mount /sys/fs/cgroup writable, or use --isolation=none"
            ) from error
        self._fast_cgroups = cgroup.favour_migrations(self.hierarchies)
        await self._probe_tmp()
        self.egress.open()

    async def close(self) -> None:
        """Also for what a predecessor in this directory left: it may have been killed at any moment."""
        await clear_recorded(self._record, self.name)
        self.egress.close()
        for image in (self._directory / "images").glob("*.tmp"):
            image.unlink()

    def refusal(self, reason: str) -> str:
        return (
            f"sandboxes cannot be made here: {reason}. They need Linux 5.12 and CAP_SYS_ADMIN; in a container, "
            "run it privileged. --isolation=none runs functions without isolation"
        )

    def uid(self, slot: int) -> int:
        return self._first_uid + slot

    def order(self, slot: int, name: str) -> dict[str, Any]:
        return {
            "holder_uid": self._first_uid,
            "template": str(self._template) if self._template else "",
            "image": str(self._directory / "images" / f"{name}.tmp"),
            "devices": str(self._directory / "devices"),
            "resolvers": list(self.egress.resolvers),
            "egress": self.egress.link(slot),
        }

    def furnishing(self, name: str, ephemeral_mb: int) -> dict[str, Any]:
        image = ""
        if self._template and ephemeral_mb != DEFAULT_TMP_MB:
            image = self._new_image(name, ephemeral_mb)
        return {
            "image": image,
            "devices": str(self._directory / "devices"),
            "place": str(self._directory / "place"),
            "tmp_mb": 0 if self._template else ephemeral_mb,
        }

    @property
    def has_egress(self) -> bool:
        return self.egress.available

    def without_egress(self, reason: str) -> None:
        raise IsolationUnavailable(reason)

    def limits(self, memory_mb: int | None) -> dict[str, int]:
        return LIMITS

    def describe(self) -> dict[str, Any]:
        limits = self.hierarchies.limits()
        return {
            "isolation": "namespaces",
            "user": f"root; functions run as uids {self._first_uid + 1} and up",
            "cgroup": self.hierarchies.kind,
            "limits": list(limits),
            "limits_missing": [name for name in cgroup.CONTROLLERS if name not in limits],
            "freeze": "cgroup.freeze" if self.hierarchies.v2 else "SIGSTOP",
            "fast_cgroup_join": self._fast_cgroups,
            "tmp": "disk, with a size" if self._template else f"tmpfs, charged to memory: {self._why_no_disk_tmp}",
            "seccomp": True,
            **self.egress.describe(),
            "losses": [],
        }

    def _new_image(self, name: str, size_mb: int) -> str:
        template = tmp.make_template(self._directory / "images", size_mb)
        image = self._directory / "images" / f"{name}-{size_mb}.tmp"
        tmp.copy_image(template, image)
        return str(image)

    async def _probe_tmp(self) -> None:
        try:
            image = await asyncio.to_thread(self._new_image, "probe", DEFAULT_TMP_MB)
            device, _ = tmp.attach(Path(image), self._directory / "devices")
            os.close(device)
            self._template = tmp.make_template(self._directory / "images", DEFAULT_TMP_MB)
        except (OSError, tmp.CalledProcessError) as error:
            self._why_no_disk_tmp = str(error)


async def clear_recorded(record: Path, name: str) -> None:
    """Remove the cgroups that are noted in the file."""
    with contextlib.suppress(FileNotFoundError):
        hierarchies = cgroup.Hierarchies.from_text(record.read_text())
        await _clear_cgroups(cgroup.Parent(hierarchies, name))
        record.unlink()


async def _clear_cgroups(parent: cgroup.Parent) -> None:
    for name in parent.children():
        left = parent.child(name)
        with contextlib.suppress(FileNotFoundError):  # killed while it was being made or removed
            left.thaw()
        left.kill()
        await remove(left)
    parent.remove()


async def remove(group: cgroup.Cgroup) -> None:
    """The kernel lets a cgroup go a moment after its last process ended."""
    for _ in range(REMOVE_ATTEMPTS):
        if group.remove():
            return
        await asyncio.sleep(REMOVE_AGAIN_SECONDS)
    log.error("a cgroup of a sandbox that ended cannot be removed")
