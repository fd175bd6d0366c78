"""The Extensions API: external and internal ones through init, invocations and shutdown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine.company import programs
from pilotlight.engine.contract import ContainerImage, FunctionVersion
from tests.engine.test_provided import CLIENT, ECHO, PYTHON, custom
from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

HELPERS = """
import sys
sys.path.insert(0, "/opt/lib") if os.path.isdir("/opt/lib") else None

def register(name, events, **headers):
    return call("POST", "extension/register", json.dumps({"events": events}),
                {"Lambda-Extension-Name": name, **headers}, version="2020-01-01")

def event(identifier):
    told = call("GET", "extension/event/next", None, {"Lambda-Extension-Identifier": identifier}, version="2020-01-01")
    return told

def report(what, identifier, kind="Extension.Mine"):
    headers = {"Lambda-Extension-Identifier": identifier}
    if kind:
        headers["Lambda-Extension-Function-Error-Type"] = kind
    return call("POST", f"extension/{what}/error", "{}", headers, version="2020-01-01")

def say(*what):
    print(*what, flush=True)
"""
LOOP = """
identifier = register("ext", ["INVOKE", "SHUTDOWN"]).headers["Lambda-Extension-Identifier"]
while True:
    told = event(identifier).json()
    say("ext", json.dumps(told))
    if told["eventType"] == "SHUTDOWN":
        sys.exit(0)
"""
PY = "def handler(event, context):\n    return event\n"
KINDS = ["provided", "python"]


def layer(world: World, **extensions: str) -> Path:
    """A layer with these extensions, each a Python script that has the client at hand."""
    head = PYTHON + "import types, sys\nlambda_client = types.ModuleType('lambda_client')\n"
    head += f"exec({CLIENT!r}, globals())\n" + HELPERS
    return world.folder({f"extensions/{name}": head + source for name, source in extensions.items()})


def function(world: World, kind: str, *layers: Path, **options: Any) -> FunctionVersion:
    if kind == "provided":
        return custom(world, options.pop("source", ECHO), layers=layers, **options)
    return world.version(options.pop("source", PY), layers=layers, **options)


def told(world: World, version: FunctionVersion, name: str = "ext") -> list[dict[str, Any]]:
    return [json.loads(line.partition(" ")[2]) for line in world.lines(version) if line.startswith(f"{name} {{")]


async def end(world: World, version: FunctionVersion) -> None:
    """The version's instances go, as they do after an idle time."""
    await world.quiet()
    await world.agent.retire(version.arn)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_extension_hears_of_each_invocation_and_of_the_end(provided: World, kind: str) -> None:
    version = function(provided, kind, layer(provided, ext=LOOP))
    assert await provided.answer(version, 1, trace_id="Root=1-a;Sampled=1") == 1
    await provided.quiet()
    assert await provided.answer(version, 2) == 2
    await provided.settled(lambda: len(told(provided, version)) == 2)
    first, second = told(provided, version)
    assert first == {
        "eventType": "INVOKE",
        "deadlineMs": first["deadlineMs"],
        "requestId": first["requestId"],
        "invokedFunctionArn": version.arn,
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-a;Sampled=1"},
    }
    assert second["requestId"] != first["requestId"]
    await provided.quiet()
    provided.later(400)
    await provided.settled(lambda: len(told(provided, version)) == 3)
    last = told(provided, version)[2]
    assert (last["eventType"], last["shutdownReason"]) == ("SHUTDOWN", "spindown")
    lines = provided.lines(version)
    assert "EXTENSION\tName: ext\tState: Ready\tEvents: [INVOKE, SHUTDOWN]" in lines
    assert lines.index("EXTENSION\tName: ext\tState: Ready\tEvents: [INVOKE, SHUTDOWN]") < next(
        number for number, line in enumerate(lines) if line.startswith("START")
    )


