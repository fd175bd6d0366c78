"""The rootless road, as an ordinary user takes it: parts of the suite run again without root, and `pilotlight up`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import ordinary

pytestmark = [
    pytest.mark.linux,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become an ordinary user"),
]
SECONDS = 240
HANDLER = """
import os, tempfile, urllib.request
def handler(event, context):
    with open(tempfile.gettempdir() + "/x", "w") as file:
        file.write("kept")
    status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
    import boto3
    names = [one["FunctionName"] for one in boto3.client("lambda").list_functions()["Functions"]]
    return {"uid": os.getuid(), "capabilities": status["CapBnd"], "seccomp": status["Seccomp"], "functions": names}
"""
ALLOW = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [ALLOW]})
LIST = {"Effect": "Allow", "Action": "lambda:ListFunctions", "Resource": "*"}
RIGHTS = json.dumps({"Version": "2012-10-17", "Statement": [LIST]})


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path that a stranger can walk to."""
    with tempfile.TemporaryDirectory(prefix="pl-rootless-") as directory:
        yield Path(directory)


def as_ordinary(home: Path, *arguments: str) -> None:
    home.chmod(0o755)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = ordinary.run(argv, home=home / "home", seconds=SECONDS)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_the_attacks_fail_without_root_too(home: Path) -> None:
    as_ordinary(home, "tests/faults/test_sandbox_attacks.py", "tests/faults/test_kernel_attacks.py")


def test_nothing_is_stolen_without_root_either(home: Path) -> None:
    as_ordinary(home, "tests/faults/test_theft.py")


def test_the_engines_contract_holds_without_root(home: Path) -> None:
    files = ("tests/engine/test_instances.py", "tests/engine/test_python_failures.py")
    as_ordinary(home, *files, "-k", "namespaces and not exec")


def test_a_cloud_runs_functions_without_root(home: Path) -> None:
    home.chmod(0o755)
    argv = [sys.executable, "-m", "pilotlight", "up", "--port", "0", "--data", str(home / "home" / "data")]
    process = subprocess.Popen(
        ordinary.command(argv, home=home / "home"),
        env=ordinary.environment(home / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        endpoint, said = _ready(process)
        answer = _deploy_and_invoke(endpoint)
        assert answer == {"uid": 993, "capabilities": "0" * 16, "seccomp": "2", "functions": ["one"]}
        assert "memory is not limited as configured" in said, "what is lost is said in the log"
    finally:
        process.terminate()
        process.communicate(timeout=20)
    assert not _processes_of(ordinary.UID), "nothing is left"


def _ready(process: subprocess.Popen[str]) -> tuple[str, str]:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.endswith("Ready.\n"):
            return "http" + line.split("http", 1)[1].split()[0].rstrip(".,"), said
    raise AssertionError(said)


def _deploy_and_invoke(endpoint: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    iam, functions = (boto3.client(name, endpoint_url=endpoint, **keys) for name in ("iam", "lambda"))
    iam.create_role(RoleName="one", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="one", PolicyName="list", PolicyDocument=RIGHTS)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", HANDLER)
    functions.create_function(
        FunctionName="one",
        Runtime=f"python3.{sys.version_info.minor}",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/one",
        Code={"ZipFile": data.getvalue()},
        Timeout=30,
        MemorySize=256,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="one")
    for _ in range(3):
        answer = json.load(functions.invoke(FunctionName="one")["Payload"])
    return answer


def _processes_of(uid: int) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid == uid:
                found.append((path / "cmdline").read_text().replace("\0", " "))
    return found
