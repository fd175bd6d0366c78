"""Names that travel: ARNs of executions, checkpoint tokens, callback ids."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

EXECUTION = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):function:(?P<function>[a-zA-Z0-9_-]+):"
    r"(?P<version>\$LATEST(?:\.PUBLISHED)?|[0-9]+)/durable-execution/(?P<name>[a-zA-Z0-9_-]+)/(?P<id>[a-zA-Z0-9_-]+)"
)


@dataclass(frozen=True, slots=True)
class CheckpointToken:
    """`invocation` is random: who has not been handed a token cannot make one."""

    execution: str
    """The execution's own id."""
    invocation: str
    sequence: int

    def __str__(self) -> str:
        return _encode(f"{self.execution}/{self.invocation}/{self.sequence}")

    @classmethod
    def parse(cls, text: str) -> CheckpointToken | None:
        parts = _decode(text).split("/")
        if len(parts) != 3 or not parts[2].isdigit():
            return None
        return cls(parts[0], parts[1], int(parts[2]))


@dataclass(frozen=True, slots=True)
class CallbackId:
    """Names the execution and the operation; `secret` keeps others from guessing it."""

    execution: str
    """ARN."""
    operation: str
    secret: str

    def __str__(self) -> str:
        return _encode(f"{self.execution}|{self.operation}|{self.secret}")

    @classmethod
    def parse(cls, text: str) -> CallbackId | None:
        parts = _decode(text).split("|")
        if len(parts) != 3 or EXECUTION.fullmatch(parts[0]) is None:
            return None
        return cls(*parts)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
