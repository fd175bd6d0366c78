"""As much of an HTTP/1.1 server as runtimes and extensions need, over httptools.

What comes is a stranger's: heads without end, bodies without end and requests that nobody waits for must cost no more
than the instance. Requests of one connection are answered in their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol, cast

import httptools

HEAD_BYTES_MAX = 512 * 1024
"""How much may come without a head or a piece of a body being complete."""
HEADERS_MAX = 256
"""Of one request. AWS's clients send about ten."""
HELD_BYTES_MAX = 24 << 20
"""Of heads and bodies that are not complete or not answered, over all connections of one instance."""
TOGETHER_BYTES_MAX = 64 * 1024
"""An answer up to this size leaves in one piece with its head."""
UNANSWERED_MAX = 16
"""Requests that may wait on one connection."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Exchange:
    """A request and, later, its answer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.method = ""
        self.path = ""
        self.headers: dict[str, str] = {}
        """By lower-case name; trailers are added when they come."""
        self.head_bytes = 0
        self.body = bytearray()
        self.size = 0
        self.bytes_max = 0
        """Bytes of the body beyond this are counted and thrown away; set in `begun`."""
        self.on_body: Callable[[bytes], None] | None = None
        """Where set, the body goes there and is not kept."""
        self.on_complete: Callable[[], None] | None = None
        self.on_broken: Callable[[], None] | None = None
        """The connection ended before the request did."""
        self.complete = False
        self.keep_alive = False
        self.answer: tuple[bytes, bytes] | None = None
        """Head and body: an event's body is kept once, however often it is asked for."""

    @property
    def too_large(self) -> bool:
        return self.size > self.bytes_max

    @property
    def alive(self) -> bool:
        return self._connection.alive

    def take(self, data: bytes) -> None:
        self.size += len(data)
        if self.on_body is not None:
            self.on_body(data)
        elif not self.too_large:
            self.body += data

    def respond(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Once; it is sent when its turn has come and the request is complete."""
        if self.answer is not None:
            return
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}", f"Content-Length: {len(body)}"]
        for name, value in (headers or {}).items():
            lines.append(f"{name}: {_plain(value)}")
        self.answer = "\r\n".join([*lines, "\r\n"]).encode(), body
        self._connection.flush()

    def drop(self) -> None:
        """Answer nothing, and hang up."""
        self._connection.close()

    def hold_back(self) -> None:
        """Take no more of the body for now."""
        self._connection.pause()

    def go_on(self) -> None:
        self._connection.resume()


def _plain(value: str) -> str:
    """A header's value may be a caller's; it does not begin a new line."""
    return "".join(letter if letter >= " " and letter != "\x7f" else " " for letter in value)


class Application(Protocol):
    def begun(self, exchange: Exchange) -> None:
        """The head is here: decide what becomes of the body."""
        ...

    def left(self, connection: Connection) -> None: ...

    def hold(self, more_bytes: int) -> bool:
        """A connection holds so much more, or less, of what came; False where that is too much."""
        ...


class Connection(asyncio.Protocol):
    def __init__(self, application: Application) -> None:
        self._application = application
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchanges: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._silent = 0
        self._held = 0
        self._paused = False
        """By who takes the body."""
        self._full = False
        """The other side does not read what it asked for."""

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        self._paused = True
        self._read_or_not()

    def resume(self) -> None:
        self._paused = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        if not self.alive or self._transport is None:
            return
        if self._paused or self._full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def flush(self) -> None:
        """Send the answers whose turn it is, no faster than they are read."""
        while self._exchanges and self._transport is not None and not self._full:
            first = self._exchanges[0]
            if first.answer is None or not first.complete:
                return
            self._exchanges.popleft()
            head, body = first.answer
            if len(body) > TOGETHER_BYTES_MAX:
                self._transport.writelines((head, body))
            else:
                self._transport.write(head + body)
            if not first.keep_alive:
                self._transport.close()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._full = True
        self._read_or_not()

    def resume_writing(self) -> None:
        self._full = False
        self.flush()
        self._read_or_not()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._application.hold(-self._held)
        self._held = 0
        self._application.left(self)
        current, self._current = self._current, None
        if current is not None and current.on_broken is not None:
            current.on_broken()

    def data_received(self, data: bytes) -> None:
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, UnicodeDecodeError):
            self.close()
            return
        held = self._silent
        for exchange in self._exchanges:
            held += exchange.head_bytes + len(exchange.body)
        more, self._held = held - self._held, held
        enough = more and not self._application.hold(more)
        if enough or self._silent > HEAD_BYTES_MAX:
            self.close()

    # httptools' side.

    def on_message_begin(self) -> None:
        if len(self._exchanges) > UNANSWERED_MAX:
            raise httptools.HttpParserError("too many requests ahead")
        self._current = Exchange(self)
        self._exchanges.append(self._current)

    def on_url(self, url: bytes) -> None:
        assert self._current is not None
        self._current.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._current is not None
        if len(self._current.headers) < HEADERS_MAX:
            self._current.headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        else:
            raise httptools.HttpParserError("too many headers")

    def on_headers_complete(self) -> None:
        exchange = self._current
        assert exchange is not None
        exchange.head_bytes += self._silent
        self._silent = 0
        exchange.method = self._parser.get_method().decode("latin-1")
        exchange.path = exchange.path.partition("?")[0]
        self._application.begun(exchange)
        if exchange.headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        assert self._current is not None
        self._silent = 0
        self._current.take(data)

    def on_message_complete(self) -> None:
        exchange, self._current = self._current, None
        assert exchange is not None
        self._silent = 0
        exchange.complete = True
        exchange.keep_alive = self._parser.should_keep_alive()
        if exchange.on_complete is not None:
            exchange.on_complete()
        self.flush()
