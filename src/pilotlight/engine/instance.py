"""One running sandbox with a version's code in it: started once, invoked one at a time, frozen in between.

The instance speaks frames with its bootstrap and turns whatever happens, an answer, an exit, a time-out, into an
`Outcome` and the log lines that Lambda writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from pilotlight.clock import Clock
from pilotlight.engine import failures, frames
from pilotlight.engine.company import Company, ExtensionFailed
from pilotlight.engine.contract import FunctionVersion, Invocation, LogSink, Outcome
from pilotlight.engine.failures import Failure
from pilotlight.engine.frames import Channel
from pilotlight.engine.life_cycle import Event, State, after
from pilotlight.engine.lines import LOG_TAIL_BYTES, Lines
from pilotlight.engine.report import Report, SystemLog
from pilotlight.engine.restoring import error_type, initialization_type, wait_restored
from pilotlight.engine.runtime_api.runtime import RuntimeSide
from pilotlight.engine.runtime_api.server import RuntimeApi
from pilotlight.engine.sandbox.contract import Sandbox
from pilotlight.engine.spares import Process
from pilotlight.engine.streams import STREAM_BYTES_MAX, Streaming
from pilotlight.engine.telling import Telling
from pilotlight.engine.under_way import UnderWay, invoke_body, wait_settled
from pilotlight.engine.wires import Wires

INIT_SECONDS_MAX = 10.0
EXIT_SECONDS_MAX = 5.0
MEMORY_SECONDS = 0.05
"""How old the memory that a report shows may be. What an invocation of that length used is always in its report."""
SETTLE_SECONDS = 0.005
"""How long an answer is held back for the report of its invocation: a runtime asks for the next one within that."""
VCPU_MB = 1769
"""AWS: a function has one vCPU for each 1,769 MB."""


class InitFailed(Exception):
    """The version cannot be initialised."""

    def __init__(
        self, instance: Instance, status: str, error_type: str, *, payload: bytes = b"", how: str = ""
    ) -> None:
        super().__init__(error_type)
        self.instance = instance
        self.status = status
        """`error`, or `timeout`."""
        self.error_type = error_type
        self.payload = payload
        """What the bootstrap said of it, if it could."""
        self.how = how
        """How the process ended, if it did."""


class Instance:
    """Built by `Agent`. First `initialising` and `initialise`, then `begin` and `finish` for each invocation."""

    def __init__(
        self, version: FunctionVersion, sandbox: Sandbox, *, stream: str, clock: Clock, logs: LogSink, provisioned: bool
    ) -> None:
        self.version = version
        self.sandbox = sandbox
        self.stream = stream
        self.provisioned = provisioned
        self.retired = False
        """Ends after the invocation that is under way."""
        self.state = State.STARTING
        self.idle_since = 0.0
        self.usable_until_ms = 0
        """Wall time: when its credentials are about to end."""
        self.close_endpoint: Callable[[], Awaitable[None]] | None = None
        self.process: Process | None = None
        self.channel: Channel | RuntimeSide = Channel()
        self.api: RuntimeApi | None = None
        self.company: Company | None = None
        self._clock = clock
        self._lines = Lines(version, stream, logs, clock)
        self._system = SystemLog(version)
        self._ready: asyncio.Future[tuple[int, bytes]] | None = None
        self._under: UnderWay | None = None
        self._init_began = 0.0
        self._again = False
        self._init_ms: float | None = None
        self._restore_ms: float | None = None
        self._limited = False
        self._over_http = False
        self._memory_read = -MEMORY_SECONDS
        self._memory_mb = 0
        self._ended = False
        self._gone = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._telling: Telling | None = None
        self._later: Callable[[Coroutine[Any, Any, None]], None] | None = None
        self._end_reason = "spindown"

    def attend(self, api: RuntimeApi, later: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """What is inside may call, and have extensions beside it."""
        self.api, self._later = api, later
        written, moved, failed = self._lines.of_extensions, self._extension_moved, self._on_lost
        self.company = Company(self.sandbox, api, self._clock, later=later, written=written, moved=moved, failed=failed)
        kind = "provisioned-concurrency" if self.provisioned else "on-demand"
        self._telling = self._lines.telling = Telling(self.version, api.telemetry, kind=kind, instance=self.sandbox.id)

    # Life.

    def step(self, event: Event) -> None:
        self.state = after(self.state, event)

    @property
    def usable(self) -> bool:
        """Whether it can take an invocation now."""
        return self.state in (State.IDLE, State.FROZEN) and self._clock.wall_ms() < self.usable_until_ms

    def initialising(self, runtime: str, digest: str, *, again: bool) -> None:
        """Before the bootstrap is started: what it says first must find us listening. `again`: within an invocation."""
        self._ready = asyncio.get_running_loop().create_future()
        self._init_began = self._clock.monotonic()
        self._again = again
        kind = initialization_type(self.version, provisioned=self.provisioned)
        if runtime and not again:  # AWS: an image's runtime is its own affair, and not announced
            self._lines.write(self._system.init_start(self._clock.wall_ms(), runtime, digest, kind))
        if self._telling is not None:
            self._telling.init["phase"] = "invoke" if again else "init"
            self._telling.init_start(runtime, self._system.runtime_arn(digest))

    def connect(self, wires: Wires) -> None:
        """To the bootstrap that was started."""
        self._over_http = wires.http
        if wires.http:
            assert self.api is not None
            self.channel = self.api.runtime
        else:
            self.channel = wires.channel
            if self.api is not None:
                self.api.runtime.attach(self._on_other_runtime, self._on_lost)
        self.channel.attach(self._on_frame, self._on_channel_lost)
        wires.output.attach(self._lines.native)

    async def watch(self) -> None:
        """Notice that a bootstrap has ended which has no channel of its own to break."""
        if self.process is not None and self.api is not None:
            await self.process.wait()
            self.api.runtime.lost()

    async def initialise(self, start: Mapping[str, Any], seconds_max: float) -> None:
        """Hand over the start, and wait until the handler is loaded. Raises InitFailed."""
        assert self._ready is not None
        self.channel.send(frames.START, json.dumps(start).encode())
        try:
            async with asyncio.timeout(seconds_max):
                kind, body = await self._ready
                if self.state is State.DEAD:
                    raise ConnectionError  # ended while it was starting: the node stops
                if kind == frames.READY:
                    await self._runtime_is_ready()
        except ExtensionFailed as gone:
            raise self.not_started(gone.error_type, gone.how) from None
        except TimeoutError:
            raise self._init_failed(InitFailed(self, "timeout", "")) from None
        except ConnectionError:
            if self.company is not None and (fault := self.company.fault) is not None:
                raise self.not_started(fault.error_type, fault.how) from None
            code = await self._exit_code()
            kind_of = failures.exited("", code, out_of_memory=self.sandbox.out_of_memory()).error_type
            raise self._init_failed(InitFailed(self, "error", kind_of, how=failures.how_it_ended(code))) from None
        if kind == frames.INIT_FAILED:
            raise self._init_failed(InitFailed(self, "error", error_type(body), payload=body))
        took_ms = (self._clock.monotonic() - self._init_began) * 1000
        if self.version.snap_start:
            self._lines.write(self._system.init_done(self._clock.wall_ms(), took_ms))
        elif not self._again:
            self._init_ms = took_ms
        self._tell_of_init("success")
        if self.api is not None:
            self.api.telemetry.close_subscription()
        self.step(Event.READY)

    async def start_extensions(self, paths: list[str], environment: Mapping[str, str], seconds_max: float) -> None:
        """Before the runtime. Raises InitFailed."""
        assert self.company is not None
        try:
            async with asyncio.timeout(seconds_max):
                await self.company.start(paths, environment)
        except ExtensionFailed as failed:
            raise self.not_started(failed.error_type, failed.how) from None
        except TimeoutError:
            raise self._init_failed(InitFailed(self, "timeout", "")) from None

    def not_started(self, error_type: str, how: str) -> InitFailed:
        """A program of the function's own, bootstrap or extension, could not be, or is gone."""
        return self._init_failed(InitFailed(self, "error", error_type, how=how))

    async def _runtime_is_ready(self) -> None:
        """AWS: from here on no extension can register, and all that have must be ready too."""
        if self.api is None or self.company is None:
            return
        self.api.extensions.close_registration()
        if self.api.extensions.all:
            if self._telling is not None:
                self._telling.init_runtime_done("success")
            await self.company.wait_ready()

    def _tell_of_init(self, status: str, error_type: str = "") -> None:
        """EXTENSION lines, and the report of the init phase."""
        if self.api is None or self._telling is None or not self.api.extensions.all:
            return
        for one in self.api.extensions.all:
            self._lines.write(
                self._system.extension(self._clock.wall_ms(), one.name, one.state.value, one.events, one.error_type)
            )
            self._telling.extension(one)
        if status != "success":
            self._telling.init_runtime_done(status, error_type)
        duration_ms = (self._clock.monotonic() - self._init_began) * 1000
        self._telling.init_report(duration_ms, status, error_type)

    async def restore(self, runtime: str, digest: str) -> None:
        """Let one that was initialised ahead run its hooks, before its first invocation. Raises RestoreFailed."""
        self._lines.write(self._system.restore_start(self._clock.wall_ms(), runtime, digest))
        if self.state is State.FROZEN:
            self.sandbox.thaw()
        self.step(Event.RESTORED)
        self._ready = asyncio.get_running_loop().create_future()
        self.channel.send(frames.RESTORE, b"{}")
        self._restore_ms = await wait_restored(self._ready, self._system, self._lines, self._clock)

    def _init_failed(self, failed: InitFailed) -> InitFailed:
        duration_ms = (self._clock.monotonic() - self._init_began) * 1000
        phase = "invoke" if self._again else "init"
        self._end_reason = "timeout" if failed.status == "timeout" else "failure"
        self._tell_of_init(failed.status, failed.error_type)
        self._lines.write(
            self._system.init_failed(self._clock.wall_ms(), duration_ms, phase, failed.status, failed.error_type)
        )
        return failed

    def fail_first(self, invocation: Invocation, failed: InitFailed, began: float) -> Outcome:
        """The outcome of the invocation for which this instance was to be started, and could not be."""
        request_id = invocation.request_id
        under = self._under = UnderWay(request_id, began, 0.0)
        self._lines.tail = under.tail
        now_ms = self._clock.wall_ms()
        duration_ms = (self._clock.monotonic() - began) * 1000
        self._lines.write(self._system.start(now_ms, request_id))
        if failed.status == "timeout":
            failure = failures.timed_out(request_id, self.version.timeout_seconds)
            self._lines.write(self._system.timed_out(now_ms, request_id))
            payload = failure.payload
        elif failed.payload:
            told = json.loads(failed.payload)
            told = told if isinstance(told, dict) else {}
            # AWS: Python's runtime tells of the request, Node's does not.
            payload = json.dumps(told | ({"requestId": request_id} if "requestId" in told else {})).encode()
        else:
            failure = Failure(failed.error_type, f"RequestId: {request_id} Error: {failed.how}")
            self._lines.write(self._system.exited(failure))
            payload = failure.payload
        report = self._report(request_id, duration_ms, status=failed.status, error_type=failed.error_type)
        return self._finished(under, report, payload, "Unhandled")

    def begin(self, invocation: Invocation, began: float | None = None) -> None:
        """Hand it to the handler. `began`: when the invocation started, if that was before now."""
        if self.state is State.FROZEN:
            self.sandbox.thaw()
        self.step(Event.INVOKED)
        if not self._limited:
            # AWS: init has the CPU to itself; from the first invocation on, memory decides.
            self._limited = True
            self.sandbox.limit_cpu(self.version.memory_mb / VCPU_MB)
        wall_ms, now = self._clock.wall_ms(), self._clock.monotonic()
        spent_ms = int((now - began) * 1000) if began is not None else 0
        deadline_ms = invocation.deadline_ms or wall_ms - spent_ms + self.version.timeout_seconds * 1000
        seconds = (deadline_ms - wall_ms + spent_ms) / 1000
        self._under = UnderWay(invocation.request_id, began or now, seconds, ready=not self._over_http)
        self._lines.tail = self._under.tail
        if invocation.sink is not None:
            self._under.streaming = Streaming(invocation.sink, self._allow)
        self._lines.write(self._system.start(wall_ms, invocation.request_id))
        if self.api is not None and self.api.extensions.all:
            self._tell_extensions(self._under, invocation, deadline_ms, wall_ms - spent_ms)
        self.channel.send(frames.INVOKE, invoke_body(invocation, deadline_ms))

    def _tell_extensions(self, under: UnderWay, invocation: Invocation, deadline_ms: int, began_ms: int) -> None:
        assert self.api is not None
        under.extensions = self.api.extensions
        under.trace_id, under.began_ms = invocation.trace_id, began_ms
        if self._telling is not None:
            self._telling.start(invocation.request_id, invocation.trace_id)
        self.api.extensions.invoke(
            request_id=invocation.request_id,
            arn=invocation.invoked_arn,
            deadline_ms=deadline_ms,
            trace_id=invocation.trace_id,
        )

    def _allow(self, size: int) -> None:
        """The reader has taken some of a streamed answer."""
        self.channel.send(frames.TAKEN, size.to_bytes(4, "little"))

    async def finish(self) -> Outcome:
        """Wait for the answer. Where a waiter was cancelled, another may wait on.

        The state is then IDLE or DEAD, but where something inside is not done yet: then `settled` is false, and
        `settle` must follow. AWS: the answer does not wait for that.
        """
        under = self._under
        assert under is not None
        self._watch(under.began + under.seconds)
        while under.answer is None and not under.lost and not under.late:
            under.woken = asyncio.get_running_loop().create_future()
            await under.woken
        if under.answer is None:
            return await self._exited(under) if under.lost else self._timed_out(under)
        if not under.settled:
            remaining = under.began + under.seconds - self._clock.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(SETTLE_SECONDS, remaining)):
                    await wait_settled(under)
        return self._answered(under)

    def _watch(self, due: float) -> None:
        """One timer for many invocations: where it fires too early for the one under way, it is set again."""
        if self._timer is None or due < self._timer_due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_due = due
            delay = max(0.0, due - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._under is None:
            return
        due = self._under.began + self._under.seconds
        if due > self._clock.monotonic():
            self._watch(due)
        else:
            self._under.late = True
            self._under.wake()

    @property
    def settled(self) -> bool:
        """Nothing inside works on an invocation any more."""
        return self._under is None

    async def settle(self) -> None:
        """Wait until the invocation whose answer has left is over, at the latest at its deadline."""
        under = self._under
        if under is None:
            return
        try:
            async with asyncio.timeout(under.began + under.seconds - self._clock.monotonic()):
                await wait_settled(under)
        except TimeoutError:
            self._timed_out(under)
        else:
            if not self._ended:
                self._answered(under)

    def note(self, text: str) -> None:
        """A line of the platform's in the function's log."""
        self._lines.write([f"[PILOTLIGHT] {text}"])

    def freeze(self) -> None:
        if self.state is State.IDLE:
            self._lines.end()
            self.sandbox.freeze()
            self.step(Event.PAUSED)

    async def end(self) -> None:
        """Leave nothing of it. Whoever asks again waits until that is so."""
        if not self._ended:
            self._ended = True
            try:
                await self._end()
            finally:
                self._gone.set()
        await self._gone.wait()

    async def _end(self) -> None:
        self._lines.end()
        if self.state is State.FROZEN and self._extended:
            self.sandbox.thaw()
        if self.state is not State.DEAD:
            self.step(Event.EXITED)
        if self._under is not None:
            self._under.lost = True
            self._under.wake()
        if self._timer is not None:
            self._timer.cancel()
        if self.company is not None and self._extended:
            pid = self.process.pid if self.process is not None else None
            await self.company.shut_down(pid, self._exit_code(), self._end_reason)
        self.channel.close()
        if self.api is not None:
            self.api.close()
        if self.close_endpoint is not None:
            await self.close_endpoint()
        self.sandbox.kill()
        await self.sandbox.destroy()

    @property
    def _extended(self) -> bool:
        return self.api is not None and bool(self.api.extensions.all)

    # Answers.

    def _answered(self, under: UnderWay) -> Outcome:
        assert under.answer is not None
        kind, body, size = under.answer
        now = self._clock.monotonic()
        request_id, duration_ms = under.request_id, (now - under.began) * 1000
        if under.settled:
            self.idle_since = now
            self.step(Event.ANSWERED)
            if under.lost:
                self.step(Event.EXITED)
        if kind == frames.FAILURE:
            return self._finished(under, self._report(request_id, duration_ms), body, "Unhandled")
        if size > len(body):
            streamed = under.streaming is not None and under.streaming.begun
            failure = failures.too_large(STREAM_BYTES_MAX) if streamed else failures.too_large()
            if streamed and self.state is not State.DEAD:  # the handler goes on writing, and nobody listens
                self._die("failure")
            report = self._report(request_id, duration_ms, status="error", error_type=failure.error_type)
            return self._finished(under, report, failure.payload, "Unhandled")
        return self._finished(under, self._report(request_id, duration_ms), body, "")

    def _timed_out(self, under: UnderWay) -> Outcome:
        duration_ms = (self._clock.monotonic() - under.began) * 1000
        report = self._report(under.request_id, min(duration_ms, under.seconds * 1000), status="timeout")
        self._runtime_done(under, "timeout")
        self._die("timeout")
        self._lines.write(self._system.timed_out(self._clock.wall_ms(), under.request_id))
        failure = failures.timed_out(under.request_id, self.version.timeout_seconds)
        return self._finished(under, report, failure.payload, "Unhandled")

    async def _exited(self, under: UnderWay) -> Outcome:
        duration_ms = (self._clock.monotonic() - under.began) * 1000
        fault = self.company.fault if self.company is not None else None
        code = await self._exit_code() if fault is None else None
        memory = self.sandbox.out_of_memory()
        failure = failures.exited(under.request_id, code, out_of_memory=memory)
        if fault is not None:
            failure = Failure(fault.error_type, f"RequestId: {under.request_id} Error: {fault.how}")
        self._runtime_done(under, "failure", failure.error_type)
        report = self._report(
            under.request_id, duration_ms, status="error", error_type=failure.error_type, out_of_memory=memory
        )
        self._die("failure")
        self._lines.write(self._system.exited(failure))
        if self._telling is not None and self._extended:
            self._telling.fault(f"{failure.message}\n{failure.error_type}")
        return self._finished(under, report, failure.payload, "Unhandled")

    def _die(self, reason: str) -> None:
        self._end_reason = reason
        if self.state is not State.DEAD:
            self.step(Event.EXITED)
        if self._extended:
            return  # `end` shuts down in order
        self.channel.close()
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
        used = self._memory_used_mb()
        return Report(
            request_id=request_id,
            duration_ms=duration_ms,
            memory_used_mb=self.version.memory_mb if out_of_memory else min(used, self.version.memory_mb),
            init_ms=self._init_ms,
            restore_ms=self._restore_ms,
            status=status,
            error_type=error_type,
            provisioned=self.provisioned,
        )

    def _memory_used_mb(self) -> int:
        """The kernel adds its counters up when it is asked; in a hot loop that would be an eighth of an invocation."""
        now = self._clock.monotonic()
        if now - self._memory_read >= MEMORY_SECONDS:
            self._memory_read = now
            self._memory_mb = math.ceil(self.sandbox.memory_peak_bytes() / 1_048_576)
            self._memory_mb += self.process.baseline_mb if self.process is not None else 0
        return self._memory_mb

    def _finished(self, under: UnderWay, report: Report, payload: bytes, function_error: str) -> Outcome:
        if under.settled or self.state is State.DEAD:
            self._lines.write(self._system.end(self._clock.wall_ms(), report))
            if under.extensions is not None and self._telling is not None:
                status = report.status or ("error" if function_error else "success")
                self._telling.report(report, under.trace_id, status)
            self._under = self._init_ms = self._restore_ms = self._lines.tail = None
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
            self._lines.of_function([body.decode("utf-8", "replace")])
        elif kind == frames.LEAVING:
            self.retired = True  # it answers this once, and ends: nobody else may be sent there
        elif kind in (frames.READY, frames.INIT_FAILED):
            if self._ready is not None and not self._ready.done():
                self._ready.set_result((kind, body))
            elif kind == frames.READY and self._under is not None:
                self._under.ready = True
                self._runtime_done(self._under)
                self._under.wake()
        elif kind in (frames.STREAM, frames.DATA):
            self._on_stream(kind, body, size)
        elif self._under is not None and self._under.answer is None:
            self._under.answer = (kind, body, size)
            if self._under.extensions is not None:
                self._under.answered_ms = (self._clock.monotonic() - self._under.began) * 1000
                if self._under.ready:
                    self._runtime_done(self._under)
            self._under.wake()
        # What comes when nobody asked is dropped: a bootstrap that answers twice harms only itself.

    def _on_stream(self, kind: int, body: bytes, size: int) -> None:
        under = self._under
        if under is None or under.answer is not None or under.streaming is None:
            return
        if kind == frames.STREAM:
            under.streaming.begin(body)
        elif size > len(body) or not under.streaming.take(body):
            self.channel.close()
        elif under.streaming.too_large:
            under.answer = (frames.RESPONSE, b"", under.streaming.size)
            under.wake()

    def _runtime_done(self, under: UnderWay, status: str = "", error_type: str = "") -> None:
        """AWS: extensions are told at once when the runtime is done, and finish after that."""
        if under.extensions is not None and self._telling is not None:
            duration_ms = (self._clock.monotonic() - under.began) * 1000
            self._telling.runtime_done(under, duration_ms, status=status, error_type=error_type)

    def _on_other_runtime(self, kind: int, body: bytes, size: int) -> None:
        """An exec wrapper has started a runtime of its own in place of ours, and that one asks over HTTP."""
        if self._later is not None and self.api is not None and self._ready is not None and not self._ready.done():
            self._over_http = True
            self.channel = self.api.runtime
            self._later(self.watch())
        if self._over_http:
            self._on_frame(kind, body, size)

    def _on_channel_lost(self) -> None:
        if not (self._over_http and self.channel.connected):  # a runtime that took over has no use for it
            self._on_lost()

    def _extension_moved(self) -> None:
        if self._under is not None:
            self._under.wake()

    def _on_lost(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionError("the bootstrap is gone"))
            self._ready.exception()  # an extension may be gone before anybody waits for the runtime
        if self.state in (State.IDLE, State.FROZEN):
            self.step(Event.EXITED)
        if self._under is not None:
            self._under.lost = True
            self._under.wake()
