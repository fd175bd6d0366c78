"""Durable executions over the service: how they begin, go on, end, and are forgotten. The handler is a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pilotlight.engine.contract import Outcome
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.durable.runner import Runner
from tests.services.awslambda.surroundings import ACCOUNT, Bench

DURABLE = {"ExecutionTimeout": 600, "RetentionPeriodInDays": 2}
PENDING = {"Status": "PENDING"}


@dataclass
class Handler:
    """Stands for the function under AWS's SDK: it checkpoints what the test gives it, and answers."""

    bench: Bench
    events: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    running: list[asyncio.Future[Outcome]] = field(default_factory=list)
    event: dict[str, Any] = field(default_factory=dict)
    token: str = ""

    async def invoke(self, version: Any, invocation: Any) -> Outcome:
        self.running.append(asyncio.get_running_loop().create_future())
        self.events.put_nowait({"version": version.version, **json.loads(invocation.payload)})
        return await self.running[-1]

    async def wait_invoked(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            self.event = await self.events.get()
        self.token = self.event["CheckpointToken"]
        return self.event

    async def checkpoint(self, *updates: dict[str, Any], token: str = "") -> list[dict[str, Any]]:
        answer = await self.bench.call(
            "checkpoint_durable_execution",
            DurableExecutionArn=self.event["DurableExecutionArn"],
            CheckpointToken=token or self.token,
            Updates=list(updates),
        )
        self.token = answer.get("CheckpointToken", "")
        operations: list[dict[str, Any]] = answer["NewExecutionState"]["Operations"]
        return operations

    def answer(self, reply: dict[str, Any]) -> None:
        """The oldest invocation that is under way ends so."""
        self.running.pop(0).set_result(Outcome(payload=json.dumps(reply).encode(), log_tail=b"END\n"))

    def fail(self) -> None:
        failure = {"errorMessage": "no", "errorType": "ValueError", "stackTrace": ["line"]}
        self.running.pop(0).set_result(Outcome(payload=json.dumps(failure).encode(), function_error="Unhandled"))


@pytest.fixture
async def durable(bench: Bench) -> AsyncIterator[Handler]:
    await bench.create(DurableConfig=DURABLE, Publish=True)
    handler = Handler(bench)
    bench.engine.invoke = handler.invoke  # type: ignore[method-assign]
    bench.clock.freeze()
    yield handler
    while handler.running:
        handler.answer({"Status": "FAILED"})
        await asyncio.sleep(0)


async def start(handler: Handler, **request: Any) -> str:
    asked = {"FunctionName": "f", "Qualifier": "1", "InvocationType": "Event", "Payload": b'{"a":1}', **request}
    answer = await handler.bench.call("invoke", **asked)
    assert answer["StatusCode"] == 202
    return str(answer["DurableExecutionArn"])


async def status(handler: Handler, arn: str) -> dict[str, Any]:
    return dict(await handler.bench.call("get_durable_execution", DurableExecutionArn=arn))


async def wait_status(handler: Handler, arn: str, wanted: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            found = await status(handler, arn)
            if found["Status"] == wanted:
                return found
            await asyncio.sleep(0)


async def wait_completed(handler: Handler, arn: str, invocations: int) -> None:
    async with asyncio.timeout(10):
        kinds: list[str] = []
        while kinds.count("InvocationCompleted") < invocations:
            await asyncio.sleep(0)
            history = await handler.bench.call("get_durable_execution_history", DurableExecutionArn=arn)
            kinds = [event["EventType"] for event in history["Events"]]


async def pass_time(handler: Handler, seconds: float) -> None:
    clock = handler.bench.clock
    clock.advance_to(clock.now_ms() + int(seconds * 1000))
    clock.resume()  # so that `work` does not wait for the handler, which waits for the test
    await handler.bench.parts.durable.work()
    clock.freeze()


def wait(identity: str, seconds: int) -> dict[str, Any]:
    return {"Id": identity, "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": seconds}}


def step(identity: str, **members: Any) -> dict[str, Any]:
    return {"Id": identity, "Type": "STEP", "Action": "SUCCEED", **members}


async def test_the_handler_is_handed_what_aws_hands_it(durable: Handler) -> None:
    arn = await start(durable, DurableExecutionName="order-1")
    event = await durable.wait_invoked()
    assert arn.startswith(f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f:1/durable-execution/order-1/")
    state = event["InitialExecutionState"]
    assert (event["DurableExecutionArn"], event["version"], state["NextMarker"]) == (arn, "1", "")
    (root,) = state["Operations"]
    assert (root["Type"], root["Status"], root["Name"]) == ("EXECUTION", "STARTED", "order-1")
    assert root["ExecutionDetails"] == {"InputPayload": '{"a":1}'}
    assert root["StartTimestamp"] == durable.bench.clock.now_ms()
    assert event["UpdatedOperationIds"] == [root["Id"]]


async def test_a_synchronous_invocation_is_answered_when_the_execution_has_ended(durable: Handler) -> None:
    call = asyncio.ensure_future(
        durable.bench.call("invoke", FunctionName="f:1", Payload=b"1", LogType="Tail", DurableExecutionName="n")
    )
    await durable.wait_invoked()
    await durable.checkpoint(wait("w", 60))
    durable.answer(PENDING)
    arn = durable.event["DurableExecutionArn"]
    await pass_time(durable, 60)
    event = await durable.wait_invoked()
    assert [one["Status"] for one in event["InitialExecutionState"]["Operations"]] == ["STARTED", "SUCCEEDED"]
    durable.answer({"Status": "SUCCEEDED", "Result": '{"b":2}'})
    assert await call == {
        "StatusCode": 200,
        "ExecutedVersion": "1",
        "DurableExecutionArn": arn,
        "Payload": b'{"b":2}',
        "LogResult": "RU5ECg==",
    }


async def test_a_failure_is_answered_as_a_functions(durable: Handler) -> None:
    call = asyncio.ensure_future(durable.bench.call("invoke", FunctionName="f:1"))
    await durable.wait_invoked()
    durable.answer({"Status": "FAILED", "Error": {"ErrorMessage": "no", "ErrorType": "KeyError"}})
    answer = await call
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"]) == {"errorMessage": "no", "errorType": "KeyError"}


@pytest.mark.parametrize(
    "reply", [[], "text", {"Status": "SUCCEEDED", "Result": 1}, {"Status": "FAILED", "Error": "e"}]
)
async def test_an_answer_of_another_shape_fails_the_execution(durable: Handler, reply: Any) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    durable.answer(reply)
    assert (await wait_status(durable, arn, "FAILED"))["Error"][
        "ErrorMessage"
    ] == "Invalid Status in invocation output."


async def test_an_error_keeps_what_the_model_knows(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    error = {"ErrorType": "E", "ErrorMessage": 5, "Other": "x", "StackTrace": ["a", 1]}
    durable.answer({"Status": "FAILED", "Error": error})
    assert (await wait_status(durable, arn, "FAILED"))["Error"] == {"ErrorType": "E", "StackTrace": ["a"]}


async def test_without_concurrency_a_synchronous_invocation_is_throttled(durable: Handler) -> None:
    await durable.bench.call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=0)
    with pytest.raises(AwsError) as refusal:
        await durable.bench.call("invoke", FunctionName="f:1")
    assert refusal.value.code == "TooManyRequestsException"


async def test_the_same_name_again_is_the_same_execution(durable: Handler) -> None:
    arn = await start(durable, DurableExecutionName="n")
    assert await start(durable, DurableExecutionName="n") == arn
    waiting = asyncio.ensure_future(
        durable.bench.call("invoke", FunctionName="f:1", Payload=b'{"a":1}', DurableExecutionName="n")
    )
    for other in ({"Payload": b"2"}, {"Qualifier": "$LATEST"}):
        with pytest.raises(AwsError, match="Execution already started") as refusal:
            await start(durable, DurableExecutionName="n", **other)
        assert (refusal.value.code, refusal.value.status) == ("DurableExecutionAlreadyStartedException", 409)
    await durable.wait_invoked()
    durable.answer({"Status": "SUCCEEDED"})
    assert (await waiting)["Payload"] == b"null"
    assert await start(durable, DurableExecutionName="n") == arn
    assert durable.events.empty()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"FunctionName": "f"}, "You cannot invoke a durable function using an unqualified ARN."),
        (
            {"FunctionName": "f", "InvocationType": "DryRun"},
            "You cannot invoke a durable function using an unqualified ARN.",
        ),
        (
            {"FunctionName": "long:$LATEST"},
            "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes.",
        ),
    ],
)
async def test_what_cannot_be_invoked(durable: Handler, request_: dict[str, Any], message: str) -> None:
    await durable.bench.create("long", DurableConfig={"ExecutionTimeout": 901})
    with pytest.raises(AwsError) as refusal:
        await durable.bench.call("invoke", **request_)
    assert (refusal.value.code, refusal.value.message) == ("InvalidParameterValueException", message)


