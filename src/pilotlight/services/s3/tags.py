"""Tag sets, of buckets and of objects: as lists in requests, as a query string in the header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from pilotlight.errors import AwsError
from pilotlight.services.s3 import errors

OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50
KEY_CHARS_MAX = 128
VALUE_CHARS_MAX = 256
_ALLOWED = re.compile(r"[\w\s+\-=._:/@]*")


def read_set(given: Sequence[Mapping[str, str]], *, limit: int) -> dict[str, str]:
    """A checked tag set. Raises InvalidTag or BadRequest."""
    if len(given) > limit:
        kind = "Object" if limit == OBJECT_TAGS_MAX else "Bucket"
        raise AwsError("BadRequest", f"{kind} tags cannot be greater than {limit}")
    tags: dict[str, str] = {}
    for tag in given:
        key, value = tag["Key"], tag["Value"]
        if key in tags:
            raise errors.invalid_tag("Cannot provide multiple Tags with the same key", TagKey=key)
        if not 1 <= len(key) <= KEY_CHARS_MAX or not _ALLOWED.fullmatch(key):
            raise errors.invalid_tag("The TagKey you have provided is invalid", TagKey=key)
        if len(value) > VALUE_CHARS_MAX or not _ALLOWED.fullmatch(value):
            raise errors.invalid_tag("The TagValue you have provided is invalid", TagKey=key, TagValue=value)
        if key.startswith("aws:"):
            raise errors.invalid_tag("System tags cannot be added/updated by requester", TagKey=key)
        tags[key] = value
    return tags


def read_header(text: str | None) -> dict[str, str]:
    """`x-amz-tagging`: `a=1&b=2`."""
    if not text:
        return {}
    pairs = parse_qsl(text, keep_blank_values=True)
    if len({key for key, _ in pairs}) != len(pairs):
        raise errors.invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            "x-amz-tagging",
            text,
        )
    return read_set([{"Key": key, "Value": value} for key, value in pairs], limit=OBJECT_TAGS_MAX)


def as_set(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
