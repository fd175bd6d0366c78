"""What Lambda's operations are handed: the seams to the rest of the node."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pilotlight.clock import Clock
from pilotlight.engine.contract import ContainerImage, Invoker
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.contract import Cloud
from pilotlight.storage import Database


class BadPackage(Exception):
    """A zip that cannot be used; the message says why, for our own log."""


class LayerUnavailable(Exception):
    """A layer that its source knows and cannot make now; the message says why, and how to provide it."""


@dataclass(frozen=True, slots=True)
class StoredPackage:
    key: str
    """Where the package store finds it again."""
    sha256: str
    """Base64, as `CodeSha256` shows it."""
    zipped_bytes: int
    unzipped_bytes: int


class PackageStore(Protocol):
    """Keeps packages: the zip as it was sent, and a directory with its content."""

    async def put(self, data: bytes) -> StoredPackage:
        """Durable when it returns. Raises BadPackage for what is no zip, or not a safe one."""
        ...

    async def read(self, key: str) -> bytes: ...

    async def directory(self, key: str) -> Path:
        """The unpacked content, made again where it is missing."""
        ...


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that a registry has, pinned by its digest."""

    uri: str
    """As the caller named it."""
    resolved: str
    """The same with the digest."""
    digest: str


class ImageRefused(Exception):
    """An image that cannot be had. `code` is Lambda's reason code, or `MediaType` or `Registry`."""

    def __init__(self, code: str, message: str, *, repository: str = "", registry: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.repository = repository
        """Of ECR, where the image is in one; `registry` is its account."""
        self.registry = registry


class ImageStore(Protocol):
    """Container images: asked for at their registry, and kept on this machine."""

    async def find(self, uri: str, service: Caller) -> FoundImage:
        """Raises ImageRefused."""
        ...

    async def pull(self, image: FoundImage, service: Caller) -> None:
        """Until all of it is here. Raises ImageRefused."""
        ...

    async def root(self, image: FoundImage, service: Caller, config: Mapping[str, Any]) -> ContainerImage:
        """What the engine runs; pulled again where it is no longer here. Raises ImageRefused."""
        ...


class LayerSource(Protocol):
    """Layers of other accounts, made here: `Klayers-p312-Pillow` from the package index."""

    async def fetch(self, arn: str, runtime: str) -> bytes | None:
        """A zip, or None for a layer that this source does not know. Raises LayerUnavailable."""
        ...


class Roles(Protocol):
    """What IAM says of roles."""

    async def may_assume(self, role_arn: str, service: str) -> bool:
        """Whether the role exists and its trust policy lets the service assume it."""
        ...


class RuntimeNotes(Protocol):
    """What this machine has to say of runtimes."""

    async def look_for(self, runtime: str) -> None:
        """So that `warning` knows."""
        ...

    def warning(self, runtime: str) -> str:
        """That another version serves it, or none; else empty."""
        ...


class Links(Protocol):
    """Web addresses that need no signature and end soon: `GetFunction`'s `Code.Location`."""

    def link(self, package: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    database: Database
    cloud: Cloud
    clock: Clock
    ids: Ids
    packages: PackageStore
    images: ImageStore
    invoker: Invoker
    roles: Roles
    runtimes: RuntimeNotes
    links: Links
    layer_source: LayerSource
    account_concurrency: int
    port: int
    """Where the cloud listens: a part of every function URL."""
    wake_delivery: Callable[[], None]
    """Called after an asynchronous invocation was accepted."""
    wake_durable: Callable[[], None]
    """Called after a durable execution has changed: when it next falls due may be another time."""
    wake_pulls: Callable[[], None]
    """Called after a function of an image was made or changed."""
    wake_mappings: Callable[[], None]
    """Called after an event source mapping was made or changed."""
    wake_provisioning: Callable[[], None]
    """Called after provisioned concurrency, or what it stands on, has changed."""
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    """Starts a task that outlives the request: a streamed invocation goes on when its reader is gone."""


def timestamp(now_ms: int) -> str:
    """As Lambda writes times: `2026-01-31T12:00:00.000+0000`."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}+0000"
