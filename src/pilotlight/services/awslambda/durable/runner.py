"""Carries durable executions on: each step is computed by `fold`, committed whole, and only then acted upon.

An invocation begins after the step that owes it is durable. Where the process dies before its answer is, the next
process gives it up and begins another, which replays what was checkpointed; the tokens of the first are refused.
An execution that only waits is not kept in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import orjson

from pilotlight.engine.contract import Invocation
from pilotlight.errors import AwsError
from pilotlight.services.awslambda.durable import shapes, store
from pilotlight.services.awslambda.durable.answers import answer_of, error_of
from pilotlight.services.awslambda.durable.chained import Chained, ended_as
from pilotlight.services.awslambda.durable.fold import Checkpoint, Course
from pilotlight.services.awslambda.durable.state import Error, Execution
from pilotlight.services.awslambda.durable.store import Overtaken, Step
from pilotlight.services.awslambda.names import Reference
from pilotlight.services.awslambda.resolver import Resolver
from pilotlight.services.awslambda.running import run
from pilotlight.services.awslambda.store import Name
from pilotlight.services.awslambda.surroundings import Surroundings

log = logging.getLogger(__name__)

T = TypeVar("T")

DUE_AT_ONCE_MAX = 200
CONFLICTS_MAX = 20
SETTLE_SECONDS_MAX = 60
"""How long a standing clock waits for invocations: one may itself wait for the clock."""
EVENT_OPERATIONS_MAX = 1000
TROUBLES = (OSError, RuntimeError, ValueError)
FINAL_ERRORS = frozenset({"ResourceNotFoundException", "InvalidRuntimeException"})


@dataclass(frozen=True, slots=True)
class Ended:
    execution: Execution
    log_tail: bytes
    """Of its last invocation."""


@dataclass(slots=True, eq=False)
class _Held:
    """An execution that somebody works on."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    course: Course | None = None
    flights: int = 0
    """Invocations and calls under way in this process."""
    ended: list[asyncio.Future[Ended]] = field(default_factory=list)
    log_tail: bytes = b""


