"""Functions that call themselves: the chain is counted, and ended where that is wanted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pilotlight.engine.contract import Outcome
from pilotlight.errors import AwsError
from pilotlight.ids import Ids
from pilotlight.services.awslambda import recursion
from pilotlight.services.awslambda.asynchronous import Again, Finished
from pilotlight.storage import outbox
from pilotlight.testing.cloud import Cloud
from tests.services.awslambda import wire
from tests.services.awslambda.surroundings import ADMINISTRATOR, Bench

SELF = """
import boto3, json, os
def handler(event, context):
    client = boto3.client("lambda")
    answer = client.invoke(FunctionName=context.function_name, Payload=json.dumps({"depth": event["depth"] + 1}))
    told = json.load(answer["Payload"])
    return told if "deepest" in told else {"deepest": event["depth"], "why": told.get("errorMessage", "")}
"""


def test_a_chain_is_counted_by_function() -> None:
    header, counts = "", []
    for name in ("a", "b", "a", "a"):
        header, count = recursion.advance(header, name, now_seconds=1, ids=Ids())
        counts.append(count)
    assert counts == [1, 1, 2, 3]
    assert header.startswith("Root=1-00000001-")


@pytest.mark.parametrize(
    "header", ["", "Root=x;Lineage=1:00000000:5", "=;;=", "Lineage=" + "1:aaaaaaaa:9|" * 500, "Root=1-0\r\nX: y"]
)
def test_a_strange_header_begins_a_new_chain(header: str) -> None:
    made, count = recursion.advance(header, "a", now_seconds=1, ids=Ids())
    assert count == 1
    assert "\n" not in made
    assert len(made) < 1000


async def rounds(bench: Bench, kind: str, times: int) -> str:
    caller = ADMINISTRATOR
    for number in range(times):
        request_id = f"00000000-0000-4000-8000-{number:012}"
        caller = replace(caller, request_id=request_id)
        await bench.call("invoke", caller, FunctionName="f", InvocationType=kind)
        caller = replace(caller, trace_id=bench.engine.invocations[-1][1].trace_id)
    return caller.trace_id


async def test_the_seventeenth_round_is_refused_unless_it_is_allowed(bench: Bench) -> None:
    await bench.create()
    caller = replace(ADMINISTRATOR, trace_id=await rounds(bench, "RequestResponse", 16))
    for operation in ("invoke", "invoke_with_response_stream"):
        with pytest.raises(AwsError) as refused:
            await bench.call(operation, caller, FunctionName="f")
        assert (refused.value.code, refused.value.status) == ("RecursiveInvocationException", 400)
    assert await bench.call("get_function_recursion_config", FunctionName="f") == {"RecursiveLoop": "Terminate"}
    await bench.call("put_function_recursion_config", FunctionName="f", RecursiveLoop="Allow")
    assert await bench.call("get_function_recursion_config", FunctionName="f") == {"RecursiveLoop": "Allow"}
    await bench.call("invoke", caller, FunctionName="f")


async def test_an_event_of_a_loop_goes_where_failures_go(bench: Bench) -> None:
    await bench.create()
    await bench.create("g")
    target = "arn:aws:lambda:us-east-1:000000000000:function:g"
    await bench.call(
        "put_function_event_invoke_config", FunctionName="f", DestinationConfig={"OnFailure": {"Destination": target}}
    )
    caller = replace(ADMINISTRATOR, trace_id=await rounds(bench, "RequestResponse", 16), request_id="r")
    ran = len(bench.engine.invocations)
    await bench.call("invoke", caller, FunctionName="f", InvocationType="Event", Payload=b"1")
    (event,) = await bench.database.claim(outbox_events)
    came = await bench.parts.asynchronous.attempt(event)
    assert isinstance(came, Finished)
    assert len(bench.engine.invocations) == ran
    assert json.loads(came.follow_ups[0].payload)["requestContext"]["condition"] == "RecursiveInvocation"


async def test_a_chain_goes_on_through_destinations_and_retries(bench: Bench) -> None:
    await bench.create()
    caller = replace(ADMINISTRATOR, trace_id=await rounds(bench, "RequestResponse", 3), request_id="r")
    await bench.call("invoke", caller, FunctionName="f", InvocationType="Event", Payload=b"1")
    (event,) = await bench.database.claim(outbox_events)
    bench.engine.answers = [Outcome(payload=b"{}", function_error="Unhandled")]
    again = await bench.parts.asynchronous.attempt(event)
    assert isinstance(again, Again)
    for attempt in (event, replace(event, detail=again.detail)):  # a retry is the same round
        await bench.parts.asynchronous.attempt(attempt)
        assert bench.engine.invocations[-1][1].trace_id.endswith(":4")


def outbox_events(tx: Any) -> list[outbox.OutboxEvent]:
    far = 2**50
    leases = outbox.claim(tx, now_ms=far, wall_ms=far, lease_until_ms=far + 1, token="t", limit=9)
    return [lease.event for lease in leases]


async def test_settings_of_a_function_that_is_not_there(bench: Bench) -> None:
    for operation, request in (
        ("get_function_recursion_config", {}),
        ("put_function_recursion_config", {"RecursiveLoop": "Allow"}),
    ):
        with pytest.raises(AwsError, match="ResourceNotFoundException"):
            await bench.call(operation, FunctionName="f", **request)


async def test_the_api_of_2014(bench: Bench) -> None:
    await bench.create()
    assert await bench.call("invoke_async", FunctionName="f", InvokeArgs=b"{}") == {"Status": 202}
    assert bench.wakes.count("delivery") == 1
    for request, code in (
        ({"FunctionName": "g", "InvokeArgs": b"{}"}, "ResourceNotFoundException"),
        ({"FunctionName": "f", "InvokeArgs": b"{"}, "InvalidRequestContentException"),
    ):
        with pytest.raises(AwsError) as refused:
            await bench.call("invoke_async", **request)
        assert refused.value.code == code


@pytest.mark.slow
def test_a_function_that_calls_itself_stops(sqlite_only_cloud: Cloud) -> None:
    wire.make_role(sqlite_only_cloud)
    allow = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
    sqlite_only_cloud.client("iam").put_role_policy(
        RoleName="worker", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    )
    wire.make_function(sqlite_only_cloud, "loop", wire.zipped(app_py=SELF), Timeout=60, MemorySize=512)
    client = sqlite_only_cloud.client("lambda")
    told = json.load(client.invoke(FunctionName="loop", Payload=b'{"depth": 1}')["Payload"])
    # The sixteenth could not call a seventeenth, and failed; so the fifteenth tells of it.
    assert told["deepest"] == 15
    assert "RecursiveInvocationException" in told["why"]
    assert client.invoke_async(FunctionName="loop", InvokeArgs=b'{"depth": 99}')["Status"] == 202
