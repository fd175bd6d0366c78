"""Sandboxes of namespaces, made ahead: a pool, on the ground that root or an ordinary user prepares."""

from __future__ import annotations

import asyncio
import base64
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
from pilotlight.engine.sandbox import seccomp
from pilotlight.engine.sandbox.contract import API_PORT, ENDPOINT_PORT, SandboxSpec
from pilotlight.engine.sandbox.daemon import Answer, DaemonClient, OrderFailed
from pilotlight.engine.sandbox.ground import Ground, RootGround, remove
from pilotlight.engine.sandbox.namespaced import NamespaceSandbox, shown_at_places
from pilotlight.engine.sandbox.rootless import RootlessGround
from pilotlight.ids import Ids
from pilotlight.settings import Settings

log = logging.getLogger(__name__)

POOL_SIZE = 4
"""Sandboxes kept ready. One costs about a megabyte; making one takes some ten milliseconds, off the cold path."""
POOL_SIZE_MAX = 32
"""As many are kept after a burst that found the pool empty again and again."""
BURST_SECONDS = 60.0
"""So long after the pool was last found empty. What is left over then is used up, and not made anew."""
SLOTS = 4096
READY_SECONDS = 10.0
RETRY_SECONDS = 1.0
REFILL_AFTER_SECONDS = 0.05
MAKING_MAX = 4
DESTROY_SECONDS = 5.0


class NamespaceFactory:
    """Makes sandboxes. `directory` is this platform's own; its name marks what a killed one left."""

    def __init__(self, directory: Path, settings: Settings, ids: Ids, *, pool_size: int = POOL_SIZE) -> None:
        self._directory = directory.absolute()
        self._ids = ids
        self._pool_size = self._kept = pool_size
        self._calming: asyncio.TimerHandle | None = None
        mark = zlib.crc32(str(self._directory).encode())
        self.rootless = os.geteuid() != 0
        self.ground: Ground = (RootlessGround if self.rootless else RootGround)(
            self._directory, mark, egress=settings.egress
        )
        self._free_slots = deque(range(1, SLOTS))
        self._filter = b""
        self._daemon = DaemonClient(self._heard)
        self._refused = ""
        self._sandboxes: dict[str, NamespaceSandbox] = {}
        self._making: dict[str, NamespaceSandbox] = {}
        self._pool: deque[NamespaceSandbox] = deque()
        self._waiters: list[asyncio.Future[NamespaceSandbox]] = []
        self._started = self._closing = False

    async def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self.ground.open()
        self._filter = seccomp.program()
        self._daemon.start(self.ground.maps)
        try:
            await self._daemon.order("hello")
            first = await self._from_pool()
        except IsolationUnavailable as error:
            await self.close()
            if self._refused:
                raise IsolationUnavailable(self.ground.refusal(self._refused)) from None
            raise error
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
        sandbox.limit_memory(spec.memory_mb)
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
        await self.ground.close()

    def describe(self) -> dict[str, Any]:
        return {**self.ground.describe(), "pool": len(self._pool)}

    async def _furnish(self, sandbox: NamespaceSandbox, spec: SandboxSpec) -> None:
        given = await asyncio.to_thread(self.ground.furnishing, sandbox.id, spec.ephemeral_mb)
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
            disconnect=self.ground.has_egress and not spec.egress,
            **given,
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
        slot = self._free_slots.popleft()
        made = self.ground.parent.child(name)
        made.create()
        sandbox = NamespaceSandbox(
            name, slot=slot, ground=self.ground, cgroup=made, daemon=self._daemon, seccomp=self._filter
        )
        sandbox.on_destroy = self._destroy
        self._sandboxes[name] = self._making[name] = sandbox
        order = {
            "id": name,
            "uid": sandbox.uid,
            "ports": [ENDPOINT_PORT, API_PORT],
            "root": str(self._directory / "root"),
            "seccomp": base64.b64encode(self._filter).decode(),
            **self.ground.order(slot, name),
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
        self._free_slots.append(sandbox.slot)
        error = IsolationUnavailable(self.ground.refusal(reason))
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
        await remove(sandbox.cgroup)
        self._sandboxes.pop(sandbox.id, None)
        self._free_slots.append(sandbox.slot)

    def _heard(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "ready" in message:
            listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            for listener in listeners:
                listener.setblocking(False)
            if message.get("no_egress") and self.ground.has_egress:
                self.ground.without_egress(message["no_egress"])
                log.warning("functions reach this cloud only and not the internet: %s", message["no_egress"])
            self._is_ready(message["ready"], listeners)
        elif "unable" in message:
            self._refused = message["unable"]
        elif "failed" in message:
            self._failed(message["failed"], message["reason"])
        elif "gone" in message:
            if sandbox := self._sandboxes.get(message["gone"]):
                sandbox.gone.set()
            self._failed(message["gone"], "its first process ended")
        elif "ended" in message:
            any(sandbox.ended(message["ended"], message["status"]) for sandbox in self._sandboxes.values())
