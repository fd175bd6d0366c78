"""Runs one execution: each call takes what happened and the moment, and leaves new history and work to be done.

A caller commits `events`, `calls`, `dirty`, `gone` and the status in one transaction, and then calls `taken`. Nothing
here waits, so a step ends when every thread waits for something, or the execution is over.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.workflows import failures, nesting, paths, simple, tasks
from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.state import About, Definition, Status, TaskCall, Thread
from pilotlight.workflows.templates import Scope, check_size, fill, text

EVENTS_MAX = 25_000
ROOT = 1
LOCATED = ("States.Runtime", "States.IntrinsicFailure", "States.NoChoiceMatched", "States.ResultPathMatchFailure")
"""AWS: what goes wrong in a state's own fields says in which state."""
KINDS: Mapping[str, Callable[[Machine, Thread, Definition, Scope], None]]


class Machine:
    """`threads` is all of its memory between steps, with `event_count`, `thread_count` and the outcome."""

    def __init__(
        self,
        definition: Definition,
        about: About,
        *,
        rng: random.Random,
        threads: dict[int, Thread] | None = None,
        event_count: int = 0,
        thread_count: int = 0,
        deadline_ms: int | None = None,
    ) -> None:
        self.definition = definition
        self.about = about
        self.rng = rng
        self.threads = threads or {}
        self.event_count = event_count
        self.thread_count = thread_count
        self.deadline_ms = deadline_ms
        self.status: Status = "RUNNING"
        self.output: str | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.events: list[dict[str, Any]] = []
        self.calls: list[TaskCall] = []
        self.dirty: set[int] = set()
        self.gone: set[int] = set()
        self.now_ms = 0
        self._ready: deque[int] = deque()

    # What happens.

    def start(self, input_text: str, now_ms: int) -> None:
        self.now_ms = now_ms
        if "TimeoutSeconds" in self.definition:
            limit_ms = now_ms + int(self.definition["TimeoutSeconds"] * 1000)
            self.deadline_ms = min(limit_ms, self.deadline_ms or limit_ms)
        started = {"input": input_text, "inputDetails": {"truncated": False}, "roleArn": self.about.role_arn}
        self.event_count += 1
        self.events.append(
            {"id": 1, "previousEventId": 0, "type": "ExecutionStarted", "timestamp": now_ms}
            | {"executionStartedEventDetails": started}
        )
        self.begin_thread(scope=[], state=self.definition["StartAt"], value=self.about.input)
        self._go_on()

    def task_succeeded(self, thread_id: int, attempt: int, output: Any, now_ms: int) -> None:
        thread = self._waiting_for_task(thread_id, attempt)
        if thread is not None:
            self.now_ms = now_ms
            self._guarded(thread, lambda state, scope: tasks.succeeded(self, thread, state, scope, output))
            self._go_on()

    def task_failed(self, thread_id: int, attempt: int, error: StatesError, now_ms: int) -> None:
        thread = self._waiting_for_task(thread_id, attempt)
        if thread is not None:
            self.now_ms = now_ms
            tasks.failed(self, thread, self.state_of(thread), error)
            self.fail(thread, error)
            self._go_on()

    def task_submitted(self, thread_id: int, attempt: int, output: Any, now_ms: int) -> None:
        """The call was made; its result comes later, by its token."""
        thread = self._waiting_for_task(thread_id, attempt)
        if thread is not None and thread.waiting == "task":
            self.now_ms = now_ms
            tasks.submitted(self, thread, self.state_of(thread), output)

    def heartbeat(self, thread_id: int, attempt: int, now_ms: int) -> bool:
        thread = self._waiting_for_task(thread_id, attempt)
        if thread is None:
            return False
        if thread.heartbeat_seconds is not None:
            thread.heartbeat_ms = now_ms + int(thread.heartbeat_seconds * 1000)
            self.dirty.add(thread.id)
        return True

    def pass_time(self, now_ms: int) -> None:
        """Everything that has fallen due until now."""
        self.now_ms = now_ms
        if self.deadline_ms is not None and self.deadline_ms <= now_ms:
            self._end("TIMED_OUT", "ExecutionTimedOut", {})
            return
        due = sorted(
            (moment, thread.id) for thread in self.threads.values() if (moment := thread.next_ms()) is not None
        )
        for moment, thread_id in due:
            thread = self.threads.get(thread_id)
            if moment > now_ms or self.status != "RUNNING":
                break
            if thread is not None and thread.next_ms() == moment:
                self._timer(thread)
        self._go_on()

    def stop(self, error: str | None, cause: str | None, now_ms: int) -> None:
        self.now_ms = now_ms
        self.error, self.cause = error, cause
        details = {key: value for key, value in (("error", error), ("cause", cause)) if value is not None}
        self._end("ABORTED", "ExecutionAborted", details)

    def taken(self) -> None:
        """What the last step left is committed."""
        self.events, self.calls, self.dirty, self.gone = [], [], set(), set()

    @property
    def next_due_ms(self) -> int | None:
        if self.status != "RUNNING":
            return None
        moments = [moment for thread in self.threads.values() if (moment := thread.next_ms()) is not None]
        return min([*moments, *([self.deadline_ms] if self.deadline_ms is not None else [])], default=None)

    # For the kinds of states.

    def begin_thread(
        self,
        *,
        scope: list[str | int],
        state: str,
        value: Any,
        parent: Thread | None = None,
        index: int = 0,
        item: Any = None,
    ) -> Thread:
        self.thread_count += 1
        thread = Thread(self.thread_count, scope, state, value, index=index, item=item)
        thread.last_event = self.event_count
        if parent is not None:
            thread.parent = parent.id
            thread.last_event = parent.last_event
            thread.variables = dict(parent.variables)
            parent.children.append(thread.id)
        self.threads[thread.id] = thread
        self._mark(thread)
        self._ready.append(thread.id)
        return thread

    def event(self, thread: Thread, kind: str, details: Mapping[str, Any] | None = None, key: str = "") -> int:
        """Write history. Raises StatesError where there is too much of it."""
        if self.event_count >= EVENTS_MAX - 1 and not kind.startswith("Execution"):
            raise StatesError(
                "States.Runtime", f"The execution reached the maximum number of history events ({EVENTS_MAX})."
            )
        self.event_count += 1
        made = {"id": self.event_count, "previousEventId": thread.last_event, "type": kind, "timestamp": self.now_ms}
        if details is not None:
            made[key or f"{kind[0].lower()}{kind[1:]}EventDetails"] = details
        self.events.append(made)
        thread.last_event = self.event_count
        self._mark(thread)
        return self.event_count

    def call(self, thread: Thread, resource: str, parameters: Any) -> None:
        thread.parameters = parameters
        self.calls.append(TaskCall(thread.id, thread.attempt, resource, parameters, thread.state))

    def calls_again(self) -> list[TaskCall]:
        """The tasks whose answers were lost with the process that waited for them."""
        return [
            TaskCall(one.id, one.attempt, self.state_of(one)["Resource"], one.parameters, one.state)
            for one in self.threads.values()
            if one.waiting == "task"
        ]

    def states_of(self, scope: list[str | int]) -> Definition:
        place: Any = self.definition
        for step in scope:
            place = place[step]
        return place  # type: ignore[no-any-return]

    def state_of(self, thread: Thread) -> Definition:
        return self.states_of(thread.scope)["States"][thread.state]  # type: ignore[no-any-return]

    def scope_of(self, thread: Thread, value: Any = None) -> Scope:
        about = self.about
        context: dict[str, Any] = {
            "Execution": {
                "Id": about.arn,
                "Input": about.input,
                "Name": about.name,
                "RoleArn": about.role_arn,
                "StartTime": about.started,
                "RedriveCount": about.redrive_count,
            },
            "StateMachine": {"Id": about.machine_arn, "Name": about.machine_name},
            "State": {"Name": thread.state, "EnteredTime": iso(thread.entered_ms), "RetryCount": thread.retry_count},
        }
        if thread.waiting in ("task", "token") or thread.attempt:
            context["Task"] = {"Token": token_of(about, thread)}
        owner: Thread | None = thread
        while owner is not None and owner.item is None:
            owner = self.threads.get(owner.parent)
        if owner is not None:
            context["Map"] = {"Item": {"Index": owner.index, "Value": owner.item["value"]}}
        return Scope(thread.input if value is None else value, context, thread.variables, self.rng)

    def leave(self, thread: Thread, state: Definition, scope: Scope, result: Any, *, following: str = "") -> None:
        """The state has its result: choose its output, write it down, and go to the next one, or end."""
        if "ResultSelector" in state:
            result = fill(state["ResultSelector"], scope.of(result))
        self.assign(thread, state, scope.of(result))
        if "ResultPath" in state and state["ResultPath"] is None:
            value = thread.input
        else:
            value = paths.put(state.get("ResultPath", "$"), thread.input, result)
        if state["Type"] in ("Choice", "Wait", "Succeed"):
            value = result
        self.exit(thread, state, scope.of(value).choose(state.get("OutputPath", "$"), "OutputPath"), following)

    def assign(self, thread: Thread, rule: Definition, scope: Scope) -> None:
        if "Assign" in rule:
            thread.variables = {**thread.variables, **fill(rule["Assign"], scope)}

    def exit(self, thread: Thread, state: Definition, output: Any, following: str) -> None:
        written = check_size(output, thread.state)
        details: dict[str, Any] = {"name": thread.state, "output": written, "outputDetails": {"truncated": False}}
        if "Assign" in state:
            names = [name.removesuffix(".$") for name in state["Assign"]]
            details["assignedVariables"] = {name: text(thread.variables[name]) for name in names}
            details["assignedVariablesDetails"] = {"truncated": False}
        self.event(thread, f"{state['Type']}StateExited", details, "stateExitedEventDetails")
        thread.waiting, thread.due_ms, thread.heartbeat_ms = "", None, None
        thread.items, thread.results, thread.children, thread.begun = None, {}, [], 0
        thread.parameters = None
        following = following or state.get("Next", "")
        if following:
            thread.state, thread.input, thread.retries, thread.retry_count = following, output, {}, 0
            self._ready.append(thread.id)
        else:
            self._ended(thread, output, written)

    def fail(self, thread: Thread, error: StatesError) -> None:
        """Retry, catch, or hand it to whoever holds the thread."""
        state = self.state_of(thread)
        self._drop_children(thread)
        thread.due_ms = thread.heartbeat_ms = None
        try:
            if self._retried(thread, state, error) or self._caught(thread, state, error):
                return
        except StatesError as another:
            error = another
        parent = self.threads.get(thread.parent)
        if parent is None:
            self._fail_execution(error)
            return
        nesting.child_failed(self, parent, thread, error)

    def wait_until(self, thread: Thread, waiting: Any, due_ms: int | None) -> None:
        thread.waiting, thread.due_ms = waiting, due_ms
        self._mark(thread)

    def drop(self, thread: Thread) -> None:
        """With all that it holds, and a word in the history for what was under way."""
        self._drop_children(thread)
        state = self.state_of(thread)
        if thread.waiting and state["Type"] in ("Task", "Wait", "Parallel", "Map") and thread.waiting != "retry":
            self.event(thread, f"{state['Type']}StateAborted")
        self.forget(thread)

    def forget(self, thread: Thread) -> None:
        self.threads.pop(thread.id, None)
        self.dirty.discard(thread.id)
        self.gone.add(thread.id)

    # Within.

    def _go_on(self) -> None:
        while self._ready and self.status == "RUNNING":
            thread = self.threads.get(self._ready.popleft())
            if thread is not None:
                self._enter(thread)
        self._ready.clear()

    def _enter(self, thread: Thread) -> None:
        state = self.state_of(thread)
        thread.entered_ms = self.now_ms
        details = {"name": thread.state, "input": text(thread.input), "inputDetails": {"truncated": False}}
        try:
            thread.entered_event = self.event(
                thread, f"{state['Type']}StateEntered", details, "stateEnteredEventDetails"
            )
        except StatesError as error:
            self._fail_execution(error)
            return
        self.run(thread)

    def run(self, thread: Thread) -> None:
        """Do what the state does; again, where it is retried."""

        def work(state: Definition, scope: Scope) -> None:
            KINDS[state["Type"]](self, thread, state, scope)

        self._guarded(thread, work)

    def _guarded(self, thread: Thread, work: Callable[[Definition, Scope], None]) -> None:
        state = self.state_of(thread)
        try:
            work(state, self.scope_of(thread))
        except StatesError as error:
            if error.error in LOCATED:
                where = f"the state '{thread.state}' (entered at the event id #{thread.entered_event})"
                error = StatesError(error.error, f"An error occurred while executing {where}. {error.cause}")
            self.fail(thread, error)

    def _timer(self, thread: Thread) -> None:
        if thread.waiting == "retry":
            thread.due_ms = None
            self.run(thread)
        elif thread.waiting == "timer":
            self._guarded(
                thread,
                lambda state, scope: self.leave(
                    thread, state, scope, scope.choose(state.get("InputPath", "$"), "InputPath")
                ),
            )
        elif thread.waiting in ("task", "token"):
            error = tasks.timed_out(self, thread, self.state_of(thread))
            self.fail(thread, error)

    def _waiting_for_task(self, thread_id: int, attempt: int) -> Thread | None:
        thread = self.threads.get(thread_id)
        if self.status != "RUNNING" or thread is None or thread.attempt != attempt:
            return None
        return thread if thread.waiting in ("task", "token") else None

    def _retried(self, thread: Thread, state: Definition, error: StatesError) -> bool:
        for number, retrier in enumerate(state.get("Retry", ())):
            if not failures.matches(retrier["ErrorEquals"], error.error):
                continue
            used = thread.retries.get(str(number), 0)
            if used >= retrier.get("MaxAttempts", 3):
                return False
            seconds = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** used
            seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
            if retrier.get("JitterStrategy") == "FULL":
                seconds = self.rng.uniform(0, seconds)
            thread.retries[str(number)] = used + 1
            thread.retry_count += 1
            self.wait_until(thread, "retry", self.now_ms + int(seconds * 1000))
            return True
        return False

    def _caught(self, thread: Thread, state: Definition, error: StatesError) -> bool:
        for catcher in state.get("Catch", ()):
            if failures.matches(catcher["ErrorEquals"], error.error):
                told = {"Error": error.error, "Cause": error.cause}
                scope = self.scope_of(thread, told)
                self.assign(thread, catcher, scope)
                path = catcher.get("ResultPath", "$")
                value = thread.input if path is None else paths.put(path, thread.input, told)
                self.exit(thread, {"Type": state["Type"]}, value, catcher["Next"])
                return True
        return False

    def _ended(self, thread: Thread, output: Any, written: str) -> None:
        parent = self.threads.get(thread.parent)
        if parent is not None:
            self._guarded(parent, lambda state, scope: nesting.child_ended(self, parent, thread, output))
            return
        self.output = written
        self._end("SUCCEEDED", "ExecutionSucceeded", {"output": written, "outputDetails": {"truncated": False}}, thread)

    def _fail_execution(self, error: StatesError) -> None:
        self.error, self.cause = error.error, error.cause
        details = {key: value for key, value in (("error", error.error), ("cause", error.cause)) if value}
        self._end("FAILED", "ExecutionFailed", details)

    def _end(self, status: Status, kind: str, details: dict[str, Any], thread: Thread | None = None) -> None:
        root = thread or self.threads.get(ROOT) or Thread(ROOT, [], "", None, last_event=self.event_count)
        if status != "SUCCEEDED":
            self._drop_children(root)
        self.event(root, kind, details)
        self.status = status
        for one in list(self.threads.values()):
            self.forget(one)

    def _drop_children(self, thread: Thread) -> None:
        for child_id in thread.children:
            child = self.threads.get(child_id)
            if child is not None:
                self.drop(child)
        thread.children = []

    def _mark(self, thread: Thread) -> None:
        if thread.id in self.threads:
            self.dirty.add(thread.id)


def iso(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{moment_ms % 1000:03}Z"


def token_of(about: About, thread: Thread) -> str:
    """What a caller outside answers with: which task it is, under a seal."""
    return seal(about.arn, about.secret, thread.id, thread.attempt)


def seal(arn: str, secret: str, thread: int, attempt: int) -> str:
    told = f"{arn}|{thread}|{attempt}"
    mark = hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()[:40]
    return base64.urlsafe_b64encode(f"{told}|{mark}".encode()).decode()


def unseal(token: str) -> tuple[str, int, int] | None:
    """Execution, thread and attempt, not yet proven: whoever has the secret calls `seal` and compares."""
    try:
        arn, thread, attempt, _ = base64.urlsafe_b64decode(token.encode()).decode().rsplit("|", 3)
        return arn, int(thread), int(attempt)
    except ValueError:
        return None


KINDS = {
    "Pass": simple.run_pass,
    "Succeed": simple.run_succeed,
    "Fail": simple.run_fail,
    "Choice": simple.run_choice,
    "Wait": simple.run_wait,
    "Task": tasks.run_task,
    "Parallel": nesting.run_parallel,
    "Map": nesting.run_map,
}
