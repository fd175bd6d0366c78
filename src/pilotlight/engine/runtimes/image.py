"""Container images: whatever one starts, which speaks the Runtime API. AWS's base images do, with their own clients.

The image is the sandbox's whole root, read-only, with a `/tmp` of its own. `USER` is ignored and the file's owner means
nothing, as on Lambda: what all may read is readable. What AWS sets for managed runtimes only is not set here.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from pilotlight.engine.contract import ContainerImage, FunctionVersion, RuntimeUnavailable
from pilotlight.engine.runtimes.environment import endpoint_of, reserved
from pilotlight.engine.runtimes.executing import execute
from pilotlight.engine.runtimes.spawning import SpawnedProcess
from pilotlight.engine.sandbox.contract import Sandbox, SandboxSpec
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires, make_output

NAME = "image"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MANAGED_ONLY = ("_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_EXECUTION_ENV")
"""AWS: these are not defined for container images; a base image sets some of them itself."""


class ImageRuntime:
    restores = False

    def __init__(self, *, egress: bool) -> None:
        self._egress = egress

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        image = _image(version)
        return SandboxSpec(
            code=version.code,
            root=image.layers,
            memory_mb=version.memory_mb,
            ephemeral_mb=version.ephemeral_mb,
            egress=self._egress and version.internet,
        )

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        return "", ""

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        if not sandbox.isolated:
            raise RuntimeUnavailable("container images need a sandbox: they do not run with --isolation=none")
        ours = reserved(version, sandbox, "", "")
        return {
            "PATH": PATH,
            "AWS_ENDPOINT_URL": endpoint_of(sandbox, ""),
            **_image(version).environment,
            **version.environment,
            **{name: value for name, value in ours.items() if name not in MANAGED_ONLY},
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
        image = _image(version)
        async with make_output() as (wires, output):
            pid = await execute(sandbox, list(image.argv), environment, image.working_directory, output)
        return wires, SpawnedProcess(sandbox, pid)


def _image(version: FunctionVersion) -> ContainerImage:
    assert version.image is not None
    return version.image
