"""Primary keys as bytes that a database can compare.

A partition's bytes begin with a hash, so that a scan visits partitions in an order of no meaning (as DynamoDB's
does), and parallel scans divide a table into equal ranges. Within a partition, items sort by their sort key's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pilotlight.services.dynamodb.numbers import encode_number

HASH_BYTES = 4
HASHES = 1 << (8 * HASH_BYTES)
PARTITION_KEY_BYTES_MAX = 2048
SORT_KEY_BYTES_MAX = 1024
KEY_TYPES = ("S", "N", "B")


def encode(value: Mapping[str, Any]) -> bytes:
    kind, content = next(iter(value.items()))
    if kind == "S":
        encoded: bytes = content.encode()
        return encoded
    if kind == "N":
        return encode_number(content)
    return bytes(content)


def partition(value: Mapping[str, Any]) -> bytes:
    encoded = encode(value)
    return hashlib.blake2b(encoded, digest_size=HASH_BYTES).digest() + encoded


def segment(number: int, total: int) -> tuple[bytes, bytes | None]:
    """The partitions of one segment of a parallel scan: from the first, to before the second (None: to the end)."""
    start, end = HASHES * number // total, HASHES * (number + 1) // total
    return start.to_bytes(HASH_BYTES, "big"), None if end >= HASHES else end.to_bytes(HASH_BYTES, "big")


def after_prefix(prefix: bytes) -> bytes | None:
    """The first bytes that sort behind everything that begins with `prefix`; None where there are none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None
