"""One running sandbox with a version's code in it: started once, invoked one at a time, frozen in between.

The instance speaks frames with its bootstrap and turns whatever happens, an answer, an exit, a time-out, into an
`Outcome` and the log lines that Lambda writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotlight.clock import Clock
from pilotlight.engine import failures, frames
from pilotlight.engine.contract import FunctionVersion, Invocation, LogSink, Outcome
from pilotlight.engine.failures import Failure
from pilotlight.engine.frames import Channel
from pilotlight.engine.life_cycle import Event, State, after
from pilotlight.engine.report import Report, SystemLog
from pilotlight.engine.sandbox.contract import Sandbox

INIT_SECONDS_MAX = 10.0
LOG_TAIL_BYTES = 4096
EXIT_SECONDS_MAX = 5.0
VCPU_MB = 1769
"""AWS: a function has one vCPU for each 1,769 MB."""


class InitFailed(Exception):
    """The version cannot be initialised; `outcome` is what an invocation gets to see."""

    def __init__(self, failure: Failure, payload: bytes) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.payload = payload


class Process(Protocol):
    """A bootstrap that was started, by whichever road."""

    baseline_mb: int
    """Memory that it shares with a zygote, and that its own cgroup does not count."""

    async def wait(self) -> int | None:
        """How it ended, as subprocess gives it; None where nobody knows."""
        ...


@dataclass(slots=True)
class _Under:
    """The invocation under way."""

    request_id: str
    answer: asyncio.Future[tuple[int, bytes, int]]
    tail: bytearray = field(default_factory=bytearray)


class Instance:
    """Built by `Agent`; `initialise` before the first `invoke`."""

    def __init__(
        self, version: FunctionVersion, sandbox: Sandbox, *, stream: str, clock: Clock, logs: LogSink, provisioned: bool
    ) -> None:
        self.version = version
        self.sandbox = sandbox
        self.stream = stream
        self.provisioned = provisioned
        self.state = State.STARTING
        self.idle_since = 0.0
        self.close_endpoint: Callable[[], Awaitable[None]] | None = None
        self.process: Process | None = None
        self._clock = clock
        self._logs = logs
        self._system = SystemLog(version)
        self._channel = Channel(self._on_frame, self._on_lost)
        self._ready: asyncio.Future[tuple[int, bytes]] | None = None
        self._under: _Under | None = None
        self._init_ms: float | None = None
        self._limited = False
        self._native = b""

    # Life.

    def step(self, event: Event) -> None:
        self.state = after(self.state, event)

    @property
    def channel(self) -> Channel:
        return self._channel

    def initialising(self, runtime: str, digest: str) -> None:
        """Before the bootstrap is started: what it says first must find us listening."""
        self._ready = asyncio.get_running_loop().create_future()
        kind = "provisioned-concurrency" if self.provisioned else "on-demand"
        self._log(self._system.init_start(self._clock.wall_ms(), runtime, digest, kind))

    async def initialise(self, start: Mapping[str, Any], started_at: float) -> None:
        """Hand over the start, and wait until the handler is loaded. Raises InitFailed."""
        assert self._ready is not None
        self._channel.send(frames.START, json.dumps(start).encode())
        try:
            async with asyncio.timeout(INIT_SECONDS_MAX):
                kind, body = await self._ready
        except TimeoutError:
            raise self._init_failed("timeout", failures.timed_out("", int(INIT_SECONDS_MAX)), started_at) from None
        except ConnectionError:
            failure = failures.exited("", await self._exit_code(), out_of_memory=self.sandbox.out_of_memory())
            raise self._init_failed("error", failure, started_at) from None
        self._init_ms = (self._clock.monotonic() - started_at) * 1000
        if kind == frames.INIT_FAILED:
            error_type = _error_type(body)
            raise self._init_failed("error", Failure(error_type, ""), started_at, body)
        self.step(Event.READY)

    def _init_failed(self, status: str, failure: Failure, started_at: float, payload: bytes = b"") -> InitFailed:
        duration_ms = (self._clock.monotonic() - started_at) * 1000
        self._init_ms = duration_ms
        self._log(self._system.init_failed(self._clock.wall_ms(), duration_ms, status, failure.error_type))
        return InitFailed(failure, payload)

    def fail_first(self, invocation: Invocation, failed: InitFailed) -> Outcome:
        """The outcome of the invocation for which an instance was to be started."""
        request_id = invocation.request_id
        payload = failed.payload
        if payload:
            body = json.loads(payload)
            body["requestId"] = request_id
            payload = json.dumps(body).encode()
        else:
            failure = failed.failure
            message = failure.message.replace("RequestId: ", f"RequestId: {request_id}", 1)
            payload = Failure(failure.error_type, message).payload
        under = _Under(request_id, asyncio.get_running_loop().create_future())
        self._under = under
        self._log(self._system.start(self._clock.wall_ms(), request_id))
        report = self._report(request_id, 0.0, status="error", error_type=failed.failure.error_type)
        return self._finished(under, report, payload, "Unhandled")

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Answer one invocation. The state afterwards is IDLE, or DEAD."""
        if self.state is State.FROZEN:
            self.sandbox.thaw()
        self.step(Event.INVOKED)
        if not self._limited:
            # AWS: init has the CPU to itself; from the first invocation on, memory decides.
            self._limited = True
            self.sandbox.limit_cpu(self.version.memory_mb / VCPU_MB)
        under = self._under = _Under(invocation.request_id, asyncio.get_running_loop().create_future())
        started = self._clock.monotonic()
        wall_ms = self._clock.wall_ms()
        deadline_ms = invocation.deadline_ms or wall_ms + self.version.timeout_seconds * 1000
        self._log(self._system.start(wall_ms, invocation.request_id))
        self._channel.send(frames.INVOKE, _invoke_body(invocation, deadline_ms))
        try:
            async with asyncio.timeout((deadline_ms - wall_ms) / 1000):
                kind, body, size = await under.answer
        except TimeoutError:
            return await self._timed_out(under, started)
        except ConnectionError:
            return await self._exited(under, started)
        duration_ms = (self._clock.monotonic() - started) * 1000
        self.step(Event.ANSWERED)
        self.idle_since = self._clock.monotonic()
        return self._answered(under, kind, body, size, duration_ms)

    def freeze(self) -> None:
        if self.state is State.IDLE:
            self.sandbox.freeze()
            self.step(Event.PAUSED)

    async def end(self) -> None:
        """Leave nothing of it."""
        if self.state is not State.DEAD:
            self.step(Event.EXITED)
        self._channel.close()
        if self.close_endpoint is not None:
            await self.close_endpoint()
        self.sandbox.kill()
        await self.sandbox.destroy()

    # Answers.

    def _answered(self, under: _Under, kind: int, body: bytes, size: int, duration_ms: float) -> Outcome:
        request_id = under.request_id
        if kind == frames.FAILURE:
            report = self._report(request_id, duration_ms)
            return self._finished(under, report, body, "Unhandled")
        if size > len(body):
            failure = failures.too_large()
            report = self._report(request_id, duration_ms, status="error", error_type=failure.error_type)
            return self._finished(under, report, failure.payload, "Unhandled")
        return self._finished(under, self._report(request_id, duration_ms), body, "")

    async def _timed_out(self, under: _Under, started: float) -> Outcome:
        duration_ms = (self._clock.monotonic() - started) * 1000
        self._die()
        now_ms = self._clock.wall_ms()
        limit_ms = self.version.timeout_seconds * 1000.0
        self._log(self._system.timed_out(now_ms, under.request_id))
        failure = failures.timed_out(under.request_id, self.version.timeout_seconds)
        report = self._report(under.request_id, min(duration_ms, limit_ms), status="timeout")
        return self._finished(under, report, failure.payload, "Unhandled")

    async def _exited(self, under: _Under, started: float) -> Outcome:
        duration_ms = (self._clock.monotonic() - started) * 1000
        code = await self._exit_code()
        memory = self.sandbox.out_of_memory()
        report = self._report(under.request_id, duration_ms, status="error", out_of_memory=memory)
        self._die()
        failure = failures.exited(under.request_id, code, out_of_memory=memory)
        self._log(self._system.exited(under.request_id, failures.how_it_ended(code)))
        report = self._report_again(report, failure.error_type)
        return self._finished(under, report, failure.payload, "Unhandled")

    def _die(self) -> None:
        self.step(Event.EXITED)
        self._channel.close()
        self.sandbox.kill()

    async def _exit_code(self) -> int | None:
        if self.process is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_SECONDS_MAX):
                return await self.process.wait()
        return None

    def _report(
        self,
        request_id: str,
        duration_ms: float,
        *,
        status: str = "",
        error_type: str = "",
        out_of_memory: bool = False,
    ) -> Report:
        used = math.ceil(self.sandbox.memory_peak_bytes() / 1_048_576)
        used += self.process.baseline_mb if self.process is not None else 0
        init_ms, self._init_ms = self._init_ms, None
        return Report(
            request_id=request_id,
            duration_ms=duration_ms,
            memory_used_mb=self.version.memory_mb if out_of_memory else min(used, self.version.memory_mb),
            init_ms=init_ms,
            status=status,
            error_type=error_type,
            provisioned=self.provisioned,
        )

    @staticmethod
    def _report_again(report: Report, error_type: str) -> Report:
        return Report(
            request_id=report.request_id,
            duration_ms=report.duration_ms,
            memory_used_mb=report.memory_used_mb,
            init_ms=report.init_ms,
            status="error",
            error_type=error_type,
            provisioned=report.provisioned,
        )

    def _finished(self, under: _Under, report: Report, payload: bytes, function_error: str) -> Outcome:
        for line in self._system.end(self._clock.wall_ms(), report):
            self._log(line)
        self._under = None
        return Outcome(
            payload=payload,
            function_error=function_error,  # type: ignore[arg-type]
            log_tail=bytes(under.tail[-LOG_TAIL_BYTES:]),
            duration_ms=report.duration_ms,
            billed_ms=report.billed_ms,
            init_ms=report.init_ms,
            memory_used_mb=report.memory_used_mb,
            provisioned=self.provisioned,
        )

    # What the bootstrap says.

    def _on_frame(self, kind: int, body: bytes, size: int) -> None:
        if kind == frames.LOG:
            self._log(body.decode("utf-8", "replace"))
        elif kind in (frames.READY, frames.INIT_FAILED):
            if self._ready is not None and not self._ready.done():
                self._ready.set_result((kind, body))
        elif self._under is not None and not self._under.answer.done():
            self._under.answer.set_result((kind, body, size))
        # What comes when nobody asked is dropped: a bootstrap that answers twice harms only itself.

    def _on_lost(self) -> None:
        gone = ConnectionError("the bootstrap is gone")
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(gone)
        if self._under is not None and not self._under.answer.done():
            self._under.answer.set_exception(gone)

    def native_output(self, data: bytes) -> None:
        """What was written to descriptors 1 and 2 past Python: extensions, subprocesses, crashes."""
        whole, newline, rest = (self._native + data).rpartition(b"\n")
        self._native = rest[-LOG_TAIL_BYTES:] if newline else (whole + rest)[-frames.LOG_BYTES_MAX :]
        if newline:
            for line in whole.decode("utf-8", "replace").split("\n"):
                self._log(line)

    def _log(self, text: str) -> None:
        if self._under is not None:
            self._under.tail += text.encode() + b"\n"
            del self._under.tail[: -2 * LOG_TAIL_BYTES]
        self._logs.write(
            account=self.version.account,
            region=self.version.region,
            group=self.version.log_group,
            stream=self.stream,
            lines=[(self._clock.wall_ms(), text)],
        )


def _invoke_body(invocation: Invocation, deadline_ms: int) -> bytes:
    header: dict[str, Any] = {
        "request_id": invocation.request_id,
        "deadline_ms": deadline_ms,
        "invoked_arn": invocation.invoked_arn,
    }
    if invocation.trace_id:
        header["trace_id"] = invocation.trace_id
    if invocation.client_context:
        header["client_context"] = json.loads(invocation.client_context)
    if invocation.cognito_identity:
        header["identity"] = json.loads(invocation.cognito_identity)
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(4, "little") + encoded + invocation.payload


def _error_type(body: bytes) -> str:
    try:
        return str(json.loads(body)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Runtime.Unknown"
