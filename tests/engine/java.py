"""Java packages for tests: sources compiled once, and an own world, since a virtual machine starts slowly."""

from __future__ import annotations

import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from tests.engine import java_jar
from tests.engine.world import World

IMPORTS = """
import com.amazonaws.services.lambda.runtime.*;
import com.amazonaws.services.lambda.runtime.logging.*;
import java.io.*;
import java.util.*;
"""


def compiled(folder: Path, sources: dict[str, str]) -> Path:
    """A package with the classes of `sources`, by their names, against the bootstrap's own interfaces."""
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for name, text in sources.items():
            path = Path(scratch, *name.split(".")).with_suffix(".java")
            path.parent.mkdir(parents=True, exist_ok=True)
            package = f"package {name.rpartition('.')[0]};" if "." in name else ""
            path.write_text(package + IMPORTS + textwrap.dedent(text))
            files.append(path)
        folder.mkdir(parents=True, exist_ok=True)
        java_jar.compile_java(files, folder, "--release", java_jar.RELEASE, class_path=str(java_jar.JAR))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


def jar(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(shutil.make_archive(str(target.with_suffix("")), "zip", folder), target)


def java(world: World, code: Path, handler: str, **options: Any) -> FunctionVersion:
    return world.version(**{"code": code, "handler": handler, "runtime": "java17", "memory_mb": 512} | options)
