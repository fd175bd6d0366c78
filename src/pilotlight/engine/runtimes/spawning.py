"""Bootstraps that are programs of their own, started by exec: for one version, or ahead of time for any of its sort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotlight.engine.sandbox.contract import Launch, Sandbox
from pilotlight.engine.spares import Process
from pilotlight.engine.wires import Wires, make_wires

CHANNEL = 3
"""The descriptor of its control socket."""
LIBRARY_PATH = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
"""AWS's own `LD_LIBRARY_PATH`. The dynamic loader reads it once, so whatever is started ahead has it from the start."""
LOADERS = ("LD_", "GLIBC_", "MALLOC_", "LANG", "LC_", "AWS_LAMBDA_EXEC_WRAPPER")
"""Variables, by the beginning of their names, that only a fresh process reads."""


class SpawnedProcess:
    baseline_mb = 0

    def __init__(self, sandbox: Sandbox, pid: int) -> None:
        self._sandbox = sandbox
        self.pid = pid

    async def wait(self) -> int | None:
        return await self._sandbox.wait_exit(self.pid)


async def spawn(
    sandbox: Sandbox, argv: Sequence[str], environment: Mapping[str, str], *, directory: str
) -> tuple[Wires, Process]:
    async with make_wires() as (wires, ends):
        launch = Launch(
            argv=argv,
            environment=environment,
            working_directory=directory,
            descriptors={1: ends.output, 2: ends.output, CHANNEL: ends.channel},
        )
        return wires, SpawnedProcess(sandbox, await sandbox.spawn(launch))


def needs_fresh(environment: Mapping[str, str], own: Sequence[str]) -> bool:
    """Whether a function's variables reach only a process that is started with them. `own`: the language's."""
    return any(name.startswith((*LOADERS, *own)) for name in environment)
