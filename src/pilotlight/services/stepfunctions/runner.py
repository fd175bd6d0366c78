"""Carries executions on: each step is computed by `workflows`, committed whole, and only then acted upon.

A task is called after the step that scheduled it is durable. Where the process dies before the answer is, the next
process calls it again; the answer itself is committed once. An execution that only waits is not kept in memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pilotlight.arn import Arn
from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids, seeded
from pilotlight.services.stepfunctions import store
from pilotlight.services.stepfunctions.integrations import Integrations
from pilotlight.services.stepfunctions.store import Execution
from pilotlight.storage import Database, Transaction
from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.machine import Machine, iso
from pilotlight.workflows.state import About, TaskCall, Thread
from pilotlight.workflows.tasks import Resource, parse_resource

log = logging.getLogger(__name__)

DUE_AT_ONCE_MAX = 200
EXPRESS_MS_MAX = 5 * 60 * 1000


@dataclass(slots=True, eq=False)
class _Held:
    """An execution that somebody works on."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    execution: Execution | None = None
    machine: Machine | None = None
    calls: set[tuple[int, int]] = field(default_factory=set)
    """Tasks under way in this process."""
    ended: list[asyncio.Future[Execution]] = field(default_factory=list)


class Runner:
    """`work` is a reconciler's. Tasks that are under way belong to `group`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        integrations: Integrations,
        group: asyncio.TaskGroup,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._integrations = integrations
        self._group = group
        self._wake = wake
        self._held: dict[str, _Held] = {}
        self._flights: set[asyncio.Task[None]] = set()
        self._recovered = False

    async def start(self, execution: Execution, *, wait: bool = False) -> Execution:
        """Begin it; the same name again gives the first one. `wait`: until it has ended."""
        if execution.type == "EXPRESS":
            execution = replace(execution, deadline_ms=execution.started_ms + EXPRESS_MS_MAX)
        held = self._hold(execution.arn)
        ended = self._ended(held) if wait else None
        try:
            async with held.lock:
                machine = _machine_of(execution, [])
                machine.start(execution.input, execution.started_ms)
                step, after = _step_of(execution, machine)
                there = await self._database.write(_begin, execution, step)
                if there is not None:
                    return there
                held.execution, held.machine = after, machine
                self._committed(held, execution.arn)
            return await ended if ended is not None else after
        finally:
            self._release(execution.arn, held)

    async def apply(self, arn: str, change: Callable[[Machine], Any]) -> Any:
        """One step; gives what `change` gave. Raises LookupError where the execution does not run (any more)."""
        held = self._hold(arn)
        try:
            async with held.lock:
                execution, machine = await self._loaded(held, arn)
                try:
                    result = change(machine)
                    step, after = _step_of(execution, machine)
                    await self._database.write(store.commit, step)
                except BaseException:
                    held.machine = None  # what it remembers is not what is committed
                    raise
                held.execution = after
                self._committed(held, arn)
                return result
        finally:
            self._release(arn, held)

    async def wait_ended(self, arn: str) -> Execution:
        held = self._hold(arn)
        try:
            ended = self._ended(held)
            execution = await self._database.read(store.find_execution, arn)
            if execution is None or execution.status != "RUNNING":
                if execution is None:
                    raise LookupError(arn)
                return execution
            return await ended
        finally:
            self._release(arn, held)

    async def work(self) -> int | None:
        """Whatever has fallen due; after a start, also the tasks that a predecessor had under way."""
        if not self._recovered:
            self._recovered = True
            for arn in await self._database.scan(store.running):
                await self._try(arn, lambda machine: machine.calls.extend(machine.calls_again()))
        while True:
            now_ms = self._clock.now_ms()
            due = await self._database.read(store.due, now_ms, DUE_AT_ONCE_MAX)
            for arn in due:
                await self._try(arn, partial(Machine.pass_time, now_ms=now_ms))
            if self._clock.frozen and self._flights:
                # Time stands still until what was begun at this moment is done.
                await asyncio.wait(set(self._flights))
            elif len(due) < DUE_AT_ONCE_MAX:
                return await self._database.read(store.next_due_ms)

    # Within.

    async def _try(self, arn: str, change: Callable[[Machine], Any]) -> None:
        try:
            await self.apply(arn, change)
        except LookupError:
            log.debug("execution %s has ended meanwhile", arn)

    def _hold(self, arn: str) -> _Held:
        held = self._held.setdefault(arn, _Held())
        held.users += 1
        return held

    def _release(self, arn: str, held: _Held) -> None:
        held.users -= 1
        if held.users == 0 and not held.calls and not held.ended:
            self._held.pop(arn, None)

    def _ended(self, held: _Held) -> asyncio.Future[Execution]:
        future: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        held.ended.append(future)
        return future

    async def _loaded(self, held: _Held, arn: str) -> tuple[Execution, Machine]:
        if held.machine is None or held.execution is None:
            held.execution = await self._database.read(store.find_execution, arn)
            if held.execution is None or held.execution.status != "RUNNING":
                raise LookupError(arn)
            held.machine = _machine_of(held.execution, await self._database.read(store.threads, arn))
        if held.execution.status != "RUNNING":
            raise LookupError(arn)
        return held.execution, held.machine

    def _committed(self, held: _Held, arn: str) -> None:
        """The step is durable: now its tasks may be called, and whoever waits may know."""
        assert held.machine is not None
        assert held.execution is not None
        calls = held.machine.calls
        held.machine.taken()
        for call in calls:
            if (call.thread, call.attempt) not in held.calls:
                held.calls.add((call.thread, call.attempt))
                flight = self._group.create_task(self._call(held, arn, held.execution, call))
                if ".sync" not in call.resource:  # that one may itself wait for time to pass
                    self._flights.add(flight)
                    flight.add_done_callback(self._flights.discard)
        if held.execution.status != "RUNNING":
            for future in held.ended:
                if not future.done():
                    future.set_result(held.execution)
            held.ended.clear()
        elif held.execution.next_due_ms is not None:
            self._wake()

    async def _call(self, held: _Held, arn: str, execution: Execution, call: TaskCall) -> None:
        try:
            resource = parse_resource(call.resource)
            assert resource is not None
            caller = self._caller(execution)
            try:
                output = await self._output(resource, call, execution, caller)
            except StatesError as failed:
                error = failed
                await self._try(
                    arn, lambda one: one.task_failed(call.thread, call.attempt, error, self._clock.now_ms())
                )
                return
            if resource.pattern == "waitForTaskToken":
                await self._try(
                    arn, lambda one: one.task_submitted(call.thread, call.attempt, output, self._clock.now_ms())
                )
                return
            await self._try(
                arn, lambda one: one.task_succeeded(call.thread, call.attempt, output, self._clock.now_ms())
            )
        except (OSError, RuntimeError, AwsError):
            log.exception("a task of %s could not be called", arn)
        finally:
            held.calls.discard((call.thread, call.attempt))
            if held.users == 0 and not held.calls and not held.ended:
                self._held.pop(arn, None)

    async def _output(self, resource: Resource, call: TaskCall, execution: Execution, caller: Caller) -> Any:
        if not resource.pattern.startswith("sync"):
            return await self._integrations.call(resource, call.parameters, caller)
        if (resource.type, resource.action) != ("states", "startExecution"):
            raise StatesError("States.Runtime", f"The resource {resource.arn} is not supported by Pilotlight")
        # The name follows from the task, so that calling it again after a crash finds the execution that was begun.
        name = f"{execution.secret[:20]}-{call.thread}-{call.attempt}"
        begun = await self._integrations.call(resource, {"Name": name, **call.parameters}, caller)
        ended = await self.wait_ended(begun["ExecutionArn"])
        told = nested_result(ended, parsed=resource.pattern == "sync:2")
        if ended.status != "SUCCEEDED":
            raise StatesError("States.TaskFailed", json.dumps(told, separators=(",", ":")))
        return told

    def _caller(self, execution: Execution) -> Caller:
        role = Arn.parse(execution.role_arn)
        session = f"assumed-role/{role.resource.rpartition('/')[2]}/{self._ids.lower(32)}"
        return Caller(
            account=role.account,
            region=Arn.parse(execution.arn).region,
            kind="role",
            arn=f"arn:aws:sts::{role.account}:{session}",
            role_arn=execution.role_arn,
            request_id=self._ids.uuid(),
            guest=True,
        )


def nested_result(ended: Execution, *, parsed: bool) -> dict[str, Any]:
    """AWS: the output of `startExecution.sync` is that of DescribeExecution; with `:2` input and output are JSON."""
    told: dict[str, Any] = {
        "ExecutionArn": ended.arn,
        "Input": json.loads(ended.input) if parsed else ended.input,
        "InputDetails": {"Included": True},
        "Name": ended.name,
        "StartDate": ended.started_ms,
        "StateMachineArn": ended.machine_arn,
        "Status": ended.status,
        "StopDate": ended.stopped_ms,
    }
    if ended.output is not None:
        told |= {"Output": json.loads(ended.output) if parsed else ended.output, "OutputDetails": {"Included": True}}
    for name, value in (("Error", ended.error), ("Cause", ended.cause)):
        if value is not None:
            told[name] = value
    return told


def _begin(tx: Transaction, execution: Execution, step: store.Step) -> Execution | None:
    there = store.add_execution(tx, execution)
    if there is not None:
        return there
    store.commit(tx, step)
    return None


def _machine_of(execution: Execution, threads: list[dict[str, Any]]) -> Machine:
    about = About(
        arn=execution.arn,
        name=execution.name,
        role_arn=execution.role_arn,
        started=iso(execution.started_ms),
        machine_arn=execution.machine_arn,
        machine_name=execution.machine_name,
        region=Arn.parse(execution.arn).region,
        input=json.loads(execution.input),
        secret=execution.secret,
    )
    return Machine(
        json.loads(execution.definition),
        about,
        rng=seeded(f"{execution.secret}{execution.event_count}"),
        threads={body["id"]: Thread(**body) for body in threads},
        event_count=execution.event_count,
        thread_count=execution.thread_count,
        deadline_ms=execution.deadline_ms,
    )


def _step_of(execution: Execution, machine: Machine) -> tuple[store.Step, Execution]:
    after = replace(
        execution,
        status=machine.status,
        output=machine.output,
        error=machine.error,
        cause=machine.cause,
        stopped_ms=machine.now_ms if machine.status != "RUNNING" else None,
        event_count=machine.event_count,
        thread_count=machine.thread_count,
        deadline_ms=machine.deadline_ms,
        next_due_ms=machine.next_due_ms,
    )
    threads = {one: machine.threads[one].to_json() for one in machine.dirty if one in machine.threads}
    return store.Step(execution=after, events=machine.events, threads=threads, gone=sorted(machine.gone)), after
