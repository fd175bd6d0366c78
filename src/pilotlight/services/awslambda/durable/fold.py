"""The core: what becomes of an execution when something happens to it. No clock, no database, no engine.

A `Course` is an execution with its operations. Each method is one thing that may happen; what it changed is in
`dirty`, `events`, `launch`, `calls` and `children`, for whoever commits it whole and then acts upon it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotlight.services.awslambda.durable import history
from pilotlight.services.awslambda.durable.checks import Update, check_batch
from pilotlight.services.awslambda.durable.refusals import callback_closed, foreign_token, invalid_token
from pilotlight.services.awslambda.durable.shapes import WAITING
from pilotlight.services.awslambda.durable.state import DAY_MS, Error, Execution, Operation, size
from pilotlight.services.awslambda.durable.tokens import CallbackId, CheckpointToken

FAILURES_MAX = 5
IDLE_ANSWERS_MAX = 3
RETRY_MS = 1000
THROTTLE_MS_MAX = 300_000
ANSWERS = frozenset({"SUCCEEDED", "FAILED", "PENDING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a chained invoke's function was found to be, before the checkpoint is applied."""

    version: str = ""
    child: Course | None = None
    """Of a durable function: the execution that begins, started."""
    error: Error | None = None
    """It cannot be invoked."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    token: str | None
    operations: list[Operation]


@dataclass(slots=True, eq=False)
class Course:
    execution: Execution
    operations: dict[str, Operation]
    """By id, in the order in which they began."""
    fresh: Callable[[], str]
    """Makes ids."""
    dirty: set[str] = field(default_factory=set)
    events: list[history.Event] = field(default_factory=list)
    launch: str = ""
    """The invocation to begin …"""
    updated: list[str] = field(default_factory=list)
    """… and the operations that have changed since the handler saw them last."""
    calls: list[Operation] = field(default_factory=list)
    """Chained invokes of functions that are not durable."""
    children: list[Course] = field(default_factory=list)
    """What chained invokes of durable functions began."""

    def taken(self) -> None:
        """What was to be done is in other hands."""
        self.dirty, self.events, self.launch, self.calls, self.children = set(), [], "", [], []

    # The execution itself.

    def start(self, now_ms: int) -> None:
        one = self.execution
        root = Operation(id=one.id, type="EXECUTION", position=0, name=one.name, started_ms=now_ms)
        self.operations[one.id] = root
        self._touch(root)
        self._note(history.execution_started(one, now_ms))
        self._go(now_ms)

    def due_ms(self) -> int:
        """When time itself brings something about; of a closed execution, when it is forgotten."""
        one = self.execution
        if one.closed:
            return (one.ended_ms or 0) + one.retention_days * DAY_MS
        times = [one.expires_ms, *(operation.next_due_ms for operation in self.operations.values())]
        if one.status == "RUNNING" and not one.invocation:
            times.append(one.retry_ms)
        return min(time for time in times if time is not None)

    @property
    def busy(self) -> bool:
        """Something is under way that is lost with the process."""
        return bool(self.execution.invocation) or any(_called(operation) for operation in self.operations.values())

    def pass_time(self, now_ms: int) -> None:
        if self.execution.closed:
            return
        if self.execution.expires_ms <= now_ms:
            seconds = self.execution.timeout_seconds
            self._close("TIMED_OUT", now_ms, error={"ErrorMessage": f"Execution timed out after {seconds} seconds."})
            return
        self._complete_due(now_ms)
        self._go(now_ms)

    def stop(self, error: Error | None, now_ms: int) -> int:
        """When it ended: AWS gives an execution that has ended already its own time."""
        if not self.execution.closed:
            self._close("STOPPED", now_ms, error=error or {})
        return self.execution.ended_ms or now_ms

    def lost(self, now_ms: int) -> None:
        """The process that had its invocation in hand is gone. Its tokens are worth nothing from now on."""
        one = self.execution
        if one.closed:
            return
        if one.invocation:
            one.invocation, one.wanted = "", True
            if one.status == "PAUSING":
                self._paused(now_ms)
        self._go(now_ms)
        self.calls += [operation for operation in self.operations.values() if _called(operation)]

    # Invocations.

    def answered(self, invocation: str, answer: Mapping[str, Any], started_ms: int, now_ms: int) -> None:
        """The handler has answered with its status. Raises LookupError for an invocation that was given up on."""
        one = self.execution
        error = answer.get("Error") if answer.get("Status") == "FAILED" else None
        self._landed(invocation, started_ms, now_ms, error)
        if one.closed:
            return
        trouble = self._trouble(answer)
        if trouble and answer.get("Status") == "PENDING":
            one.idle_answers += 1
            if one.idle_answers < IDLE_ANSWERS_MAX:
                self._again(now_ms, RETRY_MS)
                return
        if trouble:
            self._close(
                "FAILED", now_ms, error={"ErrorMessage": trouble, "ErrorType": "InvalidParameterValueException"}
            )
            return
        one.failures = one.throttles = one.idle_answers = 0
        if answer["Status"] == "SUCCEEDED":
            self._close("SUCCEEDED", now_ms, result=answer.get("Result"))
        elif answer["Status"] == "FAILED":
            self._close("FAILED", now_ms, error=answer.get("Error") or {})
        else:
            one.wanted = one.wanted and (one.changes > one.seen or one.cut or one.status == "PAUSED")
            if one.status == "PAUSING":
                self._paused(now_ms)
            self._go(now_ms)

    def failed(self, invocation: str, error: Error, started_ms: int, now_ms: int, *, final: bool = False) -> None:
        """The handler raised, died or ran out of time; or, `final`, it cannot be invoked any more."""
        one = self.execution
        self._landed(invocation, started_ms, now_ms, error)
        if one.closed:
            return
        one.failures += 1
        if final or one.failures >= FAILURES_MAX:
            self._close("FAILED", now_ms, error=error)
        else:
            self._again(now_ms, RETRY_MS << (one.failures - 1))

    def throttled(self, invocation: str, now_ms: int) -> None:
        """There was no room for it, or the failure was Lambda's own: that does not count."""
        one = self.execution
        if one.invocation != invocation:
            raise LookupError(invocation)
        one.invocation = ""
        if not one.closed:
            one.throttles += 1
            self._again(now_ms, min(THROTTLE_MS_MAX, RETRY_MS << min(one.throttles - 1, 16)))

    def _landed(self, invocation: str, started_ms: int, now_ms: int, error: Error | None) -> None:
        if self.execution.invocation != invocation:
            raise LookupError(invocation)
        self.execution.invocation = ""
        self._note(history.invocation_completed(invocation, started_ms, now_ms, error))

    def _again(self, now_ms: int, delay_ms: int) -> None:
        one = self.execution
        one.wanted, one.retry_ms = True, now_ms + delay_ms
        if one.status == "PAUSING":
            self._paused(now_ms)

    def _trouble(self, answer: Mapping[str, Any]) -> str:
        one, status = self.execution, answer.get("Status")
        if not isinstance(status, str) or status not in ANSWERS:
            return "Invalid Status in invocation output."
        if status == "FAILED" and answer.get("Result") is not None:
            return "Cannot provide a Result for FAILED status."
        if status == "SUCCEEDED" and answer.get("Error") is not None:
            return "Cannot provide an Error for SUCCEEDED status."
        if status == "SUCCEEDED" and size(answer.get("Result")) > one.result_bytes_max:
            return f"Execution output payload size must be less than or equal to {one.result_bytes_max} bytes."
        if status == "PENDING" and not self._waits():
            return "Cannot return PENDING status with no pending operations."
        return ""

    def _waits(self) -> bool:
        one = self.execution
        if one.wanted or one.changes > one.seen:
            return True
        return any(
            operation.status in ("PENDING", "READY") or (operation.status == "STARTED" and operation.type in WAITING)
            for operation in self.operations.values()
        )

    def _go(self, now_ms: int) -> None:
        """Invoke the handler, if that is owed and nothing stands against it."""
        one = self.execution
        if not one.wanted or one.invocation or one.status != "RUNNING":
            return
        if one.retry_ms is not None and one.retry_ms > now_ms:
            return
        one.invocation, one.wanted, one.cut, one.retry_ms = self.fresh(), False, False, None
        self.launch = one.invocation
        self.updated = [operation.id for operation in self._unseen()]

    # Checkpoints.

    def checkpoint(
        self,
        text: str,
        client: str,
        updates: Sequence[Update],
        targets: Mapping[str, Target],
        now_ms: int,
    ) -> Checkpoint:
        one = self.execution
        last = one.last_checkpoint
        if client and last.get("client") == client and last.get("token") == text:
            # The answer was lost on its way: the same again.
            return Checkpoint(last["next"], [self.operations[id_] for id_ in last["shown"]])
        self.check_token(text)
        check_batch(one, updates, self.operations.get)
        for update in updates:
            self._apply(update, targets, now_ms)
        if one.closed:
            return Checkpoint(None, self._unseen())
        self._complete_due(now_ms)
        one.sequence += 1
        if one.status == "PAUSING":
            # AWS: an answer without a token tells the SDK to end this invocation.
            one.wanted = one.cut = True
            self._paused(now_ms)
            return Checkpoint(None, [])
        operations = self._unseen()
        token = self.token
        shown = [operation.id for operation in operations]
        one.last_checkpoint = {"client": client, "token": text, "next": token, "shown": shown}
        return Checkpoint(token, operations)

    @property
    def token(self) -> str:
        return str(CheckpointToken(self.execution.id, self.execution.invocation, self.execution.sequence))

    def check_token(self, text: str) -> None:
        """Only the last token that was given to the invocation under way is good."""
        one, token = self.execution, CheckpointToken.parse(text)
        if token is None:
            raise invalid_token()
        if token.execution != one.id:
            raise foreign_token()
        current = (one.invocation, one.sequence)
        if one.closed or not one.invocation or (token.invocation, token.sequence) != current:
            raise invalid_token()

    def _unseen(self) -> list[Operation]:
        one = self.execution
        unseen = [operation for operation in self.operations.values() if operation.touched > one.seen]
        one.seen = one.changes
        return unseen

    def _apply(self, update: Update, targets: Mapping[str, Target], now_ms: int) -> None:
        kind, action = update["Type"], update["Action"]
        if kind == "EXECUTION":
            status = "SUCCEEDED" if action == "SUCCEED" else "FAILED"
            self._close(status, now_ms, result=update.get("Payload"), error=update.get("Error"))
            return
        operation = self.operations.get(update["Id"])
        if operation is None:
            operation = self._begin(update, targets.get(update["Id"], Target()), now_ms)
        elif action == "START":  # a step, once more
            operation.status, operation.due_ms = "STARTED", None
            self._note(history.operation_started(operation, now_ms, timeouts={}))
        self._touch(operation)
        if action == "RETRY":
            self._retry_step(operation, update, now_ms)
        elif action != "START":
            self._end_by(operation, update, now_ms)

    def _begin(self, update: Update, target: Target, now_ms: int) -> Operation:
        one = self.execution
        one.operations += 1
        operation = Operation(
            id=update["Id"],
            type=update["Type"],
            position=one.operations,
            started_ms=now_ms,
            parent=update.get("ParentId") or "",
            name=update.get("Name") or "",
            subtype=update.get("SubType") or "",
        )
        self.operations[operation.id] = operation
        timeouts: dict[str, int] = {}
        if operation.type == "WAIT":
            operation.seconds = update["WaitOptions"]["WaitSeconds"]
            operation.due_ms = now_ms + 1000 * operation.seconds
        elif operation.type == "CALLBACK":
            timeouts = self._begin_callback(operation, update.get("CallbackOptions") or {}, now_ms)
        elif operation.type == "CHAINED_INVOKE":
            operation.target = update["ChainedInvokeOptions"]["FunctionName"]
            operation.payload = None if target.error else update.get("Payload")
            operation.child = target.child.execution.arn if target.child else ""
        self._note(history.operation_started(operation, now_ms, timeouts=timeouts, version=target.version))
        if operation.type == "CHAINED_INVOKE":
            self._begin_chained(operation, target, now_ms)
        return operation

    def _begin_callback(self, operation: Operation, options: Mapping[str, int], now_ms: int) -> dict[str, int]:
        operation.callback = str(CallbackId(self.execution.arn, operation.id, self.fresh()))
        timeouts: dict[str, int] = {}
        if options.get("TimeoutSeconds"):
            timeouts["Timeout"] = options["TimeoutSeconds"]
            operation.due_ms = now_ms + 1000 * options["TimeoutSeconds"]
        if options.get("HeartbeatTimeoutSeconds"):
            operation.seconds = timeouts["HeartbeatTimeout"] = options["HeartbeatTimeoutSeconds"]
            operation.heartbeat_due_ms = now_ms + 1000 * operation.seconds
        return timeouts

    def _begin_chained(self, operation: Operation, target: Target, now_ms: int) -> None:
        if target.error is not None:
            self._end(operation, "FAILED", now_ms, error=target.error)
        elif target.child is not None:
            self.children.append(target.child)
        else:
            self.calls.append(operation)

    def _retry_step(self, operation: Operation, update: Update, now_ms: int) -> None:
        delay_seconds = update["StepOptions"]["NextAttemptDelaySeconds"]
        operation.status = "PENDING"
        operation.attempt += 1
        operation.due_ms = now_ms + 1000 * delay_seconds
        operation.result, operation.error = update.get("Payload"), update.get("Error")
        self._grow(operation)
        self._note(history.step_retried(operation, now_ms, delay_seconds))

    def _end_by(self, operation: Operation, update: Update, now_ms: int) -> None:
        if operation.type == "STEP":
            operation.attempt += 1
        if operation.type == "CONTEXT":
            operation.replay_children = bool((update.get("ContextOptions") or {}).get("ReplayChildren"))
        status = {"SUCCEED": "SUCCEEDED", "FAIL": "FAILED", "CANCEL": "CANCELLED"}[update["Action"]]
        self._end(operation, status, now_ms, result=update.get("Payload"), error=update.get("Error"))

    # What comes from outside.

    def callback_of(self, callback: CallbackId) -> Operation:
        """Raises CallbackTimeoutException where nobody waits for it any more."""
        operation = self.operations.get(callback.operation)
        if self.execution.closed or operation is None or operation.callback != str(callback) or operation.ended:
            raise callback_closed()
        return operation

    def end_callback(
        self, callback: CallbackId, status: str, now_ms: int, *, result: str | None = None, error: Error | None = None
    ) -> None:
        operation = self._open_callback(callback, now_ms)
        self._end(operation, status, now_ms, result=result, error=error)
        self._wake(now_ms)

    def heartbeat(self, callback: CallbackId, now_ms: int) -> None:
        operation = self._open_callback(callback, now_ms)
        if operation.heartbeat_due_ms is not None:
            operation.heartbeat_due_ms = now_ms + 1000 * operation.seconds
            self.dirty.add(operation.id)

    def _open_callback(self, callback: CallbackId, now_ms: int) -> Operation:
        operation = self.callback_of(callback)
        if operation.next_due_ms is not None and operation.next_due_ms <= now_ms:
            raise callback_closed()  # its time is up, though nobody has noted it yet
        return operation

    def end_chained(
        self, operation_id: str, status: str, now_ms: int, *, result: str | None = None, error: Error | None = None
    ) -> None:
        operation = self.operations.get(operation_id)
        if self.execution.closed or operation is None or operation.ended:
            raise LookupError(operation_id)
        self._end(operation, status, now_ms, result=result, error=error)
        self._wake(now_ms)

    def _wake(self, now_ms: int) -> None:
        self.execution.wanted = True
        self._go(now_ms)

    def _complete_due(self, now_ms: int) -> None:
        """Whatever falls due at one moment does so in the order of its time."""
        due = [one for one in self.operations.values() if one.next_due_ms is not None and one.next_due_ms <= now_ms]
        for operation in sorted(due, key=lambda one: (one.next_due_ms or 0, one.position)):
            if operation.type == "WAIT":
                self._end(operation, "SUCCEEDED", now_ms)
            elif operation.type == "STEP":
                operation.status, operation.due_ms = "READY", None
                self._touch(operation)
            else:
                self._end(operation, "TIMED_OUT", now_ms, error=_lateness(operation))
            self.execution.wanted = True

    # Pausing.

    def pause(self, client: str, reason: str | None, now_ms: int, *, timeout: bool) -> bool:
        """False where that is impossible now."""
        one = self.execution
        if client and one.last_switch == {"client": client, "to": "pause"}:
            return True
        if one.status != "RUNNING":
            return False
        one.pause = {"at": now_ms, "reason": reason, "timeout": timeout}
        one.last_switch = {"client": client, "to": "pause"}
        if one.invocation:
            one.status = "PAUSING"
        else:
            self._paused(now_ms)
        return True

    def _paused(self, now_ms: int) -> None:
        one = self.execution
        one.status = "PAUSED"
        details: dict[str, Any] = {
            "PauseRequestTimestamp": one.pause["at"],
            "ExecutionTimeoutPaused": one.pause["timeout"],
        }
        if one.pause["reason"] is not None:
            details["Reason"] = history.payload(one.pause["reason"])
        self._note(history.of_execution(one, "ExecutionPaused", now_ms, details))

    def resume(self, client: str, reason: str | None, now_ms: int) -> bool:
        """False where that is impossible now."""
        one = self.execution
        if client and one.last_switch == {"client": client, "to": "resume"}:
            return True
        if one.status not in ("PAUSED", "PAUSING"):
            return False
        if one.pause["timeout"]:
            one.deadline_ms += now_ms - one.pause["at"]
        if one.status == "PAUSED":
            details: dict[str, Any] = {"ResumeRequestTimestamp": now_ms}
            if reason is not None:
                details["Reason"] = history.payload(reason)
            self._note(history.of_execution(one, "ExecutionResumed", now_ms, details))
        one.status, one.pause, one.last_switch = "RUNNING", {}, {"client": client, "to": "resume"}
        self._go(now_ms)
        return True

    # Within.

    def _close(self, status: str, now_ms: int, *, result: str | None = None, error: Error | None = None) -> None:
        one = self.execution
        one.status, one.ended_ms = status, now_ms
        one.result, one.error = result, error if status != "SUCCEEDED" else None
        one.wanted, one.retry_ms, one.pause = False, None, {}
        one.untold = bool(one.parent)
        root = self.operations[one.id]
        root.status, root.ended_ms = status, now_ms
        self._touch(root)
        self._note(history.execution_ended(one, now_ms))

    def _end(
        self, operation: Operation, status: str, now_ms: int, *, result: str | None = None, error: Error | None = None
    ) -> None:
        operation.status, operation.ended_ms = status, now_ms
        operation.result, operation.error = result, error
        operation.heartbeat_due_ms = None
        if operation.type != "WAIT":
            operation.due_ms = None
        self._grow(operation)
        self._touch(operation)
        self._note(history.operation_ended(operation, now_ms))

    def _grow(self, operation: Operation) -> None:
        self.execution.stored_bytes += operation.size_bytes

    def _touch(self, operation: Operation) -> None:
        self.execution.changes += 1
        operation.touched = self.execution.changes
        self.dirty.add(operation.id)

    def _note(self, event: history.Event) -> None:
        self.execution.events += 1
        self.events.append({"EventId": self.execution.events, **event})


def _called(operation: Operation) -> bool:
    """A chained invoke of a function that is not durable, and has not answered."""
    return operation.type == "CHAINED_INVOKE" and operation.status == "STARTED" and not operation.child


def _lateness(operation: Operation) -> Error:
    """AWS: `Callback.Timeout` or `Callback.Heartbeat`, whichever came first."""
    beat = operation.heartbeat_due_ms
    if beat is not None and (operation.due_ms is None or beat < operation.due_ms):
        return {"ErrorMessage": "Callback timed out on heartbeat", "ErrorType": "Callback.Heartbeat"}
    return {"ErrorMessage": "Callback timed out", "ErrorType": "Callback.Timeout"}
