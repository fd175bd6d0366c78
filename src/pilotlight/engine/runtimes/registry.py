"""Which language serves a runtime's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pilotlight.engine.contract import RuntimeUnavailable

if TYPE_CHECKING:
    from pilotlight.engine.agent import Runtime


class Runtimes:
    """Implements `engine.agent.Runtimes`."""

    def __init__(self, by_prefix: Mapping[str, Runtime], warning: Callable[[str], str]) -> None:
        """`by_prefix`: `python3.` → the runtime that serves every name which starts so."""
        self._by_prefix = by_prefix
        self.warning = warning

    def of(self, runtime: str) -> Runtime:
        """Raises RuntimeUnavailable."""
        for prefix, served_by in self._by_prefix.items():
            if runtime.startswith(prefix):
                return served_by
        known = ", ".join(prefix.rstrip(".") for prefix in self._by_prefix)
        raise RuntimeUnavailable(f"the runtime {runtime} is not supported yet; these are: {known}")
