"""The states that need nobody else: Pass, Succeed, Fail, Choice and Wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotlight.workflows import intrinsics
from pilotlight.workflows.choice import decide, moment
from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.state import Definition, Thread
from pilotlight.workflows.templates import Scope, fill, text

if TYPE_CHECKING:
    from pilotlight.workflows.machine import Machine


def chosen(state: Definition, scope: Scope) -> Scope:
    """The state's input after `InputPath`."""
    return scope.of(scope.choose(state.get("InputPath", "$"), "InputPath"))


def effective(state: Definition, scope: Scope) -> Any:
    """The state's input after `InputPath` and `Parameters`."""
    inner = chosen(state, scope)
    return fill(state["Parameters"], inner) if "Parameters" in state else inner.value


def run_pass(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    value = effective(state, scope)
    machine.leave(thread, state, scope, state.get("Result", value))


def run_succeed(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    machine.leave(thread, state, scope, chosen(state, scope).value)


def run_fail(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    error, cause = (_told(state, scope, name) for name in ("Error", "Cause"))
    machine.fail(thread, StatesError(error, cause))


def _told(state: Definition, scope: Scope, name: str) -> str:
    if f"{name}Path" not in state:
        return str(state.get(name, ""))
    found = scope.expression(state[f"{name}Path"], f"{name}Path")
    if not isinstance(found, str):
        raise StatesError("States.Runtime", f"The field '{name}Path' must give a string, not {text(found)}")
    return found


def run_choice(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    inner = chosen(state, scope)
    for rule in state["Choices"]:
        if decide(rule, inner.look):
            machine.assign(thread, rule, inner)
            machine.leave(thread, state, scope, inner.value, following=rule["Next"])
            return
    if "Default" not in state:
        raise StatesError(
            "States.NoChoiceMatched",
            "Failed to transition out of the state. No choice matches its input, and it has no default.",
        )
    machine.leave(thread, state, scope, inner.value, following=state["Default"])


def run_wait(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    inner = chosen(state, scope)
    if "Seconds" in state or "SecondsPath" in state:
        seconds = state["Seconds"] if "Seconds" in state else inner.expression(state["SecondsPath"], "SecondsPath")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise StatesError(
                "States.Runtime", "The SecondsPath parameter does not reference a positive integer: " + text(seconds)
            )
        due_ms = machine.now_ms + int(seconds * 1000)
    else:
        given = (
            state["Timestamp"] if "Timestamp" in state else inner.expression(state["TimestampPath"], "TimestampPath")
        )
        at = moment(given)
        if at is None:
            raise StatesError(
                "States.Runtime",
                "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format "
                "string: " + text(given),
            )
        due_ms = int(at.timestamp() * 1000)
    machine.wait_until(thread, "timer", max(due_ms, machine.now_ms))


def uses(template: str) -> list[str]:
    """The paths of an expression."""
    return [template] if template.startswith("$") else intrinsics.paths_of(intrinsics.parse(template))
