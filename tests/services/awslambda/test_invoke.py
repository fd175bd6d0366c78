"""Invoke: at once, tried, by queue, and what it refuses."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pilotlight.engine.contract import IsolationUnavailable, Outcome, RuntimeUnavailable, Throttled
from pilotlight.errors import AwsError
from tests.services.awslambda.surroundings import ACCOUNT, ADMINISTRATOR, Bench, package

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"


@pytest.fixture
async def made(bench: Bench) -> Bench:
    await bench.create(Environment={"Variables": {"TABLE": "t"}}, MemorySize=256)
    return bench


async def test_an_answer_and_its_headers(made: Bench) -> None:
    made.engine.answers = [Outcome(payload=b'{"a":1}', log_tail=b"START\n")]
    answer = await made.call("invoke", FunctionName="f", Payload=b"[]", LogType="Tail")
    assert answer == {
        "StatusCode": 200,
        "ExecutedVersion": "$LATEST",
        "Payload": b'{"a":1}',
        "LogResult": base64.b64encode(b"START\n").decode(),
    }
    version, invocation = made.engine.invocations[0]
    assert (version.memory_mb, dict(version.environment), version.handler) == (256, {"TABLE": "t"}, "app.handler")
    assert (invocation.payload, invocation.invoked_arn) == (b"[]", ARN)


async def test_a_functions_error_is_an_answer(made: Bench) -> None:
    made.engine.answers = [Outcome(payload=b"{}", function_error="Unhandled")]
    answer = await made.call("invoke", FunctionName="f")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert made.engine.invocations[0][1].payload == b"{}"


async def test_a_dry_run_runs_nothing(made: Bench) -> None:
    assert await made.call("invoke", FunctionName="f", InvocationType="DryRun") == {"StatusCode": 204}
    assert made.engine.invocations == []
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        await made.call("invoke", FunctionName="g", InvocationType="DryRun")


async def test_a_client_context_is_decoded(made: Bench) -> None:
    context = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    await made.call("invoke", FunctionName="f", ClientContext=context)
    assert json.loads(made.engine.invocations[0][1].client_context) == {"custom": {"a": "b"}}


async def test_a_warm_invocation_reads_nothing(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await made.call("invoke", FunctionName="f")

    def unexpected(*_: object, **__: object) -> Any:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(type(made.database), "read", unexpected)
    await made.call("invoke", FunctionName="f")
    monkeypatch.undo()
    await made.call("update_function_code", FunctionName="f", ZipFile=package("x = 2"))
    await made.call("invoke", FunctionName="f")
    keys = [version.key for version, _ in made.engine.invocations]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (
            {"Payload": b"x"},
            "InvalidRequestContentException",
            "Could not parse request body into json: Could not parse payload into json: Unrecognized token 'x': was "
            "expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: "
            '(byte[])"x"; line: 1, column: 2]',
        ),
        (
            {"Payload": b'"' + b"x" * (6 * 1024 * 1024) + b'"'},
            "RequestTooLargeException",
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
        (
            {"Payload": b'"' + b"x" * (1024 * 1024) + b'"', "InvocationType": "Event"},
            "RequestTooLargeException",
            "Request must be smaller than 1048576 bytes for the InvokeFunction operation",
        ),
        ({"FunctionName": "g"}, "ResourceNotFoundException", f"Function not found: {ARN[:-1]}g"),
        ({"Qualifier": "nope"}, "ResourceNotFoundException", f"Function not found: {ARN}:nope"),
        (
            {"ClientContext": "%"},
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.",
        ),
    ],
)
async def test_what_aws_refuses(made: Bench, request_: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(AwsError) as refusal:
        await made.call("invoke", **{"FunctionName": "f", **request_})
    assert (refusal.value.code, refusal.value.message) == (code, message)


@pytest.mark.parametrize(
    ("trouble", "code", "status"),
    [
        (Throttled("ReservedFunctionConcurrentInvocationLimitExceeded"), "TooManyRequestsException", 429),
        (RuntimeUnavailable("install python3.13"), "InvalidRuntimeException", 502),
        (IsolationUnavailable("user namespaces are off"), "ServiceException", 500),
    ],
)
async def test_the_engines_troubles_become_answers(made: Bench, trouble: Exception, code: str, status: int) -> None:
    made.engine.answers = [trouble]
    with pytest.raises(AwsError) as refusal:
        await made.call("invoke", FunctionName="f")
    assert (refusal.value.code, refusal.value.status) == (code, status)
    if code == "TooManyRequestsException":
        assert refusal.value.message == "Rate Exceeded."
        assert refusal.value.members == {
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Type": "User",
        }


async def test_only_a_durable_function_takes_an_execution_name(made: Bench) -> None:
    with pytest.raises(AwsError) as refusal:
        await made.call("invoke", FunctionName="f", DurableExecutionName="d")
    assert refusal.value.code == "InvalidParameterValueException"


async def test_the_service_matches_aws_model(made: Bench) -> None:
    import botocore.session
    from botocore import xform_name

    model = botocore.session.get_session().get_service_model("lambda")
    known = {xform_name(name) for name in model.operation_names}
    ours = {
        name
        for noun in made.parts.service.nouns
        for name in dir(noun)
        if not name.startswith("_") and callable(getattr(noun, name))
    }
    assert ours <= known
    assert ADMINISTRATOR.account == ACCOUNT
