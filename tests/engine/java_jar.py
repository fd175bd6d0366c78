"""Builds `bootstraps/java/bootstrap.jar` of its source: `python -m tests.engine.java_jar`.

The same source and the same compiler give the same bytes: entries are sorted, stored, and of one moment. The manifest
says of which source and by which compiler it was built.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pilotlight.engine.runtimes.shared import BOOTSTRAPS

SOURCE = BOOTSTRAPS / "java" / "source"
JAR = BOOTSTRAPS / "java" / "bootstrap.jar"
RELEASE = "17"
MANIFEST = "META-INF/MANIFEST.MF"
_MOMENT = (1980, 1, 1, 0, 0, 0)


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.java"))


def digest() -> str:
    made = hashlib.sha256()
    for path in sources():
        made.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes() + b"\0")
    return made.hexdigest()


def compiler() -> str:
    """`17`: javac's major version, or nothing where there is none."""
    javac = shutil.which("javac")
    if javac is None:
        return ""
    said = subprocess.run([javac, "-version"], capture_output=True, text=True, check=True)
    return (said.stdout + said.stderr).split()[1].split(".")[0]


def manifest(jar: Path) -> dict[str, str]:
    with zipfile.ZipFile(jar) as archive:
        text = archive.read(MANIFEST).decode()
    return dict(line.split(": ", 1) for line in text.splitlines() if line)


def compile_java(files: list[Path], target: Path, *options: str, class_path: str = "") -> None:
    """Raises CalledProcessError, after javac has said why."""
    javac = shutil.which("javac")
    assert javac is not None
    argv = [javac, "-nowarn", "-encoding", "UTF-8", "-d", str(target), *options]
    argv += ["-cp", class_path] if class_path else []
    done = subprocess.run([*argv, *map(str, files)], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()


def classes(jar: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(jar)) as archive:
        return [name for name in archive.namelist() if name.endswith(".class")]


def build() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder)
        compile_java(sources(), classes, "--release", RELEASE, "-g")
        entries = {str(path.relative_to(classes)): path.read_bytes() for path in classes.rglob("*.class")}
    said = {"Manifest-Version": "1.0", "Source": digest(), "Compiler": compiler()}
    entries[MANIFEST] = "".join(f"{name}: {value}\n" for name, value in said.items()).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(entries, key=lambda one: (one != MANIFEST, one)):
            info = zipfile.ZipInfo(name, _MOMENT)
            info.external_attr = 0o644 << 16
            archive.writestr(info, entries[name])
    return made.getvalue()


if __name__ == "__main__":
    JAR.write_bytes(build())
