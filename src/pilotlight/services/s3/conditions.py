"""May this request proceed, and which bytes does it want? Pure: conditions, ranges and parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.services.s3 import errors

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def seconds_of(moment_ms: int) -> datetime:
    """S3's times have no fractions of a second."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC)


def http_date(moment_ms: int) -> str:
    return seconds_of(moment_ms).strftime("%a, %d %b %Y %H:%M:%S GMT")


def _matches(header: str, etag: str) -> bool:
    names = [name.strip().removeprefix("W/").strip('"') for name in header.split(",")]
    return "*" in names or etag in names


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def check_read(request: Mapping[str, Any], *, etag: str, modified_ms: int, now_ms: int, prefix: str = "") -> None:
    """GetObject's and HeadObject's conditions, and with `prefix="CopySource"` those of a copy's source.

    AWS: a true If-Match wins over a failed If-Unmodified-Since, and a failed If-None-Match over a true
    If-Modified-Since (documented with GetObject). A date in the future is ignored for If-Modified-Since.
    """
    modified = seconds_of(modified_ms)
    if_match = request.get(f"{prefix}IfMatch")
    if_none_match = request.get(f"{prefix}IfNoneMatch")
    unmodified_since = request.get(f"{prefix}IfUnmodifiedSince")
    modified_since = request.get(f"{prefix}IfModifiedSince")
    names = "x-amz-copy-source-" if prefix else ""
    if if_match is not None:
        if not _matches(if_match, etag):
            raise errors.precondition_failed(f"{names}If-Match")
    elif unmodified_since is not None and modified > _aware(unmodified_since):
        raise errors.precondition_failed(f"{names}If-Unmodified-Since")
    unchanged = ""
    if if_none_match is not None:
        unchanged = "If-None-Match" if _matches(if_none_match, etag) else ""
    elif modified_since is not None:
        since = _aware(modified_since)
        unchanged = "If-Modified-Since" if modified <= since and since <= seconds_of(now_ms) else ""
    if unchanged and prefix:
        raise errors.precondition_failed(f"{names}{unchanged}")
    if unchanged:
        raise errors.not_modified({"etag": f'"{etag}"', "last-modified": http_date(modified_ms)})


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """What must hold of a key at the moment that it is written."""

    if_match: str | None = None
    if_none_match: bool = False

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> WriteCondition:
        if_match, if_none_match = request.get("IfMatch"), request.get("IfNoneMatch")
        if if_match is not None and if_none_match is not None:
            raise errors.header_not_implemented(
                "If-Match,If-None-Match", "Multiple conditional request headers present in the request"
            )
        if if_none_match is not None and if_none_match != "*":
            raise errors.header_not_implemented("If-None-Match", "We don't accept the provided value of If-None-Match")
        if if_match == "*":
            raise errors.header_not_implemented("If-Match", "We don't accept the provided value of If-Match header")
        return cls(if_match.strip().strip('"') if if_match is not None else None, if_none_match is not None)

    def check(self, key: str, etag: str | None) -> None:
        """`etag` is the current object's; None where there is none, or a delete marker."""
        if self.if_none_match and etag is not None:
            raise errors.precondition_failed("If-None-Match")
        if self.if_match is not None and etag is None:
            raise errors.no_such_key(key)
        if self.if_match is not None and etag != self.if_match:
            raise errors.precondition_failed("If-Match")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `end`, the latter not included."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def read_range(header: str | None, size: int) -> Span | None:
    """The one range that is asked for. None for the whole object: also where the header is malformed, or has
    several ranges, which S3 ignores."""
    if header is None:
        return None
    matched = _RANGE.fullmatch(header.strip())
    if matched is None or matched.group(0) == "bytes=-":
        return None
    first, last = matched.groups()
    if not first:
        if int(last) == 0 or size == 0:
            raise errors.invalid_range(header, size)
        return Span(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise errors.invalid_range(header, size)
    return Span(int(first), min(size, int(last) + 1) if last else size)


def copy_range(header: str, size: int) -> Span:
    """`x-amz-copy-source-range`: stricter, both ends must be there and inside the source."""
    matched = re.fullmatch(r"bytes=(\d+)-(\d+)", header)
    if matched is None or int(matched.group(2)) < int(matched.group(1)):
        raise errors.invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            header,
        )
    first, last = int(matched.group(1)), int(matched.group(2))
    if last >= size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise errors.invalid_argument(message, "x-amz-copy-source-range", header)
    return Span(first, last + 1)
