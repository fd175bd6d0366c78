"""Ruby handlers of every kind, with Lambda's context, errors and log lines, on each road to them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion
from tests.engine.world import World

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ruby") is None, reason="Ruby is not installed"),
]
REQUEST = "00000000-0000-4000-8000-"


@pytest.fixture(params=[True, False], ids=["spare", "exec"])
def road(request: pytest.FixtureRequest, plain: World) -> Iterator[World]:
    """A world whose Ruby functions start by one road."""
    plain.ruby.force(spares=request.param)
    yield plain
    plain.ruby.force(spares=None)


def ruby(world: World, source: str = "", handler: str = "app.handler", **options: Any) -> FunctionVersion:
    files = options.pop("files", None) or {"app.rb": source}
    return world.version(files=files, **({"runtime": "ruby3.3", "handler": handler} | options))


def quoted(text: str) -> str:
    """As Ruby 3.4 and newer do it."""
    return text.replace("`", "'")


def body(text: str) -> str:
    return f"def handler(event:, context:)\n  {text}\nend\n"


@pytest.mark.parametrize(
    ("files", "handler", "answer"),
    [
        ({"app.rb": body("{ got: event['a'] }")}, "app.handler", {"got": 1}),
        ({"app.rb": "class One\n  def self.process(event:, context:)\n    'class'\n  end\nend"}, "app.One.process",
         "class"),
        ({"app.rb": "module A; class B\n  def self.go(event:, context:)\n    'nested'\n  end\nend; end"},
         "app.A::B.go", "nested"),
        ({"app.rb": "module M\n  module_function\n  def go(**given) = given.keys\nend"}, "app.M.go",
         ["event", "context"]),
        ({"src/inner.rb": body("'deep'")}, "src/inner.handler", "deep"),
        ({"app.rb": "require_relative 'lib'\n" + body("X"), "lib.rb": "X = 'relative'"}, "app.handler", "relative"),
        ({"app.rb": "require 'lib'\n" + body("X"), "lib.rb": "X = 'from the root'"}, "app.handler", "from the root"),
        ({"app.rb": body("StringIO.new('raw')")}, "app.handler", "raw"),
        ({"app.rb": body("nil")}, "app.handler", None),
        ({"app.rb": body("'今日は'")}, "app.handler", "今日は"),
        ({"app.rb": "require 'date'\n" + body("Date.new(2024, 2, 29).next_year.to_s")}, "app.handler", "2025-02-28"),
        ({"app.rb": body("Gem::Version.new('1.10') > Gem::Version.new('1.9')")}, "app.handler", True),
        ({"app.rb": body("[Encoding.default_external.to_s, ENV['LANG'], ENV['LC_CTYPE'], ARGV]")}, "app.handler",
         ["UTF-8", "en_US.UTF-8", None, []]),
        ({"app.rb": body("self.class.name")}, "app.handler", "LambdaHandler"),
        ({"app.rb": "class AwsLambda::Marshaller\n  def self.marshall_request(raw) = raw.body.size\nend\n"
                    + body("event")}, "app.handler", 8),
    ],
)  # fmt: skip
async def test_what_a_handler_may_be(road: World, files: dict[str, str], handler: str, answer: Any) -> None:
    outcome = await road.invoke(ruby(road, handler=handler, files=files), {"a": 1})
    assert not outcome.function_error, outcome.payload
    assert outcome.payload == b"raw" if answer == "raw" else json.loads(outcome.payload) == answer


async def test_the_context_and_the_environment(road: World) -> None:
    version = ruby(
        road,
        body(
            "[context.function_name, context.function_version, context.memory_limit_in_mb, context.aws_request_id, "
            "context.invoked_function_arn, context.log_group_name, context.log_stream_name == "
            "ENV['AWS_LAMBDA_LOG_STREAM_NAME'], context.client_context, context.identity, "
            "context.get_remaining_time_in_millis > 0, context.deadline_ms > 0, "
            "ENV['_HANDLER'], ENV['AWS_EXECUTION_ENV'], ENV['MINE'], ENV['_X_AMZN_TRACE_ID'], Dir.pwd == "
            "ENV['LAMBDA_TASK_ROOT']]"
        ),
        environment={"MINE": "é"},
    )
    answer = await road.answer(version, client_context='{"custom": {"a": 1}}', trace_id="Root=1")
    assert answer[:3] == [version.name, "$LATEST", "256"]
    assert answer[3].startswith(REQUEST)
    assert answer[4:] == [
        version.arn, version.log_group, True, {"custom": {"a": 1}}, None, True, True,
        "app.handler", "AWS_Lambda_ruby3.3", "é", "Root=1", True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error_type", "message"),
    [
        ("raise ArgumentError, 'no'", "Function<ArgumentError>", "no"),
        ("raise 'plain'", "Function<RuntimeError>", "plain"),
        ("nothing_like_it", "Function<NameError>", "undefined local variable or method 'nothing_like_it'"),
        ("nil.upcase", "Function<NoMethodError>", "undefined method 'upcase' for nil"),
        ("exit 3", "Function<SystemExit>", "exit"),
        ("def deep = deep() + 1\n  deep", "Function<SystemStackError>", "stack level too deep"),
        ('"\\xff"', "Function<JSON::GeneratorError>", ""),
    ],
)
async def test_how_a_handler_fails(road: World, text: str, error_type: str, message: str) -> None:
    failure = await road.failure(ruby(road, body(text)))
    assert failure["errorType"] == error_type
    assert quoted(failure["errorMessage"]).startswith(message)
    assert sorted(failure) == ["errorMessage", "errorType", "stackTrace"]


async def test_a_trace_has_the_functions_own_frames_only(road: World) -> None:
    version = ruby(road, "def inner = raise('x')\n\n" + body("inner"))
    trace = (await road.failure(version))["stackTrace"]
    lines = [re.sub("'.*[#.]", "'", quoted(line.removeprefix(f"{version.code}/"))) for line in trace]
    assert lines == ["app.rb:1:in 'inner'", "app.rb:4:in 'handler'"]


@pytest.mark.parametrize(
    ("files", "handler", "error_type", "message"),
    [
        ({"app.rb": ""}, "other.handler", "Init<LoadError>", "cannot load such file -- other"),
        ({"app.rb": "require 'nothing'"}, "app.handler", "Init<LoadError>", "cannot load such file -- nothing"),
        ({"app.rb": "def ("}, "app.handler", "Init<SyntaxError>", ""),
        ({"app.rb": "raise 'at init'"}, "app.handler", "Init<RuntimeError>", "at init"),
        ({"app.rb": "exit 1"}, "app.handler", "Init<SystemExit>", "exit"),
        ({"app.rb": ""}, "app", "Init<ArgumentError>", 'Invalid handler ["app"], must be of form FILENAME.METHOD'),
        ({"app.rb": ""}, "a.b.c.d", "Init<ArgumentError>", 'Invalid handler ["a", "b", "c", "d"]'),
        ({"app.rb": ""}, "app.handler", "Function<NoMethodError>", "undefined method 'handler'"),
        ({"app.rb": ""}, "app.None.handler", "Function<NameError>", "uninitialized constant Kernel::None"),
    ],
)  # fmt: skip
async def test_how_a_file_fails(
    road: World, files: dict[str, str], handler: str, error_type: str, message: str
) -> None:
    failure = await road.failure(ruby(road, handler=handler, files=files))
    assert failure["errorType"] == error_type
    assert quoted(failure["errorMessage"]).startswith(message)


async def test_an_error_keeps_the_instance_and_a_missing_name_ends_it(road: World) -> None:
    version = ruby(road, body("case event when 1 then raise 'x' when 2 then wrong else Process.pid end"))
    first = await road.answer(version)
    await road.failure(version, 1)
    assert await road.answer(version) == first
    await road.failure(version, 2)
    await road.log_line(version, "Critical exception from handler")
    assert await road.answer(version) != first


async def test_a_hard_exit_ends_the_instance(road: World) -> None:
    version = ruby(road, body("event ? exit!(3) : Process.pid"))
    first = await road.answer(version)
    failure = await road.failure(version, 1)
    assert failure["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in failure["errorMessage"]
    assert await road.answer(version) != first


async def test_lines_of_text(road: World) -> None:
    version = ruby(
        road,
        "require 'logger'\nLOG = Logger.new($stdout)\nputs 'init'\n"
        + body(
            "puts \"a\\nb\", ['c']; print 'part'; print \" whole\\nlast\"; p 1; warn 'warned'; $stdout << \"<<\\n\"; "
            "LOG.info(\"one\\ntwo\"); LOG.error(ArgumentError.new('bad')); system('echo native'); nil"
        ),
    )
    await road.answer(version)
    await road.log_line(version, "native")
    lines = road.written(version)
    assert lines[:6] == ["init", "a\nb\nc", "part whole", "last1", "warned", "<<"]
    stamp = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+\]"
    assert re.fullmatch(rf"I, {stamp}  INFO {REQUEST}\d{{12}} -- : one\ntwo", lines[6])
    assert re.match(rf"E, {stamp} ERROR {REQUEST}\d{{12}} -- : bad \(ArgumentError\)", lines[7])


async def test_json_records_have_levels(road: World) -> None:
    version = ruby(
        road,
        "LOG = Logger.new(STDOUT, progname: 'me')\n"
        + body("LOG.info('no'); LOG.warn('yes'); begin; raise 'x'; rescue => e; LOG.error(e); end"),
        log_format="JSON",
        application_log_level="WARN",
    )
    await road.answer(version)
    first, second = (json.loads(line) for line in road.written(version))
    assert (first["level"], first["message"], first["logger"]) == ("WARN", "yes", "me")
    assert first["requestId"].startswith(REQUEST)
    assert (second["errorType"], second["errorMessage"]) == ("RuntimeError", "x")
    assert second["location"].endswith("/app.rb:handler:3")
    assert second["stackTrace"]


async def test_an_error_in_the_log(road: World) -> None:
    version = ruby(road, body("raise ArgumentError, 'no'"))
    await road.failure(version)
    written = road.written(version)
    assert written[0] == "Error raised from handler method"
    assert json.loads(written[1])["errorType"] == "Function<ArgumentError>"


GEM = """Gem::Specification.new do |s|
  s.name = 'tool'
  s.version = '1.2.0'
  s.require_paths = ['lib']
