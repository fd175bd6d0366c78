"""What functions answer, read with suspicion: a durable handler's status, and a function's own failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pilotlight.services.awslambda.durable.state import Error, Execution

TEXTS = ("ErrorMessage", "ErrorType", "ErrorData")


def answer_of(payload: bytes) -> dict[str, Any]:
    """The handler's answer; one that is none has no status, and fails the execution."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(answer, dict):
        return {}
    result, error = answer.get("Result"), answer.get("Error")
    if not isinstance(result, str | None) or not isinstance(error, dict | None):
        return {}
    return answer if error is None else {**answer, "Error": _clean(error)}


def _clean(error: Mapping[str, Any]) -> Error:
    """Nothing but the model's members, each of its type."""
    clean = {name: error[name] for name in TEXTS if isinstance(error.get(name), str)}
    trace = error.get("StackTrace")
    if isinstance(trace, list):
        clean["StackTrace"] = [line for line in trace if isinstance(line, str)]
    return clean


def error_of(payload: bytes) -> Error:
    """A function's own failure, as durable executions write errors."""
    try:
        failure = orjson.loads(payload)
    except orjson.JSONDecodeError:
        failure = None
    if not isinstance(failure, dict):
        return {"ErrorMessage": payload.decode("utf-8", "replace")}
    error: dict[str, Any] = {}
    for member, name in (("errorMessage", "ErrorMessage"), ("errorType", "ErrorType")):
        if isinstance(failure.get(member), str):
            error[name] = failure[member]
    trace = failure.get("stackTrace", failure.get("trace"))
    if isinstance(trace, list):
        error["StackTrace"] = [line if isinstance(line, str) else orjson.dumps(line).decode() for line in trace]
    return error


def failure_of(execution: Execution) -> bytes:
    """What `Invoke` answers for an execution that has not succeeded: Lambda's usual shape of a failure."""
    error = execution.error or {}
    names = {
        "ErrorMessage": "errorMessage",
        "ErrorType": "errorType",
        "StackTrace": "stackTrace",
        "ErrorData": "errorData",
    }
    return orjson.dumps({name: error[member] for member, name in names.items() if error.get(member) is not None})
