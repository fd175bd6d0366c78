"""Operations on executions, and the answers to their task tokens."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.stepfunctions import store
from pilotlight.services.stepfunctions.names import (
    check_arn,
    check_name,
    execution_arn,
    moment,
    no_execution,
    no_machine,
)
from pilotlight.services.stepfunctions.runner import Runner
from pilotlight.services.stepfunctions.store import Execution, StateMachine
from pilotlight.storage import Database
from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.machine import seal, unseal
from pilotlight.workflows.templates import DATA_BYTES_MAX

Request = Mapping[str, Any]
PAGE_DEFAULT = 100


class Executions:
    def __init__(self, database: Database, clock: Clock, ids: Ids, runner: Runner) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._runner = runner

    async def start_execution(self, caller: Caller, request: Request) -> dict[str, Any]:
        machine = await self._machine(request)
        fresh = self._fresh(machine, request)
        made = await self._runner.start(fresh)
        if made.secret != fresh.secret and (made.status != "RUNNING" or made.input != fresh.input):
            # AWS: the same name and input again is the same execution while it runs, and an error else.
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{made.arn}'")
        return {"executionArn": made.arn, "startDate": moment(made.started_ms)}

    async def start_sync_execution(self, caller: Caller, request: Request) -> dict[str, Any]:
        machine = await self._machine(request)
        if machine.type != "EXPRESS":
            raise AwsError(
                "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"
            )
        ended = await self._runner.start(self._fresh(machine, request), wait=True)
        await self._database.write(store.forget, ended.arn)
        took_ms = max(0, (ended.stopped_ms or ended.started_ms) - ended.started_ms)
        billed = {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": -(-max(took_ms, 1) // 100) * 100}
        told = {
            "executionArn": ended.arn,
            "stateMachineArn": ended.machine_arn,
            "name": ended.name,
            "startDate": moment(ended.started_ms),
            "stopDate": moment(ended.stopped_ms or ended.started_ms),
            "status": ended.status if ended.status != "ABORTED" else "FAILED",
            "input": ended.input,
            "inputDetails": {"included": True},
            "billingDetails": billed,
        }
        return told | _result(ended)

    async def stop_execution(self, caller: Caller, request: Request) -> dict[str, Any]:
        arn = check_arn(request["executionArn"], "execution|express", "ExecutionArn")
        execution = await self._execution(arn)
        now_ms = self._clock.now_ms()
        if execution.status == "RUNNING":
            try:
                await self._runner.apply(
                    arn, lambda machine: machine.stop(request.get("error"), request.get("cause"), now_ms)
                )
            except LookupError:
                execution = await self._execution(arn)  # it ended by itself meanwhile
                now_ms = execution.stopped_ms or now_ms
        else:
            now_ms = execution.stopped_ms or now_ms
        return {"stopDate": moment(now_ms)}

    async def describe_execution(self, caller: Caller, request: Request) -> dict[str, Any]:
        execution = await self._execution(check_arn(request["executionArn"], "execution", "ExecutionArn"))
        redrive: dict[str, Any] = {"redriveCount": 0, "redriveStatus": "NOT_REDRIVABLE"}
        if execution.status == "RUNNING":
            redrive["redriveStatusReason"] = "Execution is RUNNING and cannot be redriven"
        elif execution.status == "SUCCEEDED":
            redrive["redriveStatusReason"] = "Execution is SUCCEEDED and cannot be redriven"
        told = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": moment(execution.started_ms),
            "input": execution.input,
            "inputDetails": {"included": True},
            **redrive,
        }
        if execution.stopped_ms is not None:
            told["stopDate"] = moment(execution.stopped_ms)
        return told | _result(execution)

    async def describe_state_machine_for_execution(self, caller: Caller, request: Request) -> dict[str, Any]:
        execution = await self._execution(check_arn(request["executionArn"], "execution", "ExecutionArn"))
        machine = await self._database.read(store.find_machine, execution.machine_arn)
        updated_ms = machine.updated_ms if machine is not None else execution.started_ms
        settings = machine.settings if machine is not None else {}
        return {
            "stateMachineArn": execution.machine_arn,
            "name": execution.machine_name,
            "definition": execution.definition,
            "roleArn": execution.role_arn,
            "updateDate": moment(updated_ms),
            **settings,
        }

    async def list_executions(self, caller: Caller, request: Request) -> dict[str, Any]:
        if "stateMachineArn" not in request:
            if "mapRunArn" in request:
                raise NotImplementedHere("ListExecutions of a map run")
            raise AwsError("ValidationException", "Must specify either stateMachineArn or mapRunArn")
        machine = await self._machine(request)
        if machine.type == "EXPRESS":
            raise AwsError(
                "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"
            )
        limit = request.get("maxResults") or PAGE_DEFAULT
        before = _unpaged(request["nextToken"]) if request.get("nextToken") else None
        found = await self._database.read(
            store.list_executions,
            machine.arn,
            status=request.get("statusFilter", ""),
            before=(int(before[0]), str(before[1])) if before else None,
            limit=limit + 1,
        )
        told: dict[str, Any] = {"executions": [_listed(one) for one in found[:limit]]}
        if len(found) > limit:
            told["nextToken"] = _paged([found[limit - 1].started_ms, found[limit - 1].arn])
        return told

    async def get_execution_history(self, caller: Caller, request: Request) -> dict[str, Any]:
        arn = check_arn(request["executionArn"], "execution", "ExecutionArn")
        await self._execution(arn)
        limit = request.get("maxResults") or PAGE_DEFAULT
        after = int(_unpaged(request["nextToken"])[0]) if request.get("nextToken") else 0
        reverse = bool(request.get("reverseOrder", False))
        events = await self._database.read(store.history, arn, after=after, limit=limit + 1, reverse=reverse)
        with_data = request.get("includeExecutionData", True)
        told: dict[str, Any] = {"events": [_event(one, with_data=with_data) for one in events[:limit]]}
        if len(events) > limit:
            told["nextToken"] = _paged([events[limit - 1]["id"]])
        return told

    async def send_task_success(self, caller: Caller, request: Request) -> dict[str, Any]:
        try:
            output = json.loads(request["output"])
        except ValueError:
            raise AwsError("InvalidOutput", "Invalid Output: 'Invalid JSON'") from None
        arn, thread, attempt = await self._sealed(request["taskToken"])
        await self._answer(
            arn, thread, attempt, lambda one: one.task_succeeded(thread, attempt, output, self._clock.now_ms())
        )
        return {}

    async def send_task_failure(self, caller: Caller, request: Request) -> dict[str, Any]:
        arn, thread, attempt = await self._sealed(request["taskToken"])
        error = StatesError(request.get("error", ""), request.get("cause", ""))
        await self._answer(
            arn, thread, attempt, lambda one: one.task_failed(thread, attempt, error, self._clock.now_ms())
        )
        return {}

    async def send_task_heartbeat(self, caller: Caller, request: Request) -> dict[str, Any]:
        arn, thread, attempt = await self._sealed(request["taskToken"])
        await self._answer(arn, thread, attempt, lambda one: one.heartbeat(thread, attempt, self._clock.now_ms()))
        return {}

    # Within.

    async def _answer(self, arn: str, thread: int, attempt: int, change: Any) -> None:
        def step(machine: Any) -> bool:
            one = machine.threads.get(thread)
            if one is None or one.attempt != attempt or one.waiting not in ("task", "token"):
                return False
            change(machine)
            return True

        try:
            answered = await self._runner.apply(arn, step)
        except LookupError:
            answered = False
        if not answered:
            raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")

    async def _sealed(self, token: str) -> tuple[str, int, int]:
        told = unseal(token)
        execution = await self._database.read(store.find_execution, told[0]) if told is not None else None
        if told is None or execution is None:
            raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'")
        arn, thread, attempt = told
        if not hmac.compare_digest(seal(arn, execution.secret, thread, attempt), token):
            raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'")
        return told

    def _fresh(self, machine: StateMachine, request: Request) -> Execution:
        name = request.get("name") or self._ids.uuid()
        check_name(name)
        given = request.get("input", "{}")
        if len(given.encode()) > DATA_BYTES_MAX:
            raise AwsError("InvalidExecutionInput", "Invalid State Machine Execution Input: 'The input is too large'")
        try:
            json.loads(given)
        except ValueError as error:
            raise AwsError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from None
        express = machine.type == "EXPRESS"
        return Execution(
            arn=execution_arn(machine.arn, name, express=express, unique=self._ids.uuid()),
            machine_arn=machine.arn,
            machine_name=machine.name,
            name=name,
            type=machine.type,
            status="RUNNING",
            definition=machine.definition,
            role_arn=machine.role_arn,
            secret=self._ids.hex(40),
            input=given,
            started_ms=self._clock.now_ms(),
        )

    async def _machine(self, request: Request) -> StateMachine:
        arn = check_arn(request["stateMachineArn"], "stateMachine", "StateMachineArn")
        machine = await self._database.read(store.find_machine, arn)
        if machine is None:
            raise no_machine(arn)
        return machine

    async def _execution(self, arn: str) -> Execution:
        execution = await self._database.read(store.find_execution, arn)
        if execution is None:
            raise no_execution(arn)
        return execution


def _result(execution: Execution) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if execution.output is not None:
        told |= {"output": execution.output, "outputDetails": {"included": True}}
    for name, value in (("error", execution.error), ("cause", execution.cause)):
        if value is not None:
            told[name] = value
    return told


def _listed(execution: Execution) -> dict[str, Any]:
    told = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": moment(execution.started_ms),
        "redriveCount": 0,
    }
    return told | ({"stopDate": moment(execution.stopped_ms)} if execution.stopped_ms is not None else {})


def _event(event: dict[str, Any], *, with_data: bool) -> dict[str, Any]:
    told = dict(event)
    told["timestamp"] = moment(event["timestamp"])
    if not with_data:
        for name, details in event.items():
            if isinstance(details, dict):
                told[name] = {
                    key: value
                    for key, value in details.items()
                    if key not in ("input", "output", "parameters", "inputDetails", "outputDetails")
                }
    return told


def _paged(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _unpaged(token: str) -> list[Any]:
    try:
        return list(json.loads(base64.urlsafe_b64decode(token.encode())))
    except (ValueError, TypeError):
        raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'") from None
