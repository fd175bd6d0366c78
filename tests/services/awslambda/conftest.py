from __future__ import annotations

import pytest

from pilotlight.storage import Database
from tests.services.awslambda.surroundings import Bench, build


@pytest.fixture
def components() -> list[str]:
    return ["pilotlight.services.awslambda", "pilotlight.services.awslambda.durable"]


@pytest.fixture
def bench(database: Database) -> Bench:
    return build(database)
