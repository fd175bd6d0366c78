"""A runtime whose version is not on this machine, and which another serves: it is said, once for each start."""

from __future__ import annotations

import pytest

from pilotlight.engine.runtimes.interpreters import Interpreters
from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

FOUND = Interpreters(strict=False).found()
MISSING = next((name for name in (f"python3.{minor}" for minor in range(14, 7, -1)) if name not in FOUND), "")


@pytest.mark.skipif(not MISSING, reason="every Python from 3.8 to 3.14 is on this machine")
async def test_the_log_tells_once_for_each_start(plain: World) -> None:
    version = plain.version("def handler(event, context): pass", runtime=MISSING)
    await plain.answer(version)
    await plain.answer(version)
    told = [text for text in plain.lines(version) if text.startswith(f"[PILOTLIGHT] {MISSING} is not on this host; ")]
    assert len(told) == 1
    assert plain.lines(version)[0].startswith("INIT_START ")
    assert plain.lines(version)[1] == told[0]


async def test_nothing_is_told_of_a_runtime_that_is_here(plain: World) -> None:
    version = plain.version("def handler(event, context): pass", runtime=next(iter(FOUND)))
    await plain.answer(version)
    assert not [text for text in plain.lines(version) if text.startswith("[PILOTLIGHT]")]
