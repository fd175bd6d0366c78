"""What a subscription to telemetry or logs asks for, checked as AWS does. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

TELEMETRY_VERSIONS = ("2022-07-01", "2022-12-13", "2025-01-29")
LOGS_VERSIONS = ("2020-08-15", "2021-03-18")
TYPES = ("platform", "function", "extension")
HOSTS = ("sandbox.localdomain", "sandbox")
"""AWS: telemetry stays inside the sandbox."""
BOUNDS = {"maxItems": (1000, 10000, 10000), "maxBytes": (262_144, 1_048_576, 262_144), "timeoutMs": (25, 30_000, 1000)}
"""AWS: the least, the most, and what it is where nothing is said."""


class Invalid(Exception):
    """A 400 with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    name: str
    logs: bool
    """Of the older Logs API, whose records are others."""
    version: str
    types: tuple[str, ...]
    protocol: Literal["HTTP", "TCP"]
    port: int
    method: str = "POST"
    path: str = "/"
    max_items: int
    max_bytes: int
    timeout_ms: int


def parse(body: bytes, name: str, *, logs: bool) -> Subscription:
    """Raises Invalid."""
    try:
        told = json.loads(body)
    except ValueError as error:
        raise Invalid(f"failed to parse JSON: {error}") from None
    if not isinstance(told, dict):
        raise Invalid("the request is not an object")
    versions = LOGS_VERSIONS if logs else TELEMETRY_VERSIONS
    version = told.get("schemaVersion", LOGS_VERSIONS[0] if logs else "")
    if version not in versions:
        raise Invalid(f"schemaVersion should be one of {', '.join(versions)}")
    types = told.get("types")
    if not isinstance(types, list) or not types:
        raise Invalid("types should not be empty")
    if any(kind not in TYPES for kind in types):
        raise Invalid(f"types should be of {', '.join(TYPES)}")
    asked: dict[str, Any] = {**_destination(told.get("destination")), **_buffering(told.get("buffering") or {})}
    return Subscription(name=name, logs=logs, version=str(version), types=tuple(dict.fromkeys(types)), **asked)


def _destination(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise Invalid("destination is missing")
    protocol = told.get("protocol")
    if protocol == "TCP":
        port = told.get("port")
        if not isinstance(port, int) or not 0 < port < 65536:
            raise Invalid("port is not provided")
        return {"protocol": "TCP", "port": port}
    if protocol != "HTTP":
        raise Invalid("protocol should be HTTP or TCP")
    method = told.get("method", "POST")
    if method not in ("POST", "PUT"):
        raise Invalid("method should be POST or PUT")
    if told.get("encoding", "JSON") != "JSON":
        raise Invalid("encoding should be JSON")
    try:
        uri = urlsplit(str(told.get("URI", told.get("uri", ""))))
        port = uri.port
    except ValueError as error:
        raise Invalid(f"URI is invalid: {error}") from None
    if uri.scheme != "http" or uri.hostname not in HOSTS:
        raise Invalid(f"URI should be http://{HOSTS[0]}:port")
    if not port:
        raise Invalid("URI port is not provided")
    path = (uri.path or "/") + (f"?{uri.query}" if uri.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise Invalid("URI is invalid")
    return {"protocol": "HTTP", "port": port, "method": method, "path": path}


def _buffering(told: Any) -> dict[str, int]:
    if not isinstance(told, dict):
        raise Invalid("buffering is not an object")
    found = {}
    for member, name in (("maxItems", "max_items"), ("maxBytes", "max_bytes"), ("timeoutMs", "timeout_ms")):
        least, most, usual = BOUNDS[member]
        value = told.get(member, usual)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(f"{member} should be between {least} and {most}")
        found[name] = value
    return found
