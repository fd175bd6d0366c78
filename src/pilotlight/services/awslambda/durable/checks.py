"""Whether a batch of updates fits the state it meets: all of it, or none.

The order is AWS's: the batch as a whole, then each update's identity, its sizes, its action, and the state it is in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pilotlight.services.awslambda.durable.refusals import too_large
from pilotlight.services.awslambda.durable.state import (
    OPERATIONS_MAX,
    PAYLOAD_BYTES_MAX,
    STORED_BYTES_MAX,
    Execution,
    Operation,
    size,
)
from pilotlight.services.awslambda.names import invalid

Update = Mapping[str, Any]
"""`OperationUpdate`, as boto3 shapes it."""
Find = Callable[[str], Operation | None]

ACTIONS = {
    "EXECUTION": {"SUCCEED", "FAIL"},
    "CONTEXT": {"START", "SUCCEED", "FAIL"},
    "STEP": {"START", "SUCCEED", "FAIL", "RETRY"},
    "WAIT": {"START", "CANCEL"},
    "CALLBACK": {"START"},
    "CHAINED_INVOKE": {"START"},
}
OPTIONS = {
    "StepOptions": "STEP",
    "WaitOptions": "WAIT",
    "CallbackOptions": "CALLBACK",
    "ChainedInvokeOptions": "CHAINED_INVOKE",
    "ContextOptions": "CONTEXT",
}


def check_batch(execution: Execution, updates: Sequence[Update], find: Find) -> None:
    """Raises InvalidParameterValueException in AWS's words; else the batch can be applied."""
    closing = [number for number, update in enumerate(updates) if update["Type"] == "EXECUTION"]
    if len(closing) > 1:
        raise invalid("Cannot checkpoint multiple EXECUTION updates.")
    if closing and closing[0] != len(updates) - 1:
        raise invalid("EXECUTION checkpoint must be the last update.")
    begun: dict[str, Update] = {}
    last: dict[str, Update] = {}
    for update in updates:
        _check_again(update, last.get(update["Id"]))
        _check_parent(update, begun, find)
        last[update["Id"]] = update
        if update["Action"] == "START":
            begun[update["Id"]] = update
    for update in updates:
        _check_one(execution, update, find(update["Id"]), begun=update["Id"] in begun)
    _check_quotas(execution, updates, find)


def _check_again(update: Update, before: Update | None) -> None:
    """A step or a context may begin and end in one batch; nothing else is changed twice."""
    if before is None:
        return
    closes = before["Action"] == "START" and update["Action"] != "START" and before["Type"] == update["Type"]
    if before["Type"] not in ("STEP", "CONTEXT") or not closes:
        raise invalid("Cannot checkpoint multiple operations with the same ID.")


def _check_parent(update: Update, begun: Mapping[str, Update], find: Find) -> None:
    parent = update.get("ParentId")
    if parent is None:
        return
    found = find(parent)
    kind = begun[parent]["Type"] if parent in begun else found.type if found else ""
    if kind != "CONTEXT":
        raise invalid("Invalid parent operation id.")


def _check_one(execution: Execution, update: Update, found: Operation | None, *, begun: bool) -> None:
    kind, action = update["Type"], update["Action"]
    if found is not None and kind != "EXECUTION":
        _check_identity(update, found)
    _check_sizes(execution, update)
    if action not in ACTIONS[kind]:
        raise invalid("Invalid action for the given operation type.")
    for member, owner in OPTIONS.items():
        if update.get(member) is not None and owner != kind:
            raise invalid(f"Cannot provide {member} for {kind} operations.")
    if action == "SUCCEED" and update.get("Error") is not None:
        raise invalid("Cannot provide an Error for SUCCEED action.")
    if action == "FAIL" and update.get("Payload") is not None:
        raise invalid("Cannot provide a Payload for FAIL action.")
    status = found.status if found is not None else ""
    if action == "START":
        _check_start(update, status)
    elif kind == "STEP":
        _check_step(update, status, begun=begun)
    elif kind == "CONTEXT" and status not in ("STARTED", ""):
        raise invalid("Invalid current CONTEXT state to close.")
    elif kind == "WAIT" and status != "STARTED":
        raise invalid("Cannot cancel a WAIT that does not exist or has already completed.")


def _check_identity(update: Update, found: Operation) -> None:
    if update["Type"] != found.type:
        raise invalid("Inconsistent operation type.")
    if update.get("SubType") is not None and update["SubType"] != found.subtype:
        raise invalid("Inconsistent operation subtype.")
    if update.get("Name") is not None and update["Name"] != found.name:
        raise invalid("Inconsistent operation name.")
    if update.get("ParentId") is not None and update["ParentId"] != found.parent:
        raise invalid("Inconsistent parent operation id.")


def _check_sizes(execution: Execution, update: Update) -> None:
    error = update.get("Error")
    if error is not None and size(json.dumps(error)) > PAYLOAD_BYTES_MAX:
        raise invalid(f"Error object size must be less than {PAYLOAD_BYTES_MAX} bytes.")
    payload = size(update.get("Payload"))
    if update["Type"] == "EXECUTION":
        if payload > execution.result_bytes_max:
            raise too_large("Execution output", execution.result_bytes_max)
    elif payload > PAYLOAD_BYTES_MAX:
        what = "CHAINED_INVOKE input" if update["Type"] == "CHAINED_INVOKE" else update["Type"]
        raise too_large(what, PAYLOAD_BYTES_MAX)


def _check_start(update: Update, status: str) -> None:
    kind = update["Type"]
    if kind == "STEP":
        if status not in ("READY", ""):
            raise invalid("Invalid current STEP state to start.")
        if update.get("StepOptions"):
            raise invalid("Invalid StepOptions for the given action.")
        return
    if status:
        what = (
            "CHAINED_INVOKE operation that already exists" if kind == "CHAINED_INVOKE" else f"{kind} that already exist"
        )
        raise invalid(f"Cannot start a {what}.")
    if kind == "CHAINED_INVOKE" and not update.get("ChainedInvokeOptions"):
        raise invalid("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.")
    if kind == "WAIT" and not (update.get("WaitOptions") or {}).get("WaitSeconds"):
        raise invalid("Update for WAIT operation requires WaitOptions.")


def _check_step(update: Update, status: str, *, begun: bool) -> None:
    running = status in ("STARTED", "READY", "") or begun
    if update["Action"] == "RETRY":
        if not running:
            raise invalid("Invalid current STEP state to re-attempt.")
        if not (update.get("StepOptions") or {}).get("NextAttemptDelaySeconds"):
            raise invalid("Invalid StepOptions for the given action.")
        if update.get("Error") is not None and update.get("Payload") is not None:
            raise invalid("Cannot provide both error and payload to RETRY a STEP.")
    elif not running:
        raise invalid("Invalid current STEP state to close.")


def _check_quotas(execution: Execution, updates: Sequence[Update], find: Find) -> None:
    fresh = {update["Id"] for update in updates if update["Type"] != "EXECUTION" and find(update["Id"]) is None}
    if execution.operations + len(fresh) > OPERATIONS_MAX:
        raise invalid(f"Cannot checkpoint more than {OPERATIONS_MAX} operations in a durable execution.")
    stored = sum(size(update.get("Payload")) + size(json.dumps(update.get("Error") or "")) for update in updates)
    if execution.stored_bytes + stored > STORED_BYTES_MAX:
        raise invalid(f"Cannot store more than {STORED_BYTES_MAX} bytes in a durable execution.")
