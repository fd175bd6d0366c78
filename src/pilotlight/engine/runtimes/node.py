"""Node.js: two roads to a bootstrap of ours that speaks frames.

*Spare*: a process that was started ahead of time, with the usual built-in modules loaded, is told its function and its
environment. *Exec*: a fresh one, where the environment holds what only a fresh one reads (`NODE_OPTIONS`, `LD_PRELOAD`,
the exec wrapper …), or while there is no spare.

Where V8 has compiled a function's modules before, an instance is given that (`module_caches`).

The AWS SDK for JavaScript is not a part of Pilotlight: whatever is installed in the data directory's
`runtime/nodejs` (`npm install --prefix … @aws-sdk/client-s3`) is found by functions, as Lambda's own is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.environment import PATH, about, endpoint_of, places, reserved, scratch
from pilotlight.engine.runtimes.module_caches import MODULES, TRAINING_MB, ModuleCaches
from pilotlight.engine.runtimes.nodes import Node, Nodes
from pilotlight.engine.runtimes.spawning import CHANNEL, LIBRARY_PATH, needs_fresh, spawn
from pilotlight.engine.sandbox.contract import Sandbox, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

BOOTSTRAP_PLACE = "/var/runtime/bootstrap"
LIBRARIES_PLACE = "/var/runtime/nodejs"
MODULES_PLACE = "/var/runtime/modules"
OLD_SPACE, SEMI_SPACE = 90, 5
"""AWS: per cent of a function's memory for the old and the young part of its heap; the rest is Node.js itself."""
FIXED_FLAGS = ("--expose-gc", "--max-http-header-size=81920")
"""AWS: as its own bootstrap passes them."""
EXPERIMENTAL = {
    "require-module": {"nodejs20.x", "nodejs22.x"},
    "detect-module": {"nodejs22.x"},
}
"""AWS: features that Node.js has on by default and Lambda has not, unless NODE_OPTIONS names them."""
REQUIRE_SINCE = {20: (20, 19), 22: (22, 12)}
"""The releases that know the flag which turns require-module off."""
CACHES_SINCE = (20, 12)
"""Before this release a script that was compiled by hand could not `import()`."""
ONLY_FRESH = ("NODE_", "UV_", "SSL_CERT_", "OPENSSL_", "ICU_", "TZ")
READ_LATER = frozenset({"NODE_ENV", "NODE_PATH"})


@dataclass(frozen=True, slots=True)
class Sort:
    """Versions that the same spare may serve. The heap's size is settled when a process starts."""

    node: Node
    flags: tuple[str, ...]


