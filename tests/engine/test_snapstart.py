"""SnapStart: versions that were initialised when they were published."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from pilotlight.engine import restoring, snapshots
from pilotlight.engine.contract import FunctionVersion, RestoreFailed
from pilotlight.engine.snapshots import SNAPSHOTS_EACH
from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

HOOKS = """
    import os, random
    from snapshot_restore_py import register_after_restore, register_before_snapshot
    CALLS = ["init"]
    SEED = random.random()
    @register_before_snapshot
    def first(): CALLS.append("before 1")
    register_before_snapshot(CALLS.append, "before 2")
    @register_after_restore
    def after(): CALLS.append("after 1")
    register_after_restore(lambda *, name: CALLS.append(name), name="after 2")
    def handler(event, context):
        return {"calls": CALLS, "seed": SEED, "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
                "stream": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"), "key": os.environ["AWS_ACCESS_KEY_ID"]}
    """


def snapped(world: World, source: str, **changes: Any) -> FunctionVersion:
    return world.version(source, version="1", snap_start=True, **changes)


async def published(world: World, version: FunctionVersion) -> None:
    """Asked for again where the machine was too busy for an init in time."""

    def ready() -> bool:
        world.agent.snapshot(version)
        return world.agent.snapshots(version.key) == SNAPSHOTS_EACH

    await world.settled(ready)


async def test_hooks_run_around_the_snapshot_and_the_invocation_finds_it_initialised(each: World) -> None:
    version = snapped(each, HOOKS)
    await published(each, version)
    assert sum(line.startswith("INIT_START ") for line in each.lines(version)) >= SNAPSHOTS_EACH
    assert not any(line.startswith("RESTORE_") for line in each.lines(version))
    answer = await each.answer(version)
    assert answer["calls"] == ["init", "before 2", "before 1", "after 1", "after 2"]
    assert (answer["type"], answer["stream"]) == ("snap-start", None)
    assert (await each.answer(version))["calls"] == answer["calls"]


async def test_no_two_restored_instances_share_what_is_random(plain: World) -> None:
    version = snapped(plain, HOOKS)
    await published(plain, version)
    answers = await asyncio.gather(*(plain.answer(version) for _ in range(SNAPSHOTS_EACH + 1)))
    assert len({answer["seed"] for answer in answers}) == SNAPSHOTS_EACH + 1


async def test_the_log_tells_of_the_restore_and_its_bill(plain: World) -> None:
    version = snapped(plain, "import time\ndef handler(event, context): return 1")
    await published(plain, version)
    outcome = await plain.invoke(version)
    kinds = [line.split(" ", 1)[0] for line in plain.lines(version)]
    assert kinds[: 2 * SNAPSHOTS_EACH].count("INIT_REPORT") == SNAPSHOTS_EACH
    assert kinds[2 * SNAPSHOTS_EACH :][:5] == ["RESTORE_START", "RESTORE_REPORT", "START", "END", "REPORT"]
    report = next(line for line in plain.lines(version) if line.startswith("REPORT "))
    found = re.search(
        r"\tDuration: ([0-9.]+) ms\tBilled Duration: (\d+) ms\t.*\tRestore Duration: ([0-9.]+) ms"
        r"\tBilled Restore Duration: (\d+) ms\t$",
        report,
    )
    assert found is not None, report
    assert "Init Duration" not in report
    assert int(found[2]) == max(1, -(-float(found[1]) // 1)) + int(found[4])
    assert outcome.billed_ms == int(found[2])
    assert outcome.init_ms is None
    await plain.invoke(version)
    assert "Restore" not in [line for line in plain.lines(version) if line.startswith("REPORT ")][-1]


async def test_json_logs_have_the_same_events(plain: World) -> None:
    version = snapped(plain, "def handler(event, context): return 1", log_format="JSON", system_log_level="INFO")
    await published(plain, version)
    await plain.answer(version)
    text = "".join(plain.lines(version))
    for kind in ("platform.initStart", "platform.initReport", "platform.restoreStart", "platform.restoreReport"):
        assert f'"type":"{kind}"' in text
    assert '"billedRestoreDurationMs":' in text


async def test_where_no_snapshot_is_ready_one_is_made_on_the_spot_and_the_log_says_so(plain: World) -> None:
    version = snapped(plain, HOOKS)
    answer = await plain.answer(version)
    assert answer["calls"] == ["init", "before 2", "before 1", "after 1", "after 2"]
    assert any("no snapshot was ready" in line for line in plain.lines(version))
    await plain.settled(lambda: plain.agent.snapshots(version.key) == SNAPSHOTS_EACH)


async def test_a_hook_that_raises_after_the_restore_fails_the_invocation(plain: World) -> None:
    version = snapped(
        plain,
        """
        from snapshot_restore_py import register_after_restore
        @register_after_restore
        def broken(): raise KeyError("lost")
        def handler(event, context): return 1
        """,
    )
    await published(plain, version)
    with pytest.raises(RestoreFailed) as failed:
        await plain.invoke(version)
    assert not failed.value.timed_out
    assert "Error Type: KeyError" in await plain.log_line(version, "RESTORE_REPORT ")


async def test_a_hook_that_does_not_end_times_out(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "RESTORE_SECONDS_MAX", 0.05)
    source = """
        import time
        from snapshot_restore_py import register_after_restore
        register_after_restore(time.sleep, 60)
        def handler(event, context): return 1
        """
    version = snapped(plain, source)
    await published(plain, version)
    with pytest.raises(RestoreFailed) as failed:
        await plain.invoke(version)
    assert failed.value.timed_out
    assert "Status: timeout" in await plain.log_line(version, "RESTORE_REPORT ")


async def test_a_hook_that_raises_before_the_snapshot_fails_the_init(plain: World) -> None:
    source = """
        from snapshot_restore_py import register_before_snapshot
        @register_before_snapshot
        def broken(): raise ValueError("never")
        def handler(event, context): return 1
        """
    version = snapped(plain, source)
    plain.agent.snapshot(version)
    assert "Error Type: ValueError" in await plain.log_line(version, "INIT_REPORT ")
    assert (await plain.failure(version))["errorType"] == "ValueError"


async def test_snapshots_that_died_or_grew_old_are_replaced(plain: World) -> None:
    source = "import threading, os\ndef handler(event, context): return 1"
    version = snapped(plain, source)
    await published(plain, version)
    plain.later(13 * 3600)
    await plain.settled(lambda: plain.agent.snapshots(version.key) == SNAPSHOTS_EACH)
    assert sum(line.startswith("INIT_START ") for line in plain.lines(version)) == 2 * SNAPSHOTS_EACH


async def test_snapshots_of_a_deleted_function_end(plain: World) -> None:
    version = snapped(plain, HOOKS)
    await published(plain, version)
    before = sum(plain.agent.describe().values())
    await plain.agent.retire(version.arn)
    assert plain.agent.snapshots(version.key) == 0
    assert sum(plain.agent.describe().values()) == before - SNAPSHOTS_EACH


async def test_who_was_not_asked_for_longest_makes_room(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOTS_MAX", 2 * SNAPSHOTS_EACH)
    versions = [snapped(plain, "def handler(event, context): return 1") for _ in range(3)]
    for version in versions:
        await published(plain, version)
    await plain.settled(lambda: plain.agent.snapshots(versions[0].key) == 0)
    assert [plain.agent.snapshots(version.key) for version in versions[1:]] == [SNAPSHOTS_EACH] * 2


async def test_the_module_is_there_without_snapstart_and_a_packages_own_wins(plain: World) -> None:
    source = "import snapshot_restore_py as it\ndef handler(event, context): return getattr(it, 'own', False)"
    assert await plain.answer(plain.version(source)) is False
    own = {"snapshot_restore_py.py": "own = True"}
    assert await plain.answer(plain.version(source, own)) is True
    older = plain.version("def handler(event, context):\n    import snapshot_restore_py", runtime="python3.11")
    assert (await plain.failure(older))["errorType"] == "ModuleNotFoundError"