async def test_registering_tells_of_the_function(provided: World) -> None:
    source = """
answer = register("ext", ["INVOKE"], **{"Lambda-Extension-Accept-Feature": "accountId"})
say("body", answer.status, answer.body.decode())
say("twice", register("ext", []).json()["errorType"])
say("bad", register("ext", ["NEVER"]).json()["errorType"])
say("nameless", register("", []).json()["errorType"])
broken = call("POST", "extension/register", "{", {"Lambda-Extension-Name": "ext"}, "2020-01-01")
say("broken", broken.json()["errorType"])
say("no id", call("GET", "extension/event/next", None, {}, "2020-01-01").json()["errorType"])
say("bad id", event("x").json()["errorType"])
say("no one", event("00000000-0000-0000-0000-000000000000").json()["errorType"])
say("untyped", report("init", answer.headers["Lambda-Extension-Identifier"], "").json()["errorType"])
identifier = answer.headers["Lambda-Extension-Identifier"]
while True:
    event(identifier)
"""
    version = function(provided, "provided", layer(provided, ext=source))
    await provided.answer(version)
    said = dict(line.split(" ", 1) for line in provided.lines(version) if line.startswith("body "))
    assert json.loads(said["body"].removeprefix("200 ")) == {
        "functionName": version.name,
        "functionVersion": "$LATEST",
        "handler": "any.thing",
        "accountId": version.account,
    }
    lines = provided.lines(version)
    for expected in (
        "twice Extension.InvalidExtensionState",
        "bad Extension.InvalidEventType",
        "nameless Extension.InvalidExtensionName",
        "broken InvalidRequestFormat",
        "no id Extension.MissingExtensionIdentifier",
        "bad id Extension.InvalidExtensionIdentifier",
        "no one Extension.UnknownExtensionIdentifier",
        "untyped Extension.MissingHeader",
    ):
        assert expected in lines
    await end(provided, version)


async def test_the_runtime_starts_after_every_extension_has_registered(provided: World) -> None:
    late = "import time\ntime.sleep(0.1)\nsay('registering')\n" + LOOP
    source = "print('runtime', flush=True)\n" + ECHO
    version = function(provided, "provided", layer(provided, ext=late), source=source)
    await provided.answer(version)
    lines = provided.lines(version)
    assert lines.index("registering") < lines.index("runtime")
    await end(provided, version)


