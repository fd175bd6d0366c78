"""What every language's runtime does alike, as on AWS: one table, and each language's own handlers in `contract/`.

A language shares one version, and so mostly one instance, among all that does not end or change it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from pilotlight.engine.contract import FunctionVersion, Outcome
from tests.engine.contract import Language, languages
from tests.engine.world import INIT_SECONDS, REGION, Isolation, World, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
ISOLATED = sys.platform == "linux" and os.geteuid() == 0
isolated = pytest.mark.skipif(not ISOLATED, reason="sandboxes of namespaces need Linux and root")
MEGABYTE = 1 << 20
PATIENT_SECONDS = 3.0


class Case:
    """A language in a world."""

    def __init__(self, made: World, language: Language) -> None:
        self.world = made
        self.language = language
        self.shared = self.fresh()

    def fresh(self, program: str | None = None, **changes: Any) -> FunctionVersion:
        """A version of its own, for what ends or changes an instance."""
        language = self.language
        settings = {"runtime": language.runtime, "handler": language.handler, "memory_mb": language.memory_mb}
        if language.client is not None:
            settings["layers"] = (language.client(),)
        if language.code is not None:
            chosen = language.select(program) if program is not None else {}
            return self.world.version(**(settings | {"code": language.code()} | chosen | changes))
        source = language.program if program is None else language.at_init[program]
        return self.world.version(files={language.file: source}, **(settings | changes))

    async def do(self, name: str, value: Any = None, **changes: Any) -> Any:
        """What the shared instance's handler answers."""
        return await self.on(self.shared, name, value, **changes)

    async def on(self, version: FunctionVersion, name: str, value: Any = None, **changes: Any) -> Any:
        outcome = await self.outcome(version, name, value, **changes)
        assert not outcome.function_error, outcome.payload
        return json.loads(outcome.payload)

    async def fails(self, version: FunctionVersion, name: str, value: Any = None, **changes: Any) -> dict[str, Any]:
        outcome = await self.outcome(version, name, value, **changes)
        assert outcome.function_error == "Unhandled", outcome.payload
        failure = json.loads(outcome.payload)
        assert isinstance(failure, dict)
        return failure

    async def outcome(self, version: FunctionVersion, name: str, value: Any = None, **changes: Any) -> Outcome:
        """The instance is free again then: a client may ask for the next event some time after its answer."""
        outcome = await self.world.invoke(version, {"do": name, "with": value}, **changes)
        await self.world.quiet()
        return outcome


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def patient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world where what starts slowly has the time."""
    isolation: Isolation = "namespaces" if sys.platform == "linux" else "plain"
    async with world(tmp_path_factory.mktemp("patient"), isolation, None, init_seconds=PATIENT_SECONDS) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=languages(), ids=lambda one: one.name)
async def case(request: pytest.FixtureRequest, anywhere: World, patient: World) -> AsyncIterator[Case]:
    if shutil.which(request.param.executable) is None:
        pytest.skip(f"{request.param.executable} is not installed")
    made = Case(anywhere if request.param.init_seconds == INIT_SECONDS else patient, request.param)
    await made.do("echo")
    yield made


@pytest.fixture(autouse=True)
def _able(request: pytest.FixtureRequest, case: Case) -> None:
    """What a language cannot do is said by its own file."""
    why = case.language.lacks.get(request.node.originalname)
    if why:
        pytest.skip(why)


# Context.


async def test_the_context_says_what_is_invoked(case: Case) -> None:
    told = await case.do("context")
    version = case.shared
    assert re.fullmatch(r"00000000-0000-4000-8000-\d{12}", told["request"])
    assert told["arn"] == version.arn
    assert (told["name"], told["version"], told["memory"]) == (version.name, "$LATEST", str(version.memory_mb))
    assert told["group"] == version.log_group
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", told["stream"])
    assert (told.get("custom"), told.get("identity")) == (None, None)


async def test_the_context_names_the_arn_that_was_invoked(case: Case) -> None:
    arn = f"{case.shared.arn}:live"
    assert (await case.do("context", invoked_arn=arn))["arn"] == arn


async def test_the_context_brings_what_the_client_sent(case: Case) -> None:
    told = await case.do(
        "context",
        client_context='{"custom": {"a": "b"}}',
        cognito_identity='{"cognitoIdentityId": "one", "cognitoIdentityPoolId": "two"}',
    )
    assert (told["custom"], told["identity"]) == ({"a": "b"}, "one")


async def test_letters_beyond_ascii_in_what_the_client_sent(case: Case) -> None:
    assert (await case.do("context", client_context='{"custom": {"a": "é"}}'))["custom"] == {"a": "é"}


async def test_a_context_forgets_the_one_before(case: Case) -> None:
    await case.do("context", client_context='{"custom": {"a": "1"}}')
    assert (await case.do("context")).get("custom") is None


async def test_the_time_that_is_left(case: Case) -> None:
    ahead_ms = int(case.world.clock.ahead_seconds * 1000)  # handlers see the host's own time
    assert 9_000 < await case.do("remaining") - ahead_ms <= 10_000
    soon = case.world.clock.wall_ms() + 2_000
    assert 1_000 < await case.do("remaining", deadline_ms=soon) - ahead_ms <= 2_000


# Environment.


async def test_variables_of_lambda_and_of_the_function(case: Case) -> None:
    version = case.fresh(environment={"MINE": "é=1", "LANG": "de_DE.UTF-8"})
    found = await case.on(version, "environment")
    expected = {
        "_HANDLER": case.language.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{case.language.runtime}" if case.language.managed else None,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ACCESS_KEY_ID": "ASIAONE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "TZ": ":UTC",
        "MINE": "é=1",
        "LANG": "de_DE.UTF-8",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert re.search(r"\[\$LATEST\][0-9a-f]{32}$", found["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert "/opt/lib" in found["LD_LIBRARY_PATH"].split(":")
    assert "/opt/bin" in found["PATH"].split(":")


async def test_defaults_of_the_environment(case: Case) -> None:
    found = await case.do("environment")
    assert (found["LANG"], found["TZ"]) == ("en_US.UTF-8", ":UTC")
    assert found["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
    assert "AWS_LAMBDA_LOG_FORMAT" not in found


async def test_the_format_of_logs_in_the_environment(case: Case) -> None:
    version = case.fresh(log_format="JSON", application_log_level="DEBUG")
    found = await case.on(version, "environment")
    assert (found["AWS_LAMBDA_LOG_FORMAT"], found["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "DEBUG")


async def test_the_trace_is_in_the_environment_while_it_is_invoked(case: Case) -> None:
    found = await case.do("environment", trace_id="Root=1-2-3;Sampled=0")
    assert found["_X_AMZN_TRACE_ID"] == "Root=1-2-3;Sampled=0"
    assert "_X_AMZN_TRACE_ID" not in await case.do("environment")


async def test_the_code_is_where_it_says(case: Case) -> None:
    root = (await case.do("environment"))["LAMBDA_TASK_ROOT"]
    assert await case.do("where") == [root, root]
    assert not ISOLATED or root == "/var/task"


# Events and answers.

VALUES = [
    {"a": {"b": [1, 2.5, None, True]}}, [], {}, [1, [2, [3]]], "text", "", 7, -1.25, 1e300, 2**53 - 1, True, False,
    None, "今日は ünï \U0001f600", {"ключ": "\u2028\u0000\"\\/"}, "line\nline\ttab", [[[[[[[["deep"]]]]]]]],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
async def test_values_go_in_and_come_out_as_they_are(case: Case, value: Any) -> None:
    assert await case.world.answer(case.shared, value) == value


async def test_an_empty_payload_is_an_empty_object(case: Case) -> None:
    assert await case.world.answer(case.shared, payload=b"") == {}


async def test_a_large_event_and_a_large_answer(case: Case) -> None:
    assert len(await case.do("echo", "x" * (6 * MEGABYTE - 100))) == 6 * MEGABYTE - 100
    assert len(await case.do("echo", "é" * MEGABYTE)) == MEGABYTE  # six bytes each where they are written as ASCII
    assert len(await case.do("big", 6 * MEGABYTE - 2)) == 6 * MEGABYTE - 2


async def test_an_answer_that_is_too_large_is_an_error_and_no_more(case: Case) -> None:
    before = await case.do("pid")
    failure = await case.fails(case.shared, "big", 6 * MEGABYTE + 200)
    assert failure["errorType"] == "Function.ResponseSizeTooLarge"
    assert await case.do("pid") == before


# The life of an instance.


async def test_an_instance_is_initialised_once_and_keeps_its_state(case: Case) -> None:
    version = case.fresh()
    first = await case.outcome(version, "count")
    second = await case.outcome(version, "count")
    assert (first.payload, second.payload) == (b"1", b"2")
    assert first.init_ms is not None
    assert first.init_ms > 0
    assert second.init_ms is None
    reports = [line for line in case.world.lines(version) if line.startswith("REPORT ")]
    assert ["Init Duration" in line for line in reports] == [True, False]


async def test_one_instance_has_one_invocation_at_a_time(case: Case) -> None:
    version = case.fresh()
    first, second = await asyncio.gather(case.on(version, "sleep", 0.05), case.on(version, "count"))
    assert (first, second) == (None, 1)
    counts = await asyncio.gather(case.on(version, "count"), case.on(version, "count"))
    assert sorted(counts) == [1, 2]


async def test_what_is_in_tmp_is_kept_while_warm(case: Case) -> None:
    version = case.fresh()
    scratch = "/tmp" if ISOLATED else (await case.on(version, "environment"))["TMPDIR"]
    assert await case.on(version, "write", f"{scratch}/kept") == 1
    assert await case.on(version, "write", f"{scratch}/kept") == 2


async def test_background_work_stops_while_frozen_and_goes_on(case: Case) -> None:
    version = case.fresh()
    await case.on(version, "tick")
    await case.on(version, "sleep", 0.03)
    case.world.later(1)  # frozen now
    before = await case.on(version, "ticks")
    case.world.later(1)
    await asyncio.sleep(0.4)  # it is the absence of work that is looked for: 80 ticks, were it not frozen
    after = await case.on(version, "ticks")
    assert before > 0
    assert after - before < 40
    await case.on(version, "sleep", 0.03)
    assert await case.on(version, "ticks") > after


async def test_an_idle_instance_is_let_go(case: Case) -> None:
    version = case.fresh()
    first = await case.outcome(version, "count")
    case.world.later(301)
    second = await case.outcome(version, "count")
    assert (first.payload, second.payload) == (b"1", b"1")


async def test_a_retired_function_starts_anew(case: Case) -> None:
    version = case.fresh()
    await case.on(version, "count")
    await case.world.agent.retire(version.arn)
    assert await case.on(replace(version, key=f"{version.key}-2"), "count") == 1


# Failures.


async def test_an_error_has_its_type_message_and_trace(case: Case) -> None:
    failure = await case.fails(case.shared, "raise", "bad ünï\nsecond line")
    assert failure["errorType"] == case.language.faults["raise"]
    assert failure["errorMessage"] == "bad ünï\nsecond line"
    assert case.language.file in str(failure[case.language.trace])
    assert "bootstrap" not in str(failure[case.language.trace]) or case.language.name == "node"


async def test_an_error_leaves_the_instance_alive(case: Case) -> None:
    before = await case.do("pid")
    await case.fails(case.shared, "raise", "x")
    assert await case.do("pid") == before


async def test_what_cannot_be_written_as_json(case: Case) -> None:
    failure = await case.fails(case.shared, "unserialisable")
    assert failure["errorType"] == case.language.faults["unserialisable"]


@pytest.mark.parametrize("status", [0, 1, 42])
async def test_an_exit_ends_the_instance_and_says_how(case: Case, status: int) -> None:
    version = case.fresh()
    failure = await case.fails(version, "exit", status)
    how = f"error: exit status {status}" if status else "out providing a reason"
    assert failure["errorType"] == "Runtime.ExitError"
    assert re.fullmatch(rf"RequestId: [0-9a-f-]+ Error: Runtime exited with{' ' if status else ''}{how}",
                        failure["errorMessage"])  # fmt: skip
    assert await case.on(version, "count") == 1


@pytest.mark.parametrize(("number", "name"), [(9, "killed"), (6, "aborted")])
async def test_a_signal_ends_the_instance_and_says_which(case: Case, number: int, name: str) -> None:
    failure = await case.fails(case.fresh(), "signal", number)
    assert failure["errorType"] == "Runtime.ExitError"
    how = case.language.faults.get(name, f"signal: {name}")
    assert failure["errorMessage"].endswith(f"Error: Runtime exited with error: {how}")


@pytest.mark.parametrize("how", ["sleep", "spin"])
async def test_a_time_out_ends_the_instance(case: Case, how: str) -> None:
    version = case.fresh(timeout_seconds=5)
    await case.on(version, "count")
    deadline = case.world.clock.wall_ms() + 100
    failure = await case.fails(version, how, 30, deadline_ms=deadline)
    assert failure["errorType"] == "Sandbox.Timedout"
    assert failure["errorMessage"].endswith("Error: Task timed out after 5.00 seconds")
    assert await case.on(version, "count") == 1


async def test_an_error_while_loading(case: Case) -> None:
    failure = await case.world.failure(case.fresh("raise"))
    assert (failure["errorType"], failure["errorMessage"]) == (case.language.faults["init"], "at init")


async def test_an_exit_while_loading(case: Case) -> None:
    failure = await case.world.failure(case.fresh("exit"))
    assert failure["errorType"] == "Runtime.ExitError"
    assert failure["errorMessage"].endswith("exit status 7")


async def test_loading_that_takes_too_long_is_tried_once_more_with_the_functions_own_time(case: Case) -> None:
    version = case.fresh("hang", timeout_seconds=1)
    failure = await case.world.failure(version)
    assert failure["errorMessage"].endswith("Task timed out after 1.00 seconds")
    reports = [line for line in case.world.lines(version) if line.startswith("INIT_REPORT")]
    assert ["Phase: init" in reports[0], "Phase: invoke" in reports[1]] == [True, True]
    assert float(reports[0].split("Init Duration: ")[1].split()[0]) >= case.language.init_seconds * 1000


@pytest.mark.parametrize(
    ("program", "handler", "fault"),
    [
        ("nothing", None, "handler"),
        ("nothing", "other.handler", "missing"),
        ("module", None, "module"),
        ("syntax", None, "syntax"),
        ("nothing", "nodot", "name"),
    ],
)
async def test_a_handler_that_is_not_there(case: Case, program: str, handler: str | None, fault: str) -> None:
    changes = {"handler": handler} if handler else {}
    if fault not in case.language.faults:
        pytest.skip("what is compiled cannot be wrong in this way")
    failure = await case.world.failure(case.fresh(program, **changes))
    assert failure.get("errorType", "") == case.language.faults[fault]
    assert failure["errorMessage"]


@isolated
async def test_out_of_memory_ends_the_instance(case: Case) -> None:
    if "memory" not in case.world.limits:
        pytest.skip("this host cannot limit memory")
    version = case.fresh(memory_mb=160)
    outcome = await case.outcome(version, "fill")
    failure = json.loads(outcome.payload)
    assert failure["errorType"] == case.language.faults.get("memory", "Runtime.OutOfMemory")
    assert outcome.memory_used_mb == 160
    assert await case.on(version, "count") == 1


# Logs.


async def test_lines_in_their_order(case: Case) -> None:
    version = case.fresh()
    await case.on(version, "print", "mine")
    kinds = [line.split(" ")[0].split("\t")[0] for line in case.world.lines(version)]
    assert kinds[0] == "INIT_START"
    assert kinds[-2:] == ["END", "REPORT"]
    lines = case.world.lines(version)
    loaded, start, mine = (next(i for i, line in enumerate(lines) if part in line)
                           for part in ("loaded", "START RequestId", "mine"))  # fmt: skip
    assert loaded < start < mine < len(lines) - 2


@pytest.mark.parametrize("how", ["print", "error"])
async def test_what_is_printed_is_in_the_log(case: Case, how: str) -> None:
    await case.do(how, f"printed by {how}: ünï \U0001f600")
    assert f"printed by {how}: ünï \U0001f600" in await case.world.log_line(case.shared, f"printed by {how}")


async def test_what_has_no_newline_is_in_the_log_too(case: Case) -> None:
    version = case.fresh()
    await case.on(version, "partial", "no newline")
    await case.world.settled(lambda: case.world.agent.describe()["busy"] == 0)
    case.world.later(1)
    assert await case.world.log_line(version, "no newline")


async def test_what_a_child_process_prints_is_in_the_log(case: Case) -> None:
    await case.do("child", "echo from a child; echo and its errors >&2")
    await case.world.log_line(case.shared, "from a child")
    await case.world.log_line(case.shared, "and its errors")


async def test_bytes_that_are_no_text_are_shown_as_such(case: Case) -> None:
    await case.do("child", r"printf 'broken \377 text\n'")
    assert await case.world.log_line(case.shared, "broken") == "broken \ufffd text"


async def test_an_event_of_the_log_has_its_limit(case: Case) -> None:
    version = case.fresh()
    await case.on(version, "print", "y" * 300_000)

    def written() -> list[str]:
        return [line for line in case.world.written(version) if "yyy" in line]

    await case.world.settled(lambda: sum(part.count("y") for part in written()) == 300_000)
    parts = written()
    assert len(parts) > 1
    assert max(len(part) for part in parts) <= 256 * 1024
    assert sum(part.count("y") for part in parts) == 300_000


async def test_the_tail_of_the_log_comes_with_the_answer(case: Case) -> None:
    outcome = await case.outcome(case.shared, "print", "in the tail")
    tail = outcome.log_tail.decode()
    assert tail.startswith("START RequestId: ")
    assert "in the tail" in tail
    assert "REPORT RequestId: " in tail
    assert len((await case.outcome(case.shared, "print", "z" * 10_000)).log_tail) <= 4096


async def test_an_error_is_in_the_log(case: Case) -> None:
    await case.fails(case.shared, "raise", "told in the log")
    assert await case.world.log_line(case.shared, "told in the log")


async def test_the_report_counts(case: Case) -> None:
    outcome = await case.outcome(case.shared, "sleep", 0.03)
    assert 30 <= outcome.duration_ms < 1000
    assert outcome.billed_ms >= outcome.duration_ms
    assert 0 < outcome.memory_used_mb <= case.shared.memory_mb


async def test_system_lines_as_json(case: Case) -> None:
    version = case.fresh(log_format="JSON")
    await case.on(version, "count")
    types = [json.loads(line)["type"] for line in case.world.lines(version) if '"platform.' in line]
    assert types == ["platform.initStart", "platform.start", "platform.report"]


# The sandbox.


@isolated
async def test_only_tmp_can_be_written(case: Case) -> None:
    places = ["/tmp/x", "/var/task/x", "/opt/x", "/var/runtime/x", "/etc/x", "/x", "/usr/x", "/home/x"]
    assert [await case.do("can", place) for place in places] == [True, *[False] * 7]


@isolated
async def test_what_belongs_to_others_cannot_be_read(case: Case) -> None:
    places = ["/etc/shadow", "/proc/1/environ", "/proc/1/mem", "/dev/mem", "/proc/kcore"]
    assert [await case.do("reads", place) for place in places] == [False] * len(places)


@isolated
async def test_it_is_nobody_with_few_files(case: Case) -> None:
    assert await case.do("user") > 0
    assert await case.do("files") == 1024


@isolated
async def test_only_its_own_code_is_there(case: Case) -> None:
    assert await case.do("listing", "/var/task") == [case.language.file]


@isolated
async def test_instances_do_not_share_tmp(case: Case) -> None:
    one, other = case.fresh(), case.fresh()
    await case.on(one, "write", "/tmp/mine")
    assert "mine" not in await case.on(other, "listing", "/tmp")
