"""The operations on durable executions: those of the SDK within the handler, and those of people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.durable import history, shapes, store
from pilotlight.services.awslambda.durable.fold import Course
from pilotlight.services.awslambda.durable.history import moment
from pilotlight.services.awslambda.durable.refusals import (
    callback_closed,
    invalid_callback,
    no_execution,
    too_large,
)
from pilotlight.services.awslambda.durable.runner import Runner
from pilotlight.services.awslambda.durable.state import PAYLOAD_BYTES_MAX, Execution
from pilotlight.services.awslambda.durable.tokens import EXECUTION, CallbackId
from pilotlight.services.awslambda.names import conflict, invalid, number_of, raise_no_function, refer
from pilotlight.services.awslambda.paging import marker_of, read_marker
from pilotlight.services.awslambda.resolver import find_qualified
from pilotlight.services.awslambda.store import find_function
from pilotlight.services.awslambda.surroundings import Surroundings

T = TypeVar("T")
PAGE = 100


class DurableExecutions:
    """Operations on durable executions."""

    def __init__(self, parts: Surroundings, runner: Runner) -> None:
        self._parts = parts
        self._runner = runner

    # What the SDK asks while a handler runs.

    async def checkpoint_durable_execution(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        execution = await self._find(caller, request)
        try:
            done = await self._runner.checkpoint(
                execution, request["CheckpointToken"], request.get("ClientToken") or "", request.get("Updates") or []
            )
        except LookupError:
            raise no_execution() from None
        answer: dict[str, Any] = {
            "NewExecutionState": {"Operations": [shapes.shown(one, execution) for one in done.operations]}
        }
        if done.token is not None:
            answer["CheckpointToken"] = done.token
        return answer

    async def get_durable_execution_state(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        execution = await self._find(caller, request)
        loaded = await self._parts.database.scan(store.load, execution.arn)
        if loaded is None:
            raise no_execution()
        course = Course(*loaded, self._parts.ids.uuid)
        course.check_token(request["CheckpointToken"])
        operations, following = shapes.page(
            execution,
            shapes.replayed(course.operations),
            after=_number(request.get("Marker")),
            limit=request.get("MaxItems") or PAGE,
            first=False,
        )
        answer: dict[str, Any] = {"Operations": [shapes.shown(one, execution) for one in operations]}
        if following is not None:
            answer["NextMarker"] = str(following)
        return answer

    # What people ask.

    async def get_durable_execution(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        one = await self._find(caller, request)
        with_data = request.get("IncludeExecutionData", True)
        answer = _summary(one)
        answer |= {
            "Version": one.version,
            "ExecutionDataIncluded": with_data,
            "DurableConfig": {"ExecutionTimeout": one.timeout_seconds, "RetentionPeriodInDays": one.retention_days},
        }
        if with_data:
            answer["InputPayload"] = one.input
            answer |= {"Result": one.result} if one.result is not None else {}
            answer |= {"Error": dict(one.error)} if one.error is not None else {}
        if not one.closed:
            answer["ExpectedExecutionTimeoutTimestamp"] = moment(one.expires_ms)
        if one.pause:
            answer["PauseDetails"] = {
                "PauseRequestTimestamp": moment(one.pause["at"]),
                "ExecutionTimeoutPaused": one.pause["timeout"],
                **({"Reason": one.pause["reason"]} if with_data and one.pause["reason"] is not None else {}),
            }
        return answer

    async def get_durable_execution_history(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        execution = await self._find(caller, request)
        limit = request.get("MaxItems") or PAGE
        events = await self._parts.database.scan(
            store.history,
            execution.arn,
            beyond=_number(request.get("Marker")),
            reverse=bool(request.get("ReverseOrder")),
            limit=limit + 1,
        )
        with_data = request.get("IncludeExecutionData", True)
        answer: dict[str, Any] = {"Events": [history.shown(event, with_data=with_data) for event in events[:limit]]}
        if len(events) > limit:
            answer["NextMarker"] = str(events[limit - 1]["EventId"])
        return answer

    async def list_durable_executions_by_function(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        reference = refer(caller, request["FunctionName"], request.get("Qualifier"))
        if await self._parts.database.read(find_function, reference.function) is None:
            raise_no_function(reference)
        version = reference.qualifier
        if version and number_of(version) is None:
            found = await self._parts.database.read(find_qualified, reference)
            if found is None:
                raise_no_function(reference)
            version = found.version
        wanted = store.Filter(
            account=reference.function.account,
            region=reference.function.region,
            function=reference.function.name,
            version=version,
            name=request.get("DurableExecutionName") or "",
            statuses=tuple(request.get("Statuses") or ()),
            after_ms=_ms(request.get("StartedAfter"), -1),
            before_ms=_ms(request.get("StartedBefore"), 2**62),
        )
        limit = request.get("MaxItems") or PAGE
        executions = await self._parts.database.scan(
            store.list_executions,
            wanted,
            beyond=_beyond(read_marker(request)),
            oldest_first=bool(request.get("ReverseOrder")),
            limit=limit + 1,
        )
        answer: dict[str, Any] = {"DurableExecutions": [_summary(one) for one in executions[:limit]]}
        if len(executions) > limit:
            last = executions[limit - 1]
            answer["NextMarker"] = marker_of(f"{last.started_ms} {last.arn}")
        return answer

    async def stop_durable_execution(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        error = request.get("Error")
        now_ms = self._parts.clock.now_ms()
        ended_ms = await self._change(caller, request, lambda course: course.stop(error, now_ms))
        return {"StopTimestamp": moment(ended_ms)}

    async def delete_durable_execution(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        execution = await self._find(caller, request)
        if not execution.closed:
            raise conflict("The durable execution must be in a terminal state to be deleted.")
        await self._parts.database.write(store.forget, execution.arn)
        return {"DeletionRequestTimestamp": moment(self._parts.clock.now_ms())}

    async def pause_durable_execution(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        client, reason = request.get("ClientToken") or "", request.get("Reason")
        timeout = request.get("ExecutionTimeoutPaused", True)
        now_ms = self._parts.clock.now_ms()
        if not await self._change(
            caller, request, lambda course: course.pause(client, reason, now_ms, timeout=timeout)
        ):
            raise conflict("The durable execution must be running to be paused.")
        return {}

    async def resume_durable_execution(self, caller: Caller, request: Mapping[str, Any]) -> dict[str, Any]:
        client, reason = request.get("ClientToken") or "", request.get("Reason")
        now_ms = self._parts.clock.now_ms()
        if not await self._change(caller, request, lambda course: course.resume(client, reason, now_ms)):
            raise conflict("The durable execution must be paused to be resumed.")
        return {}

    # What other systems answer.

    async def send_durable_execution_callback_success(
        self, caller: Caller, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        result = _text(request.get("Result"))
        now_ms = self._parts.clock.now_ms()
        return await self._call_back(
            caller, request, lambda course, one: course.end_callback(one, "SUCCEEDED", now_ms, result=result)
        )

    async def send_durable_execution_callback_failure(
        self, caller: Caller, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        error = request.get("Error") or {}
        now_ms = self._parts.clock.now_ms()
        return await self._call_back(
            caller, request, lambda course, one: course.end_callback(one, "FAILED", now_ms, error=error)
        )

    async def send_durable_execution_callback_heartbeat(
        self, caller: Caller, request: Mapping[str, Any]
    ) -> dict[str, Any]:
        now_ms = self._parts.clock.now_ms()
        return await self._call_back(caller, request, lambda course, one: course.heartbeat(one, now_ms))

    # Within.

    async def _find(self, caller: Caller, request: Mapping[str, Any]) -> Execution:
        arn = EXECUTION.fullmatch(request["DurableExecutionArn"])
        if arn is None:
            raise invalid("Invalid Durable Execution ARN")
        if (arn["account"], arn["region"]) != (caller.account, caller.region):
            raise no_execution()
        execution = await self._parts.database.read(store.find, request["DurableExecutionArn"])
        if execution is None:
            raise no_execution()
        return execution

    async def _change(self, caller: Caller, request: Mapping[str, Any], change: Callable[[Course], T]) -> T:
        execution = await self._find(caller, request)
        try:
            return await self._runner.apply(execution.arn, change)
        except LookupError:
            raise no_execution() from None

    async def _call_back(
        self, caller: Caller, request: Mapping[str, Any], change: Callable[[Course, CallbackId], None]
    ) -> dict[str, Any]:
        callback = CallbackId.parse(request["CallbackId"])
        arn = EXECUTION.fullmatch(callback.execution) if callback is not None else None
        if callback is None or arn is None:
            raise invalid_callback()
        if (arn["account"], arn["region"]) != (caller.account, caller.region):
            raise callback_closed()
        try:
            await self._runner.apply(callback.execution, lambda course: change(course, callback))
        except LookupError:
            raise callback_closed() from None
        return {}


def _summary(one: Execution) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "DurableExecutionArn": one.arn,
        "DurableExecutionName": one.name,
        "FunctionArn": f"{one.function_arn}:{one.version}",
        "Status": one.status,
        "StartTimestamp": moment(one.started_ms),
    }
    if one.ended_ms is not None:
        answer["EndTimestamp"] = moment(one.ended_ms)
    return answer


def _text(result: bytes | None) -> str | None:
    if not result:
        return None
    if len(result) > PAYLOAD_BYTES_MAX:
        raise too_large("CALLBACK", PAYLOAD_BYTES_MAX)
    try:
        return result.decode()
    except UnicodeDecodeError:
        raise invalid("The callback result must be valid UTF-8.") from None


def _number(marker: str | None) -> int:
    if not marker:
        return 0
    if not marker.isdigit():
        raise invalid("Invalid marker")
    return int(marker)


def _beyond(marker: str) -> tuple[int, str] | None:
    if not marker:
        return None
    started, _, arn = marker.partition(" ")
    if not started.isdigit():
        raise invalid("Invalid marker")
    return int(started), arn


def _ms(value: datetime | None, default: int) -> int:
    return default if value is None else int(value.timestamp() * 1000)
