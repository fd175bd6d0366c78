"""The extensions that run beside a runtime: their programs, from start to the end of their instance.

AWS: extensions start before the runtime and outlive it. One that ends before its time takes the instance with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from pilotlight.clock import Clock
from pilotlight.engine import failures
from pilotlight.engine.contract import EntrypointInvalid, FunctionVersion
from pilotlight.engine.runtime_api.extensions import EXTENSIONS_MAX, Extension, Extensions, State
from pilotlight.engine.runtime_api.server import RuntimeApi
from pilotlight.engine.runtimes.executing import execute
from pilotlight.engine.sandbox.contract import Sandbox
from pilotlight.engine.wires import Output

EXTERNAL_SECONDS, INTERNAL_SECONDS = 2.0, 0.5
"""AWS: how long shutting down may take, with external extensions and with internal ones only."""
RUNTIME_SHARE = 0.3
"""Of that: the runtime's own, before extensions are told."""
_HIDDEN = (
    *("AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING"),
    *("AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS"),
    *("_AWS_XRAY_DAEMON_PORT", "_HANDLER"),
)
"""AWS: variables that are the runtime's alone."""


class ExtensionFailed(Exception):
    def __init__(self, error_type: str, how: str) -> None:
        super().__init__(how)
        self.error_type = error_type
        self.how = how


def programs(version: FunctionVersion, *, isolated: bool) -> list[str]:
    """The files of `/opt/extensions`, in order, as the function sees them. A later layer hides an earlier one's."""
    found: dict[str, str] = {}
    for folder in _folders(version):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in os.scandir(folder):
                kind = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISREG(kind) or stat.S_ISLNK(kind):
                    found[entry.name] = f"/opt/extensions/{entry.name}" if isolated else entry.path
                else:  # in an image's layer, a device says that the file is gone
                    found.pop(entry.name, None)
    return [found[name] for name in sorted(found)]


def _folders(version: FunctionVersion) -> Iterator[Path]:
    """Where they are on the host. A stranger's links lead nowhere: they are the host's paths here."""
    roots = version.layers if version.image is None else tuple(root / "opt" for root in version.image.layers)
    for root in roots:
        if not root.is_symlink() and not (root / "extensions").is_symlink():
            yield root / "extensions"


class Company:
    def __init__(
        self,
        sandbox: Sandbox,
        api: RuntimeApi,
        clock: Clock,
        *,
        later: Callable[[Coroutine[Any, Any, None]], None],
        written: Callable[[bytes], None],
        moved: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        """`written` gets what they print, `moved` is called when one has moved on, `failed` when one ended early."""
        self.extensions: Extensions = api.extensions
        self.fault: ExtensionFailed | None = None
        self._sandbox = sandbox
        self._api = api
        self._clock = clock
        self._later = later
        self._written = written
        self._moved = moved
        self._failed = failed
        api.changed = self._has_changed
        self._changed = asyncio.Event()
        self._running: dict[Extension, int] = {}
        self._ending = False

    def _has_changed(self) -> None:
        self._changed.set()
        self._moved()

    async def start(self, paths: list[str], environment: Mapping[str, str]) -> None:
        """Start them all, and wait until each has registered. Raises ExtensionFailed."""
        own = {name: value for name, value in environment.items() if name not in _HIDDEN}
        for path in paths:
            extension = self.extensions.expect(Path(path).name)
            if len(paths) > EXTENSIONS_MAX:
                extension.state, extension.error_type = State.LAUNCH_ERROR, "TooManyExtensions"
                raise ExtensionFailed("Extension.LaunchError", f"Extension limit ({EXTENSIONS_MAX}) reached")
            await self._start_one(extension, path, own)
        await self._wait(lambda: self.extensions.registered)

    async def wait_ready(self) -> None:
        """Raises ExtensionFailed."""
        await self._wait(lambda: self.extensions.ready)

    async def _start_one(self, extension: Extension, path: str, environment: dict[str, str]) -> None:
        reading, writing = os.pipe()
        output = Output(reading)
        output.attach(self._written)
        try:
            directory = "/" if self._sandbox.isolated else str(Path(path).parent)
            pid = await execute(self._sandbox, [path], environment, directory, writing)
        except EntrypointInvalid as error:
            extension.state, extension.error_type = State.LAUNCH_ERROR, "PermissionDenied"
            raise ExtensionFailed("Extension.LaunchError", str(error)) from None
        finally:
            os.close(writing)
        self._running[extension] = pid
        self._later(self._watch(extension, pid))

    async def _watch(self, extension: Extension, pid: int) -> None:
        code = await self._sandbox.wait_exit(pid)
        del self._running[extension]
        if not self._ending and self.fault is None:
            self.fault = ExtensionFailed(extension.fault, failures.how_an_extension_ended(code))
            self._failed()
        self._changed.set()

    async def _wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self.fault is not None:
                raise self.fault
            self._changed.clear()
            await self._changed.wait()

    async def shut_down(self, runtime_pid: int | None, runtime_ended: Coroutine[Any, Any, Any], reason: str) -> None:
        """AWS: SIGTERM to the runtime, then SHUTDOWN to the extensions; what is left is killed by the caller."""
        self._ending = True
        seconds = EXTERNAL_SECONDS if self.extensions.external else INTERNAL_SECONDS
        deadline_ms = self._clock.wall_ms() + int(seconds * 1000)
        until = asyncio.get_running_loop().time() + seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * RUNTIME_SHARE):
                if runtime_pid is not None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(runtime_pid, 15)
                await runtime_ended
        self._api.telemetry.flush()
        told = [one for one in self.extensions.shut_down(reason, deadline_ms) if one in self._running]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._until_gone(told)

    async def _until_gone(self, told: list[Extension]) -> None:
        while any(one in self._running for one in told):
            self._changed.clear()
            await self._changed.wait()