class NodeRuntime:
    restores = False

    def __init__(
        self,
        *,
        nodes: Nodes,
        bootstrap: Path,
        libraries: Path,
        endpoint: str,
        egress: bool,
        caches: ModuleCaches | None = None,
    ) -> None:
        """`bootstrap` and `libraries` are directories that any function may read; `endpoint` is the cloud's own,
        for functions without a sandbox."""
        self._nodes = nodes
        self._caches = caches
        self._bootstrap = bootstrap
        self._libraries = libraries
        self._endpoint = endpoint
        self._egress = egress
        self._spares: bool | None = None
        scripts = b"".join((bootstrap / name).read_bytes() for name in ("modules.cjs", "compiling.cjs"))
        self._format = hashlib.sha256(scripts).hexdigest()

    def force(self, *, spares: bool | None) -> None:
        """One road for all, for tests; None: each version's own."""
        self._spares = spares

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        node, modules = self._nodes.for_runtime(version.runtime), self._modules(version)
        return SandboxSpec(
            code=version.code,
            layers=version.layers,
            readable=_readable(node),
            mounted=(*self._mounted(), *([(modules, MODULES_PLACE)] if modules else ())),
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress and version.internet,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        node = self._nodes.for_runtime(version.runtime)
        major, _, rest = node.version.partition(".")
        named = f"nodejs:{major}.v{rest.split('.')[0]}"
        return named, hashlib.sha256(f"{named} {node.version}".encode()).hexdigest()

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        task, opts = places(version, sandbox)
        major = version.runtime.removeprefix("nodejs").removesuffix(".x")
        libraries = LIBRARIES_PLACE if sandbox.isolated else str(self._libraries)
        search = [f"{opt}/nodejs/node{major}/node_modules" for opt in opts]
        search += [f"{opt}/nodejs/node_modules" for opt in opts]
        return {
            **scratch(sandbox),
            "PATH": PATH,
            "LD_LIBRARY_PATH": LIBRARY_PATH,
            "NODE_PATH": ":".join([*search, f"{libraries}/node_modules", task]),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_ENDPOINT_URL": endpoint_of(sandbox, self._endpoint),
            **version.environment,
            **reserved(version, sandbox, task, "/var/runtime" if sandbox.isolated else str(self._bootstrap)),
            **scratch(sandbox),
        }

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]:
        frame = self._frame(version, sandbox, environment, stream)
        modules = self._modules(version)
        if modules is None:
            self._prepare(version)
            return frame
        place = MODULES_PLACE if sandbox.isolated else str(modules)
        return frame | {"modules": f"{place}/{MODULES}"}

    def _frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]:
        return {
            **about(version, stream),
            "environment": environment,
            "task_root": places(version, sandbox)[0],
            "runtime": version.runtime,
        }

    async def prepare(self, version: FunctionVersion) -> None:
        self._prepare(version)

    def _prepare(self, version: FunctionVersion) -> None:
        if self._caches is None or (told := self._told(version)) is None or self._modules(version) is not None:
            return

        async def start(sandbox: Sandbox) -> tuple[Wires, Process]:
            return await self._exec(version, sandbox, self.environment(version, sandbox))

        self._caches.make_later(
            version,
            told,
            spec=replace(self.spec(version), memory_mb=max(TRAINING_MB, version.memory_mb), egress=False),
            libraries=self._libraries / "node_modules",
            start=start,
            frame=lambda sandbox: self._frame(version, sandbox, {}, ""),
        )

    def _modules(self, version: FunctionVersion) -> Path | None:
        """Where this version's compiled modules are, if they are there."""
        if self._caches is None or (told := self._told(version)) is None:
            return None
        return self._caches.found(version, told)

    def _told(self, version: FunctionVersion) -> list[str] | None:
        """What compiled modules depend on beside the function; None where it has none. V8 looks at the flags."""
        node = self._nodes.for_runtime(version.runtime)
        if node.release < CACHES_SINCE or _only_fresh(version):
            return None
        return [node.executable, node.version, self._format, *_flags(version, node)]

    def sort(self, version: FunctionVersion) -> Hashable | None:
        if self._spares is False or _only_fresh(version):
            return None
        node = self._nodes.for_runtime(version.runtime)
        return Sort(node, _flags(version, node))

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        if not isinstance(sort, Sort):
            return None
        await sandbox.mount((*self._mounted(), *((path, str(path)) for path in _readable(sort.node))))
        environment = {"PATH": PATH, "LD_LIBRARY_PATH": LIBRARY_PATH, "LANG": "en_US.UTF-8", "TZ": ":UTC"}
        return await spawn(sandbox, self._argv(sort, sandbox, "spare"), environment, directory="/")

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        if self._spares and (sort := self.sort(version)) is not None:
            made = await self.fork_spare(sort, sandbox)
            assert made is not None
            return made
        return await self._exec(version, sandbox, environment)

    async def _exec(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        node = self._nodes.for_runtime(version.runtime)
        argv = self._argv(Sort(node, _flags(version, node)), sandbox, "exec")
        wrapper = version.environment.get("AWS_LAMBDA_EXEC_WRAPPER")
        if wrapper:
            argv.insert(0, wrapper)
        return await spawn(sandbox, argv, environment, directory=places(version, sandbox)[0])

    def _mounted(self) -> tuple[tuple[Path, str], ...]:
        return ((self._bootstrap, BOOTSTRAP_PLACE), (self._libraries, LIBRARIES_PLACE))

    def _argv(self, sort: Sort, sandbox: Sandbox, road: str) -> list[str]:
        bootstrap = BOOTSTRAP_PLACE if sandbox.isolated else str(self._bootstrap)
        return [sort.node.executable, *sort.flags, f"{bootstrap}/bootstrap.cjs", str(CHANNEL), road]


def _only_fresh(version: FunctionVersion) -> bool:
    late = [name for name in version.environment if name not in READ_LATER]
    return needs_fresh(dict.fromkeys(late, ""), ONLY_FRESH)


def _readable(node: Node) -> tuple[Path, ...]:
    return () if node.prefix == "/usr" else (Path(node.prefix),)


def _flags(version: FunctionVersion, node: Node) -> tuple[str, ...]:
    heap = [
        f"--max-semi-space-size={max(1, version.memory_mb * SEMI_SPACE // 100)}",
        f"--max-old-space-size={version.memory_mb * OLD_SPACE // 100}",
    ]
    wanted = version.environment.get("NODE_OPTIONS", "")
    off = [
        f"--no-experimental-{feature}"
        for feature, runtimes in EXPERIMENTAL.items()
        if version.runtime in runtimes and _knows(node, feature) and f"--experimental-{feature}" not in wanted
    ]
    return (*FIXED_FLAGS, *heap, *off)


def _knows(node: Node, feature: str) -> bool:
    if feature == "detect-module":
        return node.major >= 22
    return node.release >= REQUIRE_SINCE.get(node.major, (23, 0))
