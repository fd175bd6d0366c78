"""Node.js handlers of every kind, with Lambda's context, errors and log lines, on each road to them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.nodes import Nodes
from tests.engine.world import World

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
]


@pytest.fixture(params=[True, False], ids=["spare", "exec"])
def road(request: pytest.FixtureRequest, plain: World) -> Iterator[World]:
    """A world whose Node.js functions start by one road."""
    plain.node.force(spares=request.param)
    yield plain
    plain.node.force(spares=None)


def node(world: World, source: str = "", handler: str = "app.handler", **options: Any) -> FunctionVersion:
    files = options.pop("files", None) or {"app.js": source}
    return world.version(files=files, **({"runtime": "nodejs20.x", "handler": handler} | options))


@pytest.mark.parametrize(
    ("files", "handler", "answer"),
    [
        ({"app.js": "exports.handler = async (event) => ({ got: event.a })"}, "app.handler", {"got": 1}),
        ({"app.js": "exports.handler = (event, context, callback) => callback(null, event.a)"}, "app.handler", 1),
        ({"app.js": "exports.handler = (e, c, done) => { setTimeout(() => done(null, 'late'), 5) }"}, "app.handler",
         "late"),
        ({"app.js": "exports.handler = (event, context) => context.succeed('old')"}, "app.handler", "old"),
        ({"app.js": "exports.handler = () => 'dropped'"}, "app.handler", None),
        ({"app.js": "exports.handler = async () => undefined"}, "app.handler", None),
        ({"app.mjs": "const x = await Promise.resolve(5); export const handler = async () => x"}, "app.handler", 5),
        ({"app.js": "export const handler = async () => import.meta.url.endsWith('app.js')",
          "package.json": '{"type": "module"}'}, "app.handler", True),
        ({"src/inner.cjs": "exports.deep = { er: async () => 'deep' }"}, "src/inner.deep.er", "deep"),
        ({"app.js": "exports.handler = async () => require('./lib').x", "lib.js": "exports.x = 'lib'"}, "app.handler",
         "lib"),
    ],
)  # fmt: skip
async def test_what_a_handler_may_be(road: World, files: dict[str, str], handler: str, answer: Any) -> None:
    assert await road.answer(node(road, handler=handler, files=files), {"a": 1}) == answer


@pytest.mark.linux
async def test_it_runs_in_a_sandbox(sandboxed: World) -> None:
    if sandboxed.road != "exec":
        pytest.skip("Node.js has roads of its own")
    version = node(
        sandboxed,
        """
        const fs = require('fs')
        let count = 0
        exports.handler = async (event, context) => {
          fs.writeFileSync('/tmp/x', 'y')
          let host
          try { fs.readFileSync('/etc/shadow'); host = true } catch { host = false }
          return [++count, process.cwd(), __dirname, host, process.env.AWS_ENDPOINT_URL, process.getuid() > 0]
        }""",
        memory_mb=256,
    )
    again = replace(version, key=f"{version.key}-again", environment={"MINE": "2"})
    for one in (version, again):
        assert await sandboxed.answer(one) == [1, "/var/task", "/var/task", False, "http://127.0.0.1:4566", True]
        assert (await sandboxed.answer(one))[0] == 2
        sort = sandboxed.node.sort(one)
        await sandboxed.settled(lambda sort=sort: sandboxed.agent.spares(sort) > 0)


async def test_the_context_and_the_environment(road: World) -> None:
    version = node(
        road,
        """
        exports.handler = async (event, context) => [
          context.functionName, context.functionVersion, context.memoryLimitInMB, context.awsRequestId,
          context.invokedFunctionArn, context.logGroupName, context.clientContext,
          context.getRemainingTimeInMillis() > 0,
          process.env._HANDLER, process.env.AWS_EXECUTION_ENV, process.env.AWS_REGION, process.env.MINE]""",
        environment={"MINE": "yes"},
    )
    answer = await road.answer(version, client_context='{"custom": {"a": 1}}')
    assert answer[0:3] == [version.name, "$LATEST", "256"]
    assert answer[4:8] == [version.arn, version.log_group, {"custom": {"a": 1}}, True]
    assert answer[8:] == ["app.handler", "AWS_Lambda_nodejs20.x", version.region, "yes"]


@pytest.mark.parametrize(
    ("body", "error_type", "message"),
    [
        ("async () => { throw new TypeError('no') }", "TypeError", "no"),
        ("async () => { throw 'text' }", "string", "text"),
        ("(e, c, done) => done(new Error('called'))", "Error", "called"),
        ("(e, c, done) => done('plain')", "string", "plain"),
        ("() => { throw new RangeError('now') }", "RangeError", "now"),
        ("async () => { const a = {}; a.a = a; return a }", "Error", "Unable to stringify response body"),
        ("() => { setTimeout(() => { throw new Error('later') }, 1) }", "Error", "later"),
        ("() => { Promise.reject(new Error('lost')) }", "Runtime.UnhandledPromiseRejection", "Error: lost"),
    ],
)
async def test_how_a_handler_fails(road: World, body: str, error_type: str, message: str) -> None:
    failure = await road.failure(node(road, f"exports.handler = {body}"))
    assert (failure["errorType"], failure["errorMessage"]) == (error_type, message)
    assert isinstance(failure["trace"], list)
    assert "requestId" not in failure


@pytest.mark.parametrize(
    ("files", "handler", "error_type", "message"),
    [
        ({"app.js": ""}, "app.handler", "Runtime.HandlerNotFound", "app.handler is undefined or not exported"),
        ({"app.js": "exports.handler = 5"}, "app.handler", "Runtime.HandlerNotFound", "app.handler is not a function"),
        ({"app.js": ""}, "other.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'other'"),
        ({"app.js": "require('nothing')"}, "app.handler", "Runtime.ImportModuleError",
         "Error: Cannot find module 'nothing'"),
        ({"app.js": "exports.handler = ("}, "app.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ({"app.js": ""}, "../app.handler", "Runtime.MalformedHandlerName",
         "'../app.handler' is not a valid handler name."),
        ({"app.js": ""}, "app", "Runtime.MalformedHandlerName", "Bad handler"),
        ({"app.js": "throw new Error('at init')"}, "app.handler", "Error", "at init"),
    ],
)  # fmt: skip
async def test_how_a_module_fails(
    road: World, files: dict[str, str], handler: str, error_type: str, message: str
) -> None:
    failure = await road.failure(node(road, handler=handler, files=files))
    assert failure["errorType"] == error_type
    assert failure["errorMessage"].startswith(message)


async def test_an_exit_ends_the_instance(road: World) -> None:
    version = node(road, "exports.handler = async (e) => { if (e) process.exit(3); return process.pid }")
    first = await road.answer(version)
    failure = await road.failure(version, True)
    assert failure["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in failure["errorMessage"]
    assert await road.answer(version) != first


async def test_a_callback_waits_for_what_is_under_way_unless_it_need_not(road: World) -> None:
    source = """
    let done = 0
    exports.handler = (event, context, callback) => {
      if (event === 'ask') return callback(null, done)
      context.callbackWaitsForEmptyEventLoop = event
      setTimeout(() => { done += 1 }, 20)
      callback(null, done)
    }"""
    waits = node(road, source)
    await road.answer(waits, True)
    assert await road.answer(waits, "ask") == 1


async def test_lines_of_the_console(road: World) -> None:
    version = node(
        road,
        "console.log('init')\n"
        "exports.handler = async () => {\n"
        "  console.log('a %s', 'b'); console.error('e\\nf'); process.stdout.write('raw\\n') }",
    )
    await road.answer(version)
    await road.log_line(version, "raw")
    lines = road.written(version)
    assert [line.split("\t", 1)[1] for line in lines if line.endswith("init")] == ["undefined\tINFO\tinit"]
    request = "00000000-0000-4000-8000-"
    assert any(
        line.split("\t")[1].startswith(request) and line.endswith("\tINFO\ta b") for line in lines if "\t" in line
    )
    assert any(line.endswith("\tERROR\te\nf") for line in lines)


async def test_an_error_in_the_log(road: World) -> None:
    version = node(road, "exports.handler = async () => { const e = new Error('x'); e.code = 'C'; throw e }")
    await road.failure(version)
    line = await road.log_line(version, "Invoke Error")
    _, _, level, text = line.split("\t", 3)
    assert (level, text.split("\t")[0]) == ("ERROR", "Invoke Error ")
    told = json.loads(text.split("\t", 1)[1])
    assert (told["errorType"], told["errorMessage"], told["code"], told["stack"][0]) == ("Error", "x", "C", "Error: x")


async def test_json_lines_have_levels(road: World) -> None:
    version = node(
        road,
        "exports.handler = async () => { console.debug('no'); console.info({ a: 1 }); console.warn(new Error('w')) }",
        log_format="JSON",
        application_log_level="INFO",
    )
    await road.answer(version)
    await road.log_line(version, '"w"')
    lines = [json.loads(line) for line in road.written(version)]
    assert (lines[0]["level"], lines[0]["message"]) == ("INFO", {"a": 1})
    assert lines[1]["message"]["errorType"] == "Error"
    assert all(line["requestId"].startswith("00000000") for line in lines)


async def test_layers_are_searched(road: World) -> None:
    layer = road.folder({"nodejs/node_modules/tool/index.js": "module.exports = 'from a layer'"})
    version = node(road, "exports.handler = async () => require('tool')", layers=(layer,))
    assert await road.answer(version) == "from a layer"


async def test_a_streaming_handler_answers_whole_when_asked_at_once(road: World) -> None:
    source = """exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      stream.write('one '); stream.write('two'); stream.end() })"""
    outcome = await road.invoke(node(road, source))
    assert outcome.payload == b"one two"


async def test_an_async_handler_that_never_settles_is_told_so(road: World) -> None:
    version = node(road, "exports.handler = async (e) => e ? new Promise(() => {}) : process.pid")
    first = await road.answer(version)
    failure = await road.failure(version, True)
    assert failure["errorType"] == "Runtime.NodeJsExit"
    assert "a Promise that was never settled" in failure["errorMessage"]
    assert await road.answer(version) == first


async def test_a_promise_of_a_plain_function_that_never_settles_answers_nothing(road: World) -> None:
    assert await road.answer(node(road, "exports.handler = () => new Promise(() => {})")) is None


async def test_timers_and_sockets_hold_an_async_handler(road: World) -> None:
    source = "exports.handler = async () => { await new Promise((done) => setTimeout(done, 30)); return 'late' }"
    assert await road.answer(node(road, source)) == "late"


async def test_what_an_es_module_misses_is_reported_as_it_is_thrown(road: World) -> None:
    failure = await road.failure(node(road, files={"app.mjs": "import 'nothing'; export const handler = 1"}))
    assert failure["errorType"] == "Error"
    assert failure["errorMessage"].startswith("Cannot find package 'nothing' imported from ")


async def test_es_modules_do_not_look_into_layers(road: World) -> None:
    layer = road.folder({"nodejs/node_modules/tool/index.js": "module.exports = 'from a layer'"})
    files = {"app.mjs": "import { createRequire } from 'module'\nlet found\n"
                        "try { await import('tool'); found = true } catch { found = false }\n"
                        "const require = createRequire(import.meta.url)\n"
                        "export const handler = async () => [found, require('tool')]"}  # fmt: skip
    assert await road.answer(node(road, files=files, layers=(layer,))) == [False, "from a layer"]


async def test_an_error_in_the_json_log(road: World) -> None:
    version = node(
        road,
        "exports.handler = async () => { const e = new RangeError('x'); e.code = 'C'; throw e }",
        log_format="JSON",
    )
    await road.failure(version)
    line = json.loads(next(line for line in road.written(version)))
    told = line["message"]
    assert (line["level"], told["errorType"], told["errorMessage"], told["code"]) == ("ERROR", "RangeError", "x", "C")
    assert told["stackTrace"][0] == "RangeError: x"


async def test_functions_with_json_logs_see_their_settings(road: World) -> None:
    source = "exports.handler = async () => [process.env.AWS_LAMBDA_LOG_FORMAT, process.env.AWS_LAMBDA_LOG_LEVEL]"
    assert await road.answer(node(road, source, log_format="JSON", application_log_level="WARN")) == ["JSON", "WARN"]
    assert await road.answer(node(road, source)) == [None, None]


async def test_a_heap_that_fits_and_a_collector_that_can_be_called(road: World) -> None:
    source = (
        "exports.handler = async () => "
        "[typeof gc, process.execArgv.filter((one) => one.includes('space')), process.argv.length]"
    )
    flags = ["--max-semi-space-size=6", "--max-old-space-size=115"]
    assert await road.answer(node(road, source, memory_mb=128)) == ["function", flags, 1]


async def test_nothing_of_a_spares_own_environment_is_left(road: World) -> None:
    source = "exports.handler = async () => Object.keys(process.env).sort()"
    version = node(road, source, environment={"MINE": "1", "NODE_ENV": "production"})
    found = await road.answer(version)
    assert {"MINE", "NODE_ENV", "PATH", "LD_LIBRARY_PATH", "NODE_PATH", "AWS_SESSION_TOKEN"} <= set(found)
    assert {"HOME", "PWD", "OLDPWD"}.isdisjoint(found)


@pytest.mark.parametrize(
    "name", ["NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "LD_PRELOAD", "LC_ALL", "UV_THREADPOOL_SIZE", "TZ"]
)
async def test_variables_that_only_a_fresh_process_reads(road: World, name: str) -> None:
    road.node.force(spares=None)
    assert road.node.sort(node(road, "", environment={name: "x"})) is None
    assert road.node.sort(node(road, "", environment={"NODE_ENV": "x", "MINE": "y", "NODE_PATH": "z"})) is not None


async def test_node_options_and_a_wrapper_reach_the_process(road: World) -> None:
    layer = road.folder({"wrap": '#!/bin/sh\nexport WRAPPED=yes\nexec "$@" \n', "first.cjs": "globalThis.first = 1"})
    environment = {"AWS_LAMBDA_EXEC_WRAPPER": str(layer / "wrap"), "NODE_OPTIONS": f"--require {layer / 'first.cjs'}"}
    version = node(
        road, "exports.handler = async () => [first, process.env.WRAPPED]", environment=environment, layers=(layer,)
    )
    assert await road.answer(version) == [1, "yes"]


async def test_an_own_node_path_wins(road: World) -> None:
    shelf = road.folder({"tool/index.js": "module.exports = 'mine'"})
    version = node(road, "exports.handler = async () => require('tool')", environment={"NODE_PATH": str(shelf)})
    assert await road.answer(version) == "mine"


async def test_lambda_turns_experiments_off_unless_asked(road: World) -> None:
    if 22 not in Nodes(strict=False).found():
        pytest.skip("Node.js 22 is not installed")
    files = {"app.js": "exports.handler = async () => require('./module.mjs').x", "module.mjs": "export const x = 5"}
    failure = await road.failure(node(road, files=files, runtime="nodejs22.x"))
    assert "require() of ES Module" in failure["errorMessage"]
    asked = node(road, files=files, runtime="nodejs22.x", environment={"NODE_OPTIONS": "--experimental-require-module"})
    assert await road.answer(asked) == 5


MODERN = [
    ("(event, context) => event", 1),
    ("async (event, context) => [context.callbackWaitsForEmptyEventLoop, typeof context.done]", [None, "undefined"]),
    ("(event, context) => { setTimeout(() => {}, 60_000) }", None),
    ("(event, context) => { context.callbackWaitsForEmptyEventLoop = false; return Promise.resolve(2) }", 2),
]


@pytest.mark.parametrize(("body", "answer"), MODERN)
async def test_from_node_24_on_there_are_no_callbacks(road: World, body: str, answer: Any) -> None:
    assert await road.answer(node(road, f"exports.handler = {body}", runtime="nodejs24.x"), 1) == answer


async def test_from_node_24_on_a_callback_handler_is_refused(road: World) -> None:
    version = node(road, "exports.handler = (event, context, callback) => callback(null, 1)", runtime="nodejs24.x")
    failure = await road.failure(version)
    assert failure["errorType"] == "Runtime.CallbackHandlerDeprecated"
    assert "removed support for callback-based function handlers" in failure["errorMessage"]
    files = {"app.js": "module.exports = { default: { handler: async () => 'default' } }"}
    assert await road.answer(node(road, files=files, runtime="nodejs24.x")) == "default"
    circle = node(road, "exports.handler = async () => { const a = {}; a.a = a; return a }", runtime="nodejs24.x")
    assert (await road.failure(circle))["errorType"] == "Runtime.JSONStringifyError"
