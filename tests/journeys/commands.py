"""Pilotlight's commands, as a user types them, and the article's samples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pilotlight.testing.cloud import Cloud

SAMPLES = Path(os.environ.get("PILOTLIGHT_ACCEPTANCE", Path(__file__).parents[3] / "shared" / "acceptance"))


def attempt(cloud: Cloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **cloud.environment}
    command = [sys.executable, "-m", "pilotlight", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def pilotlight(cloud: Cloud, *arguments: str) -> str:
    done = attempt(cloud, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
