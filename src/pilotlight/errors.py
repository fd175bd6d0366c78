"""Answers that are not the wished one.

An `AwsError` is part of a service's contract: its code and message are AWS's own and travel to the
caller. Any other exception is a bug or an outage, and never reaches a caller.
"""

from __future__ import annotations

from collections.abc import Mapping


class AwsError(Exception):
    """An answer from the service's model, or one of the errors common to all services.

    `code` is the name on the wire; where the model has a shape of that name or error code, its HTTP
    status wins over `status`. `members` are the shape's further members, such as `Reason`;
    `headers` are sent along.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})
        self.headers = dict(headers or {})


class NotImplementedHere(AwsError):
    """An operation, or a parameter, that Pilotlight does not have: refused by name."""

    def __init__(self, what: str) -> None:
        super().__init__("NotImplemented", f"Pilotlight does not support {what}. See the coverage table.", status=501)


class InternalFailure(AwsError):
    """Our bug, as the caller sees it."""

    def __init__(self) -> None:
        super().__init__(
            "InternalFailure", "The request processing has failed because of an unknown error.", status=500
        )
