"""Node.js: a fresh process for each instance, with a bootstrap of ours that speaks frames.

The AWS SDK for JavaScript is not a part of Pilotlight: whatever is installed in the data directory's
`runtime/nodejs` (`npm install --prefix … @aws-sdk/client-s3`) is found by functions, as Lambda's own is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.environment import PATH, endpoint_of, places, reserved, scratch
from pilotlight.engine.runtimes.nodes import Nodes
from pilotlight.engine.runtimes.spawning import CHANNEL, LIBRARY_PATH, spawn
from pilotlight.engine.sandbox.contract import Sandbox, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires

BOOTSTRAP_PLACE = "/var/runtime/bootstrap"
LIBRARIES_PLACE = "/var/runtime/nodejs"
OLD_SPACE = 0.9
"""The part of a function's memory that its heap may take; the rest is Node.js itself."""


class NodeRuntime:
    def __init__(self, *, nodes: Nodes, bootstrap: Path, libraries: Path, endpoint: str, egress: bool) -> None:
        """`bootstrap` and `libraries` are directories that any function may read; `endpoint` is the cloud's own,
        for functions without a sandbox."""
        self._nodes = nodes
        self._bootstrap = bootstrap
        self._libraries = libraries
        self._endpoint = endpoint
        self._egress = egress

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        node = self._nodes.for_runtime(version.runtime)
        return SandboxSpec(
            code=version.code,
            layers=version.layers,
            readable=() if node.prefix == "/usr" else (Path(node.prefix),),
            mounted=((self._bootstrap, BOOTSTRAP_PLACE), (self._libraries, LIBRARIES_PLACE)),
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        node = self._nodes.for_runtime(version.runtime)
        major, _, rest = node.version.partition(".")
        named = f"nodejs:{major}.v{rest.split('.')[0]}"
        return named, hashlib.sha256(f"{named} {node.version}".encode()).hexdigest()

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        task, opts = places(version, sandbox)
        major = self._nodes.for_runtime(version.runtime).major
        libraries = LIBRARIES_PLACE if sandbox.isolated else str(self._libraries)
        search = [f"{opt}/nodejs/node{major}/node_modules" for opt in opts]
        search += [f"{opt}/nodejs/node_modules" for opt in opts]
        return {
            **scratch(sandbox),
            "PATH": PATH,
            "LD_LIBRARY_PATH": LIBRARY_PATH,
            "NODE_PATH": ":".join([*search, f"{libraries}/node_modules"]),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_ENDPOINT_URL": endpoint_of(sandbox, self._endpoint),
            **version.environment,
            **reserved(version, task, "/var/runtime" if sandbox.isolated else str(self._bootstrap)),
            **scratch(sandbox),
        }

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]:
        return {
            "handler": version.handler,
            "task_root": places(version, sandbox)[0],
            "runtime": version.runtime,
            "log_group": version.log_group,
            "log_stream": stream,
            "log_format": version.log_format,
            "application_log_level": version.application_log_level,
            "function_name": version.name,
            "function_version": version.version,
            "memory_mb": version.memory_mb,
        }

    def sort(self, version: FunctionVersion) -> Hashable | None:
        return None

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        return None

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        node = self._nodes.for_runtime(version.runtime)
        bootstrap = BOOTSTRAP_PLACE if sandbox.isolated else str(self._bootstrap)
        heap = max(48, int(version.memory_mb * OLD_SPACE))
        argv = [node.executable, f"--max-old-space-size={heap}", f"{bootstrap}/bootstrap.cjs", str(CHANNEL)]
        wrapper = version.environment.get("AWS_LAMBDA_EXEC_WRAPPER")
        if wrapper:
            argv.insert(0, wrapper)
        return await spawn(sandbox, argv, environment, directory=places(version, sandbox)[0])