async def test_its_configuration_is_shown_and_kept(durable: Handler) -> None:
    bench = durable.bench
    made = await bench.create("g", DurableConfig={"ExecutionTimeout": 60})
    assert made["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 14}
    await bench.call("update_function_configuration", FunctionName="g", DurableConfig={"RetentionPeriodInDays": 1})
    shown = await bench.call("get_function_configuration", FunctionName="g")
    assert shown["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 1}
    await bench.create("plain")
    for operation, request, code in (
        ("update_function_configuration", {"FunctionName": "plain", "DurableConfig": DURABLE}, "InvalidParameterValue"),
        (
            "update_function_configuration",
            {"FunctionName": "g", "DurableConfig": {"KMSKeyArn": "arn:aws:kms:x"}},
            "NotImplemented",
        ),
    ):
        with pytest.raises(AwsError, match=code):
            await bench.call(operation, **request)
    with pytest.raises(AwsError, match="ExecutionTimeout"):
        await bench.create("h", DurableConfig={"RetentionPeriodInDays": 1})


async def test_its_version_stays_what_it_was(durable: Handler) -> None:
    bench = durable.bench
    await bench.call("create_alias", FunctionName="f", Name="live", FunctionVersion="1")
    await start(durable, Qualifier="live")
    await durable.wait_invoked()
    await durable.checkpoint(wait("w", 60))
    durable.answer(PENDING)
    await bench.call("update_function_configuration", FunctionName="f", Description="new")
    await bench.call("publish_version", FunctionName="f")
    await bench.call("update_alias", FunctionName="f", Name="live", FunctionVersion="2")
    await pass_time(durable, 60)
    assert (await durable.wait_invoked())["version"] == "1"


async def test_a_function_that_is_gone_fails_its_executions(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    await durable.checkpoint(wait("w", 60))
    durable.answer(PENDING)
    await wait_completed(durable, arn, 1)
    await durable.bench.call("delete_function", FunctionName="f")
    await pass_time(durable, 60)
    found = await wait_status(durable, arn, "FAILED")
    assert found["Error"]["ErrorType"] == "ResourceNotFoundException"


async def test_an_invocation_that_dies_is_tried_again(durable: Handler) -> None:
    arn = await start(durable)
    for number, delay in enumerate((1, 2, 4, 8), 1):
        await durable.wait_invoked()
        durable.fail()
        await wait_completed(durable, arn, number)
        await pass_time(durable, delay)
    await durable.wait_invoked()
    durable.fail()
    found = await wait_status(durable, arn, "FAILED")
    assert found["Error"] == {"ErrorMessage": "no", "ErrorType": "ValueError", "StackTrace": ["line"]}


async def test_the_next_process_goes_on_where_the_last_one_was_killed(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    await durable.checkpoint(step("s", Payload="1"))
    old = durable.token
    parts = durable.bench.surroundings
    runner = Runner(parts, durable.bench.parts.resolver)
    durable.bench.clock.resume()
    await runner.work()
    event = await durable.wait_invoked()
    assert [one["Id"] for one in event["InitialExecutionState"]["Operations"]][1:] == ["s"]
    with pytest.raises(AwsError, match="Invalid checkpoint token"):
        await durable.checkpoint(step("t"), token=old)
    durable.token = event["CheckpointToken"]
    await durable.checkpoint(step("t"))
    # The answers of both invocations arrive; the first one's is worth nothing.
    durable.answer({"Status": "FAILED"})
    durable.answer({"Status": "SUCCEEDED", "Result": "2"})
    assert (await wait_status(durable, arn, "SUCCEEDED"))["Result"] == "2"


async def test_it_runs_out_of_time_and_is_forgotten_after_its_retention(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    await durable.checkpoint(wait("w", 3600))
    durable.answer(PENDING)
    await pass_time(durable, 600)
    found = await wait_status(durable, arn, "TIMED_OUT")
    assert found["Error"] == {"ErrorMessage": "Execution timed out after 600 seconds."}
    await pass_time(durable, 2 * 86_400 - 1)
    await status(durable, arn)
    await pass_time(durable, 1)
    with pytest.raises(AwsError, match="Durable Execution does not exist"):
        await status(durable, arn)
    with pytest.raises(AwsError, match="Durable Execution does not exist"):
        await durable.bench.call("get_durable_execution_history", DurableExecutionArn=arn)


async def test_a_chained_durable_function_tells_its_parent(durable: Handler) -> None:
    bench = durable.bench
    await bench.create("child", DurableConfig={"ExecutionTimeout": 30}, Publish=True)
    arn = await start(durable)
    await durable.wait_invoked()
    chained = {
        "Id": "c",
        "Type": "CHAINED_INVOKE",
        "Action": "START",
        "ChainedInvokeOptions": {"FunctionName": "child:1"},
        "Payload": "5",
    }
    assert [one["Status"] for one in await durable.checkpoint(chained)] == ["STARTED"]
    durable.answer(PENDING)
    child = await durable.wait_invoked()
    assert child["InitialExecutionState"]["Operations"][0]["ExecutionDetails"] == {"InputPayload": "5"}
    asked = bench.shelf.calls[-1]
    assert (asked[1], asked[2]["InvocationType"], asked[3].kind) == ("Invoke", "DryRun", "role")
    await durable.checkpoint(wait("w", 600))
    durable.answer(PENDING)
    await wait_status(durable, child["DurableExecutionArn"], "RUNNING")
    await pass_time(durable, 30)
    event = await durable.wait_invoked()
    assert event["DurableExecutionArn"] == arn
    (operation,) = event["InitialExecutionState"]["Operations"][1:]
    assert operation["Status"] == "TIMED_OUT"
    assert operation["ChainedInvokeDetails"]["Error"] == {
        "ErrorMessage": "CHAINED_INVOKE timed out after 30 seconds.",
        "ErrorType": "ChainedInvoke.Timeout",
    }
    durable.answer({"Status": "SUCCEEDED"})
    await wait_status(durable, arn, "SUCCEEDED")


@pytest.mark.parametrize(
    ("named", "members", "message"),
    [
        ("arn:aws:lambda:us-east-1:999999999999:function:g", {}, "on a function in another account."),
        (f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:g", {}, "on a function in another region."),
        ("g", {"TenantId": "t"}, "CHAINED_INVOKE with TenantId"),
    ],
)
async def test_what_cannot_be_chained(durable: Handler, named: str, members: dict[str, Any], message: str) -> None:
    await start(durable)
    await durable.wait_invoked()
    options = {"FunctionName": named, **members}
    with pytest.raises(AwsError, match=message):
        await durable.checkpoint(
            {"Id": "c", "Type": "CHAINED_INVOKE", "Action": "START", "ChainedInvokeOptions": options}
        )


async def test_lists_go_by_start_name_status_and_version(durable: Handler) -> None:
    call = durable.bench.call
    arns = []
    for name in ("a", "b", "c"):
        arns.append(await start(durable, DurableExecutionName=name))
        await durable.wait_invoked()
        await pass_time(durable, 1)
    await call("stop_durable_execution", DurableExecutionArn=arns[1], Error={"ErrorType": "Enough"})

    async def listed(**request: Any) -> list[str]:
        answer = await call("list_durable_executions_by_function", FunctionName="f", **request)
        return [one["DurableExecutionName"] for one in answer["DurableExecutions"]]

    assert await listed() == ["c", "b", "a"]
    assert await listed(ReverseOrder=True) == ["a", "b", "c"]
    assert await listed(Statuses=["STOPPED", "FAILED"]) == ["b"]
    assert await listed(DurableExecutionName="a") == ["a"]
    assert await listed(Qualifier="1") == ["c", "b", "a"]
    assert await listed(Qualifier="$LATEST") == []
    moment = (await status(durable, arns[1]))["StartTimestamp"]
    assert (await listed(StartedAfter=moment), await listed(StartedBefore=moment)) == (["c"], ["a"])
    first = await call("list_durable_executions_by_function", FunctionName="f", MaxItems=2)
    assert await listed(Marker=first["NextMarker"]) == ["a"]
    with pytest.raises(AwsError, match="Function not found"):
        await call("list_durable_executions_by_function", FunctionName="none")


async def test_histories_are_paged_and_can_do_without_data(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    await durable.checkpoint(step("s", Payload='"secret"', Name="a step"))
    durable.answer({"Status": "SUCCEEDED", "Result": "1"})
    await wait_status(durable, arn, "SUCCEEDED")
    call = durable.bench.call
    page = await call("get_durable_execution_history", DurableExecutionArn=arn, MaxItems=3)
    rest = await call("get_durable_execution_history", DurableExecutionArn=arn, Marker=page["NextMarker"])
    events = page["Events"] + rest["Events"]
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert events[2]["StepSucceededDetails"]["Result"] == {"Payload": '"secret"', "Truncated": False}
    bare = await call(
        "get_durable_execution_history", DurableExecutionArn=arn, IncludeExecutionData=False, ReverseOrder=True
    )
    assert [event["EventId"] for event in bare["Events"]] == [5, 4, 3, 2, 1]
    assert bare["Events"][2]["StepSucceededDetails"]["Result"] == {"Truncated": True}
    described = await call("get_durable_execution", DurableExecutionArn=arn, IncludeExecutionData=False)
    assert "Result" not in described
    assert described["DurableConfig"] == DURABLE


async def test_state_is_for_who_holds_the_token(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    await durable.checkpoint(step("s"), step("t"), step("u"))
    call = durable.bench.call
    request = {"DurableExecutionArn": arn, "CheckpointToken": durable.token}
    page = await call("get_durable_execution_state", **request, MaxItems=2)
    assert [one["Id"] for one in page["Operations"]][1:] == ["s"]
    rest = await call("get_durable_execution_state", **request, Marker=page["NextMarker"])
    assert [one["Id"] for one in rest["Operations"]] == ["t", "u"]
    with pytest.raises(AwsError, match="Invalid checkpoint token"):
        await call("get_durable_execution_state", **{**request, "CheckpointToken": "AAAA"})
    with pytest.raises(AwsError, match="Invalid marker"):
        await call("get_durable_execution_state", **request, Marker="x")


async def test_only_what_has_ended_is_deleted(durable: Handler) -> None:
    arn = await start(durable)
    with pytest.raises(AwsError) as refusal:
        await durable.bench.call("delete_durable_execution", DurableExecutionArn=arn)
    assert refusal.value.code == "ResourceConflictException"
    await durable.bench.call("stop_durable_execution", DurableExecutionArn=arn)
    await durable.bench.call("delete_durable_execution", DurableExecutionArn=arn)
    with pytest.raises(AwsError, match="Durable Execution does not exist"):
        await status(durable, arn)


async def test_pausing_and_resuming(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    call = durable.bench.call
    await call("pause_durable_execution", DurableExecutionArn=arn, Reason="lunch")
    found = await status(durable, arn)
    assert (found["Status"], found["PauseDetails"]["Reason"]) == ("PAUSING", "lunch")
    await durable.checkpoint(step("s"))
    assert durable.token == ""
    durable.answer(PENDING)
    await wait_status(durable, arn, "PAUSED")
    with pytest.raises(AwsError, match="ResourceConflictException"):
        await call("pause_durable_execution", DurableExecutionArn=arn)
    await call("resume_durable_execution", DurableExecutionArn=arn)
    await durable.wait_invoked()
    with pytest.raises(AwsError, match="ResourceConflictException"):
        await call("resume_durable_execution", DurableExecutionArn=arn)


async def test_another_account_sees_nothing(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    shown = await durable.checkpoint({"Id": "c", "Type": "CALLBACK", "Action": "START"})
    callback = shown[0]["CallbackDetails"]["CallbackId"]
    stranger = Caller(account="999999999999", region="us-east-1", kind="administrator", arn="arn:aws:iam::9:root")
    call = durable.bench.call
    for operation in ("get_durable_execution", "stop_durable_execution", "get_durable_execution_history"):
        with pytest.raises(AwsError, match="Durable Execution does not exist"):
            await call(operation, stranger, DurableExecutionArn=arn)
    with pytest.raises(AwsError, match="already completed"):
        await call("send_durable_execution_callback_success", stranger, CallbackId=callback)
    with pytest.raises(AwsError, match="Invalid callback id"):
        await call("send_durable_execution_callback_heartbeat", CallbackId="AAAA")


async def test_the_guard_names_the_execution(durable: Handler) -> None:
    arn = await start(durable)
    await durable.wait_invoked()
    shown = await durable.checkpoint({"Id": "c", "Type": "CALLBACK", "Action": "START"})
    guard = durable.bench.parts.service.guard
    caller = Caller(account=ACCOUNT, region="us-east-1", kind="role", arn="arn")
    for operation, params in (
        ("CheckpointDurableExecution", {"DurableExecutionArn": arn}),
        ("SendDurableExecutionCallbackSuccess", {"CallbackId": shown[0]["CallbackDetails"]["CallbackId"]}),
    ):
        (access,) = guard.accesses(operation, params, caller)
        assert (access.action, access.resource) == (f"lambda:{operation}", arn)