end
"""


@pytest.mark.parametrize("place", ["vendor/bundle/ruby/3.3.0", "layer"])
async def test_gems_and_libraries_are_found(road: World, place: str) -> None:
    prefix = "ruby/gems/3.3.0" if place == "layer" else place
    gem = {f"{prefix}/specifications/tool-1.2.0.gemspec": GEM, f"{prefix}/gems/tool-1.2.0/lib/tool.rb": "TOOL = 'gem'"}
    library = {"ruby/lib/shelf.rb": "SHELF = 'lib'"}
    source = {"app.rb": "require 'tool'\nrequire 'shelf'\n" + body("[TOOL, SHELF, Gem.loaded_specs['tool'].version]")}
    layer = road.folder(library | (gem if place == "layer" else {}))
    files = source | ({} if place == "layer" else gem)
    assert await road.answer(ruby(road, files=files, layers=(layer,))) == ["gem", "lib", "1.2.0"]


async def test_variables_that_only_a_fresh_process_reads(plain: World) -> None:
    options = {"RUBYOPT": "-rset_by_option -W0", "RUBYLIB": ""}
    folder = plain.folder({"set_by_option.rb": "BY = 'option'"})
    version = ruby(plain, body("[BY, $VERBOSE]"), environment=options | {"RUBYLIB": str(folder)})
    assert plain.ruby.sort(version) is None
    assert await plain.answer(version) == ["option", None]


async def test_a_wrapper_may_change_the_environment(plain: World) -> None:
    script = '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n'
    layer = plain.folder({"wrap": script})
    version = ruby(
        plain, body("ENV['WRAPPED']"), environment={"AWS_LAMBDA_EXEC_WRAPPER": str(layer / "wrap")}, layers=(layer,)
    )
    assert await plain.answer(version) == "yes"


@pytest.mark.linux
async def test_it_runs_in_a_sandbox_and_spares_are_taken(sandboxed: World) -> None:
    if sandboxed.road != "exec":
        pytest.skip("Ruby has roads of its own")
    source = body("File.write('/tmp/x', 'y'); [$0, __dir__, Dir.pwd, ENV['AWS_ENDPOINT_URL'], Process.uid > 0, "
                  "ENV['MINE'], File.exist?('/etc/shadow'), ENV['GEM_PATH']]")  # fmt: skip
    seen = []
    for number in range(3):
        version = ruby(sandboxed, source, environment={"MINE": str(number)})
        seen.append(await sandboxed.answer(version))
        sort = sandboxed.ruby.sort(version)
        await sandboxed.settled(lambda sort=sort: sandboxed.agent.spares(sort) > 0)
    gems = "/var/task/vendor/bundle/ruby/3.3.0:/var/task/vendor/bundle/ruby/3.1.0"
    for number, one in enumerate(seen):
        assert one[:-1] == [
            "bootstrap.rb", "/var/task", "/var/task", "http://127.0.0.1:4566", True, str(number), False
        ]  # fmt: skip
        assert one[-1].startswith(gems[: gems.index(":")])


@pytest.mark.parametrize("runtime", ["ruby3.2", "ruby3.4"])
async def test_the_nearest_ruby_serves_and_says_so(plain: World, runtime: str) -> None:
    version = ruby(plain, body("RUBY_VERSION"), runtime=runtime)
    served = await plain.answer(version)
    if not served.startswith(runtime.removeprefix("ruby")):
        assert f"Ruby {served} serves it" in plain.ruby.warnings()[runtime]
