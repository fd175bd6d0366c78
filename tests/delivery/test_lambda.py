"""Asynchronous invocations from Invoke to their end, and services that call functions."""

from __future__ import annotations

import json

import pytest

from pilotlight.clock import Clock, ClockState
from pilotlight.delivery.dispatcher import Dispatcher
from pilotlight.delivery.targets.lambda_async import LambdaAsync
from pilotlight.delivery.targets.lambda_invoke import LambdaInvoke
from pilotlight.engine.contract import Outcome, Throttled
from pilotlight.errors import AwsError
from pilotlight.ids import Ids
from pilotlight.storage import Database, outbox
from pilotlight.storage.outbox import OutboxEvent
from tests.services.awslambda.surroundings import ACCOUNT, ADMINISTRATOR, Bench, build

NOW = 1_800_000_000_000
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
ERROR = Outcome(payload=b'{"errorMessage":"no"}', function_error="Unhandled")


@pytest.fixture
def components() -> list[str]:
    return ["pilotlight.services.awslambda"]


@pytest.fixture
def bench(database: Database) -> Bench:
    return build(database, Clock(ClockState(frozen_at_ms=NOW)))


@pytest.fixture
def dispatcher(bench: Bench) -> Dispatcher:
    targets = {
        "lambda_async": LambdaAsync(bench.parts.asynchronous),
        "lambda_invoke": LambdaInvoke(bench.shelf, bench.clock),
    }
    return Dispatcher(bench.database, targets, bench.clock, Ids())


async def moments(bench: Bench, dispatcher: Dispatcher) -> list[int]:
    """Seconds after the start at which there was something to do, until nothing was left."""
    seconds, due_ms = [], await dispatcher.work()
    while due_ms is not None:
        seconds.append((due_ms - NOW) // 1000)
        bench.clock.advance_to(due_ms)
        due_ms = await dispatcher.work()
    return seconds


async def test_an_accepted_event_runs_once_with_its_request_id(bench: Bench, dispatcher: Dispatcher) -> None:
    await bench.create()
    bench.wakes.clear()
    answer = await bench.call("invoke", FunctionName="f", InvocationType="Event", Payload=b'{"a":1}')
    assert answer == {"StatusCode": 202}
    assert bench.wakes == ["delivery"]
    assert await dispatcher.work() is None
    ((version, invocation),) = bench.engine.invocations
    assert (version.name, invocation.payload, invocation.invoked_arn) == ("f", b'{"a":1}', ARN)


async def test_an_error_is_tried_again_after_one_and_two_minutes(bench: Bench, dispatcher: Dispatcher) -> None:
    await bench.create()
    bench.engine.answers = [ERROR]
    await bench.call("invoke", FunctionName="f", InvocationType="Event")
    assert await moments(bench, dispatcher) == [60, 180]
    assert len({invocation.request_id for _, invocation in bench.engine.invocations}) == 1
    assert len(bench.engine.invocations) == 3


async def test_throttles_wait_without_counting(bench: Bench, dispatcher: Dispatcher) -> None:
    await bench.create()
    bench.engine.answers = [Throttled("ConcurrentInvocationLimitExceeded")] * 4 + [ERROR]
    await bench.call("invoke", FunctionName="f", InvocationType="Event")
    assert await moments(bench, dispatcher) == [1, 3, 7, 15, 75, 195]


async def test_an_event_grows_too_old(bench: Bench, dispatcher: Dispatcher) -> None:
    await bench.create()
    await bench.call("put_function_event_invoke_config", FunctionName="f", MaximumEventAgeInSeconds=60)
    bench.engine.answers = [Throttled("ConcurrentInvocationLimitExceeded")]
    await bench.call("invoke", FunctionName="f", InvocationType="Event")
    assert await moments(bench, dispatcher) == [1, 3, 7, 15, 31]


@pytest.mark.parametrize(("retries", "runs"), [(0, 1), (1, 2)])
async def test_the_number_of_retries_is_configured(
    bench: Bench, dispatcher: Dispatcher, retries: int, runs: int
) -> None:
    await bench.create()
    await bench.call("put_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=retries)
    bench.engine.answers = [ERROR]
    await bench.call("invoke", FunctionName="f", InvocationType="Event")
    await moments(bench, dispatcher)
    assert len(bench.engine.invocations) == runs


async def test_a_failure_goes_to_its_destination_as_aws_records_it(bench: Bench, dispatcher: Dispatcher) -> None:
    await bench.create()
    await bench.create("failures")
    target = ARN[:-1] + "failures"
    await bench.call(
        "put_function_event_invoke_config",
        FunctionName="f",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": target}},
    )
    bench.engine.answers = [ERROR]
    await bench.call("invoke", FunctionName="f", InvocationType="Event", Payload=b'{"a":1}')
    await moments(bench, dispatcher)
    ((service, operation, params, caller),) = bench.shelf.calls
    assert (service, operation, params["FunctionName"], caller.kind) == ("lambda", "Invoke", target, "role")
    record = json.loads(params["Payload"])
    assert record["requestContext"].pop("requestId")
    assert record["requestContext"] == {
        "functionArn": f"{ARN}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 1,
    }
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert (record["requestPayload"], record["responsePayload"]) == ({"a": 1}, {"errorMessage": "no"})


async def test_events_of_a_deleted_function_are_dropped(bench: Bench, dispatcher: Dispatcher) -> None:
    await bench.create()
    await bench.call("invoke", FunctionName="f", InvocationType="Event")
    await bench.call("delete_function", FunctionName="f")
    assert await dispatcher.work() is None
    assert bench.engine.invocations == []


async def test_a_service_invokes_in_its_own_name(bench: Bench, dispatcher: Dispatcher) -> None:
    await bench.database.write(outbox.post, notification())
    await dispatcher.work()
    ((_, _, params, caller),) = bench.shelf.calls
    assert params == {"FunctionName": ARN, "InvocationType": "Event", "Payload": b"{}"}
    assert (caller.kind, caller.service, caller.source_arn) == ("service", "s3.amazonaws.com", "arn:aws:s3:::b")
    assert caller.context == {"aws:SourceAccount": ACCOUNT}


@pytest.mark.parametrize(
    ("code", "tries"), [("AccessDeniedException", 1), ("TooManyRequestsException", 3), ("ResourceNotFoundException", 3)]
)
async def test_denial_is_final_and_the_rest_is_tried_again(
    bench: Bench, dispatcher: Dispatcher, code: str, tries: int
) -> None:
    def answer(params: object) -> dict[str, object]:
        if len(bench.shelf.calls) < 3:
            raise AwsError(code, "no")
        return {}

    bench.shelf.answer = answer
    await bench.database.write(outbox.post, notification())
    await moments(bench, dispatcher)
    assert len(bench.shelf.calls) == tries
    assert len({caller.request_id for *_, caller in bench.shelf.calls}) == 1


def notification() -> OutboxEvent:
    return OutboxEvent(
        id="n",
        kind="lambda_invoke",
        account=ACCOUNT,
        region=ADMINISTRATOR.region,
        target=ARN,
        source="arn:aws:s3:::b",
        payload=b"{}",
        created_ms=NOW,
        due_ms=NOW,
    )
