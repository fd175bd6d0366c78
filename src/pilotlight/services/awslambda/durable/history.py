"""The events of an execution's history, as they are kept and as they are shown.

Kept times are milliseconds; shown ones are moments. `IncludeExecutionData=false` leaves the payloads out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.services.awslambda.durable.state import Error, Execution, Operation

Event = dict[str, Any]
NAMES = {
    "EXECUTION": "Execution",
    "CONTEXT": "Context",
    "STEP": "Step",
    "WAIT": "Wait",
    "CALLBACK": "Callback",
    "CHAINED_INVOKE": "ChainedInvoke",
}
ENDINGS = {
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "TIMED_OUT": "TimedOut",
    "STOPPED": "Stopped",
    "CANCELLED": "Cancelled",
}
WRAPPED = ("Input", "Result", "Error", "Reason")


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def payload(value: Any) -> Event:
    """AWS wraps whatever may be long."""
    wrapped: Event = {"Truncated": False}
    if value is not None:
        wrapped["Payload"] = value
    return wrapped


def of_execution(execution: Execution, kind: str, now_ms: int, details: Mapping[str, Any]) -> Event:
    return _event(kind, now_ms, details, Id=execution.id, Name=execution.name)


def of_operation(operation: Operation, kind: str, now_ms: int, details: Mapping[str, Any]) -> Event:
    members = {
        "Id": operation.id,
        "Name": operation.name,
        "ParentId": operation.parent,
        "SubType": operation.subtype,
    }
    return _event(kind, now_ms, details, **{name: value for name, value in members.items() if value})


def invocation_completed(invocation: str, started_ms: int, now_ms: int, error: Error | None) -> Event:
    details: Event = {"StartTimestamp": started_ms, "EndTimestamp": now_ms, "RequestId": invocation}
    if error is not None:
        details["Error"] = payload(dict(error))
    return _event("InvocationCompleted", now_ms, details)


def _event(kind: str, now_ms: int, details: Mapping[str, Any], **members: Any) -> Event:
    return {"EventType": kind, "EventTimestamp": now_ms, **members, f"{kind}Details": dict(details)}


def execution_started(execution: Execution, now_ms: int) -> Event:
    details = {"Input": payload(execution.input), "ExecutionTimeout": execution.timeout_seconds}
    return of_execution(execution, "ExecutionStarted", now_ms, details)


def execution_ended(execution: Execution, now_ms: int) -> Event:
    details: Event = {}
    if execution.status == "SUCCEEDED":
        details["Result"] = payload(execution.result)
    else:
        details["Error"] = payload(dict(execution.error or {}))
    return of_execution(execution, f"Execution{ENDINGS[execution.status]}", now_ms, details)


def operation_started(operation: Operation, now_ms: int, *, timeouts: Mapping[str, int], version: str = "") -> Event:
    """`timeouts`: of a callback. `version`: of the function that a chained invoke calls, where it was found."""
    details: Event = {}
    if operation.type == "WAIT":
        details = {"Duration": operation.seconds, "ScheduledEndTimestamp": operation.due_ms}
    elif operation.type == "CALLBACK":
        details = {"CallbackId": operation.callback, **timeouts}
    elif operation.type == "CHAINED_INVOKE":
        details = {"FunctionName": operation.target}
        if version:
            details |= {"Input": payload(operation.payload), "ExecutedVersion": version}
        if operation.child:
            details["DurableExecutionArn"] = operation.child
    return of_operation(operation, f"{NAMES[operation.type]}Started", now_ms, details)


def operation_ended(operation: Operation, now_ms: int) -> Event:
    kind = f"{NAMES[operation.type]}{ENDINGS[operation.status]}"
    details: Event = {}
    if operation.type == "WAIT":
        details = {"Duration": operation.seconds} if operation.status == "SUCCEEDED" else {}
    elif operation.status == "SUCCEEDED":
        details["Result"] = payload(operation.result)
    else:
        details["Error"] = payload(dict(operation.error or {}))
    if operation.type == "STEP":
        details["RetryDetails"] = {"CurrentAttempt": operation.attempt}
    return of_operation(operation, kind, now_ms, details)


def step_retried(operation: Operation, now_ms: int, delay_seconds: int) -> Event:
    """A try that asks for another: a failure, or, where a condition is polled, a success that is not the last."""
    details: Event = {"RetryDetails": {"CurrentAttempt": operation.attempt, "NextAttemptDelaySeconds": delay_seconds}}
    if operation.error is not None:
        details["Error"] = payload(dict(operation.error))
        return of_operation(operation, "StepFailed", now_ms, details)
    details["Result"] = payload(operation.result)
    return of_operation(operation, "StepSucceeded", now_ms, details)


def shown(event: Event, *, with_data: bool) -> Event:
    """As `GetDurableExecutionHistory` answers it."""
    told = {name: value for name, value in event.items() if not isinstance(value, dict)}
    told["EventTimestamp"] = moment(event["EventTimestamp"])
    for name, details in event.items():
        if isinstance(details, dict):
            told[name] = {key: _detail(key, value, with_data=with_data) for key, value in details.items()}
    return told


def _detail(name: str, value: Any, *, with_data: bool) -> Any:
    if name.endswith("Timestamp"):
        return moment(value)
    if name in WRAPPED and not with_data:
        return {"Truncated": "Payload" in value}
    return value
