"""What goes into a function's package: patterns, as the Serverless Framework applies them, and the zip.

The zip is the same for the same files: fixed times, sorted names, modes reduced to readable and executable.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from wcmatch import glob

FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE
EXCLUDED = (
    ".git/**",
    ".gitignore",
    ".DS_Store",
    "npm-debug.log",
    "yarn-*.log",
    ".serverless/**",
    ".serverless_plugins/**",
    ".env*",
)
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class PackageError(Exception):
    """Nothing to package, or a named artifact that is not there."""


def selected(files: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """All files, but those excluded by default; then each pattern in turn: `!…` takes out, others put back in."""
    chosen = {name for name in files if not any(glob.globmatch(name, one, flags=FLAGS) for one in EXCLUDED)}
    for pattern in patterns:
        outside = pattern.startswith("!")
        plain = pattern.removeprefix("!").removeprefix("./")
        matching = {name for name in files if glob.globmatch(name, plain, flags=FLAGS)}
        chosen = chosen - matching if outside else chosen | matching
    return sorted(chosen)


def files_of(folder: Path) -> list[str]:
    """Every file below a folder, by its path with slashes. Links that lead out of the folder are not followed."""
    root = folder.resolve()
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.resolve().is_relative_to(root):
            found.append(path.relative_to(folder).as_posix())
    return found


def make_zip(folder: Path, names: Sequence[str]) -> bytes:
    if not names:
        raise PackageError(f"No file of {folder} is left to package: look at package.patterns")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            path = folder / name
            executable = path.stat().st_mode & 0o111
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def sha256_base64(data: bytes) -> str:
    """As Lambda's `CodeSha256` has it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
