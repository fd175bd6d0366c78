"""A message is posted to a web server, as SNS does it.

A server's own 5xx, 429 and silence may pass; every other refusal does not. Nothing is followed to elsewhere, and the
cloud's own address is no endpoint but for its HTTP APIs and function URLs: whoever may subscribe must not speak with
the operator's voice.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

SECONDS_MAX = 15
PASSING = (429,)
OPEN_HOSTS = (".execute-api.", ".lambda-url.")
OWN_PREFIXES = ("/_pilotlight", "/_localstack")


class Failed(Exception):
    def __init__(self, text: str, *, passing: bool) -> None:
        super().__init__(text)
        self.passing = passing


def headers(kind: str, identity: str, topic: str, subscription: str) -> dict[str, str]:
    told = {
        "x-amz-sns-message-type": kind,
        "x-amz-sns-message-id": identity,
        "x-amz-sns-topic-arn": topic,
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
    return {**told, "x-amz-sns-subscription-arn": subscription} if subscription else told


async def post(url: str, told: Mapping[str, str], body: str, own: str) -> None:
    """Raises Failed."""
    await asyncio.to_thread(_post, url, told, body.encode(), own)


def _post(url: str, told: Mapping[str, str], body: bytes, own: str) -> None:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if _is_own(host, port, parts.path, own):
        raise Failed(f"{url} is the cloud itself", passing=False)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=SECONDS_MAX, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS_MAX)  # type: ignore[assignment]
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, dict(told))
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failed(f"{url}: {error}", passing=True) from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise Failed(f"{url} answered {status}", passing=status >= 500 or status in PASSING)


def _is_own(host: str, port: int, path: str, own: str) -> bool:
    if port != urlsplit(own).port:
        return False
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)}
    except OSError:
        return False
    local = any(address.startswith("127.") or address in ("::1", "0.0.0.0", "::") for address in addresses)
    local = local or host == urlsplit(own).hostname
    return local and (not any(mark in host for mark in OPEN_HOSTS) or path.startswith(OWN_PREFIXES))
