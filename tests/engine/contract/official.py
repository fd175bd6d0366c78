"""AWS's own runtime clients as custom runtimes: the programs of our bootstraps, and so the measure of them.

The client is a layer with a `bootstrap`, so that the package is the very same. All but Python's are large, or are
compiled, and are looked at where `PILOTLIGHT_TEST_CLIENTS` asks for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.engine.contract import Language, folder, java, node, python
from tests.engine.native import cached

SYSTEM_PYTHON = "/usr/bin/python3"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>x</groupId><artifactId>x</artifactId><version>1</version><dependencies><dependency>
<groupId>com.amazonaws</groupId><artifactId>aws-lambda-java-runtime-interface-client</artifactId>
<version>2.6.0</version></dependency></dependencies></project>"""


def get_python(target: Path) -> None:
    # For the interpreter that the sandbox sees, whichever runs the tests.
    version = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "--only-binary=:all:"]
    subprocess.run([*command, "--python-version", version, "awslambdaric"], check=True, capture_output=True)


def get_node(target: Path) -> None:
    target.mkdir()
    subprocess.run(["npm", "install", "--silent", "aws-lambda-ric"], cwd=target, check=True, capture_output=True)


def get_java(target: Path) -> None:
    target.mkdir()
    (target / "pom.xml").write_text(POM)
    copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={target}/lib"]
    subprocess.run(copy, cwd=target, check=True, capture_output=True)


def whole_java() -> str:
    """One that keeps its settings beside it, as a bundled one does. Debian keeps them in /etc, outside the sandbox."""
    for program in (*sorted(Path("/usr/lib/jvm").glob("*/bin/java")), Path("/opt/java/bin/java")):
        settings = program.parent.parent / "conf" / "security" / "java.security"
        if settings.is_file() and settings.resolve().is_relative_to(program.resolve().parent.parent):
            return str(program)
    pytest.skip("no Java of this host works without the host's /etc")


def layer(name: str, get: Callable[[Path], None], start: str, *, heavy: bool = True) -> Path:
    if heavy and not os.environ.get("PILOTLIGHT_TEST_CLIENTS"):
        pytest.skip("PILOTLIGHT_TEST_CLIENTS is not set: getting and compiling it takes a minute and more")
    made = folder(name)
    shutil.copytree(cached(f"ric-{name}", get), made / name, symlinks=True)
    (made / "bootstrap").write_text(f'#!/bin/sh\ncd "$LAMBDA_TASK_ROOT"\nhere=$(dirname "$0")/{name}\n{start}\n')
    (made / "bootstrap").chmod(0o755)
    return made


@cache
def python_client() -> Path:
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip("this system has no Python of its own")
    start = f'PYTHONPATH=$here exec {SYSTEM_PYTHON} -m awslambdaric "$_HANDLER"'
    return layer("awslambdaric", get_python, start, heavy=False)


@cache
def node_client() -> Path:
    return layer("aws-lambda-ric", get_node, 'exec node "$here/node_modules/.bin/aws-lambda-ric" "$_HANDLER"')


@cache
def java_client() -> Path:
    # Few hosts have AWS's locale, and without it the machine reads variables as ASCII: ours sees to that too.
    machine = f"LC_ALL=C.UTF-8 exec {whole_java()} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    program = 'com.amazonaws.services.lambda.runtime.api.client.AWSLambda "$_HANDLER"'
    return layer("java-ric", get_java, f'{machine} -cp "$LAMBDA_TASK_ROOT:$here/lib/*" {program}')


def official(base: Language, name: str, client: Callable[[], Path], **changes: object) -> Language:
    settings = {"name": name, "runtime": "provided.al2023", "managed": False, "client": client, "init_seconds": 3.0}
    return replace(base, **(settings | changes))  # type: ignore[arg-type]


LANGUAGES = [
    official(python.LANGUAGE, "awslambdaric", python_client),
    official(node.LANGUAGE, "aws-lambda-ric", node_client),
    official(java.LANGUAGE, "java-ric", java_client),
]
