"""Node.js handlers of every kind, with Lambda's context, errors and log lines."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion
from tests.engine.world import World

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
]


def node(world: World, source: str = "", handler: str = "app.handler", **options: Any) -> FunctionVersion:
    files = options.pop("files", None) or {"app.js": source}
    return world.version(files=files, runtime="nodejs20.x", handler=handler, **options)


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
async def test_what_a_handler_may_be(plain: World, files: dict[str, str], handler: str, answer: Any) -> None:
    assert await plain.answer(node(plain, handler=handler, files=files), {"a": 1}) == answer


@pytest.mark.linux
async def test_it_runs_in_a_sandbox(sandboxed: World) -> None:
    if sandboxed.road != "exec":
        pytest.skip("there is one road for Node.js")
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
    assert await sandboxed.answer(version) == [1, "/var/task", "/var/task", False, "http://127.0.0.1:4566", True]
    assert (await sandboxed.answer(version))[0] == 2


async def test_the_context_and_the_environment(plain: World) -> None:
    version = node(
        plain,
        """
        exports.handler = async (event, context) => [
          context.functionName, context.functionVersion, context.memoryLimitInMB, context.awsRequestId,
          context.invokedFunctionArn, context.logGroupName, context.clientContext,
          context.getRemainingTimeInMillis() > 0,
          process.env._HANDLER, process.env.AWS_EXECUTION_ENV, process.env.AWS_REGION, process.env.MINE]""",
        environment={"MINE": "yes"},
    )
    answer = await plain.answer(version, client_context='{"custom": {"a": 1}}')
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
async def test_how_a_handler_fails(plain: World, body: str, error_type: str, message: str) -> None:
    failure = await plain.failure(node(plain, f"exports.handler = {body}"))
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
    plain: World, files: dict[str, str], handler: str, error_type: str, message: str
) -> None:
    failure = await plain.failure(node(plain, handler=handler, files=files))
    assert failure["errorType"] == error_type
    assert failure["errorMessage"].startswith(message)


async def test_an_exit_ends_the_instance(plain: World) -> None:
    version = node(plain, "exports.handler = async (e) => { if (e) process.exit(3); return process.pid }")
    first = await plain.answer(version)
    failure = await plain.failure(version, True)
    assert failure["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in failure["errorMessage"]
    assert await plain.answer(version) != first


async def test_a_callback_waits_for_what_is_under_way_unless_it_need_not(plain: World) -> None:
    source = """
    let done = 0
    exports.handler = (event, context, callback) => {
      if (event === 'ask') return callback(null, done)
      context.callbackWaitsForEmptyEventLoop = event
      setTimeout(() => { done += 1 }, 20)
      callback(null, done)
    }"""
    waits = node(plain, source)
    await plain.answer(waits, True)
    assert await plain.answer(waits, "ask") == 1


async def test_lines_of_the_console(plain: World) -> None:
    version = node(
        plain,
        "console.log('init')\n"
        "exports.handler = async () => {\n"
        "  console.log('a %s', 'b'); console.error('e\\nf'); process.stdout.write('raw\\n') }",
    )
    await plain.answer(version)
    await plain.log_line(version, "raw")
    lines = plain.written(version)
    assert [line.split("\t", 1)[1] for line in lines if line.endswith("init")] == ["undefined\tINFO\tinit"]
    request = "00000000-0000-4000-8000-"
    assert any(
        line.split("\t")[1].startswith(request) and line.endswith("\tINFO\ta b") for line in lines if "\t" in line
    )
    assert any(line.endswith("\tERROR\te\nf") for line in lines)


async def test_an_error_in_the_log(plain: World) -> None:
    version = node(plain, "exports.handler = async () => { const e = new Error('x'); e.code = 'C'; throw e }")
    await plain.failure(version)
    line = await plain.log_line(version, "Invoke Error")
    _, _, level, text = line.split("\t", 3)
    assert (level, text.split("\t")[0]) == ("ERROR", "Invoke Error ")
    told = json.loads(text.split("\t", 1)[1])
    assert (told["errorType"], told["errorMessage"], told["code"], told["stack"][0]) == ("Error", "x", "C", "Error: x")


async def test_json_lines_have_levels(plain: World) -> None:
    version = node(
        plain,
        "exports.handler = async () => { console.debug('no'); console.info({ a: 1 }); console.warn(new Error('w')) }",
        log_format="JSON",
        application_log_level="INFO",
    )
    await plain.answer(version)
    await plain.log_line(version, '"w"')
    lines = [json.loads(line) for line in plain.written(version)]
    assert (lines[0]["level"], lines[0]["message"]) == ("INFO", {"a": 1})
    assert lines[1]["message"]["errorType"] == "Error"
    assert all(line["requestId"].startswith("00000000") for line in lines)


async def test_layers_are_searched(plain: World) -> None:
    layer = plain.folder({"nodejs/node_modules/tool/index.js": "module.exports = 'from a layer'"})
    version = node(plain, "exports.handler = async () => require('tool')", layers=(layer,))
    assert await plain.answer(version) == "from a layer"


async def test_a_streaming_handler_answers_whole_when_asked_at_once(plain: World) -> None:
    source = """exports.handler = awslambda.streamifyResponse(async (event, stream) => {
      stream.write('one '); stream.write('two'); stream.end() })"""
    outcome = await plain.invoke(node(plain, source))
    assert outcome.payload == b"one two"
