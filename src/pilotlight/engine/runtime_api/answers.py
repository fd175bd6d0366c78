"""What the APIs answer, in the words that AWS's own implementation uses. Pure.

AWS: the error types and messages are those of aws-lambda-runtime-interface-emulator, whose handlers are Lambda's own.
"""

from __future__ import annotations

import json

from pilotlight.engine.runtime_api.http import Exchange

_JSON = {"Content-Type": "application/json"}


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message


def accepted(exchange: Exchange) -> None:
    exchange.respond(202, b'{"status":"OK"}\n', _JSON)


def refused(exchange: Exchange, error: Refused) -> None:
    body = json.dumps({"errorMessage": error.message, "errorType": error.error_type}, separators=(",", ":"))
    exchange.respond(error.status, body.encode() + b"\n", _JSON)


def found(exchange: Exchange, body: dict[str, object], headers: dict[str, str] | None = None) -> None:
    exchange.respond(200, json.dumps(body, separators=(",", ":")).encode(), {**_JSON, **(headers or {})})


def not_found(exchange: Exchange) -> None:
    exchange.respond(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})


def not_allowed(exchange: Exchange) -> None:
    exchange.respond(405, b"")


def forbidden(error_type: str, message: str) -> Refused:
    return Refused(403, error_type, message)


def wrong_runtime_state(state: str, wanted: str) -> Refused:
    message = f"State transition from {state} to {wanted} failed for runtime. Error: State transition is not allowed"
    return forbidden("InvalidStateTransition", message)


def wrong_extension_state(state: str, wanted: str, extension: str) -> Refused:
    message = f"State transition from {state} to {wanted} failed for extension {extension}. "
    return forbidden("Extension.InvalidExtensionState", message + "Error: State transition is not allowed")


def wrong_request_id() -> Refused:
    return Refused(400, "InvalidRequestID", "Invalid request ID")


def too_large(bytes_max: int) -> Refused:
    return Refused(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({bytes_max} bytes).")


def wrong_response_mode() -> Refused:
    return Refused(400, "InvalidFunctionResponseMode", "Invalid function response mode")
