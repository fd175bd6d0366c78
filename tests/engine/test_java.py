"""Java handlers of every kind, with Lambda's context, errors and log lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtimes.jvms import Jvms
from tests.engine.conftest import needs_linux
from tests.engine.java import compiled, jar, java
from tests.engine.java_handlers import HANDLERS
from tests.engine.world import World, world

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed: there is nothing to test with"),
    pytest.mark.skipif(not Jvms(strict=False).found(), reason="no Java of 17 or newer is installed"),
]
INIT_SECONDS = 20.0


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One package with the handlers of all tests."""
    return compiled(tmp_path_factory.mktemp("java-code") / "code", HANDLERS)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("java"), "plain", "exec", init_seconds=INIT_SECONDS) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[pytest.param("namespaces", marks=needs_linux)])
async def sandboxed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("javas"), request.param, "exec", init_seconds=INIT_SECONDS) as made:
        yield made


@pytest.mark.parametrize(
    ("handler", "event", "answer"),
    [
        ("kinds.OfStrings", "a", "a!"),
        ("kinds.OfPojos", {"name": "Ann", "ages": [1, 2], "URL": "u", "extra": 1, "inner": {"on": True}},
         {"name": "Ann", "ages": [1, 2], "URL": "u", "inner": {"on": True, "open": 1, "public": 5}, "total": 3}),
        ("kinds.OfRecords", {"x": 2, "y": "three"}, {"x": 3, "y": "three"}),
        ("kinds.OfLists", [1, 2.5, "x"], ["Integer", "Double", "String"]),
        ("kinds.OfStreams", {"a": 1}, {"echo": {"a": 1}}),
        ("kinds.Inherited", {"name": "Bob"}, "Bob"),
        ("kinds.Methods::number", 20, 21),
        ("kinds.Methods::number", "20", 21),
        ("kinds.Methods::fixed", None, 7),
        ("kinds.Methods::nothing", {"a": 1}, None),
        ("kinds.Methods::contextOnly", None, True),
        ("kinds.Methods::upper", "a", "A"),
        ("kinds.Methods::map", {"a": {"name": "x"}}, {"a": "x"}),
        ("kinds.Methods::stream", "q", "q"),
        ("kinds.Methods::inOnly", "q", None),
        ("kinds.Methods::overloaded", "text", "with context: text"),
        ("kinds.Methods::tooLong", 3, "two"),
        ("kinds.Methods::nulls", {}, {"map": {"kept": 1}}),
        ("kinds.Methods::dates", {"date": 1000, "instant": "2024-01-02T03:04:05Z", "day": "2024-01-02"},
         {"date": 1000, "instant": 1704164645.0, "day": [2024, 1, 2]}),
        ("kinds.Methods::bytes", "aGk=", "aGk="),
        ("kinds.Methods::color", "GREEN", "GREEN"),
        ("kinds.Methods::color", "PINK", None),
        ("kinds.Methods::single", "alone", ["alone"]),
    ],
)  # fmt: skip
async def test_what_a_handler_may_be(plain: World, code: Path, handler: str, event: Any, answer: Any) -> None:
    assert await plain.answer(java(plain, code, handler), event) == answer


async def test_it_runs_in_a_sandbox(sandboxed: World, code: Path) -> None:
    version = java(sandboxed, code, "kinds.Sandbox::handleRequest")
    assert await sandboxed.answer(version) == [
        1,
        "/var/task",
        "file:/var/task/",
        False,
        "http://127.0.0.1:4566",
        "/tmp",
    ]
    assert (await sandboxed.answer(version))[0] == 2


async def test_the_context_and_the_environment(plain: World, code: Path) -> None:
    version = java(plain, code, "kinds.Telling", environment={"MINE": "yes"})
    sent = {"custom": {"a": "1"}, "client": {"app_title": "t"}, "env": {"e": "2"}}
    answer = await plain.answer(
        version,
        client_context=json.dumps(sent),
        trace_id="Root=1-2-3",
        cognito_identity='{"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}',
    )
    assert answer == {
        "function": version.name, "version": "$LATEST", "memory": 512, "arn": version.arn,
        "group": version.log_group, "custom": {"a": "1"}, "title": "t", "env": {"e": "2"}, "identity": "i/p",
        "remaining": True, "trace": "Root=1-2-3", "handler": "kinds.Telling", "execution": "AWS_Lambda_java17",
        "region": version.region, "mine": "yes", "logger": True,
    }  # fmt: skip
    assert "trace" not in await plain.answer(version)


QUEUE = {"Records": [{"body": "b", "eventSourceARN": "a"}]}
BUCKET = {"Records": [{"awsRegion": "r", "responseElements": {"x-amz-id-2": "i"}}]}
KEYS = {"a": {"S": "s"}, "b": {"BOOL": True}, "c": {"NULL": True}, "d": {"B": "aGk="}}
TABLE = {"Records": [{"dynamodb": {"ApproximateCreationDateTime": 1600000000.0, "Keys": KEYS}}]}


