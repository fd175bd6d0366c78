"""The Extensions API: who has registered, who is done, and what they are told.

*External* extensions are programs of `/opt/extensions`, known by name before they register; *internal* ones are threads
of the runtime. An extension is done with an event when it asks for the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtime_api import answers
from pilotlight.engine.runtime_api.answers import Refused, forbidden
from pilotlight.engine.runtime_api.http import Exchange
from pilotlight.ids import Ids

EXTENSIONS_MAX = 10
REQUEST_BYTES_MAX = 256 * 1024
INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"
_UUID_LENGTH = 36


class State(Enum):
    """AWS: the names are seen in EXTENSION lines and in error messages."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    LAUNCH_ERROR = "LaunchError"
    EXITED = "Exited"


@dataclass(slots=True, eq=False)
class Extension:
    name: str
    external: bool
    id: str
    state: State = State.STARTED
    events: tuple[str, ...] = ()
    error_type: str = ""
    waiting: Exchange | None = field(default=None, repr=False)
    pending: dict[str, Any] | None = None
    """What it is told when it asks next."""

    @property
    def fault(self) -> str:
        """What it is called when it is gone before its time."""
        reported = {State.INIT_ERROR: "Extension.InitError", State.EXIT_ERROR: "Extension.ExitError"}
        return reported.get(self.state, "Extension.Crash")


