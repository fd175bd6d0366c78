"""A few seconds of `make soak`, from a seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.soak import soak

from pilotlight.testing.cloud import launch, stop

pytestmark = pytest.mark.slow


@pytest.mark.skipif(os.geteuid() != 0, reason="sandboxes of namespaces are made as root")
def test_nothing_is_left_of_what_came_failed_and_went(tmp_path: Path) -> None:
    cloud = launch(tmp_path)
    try:
        assert soak(cloud, seconds=2.0, round_seconds=0.5, seed=7) == {}
    finally:
        stop(cloud)
