"""What `tests/engine/test_contract.py` asks of every language: one file each, with the handlers by name.

A language's program answers `{"do": NAME, "with": VALUE}` with what its function NAME makes of VALUE and the context,
and any other event with the event itself. To join, write a file like `python.py` and name it in `languages`.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.engine.world import INIT_SECONDS


@dataclass(frozen=True, kw_only=True)
class Language:
    name: str
    runtime: str
    executable: str
    """What a host must have to run it."""
    file: str
    program: str
    handler: str = "app.handler"
    at_init: Mapping[str, str]
    """Programs by what they do while they are loaded: `raise`, `exit`, `hang`, `print`."""
    faults: Mapping[str, str]
    """Error types by what is wrong: `raise` (a class called Boom, at work), `init` (the same while loading), `module`,
    `handler`, `unserialisable`."""
    trace: str = "stackTrace"
    """Where an error's frames are."""
    environment: Mapping[str, str] = field(default_factory=dict)
    managed: bool = True
    """Whether the bootstrap is the platform's: programs that bring their own have no `AWS_EXECUTION_ENV`."""
    code: Callable[[], Path] | None = None
    """For what is compiled: a package with all programs in it …"""
    client: Callable[[], Path] | None = None
    """For what AWS's own client runs: the layer that brings it."""
    select: Callable[[str], dict[str, Any]] = lambda program: {}
    """… and the settings that choose one of `at_init`."""
    init_seconds: float = INIT_SECONDS
    memory_mb: int = 256
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Tests that mean nothing in this language, and why."""


def languages() -> list[Language]:
    from tests.engine.contract import go, java, node, official, python, ruby, rust

    ours = [python.LANGUAGE, node.LANGUAGE, ruby.LANGUAGE, java.LANGUAGE]
    return [*ours, go.LANGUAGE, rust.LANGUAGE, *official.LANGUAGES]


def folder(name: str) -> Path:
    """A directory for the session that everyone may read."""
    made = Path(tempfile.mkdtemp(prefix=f"pilotlight-{name}-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    made.chmod(0o755)
    return made


def packed(program: Path) -> Path:
    """A package with one program in it."""
    made = folder("program")
    shutil.copyfile(program, made / "bootstrap")
    (made / "bootstrap").chmod(0o755)
    return made
