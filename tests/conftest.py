"""Fixtures that every suite shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.storage.migrations import schema_files
from pilotlight.storage.sqlite import SqliteDatabase

COMPONENTS = ["pilotlight.storage"]


@pytest.fixture
def components() -> list[str]:
    """Packages whose schema the `database` fixture holds; a suite overrides it with its own."""
    return COMPONENTS


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path, components: list[str]) -> Iterator[SqliteDatabase]:
    packages = ["pilotlight.storage", *(c for c in components if c != "pilotlight.storage")]
    database = SqliteDatabase(tmp_path / "core.db", schema_files(packages))
    yield database
    database.close()