class Runner:
    """`work` is a reconciler's."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver
        self._chained = Chained(parts, resolver)
        self._held: dict[str, _Held] = {}
        self._flights: set[asyncio.Future[None]] = set()
        self._recovered = False

    async def start(self, execution: Execution) -> Execution:
        """Begin it; where its name is taken, gives the one that has it."""
        held = self._hold(execution.arn)
        try:
            async with held.lock:
                course = Course(execution, {}, self._parts.ids.uuid)
                course.start(execution.started_ms)
                there = await self._parts.database.write(store.add, _step(course))
                if there is not None:
                    return there
                held.course = course
                self._committed(held, execution.arn)
            return execution
        finally:
            self._release(execution.arn, held)

    async def apply(self, arn: str, change: Callable[[Course], T]) -> T:
        """One step; gives what `change` gave. Raises LookupError where the execution is gone."""
        held = self._hold(arn)
        try:
            async with held.lock:
                for _ in range(CONFLICTS_MAX):
                    try:
                        course = await self._loaded(held, arn)
                        result = change(course)
                        await self._parts.database.write(store.commit, _step(course))
                    except Overtaken:
                        held.course = None
                        continue
                    except BaseException:
                        held.course = None  # what it remembers is not what is committed
                        raise
                    course.execution.revision += 1
                    self._committed(held, arn)
                    return result
                raise LookupError(arn)
        finally:
            self._release(arn, held)

    async def checkpoint(
        self, execution: Execution, text: str, client: str, updates: list[dict[str, Any]]
    ) -> Checkpoint:
        """Like `apply`; the functions that chained invokes name are looked up first, as the execution's role."""
        targets = await self._chained.targets(execution, updates)
        now_ms = self._parts.clock.now_ms()
        return await self.apply(execution.arn, lambda course: course.checkpoint(text, client, updates, targets, now_ms))

    async def wait_ended(self, arn: str) -> Ended:
        """Raises LookupError where it is gone."""
        held = self._hold(arn)
        try:
            future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
            held.ended.append(future)
            execution = await self._parts.database.read(store.find, arn)
            if execution is None:
                raise LookupError(arn)
            return Ended(execution, held.log_tail) if execution.closed else await future
        finally:
            held.ended = [one for one in held.ended if one is not future]
            self._release(arn, held)

    async def work(self) -> int | None:
        """Whatever has fallen due; after a start, also what a predecessor left."""
        if not self._recovered:
            self._recovered = True
            await self._recover()
        while True:
            now_ms = self._parts.clock.now_ms()
            due = await self._parts.database.read(store.due, now_ms, DUE_AT_ONCE_MAX)
            for arn, status in due:
                if status in ("RUNNING", "PAUSING", "PAUSED"):
                    await self._try(arn, partial(Course.pass_time, now_ms=now_ms))
                else:
                    await self._parts.database.write(store.forget, arn)
            if self._parts.clock.frozen and self._flights:
                # Time stands still until what was begun at this moment is done.
                _, late = await asyncio.wait(set(self._flights), timeout=SETTLE_SECONDS_MAX)
                if late:
                    return await self._parts.database.read(store.next_due_ms)
            elif len(due) < DUE_AT_ONCE_MAX:
                return await self._parts.database.read(store.next_due_ms)

    # Within.

    async def _recover(self) -> None:
        now_ms = self._parts.clock.now_ms()
        for arn in await self._parts.database.scan(store.busy):
            held = self._held.get(arn)
            if held is None or not held.flights:  # else it was begun by this process
                await self._try(arn, partial(Course.lost, now_ms=now_ms))
        for arn in await self._parts.database.scan(store.untold):
            await self._tell(arn)

    async def _try(self, arn: str, change: Callable[[Course], Any]) -> None:
        try:
            await self.apply(arn, change)
        except LookupError:
            log.debug("durable execution %s has gone on meanwhile", arn)

    def _hold(self, arn: str) -> _Held:
        held = self._held.setdefault(arn, _Held())
        held.users += 1
        return held

    def _release(self, arn: str, held: _Held) -> None:
        held.users -= 1
        self._drop(arn, held)

    def _drop(self, arn: str, held: _Held) -> None:
        if held.users == 0 and held.flights == 0 and self._held.get(arn) is held:
            del self._held[arn]

    async def _loaded(self, held: _Held, arn: str) -> Course:
        if held.course is None:
            loaded = await self._parts.database.read(store.load, arn)
            if loaded is None:
                raise LookupError(arn)
            held.course = Course(*loaded, self._parts.ids.uuid)
        return held.course

    def _committed(self, held: _Held, arn: str) -> None:
        """The step is durable: now the function may be invoked, and whoever waits may know."""
        course = held.course
        assert course is not None
        execution, launch, calls, children = course.execution, course.launch, course.calls, course.children
        if launch:
            self._begin(held, arn, self._fly(held, execution, launch, _event(course)))
        for call in calls:
            self._begin(held, arn, self._call(execution, call.id, call.target, call.payload))
        course.taken()
        for child in children:
            self._adopt(child)
        if execution.closed:
            for future in held.ended:
                if not future.done():
                    future.set_result(Ended(execution, held.log_tail))
            if execution.untold:
                self._begin(held, arn, self._tell(arn))
        self._parts.wake_durable()

    def _adopt(self, child: Course) -> None:
        arn = child.execution.arn
        held = self._hold(arn)
        held.course = child
        self._committed(held, arn)
        self._release(arn, held)

    def _begin(self, held: _Held, arn: str, work: Coroutine[Any, Any, None]) -> None:
        held.flights += 1
        landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flights.add(landed)
        self._parts.spawn(self._guarded(held, arn, work, landed))

    async def _guarded(
        self, held: _Held, arn: str, work: Coroutine[Any, Any, None], landed: asyncio.Future[None]
    ) -> None:
        try:
            await work
        except TROUBLES:
            log.exception("a step of %s could not be taken", arn)
        finally:
            held.flights -= 1
            self._drop(arn, held)
            self._flights.discard(landed)
            landed.set_result(None)

    async def _fly(self, held: _Held, execution: Execution, invocation: str, event: bytes) -> None:
        """One invocation of the handler, and what follows from its answer."""
        arn, clock = execution.arn, self._parts.clock
        started_ms = clock.now_ms()
        reference = Reference(Name(execution.account, execution.region, execution.function), execution.version)
        try:
            route = (await self._resolver.resolve(reference)).primary
            asked = Invocation(
                request_id=invocation,
                payload=event,
                invoked_arn=route.arn,
                client_context=execution.client_context,
                limits=route.limits,
                provisioned_key=route.provisioned_key,
            )
            outcome = await run(self._parts, route, asked)
        except AwsError as error:
            if error.code in FINAL_ERRORS:
                reason: Error = {"ErrorMessage": error.message, "ErrorType": error.code}
                await self._try(arn, lambda one: one.failed(invocation, reason, started_ms, clock.now_ms(), final=True))
                return
            log.info("durable execution %s waits: %s", arn, error)
            await self._try(arn, lambda one: one.throttled(invocation, clock.now_ms()))
            return
        except TROUBLES:
            log.exception("durable execution %s could not be invoked", arn)
            await self._try(arn, lambda one: one.throttled(invocation, clock.now_ms()))
            return
        held.log_tail = outcome.log_tail
        if outcome.function_error:
            failure = error_of(outcome.payload)
            await self._try(arn, lambda one: one.failed(invocation, failure, started_ms, clock.now_ms()))
            return
        answer = answer_of(outcome.payload)
        await self._try(arn, lambda one: one.answered(invocation, answer, started_ms, clock.now_ms()))

    async def _call(self, execution: Execution, operation: str, target: str, payload: str | None) -> None:
        """A chained invoke of a function that is not durable."""
        end = await self._chained.call(execution, target, payload)
        await self._try(
            execution.arn,
            lambda one: one.end_chained(
                operation, end.status, self._parts.clock.now_ms(), result=end.result, error=end.error
            ),
        )

    async def _tell(self, arn: str) -> None:
        """The parent hears of a child's end. Once is enough: a second time changes nothing."""
        child = await self._parts.database.read(store.find, arn)
        if child is None:
            return
        end = ended_as(child)
        await self._try(
            child.parent,
            lambda one: one.end_chained(
                child.parent_operation, end.status, self._parts.clock.now_ms(), result=end.result, error=end.error
            ),
        )
        await self._parts.database.write(store.told, arn)


def _step(course: Course) -> Step:
    return Step(
        execution=course.execution,
        due_ms=course.due_ms(),
        busy=course.busy,
        operations=[course.operations[one] for one in course.dirty],
        events=course.events,
        children=[_step(child) for child in course.children],
    )


def _event(course: Course) -> bytes:
    """What AWS hands to the handler of a durable function."""
    execution = course.execution
    operations, following = shapes.page(
        execution, shapes.replayed(course.operations), after=0, limit=EVENT_OPERATIONS_MAX, first=True
    )
    return orjson.dumps(
        {
            "DurableExecutionArn": execution.arn,
            "CheckpointToken": course.token,
            "InitialExecutionState": {
                "Operations": [shapes.shown(one, execution, in_event=True) for one in operations],
                "NextMarker": "" if following is None else str(following),
            },
            "UpdatedOperationIds": course.updated,
        }
    )
