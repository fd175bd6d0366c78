"""Python functions: three roads to a running bootstrap, and what the function finds around it.

*boto3 zygote*: forked from an interpreter that has boto3 and the usual services' models in memory. *Bare zygote*:
forked from one that has only the standard library, for packages that bring a boto3 or urllib3 of their own, which must
win. *Exec*: a fresh interpreter, where the environment holds what only a fresh one reads (`LD_PRELOAD`, `PYTHON…`, the
exec wrapper), and while a zygote is still being warmed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.environment import PATH, about, endpoint_of, places, reserved, scratch
from pilotlight.engine.runtimes.interpreters import Interpreter, Interpreters
from pilotlight.engine.runtimes.spawning import CHANNEL, SpawnedProcess
from pilotlight.engine.runtimes.zygotes import (
    BOOTSTRAP_PLACE,
    LIBRARY_PATH,
    RUNTIME_PLACE,
    Kind,
    Zygote,
    ZygoteGone,
    Zygotes,
)
from pilotlight.engine.sandbox.contract import Launch, Sandbox, SandboxSpec
from pilotlight.engine.sandbox.plain import PlainSandbox
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Ends, Wires, make_wires

Road = Literal["boto3", "bare", "exec"]
ROADS_CACHED_MAX = 5000
BOTO3_MINOR_MIN = 10
"""What the boto3 of today asks of Python; older interpreters must bring their own."""
OWN_WINS = ("boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six")
EXEC_VARIABLES = ("LD_PRELOAD", "LD_LIBRARY_PATH", "AWS_LAMBDA_EXEC_WRAPPER")


@dataclass(frozen=True, slots=True)
class Sort:
    """Versions that can be started from the same fork."""

    account: str
    interpreter: Interpreter
    boto3: bool

    def kind(self, sandbox: Sandbox) -> Kind:
        return Kind(self.account, self.interpreter, boto3=self.boto3, isolated=sandbox.isolated, joins=sandbox.joins)


class PythonRuntime:
    restores = True

    def __init__(
        self,
        *,
        interpreters: Interpreters,
        zygotes: Zygotes | None,
        bootstrap: Path,
        boto3: Path,
        endpoint: str,
        egress: bool,
        road: Road | None = None,
    ) -> None:
        """`bootstrap` and `boto3` are directories that any function may read; `endpoint` is the cloud's own,
        for functions without a sandbox; `road` forces one, for tests."""
        self._interpreters = interpreters
        self._zygotes = zygotes
        self._bootstrap = bootstrap
        self._boto3 = boto3
        self._endpoint = endpoint
        self._egress = egress
        self._forced = road
        self._roads: OrderedDict[str, Road] = OrderedDict()

    # What a version needs.

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        interpreter = self._interpreters.for_runtime(version.runtime)
        return SandboxSpec(
            code=version.code,
            layers=version.layers,
            readable=(Path(interpreter.prefix),),
            mounted=((self._boto3, RUNTIME_PLACE), (self._bootstrap, BOOTSTRAP_PLACE)),
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress and version.internet,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        interpreter = self._interpreters.for_runtime(version.runtime)
        named = f"python:3.{interpreter.minor}.v{interpreter.version.split('.')[2]}"
        return named, hashlib.sha256(named.encode()).hexdigest()

    def road(self, version: FunctionVersion) -> Road:
        if self._forced is not None:
            return self._forced
        road = self._roads.get(version.key)
        if road is None:
            road = self._roads[version.key] = self._choose(version)
            while len(self._roads) > ROADS_CACHED_MAX:
                self._roads.popitem(last=False)
        return road

    def _choose(self, version: FunctionVersion) -> Road:
        if any(name in EXEC_VARIABLES or name.startswith("PYTHON") for name in version.environment):
            return "exec"
        interpreter = self._interpreters.for_runtime(version.runtime)
        return "bare" if interpreter.minor < BOTO3_MINOR_MIN or brings_its_own(version) else "boto3"

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        """All of AWS's reserved variables, under the function's own. Credentials are added by the agent."""
        task, _ = places(version, sandbox)
        return {
            **scratch(sandbox),
            "PATH": PATH,
            "LD_LIBRARY_PATH": LIBRARY_PATH,
            "PYTHONPATH": ":".join(self._shared_libraries(version, sandbox)),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_ENDPOINT_URL": endpoint_of(sandbox, self._endpoint),
            **version.environment,
            **reserved(version, sandbox, task, RUNTIME_PLACE if sandbox.isolated else str(self._boto3)),
            **scratch(sandbox),
        }

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]:
        interpreter = self._interpreters.for_runtime(version.runtime)
        task, opts = places(version, sandbox)
        search = [part for opt in opts for part in _layer_paths(opt, interpreter)]
        return {
            **about(version, stream),
            "environment": environment,
            "task_root": task,
            "search_path": [*search, *self._shared_libraries(version, sandbox)],
            "runtime": version.runtime,
            "snap_start": version.snap_start,
        }

    def _shared_libraries(self, version: FunctionVersion, sandbox: Sandbox) -> list[str]:
        interpreter = self._interpreters.for_runtime(version.runtime)
        if interpreter.minor >= BOTO3_MINOR_MIN:
            return [RUNTIME_PLACE if sandbox.isolated else str(self._boto3)]
        self._interpreters.warnings[f"boto3 on 3.{interpreter.minor}"] = (
            f"Today's boto3 needs Python 3.{BOTO3_MINOR_MIN}: functions on Python 3.{interpreter.minor} "
            "bring their own, in the package or a layer."
        )
        return []

    # Starting.

    def sort(self, version: FunctionVersion) -> Hashable | None:
        road = self.road(version)
        if road == "exec" or self._zygotes is None:
            return None
        return Sort(version.account, self._interpreters.for_runtime(version.runtime), boto3=road == "boto3")

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        """Waits for the zygote: this is not on anyone's way."""
        if self._zygotes is None or not isinstance(sort, Sort):
            return None
        zygote = await self._zygotes.wait_ready(sort.kind(sandbox))
        try:
            return await _fork(zygote, sandbox) if zygote is not None else None
        except ZygoteGone:
            return None

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        sort = self.sort(version)
        if isinstance(sort, Sort) and self._zygotes is not None:
            if self._forced is not None:
                zygote = await self._zygotes.wait_ready(sort.kind(sandbox))
            else:
                zygote = self._zygotes.ready(sort.kind(sandbox))
            try:
                if zygote is None:
                    raise ZygoteGone("there is no zygote yet")
                return await _fork(zygote, sandbox)
            except ZygoteGone:
                if self._forced is not None:
                    raise
                # Exec works without it.
        async with make_wires() as (wires, ends):
            return wires, await self._exec(version, sandbox, environment, ends)

    async def _exec(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], ends: Ends
    ) -> Process:
        interpreter = self._interpreters.for_runtime(version.runtime)
        bootstrap = BOOTSTRAP_PLACE if sandbox.isolated else str(self._bootstrap)
        argv = [interpreter.executable, "-s", "-S", f"{bootstrap}/bootstrap.py", str(CHANNEL)]
        wrapper = version.environment.get("AWS_LAMBDA_EXEC_WRAPPER")
        if wrapper:
            argv.insert(0, wrapper)
        pid = await sandbox.spawn(
            Launch(
                argv=argv,
                environment=environment,
                working_directory="/var/task" if sandbox.isolated else str(version.code),
                descriptors={1: ends.output, 2: ends.output, CHANNEL: ends.channel},
            )
        )
        return SpawnedProcess(sandbox, pid)


async def _fork(zygote: Zygote, sandbox: Sandbox) -> tuple[Wires, Process]:
    """Raises ZygoteGone."""
    async with make_wires() as (wires, ends):
        process = await zygote.fork(sandbox.entry(), ends.channel, ends.output)
    if isinstance(sandbox, PlainSandbox):
        sandbox.adopt(process.pid)
    if not sandbox.charged:
        process.baseline_mb = 0  # counted by the process itself
    return wires, process


def brings_its_own(version: FunctionVersion) -> bool:
    """Whether package or layers hold a library that a zygote would have loaded already."""
    for folder in (version.code, *(layer / "python" for layer in version.layers)):
        if any((folder / name).exists() or (folder / f"{name}.py").exists() for name in OWN_WINS):
            return True
        if any((site / name).exists() for site in folder.glob("lib/python3.*/site-packages") for name in OWN_WINS):
            return True
    return False


def _layer_paths(opt: str, interpreter: Interpreter) -> list[str]:
    return [f"{opt}/python/lib/python3.{interpreter.minor}/site-packages", f"{opt}/python"]
