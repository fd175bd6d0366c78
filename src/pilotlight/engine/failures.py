"""How a function's failures look to whoever invoked it. Pure; the words are AWS's."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass

from pilotlight.engine.frames import RESPONSE_BYTES_MAX

_SIGNALS = {signal.SIGKILL: "killed", signal.SIGSEGV: "segmentation fault", signal.SIGABRT: "aborted"}
_SIGNALS |= {signal.SIGTERM: "terminated", signal.SIGBUS: "bus error", signal.SIGILL: "illegal instruction"}
_SIGNALS |= {signal.SIGFPE: "floating point exception", signal.SIGINT: "interrupt"}


@dataclass(frozen=True, slots=True)
class Failure:
    error_type: str
    message: str

    @property
    def payload(self) -> bytes:
        return json.dumps({"errorType": self.error_type, "errorMessage": self.message}, separators=(",", ":")).encode()


def how_it_ended(code: int | None) -> str:
    """`code` as subprocess gives it: negative for a signal, None where nobody knows."""
    if code is None:
        return "Runtime exited"
    if code == 0:
        return "Runtime exited without providing a reason"
    if code < 0:
        return f"Runtime exited with error: signal: {_SIGNALS.get(signal.Signals(-code), str(-code))}"
    return f"Runtime exited with error: exit status {code}"


def how_an_extension_ended(code: int) -> str:
    if code < 0:
        return f"signal: {_SIGNALS.get(signal.Signals(-code), str(-code))}"
    return f"exit status {code}" if code else "exit code 0"


def exited(request_id: str, code: int | None, *, out_of_memory: bool) -> Failure:
    kind = "Runtime.OutOfMemory" if out_of_memory else "Runtime.ExitError"
    return Failure(kind, f"RequestId: {request_id} Error: {how_it_ended(code)}")


def timed_out(request_id: str, timeout_seconds: int) -> Failure:
    return Failure(
        "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout_seconds:.2f} seconds"
    )


def too_large(limit_bytes: int = RESPONSE_BYTES_MAX) -> Failure:
    return Failure(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({limit_bytes} bytes).",
    )
