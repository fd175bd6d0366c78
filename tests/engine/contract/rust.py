"""The contract's handlers in Rust: a program for `provided.al2023`, with AWS's own client library in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.engine import native
from tests.engine.contract import Language, packed


@cache
def code() -> Path:
    return packed(native.rust("contract"))


LANGUAGE = Language(
    name="rust",
    runtime="provided.al2023",
    executable="cargo",
    file="bootstrap",
    handler="bootstrap",
    managed=False,
    program="",
    code=code,
    at_init={name: name for name in ("exit", "hang", "stream")},
    select=lambda program: {"environment": {"AT_INIT": program}},
    faults={"raise": "Boom"},
    lacks={
        "test_letters_beyond_ascii_in_what_the_client_sent": "AWS's library ends when it meets one in a header",
        "test_an_error_has_its_type_message_and_trace": "an error that is returned has no trace in Rust",
        "test_an_error_while_loading": "an error at the start is an exit in Rust",
        "test_a_handler_that_is_not_there": "a program does not look at the handler's name",
        "test_what_cannot_be_written_as_json": "AWS's library ends with the error: an exit",
    },
)
