"""Operations as they are shown: to AWS's clients, and in the event that the handler is invoked with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pilotlight.services.awslambda.durable.history import moment
from pilotlight.services.awslambda.durable.state import Execution, Operation

PAGE_BYTES_MAX = 5 * 1024 * 1024
"""Of operations at once: an event of Lambda's has 6 MB at most, and must hold them."""
WAITING = frozenset({"WAIT", "CALLBACK", "CHAINED_INVOKE"})


def shown(operation: Operation, execution: Execution, *, in_event: bool = False) -> dict[str, Any]:
    """`Operation` of the model. AWS: in the handler's event its times are milliseconds."""

    def time(ms: int) -> Any:
        return ms if in_event else moment(ms)

    told: dict[str, Any] = {
        "Id": operation.id,
        "Type": operation.type,
        "Status": operation.status,
        "StartTimestamp": time(operation.started_ms),
    }
    members = {"ParentId": operation.parent, "Name": operation.name, "SubType": operation.subtype}
    told.update({name: value for name, value in members.items() if value})
    if operation.ended_ms is not None:
        told["EndTimestamp"] = time(operation.ended_ms)
    details: dict[str, Any] = {}
    if operation.type == "EXECUTION":
        details["InputPayload"] = execution.input
    elif operation.type == "WAIT":
        if operation.due_ms is not None:
            details["ScheduledEndTimestamp"] = time(operation.due_ms)
    else:
        details = _outcome(operation)
    if operation.type == "STEP":
        details["Attempt"] = operation.attempt
        if operation.status == "PENDING" and operation.due_ms is not None:
            details["NextAttemptTimestamp"] = time(operation.due_ms)
    elif operation.type == "CALLBACK":
        details["CallbackId"] = operation.callback
    elif operation.type == "CONTEXT" and operation.replay_children:
        details["ReplayChildren"] = True
    told[DETAILS[operation.type]] = details
    return told


DETAILS = {
    "EXECUTION": "ExecutionDetails",
    "CONTEXT": "ContextDetails",
    "STEP": "StepDetails",
    "WAIT": "WaitDetails",
    "CALLBACK": "CallbackDetails",
    "CHAINED_INVOKE": "ChainedInvokeDetails",
}


def _outcome(operation: Operation) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if operation.result is not None:
        details["Result"] = operation.result
    if operation.error is not None:
        details["Error"] = dict(operation.error)
    return details


def replayed(operations: Mapping[str, Operation]) -> list[Operation]:
    """What a handler needs to go on. AWS: what is within a context that has ended is not among it, unless it asked."""
    needed: dict[str, bool] = {}

    def within_ended(operation: Operation) -> bool:
        if not operation.parent:
            return False
        if operation.parent not in needed:
            parent = operations[operation.parent]
            needed[parent.id] = (parent.ended and not parent.replay_children) or within_ended(parent)
        return needed[operation.parent]

    return [operation for operation in operations.values() if not within_ended(operation)]


def page(
    execution: Execution, operations: Iterable[Operation], *, after: int, limit: int, first: bool
) -> tuple[list[Operation], int | None]:
    """Those from position `after` on that fit, and the position of the next one, if any is left.

    `first`: the page of an event, which stays empty rather than too large; the handler then asks for the rest.
    """
    chosen: list[Operation] = []
    taken = 0
    for operation in operations:
        if operation.position < after:
            continue
        taken += operation.size_bytes + (0 if operation.position else len(execution.input))
        full = taken > PAGE_BYTES_MAX and (bool(chosen) or first)
        if full or len(chosen) >= limit:
            return chosen, operation.position
        chosen.append(operation)
    return chosen, None
