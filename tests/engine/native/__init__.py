"""Functions and extensions in compiled languages, built once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pilotlight-tests"
BUILD_SECONDS = 600


def go(name: str) -> Path:
    """The program of `go/<name>`, static, as Lambda's users build it."""
    if shutil.which("go") is None:
        pytest.skip("there is no Go toolchain on this host")
    command = ["go", "build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", "{target}", f"./{name}"]
    return _built(HERE / "go", f"go-{name}", command, {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})


def rust(name: str = "bootstrap") -> Path:
    """The program `name`. Its dependencies compile for minutes, so it is built only where that is asked for."""
    if shutil.which("cargo") is None:
        pytest.skip("there is no Rust toolchain on this host")
    if not os.environ.get("PILOTLIGHT_TEST_RUST"):
        pytest.skip("PILOTLIGHT_TEST_RUST is not set: building takes a minute and more")
    script = f'cargo build --release --target-dir "{CACHE}/rust" && cp "{CACHE}/rust/release/{name}" "{{target}}"'
    return _built(HERE / "rust", f"rust-{name}", ["sh", "-c", script], {})


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """What `make` puts into a directory, once."""
    target = CACHE / name
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = target.with_suffix(f".{os.getpid()}")
        try:
            make(made)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(made, ignore_errors=True)
            pytest.skip(f"cannot be had here: {error}")
        made.rename(target)
    return target


def _built(source: Path, name: str, command: list[str], environment: dict[str, str]) -> Path:
    digest = hashlib.sha256()
    for path in sorted(path for path in source.rglob("*") if path.is_file() and path.name != "Cargo.lock"):
        digest.update(path.read_bytes())
    target = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = target.with_suffix(f".{os.getpid()}")
        built = subprocess.run(
            [part.replace("{target}", str(made)) for part in command],
            cwd=source,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if built.returncode:
            pytest.skip(f"cannot be built here: {built.stderr[-300:]}")
        made.rename(target)
    return target
