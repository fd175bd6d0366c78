"""How the commands reach the cloud: boto3 for AWS's own operations, plain HTTP for Pilotlight's pages."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.request
from typing import Any

from pilotlight.settings import PORT, REGION

PAGE_SECONDS = 120


class Unreachable(Exception):
    """No cloud answers; the message says how to start one."""


def endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL", f"http://127.0.0.1:{PORT}").rstrip("/")


def region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION


def client(service: str, region_name: str | None = None) -> Any:
    """A boto3 client of the cloud. Without credentials in the environment it is loopback's administrator."""
    import boto3
    from botocore.config import Config

    require_cloud()
    return boto3.client(
        service,
        endpoint_url=endpoint(),
        region_name=region_name or region(),
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
        aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}, read_timeout=920),
    )


def require_cloud() -> None:
    page("GET", "/_pilotlight/health")


def page(method: str, path: str, body: Any = None) -> dict[str, Any]:
    """One of the cloud's own pages, as JSON."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(endpoint() + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PAGE_SECONDS) as response:
            result: dict[str, Any] = json.load(response)
            return result
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = json.loads(text)["message"]
        raise Unreachable(f"{endpoint()} answered {error.code}: {text}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(
            f"no cloud answers at {endpoint()} ({reason}). Start one with `pilotlight up`, "
            "or set AWS_ENDPOINT_URL to where it runs."
        ) from None
