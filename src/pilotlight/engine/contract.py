"""The engine's two sides: what Lambda asks of it, and what it needs from the world.

Everything that crosses is a value, so that one day an invocation may travel to another machine.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerImage:
    """An image that is here, and what of it is started."""

    layers: tuple[Path, ...]
    """The root's directories, the lowest first."""
    argv: tuple[str, ...]
    """Entry point and command, the function's own settings laid over the image's."""
    working_directory: str
    environment: Mapping[str, str]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionVersion:
    """One version of a function: all that is needed to run it. Equal `key`s are the same code and settings."""

    key: str
    """Changes whenever code, layers or configuration do: function ARN, version and revision."""
    arn: str
    """Unqualified function ARN."""
    account: str
    region: str
    name: str
    version: str
    """`$LATEST` or a number."""
    runtime: str
    """`python3.12` …"""
    handler: str
    code: Path
    """Directory with the unpacked package."""
    image: ContainerImage | None = None
    """Instead of code and layers: the runtime is `image`, and `code` is nothing."""
    layers: tuple[Path, ...] = ()
    """Directories with the unpacked layers, merged in this order under `/opt`."""
    role_arn: str = ""
    memory_mb: int = 128
    timeout_seconds: int = 3
    ephemeral_mb: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    log_group: str = ""
    log_format: Literal["Text", "JSON"] = "Text"
    application_log_level: str = ""
    system_log_level: str = ""
    tracing: Literal["PassThrough", "Active"] = "PassThrough"
    snap_start: bool = False
    """Initialised when it is published, and restored for its invocations: AWS's SnapStart."""
    internet: bool = True
    """False for a function in a VPC: it reaches its cloud, and nothing else."""


class ResponseSink(Protocol):
    """Whoever wants an answer while it is being made: Lambda's response streaming. Nothing here waits."""

    def begin(self, content_type: str, taken: Callable[[int], None]) -> None:
        """The handler has begun to stream. Not called where it answers at once: then the outcome has all of it.
        `taken(size)` is to be called as the reader takes what was written: until then no more than a window comes."""
        ...

    def write(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    request_id: str
    payload: bytes
    invoked_arn: str
    """The ARN as the handler's context shows it: with the qualifier that was invoked, if any."""
    deadline_ms: int | None = None
    """Wall time; None: the version's own timeout from when the handler starts."""
    trace_id: str = ""
    client_context: str = ""
    cognito_identity: str = ""
    limits: Limits | None = None
    provisioned_key: str = ""
    """Use the instances that were provisioned under this key first."""
    sink: ResponseSink | None = None
    """Where set, a handler that streams does so into it, and the outcome's payload is empty, or an error's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Concurrency at this moment, as Lambda's service computes it."""

    group: str
    """Its invocations are counted together: a function's ARN where concurrency is reserved, else account and region."""
    concurrent: int
    reason: Literal["ReservedFunctionConcurrentInvocationLimitExceeded", "ConcurrentInvocationLimitExceeded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an invocation ended. A function's own failure is an outcome, not an exception."""

    payload: bytes
    function_error: Literal["", "Unhandled", "Handled"] = ""
    log_tail: bytes = b""
    """The last 4 KiB of the invocation's log, for `LogType=Tail`."""
    duration_ms: float = 0.0
    billed_ms: int = 0
    init_ms: float | None = None
    """Set where this invocation was a cold start."""
    memory_used_mb: int = 0
    provisioned: bool = False


class Throttled(Exception):
    """No instance may be started or used now; `reason` is Lambda's `Reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RestoreFailed(Exception):
    """What a version runs after a restore raised, or took too long."""

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class RuntimeUnavailable(Exception):
    """The host has no interpreter for this runtime; the message says how to get one."""


class EntrypointInvalid(Exception):
    """The function's own program cannot be executed; the message is what its log and its invoker read."""


class IsolationUnavailable(Exception):
    """The host does not give what the sandbox needs; the message names it and its cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionStatus:
    requested: int
    available: int
    allocated: int
    status: Literal["IN_PROGRESS", "READY", "FAILED"]
    reason: str = ""


class Invoker(Protocol):
    """Whoever runs functions: this process's agent, or one reached over the network."""

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        """Run it; raises Throttled, RuntimeUnavailable, IsolationUnavailable or RestoreFailed."""
        ...

    async def provision(self, key: str, version: FunctionVersion, count: int) -> None:
        """Keep `count` initialised instances for `key` (an alias's or version's ARN); 0 lets them go.
        Returns at once; `provision_status` tells how far it is."""
        ...

    def provision_status(self, key: str) -> ProvisionStatus: ...

    def snapshot(self, version: FunctionVersion) -> None:
        """Have instances of this version (with `snap_start`) initialised for those who will invoke it."""
        ...

    def prepares(self, runtime: str) -> bool:
        """Whether functions of a runtime start faster after `prepare`."""
        ...

    def prepare(self, version: FunctionVersion) -> None:
        """Have made ahead what this version's instances start faster with. Returns at once."""
        ...

    async def retire(self, arn: str, keep_keys: Sequence[str] = ()) -> None:
        """End the idle instances of a function, but those of `keep_keys`; busy ones end after their invocation."""
        ...

    def running(self, group: str) -> int:
        """Invocations under way in a group of `Limits`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_ms: int


CredentialSource = Callable[[FunctionVersion], Awaitable[Credentials]]
"""Temporary credentials of a version's role; awaited at start-up of an instance."""


class LogSink(Protocol):
    def write(self, *, account: str, region: str, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        """Keep log lines: (wall time in milliseconds, text without its newline). Never blocks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceIdentity:
    """Who is behind a sandbox's endpoint. Only these credentials are accepted there."""

    instance: str
    account: str
    region: str
    function_arn: str
    access_key_id: str


class EndpointServer(Protocol):
    async def serve(
        self, listener: socket.socket, identity: Callable[[], InstanceIdentity | None]
    ) -> Callable[[], Awaitable[None]]:
        """Accept on a socket that listens inside a sandbox; `identity` is asked at each request.
        Returns what ends it."""
        ...
