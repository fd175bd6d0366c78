"""Task states: what is scheduled, what its answer means, and when it comes too late."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.simple import effective
from pilotlight.workflows.state import Definition, Thread
from pilotlight.workflows.templates import Scope, check_size, text

if TYPE_CHECKING:
    from pilotlight.workflows.machine import Machine

TOKEN_PATTERN = "waitForTaskToken"
_FUNCTION = re.compile(r"^arn:aws[a-z-]*:lambda:[a-z0-9-]*:\d*:function:[A-Za-z0-9_-]+(:[$A-Za-z0-9_-]+)?$")
_SERVICE = re.compile(r"^arn:aws[a-z-]*:states:[a-z0-9-]*:\d*:(?P<rest>[A-Za-z0-9:._-]+)$")


@dataclass(frozen=True, slots=True)
class Resource:
    """`arn:aws:states:::aws-sdk:s3:getObject` is the type `aws-sdk:s3` and the action `getObject`."""

    arn: str
    kind: str
    """`function` for a function's ARN, else `service`."""
    type: str = ""
    action: str = ""
    pattern: str = ""
    """Nothing (request and response), `sync`, `sync:2` or `waitForTaskToken`."""

    @property
    def shown(self) -> str:
        return self.action + (f".{self.pattern}" if self.pattern else "")


def parse_resource(arn: str) -> Resource | None:
    if _FUNCTION.match(arn):
        return Resource(arn, "function")
    match = _SERVICE.match(arn)
    if match is None or match["rest"].startswith("activity:"):
        return None
    rest, _, pattern = match["rest"].partition(".")
    kind, _, action = rest.rpartition(":")
    return Resource(arn, "service", kind, action, pattern) if kind else None


def run_task(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    thread.attempt += 1
    scope = machine.scope_of(thread)
    parameters = effective(state, scope)
    written = check_size(parameters, thread.state)
    seconds = _seconds(state, scope, "TimeoutSeconds")
    beat = _seconds(state, scope, "HeartbeatSeconds")
    resource = parse_resource(state["Resource"])
    assert resource is not None
    limits: dict[str, Any] = {
        **({"timeoutInSeconds": int(seconds)} if seconds is not None else {}),
        **({"heartbeatInSeconds": int(beat)} if beat is not None else {}),
    }
    if resource.kind == "function":
        details = {"resource": resource.arn, "input": written, "inputDetails": {"truncated": False}}
        details |= {key: value for key, value in limits.items() if key == "timeoutInSeconds"}
        machine.event(thread, "LambdaFunctionScheduled", details)
        machine.event(thread, "LambdaFunctionStarted")
    else:
        told = {"resourceType": resource.type, "resource": resource.shown}
        machine.event(thread, "TaskScheduled", told | {"region": machine.about.region, "parameters": written} | limits)
        machine.event(thread, "TaskStarted", told)
    thread.heartbeat_seconds = beat
    thread.heartbeat_ms = machine.now_ms + int(beat * 1000) if beat is not None else None
    machine.wait_until(thread, "task", machine.now_ms + int(seconds * 1000) if seconds is not None else None)
    machine.call(thread, resource.arn, parameters)


def _seconds(state: Definition, scope: Scope, name: str) -> float | None:
    if name in state:
        return float(state[name])
    if f"{name}Path" not in state:
        return None
    found = scope.expression(state[f"{name}Path"], f"{name}Path")
    if isinstance(found, bool) or not isinstance(found, int) or found <= 0:
        raise StatesError("States.Runtime", f"The field '{name}Path' must give a positive integer, not {text(found)}")
    return float(found)


def succeeded(machine: Machine, thread: Thread, state: Definition, scope: Scope, output: Any) -> None:
    resource = parse_resource(state["Resource"])
    assert resource is not None
    written = check_size(output, thread.state)
    details = {"output": written, "outputDetails": {"truncated": False}}
    if resource.kind == "function":
        machine.event(thread, "LambdaFunctionSucceeded", details)
    else:
        machine.event(thread, "TaskSucceeded", {"resourceType": resource.type, "resource": resource.shown} | details)
    thread.due_ms = thread.heartbeat_ms = None
    machine.leave(thread, state, scope, output)


def failed(machine: Machine, thread: Thread, state: Definition, error: StatesError) -> None:
    _write(machine, thread, state, "Failed", {"error": error.error, "cause": error.cause})


def submitted(machine: Machine, thread: Thread, state: Definition, output: Any) -> None:
    resource = parse_resource(state["Resource"])
    assert resource is not None
    told = {"resourceType": resource.type, "resource": resource.shown}
    machine.event(thread, "TaskSubmitted", told | {"output": text(output), "outputDetails": {"truncated": False}})
    thread.waiting = "token"


def timed_out(machine: Machine, thread: Thread, state: Definition) -> StatesError:
    beat = thread.heartbeat_ms is not None and thread.heartbeat_ms <= machine.now_ms
    beat = beat and (thread.due_ms is None or thread.heartbeat_ms < thread.due_ms)  # type: ignore[operator]
    error = StatesError("States.HeartbeatTimeout" if beat else "States.Timeout", "")
    _write(machine, thread, state, "TimedOut", {"error": error.error})
    return error


def _write(machine: Machine, thread: Thread, state: Definition, what: str, details: dict[str, Any]) -> None:
    resource = parse_resource(state["Resource"])
    assert resource is not None
    details = {key: value for key, value in details.items() if value}
    if resource.kind == "function":
        machine.event(thread, f"LambdaFunction{what}", details)
    else:
        machine.event(thread, f"Task{what}", {"resourceType": resource.type, "resource": resource.shown} | details)
