"""Directories that every function may read: the bootstraps, and boto3 with what it needs.

They are copies (hard links where the file system allows), so that a sandbox sees them and nothing beside them.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import py_compile
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

BOTO3_PARTS = ("boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six")
BOOTSTRAPS = Path(__file__).parent / "bootstraps"


def install_bootstrap(directory: Path, language: str) -> Path:
    """The language's bootstrap, of this very version of Pilotlight."""
    target = directory / f"bootstrap-{language}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for source in (one for one in (BOOTSTRAPS / language).iterdir() if one.is_file()):
        shutil.copyfile(source, target / source.name)
        (target / source.name).chmod(0o644)
    target.chmod(0o755)
    return target


def install_boto3(directory: Path) -> Path:
    """boto3 as the platform has it, with what it needs."""
    return install_package(directory, "boto3", BOTO3_PARTS)


def install_package(directory: Path, name: str, parts: Sequence[str] = (), *, compiled: bool = False) -> Path:
    """A library as the platform has it, under its version's name; made once. `parts`: itself and what it needs.
    `compiled`: with bytecode for the platform's own Python, which nobody could write later."""
    target = directory / f"{name}-{metadata.version(name)}"
    if target.exists():
        return target
    partial = directory / f"{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for part in parts or (name,):
        spec = importlib.util.find_spec(part)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(
                origin.parent, partial / part, copy_function=_link, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            _link(str(origin), str(partial / origin.name))
    if compiled:
        compileall.compile_dir(partial, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    for path in partial.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    partial.chmod(0o755)
    partial.rename(target)
    return target


def _link(source: str, target: str) -> None:
    """A hard link where it can be and is readable by everyone, else a copy."""
    if os.stat(source).st_mode & 0o004:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)
