"""What an operator sets: who is let in, and what is said of less isolation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.clouds import ISOLATION

from pilotlight.testing.cloud import start

pytestmark = pytest.mark.slow


def test_where_credentials_are_enforced_only_issued_ones_are_let_in(tmp_path: Path) -> None:
    with start(options=[*ISOLATION, "--iam=enforce"], directory=tmp_path) as cloud:
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            cloud.client("sts").get_caller_identity()
        path = tmp_path / "data" / "root-credentials"
        assert path.stat().st_mode & 0o077 == 0
        key, secret = (line.partition("=")[2] for line in path.read_text().split())
        root = cloud.client("sts", aws_access_key_id=key, aws_secret_access_key=secret)
        assert root.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
        assert secret not in (tmp_path / "cloud.log").read_text()


def test_less_isolation_is_said_everywhere(tmp_path: Path) -> None:
    with start(options=["--isolation=none"], directory=tmp_path) as cloud:
        assert cloud.page("GET", "/_pilotlight/health")["isolation"] == "none"
        assert "WITHOUT isolation" in cloud.page("GET", "/_pilotlight/status")["warnings"][0]
        assert "WITHOUT isolation" in (tmp_path / "cloud.log").read_text()


def test_others_are_let_in_only_with_enforced_credentials(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pilotlight", "up", "--port", "0", "--data", str(tmp_path), "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--iam=enforce" in done.stderr
