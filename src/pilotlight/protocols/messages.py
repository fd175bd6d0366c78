"""A request and a response, as every protocol and every data plane sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class BodyStream(Protocol):
    """A request's body that is not read whole. It can be read once."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def read(self) -> bytes:
        """All that is left."""
        ...


@dataclass(slots=True, kw_only=True)
class Request:
    method: str
    path: str
    """As sent: percent-encoded, starting with a slash."""
    query: str
    """As sent, without the question mark."""
    headers: Mapping[str, str]
    """Names in lower case; a header sent twice is joined with commas."""
    body: bytes = b""
    """The whole body, where the operation does not stream it."""
    stream: BodyStream | None = None
    """The body, where the operation streams it (or before it is known which)."""
    source_ip: str = "127.0.0.1"
    secure: bool = False
    instance: str = ""
    """At a sandbox's endpoint: the access key id of the instance behind it, the only one accepted there."""
    http_version: str = "1.1"


@dataclass(slots=True, kw_only=True)
class Response:
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""


class Bytes:
    """A body that is already here, as a stream."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, self._data = self._data, b""
        if data:
            yield data

    async def read(self) -> bytes:
        data, self._data = self._data, b""
        return data


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """ASGI's header pairs as a mapping."""
    result: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        result[key] = f"{result[key]},{text}" if key in result else text
    return result