async def test_an_extension_does_not_see_what_is_the_runtimes(provided: World) -> None:
    source = "say('names', json.dumps(sorted(os.environ)))\n" + LOOP
    version = function(provided, "provided", layer(provided, ext=source), environment={"MINE": "1"})
    await provided.answer(version)
    line = await provided.log_line(version, "names ")
    names = json.loads(line.removeprefix("names "))
    assert {"MINE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_ACCESS_KEY_ID", "AWS_LAMBDA_RUNTIME_API"} <= set(names)
    assert not {"_HANDLER", "LAMBDA_TASK_ROOT", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_STREAM_NAME"} & set(names)
    await end(provided, version)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_answer_does_not_wait_for_extensions_but_the_report_does(provided: World, kind: str) -> None:
    source = LOOP.replace("    if told", "    import time\n    time.sleep(0.3)\n    if told")
    version = function(provided, kind, layer(provided, ext=source))
    await provided.answer(version, 1)
    assert not [line for line in provided.lines(version) if line.startswith("REPORT")]
    report = await provided.log_line(version, "REPORT ")
    duration = float(report.split("\tDuration: ")[1].split(" ")[0])
    assert duration >= 290
    await end(provided, version)


FAILURES = [
    ("report('init', register('ext', []).headers['Lambda-Extension-Identifier'])\nsys.exit(1)", "Extension.InitError",
     "exit status 1", "InitError"),
    ("report('exit', register('ext', []).headers['Lambda-Extension-Identifier'])\nsys.exit(2)", "Extension.ExitError",
     "exit status 2", "ExitError"),
    ("sys.exit(0)", "Extension.Crash", "exit code 0", "Started"),
    ("os.kill(os.getpid(), 11)", "Extension.Crash", "signal: segmentation fault", "Started"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "error_type", "how", "state"), FAILURES)
async def test_an_extension_that_does_not_start_fails_the_function(
    provided: World, source: str, error_type: str, how: str, state: str
) -> None:
    version = function(provided, "python", layer(provided, ext=source))
    failure = await provided.failure(version)
    assert failure["errorType"] == error_type
    assert failure["errorMessage"].endswith(f"Error: {how}")
    lines = provided.lines(version)
    assert any(line.startswith(f"EXTENSION\tName: ext\tState: {state}") for line in lines)
    assert [line.split("\t")[1:] for line in lines if line.startswith("INIT_REPORT")] == [
        ["Phase: init", "Status: error", f"Error Type: {error_type}"],
        ["Phase: invoke", "Status: error", f"Error Type: {error_type}"],
    ]


async def test_an_extension_that_cannot_be_executed_fails_the_function(provided: World) -> None:
    folder = layer(provided, ext=LOOP)
    (folder / "extensions" / "ext").chmod(0o644)
    failure = await provided.failure(function(provided, "python", folder))
    assert failure["errorType"] == "Extension.LaunchError"
    assert failure["errorMessage"].endswith("/extensions/ext: permission denied")


async def test_an_extension_that_crashes_within_an_invocation_ends_it(provided: World) -> None:
    source = "event(register('ext', ['INVOKE']).headers['Lambda-Extension-Identifier'])\nsys.exit(7)"
    slow = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 1\n"
    version = function(provided, "python", layer(provided, ext=source), source=slow)
    failure = await provided.failure(version, 5)
    assert failure["errorType"] == "Extension.Crash"
    assert failure["errorMessage"].endswith("Error: exit status 7")


async def test_more_than_ten_extensions_are_refused(provided: World) -> None:
    version = function(provided, "python", layer(provided, **{f"ext{number:02}": LOOP for number in range(11)}))
    failure = await provided.failure(version)
    assert failure["errorType"] == "Extension.LaunchError"
    assert "Extension limit (10) reached" in failure["errorMessage"]


async def test_an_extension_that_never_registers_times_init_out(provided: World) -> None:
    version = function(provided, "python", layer(provided, ext="import time\ntime.sleep(60)"), timeout_seconds=1)
    failure = await provided.failure(version)
    assert failure["errorType"] == "Sandbox.Timedout"
    assert any("Status: timeout" in line for line in provided.lines(version) if line.startswith("INIT_REPORT"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_timeout_tells_the_extensions_why_it_ends(provided: World, kind: str) -> None:
    sources = {
        "provided": "from lambda_client import *\nimport time\nnext_one()\ntime.sleep(60)\n",
        "python": "import time\ndef handler(event, context):\n    time.sleep(60)\n",
    }
    version = function(provided, kind, layer(provided, ext=LOOP), source=sources[kind], timeout_seconds=1)
    assert (await provided.failure(version))["errorType"] == "Sandbox.Timedout"
    await provided.settled(lambda: len(told(provided, version)) == 2)
    assert told(provided, version)[1]["shutdownReason"] == "timeout"


async def test_a_runtime_that_exits_tells_the_extensions_of_a_failure(provided: World) -> None:
    source = "import os\ndef handler(event, context):\n    os._exit(1)\n"
    version = function(provided, "python", layer(provided, ext=LOOP), source=source)
    assert (await provided.failure(version))["errorType"] == "Runtime.ExitError"
    await provided.settled(lambda: len(told(provided, version)) == 2)
    assert told(provided, version)[1]["shutdownReason"] == "failure"


async def test_the_runtime_gets_sigterm_where_there_is_an_extension(provided: World) -> None:
    source = (
        """
from lambda_client import *
import signal, sys
def leave(number, frame):
    print("told to go", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
"""
        + ECHO
    )
    version = function(provided, "provided", layer(provided, ext=LOOP), source=source)
    await provided.answer(version)
    await provided.quiet()
    await end(provided, version)
    await provided.log_line(version, "told to go")
    await provided.settled(lambda: len(told(provided, version)) == 2)


async def test_what_does_not_go_is_killed_at_the_deadline(provided: World) -> None:
    source = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
identifier = register("ext", ["INVOKE", "SHUTDOWN"]).headers["Lambda-Extension-Identifier"]
while True:
    told = event(identifier).json()
    say("ext", json.dumps(told | {"now": time.time() * 1000}))
    if told["eventType"] == "SHUTDOWN":
        time.sleep(60)
"""
    version = function(provided, "provided", layer(provided, ext=source))
    await provided.answer(version)
    loop = asyncio.get_running_loop()
    began = loop.time()
    instances = [one for one in provided.agent._all if one.version.key == version.key]
    await instances[0].end()
    assert 1.8 < loop.time() - began < 6
    last = told(provided, version)[-1]
    moved_ms = provided.clock.ahead_seconds * 1000
    assert 0 < last["deadlineMs"] - moved_ms - last["now"] <= 2001


async def test_an_internal_extension_hears_of_invocations(provided: World) -> None:
    source = """
from lambda_client import *
import http.client, threading

def extension():
    line = http.client.HTTPConnection(API)
    def ask(method, path, body=None, **headers):
        line.request(method, "/2020-01-01/extension/" + path, body=body, headers=headers)
        answer = line.getresponse()
        return answer.getheader("Lambda-Extension-Identifier"), json.loads(answer.read())
    name = {"Lambda-Extension-Name": "in"}
    print("refused", ask("POST", "register", '{"events": ["SHUTDOWN"]}', **name)[1], flush=True)
    identifier, _ = ask("POST", "register", '{"events": ["INVOKE"]}', **name)
    started.set()
    while True:
        _, told = ask("GET", "event/next", None, **{"Lambda-Extension-Identifier": identifier})
        print("in", json.dumps(told), flush=True)

started = threading.Event()
threading.Thread(target=extension, daemon=True).start()
started.wait()
serve(lambda event, _: event)
"""
    version = function(provided, "provided", source=source)
    assert await provided.answer(version, 5) == 5
    await provided.settled(lambda: len(told(provided, version, "in")) == 1)
    assert told(provided, version, "in")[0]["eventType"] == "INVOKE"
    assert "EXTENSION\tName: in\tState: Ready\tEvents: [INVOKE]" in provided.lines(version)
    assert any(line.startswith("refused") and "InvalidEventType" in line for line in provided.lines(version))
    await end(provided, version)


async def test_extensions_are_frozen_with_the_function(provided: World) -> None:
    source = (
        """
import threading, time
def tick():
    while True:
        open("/tmp/ticks" if not os.environ.get("TMPDIR") else os.environ["TMPDIR"] + "/ticks", "a").write("x")
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
"""
        + LOOP
    )
    handler = """
import os, tempfile
def handler(event, context):
    return os.path.getsize(tempfile.gettempdir() + "/ticks")
"""
    version = function(provided, "python", layer(provided, ext=source), source=handler)
    await provided.answer(version)
    await provided.log_line(version, "REPORT ")
    provided.later(1)
    before = await provided.answer(version)
    await provided.settled(lambda: len([line for line in provided.lines(version) if line.startswith("REPORT ")]) == 2)
    provided.later(1)
    await asyncio.sleep(0.2)
    after = await provided.answer(version)
    assert after - before < 15
    await end(provided, version)


async def test_an_images_extensions_are_those_that_its_upper_layers_leave(plain: World, tmp_path: Path) -> None:
    lower, upper, hostile = (tmp_path / name for name in ("lower", "upper", "hostile"))
    for layer_root in (lower, upper):
        (layer_root / "opt" / "extensions").mkdir(parents=True)
    for name in ("one", "two"):
        (lower / "opt" / "extensions" / name).write_text("")
    (upper / "opt" / "extensions" / "three").write_text("")
    (upper / "opt" / "extensions" / "one").mkdir()  # stands for a device, which only root makes
    hostile.mkdir()
    (hostile / "opt").symlink_to("/usr")
    image = ContainerImage(
        layers=(lower, upper, hostile), argv=("/a",), working_directory="/", environment={}, digest="sha256:1"
    )
    found = programs(plain.version(ECHO, image=image), isolated=True)
    assert found == ["/opt/extensions/three", "/opt/extensions/two"]
