"""Archives of a function's classes, loaded and linked: what makes a Java function start in a fraction of the time.

A virtual machine can write down the classes that it has loaded (`AOTCacheOutput` from Java 25, `ArchiveClassesAtExit`
before), and another maps that file instead of loading them again. The archive is for one machine, one collector and one
class path, which must be of jars up to the last that a class came from. So the package's own classes are put into a jar
beside it, and all else that is in the package comes last: from a jar while the archive is made, where a directory is
refused, and from the package itself whenever it is used. It is made after the first cold start, in a
sandbox of its own that has no credentials, no endpoint and no way out, where the function is initialised once and
never invoked. While there is none, or it is broken, functions start without.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine import frames
from pilotlight.engine.contract import FunctionVersion, IsolationUnavailable, RuntimeUnavailable
from pilotlight.engine.runtimes.jvms import Jvm
from pilotlight.engine.sandbox.contract import Launch, Sandbox, SandboxFactory, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

log = logging.getLogger(__name__)

APP, RESOURCES, ARCHIVE = "app.jar", "resources.jar", "classes.jsa"
DELAY_SECONDS = 1.0
"""The cold start that showed the need has the processors first."""
TRAINING_SECONDS = 120.0
CACHES_MAX = 64
"""On disk; a few dozen megabytes each."""
APP_BYTES_MAX = 160 * 1024 * 1024
ARCHIVE_BYTES_MAX = 512 * 1024 * 1024
CHUNK = 1 << 20
AHEAD_OF_TIME = 25
_MOMENT = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a runtime has its function initialised, so that the machine writes `output` (inside) when it ends."""

    take: Callable[[], Awaitable[Sandbox]]
    start: Callable[[Sandbox, str], Awaitable[tuple[Wires, Process]]]
    frame: Callable[[Sandbox], dict[str, object]]


class ClassCaches:
    """One directory for each cache, shown to its function. Its archive appears when its jar is there."""

    def __init__(self, directory: Path, factory: SandboxFactory, group: asyncio.TaskGroup) -> None:
        self.directory = directory
        self._factory = factory
        self._group = group
        self._tried: set[Path] = set()
        self._one_by_one = asyncio.Lock()
        self.delay_seconds = DELAY_SECONDS
        self.made = self.failed = 0
        """How many, since this process began."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        used = sorted(directory.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
        for folder in used[CACHES_MAX:]:
            shutil.rmtree(folder, ignore_errors=True)

    def folder(self, version: FunctionVersion, jvm: Jvm, bootstrap: Path) -> Path:
        """Where the cache of this version is, or will be."""
        told = [version.account, version.handler, str(version.code), str(jvm.home), jvm.version]
        told += [str(self._factory.describe()["isolation"]), str(bootstrap), str(bootstrap.stat().st_size)]
        told += [hashlib.sha256(bootstrap.read_bytes()).hexdigest(), *map(str, version.layers)]
        folder = self.directory / hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        os.utime(folder)
        return folder

    async def take(self, spec: SandboxSpec) -> Sandbox:
        return await self._factory.take(spec)

    def make_later(self, folder: Path, version: FunctionVersion, training: Training) -> None:
        """Once for each function while this process lives."""
        if folder not in self._tried:
            self._tried.add(folder)
            work = self._make(folder, version, training)
            try:
                self._group.create_task(work)
            except RuntimeError:  # the group has ended, and with it the node
                work.close()

    async def _make(self, folder: Path, version: FunctionVersion, training: Training) -> None:
        await asyncio.sleep(self.delay_seconds)
        async with self._one_by_one:
            try:
                if await asyncio.to_thread(pack, version.code, folder):
                    async with asyncio.timeout(TRAINING_SECONDS):
                        await self._train(folder, training)
                    self.made += 1
            except (OSError, RuntimeError, ValueError, TimeoutError, IsolationUnavailable, RuntimeUnavailable) as error:
                # It would only have been faster: nothing is lost but time.
                log.info("no class cache for %s: %s", version.arn, error or type(error).__name__)
                self.failed += 1
                _remove(folder)

    async def _train(self, folder: Path, training: Training) -> None:
        sandbox = await training.take()
        try:
            if sandbox.listener is not None:
                sandbox.listener.close()  # who calls the cloud while it initialises is refused at once
            scratch = "/tmp" if sandbox.isolated else str(getattr(sandbox, "scratch", "/tmp"))
            output = f"{scratch}/{ARCHIVE}"
            wires, process = await training.start(sandbox, output)
            wires.output.attach(lambda data: None)
            await _initialised(wires, training.frame(sandbox))
            if await process.wait() != 0:
                raise RuntimeError("the machine did not end well")
            await self._fetch(sandbox, output, folder / ARCHIVE)
        finally:
            sandbox.kill()
            await sandbox.destroy()

    async def _fetch(self, sandbox: Sandbox, inside: str, target: Path) -> None:
        """What was written inside, out by a pipe: the function's own processes may have put anything there."""
        reading, writing = os.pipe()
        try:
            launch = Launch(argv=["/bin/cat", inside], environment={}, descriptors={1: writing})
            pid = await sandbox.spawn(launch)
        finally:
            os.close(writing)
        partial = target.with_suffix(".partial")
        await asyncio.to_thread(_copy, reading, partial)
        if await sandbox.wait_exit(pid) != 0 or partial.stat().st_size == 0:
            raise RuntimeError("the machine wrote no archive")
        partial.chmod(0o644)
        partial.rename(target)


async def _initialised(wires: Wires, start: dict[str, object]) -> None:
    """Wait until the function is initialised and its process gone."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    said: list[int] = []
    wires.channel.attach(
        lambda kind, body, size: said.append(kind) if kind != frames.LOG else None,
        lambda: None if gone.done() else gone.set_result(None),
    )
    wires.channel.send(frames.START, json.dumps(start | {"training": True}).encode())
    await gone
    if said != [frames.READY]:
        raise RuntimeError("the function could not be initialised")


def _remove(folder: Path) -> None:
    """Never the folder itself: a sandbox may show it."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            path.unlink()


def _copy(reading: int, target: Path) -> None:
    with os.fdopen(reading, "rb") as source, target.open("wb") as file:
        total = 0
        while data := source.read(CHUNK):
            total += len(data)
            if total > ARCHIVE_BYTES_MAX:
                raise OSError("the archive is too large")
            file.write(data)


def pack(code: Path, folder: Path) -> bool:
    """A package's own classes as one jar and its other files as another, without the jars in its `lib`. False where
    there are too many bytes."""
    files = list(_own_files(code))
    if sum(path.stat().st_size for path in files) > APP_BYTES_MAX:
        return False
    _jar(code, [path for path in files if path.suffix != ".class"], folder / RESOURCES)
    _jar(code, [path for path in files if path.suffix == ".class"], folder / APP)
    return True


def _jar(code: Path, files: list[Path], target: Path) -> None:
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            info = zipfile.ZipInfo(str(path.relative_to(code)), _MOMENT)
            archive.writestr(info, path.read_bytes())
    partial.chmod(0o644)
    partial.rename(target)


def _own_files(code: Path) -> Iterator[Path]:
    for path in sorted(code.rglob("*")):
        if path.is_file() and not (path.parent == code / "lib" and path.suffix == ".jar"):
            yield path
