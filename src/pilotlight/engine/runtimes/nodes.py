"""Which Node.js this host has, and which of them serves a runtime."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.contract import RuntimeUnavailable

PROBE_SECONDS = 10
OLDEST_MAJOR = 18
_RUNTIME = re.compile(r"^nodejs(\d+)\.x$")


@dataclass(frozen=True, slots=True)
class Node:
    executable: str
    version: str
    """`20.20.2`"""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def release(self) -> tuple[int, int]:
        major, minor, *_ = self.version.split(".")
        return int(major), int(minor)

    @property
    def prefix(self) -> str:
        """What a sandbox must see to run it."""
        return str(Path(self.executable).parent.parent)


class Nodes:
    """Found on first use."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._found: dict[int, Node] | None = None
        self.warnings: dict[str, str] = {}

    def for_runtime(self, runtime: str) -> Node:
        """Raises RuntimeUnavailable, with the way to get one."""
        match = _RUNTIME.match(runtime)
        if match is None:
            raise RuntimeUnavailable(f"{runtime} is no Node.js runtime")
        wanted, found = int(match[1]), self.found()
        if wanted in found:
            return found[wanted]
        advice = f"Install it with `nvm install {wanted}`, `fnm install {wanted}` or your system's packages."
        usable = [major for major in found if major >= OLDEST_MAJOR]
        if self._strict or not usable:
            raise RuntimeUnavailable(f"Node.js {wanted} is not on this host. {advice}")
        newer = [major for major in usable if major > wanted]
        nearest = found[min(newer) if newer else max(usable)]
        self.warnings[runtime] = f"{runtime} is not on this host; Node.js {nearest.version} serves it. {advice}"
        return nearest

    def found(self) -> dict[int, Node]:
        """By major version."""
        if self._found is None:
            # Kept when it is whole: several threads may ask at once, and none may see a part.
            found: dict[int, Node] = {}
            for path in _candidates():
                node = _probe(path)
                if node is not None:
                    found.setdefault(node.major, node)
            self._found = found
        return self._found


def _probe(path: Path) -> Node | None:
    try:
        output = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"^v(\d+\.\d+\.\d+)", output)
    return Node(str(path.resolve()), match[1]) if match else None


def _candidates() -> Iterator[Path]:
    """Where one may be: PATH, and the folders of the version managers, newest first. Shims are scripts, passed over."""
    home = Path.home()
    folders = [Path(one) / "node" for one in os.environ.get("PATH", "").split(os.pathsep) if "shims" not in one]
    yield from (path for path in (*folders, Path("/usr/local/bin/node"), Path("/usr/bin/node")) if path.is_file())
    nvm = Path(os.environ.get("NVM_DIR", home / ".nvm")) / "versions" / "node"
    fnm = Path(os.environ.get("FNM_DIR", home / ".local" / "share" / "fnm")) / "node-versions"
    volta = Path(os.environ.get("VOLTA_HOME", home / ".volta")) / "tools" / "image" / "node"
    for folder, tail in ((nvm, "bin/node"), (fnm, "installation/bin/node"), (volta, "bin/node")):
        yield from sorted(folder.glob(f"*/{tail}"), reverse=True)
