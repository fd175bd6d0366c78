"""`provided.al2023`: whatever program speaks the Runtime API, held to AWS's rules by a client written by hand."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.streams import WINDOW_BYTES
from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

CLIENT = Path(__file__).with_name("lambda_client.py").read_text()
PYTHON = "#!/usr/bin/env -S python3 -S\n"
ECHO = "from lambda_client import *\nserve(lambda event, headers: event)\n"


def custom(world: World, source: str = ECHO, first: str = PYTHON, **options: Any) -> FunctionVersion:
    files = {"bootstrap": first + textwrap.dedent(source), "lambda_client.py": CLIENT, **options.pop("files", {})}
    return world.version(files=files, runtime="provided.al2023", handler="any.thing", **options)


class Sink:
    def __init__(self) -> None:
        self.content_type = ""
        self.data = b""
        self.untaken = 0
        self.taken: Callable[[int], None] | None = None

    def begin(self, content_type: str, taken: Callable[[int], None]) -> None:
        self.content_type, self.taken = content_type, taken

    def write(self, data: bytes) -> None:
        self.data += data
        self.untaken += len(data)

    def take(self) -> None:
        assert self.taken is not None
        size, self.untaken = self.untaken, 0
        self.taken(size)


async def test_a_program_answers_again_and_again_from_one_process(provided: World) -> None:
    version = custom(provided, "from lambda_client import *\nimport os\nserve(lambda event, _: [event, os.getpid()])\n")
    first = await provided.answer(version, {"a": 1})
    await provided.quiet()
    second = await provided.answer(version, None)
    assert first[0] == {"a": 1}
    assert second == [None, first[1]]


async def test_the_headers_tell_of_the_invocation(provided: World) -> None:
    version = custom(provided, "from lambda_client import *\nserve(lambda _, headers: headers)\n", timeout_seconds=7)
    before = provided.clock.wall_ms()
    headers = await provided.answer(
        version,
        request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        trace_id="Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
        client_context='{"custom": {"a": "é"}}',
        cognito_identity='{"cognitoIdentityId": "i"}',
    )
    assert headers["Lambda-Runtime-Aws-Request-Id"] == "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == version.arn
    assert headers["Lambda-Runtime-Trace-Id"].startswith("Root=1-5bef4de7")
    assert headers["Lambda-Runtime-Client-Context"].encode("latin-1").decode() == '{"custom": {"a": "é"}}'
    assert headers["Lambda-Runtime-Cognito-Identity"] == '{"cognitoIdentityId": "i"}'
    assert 0 <= int(headers["Lambda-Runtime-Deadline-Ms"]) - before - 7000 < 5000
    assert headers["Content-Type"] == "application/json"


async def test_a_callers_client_context_adds_no_header(provided: World) -> None:
    version = custom(provided, "from lambda_client import *\nserve(lambda _, headers: headers)\n")
    headers = await provided.answer(version, client_context='{"a":1}\r\nLambda-Runtime-Deadline-Ms: 1\r\n\r\n')
    assert headers["Lambda-Runtime-Deadline-Ms"] != "1"
    assert headers["Lambda-Runtime-Client-Context"].startswith('{"a":1}  Lambda')


async def test_the_environment_is_lambdas(provided: World) -> None:
    version = custom(
        provided,
        "from lambda_client import *\nserve(lambda _e, _h: {**os.environ, 'cwd': os.getcwd()})\n",
        environment={"MINE": "x", "_HANDLER": "lie"},
    )
    environment = await provided.answer(version)
    assert environment["MINE"] == "x"
    assert environment["_HANDLER"] == "any.thing"
    assert "AWS_EXECUTION_ENV" not in environment
    assert environment["cwd"] == environment["LAMBDA_TASK_ROOT"]
    assert environment["AWS_LAMBDA_LOG_STREAM_NAME"].endswith("]" + environment["AWS_LAMBDA_LOG_STREAM_NAME"][-32:])
    if provided.isolation == "namespaces":
        assert environment["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001"
        assert environment["LAMBDA_TASK_ROOT"] == "/var/task"


async def test_an_error_is_passed_on_as_it_was_posted(provided: World) -> None:
    version = custom(
        provided,
        """
        from lambda_client import *
        while True:
            assert fail(next_one(), "Some.Type", "no").status == 202
        """,
    )
    assert await provided.failure(version) == {"errorType": "Some.Type", "errorMessage": "no"}
    assert await provided.failure(version) == {"errorType": "Some.Type", "errorMessage": "no"}


async def test_an_init_error_is_the_answer(provided: World) -> None:
    version = custom(
        provided,
        """
        from lambda_client import *
        told = call("POST", "runtime/init/error", '{"errorType": "Runtime.NoSuchHandler", "errorMessage": "none"}')
        assert (told.status, told.json()) == (202, {"status": "OK"})
        """,
    )
    assert await provided.failure(version) == {"errorType": "Runtime.NoSuchHandler", "errorMessage": "none"}
    reports = [line for line in provided.lines(version) if line.startswith("INIT_REPORT")]
    assert [line.split("\t", 1)[1] for line in reports] == [
        "Phase: init\tStatus: error\tError Type: Runtime.NoSuchHandler",
        "Phase: invoke\tStatus: error\tError Type: Runtime.NoSuchHandler",
    ]


async def test_what_is_printed_is_logged_between_start_and_end(provided: World) -> None:
    version = custom(
        provided,
        """
        from lambda_client import *
        while True:
            one = next_one()
            print("here I am", flush=True)
            answer(one, 1)
        """,
    )
    await provided.answer(version)
    await provided.log_line(version, "REPORT ")
    lines = [line.split(" ")[0] for line in provided.lines(version)]
    assert lines == ["INIT_START", "START", "here", "END", "REPORT"]


REFUSALS = """
from lambda_client import *

