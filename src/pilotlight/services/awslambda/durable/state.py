"""What an execution remembers: itself, and its operations. Values and their JSON, nothing that acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

OPERATIONS_MAX = 3000
STORED_BYTES_MAX = 100 * 1024 * 1024
PAYLOAD_BYTES_MAX = 1024 * 1024
"""AWS: of an operation, of an error, and of the result of an execution that was not invoked synchronously."""
RESULT_BYTES_MAX = 6 * 1024 * 1024
DAY_MS = 86_400_000
LIFE_MS_MAX = 366 * DAY_MS

CLOSED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})
"""Executions end with one of these; operations also with CANCELLED."""
ENDED = CLOSED | {"CANCELLED"}

Error = Mapping[str, Any]
"""`ErrorMessage`, `ErrorType`, `ErrorData` and `StackTrace`, none of them required."""


@dataclass(slots=True, kw_only=True)
class Operation:
    """One checkpointed operation. Times are cloud time."""

    id: str
    type: str
    position: int
    """The order in which operations began; the execution itself is number 0."""
    status: str = "STARTED"
    started_ms: int
    ended_ms: int | None = None
    parent: str = ""
    name: str = ""
    subtype: str = ""
    touched: int = 0
    """The execution's count of changes when this one last changed."""
    result: str | None = None
    error: Error | None = None
    replay_children: bool = False
    attempt: int = 0
    due_ms: int | None = None
    """When a wait ends, a step is tried again, or a callback has taken too long."""
    seconds: int = 0
    """Of a wait, and the longest time between two heartbeats of a callback."""
    heartbeat_due_ms: int | None = None
    callback: str = ""
    target: str = ""
    """A chained invoke's function, with its qualifier where it has one."""
    child: str = ""
    """The execution that a chained invoke began; of a function that is not durable none."""
    payload: str | None = None
    """What a chained invoke hands to its function."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def next_due_ms(self) -> int | None:
        times = [time for time in (self.due_ms, self.heartbeat_due_ms) if time is not None]
        return min(times) if times and not self.ended else None

    @property
    def size_bytes(self) -> int:
        return len(self.result or "") + len(str(self.error or "")) + len(self.payload or "")


@dataclass(slots=True, kw_only=True)
class Execution:
    """One durable execution."""

    arn: str
    account: str
    region: str
    function: str
    version: str
    """The one that was resolved when it began; all its invocations use it."""
    name: str
    id: str
    status: str = "RUNNING"
    input: str
    synchronous: bool
    client_context: str = ""
    timeout_seconds: int
    retention_days: int
    started_ms: int
    deadline_ms: int
    ended_ms: int | None = None
    result: str | None = None
    error: Error | None = None
    parent: str = ""
    """The execution whose chained invoke began this one …"""
    parent_operation: str = ""
    untold: bool = False
    """… and has not heard of its end."""

    invocation: str = ""
    """The one under way. Its checkpoint tokens are good, and no others."""
    sequence: int = 0
    """Counts the checkpoints."""
    wanted: bool = True
    """An invocation is owed."""
    cut: bool = False
    """A pause took the token from the invocation under way: the next one makes up for it."""
    retry_ms: int | None = None
    failures: int = 0
    """Invocations that failed, one after another …"""
    idle_answers: int = 0
    """… and those that answered PENDING without reason."""
    throttles: int = 0
    changes: int = 0
    """Counts the changes of operations …"""
    seen: int = 0
    """… and how many of them the handler was shown."""
    operations: int = 0
    stored_bytes: int = 0
    events: int = 0
    last_checkpoint: dict[str, Any] = field(default_factory=dict)
    """The last one that was accepted, for a client that asks again: its tokens and what it was shown."""
    pause: dict[str, Any] = field(default_factory=dict)
    last_switch: dict[str, Any] = field(default_factory=dict)
    """The client token of the last pause or resumption."""
    revision: int = 0

    @property
    def closed(self) -> bool:
        return self.status in CLOSED

    @property
    def function_arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.function}"

    @property
    def result_bytes_max(self) -> int:
        return RESULT_BYTES_MAX if self.synchronous else PAYLOAD_BYTES_MAX

    @property
    def expires_ms(self) -> int:
        """When its time is up. A paused clock does not help it beyond AWS's longest life."""
        return self.started_ms + LIFE_MS_MAX if self.pause.get("timeout") else self.deadline_ms


COLUMNS = ("arn", "account", "region", "function", "version", "name", "status", "started_ms", "untold", "revision")
COLUMNS_OF_TEXT = ("input",)
_OWN = tuple(one.name for one in fields(Execution) if one.name not in COLUMNS and one.name not in COLUMNS_OF_TEXT)


def body_of(execution: Execution) -> dict[str, Any]:
    """What has no column of its own."""
    return {name: getattr(execution, name) for name in _OWN}


def operation_body(operation: Operation) -> dict[str, Any]:
    return asdict(operation)


def size(text: str | None) -> int:
    return len(text.encode()) if text else 0
