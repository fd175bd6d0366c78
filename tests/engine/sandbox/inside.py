"""Running scripts inside a sandbox, for the tests here and in tests/faults."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.sandbox.contract import Launch, Sandbox, SandboxSpec

PREFIX = Path(sys.base_prefix)
PYTHON = PREFIX / "bin" / f"python3.{sys.version_info.minor}"
LIMIT_SECONDS = 30


@dataclass(frozen=True)
class Result:
    status: int
    output: str


def spec_for(code: Path, **changes: object) -> SandboxSpec:
    code.mkdir(exist_ok=True, parents=True)
    code.chmod(0o755)
    return SandboxSpec(code=code, readable=(PREFIX,), **changes)  # type: ignore[arg-type]


async def run(sandbox: Sandbox, script: str, **environment: str) -> Result:
    """Run Python inside and wait for its end; its output and errors together."""
    return await command(sandbox, [str(PYTHON), "-I", "-c", script], **environment)


async def command(sandbox: Sandbox, argv: list[str], **environment: str) -> Result:
    reading, writing = os.pipe()
    try:
        launch = Launch(
            argv=argv, environment={"PATH": "/usr/bin:/bin", **environment}, descriptors={1: writing, 2: writing}
        )
        pid = await sandbox.spawn(launch)
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as output:
        async with asyncio.timeout(LIMIT_SECONDS):
            text = await asyncio.to_thread(output.read)
            status = await sandbox.wait_exit(pid)
    return Result(status, text.decode())