# AWS: aws-lambda-java-serialization spells these classes' members as the events do, and reads their dates as seconds.
@pytest.mark.parametrize(
    ("method", "event", "answer"),
    [
        ("queue", QUEUE, QUEUE),
        ("bucket", BUCKET, BUCKET),
        ("table", TABLE, TABLE),
        ("moment", TABLE, 1_600_000_000_000),
    ],
)
async def test_events_are_spelled_as_they_come(plain: World, code: Path, method: str, event: Any, answer: Any) -> None:
    assert await plain.answer(java(plain, code, f"kinds.OfEvents::{method}"), event) == answer


@pytest.mark.parametrize(
    ("handler", "event", "error_type", "message", "first"),
    [
        ("fails.Throwing", "checked", "java.io.IOException", "no", "fails.Throwing.handleRequest(Throwing.java:"),
        ("fails.Throwing", "bare", "java.lang.IllegalStateException", "java.lang.IllegalStateException",
         "fails.Throwing.handleRequest(Throwing.java:"),
        ("fails.Throwing", "error", "java.lang.StackOverflowError", "deep", "fails.Throwing.handleRequest("),
        ("fails.Throwing", "inner", "fails.Throwing$Own", "own", "fails.Throwing.handleRequest("),
        ("fails.Throwing", {"an": "object"}, "java.lang.RuntimeException",
         "An error occurred during JSON parsing", None),
        ("fails.Throwing", "cycle", "java.lang.RuntimeException",
         "An error occurred during JSON serialization of response", None),
    ],
)  # fmt: skip
async def test_how_a_handler_fails(
    plain: World, code: Path, handler: str, event: Any, error_type: str, message: str, first: str | None
) -> None:
    failure = await plain.failure(java(plain, code, handler), event)
    assert set(failure) == {"errorMessage", "errorType", "stackTrace"}
    assert (failure["errorType"], failure["errorMessage"]) == (error_type, message)
    assert failure["stackTrace"][0].startswith(first) if first else failure["stackTrace"] == []
    assert not any("pilotlight" in line for line in failure["stackTrace"])


async def test_bytes_that_are_no_json_are_an_error_and_the_instance_goes_on(plain: World, code: Path) -> None:
    version = java(plain, code, "kinds.OfStrings")
    for payload in (b"{", b"", b'"a', b"nul", b"[1,", b"\xff"):
        assert (await plain.failure(version, payload=payload))["errorType"] == "java.lang.RuntimeException", payload
    assert await plain.answer(version, "a") == "a!"
    assert sum(line.startswith("INIT_START") for line in plain.lines(version)) == 1


# AWS: what cannot be found is told at each invocation, in an answer without a stack trace.
@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("no.Such", {"errorMessage": "Class not found: no.Such", "errorType": "java.lang.ClassNotFoundException"}),
        ("", {"errorMessage": "Invalid handler: `'"}),
        ("kinds.Methods::", {"errorMessage": "Invalid handler: `kinds.Methods::'"}),
        ("kinds.Methods", {"errorMessage":
         "Class does not implement an appropriate handler interface: kinds.Methods"}),
        ("kinds.Methods::missing", {"errorMessage":
         "No public method named missing with appropriate method signature found on class kinds.Methods"}),
        ("fails.NoConstructor", {"errorMessage":
         "Class fails.NoConstructor has no public zero-argument constructor", "errorType": "java.lang.Exception"}),
        ("fails.Outer$Inner", {"errorMessage":
         "Class fails.Outer$Inner cannot be instantiated because it is a non-static inner class",
         "errorType": "java.lang.Exception"}),
        ("fails.Raw", {"errorMessage":
         "Class fails.Raw does not implement RequestHandler with concrete type parameters"}),
    ],
)  # fmt: skip
async def test_a_handler_that_is_none(plain: World, code: Path, handler: str, expected: dict[str, str]) -> None:
    version = java(plain, code, handler)
    assert await plain.failure(version) == expected
    assert not any("INIT_REPORT" in line for line in plain.lines(version))


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("fails.StaticInit", {"errorMessage": "Error loading class fails.StaticInit",
                              "errorType": "java.lang.ExceptionInInitializerError"}),
        ("fails.Constructor", {"errorMessage": "at init", "errorType": "java.lang.IllegalArgumentException"}),
    ],
)  # fmt: skip
async def test_an_init_that_fails(plain: World, code: Path, handler: str, expected: dict[str, str]) -> None:
    version = java(plain, code, handler)
    assert await plain.failure(version) == expected
    lines = plain.lines(version)
    assert any(f"Phase: init\tStatus: error\tError Type: {expected['errorType']}" in line for line in lines)
    assert any("at init" in line and f": {expected['errorType']}\n" in line for line in lines)