def told(answer):
    return [answer.status, answer.json().get("errorType") if answer.status != 404 else "", answer.body.decode()]

early = told(call("POST", "runtime/invocation/none/response", "1"))
one = next_one()
mine = request_id(one)
again = request_id(next_one())
seen = {
    "early": early,
    "again": again == mine,
    "other": told(call("POST", "runtime/invocation/other/response", "1")),
    "late": told(call("POST", "runtime/init/error", "{}")),
    "nowhere": told(call("GET", "runtime/nowhere")),
    "method": call("PUT", "runtime/invocation/next").status,
    "ping": call("GET", "ping").body.decode(),
    "large": 0,
}
answer(one, seen)
seen["twice"] = told(answer(one, 1))
two = next_one()
answer(two, seen["twice"])
three = next_one()
large = call("POST", f"runtime/invocation/{request_id(three)}/response", b"x" * (6 * 1024 * 1024 + 101))
four = next_one()
answer(four, told(large))
five = next_one()
mode = {"Lambda-Runtime-Function-Response-Mode": "dripping"}
wrong = call("POST", f"runtime/invocation/{request_id(five)}/response", "1", mode)
answer(next_one(), told(wrong))
next_one()
"""


async def test_what_is_out_of_place_is_refused_in_awss_words(provided: World) -> None:
    version = custom(provided, REFUSALS)
    seen = await provided.answer(version)
    assert seen["early"][:2] == seen["other"][:2] == [400, "InvalidRequestID"]
    assert seen["again"] is True
    assert seen["late"][:2] == [403, "InvalidStateTransition"]
    assert "State transition from Running to InitError failed for runtime." in seen["late"][2]
    assert seen["nowhere"] == [404, "", "404 page not found\n"]
    assert (seen["method"], seen["ping"]) == (405, "pong")
    await provided.quiet()
    assert (await provided.answer(version))[:2] == [400, "InvalidRequestID"]
    await provided.quiet()
    failure = await provided.failure(version)
    assert failure["errorType"] == "Function.ResponseSizeTooLarge"
    await provided.quiet()
    assert (await provided.answer(version))[:2] == [413, "RequestEntityTooLarge"]
    await provided.quiet()
    assert await provided.failure(version) == {"errorType": "Runtime.InvalidResponseModeHeader"}
    await provided.quiet()
    assert (await provided.answer(version))[:2] == [400, "InvalidFunctionResponseMode"]


async def test_an_answer_of_six_megabytes_passes(provided: World) -> None:
    version = custom(provided, "from lambda_client import *\nserve(lambda event, _: event * (6 * 1024 * 1024 - 2))\n")
    assert len(await provided.answer(version, "x")) == 6 * 1024 * 1024 - 2


BOOTSTRAPS: list[tuple[dict[str, str], str]] = [
    ({"other": ""}, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
    ({"bootstrap": "echo no interpreter named"}, "exec format error"),
    ({"bootstrap": "#!/no/such/interpreter\n"}, "no such file or directory"),
]


@pytest.mark.parametrize(("files", "message"), BOOTSTRAPS)
async def test_what_cannot_be_executed_is_an_invalid_entry_point(
    provided: World, files: dict[str, str], message: str
) -> None:
    if provided.isolation == "plain" and "interpreter" in files.get("bootstrap", ""):
        pytest.skip("without a sandbox a shell starts it")
    version = provided.version(files=files, runtime="provided.al2", handler="x")
    failure = await provided.failure(version)
    assert failure["errorType"] == "Runtime.InvalidEntrypoint"
    assert failure["errorMessage"].endswith(message)
    assert failure["errorMessage"].startswith("RequestId: 00000000-")
    assert any("Status: error\tError Type: Runtime.InvalidEntrypoint" in line for line in provided.lines(version))


async def test_a_bootstrap_that_may_not_be_executed_is_an_invalid_entry_point(provided: World) -> None:
    version = custom(provided)
    (version.code / "bootstrap").chmod(0o644)
    failure = await provided.failure(version)
    assert failure["errorType"] == "Runtime.InvalidEntrypoint"
    assert failure["errorMessage"].endswith("/bootstrap: permission denied")


async def test_a_layers_bootstrap_serves_a_package_without_one(provided: World) -> None:
    layer = provided.folder({"bootstrap": PYTHON + ECHO, "lambda_client.py": CLIENT})
    version = provided.version(files={"x": ""}, layers=(layer,), runtime="provided.al2023", handler="x")
    assert await provided.answer(version, [1]) == [1]


async def test_a_program_that_ends_ends_the_invocation(provided: World) -> None:
    version = custom(provided, "from lambda_client import *\nnext_one()\nraise SystemExit(3)\n")
    failure = await provided.failure(version)
    assert failure["errorType"] == "Runtime.ExitError"
    assert failure["errorMessage"].endswith("Runtime exited with error: exit status 3")


async def test_a_program_that_ends_before_it_asks_fails_to_start(provided: World) -> None:
    version = custom(provided, "raise SystemExit(0)\n")
    failure = await provided.failure(version)
    assert failure["errorType"] == "Runtime.ExitError"
    assert failure["errorMessage"].endswith("Runtime exited without providing a reason")


async def test_a_program_that_never_answers_times_out(provided: World) -> None:
    source = "from lambda_client import *\nnext_one()\nimport time\ntime.sleep(60)\n"
    failure = await provided.failure(custom(provided, source, timeout_seconds=1))
    assert failure["errorType"] == "Sandbox.Timedout"


async def test_the_answer_does_not_wait_for_what_a_runtime_does_after_it(provided: World) -> None:
    version = custom(
        provided,
        """
        from lambda_client import *
        import pathlib, time
        while True:
            one = next_one()
            answer(one, 1)
            go_on = pathlib.Path(json.loads(one.body))
            while not go_on.exists():
                time.sleep(0.01)
        """,
    )
    flag = "/tmp/go-on"
    outcome = await provided.invoke(version, flag)
    assert outcome.payload == b"1"
    assert not [line for line in provided.lines(version) if line.startswith("END")]
    other = await provided.invoke(version, "/")  # the first instance is still busy, so another one answers
    assert other.payload == b"1"
    assert len({stream for group, stream, _ in provided.logs.events if group == version.log_group}) == 2
    await provided.agent.retire(version.arn)


STREAM = """
from lambda_client import *
import base64, socket

