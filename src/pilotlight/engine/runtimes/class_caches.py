"""Archives of a function's classes, loaded and linked: what makes a Java function start in a fraction of the time.

A virtual machine can write down the classes that it has loaded (`AOTCacheOutput` from Java 25, `ArchiveClassesAtExit`
before), and another maps that file instead of loading them again. The archive is for one machine, one collector and one
class path, which must be of jars up to the last that a class came from. So the package's own classes are put into a jar
beside it, and all else that is in the package comes last: from a jar while the archive is made, where a directory is
refused, and from the package itself whenever it is used. To make it, the function is initialised once and never invoked
(`preparations`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.jvms import Jvm
from pilotlight.engine.runtimes.preparations import Preparations, fetch, initialised, inside
from pilotlight.engine.sandbox.contract import Sandbox, SandboxFactory, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

APP, RESOURCES, ARCHIVE = "app.jar", "resources.jar", "classes.jsa"
TRAINING_SECONDS = 120.0
CACHES_MAX = 64
"""On disk; a few dozen megabytes each."""
APP_BYTES_MAX = 160 * 1024 * 1024
ARCHIVE_BYTES_MAX = 512 * 1024 * 1024
AHEAD_OF_TIME = 25
_MOMENT = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a runtime has its function initialised, so that the machine writes `output` (inside) when it ends."""

    spec: SandboxSpec
    start: Callable[[Sandbox, str], Awaitable[tuple[Wires, Process]]]
    frame: Callable[[Sandbox], dict[str, object]]


class ClassCaches:
    """One directory for each cache, shown to its function. Its archive appears when its jar is there."""

    def __init__(self, directory: Path, factory: SandboxFactory, group: asyncio.TaskGroup) -> None:
        self.preparations = Preparations(directory, factory, group, kept_max=CACHES_MAX, seconds=TRAINING_SECONDS)

    def folder(self, version: FunctionVersion, jvm: Jvm, bootstrap: Path) -> Path:
        """Where the cache of this version is, or will be."""
        told = [str(jvm.home), jvm.version, str(bootstrap), hashlib.sha256(bootstrap.read_bytes()).hexdigest()]
        folder = self.preparations.place(version, told)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        os.utime(folder)
        return folder

    def make_later(self, folder: Path, version: FunctionVersion, training: Training) -> None:
        async def make() -> bool:
            if not await asyncio.to_thread(pack, version.code, folder):
                return False
            await self._train(folder, training)
            return True

        self.preparations.make_later(folder, version, make)

    async def _train(self, folder: Path, training: Training) -> None:
        async with self.preparations.sandbox(training.spec) as sandbox:
            output = inside(sandbox, ARCHIVE)
            wires, process = await training.start(sandbox, output)
            await initialised(wires, training.frame(sandbox) | {"training": True})
            if await process.wait() != 0:
                raise RuntimeError("the machine did not end well")
            await fetch(sandbox, output, folder / ARCHIVE, bytes_max=ARCHIVE_BYTES_MAX)


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
