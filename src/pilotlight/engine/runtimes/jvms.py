"""Which Java virtual machines this host has, and which of them serves a runtime."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotlight.engine.contract import RuntimeUnavailable

PROBE_SECONDS = 10
OLDEST_MAJOR = 17
"""The bootstrap is compiled for it. Older runtimes' functions run on newer machines, which understand their classes."""
_RUNTIME = re.compile(r"^java(\d+)(\.al2)?$")
_RELEASE = re.compile(r'^JAVA_VERSION="([0-9._+]+)"', re.MULTILINE)
_SAID = re.compile(r'version "([0-9._]+)')


@dataclass(frozen=True, slots=True)
class Jvm:
    home: Path
    version: str
    """`21.0.5`"""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def executable(self) -> str:
        return str(self.home / "bin" / "java")

    @property
    def readable(self) -> tuple[Path, ...]:
        """What a sandbox must see to run it. Debian keeps the configuration elsewhere, by links."""
        settings = (self.home / "conf" / "net.properties").resolve().parent
        return (self.home,) if settings.is_relative_to(self.home) else (self.home, settings)


class Jvms:
    """Found on first use."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._found: dict[int, Jvm] | None = None
        self.warnings: dict[str, str] = {}

    def for_runtime(self, runtime: str) -> Jvm:
        """Raises RuntimeUnavailable, with the way to get one."""
        match = _RUNTIME.match(runtime)
        if match is None:
            raise RuntimeUnavailable(f"{runtime} is no Java runtime")
        wanted, found = int(match[1]), self.found()
        if wanted in found:
            return found[wanted]
        # What runs functions needs no compiler, and those of the oldest names need a newer machine than their own.
        get = max(wanted, OLDEST_MAJOR)
        advice = (
            f"Install one with `sdk install java {get}-tem`, `apt-get install openjdk-{get}-jre-headless` or alike."
        )
        if self._strict or not found:
            raise RuntimeUnavailable(f"Java {wanted} is not on this host. {advice}")
        newer = [major for major in found if major > wanted]
        nearest = found[min(newer) if newer else max(found)]
        self.warnings[runtime] = f"{runtime} is not on this host; Java {nearest.version} serves it. {advice}"
        return nearest

    def found(self) -> dict[int, Jvm]:
        """By major version."""
        if self._found is None:
            # Kept when it is whole: several threads may ask at once, and none may see a part.
            found: dict[int, Jvm] = {}
            for home in _candidates():
                jvm = _probe(home)
                if jvm is not None and jvm.major >= OLDEST_MAJOR:
                    found.setdefault(jvm.major, jvm)
            self._found = found
        return self._found


def _probe(home: Path) -> Jvm | None:
    """By the file that says what it is; starting one takes a twentieth of a second."""
    home = home.resolve()
    if not (home / "bin" / "java").is_file():
        return None
    try:
        match = _RELEASE.search((home / "release").read_text())
    except (OSError, UnicodeDecodeError):
        match = None
    if match is None:
        try:
            said = subprocess.run(
                [str(home / "bin" / "java"), "-version"], capture_output=True, text=True, timeout=PROBE_SECONDS
            ).stderr
        except (OSError, subprocess.SubprocessError):
            return None
        match = _SAID.search(said)
    return Jvm(home, match[1]) if match else None


def _candidates() -> Iterator[Path]:
    """Where one may be: JAVA_HOME, PATH, and the folders of packages and version managers, newest first."""
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"])
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if "shims" not in folder and (Path(folder) / "java").is_file():
            yield (Path(folder) / "java").resolve().parent.parent
    home = Path.home()
    sdkman = Path(os.environ.get("SDKMAN_DIR", home / ".sdkman")) / "candidates" / "java"
    asdf, mise = home / ".asdf" / "installs" / "java", home / ".local" / "share" / "mise" / "installs" / "java"
    for jvms in (Path("/usr/lib/jvm"), Path("/opt/java"), sdkman, asdf, mise, home / ".jdks"):
        yield from sorted(jvms.glob("*"), reverse=True)
    yield from sorted(Path("/Library/Java/JavaVirtualMachines").glob("*/Contents/Home"), reverse=True)
