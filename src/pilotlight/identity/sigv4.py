"""AWS Signature Version 4, pure: what a request claims, and what its signature must be.

Nothing here knows keys, clocks or services' errors: `signatures.py` asks the questions in AWS's order and
words the refusals. Three forms carry a signature: the `Authorization` header, the query of a presigned URL,
and the chunks of an `aws-chunked` body (`chunked.py`).
"""

from __future__ import annotations

import hmac
from binascii import hexlify
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SIGNING_KEYS_MAX = 1024

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~/")


class Malformed(ValueError):
    """A signature that cannot be read. `kind` names what is wrong, the message holds the part."""

    def __init__(self, kind: str, part: str = "") -> None:
        super().__init__(f"{kind}: {part}")
        self.kind = kind
        self.part = part


@dataclass(frozen=True, slots=True)
class Scope:
    """A credential scope: `AKID/20261123/us-east-1/s3/aws4_request`."""

    access_key_id: str
    date: str
    region: str
    service: str
    terminator: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a request says about its signature, not yet believed."""

    scope: Scope
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    """`20261123T120000Z`"""
    presigned: bool = False
    expires_seconds: int = 0
    """A presigned URL's life."""
    token: str = ""
    """The session token, of temporary credentials."""


class SigningKeys:
    """Derived keys, which are the same for a day: four HMACs saved on each request."""

    def __init__(self, limit: int = SIGNING_KEYS_MAX) -> None:
        self._keys: dict[tuple[str, str, str, str], bytes] = {}
        self._limit = limit

    def get(self, secret: str, scope: Scope) -> bytes:
        index = (secret, scope.date, scope.region, scope.service)
        key = self._keys.get(index)
        if key is None:
            key = signing_key(secret, scope)
            if len(self._keys) >= self._limit:
                del self._keys[next(iter(self._keys))]
            self._keys[index] = key
        return key


def signing_key(secret: str, scope: Scope) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (scope.date, scope.region, scope.service, scope.terminator):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def parse_scope(credential: str) -> Scope:
    # An access key id may hold slashes nowhere, but minio's and others' do: the scope is the last four parts.
    parts = credential.rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        raise Malformed("credential", credential)
    return Scope(*parts)


def parse_header(headers: Mapping[str, str]) -> Claim:
    """The claim in `Authorization`. Raises Malformed with the names of all that is missing."""
    text = headers["authorization"]
    algorithm, _, rest = text.partition(" ")
    if algorithm != ALGORITHM:
        raise Malformed("algorithm", text)
    fields: dict[str, str] = {}
    for item in rest.split(","):
        name, equals, value = item.strip().partition("=")
        if not equals or " " in name:
            raise Malformed("pair", item.strip().split(" ")[-1] if " " in item.strip() else item.strip())
        # `Credential= AKIA…` reads as a pair and then a part without an equals sign.
        if value.startswith(" "):
            raise Malformed("pair", value.strip())
        fields[name] = value
    timestamp = headers.get("x-amz-date", "") or _timestamp_of_date(headers.get("date", ""))
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not fields.get(name)]
    if not timestamp:
        missing.append("Date")
    if missing:
        raise Malformed("missing", ",".join(missing))
    return Claim(
        scope=parse_scope(fields["Credential"]),
        signed_headers=tuple(fields["SignedHeaders"].split(";")),
        signature=fields["Signature"],
        timestamp=timestamp,
        token=headers.get("x-amz-security-token", ""),
    )


def parse_presigned(query: Mapping[str, str]) -> Claim:
    """The claim of a presigned URL, from its decoded query."""
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise Malformed("algorithm", query.get("X-Amz-Algorithm", ""))
    names = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature")
    missing = [name for name in names if not query.get(name)]
    if missing:
        raise Malformed("missing", ",".join(missing))
    expires = query.get("X-Amz-Expires", "")
    try:
        expires_seconds = int(expires) if expires else -1
    except ValueError:
        raise Malformed("expires", expires) from None
    return Claim(
        scope=parse_scope(query["X-Amz-Credential"]),
        signed_headers=tuple(query["X-Amz-SignedHeaders"].split(";")),
        signature=query["X-Amz-Signature"],
        timestamp=query["X-Amz-Date"],
        presigned=True,
        expires_seconds=expires_seconds,
        token=query.get("X-Amz-Security-Token", ""),
    )


@lru_cache(64)
def timestamp_ms(timestamp: str) -> int:
    """Milliseconds of `20261123T120000Z`. Raises Malformed."""
    if len(timestamp) != 16 or timestamp[8] != "T" or timestamp[15] != "Z":
        raise Malformed("date", timestamp)
    try:
        moment = datetime(
            int(timestamp[:4]), int(timestamp[4:6]), int(timestamp[6:8]),
            int(timestamp[9:11]), int(timestamp[11:13]), int(timestamp[13:15]), tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        raise Malformed("date", timestamp) from None
    return int(moment.timestamp()) * 1000


def timestamp_of(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


def _timestamp_of_date(text: str) -> str:
    """A `Date` header, in HTTP's form or in SigV4's own."""
    if not text or text.endswith("Z"):
        return text
    try:
        return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").strftime("%Y%m%dT%H%M%SZ")
    except ValueError:
        return ""


def canonical_path(path: str, *, s3: bool) -> str:
    """S3 encodes the decoded path once and keeps `//` and `..`; everyone else normalises and encodes twice."""
    if s3:
        return path if _PLAIN.issuperset(path) else quote(unquote_to_bytes(path), safe="/~")
    if path == "/" or not path:
        return "/"
    if "//" in path or "/." in path:
        path = _normalised(path)
    return path if _PLAIN.issuperset(path) else quote(path, safe="/~")


def _normalised(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part and part != ".":
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def canonical_query(query: str) -> str:
    """Sorted by encoded name and value, without the signature itself."""
    if not query:
        return ""
    pairs = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name and name != "X-Amz-Signature":
            pairs.append((_encoded(name), _encoded(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def _encoded(text: str) -> str:
    """As AWS would have encoded it, however the client did."""
    if _PLAIN.issuperset(text) and "/" not in text:
        return text
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="~")


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], claim: Claim, payload_hash: str, *, s3: bool
) -> str:
    """The text whose hash is signed. A signed header that was not sent counts as empty."""
    lines = [method, canonical_path(path, s3=s3), canonical_query(query)]
    for name in claim.signed_headers:
        value = headers.get(name, "")
        lines.append(f"{name}:{' '.join(value.split())}")
    lines += ("", ";".join(claim.signed_headers), payload_hash)
    return "\n".join(lines)


def string_to_sign(claim: Claim, canonical: str) -> str:
    digest = sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{claim.timestamp}\n{claim.scope}\n{digest}"


def sign(key: bytes, text: str) -> str:
    return hexlify(hmac.digest(key, text.encode(), "sha256")).decode()
