"""Sandboxes of namespaces, made ahead: a pool, and what a host gives. Needs root; `rootless` is another road."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import zlib
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import IsolationUnavailable
from pilotlight.engine.sandbox import cgroup, seccomp, tmp
from pilotlight.engine.sandbox.contract import API_PORT, ENDPOINT_PORT, SandboxSpec
from pilotlight.engine.sandbox.daemon import Answer, DaemonClient, OrderFailed
from pilotlight.engine.sandbox.egress import Egress
from pilotlight.engine.sandbox.namespaced import NamespaceSandbox, shown_at_places
from pilotlight.ids import Ids
from pilotlight.settings import Settings

log = logging.getLogger(__name__)

POOL_SIZE = 4
"""Sandboxes kept ready. One costs about a megabyte; making one takes some ten milliseconds, off the cold path."""
POOL_SIZE_MAX = 32
"""As many are kept after a burst that found the pool empty again and again."""
BURST_SECONDS = 60.0
"""So long after the pool was last found empty. What is left over then is used up, and not made anew."""
DEFAULT_TMP_MB = 512
FIRST_UID = 600_000
UIDS_EACH = 4096
_UID_RANGES = 256
READY_SECONDS = 10.0
RETRY_SECONDS = 1.0
REFILL_AFTER_SECONDS = 0.05
MAKING_MAX = 4
REMOVE_ATTEMPTS = 2000
REMOVE_AGAIN_SECONDS = 0.001
DESTROY_SECONDS = 5.0
_MEGABYTE = 1024 * 1024


class NamespaceFactory:
    """Makes sandboxes as root. `directory` is this platform's own; its name marks what a killed one left."""

    def __init__(self, directory: Path, settings: Settings, ids: Ids, *, pool_size: int = POOL_SIZE) -> None:
        self._directory = directory.absolute()
        self._settings = settings
        self._ids = ids
        self._pool_size = self._kept = pool_size
        self._calming: asyncio.TimerHandle | None = None
        mark = zlib.crc32(str(self._directory).encode())
        self.name = f"pilotlight-{mark:08x}"
        self._first_uid = FIRST_UID + (mark % _UID_RANGES) * UIDS_EACH
        self._free_uids = deque(range(self._first_uid + 1, self._first_uid + UIDS_EACH))
        self._hierarchies = cgroup.Hierarchies({}, None)
        self._record = self._directory / "cgroups.json"  # a successor may run in another cgroup, and look elsewhere
        self._parent = cgroup.Parent(self._hierarchies, self.name)
        self._filter = b""
        self._egress = Egress(mark, self._directory, wanted=settings.egress)
        self._daemon = DaemonClient(self._heard)
        self._sandboxes: dict[str, NamespaceSandbox] = {}
        self._making: dict[str, NamespaceSandbox] = {}
        self._pool: deque[NamespaceSandbox] = deque()
        self._waiters: list[asyncio.Future[NamespaceSandbox]] = []
        self._started = self._closing = False
        self._template: Path | None = None
        self._fast_cgroups = False
        self._why_no_disk_tmp = ""

    async def start(self) -> None:
        if os.geteuid() != 0:
            raise IsolationUnavailable("isolation by namespaces needs root here; run as root or with --isolation=none")
        for name in ("root", "images", "devices", "place"):
            (self._directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._hierarchies = cgroup.find()
        self._parent = cgroup.Parent(self._hierarchies, self.name)
        await self._clear()
        try:
            self._record.write_text(self._hierarchies.to_text())
            self._parent.create()
        except OSError as error:
            raise IsolationUnavailable(
                f"cgroups cannot be made here ({error}); mount /sys/fs/cgroup writable, or use --isolation=none"
            ) from error
        self._fast_cgroups = cgroup.favour_migrations(self._hierarchies)
        self._filter = seccomp.program()
        await self._probe_tmp()
        self._egress.open()
        self._daemon.start()
        try:
            first = await self._from_pool()
        except IsolationUnavailable:
            await self.close()
            raise
        self._pool.append(first)
        self._started = True
        self._refill()

    async def take(self, spec: SandboxSpec) -> NamespaceSandbox:
        sandbox = await self.reserve()
        async with contextlib.AsyncExitStack() as on_failure:
            on_failure.push_async_callback(sandbox.destroy)
            await self.furnish(sandbox, spec)
            on_failure.pop_all()
        return sandbox

    async def reserve(self) -> NamespaceSandbox:
        try:
            return await self._from_pool()
        finally:
            self._refill_soon()

    async def furnish(self, sandbox: NamespaceSandbox, spec: SandboxSpec) -> None:
        for path in (spec.code, *spec.root, *spec.layers, *spec.readable, *(path for path, _ in spec.mounted)):
            if not path.is_absolute():
                raise ValueError(f"{path} is not absolute")
        sandbox.cgroup.limit_memory(spec.memory_mb * _MEGABYTE)
        try:
            await self._furnish(sandbox, spec)
        except OrderFailed as error:
            raise IsolationUnavailable(f"a sandbox could not be furnished: {error}") from error

    async def close(self) -> None:
        self._closing = True
        if self._calming is not None:
            self._calming.cancel()
        for sandbox in list(self._sandboxes.values()):
            sandbox.kill()
        await self._daemon.close()
        for sandbox in list(self._sandboxes.values()):
            sandbox.gone.set()
            await self._destroy(sandbox)
        await self._clear()

    def describe(self) -> dict[str, Any]:
        limits = self._hierarchies.limits()
        return {
            "isolation": "namespaces",
            "user": f"root; functions run as uids {self._first_uid + 1} and up",
            "cgroup": self._hierarchies.kind,
            "limits": list(limits),
            "limits_missing": [name for name in cgroup.CONTROLLERS if name not in limits],
            "freeze": "cgroup.freeze" if self._hierarchies.v2 else "SIGSTOP",
            "fast_cgroup_join": self._fast_cgroups,
            "tmp": "disk, with a size" if self._template else f"tmpfs, charged to memory: {self._why_no_disk_tmp}",
            "seccomp": True,
            **self._egress.describe(),
            "pool": len(self._pool),
        }

    async def _furnish(self, sandbox: NamespaceSandbox, spec: SandboxSpec) -> None:
        image = ""
        if self._template and spec.ephemeral_mb != DEFAULT_TMP_MB:
            image = await asyncio.to_thread(self._new_image, sandbox.id, spec.ephemeral_mb)
        wanted = [(spec.code, "/var/task"), *spec.mounted, *((path, str(path)) for path in spec.readable)]
        directories = [one for one in shown_at_places(wanted) if one[1] not in sandbox.mounted]
        if spec.root:
            directories = []
        await self._daemon.order(
            "furnish",
            id=sandbox.id,
            uid=sandbox.uid,
            directories=directories,
            layers=[str(path) for path in spec.layers],
            root=[str(path) for path in spec.root],
            image=image,
            devices=str(self._directory / "devices"),
            place=str(self._directory / "place"),
            disconnect=self._egress.available and not spec.egress,
        )

    async def _from_pool(self) -> NamespaceSandbox:
        """The next ready sandbox. Where there is none, one more is made, and the first ready one is ours."""
        if self._pool:
            return self._pool.popleft()
        self._missed()
        waiter: asyncio.Future[NamespaceSandbox] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._refill()
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await waiter
        except TimeoutError:
            raise IsolationUnavailable(f"no sandbox was ready in {READY_SECONDS:.0f} seconds") from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._pool.append(waiter.result())
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _missed(self) -> None:
        """Whoever comes to an empty pool has to wait: keep more, for a while."""
        if not self._started:
            return
        self._kept = max(self._kept, min(2 * self._kept, POOL_SIZE_MAX))
        if self._calming is not None:
            self._calming.cancel()
        self._calming = asyncio.get_running_loop().call_later(BURST_SECONDS, self._calm)

    def _calm(self) -> None:
        self._kept = self._pool_size

    def _next_waiter(self) -> asyncio.Future[NamespaceSandbox] | None:
        while self._waiters:
            waiter = self._waiters.pop(0)
            if not waiter.done():
                return waiter
        return None

    def _refill_soon(self) -> None:
        """After the cold start that took one: making the next competes with it for the processors."""
        if not self._pool:
            self._refill()
        asyncio.get_running_loop().call_later(REFILL_AFTER_SECONDS, self._refill)

    def _refill(self) -> None:
        """Begin as many as are missing, a few at a time; called again whenever one is ready."""
        kept = self._kept if self._started else 0
        missing = kept + len(self._waiters) - len(self._pool) - len(self._making)
        for _ in range(min(missing, MAKING_MAX - len(self._making))):
            if self._closing or not self._daemon.alive:
                return
            self._begin()

    def _begin(self) -> None:
        name = self._ids.lower(12)
        uid = self._free_uids.popleft()
        made = self._parent.child(name)
        made.create()
        sandbox = NamespaceSandbox(name, uid=uid, cgroup=made, daemon=self._daemon, seccomp=self._filter)
        sandbox.on_destroy = self._destroy
        self._sandboxes[name] = self._making[name] = sandbox
        order = {
            "id": name,
            "uid": uid,
            "holder_uid": self._first_uid,
            "ports": [ENDPOINT_PORT, API_PORT],
            "root": str(self._directory / "root"),
            "template": str(self._template) if self._template else "",
            "image": str(self._directory / "images" / f"{name}.tmp"),
            "devices": str(self._directory / "devices"),
            "resolvers": list(self._egress.resolvers),
            "egress": self._egress.link(uid - self._first_uid),
        }
        self._daemon.post("make", order=order).add_done_callback(partial(self._forked, name))

    def _forked(self, name: str, answer: Answer) -> None:
        """The holder exists; it says itself when it is ready."""
        if error := answer.exception():
            self._failed(name, str(error))
            return
        pidfd = answer.result()[1][0]
        sandbox = self._sandboxes.get(name)
        if sandbox is None:
            os.close(pidfd)
        else:
            sandbox.made(pidfd)

    def _is_ready(self, name: str, listeners: Sequence[socket.socket]) -> None:
        sandbox = self._making.pop(name, None)
        if sandbox is None or sandbox.listener is not None:
            for listener in listeners:
                listener.close()
            return
        sandbox.listener, sandbox.api_listener = listeners
        if waiter := self._next_waiter():
            waiter.set_result(sandbox)
        else:
            self._pool.append(sandbox)
        self._refill()

    def _failed(self, name: str, reason: str) -> None:
        """A sandbox that could not be made. Whoever waits is told; the pool tries again later."""
        sandbox = self._making.pop(name, None)
        if sandbox is None:
            return
        sandbox.close_descriptors()
        sandbox.cgroup.remove()
        del self._sandboxes[name]
        self._free_uids.append(sandbox.uid)
        error = IsolationUnavailable(
            f"sandboxes cannot be made here: {reason}. They need Linux 5.12 and CAP_SYS_ADMIN; in a container, "
            "run it privileged. --isolation=none runs functions without isolation"
        )
        if waiter := self._next_waiter():
            waiter.set_exception(error)
        log.error("%s", error)
        if not self._closing:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._refill)

    async def _destroy(self, sandbox: NamespaceSandbox) -> None:
        sandbox.kill()
        if self._daemon.alive:
            with contextlib.suppress(OrderFailed, IsolationUnavailable):
                answer, _ = await self._daemon.order("end", id=sandbox.id)
                async with asyncio.timeout(DESTROY_SECONDS):
                    if answer["known"]:
                        await sandbox.gone.wait()
        sandbox.close_descriptors()
        await _remove(sandbox.cgroup)
        self._sandboxes.pop(sandbox.id, None)
        self._free_uids.append(sandbox.uid)

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

    async def _clear(self) -> None:
        """Remove what a predecessor in this directory left: it may have been killed at any moment."""
        with contextlib.suppress(FileNotFoundError):
            hierarchies = cgroup.Hierarchies.from_text(self._record.read_text())
            await _clear_cgroups(cgroup.Parent(hierarchies, self.name))
            self._record.unlink()
        self._egress.close()
        for image in (self._directory / "images").glob("*.tmp"):
            image.unlink()

    def _heard(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "ready" in message:
            listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            for listener in listeners:
                listener.setblocking(False)
            self._is_ready(message["ready"], listeners)
        elif "failed" in message:
            self._failed(message["failed"], message["reason"])
        elif "gone" in message:
            if sandbox := self._sandboxes.get(message["gone"]):
                sandbox.gone.set()
            self._failed(message["gone"], "its first process ended")
        elif "ended" in message:
            any(sandbox.ended(message["ended"], message["status"]) for sandbox in self._sandboxes.values())


async def _clear_cgroups(parent: cgroup.Parent) -> None:
    for name in parent.children():
        left = parent.child(name)
        with contextlib.suppress(FileNotFoundError):  # killed while it was being made or removed
            left.thaw()
        left.kill()
        await _remove(left)
    parent.remove()


async def _remove(group: cgroup.Cgroup) -> None:
    """The kernel lets a cgroup go a moment after its last process ended."""
    for _ in range(REMOVE_ATTEMPTS):
        if group.remove():
            return
        await asyncio.sleep(REMOVE_AGAIN_SECONDS)
    log.error("a cgroup of a sandbox that ended cannot be removed")
