"""Programs that people use with S3, in whole sessions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pilotlight.testing.cloud import Cloud

PARTS_BYTES = 20 * 1024 * 1024
AWS = Path(sys.executable).with_name("aws")


@pytest.mark.slow
@pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed beside this Python")
def test_aws_cli_syncs_copies_moves_and_removes(sqlite_only_cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "large").write_bytes(os.urandom(PARTS_BYTES))
    (folder / "a b+c.txt").write_text("odd")

    def aws(*arguments: str) -> str:
        done = subprocess.run(
            [str(AWS), "s3", *arguments], env={**os.environ, **sqlite_only_cloud.environment}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    aws("mb", "s3://session")
    aws("sync", str(folder), "s3://session/x")
    assert aws("sync", str(folder), "s3://session/x") == ""
    aws("cp", "s3://session/x/large", "s3://session/copy")
    aws("mv", "s3://session/copy", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (folder / "large").read_bytes()
    shutil.rmtree(folder)
    aws("sync", "s3://session/x", str(folder))
    assert (folder / "a b+c.txt").read_text() == "odd"
    aws("rb", "--force", "s3://session")
