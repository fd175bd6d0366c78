"""What V8 made of a function's CommonJS modules, so that the next instance need not compile them.

V8 can write down a script it has compiled, the functions that were called with the rest, and take it back where its
version, its flags and the source are the same. It does not look whether the bytes are whole, so that is done here, once
while this process lives. To make them, the function is initialised once and never invoked (`preparations`); inside,
`bootstraps/node/modules.cjs` writes and reads them. ES modules are compiled as ever: Node.js has no way to hand V8 a
cache for them, but its own compile cache, which must be able to write.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.preparations import Preparations, fetch, initialised, inside
from pilotlight.engine.sandbox.contract import Sandbox, SandboxFactory, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

MODULES, DIGEST = "modules.v8", "modules.sha256"
TRAINING_SECONDS = 30.0
CACHES_MAX = 256
"""On disk; about a megabyte each."""
MODULES_BYTES_MAX = 32 * 1024 * 1024
SCRIPTS = (".js", ".cjs", ".mjs")
SOURCE_BYTES_MIN = 64 * 1024
"""Less than this compiles faster than anything could be read."""
TRAINING_MB = 512
"""As much as it takes to write everything down; the heap's size stays the function's own, which V8 looks at."""


class ModuleCaches:
    def __init__(self, directory: Path, factory: SandboxFactory, group: asyncio.TaskGroup) -> None:
        self.preparations = Preparations(directory, factory, group, kept_max=CACHES_MAX, seconds=TRAINING_SECONDS)
        self._whole: set[Path] = set()

    def found(self, version: FunctionVersion, told: Iterable[str]) -> Path | None:
        """The directory of a version's modules, if they are there."""
        folder = self.preparations.place(version, told)
        if folder not in self._whole:
            if not is_whole(folder):
                return None
            self._whole.add(folder)
        return folder

    def make_later(
        self,
        version: FunctionVersion,
        told: Iterable[str],
        *,
        spec: SandboxSpec,
        libraries: Path,
        start: Callable[[Sandbox], Awaitable[tuple[Wires, Process]]],
        frame: Callable[[Sandbox], dict[str, object]],
    ) -> None:
        """`libraries` is what functions find beside their own; `start` starts a bootstrap that initialises the
        function, and writes its modules down."""
        folder = self.preparations.place(version, told)

        async def make() -> bool:
            if not await asyncio.to_thread(_worth, (version.code, *version.layers), libraries):
                return False
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
            async with self.preparations.sandbox(spec) as sandbox:
                output = inside(sandbox, MODULES)
                wires, process = await start(sandbox)
                await initialised(wires, frame(sandbox) | {"training": output})
                await process.wait()
                await fetch(sandbox, output, folder / MODULES, bytes_max=MODULES_BYTES_MAX)
            (folder / DIGEST).write_text(await asyncio.to_thread(_digest, folder / MODULES))
            return True

        self.preparations.make_later(folder, version, make)


def is_whole(folder: Path) -> bool:
    try:
        return (folder / DIGEST).read_text() == _digest(folder / MODULES)
    except (OSError, UnicodeDecodeError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _worth(sources: Iterable[Path], libraries: Path) -> bool:
    """Whether there is enough to compile: in the package, or in libraries that its own few files name."""
    names = [f"{one.name}".encode() for one in libraries.iterdir()] if libraries.is_dir() else []
    total = 0
    for source in sources:
        for path in source.rglob("*"):
            if path.suffix not in SCRIPTS or not path.is_file():
                continue
            total += path.stat().st_size
            if total >= SOURCE_BYTES_MIN:
                return True
            text = path.read_bytes() if names else b""
            if any(name in text for name in names):
                return True
    return False
