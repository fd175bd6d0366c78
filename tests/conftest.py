"""Fixtures that every suite shares."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pilotlight.storage.migrations import schema_files
from pilotlight.storage.postgres import PostgresDatabase
from pilotlight.storage.sqlite import SqliteDatabase
from tests.clouds import cloud, postgres_cloud, sqlite_cloud, sqlite_only_cloud
from tests.postgres_server import find_binaries, postgres_server

__all__ = ["cloud", "postgres_cloud", "sqlite_cloud", "sqlite_only_cloud"]

STORAGE = "pilotlight.storage"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server's connection string, without a database's name."""
    binaries = find_binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs PostgreSQL: .ci/run installs it")
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="pilotlight-postgres-"))
    directory.chmod(0o755)
    with postgres_server(binaries, directory) as dsn:
        yield dsn
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def components() -> list[str]:
    """Packages whose schema the `database` fixture holds; a suite overrides it with its own."""
    return []


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(
    request: pytest.FixtureRequest, tmp_path: Path, components: list[str]
) -> Iterator[SqliteDatabase | PostgresDatabase]:
    schema = schema_files([STORAGE, *(package for package in components if package != STORAGE)])
    if request.param == "sqlite":
        sqlite = SqliteDatabase(tmp_path / "core.db", schema)
        yield sqlite
        sqlite.close()
        return
    dsn, name = request.getfixturevalue("postgres"), f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(dsn + "postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    database = PostgresDatabase(dsn + name, schema, connections=8)
    yield database
    database.close()
    with psycopg.connect(dsn + "postgres", autocommit=True) as connection:
        connection.execute(f"drop database {name}")
