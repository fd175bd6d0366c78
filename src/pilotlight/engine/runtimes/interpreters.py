"""Which Python interpreters this host has, and which of them serves a runtime."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.contract import RuntimeUnavailable

log = logging.getLogger(__name__)

MINORS = range(8, 15)
PROBE_SECONDS = 10
_RUNTIME = re.compile(r"^python3\.(\d+)$")
_PROBE = "import sys; print(sys.base_prefix); print(sys.version.split()[0]); print(sys.exec_prefix)"


@dataclass(frozen=True, slots=True)
class Interpreter:
    executable: str
    prefix: str
    version: str
    """`3.12.1`"""

    @property
    def minor(self) -> int:
        return int(self.version.split(".")[1])


class Interpreters:
    """Found on first use, and asked only once who they are."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._by_minor: dict[int, Interpreter | None] = {}
        self.warnings: dict[str, str] = {}

    def for_runtime(self, runtime: str) -> Interpreter:
        """Raises RuntimeUnavailable, with the way to get one."""
        match = _RUNTIME.match(runtime)
        if match is None:
            raise RuntimeUnavailable(f"the runtime {runtime} is not supported yet: Python's are")
        wanted = int(match[1])
        exact = self._find(wanted)
        if exact is not None:
            return exact
        advice = (
            f"Install it with `uv python install 3.{wanted}`, `pyenv install 3.{wanted}` or your system's packages."
        )
        if not self._strict:
            for minor in (*range(wanted + 1, MINORS.stop), *range(wanted - 1, MINORS.start - 1, -1)):
                nearest = self._find(minor)
                if nearest is not None:
                    self.warnings[runtime] = (
                        f"{runtime} is not on this host; Python {nearest.version} serves it. {advice}"
                    )
                    return nearest
        raise RuntimeUnavailable(f"{runtime} is not on this host. {advice}")

    def found(self) -> dict[str, str]:
        """Runtime → version, for `pilotlight status`."""
        return {f"python3.{minor}": one.version for minor in MINORS if (one := self._find(minor)) is not None}

    def _find(self, minor: int) -> Interpreter | None:
        if minor not in self._by_minor:
            self._by_minor[minor] = next(filter(None, (self._probe(path, minor) for path in _candidates(minor))), None)
        return self._by_minor[minor]

    def _probe(self, path: Path, minor: int) -> Interpreter | None:
        try:
            output = subprocess.run(
                [str(path), "-I", "-S", "-c", _PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
            ).stdout.splitlines()
        except (OSError, subprocess.SubprocessError):
            return None
        prefix, version = output[0], output[1]
        if not version.startswith(f"3.{minor}."):
            return None
        executable = Path(prefix) / "bin" / f"python3.{minor}"
        return Interpreter(str(executable if executable.exists() else path.resolve()), prefix, version)


def _candidates(minor: int) -> Iterator[Path]:
    """Where a version may be: this very interpreter, pyenv, uv, PATH. pyenv's shims are scripts, and passed over."""
    name = f"python3.{minor}"
    if sys.version_info[:2] == (3, minor):
        yield Path(sys.base_prefix) / "bin" / name
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local" / "share" / "uv" / "python"))
    for folder in (pyenv, uv):
        yield from sorted(folder.glob(f"*/bin/{name}"), reverse=True)
    for folder_name in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder_name) / name
        if path.is_file() and "shims" not in path.parts:
            yield path
    for folder_name in ("/usr/local/bin", "/usr/bin"):
        if (Path(folder_name) / name).is_file():
            yield Path(folder_name) / name
