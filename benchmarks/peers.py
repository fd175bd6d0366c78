"""Others, in the same run: Moto's server, and serverless-offline for warm invocations."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.programs import NODE, Missing, built
from benchmarks.report import say

START_SECONDS = 60.0
SERVICE = """\
service: bench
provider:
  name: aws
  runtime: {runtime}
plugins: [serverless-offline]
functions:
  echo:
    handler: app.handler
    timeout: 30
custom:
  serverless-offline: {{ lambdaPort: {port}, httpPort: {other}, noPrependStageInUrl: true }}
"""
OFFLINE_PATH = "/2015-03-31/functions/bench-dev-echo/invocations"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait_listening(port: int, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return True
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[int | None]:
    """Its pid, once it listens; it and all that it started are gone at the end."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield process.pid if _wait_listening(port, process) else None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def moto() -> Iterator[tuple[str, int] | None]:
    command = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    if command is None:
        say("moto", skipped="not installed: pip install 'moto[server]' into .venv")
        yield None
        return
    port = free_port()
    with _running([command, "-p", str(port)], port, Path.cwd()) as pid:
        yield (f"http://127.0.0.1:{port}", pid) if pid else None


@contextlib.contextmanager
def serverless_offline(runtime: str) -> Iterator[tuple[str, int] | None]:
    """Its endpoint for Lambda, which is at `OFFLINE_PATH`, without isolation."""
    install = ("npm", "install", "--no-audit", "--no-fund", "--silent", "serverless@3", "serverless-offline@13")
    try:
        installed = built("serverless-offline", {"package.json": "{}"}, install)
    except Missing as missing:
        say("serverless-offline", skipped=str(missing))
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="pilotlight-bench-") as name:
        folder, port = Path(name), free_port()
        (folder / "app.js").write_text(NODE)
        (folder / "serverless.yml").write_text(SERVICE.format(runtime=runtime, port=port, other=free_port()))
        (folder / "node_modules").symlink_to(installed / "node_modules")
        command = ["node", str(installed / "node_modules" / "serverless" / "bin" / "serverless.js"), "offline", "start"]
        with _running(command, port, folder) as pid:
            if pid is None:
                say("serverless-offline", skipped="it did not start")
            yield (f"http://localhost:{port}", pid) if pid else None
