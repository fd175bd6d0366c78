"""Which language serves a runtime's name."""

from __future__ import annotations

from pilotlight.engine.contract import RuntimeUnavailable
from pilotlight.engine.runtimes.python import PythonRuntime


class Runtimes:
    def __init__(self, python: PythonRuntime) -> None:
        self._python = python

    def of(self, runtime: str) -> PythonRuntime:
        """Raises RuntimeUnavailable."""
        if runtime.startswith("python3."):
            return self._python
        raise RuntimeUnavailable(f"the runtime {runtime} is not supported yet: Python's are")
