"""What is made of a function's code ahead of its starts: archives of classes, compiled modules.

Each has a directory of its own, outside the function's reach and shown to it read-only. It is made when code is
published, or after a cold start that found none, in a sandbox of its own that has no credentials, no endpoint and no
way out. What a function's code may have had a hand in is only ever shown to the same function, with the same role
and variables. While there is none, or it is broken, functions start without.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

from pilotlight.engine import frames
from pilotlight.engine.contract import FunctionVersion, IsolationUnavailable, RuntimeUnavailable
from pilotlight.engine.sandbox.contract import Launch, Sandbox, SandboxFactory, SandboxSpec
from pilotlight.engine.wires import Wires

log = logging.getLogger(__name__)

DELAY_SECONDS = 1.0
"""Whoever showed the need has the processors first."""
CHUNK = 1 << 20


class Preparations:
    """Those of one kind. One at a time is made."""

    def __init__(
        self, directory: Path, factory: SandboxFactory, group: asyncio.TaskGroup, *, kept_max: int, seconds: float
    ) -> None:
        """`kept_max` is how many stay over a restart, `seconds` what one may take."""
        self.directory = directory
        self._factory = factory
        self._group = group
        self._seconds = seconds
        self._tried: set[Path] = set()
        self._one_by_one = asyncio.Lock()
        self.delay_seconds = DELAY_SECONDS
        self.made = self.failed = self.spared = 0
        """How many, since this process began; `spared` are those that would not have been worth it."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        used = sorted(directory.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
        for folder in used[kept_max:]:
            shutil.rmtree(folder, ignore_errors=True)

    def place(self, version: FunctionVersion, told: Iterable[str]) -> Path:
        """Where a version's is, or will be. `told`: whatever else it depends on."""
        parts = [version.arn, version.role_arn, sorted(version.environment.items()), version.handler, str(version.code)]
        parts += [[str(layer) for layer in version.layers], str(self._factory.describe()["isolation"]), *told]
        return self.directory / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def make_later(self, folder: Path, version: FunctionVersion, make: Callable[[], Awaitable[bool]]) -> None:
        """Once for each function while this process lives. `make` says whether it was worth it."""
        if folder not in self._tried:
            self._tried.add(folder)
            work = self._make(folder, version, make)
            try:
                self._group.create_task(work)
            except RuntimeError:  # the group has ended, and with it the node
                work.close()

    async def _make(self, folder: Path, version: FunctionVersion, make: Callable[[], Awaitable[bool]]) -> None:
        await asyncio.sleep(self.delay_seconds)
        async with self._one_by_one:
            try:
                async with asyncio.timeout(self._seconds):
                    worth = await make()
            except (OSError, RuntimeError, ValueError, TimeoutError, IsolationUnavailable, RuntimeUnavailable) as error:
                # It would only have been faster: nothing is lost but time.
                log.info("nothing was prepared for %s: %s", version.arn, error or type(error).__name__)
                self.failed += 1
                _empty(folder)
            else:
                self.made, self.spared = self.made + worth, self.spared + (not worth)

    @contextlib.asynccontextmanager
    async def sandbox(self, spec: SandboxSpec) -> AsyncIterator[Sandbox]:
        """One of its own, from which nothing can be reached."""
        sandbox = await self._factory.take(spec)
        try:
            if sandbox.listener is not None:
                sandbox.listener.close()  # who calls the cloud while it initialises is refused at once
            yield sandbox
        finally:
            sandbox.kill()
            await sandbox.destroy()


def inside(sandbox: Sandbox, name: str) -> str:
    """Where code in a sandbox may write a file of this name."""
    scratch = "/tmp" if sandbox.isolated else str(getattr(sandbox, "scratch", "/tmp"))
    return f"{scratch}/{name}"


async def initialised(wires: Wires, start: dict[str, object]) -> None:
    """Wait until the function is initialised and its process gone. Raises RuntimeError where it was not."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    said: list[int] = []
    wires.output.attach(lambda data: None)
    wires.channel.attach(
        lambda kind, body, size: said.append(kind) if kind != frames.LOG else None,
        lambda: None if gone.done() else gone.set_result(None),
    )
    wires.channel.send(frames.START, json.dumps(start).encode())
    await gone
    if said != [frames.READY]:
        raise RuntimeError("the function could not be initialised")


async def fetch(sandbox: Sandbox, source: str, target: Path, *, bytes_max: int) -> None:
    """What was written inside, out by a pipe: the function's own processes may have put anything there."""
    reading, writing = os.pipe()
    try:
        launch = Launch(argv=["/bin/cat", source], environment={}, descriptors={1: writing})
        pid = await sandbox.spawn(launch)
    finally:
        os.close(writing)
    partial = target.with_suffix(".partial")
    await asyncio.to_thread(_copy, reading, partial, bytes_max)
    if await sandbox.wait_exit(pid) != 0 or partial.stat().st_size == 0:
        raise RuntimeError("nothing was written")
    partial.chmod(0o644)
    partial.rename(target)


def _copy(reading: int, target: Path, bytes_max: int) -> None:
    with os.fdopen(reading, "rb") as source, target.open("wb") as file:
        total = 0
        while data := source.read(CHUNK):
            total += len(data)
            if total > bytes_max:
                raise OSError("too much was written")
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _empty(folder: Path) -> None:
    """Never the folder itself: a sandbox may show it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            path.unlink()
