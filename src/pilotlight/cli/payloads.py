"""`--payload`, as every command reads it."""

from __future__ import annotations

import sys


def read_payload(payload: str) -> str:
    """JSON as it is, `@FILE`, or `-` for standard input."""
    if payload == "-":
        return sys.stdin.read()
    if payload.startswith("@"):
        with open(payload[1:], encoding="utf-8") as file:
            return file.read()
    return payload
