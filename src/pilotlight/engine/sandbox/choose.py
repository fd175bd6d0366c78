"""Which sandbox this host and its operator get."""

from __future__ import annotations

from pathlib import Path

from pilotlight.engine.sandbox.contract import SandboxFactory
from pilotlight.engine.sandbox.factory import NamespaceFactory
from pilotlight.engine.sandbox.plain import PlainFactory
from pilotlight.ids import Ids
from pilotlight.settings import Settings


def make_factory(settings: Settings, directory: Path, ids: Ids) -> SandboxFactory:
    """Plain processes only where the operator said `--isolation=none`; less isolation is never silent."""
    if settings.isolation == "none":
        return PlainFactory(directory, ids)
    if settings.isolation != "sandbox":
        raise ValueError(f"isolation must be 'sandbox' or 'none', not {settings.isolation!r}")
    return NamespaceFactory(directory, settings, ids)
