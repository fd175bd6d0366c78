"""Functions and extensions in Go and Rust, by AWS's own libraries, as their users deploy them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine.contract import FunctionVersion
from tests.engine import native
from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


def deployed(world: World, program: Path, **options: Any) -> FunctionVersion:
    folder = world.folder({})
    shutil.copyfile(program, folder / "bootstrap")
    (folder / "bootstrap").chmod(0o755)
    settings: dict[str, Any] = {"runtime": "provided.al2023", "handler": "bootstrap"}
    return world.version(code=folder, **(settings | options))


async def test_go_answers_with_its_context(provided: World) -> None:
    version = deployed(provided, native.go("runtime"))
    answer = await provided.answer(
        version,
        {},
        request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        client_context='{"custom": {"a": "b"}}',
        cognito_identity='{"cognitoIdentityId": "me", "cognitoIdentityPoolId": "pool"}',
    )
    # The program reckons with the host's time, and other tests may have moved the world's.
    assert 0 < answer.pop("left") - provided.clock.ahead_seconds <= 10
    assert answer == {
        "id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        "arn": version.arn,
        "memory": 256,
        "name": version.name,
        "custom": {"a": "b"},
        "cognito": "me",
    }
    assert "said in Go" in provided.lines(version)


async def test_gos_errors_are_passed_on(provided: World) -> None:
    version = deployed(provided, native.go("runtime"))
    failure = await provided.failure(version, {"do": "fail"})
    assert failure == {"errorMessage": "it went wrong", "errorType": "errorString"}


async def test_a_panic_in_go_is_answered_and_ends_the_process(provided: World) -> None:
    version = deployed(provided, native.go("runtime"))
    failure = await provided.failure(version, {"do": "panic"})
    assert (failure["errorMessage"], failure["errorType"]) == ("it went very wrong", "string")
    assert failure["stackTrace"]
    await provided.quiet()
    assert "id" in await provided.answer(version, {})


async def test_rust_answers_and_fails(provided: World) -> None:
    version = deployed(provided, native.rust())
    answer = await provided.answer(version, {}, request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd")
    assert answer == {"id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd", "arn": version.arn, "name": version.name}
    await provided.quiet()
    failure = await provided.failure(version, {"do": "fail"})
    assert failure["errorMessage"] == "it went wrong"
    assert "said in Rust" in provided.lines(version)


async def test_an_extension_in_go_hears_telemetry_of_a_function_in_go(provided: World) -> None:
    layer = provided.folder({})
    (layer / "extensions").mkdir()
    shutil.copyfile(native.go("extension"), layer / "extensions" / "listener")
    (layer / "extensions" / "listener").chmod(0o755)
    where = "sandbox.localdomain" if provided.isolation == "namespaces" else "127.0.0.1"
    version = deployed(provided, native.go("runtime"), layers=(layer,), environment={"LISTEN_ON": where})
    await provided.answer(version, {})
    await provided.log_line(version, '"type":"platform.report"')
    events = [json.loads(line[3:]) for line in provided.lines(version) if line.startswith("go ")]
    assert {"platform.initStart", "platform.start", "platform.runtimeDone", "platform.report"} <= {
        one["type"] for one in events
    }
    assert [one["record"] for one in events if one["type"] == "function"] == ["said in Go"]
    await provided.quiet()
    await provided.agent.retire(version.arn)
    await provided.log_line(version, "told SHUTDOWN")
