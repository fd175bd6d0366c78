"""The contract's handlers in Python under AWS's own client, `awslambdaric`, as a custom runtime."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.engine import test_official_clients as clients
from tests.engine.contract import Language, python
from tests.engine.native import cached


@cache
def code() -> Path:
    """A package with the client, the program, and a module for each of `at_init`."""
    folder = Path(tempfile.mkdtemp(prefix="pilotlight-ric-"))
    shutil.copytree(cached("ric-python", clients.python), folder, dirs_exist_ok=True, symlinks=True)
    (folder / "app.py").write_text(python.PROGRAM)
    for name, source in python.LANGUAGE.at_init.items():
        (folder / f"at_{name}.py").write_text(source)
    start = clients.CLIENTS["python"][2]
    (folder / "bootstrap").write_text(f'#!/bin/sh\ncd "$LAMBDA_TASK_ROOT"\n{start}\n')
    (folder / "bootstrap").chmod(0o755)
    folder.chmod(0o755)
    return folder


LANGUAGE = Language(
    name="awslambdaric",
    runtime="provided.al2023",
    executable=clients.SYSTEM_PYTHON,
    file="app.py",
    managed=False,
    program="",
    code=code,
    select=lambda program: {"handler": f"at_{program}.handler"},
    at_init=python.LANGUAGE.at_init,
    faults=python.LANGUAGE.faults,
    init_seconds=3.0,
    lacks={
        "test_only_its_own_code_is_there": "the client lies beside it",
        "test_a_large_event_and_a_large_answer": "outside AWS's managed runtimes it writes ASCII: six bytes a letter",
    },
)
