"""Clouds for the suites: one a database for the whole run, emptied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import psycopg
import pytest

from pilotlight.testing.cloud import Cloud, start

# Where the suite may not make namespaces, functions run as plain processes; what needs a sandbox is skipped there.
ISOLATION = () if os.geteuid() == 0 else ("--isolation=none",)


@pytest.fixture(scope="session")
def sqlite_cloud() -> Iterator[Cloud]:
    with start(options=ISOLATION) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def postgres_cloud(postgres: str) -> Iterator[Cloud]:
    with psycopg.connect(postgres + "postgres", autocommit=True) as connection:
        connection.execute("create database cloud")
    with start(options=[*ISOLATION, f"--database={postgres}cloud"]) as cloud:
        yield cloud


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """An empty cloud, on either database."""
    found: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    found.reset()
    return found


@pytest.fixture
def sqlite_only_cloud(sqlite_cloud: Cloud) -> Cloud:
    """An empty cloud, for what has nothing to do with the database."""
    sqlite_cloud.reset()
    return sqlite_cloud


def has_python(minor: int) -> bool:
    from pilotlight.engine.runtimes.interpreters import Interpreters

    return f"python3.{minor}" in Interpreters(strict=True).found() or shutil.which(f"python3.{minor}") is not None
