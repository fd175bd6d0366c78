"""What can go wrong in a state: an error's name, as `ErrorEquals` matches it, and its cause, for people."""

from __future__ import annotations


class StatesError(Exception):
    """A state failed."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class DefinitionInvalid(Exception):
    """A definition that AWS would refuse; each finding is a message with where it was found."""

    def __init__(self, findings: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{message} at {location}" for message, location in findings))
        self.findings = findings


UNCATCHABLE = ("States.DataLimitExceeded", "States.Runtime")
"""AWS: `States.ALL` matches neither of these; they can be named, except `States.Runtime`, which always fails."""


def matches(names: list[str], error: str) -> bool:
    """Whether one of `ErrorEquals` is meant for this error.

    AWS: `States.TaskFailed` stands for every error of a task but a time-out; `States.ALL` for nearly all.
    """
    for name in names:
        if name == error:
            return error != "States.Runtime"
        if name == "States.ALL" and error not in UNCATCHABLE:
            return True
        if name == "States.TaskFailed" and error != "States.Timeout" and error not in UNCATCHABLE:
            return True
        if name == "States.Timeout" and error == "States.HeartbeatTimeout":
            return True
    return False
