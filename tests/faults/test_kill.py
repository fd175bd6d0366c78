"""The miniature of `make faults` that CI runs: seeded, three kills."""

from __future__ import annotations

import pytest

from tests.clouds import ISOLATION
from tests.faults.kill import run


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_a_kill() -> None:
    assert run(rounds=3, seed=7, options=list(ISOLATION), say=lambda text: None) == []
