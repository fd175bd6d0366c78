"""Parallel and Map: states that hold other states, and give what those gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.simple import chosen, effective
from pilotlight.workflows.state import Definition, Thread
from pilotlight.workflows.templates import Scope, fill, text

if TYPE_CHECKING:
    from pilotlight.workflows.machine import Machine

CONCURRENCY_MAX = 40
"""AWS: an inline map runs about that many iterations at once where nothing else is said."""


def run_parallel(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    value = effective(state, scope)
    machine.event(thread, "ParallelStateStarted")
    thread.items, thread.begun, thread.results = None, len(state["Branches"]), {}
    machine.wait_until(thread, "children", None)
    for number, branch in enumerate(state["Branches"]):
        place = [*thread.scope, "States", thread.state, "Branches", number]
        machine.begin_thread(scope=place, state=branch["StartAt"], value=value, parent=thread, index=number)


def run_map(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    inner = chosen(state, scope)
    path = state.get("ItemsPath", "$")
    items = inner.get(path, "ItemsPath")
    if not isinstance(items, list):
        raise StatesError("States.Runtime", f'Reference path "{path}" must point to array.')
    machine.event(thread, "MapStateStarted", {"length": len(items)})
    thread.items, thread.begun, thread.results = items, 0, {}
    machine.wait_until(thread, "children", None)
    if not items:
        _map_done(machine, thread, state, scope)
    else:
        _begin_more(machine, thread, state, inner)


def _begin_more(machine: Machine, thread: Thread, state: Definition, inner: Scope) -> None:
    assert thread.items is not None
    limit = state.get("MaxConcurrency", 0)
    if "MaxConcurrencyPath" in state:
        limit = inner.expression(state["MaxConcurrencyPath"], "MaxConcurrencyPath")
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise StatesError(
                "States.Runtime", f"The field 'MaxConcurrencyPath' must give a non-negative integer, not {text(limit)}"
            )
    limit = min(limit or CONCURRENCY_MAX, CONCURRENCY_MAX)
    selector = state.get("ItemSelector", state.get("Parameters"))
    name = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
    while thread.begun < len(thread.items) and thread.begun - len(thread.results) < limit:
        number, item = thread.begun, thread.items[thread.begun]
        thread.begun += 1
        value = item
        if selector is not None:
            context = {**inner.context, "Map": {"Item": {"Index": number, "Value": item}}}
            value = fill(selector, Scope(inner.value, context, inner.variables, inner.rng))
        place = [*thread.scope, "States", thread.state, name]
        child = machine.begin_thread(
            scope=place, state=state[name]["StartAt"], value=value, parent=thread, index=number, item={"value": item}
        )
        machine.event(child, "MapIterationStarted", {"name": thread.state, "index": number})


def child_ended(machine: Machine, parent: Thread, child: Thread, output: Any) -> None:
    state = machine.state_of(parent)
    parent.results[str(child.index)] = output
    parent.children = [one for one in parent.children if one != child.id]
    if state["Type"] == "Map":
        machine.event(child, "MapIterationSucceeded", {"name": parent.state, "index": child.index})
    parent.last_event = child.last_event
    machine.forget(child)
    machine.wait_until(parent, "children", None)
    scope = machine.scope_of(parent)
    total = len(parent.items) if parent.items is not None else parent.begun
    if len(parent.results) == total:
        if state["Type"] == "Map":
            _map_done(machine, parent, state, scope)
        else:
            machine.event(parent, "ParallelStateSucceeded")
            machine.leave(parent, state, scope, _in_order(parent, total))
    elif state["Type"] == "Map":
        _begin_more(machine, parent, state, chosen(state, scope))


def child_failed(machine: Machine, parent: Thread, child: Thread, error: StatesError) -> None:
    state = machine.state_of(parent)
    if state["Type"] == "Map":
        machine.event(child, "MapIterationFailed", {"name": parent.state, "index": child.index})
    parent.children = [one for one in parent.children if one != child.id]
    parent.last_event = child.last_event
    machine.forget(child)
    for other_id in parent.children:
        other = machine.threads.get(other_id)
        if other is not None:
            machine.drop(other)
            if state["Type"] == "Map":
                machine.event(other, "MapIterationAborted", {"name": parent.state, "index": other.index})
    parent.children = []
    parent.results, parent.items, parent.begun = {}, None, 0
    machine.event(parent, f"{state['Type']}StateFailed")
    machine.fail(parent, error)


def _map_done(machine: Machine, thread: Thread, state: Definition, scope: Scope) -> None:
    machine.event(thread, "MapStateSucceeded")
    machine.leave(thread, state, scope, _in_order(thread, len(thread.items or ())))


def _in_order(thread: Thread, total: int) -> list[Any]:
    return [thread.results[str(number)] for number in range(total)]
