"""SnapStart of Java functions: hooks, log lines, and instances that were initialised ahead."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pilotlight.engine.contract import FunctionVersion, RestoreFailed
from pilotlight.engine.runtimes.jvms import Jvms
from pilotlight.engine.snapshots import SNAPSHOTS_EACH
from tests.engine.conftest import needs_linux
from tests.engine.java import compiled, java
from tests.engine.java_handlers import SNAPS
from tests.engine.world import World, world

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed: there is nothing to test with"),
    pytest.mark.skipif(not Jvms(strict=False).found(), reason="no Java of 17 or newer is installed"),
]
HOOKS = ["init", "second before", "before", "after", "second after", "snap-start", True]
"""AWS: before a snapshot in the reverse order of registration, after a restore in its order."""


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("snap-code") / "code", {"kinds.Snap": SNAPS})


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=["plain", pytest.param("namespaces", marks=needs_linux)]
)
async def snapping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("snap"), request.param, "exec", init_seconds=20.0) as made:
        yield made


def snap(world: World, code: Path, **options: Any) -> FunctionVersion:
    return replace(java(world, code, "kinds.Snap", **options), version="1", snap_start=True)


def of_one_instance(world: World, version: FunctionVersion) -> list[str]:
    """The lines of the one that answered."""
    [stream] = {
        stream
        for group, stream, text in world.logs.events
        if group == version.log_group and (text.startswith("START") or "platform.start" in text)
    }
    return [text for _, at, text in world.logs.events if at == stream]


async def test_hooks_are_called_where_none_was_ready(snapping: World, code: Path) -> None:
    version = snap(snapping, code)
    *hooks, _ = await snapping.answer(version, "x")
    assert hooks == HOOKS
    lines = of_one_instance(snapping, version)
    assert [lines[at].split()[0] for at in (0, 1, 3, 4, 5, 6, 7)] == [
        *("INIT_START", "INIT_REPORT", "RESTORE_START", "RESTORE_REPORT", "START", "END", "REPORT")
    ]
    assert "Init Duration" not in lines[7]
    assert re.search(r"\tRestore Duration: [0-9.]+ ms\tBilled Restore Duration: [0-9]+ ms\t$", lines[7])
    await snapping.answer(version, "x")
    assert "Restore" not in of_one_instance(snapping, version)[-1]


async def test_an_instance_that_was_made_ahead_is_restored(snapping: World, code: Path) -> None:
    version = snap(snapping, code)
    snapping.agent.snapshot(version)
    await snapping.settled(lambda: snapping.agent.snapshots(version.key) == SNAPSHOTS_EACH)
    began = len(snapping.lines(version))
    outcome = await snapping.invoke(version, "x")
    *hooks, _ = json.loads(outcome.payload)
    assert hooks == HOOKS
    assert outcome.init_ms is None
    lines = snapping.lines(version)[began:]
    assert [line.split()[0] for line in lines[:2]] == ["RESTORE_START", "RESTORE_REPORT"]


async def test_a_hook_before_that_fails_fails_the_start(snapping: World, code: Path) -> None:
    version = snap(snapping, code, environment={"FAIL": "before"})
    failure = await snapping.failure(version, "x")
    assert failure["errorType"] == "com.amazonaws.services.lambda.crac.CheckpointException"
    assert any("at before" in line for line in snapping.lines(version))


async def test_a_hook_after_that_fails_fails_the_restore(snapping: World, code: Path) -> None:
    version = snap(snapping, code, environment={"FAIL": "after"})
    with pytest.raises(RestoreFailed, match="RestoreException"):
        await snapping.invoke(version, "x")
    assert any("at after" in line for line in snapping.lines(version))


async def test_without_snap_start_no_hook_is_called(snapping: World, code: Path) -> None:
    version = java(snapping, code, "kinds.Snap")
    assert (await snapping.answer(version, "x"))[:-1] == ["init", "on-demand", False]


async def test_json_logs_tell_of_it(snapping: World, code: Path) -> None:
    version = snap(snapping, code, log_format="JSON")
    await snapping.answer(version, "x")
    told = [json.loads(line) for line in of_one_instance(snapping, version) if line.startswith("{")]
    kinds = [one["type"].removeprefix("platform.") for one in told if "type" in one]
    assert kinds == ["initStart", "initReport", "restoreStart", "restoreReport", "start", "report"]
    assert told[0]["record"]["initializationType"] == "snap-start"
    assert set(told[-1]["record"]["metrics"]) >= {"restoreDurationMs", "billedRestoreDurationMs"}