def stream(one, parts, trailers=""):
    host, port = API.split(":")
    raw = socket.create_connection((host, int(port)))
    raw.sendall(
        f"POST /2018-06-01/runtime/invocation/{request_id(one)}/response HTTP/1.1\\r\\nHost: {API}\\r\\n"
        "Content-Type: text/mine\\r\\nLambda-Runtime-Function-Response-Mode: streaming\\r\\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n"
        "Transfer-Encoding: chunked\\r\\n\\r\\n".encode()
    )
    for part in parts:
        raw.sendall(b"%x\\r\\n%s\\r\\n" % (len(part), part))
    if trailers is None:
        raw.close()
        return
    raw.sendall(b"0\\r\\n" + trailers.encode() + b"\\r\\n")
    assert raw.recv(100).startswith(b"HTTP/1.1 202")

while True:
    one = next_one()
    how = json.loads(one.body)
    if how == "fail":
        body = base64.b64encode(b'{"errorType": "Late", "errorMessage": "midway"}').decode()
        stream(one, [b"some"], "Lambda-Runtime-Function-Error-Type: Function.Late\\r\\n"
                               f"Lambda-Runtime-Function-Error-Body: {body}\\r\\n")
    elif how == "break":
        stream(one, [b"some"], None)
    else:
        stream(one, [b"a" * 1000] * how)