class Extensions:
    """Those of one instance. `changed` is called whenever one of them has moved on."""

    def __init__(self, version: FunctionVersion, ids: Ids, changed: Callable[[], None]) -> None:
        self.all: list[Extension] = []
        self._version = version
        self._ids = ids
        self._changed = changed
        self._open = True

    # The instance's side.

    def expect(self, name: str) -> Extension:
        """An external one, about to be started."""
        extension = Extension(name, external=True, id=self._ids.uuid())
        self.all.append(extension)
        return extension

    @property
    def registered(self) -> bool:
        return all(one.state is not State.STARTED for one in self.all)

    @property
    def ready(self) -> bool:
        return all(one.state in (State.READY, State.RUNNING) for one in self.all)

    @property
    def busy(self) -> bool:
        """One of them still works on an invocation."""
        return any(one.state is State.RUNNING and INVOKE in one.events for one in self.all)

    @property
    def external(self) -> list[Extension]:
        return [one for one in self.all if one.external]

    def close_registration(self) -> None:
        self._open = False

    def invoke(self, *, request_id: str, arn: str, deadline_ms: int, trace_id: str) -> None:
        event: dict[str, Any] = {
            "eventType": INVOKE,
            "deadlineMs": deadline_ms,
            "requestId": request_id,
            "invokedFunctionArn": arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id},
        }
        self._tell(INVOKE, event)

    def shut_down(self, reason: str, deadline_ms: int) -> list[Extension]:
        """Those that were told, and may now end by themselves."""
        event = {"eventType": SHUTDOWN, "shutdownReason": reason, "deadlineMs": deadline_ms}
        return self._tell(SHUTDOWN, event)

    def _tell(self, kind: str, event: dict[str, Any]) -> list[Extension]:
        told = [one for one in self.all if kind in one.events and one.state in (State.READY, State.RUNNING)]
        for one in told:
            one.pending = event
            self._hand_over(one)
        return told

    def _hand_over(self, one: Extension) -> None:
        if one.pending is not None and one.waiting is not None:
            waiting, event, one.waiting, one.pending = one.waiting, one.pending, None, None
            one.state = State.RUNNING
            answers.found(waiting, event, {"Lambda-Extension-Event-Identifier": self._ids.uuid()})

    # The extensions' side.

    def begun(self, exchange: Exchange, parts: list[str]) -> bool:
        """Take a request of the Extensions API; False where there is no such thing."""
        exchange.bytes_max = REQUEST_BYTES_MAX
        match exchange.method, parts:
            case "POST", ["register"]:
                action: Callable[[Exchange], None] = self._register
            case "GET", ["event", "next"]:
                action = self._next
            case "POST", ["init", "error"]:
                action = partial(self._error, wanted=State.INIT_ERROR, allowed=(State.REGISTERED,))
            case "POST", ["exit", "error"]:
                action = partial(
                    self._error, wanted=State.EXIT_ERROR, allowed=(State.REGISTERED, State.READY, State.RUNNING)
                )
            case _, ["register"] | ["event", "next"] | ["init" | "exit", "error"]:
                answers.not_allowed(exchange)
                return True
            case _:
                return False
        exchange.on_complete = partial(_answer, exchange, action)
        return True

    def find(self, exchange: Exchange) -> Extension:
        """Who calls, by the identifier that `register` gave it. Raises Refused."""
        identifier = exchange.headers.get("lambda-extension-identifier", "")
        if not identifier:
            raise forbidden("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
        if len(identifier) != _UUID_LENGTH or identifier.count("-") != 4:
            raise forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
        for one in self.all:
            if one.id == identifier and one.state is not State.STARTED:
                return one
        raise forbidden("Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier")

    def _register(self, exchange: Exchange) -> None:
        name = exchange.headers.get("lambda-extension-name", "")
        if not name:
            raise forbidden("Extension.InvalidExtensionName", "Empty extension name")
        events = _events(exchange)
        known = next((one for one in self.all if one.name == name), None)
        if known is None or not known.external:
            known = self._internal(name, known, events)
        elif known.state is not State.STARTED:
            raise answers.wrong_extension_state(known.state.value, State.REGISTERED.value, name)
        known.state, known.events = State.REGISTERED, events
        body: dict[str, object] = {
            "functionName": self._version.name,
            "functionVersion": self._version.version,
            "handler": self._version.handler,
        }
        features = [one.strip() for one in exchange.headers.get("lambda-extension-accept-feature", "").split(",")]
        if "accountId" in features:
            body["accountId"] = self._version.account
        answers.found(exchange, body, {"Lambda-Extension-Identifier": known.id})
        self._changed()

    def _internal(self, name: str, known: Extension | None, events: Sequence[str]) -> Extension:
        if SHUTDOWN in events:
            raise forbidden("Extension.InvalidEventType", "SHUTDOWN: internal extensions cannot subscribe to it")
        if not self._open:
            raise forbidden("Extension.RegistrationClosed", "Extension registration closed already")
        if known is not None:
            raise forbidden("Extension.InvalidExtensionState", "Extension with this name already registered")
        if len(self.all) >= EXTENSIONS_MAX:
            raise forbidden("Extension.TooManyExtensions", f"Extension limit ({EXTENSIONS_MAX}) reached")
        extension = Extension(name, external=False, id=self._ids.uuid())
        self.all.append(extension)
        return extension

    def _next(self, exchange: Exchange) -> None:
        extension = self.find(exchange)
        again = extension.state is State.READY and extension.waiting is not None and not extension.waiting.alive
        if extension.state not in (State.REGISTERED, State.RUNNING) and not again:
            raise answers.wrong_extension_state(extension.state.value, State.READY.value, extension.id)
        extension.state, extension.waiting = State.READY, exchange
        self._hand_over(extension)
        self._changed()

    def _error(self, exchange: Exchange, *, wanted: State, allowed: tuple[State, ...]) -> None:
        extension = self.find(exchange)
        error_type = exchange.headers.get("lambda-extension-function-error-type", "")
        if not error_type:
            header = "Lambda-Extension-Function-Error-Type"
            raise forbidden("Extension.MissingHeader", f"{header} not found")
        if extension.state is not wanted:  # AWS: only the first error counts
            if extension.state not in allowed:
                raise answers.wrong_extension_state(extension.state.value, wanted.value, extension.id)
            extension.state, extension.error_type = wanted, error_type
        answers.accepted(exchange)
        self._changed()


def _answer(exchange: Exchange, action: Callable[[Exchange], None]) -> None:
    try:
        if exchange.too_large:
            raise answers.too_large(exchange.bytes_max)
        action(exchange)
    except Refused as error:
        answers.refused(exchange, error)


def _events(exchange: Exchange) -> tuple[str, ...]:
    try:
        told = json.loads(bytes(exchange.body))
        events = told.get("events") or []
    except (ValueError, AttributeError) as error:
        raise forbidden("InvalidRequestFormat", str(error)) from None
    if not isinstance(events, list):
        raise forbidden("InvalidRequestFormat", "events is not a list")
    for event in events:
        if event not in (INVOKE, SHUTDOWN):
            raise forbidden("Extension.InvalidEventType", f"{event}: Invalid event type")
    return tuple(dict.fromkeys(events))
