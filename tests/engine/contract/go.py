"""The contract's handlers in Go: a program for `provided.al2023`, with AWS's own client library in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.engine import native
from tests.engine.contract import Language, packed


@cache
def code() -> Path:
    return packed(native.go("contract"))


LANGUAGE = Language(
    name="go",
    runtime="provided.al2023",
    executable="go",
    file="bootstrap",
    handler="bootstrap",
    managed=False,
    program="",
    code=code,
    at_init={name: name for name in ("exit", "hang")},
    select=lambda program: {"environment": {"AT_INIT": program}},
    faults={"raise": "Boom", "unserialisable": "UnsupportedTypeError", "aborted": "exit status 2"},
    lacks={
        "test_an_error_has_its_type_message_and_trace": "an error that is returned has no trace in Go",
        "test_an_error_is_in_the_log": "AWS's library tells the platform of errors, and not the log",
        "test_the_trace_is_in_the_environment_while_it_is_invoked": "AWS's library leaves the last one there",
        "test_an_error_while_loading": "a panic at the start is an exit in Go",
        "test_a_handler_that_is_not_there": "a program does not look at the handler's name",
    },
)
