"""Worlds for the engine's suites: each road into each kind of sandbox, made once for the session."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from pilotlight.engine.runtimes.python import Road
from tests.engine.world import Isolation, World, world

LINUX = sys.platform == "linux"
"""As root or as an ordinary user: `tests/faults/test_rootless.py` runs a sample of this as one."""
needs_linux = (pytest.mark.linux, pytest.mark.skipif(not LINUX, reason="sandboxes of namespaces need Linux"))
NAMESPACES = [
    pytest.param(("namespaces", road), marks=needs_linux, id=f"namespaces-{road}") for road in ("boto3", "bare", "exec")
]
PLAIN = [pytest.param(("plain", road), id=f"plain-{road}") for road in ("boto3", "bare", "exec")]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[*PLAIN, *NAMESPACES])
async def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world for every road and isolation."""
    isolation, road = cast(tuple[Isolation, Road], request.param)
    async with world(tmp_path_factory.mktemp(f"{isolation}-{road}"), isolation, road) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One world, for what does not depend on road or isolation."""
    async with world(tmp_path_factory.mktemp("plain"), "plain", "bare") as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def choosing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world where the runtime chooses the road."""
    async with world(tmp_path_factory.mktemp("choosing"), "plain", None) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=NAMESPACES)
async def sandboxed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """What only namespaces and cgroups give."""
    isolation, road = cast(tuple[Isolation, Road], request.param)
    async with world(tmp_path_factory.mktemp(f"sandboxed-{road}"), isolation, road) as made:
        yield made


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=["plain", pytest.param("namespaces", marks=needs_linux)],
)
async def provided(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world for programs that speak the Runtime API and the Extensions API, in each isolation."""
    isolation = cast(Isolation, request.param)
    directory = tmp_path_factory.mktemp(f"provided-{isolation}")
    async with world(directory, isolation, "exec", init_seconds=2.0) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def anywhere(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The best isolation that this host gives, where each runtime chooses its road."""
    async with world(tmp_path_factory.mktemp("contract"), "namespaces" if LINUX else "plain", None) as made:
        yield made
