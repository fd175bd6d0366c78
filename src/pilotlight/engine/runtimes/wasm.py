"""WebAssembly, our own addition: `Runtime: wasip1`, for what Go's `GOOS=wasip1` and Rust's `wasm32-wasip1` make.

The handler names the module: `main.wasm`, or `main`. Each invocation is a run of its `_start` in a fresh instance: the
event is on standard input, the answer on standard output, the log on standard error. What a context tells is in the
environment: `AWS_LAMBDA_REQUEST_ID`, `…_DEADLINE_MS`, `…_INVOKED_FUNCTION_ARN`, `…_CLIENT_CONTEXT`,
`…_COGNITO_IDENTITY`. `/var/task` can be read, and `/tmp` is kept while warm. There are no sockets in WASI preview 1.

wasmtime runs it, in a process of ours inside a sandbox. A module is compiled once, when it is published, or started if
that comes first, in a sandbox of its own. Native code is never taken from a package: to load it is to trust it.
Time-outs end the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Hashable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

from pilotlight.engine.contract import FunctionVersion, RuntimeUnavailable
from pilotlight.engine.runtimes.environment import PATH, endpoint_of, places, reserved, scratch
from pilotlight.engine.runtimes.interpreters import Interpreter, Interpreters
from pilotlight.engine.runtimes.shared import install_package
from pilotlight.engine.runtimes.spawning import CHANNEL, spawn
from pilotlight.engine.sandbox.contract import Launch, Sandbox, SandboxFactory, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

RUNTIME = "wasip1"
BOOTSTRAP_PLACE, FRAMES_PLACE = "/var/runtime/bootstrap", "/var/runtime/frames"
WASMTIME_PLACE, COMPILED_PLACE = "/var/runtime/wasmtime", "/var/runtime/compiled"
COMPILED = "module.cwasm"
COMPILER_MB = 3008
COMPILER_SECONDS = 120.0
COMPILED_BYTES_MAX = 1 << 30
COMPILED_KEPT_MAX = 500
REFUSAL_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Sort:
    """Any module may be run by any spare."""


class WasmRuntime:
    restores = False

    def __init__(
        self, *, factory: SandboxFactory, directory: Path, bootstrap: Path, frames: Path, endpoint: str, egress: bool
    ) -> None:
        """`directory` is our own; `bootstrap` and `frames` (Python's bootstrap) are directories that any function may
        read; `endpoint` is the cloud's own, for functions without a sandbox."""
        self._factory = factory
        self._directory = directory
        self._bootstrap = bootstrap
        self._frames = frames
        self._endpoint = endpoint
        self._egress = egress
        self._wasmtime: tuple[Path, str] | None = None
        self._python: Interpreter | None = None
        self._locks: dict[Path, asyncio.Lock] = {}

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        compiled = self._compiled(version)
        compiled.mkdir(parents=True, exist_ok=True, mode=0o755)
        return SandboxSpec(
            code=version.code,
            layers=version.layers,
            readable=(Path(self._interpreter().prefix),),
            mounted=(*self._mounted(), (compiled, COMPILED_PLACE)),
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        named = f"wasip1:wasmtime.v{self._library()[1]}"
        return named, hashlib.sha256(named.encode()).hexdigest()

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        return {
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_ENDPOINT_URL": endpoint_of(sandbox, self._endpoint),
            **version.environment,
            **reserved(version, sandbox, "/var/task", "/var/runtime"),
        }

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]:
        host = self._compiled(version)
        refused = host / "refusal"
        return {
            "handler": version.handler,
            "environment": environment,
            "compiled": f"{COMPILED_PLACE if sandbox.isolated else host}/{COMPILED}",
            "refusal": refused.read_text() if refused.exists() else "",
            "task_root": places(version, sandbox)[0],
            "scratch": scratch(sandbox).get("TMPDIR", "/tmp"),
            "memory_mb": version.memory_mb,
        }

    async def prepare(self, version: FunctionVersion) -> None:
        await self._compile(version)

    def sort(self, version: FunctionVersion) -> Hashable | None:
        """None until it is compiled: `start` sees to that."""
        return Sort() if (self._compiled(version) / COMPILED).exists() else None

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        await sandbox.mount((*self._mounted(), (Path(self._interpreter().prefix), self._interpreter().prefix)))
        return await self._spawn(sandbox, "/")

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        await self._compile(version)
        return await self._spawn(sandbox, places(version, sandbox)[0])

    async def _spawn(self, sandbox: Sandbox, directory: str) -> tuple[Wires, Process]:
        bootstrap, frames, library = self._shown(sandbox)
        argv = [self._interpreter().executable, "-I", "-S", f"{bootstrap}/bootstrap.py", str(CHANNEL), frames, library]
        return await spawn(sandbox, argv, {"PATH": PATH, "TZ": ":UTC"}, directory=directory)

    # Compiling.

    async def _compile(self, version: FunctionVersion) -> None:
        """Once for a module, whoever else waits for it."""
        target = self._compiled(version)
        async with self._locks.setdefault(target, asyncio.Lock()):
            if not any((target / name).exists() for name in (COMPILED, "refusal")):
                self._forget_old()
                await self._compile_into(target, version)
        self._locks.pop(target, None)

    async def _compile_into(self, target: Path, version: FunctionVersion) -> None:
        name = _module(version.handler)
        if name is None or not (version.code / name).is_file():
            _keep(target / "refusal", f"there is no module {version.handler!r} in the package".encode())
            return
        sandbox = await self._factory.reserve()
        try:
            spec = SandboxSpec(
                code=version.code,
                readable=(Path(self._interpreter().prefix),),
                mounted=self._mounted(),
                memory_mb=COMPILER_MB,
                egress=False,
            )
            await self._factory.furnish(sandbox, spec)
            made, said = await self._run_compiler(sandbox, f"{places(version, sandbox)[0]}/{name}")
        finally:
            sandbox.kill()
            await sandbox.destroy()
        target.mkdir(parents=True, exist_ok=True, mode=0o755)
        if made:
            await asyncio.to_thread(_keep, target / COMPILED, made)
        else:
            _keep(target / "refusal", said or b"it could not be compiled")

    async def _run_compiler(self, sandbox: Sandbox, module: str) -> tuple[bytes, bytes]:
        """Native code, or nothing and why."""
        bootstrap, _, library = self._shown(sandbox)
        argv = [self._interpreter().executable, "-I", "-S", f"{bootstrap}/compiler.py", library, module]
        pipes = [os.pipe(), os.pipe()]
        try:
            descriptors = {CHANNEL: pipes[0][1], 2: pipes[1][1]}
            launch = Launch(argv=argv, environment={"PATH": PATH}, working_directory="/", descriptors=descriptors)
            pid = await sandbox.spawn(launch)
        finally:
            os.close(pipes[0][1])
            os.close(pipes[1][1])
        reading = asyncio.gather(
            asyncio.to_thread(_drain, pipes[0][0], COMPILED_BYTES_MAX),
            asyncio.to_thread(_drain, pipes[1][0], REFUSAL_BYTES_MAX),
        )
        try:
            async with asyncio.timeout(COMPILER_SECONDS):
                status = await sandbox.wait_exit(pid)
        except TimeoutError:
            status = -1
        sandbox.kill()  # and with it whoever else holds the pipes
        made, said = await reading
        return (made, b"") if status == 0 else (b"", said)

    def _forget_old(self) -> None:
        found = sorted(self._directory.glob("compiled/*"), key=lambda one: one.stat().st_mtime)
        for one in found[: -COMPILED_KEPT_MAX or None] if len(found) > COMPILED_KEPT_MAX else ():
            shutil.rmtree(one, ignore_errors=True)

    # Where everything is.

    def _compiled(self, version: FunctionVersion) -> Path:
        named = (str(version.code), version.handler, self._library()[1], platform.machine(), platform.node())
        return self._directory / "compiled" / hashlib.sha256("\0".join(named).encode()).hexdigest()

    def _mounted(self) -> tuple[tuple[Path, str], ...]:
        return (
            (self._bootstrap, BOOTSTRAP_PLACE),
            (self._frames, FRAMES_PLACE),
            (self._library()[0], WASMTIME_PLACE),
        )

    def _shown(self, sandbox: Sandbox) -> tuple[str, str, str]:
        if sandbox.isolated:
            return BOOTSTRAP_PLACE, FRAMES_PLACE, WASMTIME_PLACE
        return str(self._bootstrap), str(self._frames), str(self._library()[0])

    def _library(self) -> tuple[Path, str]:
        """wasmtime's directory and version. Raises RuntimeUnavailable."""
        if self._wasmtime is None:
            try:
                version = metadata.version("wasmtime")
            except metadata.PackageNotFoundError:
                raise RuntimeUnavailable(
                    "wasip1 functions need wasmtime: install it with `pip install 'pilotlight[wasm]'`"
                ) from None
            self._wasmtime = install_package(self._directory, "wasmtime", compiled=True), version
        return self._wasmtime

    def _interpreter(self) -> Interpreter:
        """The Python that runs Pilotlight, for which wasmtime was installed."""
        if self._python is None:
            self._python = Interpreters(strict=True).for_runtime(f"python3.{sys.version_info.minor}")
        return self._python


def _module(handler: str) -> str | None:
    """The module's path in the package."""
    path = PurePosixPath(handler if handler.endswith(".wasm") else f"{handler}.wasm")
    return None if path.is_absolute() or ".." in path.parts else str(path)


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.chmod(0o644)
    partial.rename(path)


def _drain(descriptor: int, limit: int) -> bytes:
    """All that comes, as far as the limit goes."""
    parts, size = [], 0
    with contextlib.closing(os.fdopen(descriptor, "rb", buffering=0)) as file:
        while data := file.read(1 << 20):
            if size < limit:
                parts.append(data)
            size += len(data)
    return b"".join(parts)