"""


async def test_an_answer_is_streamed_as_it_is_made(provided: World) -> None:
    version, sink = custom(provided, STREAM), Sink()
    outcome = await provided.invoke(version, 3, sink=sink)
    assert (outcome.payload, outcome.function_error) == (b"", "")
    assert (sink.content_type, sink.data) == ("text/mine", b"a" * 3000)


async def test_a_stream_waits_for_a_slow_reader(provided: World) -> None:
    version, sink = custom(provided, STREAM), Sink()
    invoking = asyncio.ensure_future(provided.invoke(version, 1000, sink=sink))
    await provided.settled(lambda: sink.untaken >= WINDOW_BYTES)
    assert len(sink.data) == WINDOW_BYTES
    while not invoking.done():
        sink.take()
        await asyncio.sleep(0)
    assert len(sink.data) == 1_000_000
    assert not (await invoking).function_error


async def test_a_stream_is_kept_together_for_who_asked_for_one_answer(provided: World) -> None:
    outcome = await provided.invoke(custom(provided, STREAM), 2)
    assert outcome.payload == b"a" * 2000


async def test_a_stream_that_fails_midway_says_so_in_its_trailers(provided: World) -> None:
    version, sink = custom(provided, STREAM), Sink()
    outcome = await provided.invoke(version, "fail", sink=sink)
    assert sink.data == b"some"
    assert outcome.function_error == "Unhandled"
    assert json.loads(outcome.payload) == {"errorType": "Late", "errorMessage": "midway"}


async def test_a_stream_that_breaks_off_is_an_error(provided: World) -> None:
    version, sink = custom(provided, STREAM), Sink()
    outcome = await provided.invoke(version, "break", sink=sink)
    assert json.loads(outcome.payload) == {"errorType": "Runtime.TruncatedResponse"}


HOSTILE = [
    b"GET /" + b"a" * 700_000,
    b"nonsense\r\n\r\n",
    b"GET /2018-06-01/ping HTTP/1.1\r\n" + b"a: b\r\n" * 120_000,
    b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n" * 20,
    b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 40,
]


async def test_broken_http_ends_that_connection_and_nothing_else(provided: World) -> None:
    version = custom(
        provided,
        f"""
        from lambda_client import *
        import socket
        one = next_one()
        ended = 0
        for request in {HOSTILE!r}:
            host, port = API.split(":")
            raw = socket.create_connection((host, int(port)))
            try:
                raw.sendall(request)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    pass
            except ConnectionError:
                pass
            ended += 1
        answer(one, ended)
        next_one()
        """,
    )
    assert await provided.answer(version) == len(HOSTILE)


@pytest.mark.skipif(sys.platform != "linux", reason="curl and Bourne shells differ elsewhere")
async def test_a_shell_script_is_a_runtime(provided: World) -> None:
    """AWS's tutorial for custom runtimes, in its own way."""
    script = """\
    #!/bin/sh
    set -eu
    while true; do
      HEADERS="$(mktemp)"
      EVENT=$(curl -sS -LD "$HEADERS" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
      ID=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$HEADERS" | tr -d '[:space:]' | cut -d: -f2)
      curl -sS "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$ID/response" -d "Echoing $EVENT"
    done
    """
    version = provided.version(files={"bootstrap": script}, runtime="provided.al2023", handler="x")
    assert (await provided.invoke(version, {"a": 1})).payload == b'Echoing {"a": 1}'


async def test_an_exec_wrapper_may_start_a_runtime_of_its_own_in_place_of_ours(provided: World) -> None:
    """So do web adapters: the function's own server is started, and something beside it asks for invocations."""
    files = {"wrapper": PYTHON + ECHO.replace("event)", "['wrapped', event])"), "lambda_client.py": CLIENT}
    folder = provided.folder({**files, "app.py": ""})
    place = "/var/task/wrapper" if provided.isolation == "namespaces" else f"{folder}/wrapper"
    version = provided.version(code=folder, environment={"AWS_LAMBDA_EXEC_WRAPPER": place})
    assert await provided.answer(version, 1) == ["wrapped", 1]
    await provided.quiet()
    assert await provided.answer(version, 2) == ["wrapped", 2]
