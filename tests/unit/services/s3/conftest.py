"""S3 on a real database and real files, asked as the gateway asks it, without the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.services.s3.driver import S3

from pilotlight.clock import Clock, ClockState
from pilotlight.ids import Ids
from pilotlight.storage import Database
from pilotlight.storage.blobs import LocalBlobs


@pytest.fixture
def components() -> list[str]:
    return ["pilotlight.services.s3"]


@pytest.fixture
def clock() -> Clock:
    return Clock(ClockState(frozen_at_ms=1_700_000_000_000))


@pytest.fixture
def s3(database: Database, tmp_path: Path, clock: Clock) -> Iterator[S3]:
    blobs = LocalBlobs(tmp_path / "blobs", Ids())
    yield S3(database, blobs, clock)
    blobs.close()


@pytest.fixture
async def bucket(s3: S3) -> str:
    await s3.create_bucket(Bucket="pictures")
    return "pictures"
