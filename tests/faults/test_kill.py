"""The miniature of `make faults` that CI runs: seeded, a few kills."""

from __future__ import annotations

import pytest

from tests.clouds import ISOLATION
from tests.faults import invocations
from tests.faults.kill import run


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_a_kill() -> None:
    assert run(rounds=3, seed=7, options=list(ISOLATION), say=lambda text: None) == []


@pytest.mark.slow
def test_a_kill_in_the_middle_of_invocations_leaves_none_behind() -> None:
    assert invocations.run(count=120, rounds=1, seed=3, options=list(ISOLATION)) == []