async def test_an_exit_ends_the_instance(plain: World, code: Path) -> None:
    version = java(plain, code, "fails.Exiting")
    first = await plain.answer(version, "go on")
    failure = await plain.failure(version, "exit")
    assert failure["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in failure["errorMessage"]
    assert await plain.answer(version, "go on") != first


async def test_a_full_heap_is_told_and_ends_the_instance(plain: World, code: Path) -> None:
    version = java(plain, code, "fails.Exiting", memory_mb=128)
    first = await plain.answer(version, "go on")
    failure = await plain.failure(version, "fill")
    assert (failure["errorType"], failure["errorMessage"]) == ("java.lang.OutOfMemoryError", "Java heap space")
    assert await plain.answer(version, "go on") != first


async def test_lines_of_the_log(plain: World, code: Path) -> None:
    version = java(plain, code, "logs.Logging::handleRequest")
    await plain.answer(version)
    await plain.log_line(version, "past java")
    lines = [line for line in plain.written(version) if line != "past java"]
    assert lines == [
        "at init",
        "out",
        "err",
        "in parts",
        "one\nevent",
        "bytes",
        "static",
        "[WARN] levelled",
        "no newline",
    ]


async def test_an_error_in_the_log(plain: World, code: Path) -> None:
    version = java(plain, code, "fails.Throwing")
    await plain.failure(version, "caused")
    line = await plain.log_line(version, "outer")
    assert line.startswith("outer: java.lang.RuntimeException\njava.lang.RuntimeException: outer\n\tat fails.Throwing.")
    assert "\nCaused by: java.lang.IllegalStateException: why\n" in line
    assert "pilotlight" not in line


async def test_json_lines_have_levels(plain: World, code: Path) -> None:
    version = java(plain, code, "logs.Levels::handleRequest", log_format="JSON", application_log_level="WARN")
    await plain.failure(version)
    await plain.log_line(version, "ERROR")
    told, warned, failed = [json.loads(line) for line in plain.written(version)]
    assert (told["level"], told["message"]) == ("UNDEFINED", "no level")
    assert (warned["level"], warned["message"]) == ("WARN", 'w "quoted"')
    assert failed["level"] == "ERROR"
    assert failed["message"].startswith("end: java.lang.RuntimeException\n")
    assert all(
        line["AWSRequestId"].startswith("00000000") and line["timestamp"].endswith("Z") for line in (told, warned)
    )


async def test_jars_of_the_package_and_of_layers_are_found(plain: World, code: Path, tmp_path: Path) -> None:
    library = compiled(tmp_path / "library", {"tool.Tool": 'public class Tool { public static String x = "package"; }'})
    other = compiled(tmp_path / "other", {"tool.Other": 'public class Other { public static String x = "layer"; }'})
    package, layer = tmp_path / "package", tmp_path / "layer"
    shutil.copytree(code / "kinds", package / "kinds")
    (package / "note.txt").write_text("a resource")
    jar(library, package / "lib" / "tool.jar")
    jar(other, layer / "java" / "lib" / "other.jar")
    jar(library, layer / "java" / "lib" / "aaa.jar")
    version = java(plain, package, "kinds.Libraries::handleRequest", layers=(layer,))
    assert await plain.answer(version) == ["package", "layer", "a resource"]


async def test_options_of_the_machine_are_the_functions_own(plain: World, code: Path) -> None:
    options = '-Xmx100m -XX:+UseParallelGC -Dsaid="by the function"'
    version = java(plain, code, "kinds.Options::handleRequest", environment={"JAVA_TOOL_OPTIONS": options})
    assert await plain.answer(version) == ["by the function", True, True]
    await plain.log_line(version, "Picked up JAVA_TOOL_OPTIONS")


async def test_the_memory_decides_the_heap(plain: World, code: Path) -> None:
    assert await plain.answer(java(plain, code, "kinds.Options::handleRequest", memory_mb=1024)) == [None, False, False]


@pytest.mark.linux
async def test_a_wrapper_starts_the_machine(sandboxed: World, code: Path, tmp_path: Path) -> None:
    shutil.copytree(code / "kinds", tmp_path / "kinds")
    wrapper = tmp_path / "wrap"
    wrapper.write_text('#!/bin/sh\nexport JAVA_TOOL_OPTIONS="-Dsaid=wrapped"\nexec "$@"\n')
    for path in (tmp_path, wrapper):
        path.chmod(0o755)
    version = java(
        sandboxed,
        tmp_path,
        "kinds.Options::handleRequest",
        environment={"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"},
        memory_mb=1024,
    )
    assert (await sandboxed.answer(version))[0] == "wrapped"


async def test_a_functions_own_serialiser_is_used(plain: World, code: Path, tmp_path: Path) -> None:
    shutil.copytree(code / "kinds", tmp_path / "kinds")
    services = tmp_path / "META-INF" / "services"
    services.mkdir(parents=True)
    (services / "com.amazonaws.services.lambda.runtime.CustomPojoSerializer").write_text("kinds.Serialiser\n")
    outcome = await plain.invoke(java(plain, tmp_path, "kinds.OfStrings"), payload=b"anything")
    assert outcome.payload == b"<read anything!>"


@pytest.mark.parametrize("runtime", ["java25", "java21", "java11", "java8.al2"])
async def test_every_runtime_is_served_by_the_nearest_machine(plain: World, code: Path, runtime: str) -> None:
    def newer(one: FunctionVersion) -> int:
        return Jvms(strict=False).for_runtime(one.runtime).major

    version = java(plain, code, "kinds.Methods::machine", runtime=runtime)
    assert (await plain.answer(version)).split(".")[0] == str(newer(version))
