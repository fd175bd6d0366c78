"""The Runtime API: a runtime asks for the next invocation, and posts its answer or its error.

To the instance this is one more `Channel`: it sends START and INVOKE, and hears READY, RESPONSE, FAILURE and
INIT_FAILED. A runtime is READY each time it asks for the next invocation.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

from pilotlight.engine import frames
from pilotlight.engine.runtime_api import answers
from pilotlight.engine.runtime_api.answers import Refused
from pilotlight.engine.runtime_api.http import Exchange
from pilotlight.engine.runtime_api.streaming import Outgoing
from pilotlight.engine.streams import STREAM_BYTES_MAX

RESPONSE_BYTES_MAX = 6 * 1024 * 1024 + 100
"""AWS: what "6 MB" is."""
_ERROR_TYPE = re.compile(r"^(Runtime|Function)\.[A-Z][a-zA-Z]+")

_OPTIONAL = (
    ("Lambda-Runtime-Trace-Id", "trace_id"),
    ("Lambda-Runtime-Client-Context", "client_context"),
    ("Lambda-Runtime-Cognito-Identity", "identity"),
)


class State(Enum):
    """AWS: the names are seen in error messages."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    READY = "Ready"
    RUNNING = "Running"
    RESPONDING = "InvocationResponse"
    FAILING = "InvocationErrorResponse"
    RESPONDED = "RuntimeResponseSentState"


class RuntimeSide:
    """Has the methods of `frames.Channel`."""

    def __init__(self) -> None:
        self.used = False
        """Somebody asked for an invocation here."""
        self._state = State.STARTED
        self._waiting: Exchange | None = None
        self._given: tuple[bytes, dict[str, str]] | None = None
        self._request_id = ""
        self._streams = False
        self._outgoing: Outgoing | None = None
        self._on_frame: Callable[[int, bytes, int], None] = _ignore
        self._on_lost: Callable[[], None] | None = None
        self._lost = False

    # The instance's side.

    @property
    def connected(self) -> bool:
        return not self._lost

    def attach(self, on_frame: Callable[[int, bytes, int], None], on_lost: Callable[[], None]) -> None:
        self._on_frame, self._on_lost = on_frame, on_lost
        if self._lost:
            on_lost()
        elif self._state is State.READY:
            on_frame(frames.READY, b"", 0)

    def send(self, kind: int, body: bytes) -> None:
        if kind == frames.INVOKE:
            self._given, self._streams = _as_answer(body)
            self._request_id = self._given[1]["Lambda-Runtime-Aws-Request-Id"]
            self._give()
        elif kind == frames.TAKEN and self._outgoing is not None:
            self._outgoing.allow(int.from_bytes(body, "little"))

    def lost(self) -> None:
        """The runtime's process has ended."""
        if not self._lost:
            self._lost = True
            if self._on_lost is not None:
                self._on_lost()

    def close(self) -> None:
        self._lost = True

    # The runtime's side.

    def begun(self, exchange: Exchange, parts: list[str]) -> bool:
        """Take a request of the Runtime API; False where there is no such thing."""
        match exchange.method, parts:
            case "GET", ["invocation", "next"]:
                exchange.on_complete = partial(self._next, exchange)
            case "POST", ["invocation", request_id, "response"]:
                self._begin_answer(exchange, request_id, State.RESPONDING)
            case "POST", ["invocation", request_id, "error"]:
                self._begin_answer(exchange, request_id, State.FAILING)
            case "POST", ["init", "error"]:
                exchange.bytes_max = RESPONSE_BYTES_MAX
                exchange.on_complete = partial(self._init_error, exchange)
            case _, ["invocation", "next"] | ["invocation", _, "response" | "error"] | ["init", "error"]:
                answers.not_allowed(exchange)
            case _:
                return False
        return True

    def _next(self, exchange: Exchange) -> None:
        if self._state is State.RUNNING and self._given is not None:
            exchange.respond(200, *self._given)  # AWS: whoever asks again before answering gets the same once more
            return
        if self._state not in (State.STARTED, State.RESPONDED, State.READY):
            answers.refused(exchange, answers.wrong_runtime_state(self._state.value, State.READY.value))
            return
        earlier, self._waiting = self._waiting, exchange
        if earlier is not None:
            earlier.drop()
        if self._state is not State.READY:
            self.used = True
            self._state = State.READY
            self._on_frame(frames.READY, b"", 0)
        self._give()

    def _give(self) -> None:
        if self._given is None or self._waiting is None or self._state is not State.READY:
            return
        waiting, self._waiting = self._waiting, None
        if waiting.alive:
            self._state = State.RUNNING
            waiting.respond(200, *self._given)

    def _begin_answer(self, exchange: Exchange, request_id: str, wanted: State) -> None:
        try:
            if self._given is None or request_id != self._request_id:
                raise answers.wrong_request_id()
            if self._state is not State.RUNNING:
                raise answers.wrong_runtime_state(self._state.value, wanted.value)
            mode = exchange.headers.get("lambda-runtime-function-response-mode", "")
            if mode and mode.lower() != "streaming":
                self._finish(frames.FAILURE, _error("Runtime.InvalidResponseModeHeader", ""))
                raise answers.wrong_response_mode()
        except Refused as error:
            answers.refused(exchange, error)
            return
        self._state = wanted
        exchange.bytes_max = RESPONSE_BYTES_MAX
        exchange.on_complete = partial(self._answered, exchange, wanted)
        exchange.on_broken = self._broken
        if mode and self._streams and wanted is State.RESPONDING:
            outgoing = self._outgoing = Outgoing(exchange, self._on_frame)
            exchange.bytes_max = STREAM_BYTES_MAX
            exchange.on_body = outgoing.take
            exchange.on_complete = partial(outgoing.finish, exchange.on_complete)

    def _answered(self, exchange: Exchange, wanted: State) -> None:
        body = bytes(exchange.body)
        if exchange.too_large:
            answers.refused(exchange, answers.too_large(exchange.bytes_max))
            self._finish(frames.RESPONSE, b"", exchange.size)
        elif wanted is State.FAILING:
            answers.accepted(exchange)
            self._finish(frames.FAILURE, body or _error(error_type(exchange), ""))
        elif "lambda-runtime-function-error-type" in exchange.headers:
            # AWS: a stream that fails midway says so in its trailers.
            answers.accepted(exchange)
            self._finish(frames.FAILURE, _midway(exchange))
        else:
            answers.accepted(exchange)
            self._finish(frames.RESPONSE, body)

    def _broken(self) -> None:
        self._finish(frames.FAILURE, _error("Runtime.TruncatedResponse", ""))

    def _finish(self, kind: int, body: bytes, size: int | None = None) -> None:
        self._state = State.RESPONDED
        self._given = self._outgoing = None
        self._on_frame(kind, body, len(body) if size is None else size)

    def _init_error(self, exchange: Exchange) -> None:
        if self._state is not State.STARTED:
            answers.refused(exchange, answers.wrong_runtime_state(self._state.value, State.INIT_ERROR.value))
            return
        self._state = State.INIT_ERROR
        answers.accepted(exchange)
        body = bytes(exchange.body)
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        if not isinstance(told, dict) or "errorType" not in told:
            body = _error(error_type(exchange), body.decode("utf-8", "replace"))
        self._on_frame(frames.INIT_FAILED, body, len(body))


