from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pilotlight.engine.sandbox.factory import NamespaceFactory
from pilotlight.engine.sandbox.namespaced import NamespaceSandbox
from pilotlight.ids import Ids
from pilotlight.settings import Settings
from tests.engine.sandbox.inside import spec_for

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="sandboxes of namespaces need Linux and root"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="sandboxes of namespaces need Linux")
ROOTLESS = os.geteuid() != 0


@pytest.fixture
async def factory(tmp_path: Path) -> AsyncIterator[NamespaceFactory]:
    made = NamespaceFactory(tmp_path / "sandboxes", Settings(), Ids(), pool_size=2)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def sandbox(factory: NamespaceFactory, tmp_path: Path) -> NamespaceSandbox:
    return await factory.take(spec_for(tmp_path / "code"))
