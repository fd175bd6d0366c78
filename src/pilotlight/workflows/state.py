"""What is remembered of a running execution, as values that JSON can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Waiting = Literal["", "task", "token", "timer", "retry", "children"]
Definition = Mapping[str, Any]
Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


@dataclass(slots=True)
class Thread:
    """One line of states: the execution's own, or that of a branch or an iteration."""

    id: int
    scope: list[str | int]
    """Where its states stand in the definition: `["States", "Fan", "Branches", 0]`; empty at the top."""
    state: str
    input: Any
    """The state's input, before anything is chosen from it."""
    parent: int = 0
    index: int = 0
    """Which branch or item of the parent's state it is."""
    item: Any = None
    """For an iteration: the item's value."""
    waiting: Waiting = ""
    due_ms: int | None = None
    """When it goes on by itself: a wait, a retry, or a task's time-out."""
    attempt: int = 0
    """Counts the tasks that it scheduled: answers to an earlier one come too late."""
    retry_count: int = 0
    retries: dict[str, int] = field(default_factory=dict)
    """By retrier: how often it was used in this state."""
    entered_event: int = 0
    entered_ms: int = 0
    last_event: int = 0
    variables: dict[str, Any] = field(default_factory=dict)
    parameters: Any = None
    """Of the task under way, so that it can be called again after a crash."""
    heartbeat_seconds: float | None = None
    heartbeat_ms: int | None = None
    """When the next heartbeat is overdue."""
    results: dict[str, Any] = field(default_factory=dict)
    """By branch or item: what those that have ended gave."""
    children: list[int] = field(default_factory=list)
    items: list[Any] | None = None
    """Inputs of all branches or iterations of the state that is under way."""
    begun: int = 0
    """How many of them were started."""

    def next_ms(self) -> int | None:
        moments = [one for one in (self.due_ms, self.heartbeat_ms) if one is not None]
        return min(moments) if moments else None

    def to_json(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}


@dataclass(frozen=True, slots=True)
class TaskCall:
    """Work for the world outside: call a resource for a thread."""

    thread: int
    attempt: int
    resource: str
    parameters: Any
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the context object says of the execution."""

    arn: str
    name: str
    role_arn: str
    started: str
    """ISO 8601."""
    machine_arn: str
    machine_name: str
    region: str
    input: Any
    secret: str
    """What makes this execution's task tokens impossible to guess."""
    redrive_count: int = 0
