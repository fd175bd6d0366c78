"""A cloud in a process of its own, as a test holds it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

READY_SECONDS = 60
STOP_SECONDS = 20
PAGE_SECONDS = 300


class CloudFailed(Exception):
    """It did not start, or refused; the message has what it said."""


class CloudClock:
    """Cloud time: schedules, delays, retries and retention go by it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def now_ms(self) -> int:
        return int(self._cloud.page("GET", "/_pilotlight/clock")["cloud_ms"])

    def freeze(self) -> None:
        self._cloud.page("POST", "/_pilotlight/clock", {"action": "freeze"})

    def resume(self) -> None:
        self._cloud.page("POST", "/_pilotlight/clock", {"action": "resume"})

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Move forward; what falls due on the way happens in order, and is done when this returns."""
        total = seconds + 60 * minutes + 3600 * hours + 86_400 * days
        self._cloud.page("POST", "/_pilotlight/clock", {"action": "advance", "seconds": total})


class Cloud:
    """Where the cloud is, and how to talk to it."""

    def __init__(self, endpoint: str, *, directory: Path, process: subprocess.Popen[str] | None = None) -> None:
        self.endpoint = endpoint
        self.directory = directory
        self.process = process
        self.clock = CloudClock(self)

    @property
    def environment(self) -> dict[str, str]:
        """What SDKs and the AWS CLI need."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self, service: str, *, region: str = "us-east-1", **options: Any) -> Any:
        """A boto3 client; `options` are boto3's own, such as other credentials."""
        return self._session(region, options).client(service, endpoint_url=self.endpoint, **options)

    def resource(self, service: str, *, region: str = "us-east-1", **options: Any) -> Any:
        return self._session(region, options).resource(service, endpoint_url=self.endpoint, **options)

    def _session(self, region: str, options: dict[str, Any]) -> Any:
        import boto3
        from botocore.config import Config

        options.setdefault("aws_access_key_id", "test")
        options.setdefault("aws_secret_access_key", "test")
        options.setdefault("config", Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}))
        return boto3.session.Session(region_name=region)

    def reset(self) -> None:
        """Forget everything; cloud time is wall time again."""
        self.page("POST", "/_pilotlight/reset", {})

    def page(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One of the cloud's own pages. Raises CloudFailed."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.endpoint + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PAGE_SECONDS) as response:
                result: dict[str, Any] = json.load(response)
                return result
        except urllib.error.HTTPError as error:
            with error:
                raise CloudFailed(f"{path} answered {error.code}: {error.read().decode(errors='replace')}") from None


@contextlib.contextmanager
def start(
    *, options: Sequence[str] = (), directory: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Cloud]:
    """Run `pilotlight up` on a free port. Without a directory, everything is forgotten at the end."""
    with contextlib.ExitStack() as stack:
        where = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pilotlight-test-")))
        cloud = launch(where, options=options, environment=environment)
        try:
            yield cloud
        finally:
            stop(cloud)


def launch(
    directory: Path, *, options: Sequence[str] = (), environment: Mapping[str, str] | None = None, port: int = 0
) -> Cloud:
    """Start a cloud and return when it is ready. Raises CloudFailed with what it said."""
    directory.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pilotlight",
        "up",
        "--port",
        str(port),
        "--data",
        str(directory / "data"),
        *options,
    ]
    with (directory / "cloud.log").open("a") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(environment or {})}
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.rstrip().endswith("Ready."):
        process.kill()
        process.wait()
        process.stdout.close()
        raise CloudFailed(f"the cloud did not start: {line}{(directory / 'cloud.log').read_text()[-2000:]}")
    endpoint = line.split(" at ")[1].split(",")[0]
    return Cloud(endpoint, directory=directory, process=process)


def stop(cloud: Cloud) -> None:
    """SIGTERM, and SIGKILL for what does not listen."""
    process = cloud.process
    if process is None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
