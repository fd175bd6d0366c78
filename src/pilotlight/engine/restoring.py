"""Between a snapshot and its first invocation: the function's hooks run, and its log tells how long they took."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable

from pilotlight.clock import Clock
from pilotlight.engine import frames
from pilotlight.engine.contract import FunctionVersion, RestoreFailed
from pilotlight.engine.lines import Lines
from pilotlight.engine.report import SystemLog

RESTORE_SECONDS_MAX = 10.0
"""AWS: "If an after-restore runtime hook runs for longer than 10 seconds, the Restore phase times out"."""


def initialization_type(version: FunctionVersion, *, provisioned: bool) -> str:
    """As `AWS_LAMBDA_INITIALIZATION_TYPE` and INIT_START have it."""
    if version.snap_start:
        return "snap-start"
    return "provisioned-concurrency" if provisioned else "on-demand"


def error_type(body: bytes) -> str:
    """What a bootstrap calls the error that it reports."""
    try:
        return str(json.loads(body)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Runtime.Unknown"


async def wait_restored(answer: Awaitable[tuple[int, bytes]], system: SystemLog, lines: Lines, clock: Clock) -> float:
    """Milliseconds until the bootstrap is ready again. Raises RestoreFailed."""
    began = clock.monotonic()
    status, kind_of_error = "", ""
    try:
        async with asyncio.timeout(RESTORE_SECONDS_MAX):
            kind, body = await answer
        if kind == frames.INIT_FAILED:
            status, kind_of_error = "error", error_type(body)
    except TimeoutError:
        status = "timeout"
    except ConnectionError:
        status, kind_of_error = "error", "Runtime.ExitError"
    took_ms = (clock.monotonic() - began) * 1000
    lines.write(system.restore_report(clock.wall_ms(), took_ms, status, kind_of_error))
    if status:
        raise RestoreFailed(kind_of_error or "the restore took too long", timed_out=status == "timeout")
    return took_ms
