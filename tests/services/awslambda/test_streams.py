"""InvokeWithResponseStream: over the wire, and what it does where the handler fails, or does not stream."""

from __future__ import annotations

import base64
import json
import shutil
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion, Invocation, Outcome, Throttled
from pilotlight.errors import AwsError
from pilotlight.services.awslambda.streaming import Answer
from pilotlight.testing.cloud import Cloud
from tests.services.awslambda import wire
from tests.services.awslambda.surroundings import Bench

INDEX = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType('text/plain')
  for (const part of event.parts) { stream.write(part); await new Promise(done => setTimeout(done, 5)) }
  if (event.fail) throw new RangeError('midway')
  stream.end()
})
exports.plain = async (event) => ({ got: event })
"""


async def streamed(bench: Bench, **request: Any) -> list[dict[str, Any]]:
    answer = await bench.call("invoke_with_response_stream", FunctionName="f", **request)
    return [event async for event in answer["EventStream"]]


async def test_an_answer_at_once_is_one_chunk(bench: Bench) -> None:
    await bench.create()
    bench.engine.answers = [Outcome(payload=b'{"a":1}', log_tail=b"START\n")]
    assert await streamed(bench, LogType="Tail") == [
        {"PayloadChunk": {"Payload": b'{"a":1}'}},
        {"InvokeComplete": {"LogResult": base64.b64encode(b"START\n").decode()}},
    ]


async def test_an_error_is_told_by_the_last_event(bench: Bench) -> None:
    await bench.create()
    bench.engine.answers = [Outcome(payload=b'{"errorType":"X"}', function_error="Unhandled")]
    assert await streamed(bench) == [
        {"InvokeComplete": {"ErrorCode": "Unhandled", "ErrorDetails": '{"errorType":"X"}'}},
    ]


async def test_what_can_be_refused_before_the_stream_is(bench: Bench) -> None:
    await bench.create()
    bench.engine.answers = [Throttled("ConcurrentInvocationLimitExceeded")]
    with pytest.raises(AwsError) as refused:
        await streamed(bench)
    assert (refused.value.code, refused.value.status) == ("TooManyRequestsException", 429)
    for request, code in (
        ({"Payload": b"{"}, "InvalidRequestContentException"),
        ({"Payload": b"1" * (6 * 1024 * 1024 + 1)}, "RequestTooLargeException"),
        ({"ClientContext": "?"}, "InvalidRequestContentException"),
        ({"Qualifier": "7"}, "ResourceNotFoundException"),
        ({"TenantId": "t"}, "NotImplemented"),
    ):
        with pytest.raises(AwsError) as refused:
            await streamed(bench, **request)
        assert refused.value.code == code


async def test_a_dry_run_has_no_stream(bench: Bench) -> None:
    await bench.create()
    assert await bench.call("invoke_with_response_stream", FunctionName="f", InvocationType="DryRun") == {
        "StatusCode": 204
    }


async def test_a_reader_that_leaves_does_not_hold_the_function_back(bench: Bench) -> None:
    answer, allowed = Answer(), list[int]()
    answer.begin("text/plain", allowed.append)
    answer.write(b"12345")
    answer.abandon()
    answer.write(b"678")
    assert allowed == [5, 3]


async def test_a_bug_in_the_engine_reaches_the_reader(bench: Bench) -> None:
    class Broken:
        async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
            assert invocation.sink is not None
            invocation.sink.begin("text/plain", lambda size: None)
            raise LookupError("a bug")

    await bench.create()
    bench.surroundings.invoker.invoke = Broken().invoke  # type: ignore[method-assign]
    with pytest.raises(LookupError):
        await streamed(bench)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_a_stream_over_the_wire(sqlite_only_cloud: Cloud) -> None:
    wire.make_role(sqlite_only_cloud)
    code = wire.zipped(index_js=INDEX)
    for export in ("handler", "plain"):
        wire.make_function(sqlite_only_cloud, export, code, Runtime="nodejs20.x", Handler=f"index.{export}")
    client = sqlite_only_cloud.client("lambda")

    def stream(name: str, event: Any, **options: Any) -> tuple[Any, list[bytes], dict[str, Any]]:
        answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **options)
        events = list(answer["EventStream"])
        chunks = [event["PayloadChunk"]["Payload"] for event in events[:-1]]
        return answer, chunks, events[-1]["InvokeComplete"]

    answer, chunks, complete = stream("handler", {"parts": ["a", "b", "c"]}, LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert chunks == [b"a", b"b", b"c"]
    assert b"END RequestId" in base64.b64decode(complete["LogResult"])

    _, chunks, complete = stream("handler", {"parts": ["a"], "fail": True})
    assert chunks == [b"a"]
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorType"] == "RangeError"

    _, chunks, complete = stream("plain", 7)
    assert (chunks, complete) == ([b'{"got":7}'], {})