def error_type(exchange: Exchange) -> str:
    """AWS: what does not look like `Runtime.Some` or `Function.Some` is one of the two unknowns."""
    named = exchange.headers.get("lambda-runtime-function-error-type", "")
    if _ERROR_TYPE.match(named):
        return named
    return "Function.Unknown" if named.startswith("Function.") else "Runtime.Unknown"


def _midway(exchange: Exchange) -> bytes:
    """The error in a stream's trailers; its body is base64, as AWS's own runtimes write it."""
    try:
        return base64.b64decode(exchange.headers.get("lambda-runtime-function-error-body", ""), validate=True)
    except binascii.Error:
        return _error(error_type(exchange), "")


def _error(kind: str, message: str) -> bytes:
    told = {"errorType": kind} | ({"errorMessage": message} if message else {})
    return json.dumps(told, separators=(",", ":")).encode()


def _as_answer(body: bytes) -> tuple[tuple[bytes, dict[str, str]], bool]:
    """An INVOKE frame, as the answer to `next`; and whether its answer may be streamed."""
    end = 4 + int.from_bytes(body[:4], "little")
    told: dict[str, Any] = json.loads(body[4:end])
    headers = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": told["request_id"],
        "Lambda-Runtime-Deadline-Ms": str(told["deadline_ms"]),
        "Lambda-Runtime-Invoked-Function-Arn": told["invoked_arn"],
    }
    for name, member in _OPTIONAL:
        if told.get(member):
            headers[name] = told[member]
    return (body[end:], headers), bool(told.get("stream"))


def _ignore(kind: int, body: bytes, size: int) -> None:
    pass
