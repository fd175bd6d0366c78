"""`provided.al2` and `provided.al2023`: the package's own `bootstrap`, which speaks the Runtime API.

Go, Rust, C++, .NET native AOT and shell scripts run so. What Amazon Linux has beside libc is not here: a program finds
the host's `/usr`. A static binary does not care.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

from pilotlight.engine.contract import EntrypointInvalid, FunctionVersion
from pilotlight.engine.runtimes.environment import PATH, endpoint_of, places, reserved, scratch
from pilotlight.engine.runtimes.executing import execute
from pilotlight.engine.runtimes.spawning import SpawnedProcess
from pilotlight.engine.sandbox.contract import Sandbox, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires, make_output

LIBRARY_PATH = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"


class ProvidedRuntime:
    restores = False

    def __init__(self, *, endpoint: str, egress: bool) -> None:
        """`endpoint` is the cloud's own, for functions without a sandbox."""
        self._endpoint = endpoint
        self._egress = egress

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        return SandboxSpec(
            code=version.code,
            layers=version.layers,
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress and version.internet,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        named = f"{version.runtime.replace('.', ':', 1)}.v1"
        return named, hashlib.sha256(named.encode()).hexdigest()

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        task, opts = places(version, sandbox)
        ours = reserved(version, sandbox, task, "/var/runtime")
        # AWS: "this environment variable is not defined for OS-only runtimes".
        del ours["AWS_EXECUTION_ENV"]
        libraries = LIBRARY_PATH if sandbox.isolated else ":".join(f"{root}/lib" for root in (task, *opts))
        return {
            **scratch(sandbox),
            "PATH": PATH,
            "LD_LIBRARY_PATH": libraries,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_ENDPOINT_URL": endpoint_of(sandbox, self._endpoint),
            **version.environment,
            **ours,
            **scratch(sandbox),
        }

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]:
        return {}

    def sort(self, version: FunctionVersion) -> Hashable | None:
        return None

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        return None

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        task, opts = places(version, sandbox)
        program = _bootstrap(version, [task, *(opts or ["/opt"])])
        async with make_output() as (wires, output):
            pid = await execute(sandbox, [program], environment, task, output)
        return wires, SpawnedProcess(sandbox, pid)


def _bootstrap(version: FunctionVersion, roots: list[str]) -> str:
    """AWS: the package's `bootstrap`, else a layer's; looked for where they are on the host."""
    if (version.code / "bootstrap").is_file():
        return f"{roots[0]}/bootstrap"
    for number, layer in enumerate(reversed(version.layers)):
        if (layer / "bootstrap").is_file():
            return f"{roots[min(number + 1, len(roots) - 1)]}/bootstrap"
    names = " ".join(f"{root}/bootstrap" for root in ("/var/task", "/opt"))
    raise EntrypointInvalid(f"Couldn't find valid bootstrap(s): [{names}]")
