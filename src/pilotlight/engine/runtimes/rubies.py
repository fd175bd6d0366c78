"""Which Ruby this host has, and which of them serves a runtime."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.contract import RuntimeUnavailable

PROBE_SECONDS = 10
OLDEST = (3, 0)
_RUNTIME = re.compile(r"^ruby(\d+)\.(\d+)$")
_PROBE = 'puts RUBY_VERSION, RbConfig::CONFIG["prefix"], RbConfig.ruby'


@dataclass(frozen=True, slots=True)
class Ruby:
    executable: str
    prefix: str
    """What a sandbox must see to run it."""
    version: str
    """`3.3.6`"""

    @property
    def release(self) -> tuple[int, int]:
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    @property
    def api(self) -> str:
        """What folders of gems are called: `3.3.0`."""
        return "{}.{}.0".format(*self.release)


class Rubies:
    """Found on first use."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._found: dict[tuple[int, int], Ruby] | None = None
        self.warnings: dict[str, str] = {}

    def for_runtime(self, runtime: str) -> Ruby:
        """Raises RuntimeUnavailable, with the way to get one."""
        match = _RUNTIME.match(runtime)
        if match is None:
            raise RuntimeUnavailable(f"{runtime} is no Ruby runtime")
        wanted, found = (int(match[1]), int(match[2])), self.found()
        if wanted in found:
            return found[wanted]
        named = f"{match[1]}.{match[2]}"
        advice = f"Install it with `rbenv install {named}`, `ruby-install ruby {named}` or your system's packages."
        usable = [release for release in found if release >= OLDEST]
        if self._strict or not usable:
            raise RuntimeUnavailable(f"Ruby {named} is not on this host. {advice}")
        newer = [release for release in usable if release > wanted]
        nearest = found[min(newer) if newer else max(usable)]
        self.warnings[runtime] = f"{runtime} is not on this host; Ruby {nearest.version} serves it. {advice}"
        return nearest

    def found(self) -> dict[tuple[int, int], Ruby]:
        """By major and minor version."""
        if self._found is None:
            # Kept when it is whole: several threads may ask at once, and none may see a part.
            found: dict[tuple[int, int], Ruby] = {}
            for path in _candidates():
                ruby = _probe(path)
                if ruby is not None:
                    found.setdefault(ruby.release, ruby)
            self._found = found
        return self._found


def _probe(path: Path) -> Ruby | None:
    try:
        output = subprocess.run(
            [str(path), "--disable-gems", "-rrbconfig", "-e", _PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    if len(output) != 3 or not re.match(r"^\d+\.\d+\.\d+$", output[0]):
        return None
    return Ruby(str(Path(output[2]).resolve()), output[1], output[0])


def _candidates() -> Iterator[Path]:
    """Where one may be: PATH, and the folders of the version managers, newest first. Shims are scripts, passed over."""
    home = Path.home()
    folders = [Path(one) / "ruby" for one in os.environ.get("PATH", "").split(os.pathsep) if "shims" not in one]
    yield from (path for path in (*folders, Path("/usr/local/bin/ruby"), Path("/usr/bin/ruby")) if path.is_file())
    rbenv = Path(os.environ.get("RBENV_ROOT", home / ".rbenv")) / "versions"
    for folder in (
        rbenv,
        home / ".rubies",
        Path("/opt/rubies"),
        home / ".rvm" / "rubies",
        Path("/opt/hostedtoolcache/Ruby"),
    ):
        yield from sorted((*folder.glob("*/bin/ruby"), *folder.glob("*/x64/bin/ruby")), reverse=True)
