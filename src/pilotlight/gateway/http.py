"""HTTP/1.1 on one connection: bytes in, requests to the handler one after another, bytes out.

httptools parses. A connection has one task, which waits for a request, has it answered, and waits for the next; what a
client sends ahead waits in between. A body that is whole when its request is handled is handed over as bytes, and any
other as a stream, which is read no faster than the handler takes it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import cast

import httptools

from pilotlight.protocols.messages import Request, Response

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 300.0
HEAD_BYTES_MAX = 128 * 1024
"""Of a request's line and headers. AWS takes less; session tokens and presigned URLs of real clients need a part."""
HEADERS_MAX = 512
"""Far more than S3's two kilobytes of metadata come to. One name again and again is joined each time."""
BODY_BYTES_WAITING_MAX = 64 * 1024
TOGETHER_BYTES_MAX = 64 * 1024
"""An answer up to this size leaves in one piece with its head."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BARE = frozenset((204, 304))
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")

Handler = Callable[[Request], Awaitable[Response]]
Identity = Callable[[], str]
"""Who is behind a sandbox's listener: the access key id of its instance, the only one accepted there."""


def _status_line(status: int) -> str:
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    except ValueError:
        return f"HTTP/1.1 {status} \r\n"


_STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}


class Room:
    """How many connections may be open at once; for the listeners of sandboxes, which are strangers'."""

    def __init__(self, most: int) -> None:
        self._left = most

    def enter(self) -> bool:
        if self._left <= 0:
            return False
        self._left -= 1
        return True

    def leave(self) -> None:
        self._left += 1


class ClientGone(Exception):
    """The client closed the connection before its body was here, or its answer sent."""


class Incoming:
    """A request as it arrives, and its body's stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunks: list[bytes] = []
        self._waiting = 0
        self._woken: asyncio.Future[None] | None = None
        self.request: Request | None = None
        self.keep_alive = True
        self.expects = False
        """The client waits to be told to go on."""
        self.ended = False
        self.dropped = False
        """Nobody reads the body any more."""

    # The connection's side.

    def feed(self, data: bytes) -> None:
        if self.dropped:
            return
        self._chunks.append(data)
        self._waiting += len(data)
        if self._waiting > BODY_BYTES_WAITING_MAX:
            self._connection.pause_reading()
        self.wake()

    def end(self) -> None:
        self.ended = True
        self.wake()

    def wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def take(self) -> bytes:
        """What is here."""
        if not self._chunks:
            return b""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._waiting = 0
        return data

    # The handler's side: `protocols.messages.BodyStream`.

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            data = self.take()
            if data:
                yield data
                continue
            if self.ended:
                return
            await self._wait()

    async def read(self) -> bytes:
        """All that is left."""
        return b"".join([chunk async for chunk in self])

    async def _wait(self) -> None:
        if self._connection.lost or self._connection.broken:
            raise ClientGone
        if self.expects:
            self.expects = False
            self._connection.write(CONTINUE)
        self._connection.resume_reading()
        self._woken = asyncio.get_running_loop().create_future()
        await self._woken
        self._woken = None


class Connection(asyncio.Protocol):
    """Made for each connection that was accepted. Its task belongs to the group that it is given."""

    def __init__(
        self,
        handler: Handler,
        group: asyncio.TaskGroup,
        instance: Identity | None = None,
        room: Room | None = None,
    ) -> None:
        """`room` is shared by all connections of one listener; a connection for which there is none is closed."""
        self._handler = handler
        self._group = group
        self._instance = instance
        self._room = room
        self._parser = self._new_parser()
        self._transport: asyncio.Transport | None = None
        self._source_ip = "127.0.0.1"
        self._secure = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._headers_seen = 0
        self._incoming: Incoming | None = None
        """Whose body is being read."""
        self._queue: deque[Incoming] = deque()
        self._wanted: asyncio.Future[None] | None = None
        """The task waits for a request."""
        self._writable: asyncio.Future[None] | None = None
        """Done once the transport takes more; None where it does."""
        self._reading = True
        self._idle: asyncio.TimerHandle | None = None
        self._used = True
        """Since the idle timer last looked."""
        self.broken = b""
        """The last answer on this connection, to what is not HTTP."""
        self.lost = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._room is not None and not self._room.enter():
            self._room = None
            self.lost = True
            self._transport.abort()
            return
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._source_ip = str(peer[0])
        self._secure = transport.get_extra_info("sslcontext") is not None
        serving = self._serve()
        try:
            self._group.create_task(serving)
        except RuntimeError:  # the node is stopping
            serving.close()
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._transport = None
        if self._room is not None:
            self._room.leave()
        for future in (self._wanted, self._writable):
            if future is not None and not future.done():
                future.set_result(None)
        if self._incoming is not None:
            self._incoming.wake()
        for incoming in self._queue:
            incoming.wake()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def data_received(self, data: bytes) -> None:
        try:
            while data and not self.broken:
                try:
                    self._parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as upgrade:
                    # There is no other protocol here: the request is answered as it is, and the next ones, too.
                    data = data[upgrade.args[0] :]
                    self._parser = self._new_parser()
        except httptools.HttpParserError:
            self._break("400 Bad Request", "Invalid HTTP request received.")

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # The parser's side.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = {}
        self._head_bytes = 0
        self._headers_seen = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_seen += 1
        if self._headers_seen > HEADERS_MAX:
            self._too_long()
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self._headers
        headers[key] = f"{headers[key]},{text}" if key in headers else text
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._count(0)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._too_long()

    def _too_long(self) -> None:
        self._break("431 Request Header Fields Too Large", "The request's headers are too long.")

    def on_headers_complete(self) -> None:
        if self.broken:
            return
        incoming = self._incoming = Incoming(self)
        parser = self._parser
        version = parser.get_http_version()
        incoming.keep_alive = version != "1.0" and parser.should_keep_alive()
        headers = self._headers
        if "expect" in headers:
            incoming.expects = headers["expect"].lower() == "100-continue"
        url = self._url
        if url[:1] != b"/":
            url = _without_origin(url)
        if b"#" in url:
            url = url.partition(b"#")[0]
        path, _, query = url.decode("latin-1").partition("?")
        incoming.request = Request(
            method=parser.get_method().decode("latin-1"),
            path=path,
            query=query,
            headers=headers,
            stream=incoming,
            source_ip=self._source_ip,
            secure=self._secure,
            http_version=version,
        )
        self._queue.append(incoming)
        if self._wanted is None:
            self.pause_reading()  # it is sent ahead: the one before it comes first
        elif not self._wanted.done():
            self._wanted.set_result(None)

    def on_body(self, body: bytes) -> None:
        if self._incoming is not None:
            self._incoming.feed(body)

    def on_message_complete(self) -> None:
        if self._incoming is not None:
            self._incoming.end()
            self._incoming = None

    def _break(self, status: str, text: str) -> None:
        """What is not HTTP is answered once, after what came before it, and then nothing more is heard."""
        if self.broken or self._transport is None:
            return
        body = text.encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
        self.broken = f"{head}connection: close\r\n\r\n".encode() + body
        self.pause_reading()
        if self._incoming is not None:  # its rest will not come
            self._incoming.wake()
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    # The task.

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(KEEP_ALIVE_SECONDS, self._end_if_idle)
        try:
            while not self.lost:
                if self._queue:
                    if not await self._answer(self._queue.popleft()):
                        return
                    self._used = True
                elif self.broken:
                    self.write(self.broken)
                    return
                else:
                    self._wanted = loop.create_future()
                    self.resume_reading()
                    await self._wanted
                    self._wanted = None
        finally:
            self._wanted = None
            self._idle.cancel()
            if self._transport is not None:
                self._transport.close()

    def _end_if_idle(self) -> None:
        """Once in a while, and not at each request: whoever has waited for a whole period is sent away."""
        if self._transport is None:
            return
        if self._wanted is not None and not self._used:
            self._transport.close()
            return
        self._used = False
        self._idle = asyncio.get_running_loop().call_later(KEEP_ALIVE_SECONDS, self._end_if_idle)

    async def _answer(self, incoming: Incoming) -> bool:
        """True where the connection takes another request."""
        request = incoming.request
        assert request is not None
        if incoming.ended:
            request.body, request.stream = incoming.take(), None
        if self._instance is not None:
            request.instance = self._instance()
        try:
            response = await self._handler(request)
            # A client that still waits to be told to go on will not send its body now, but the parser would take the
            # next request for it: so there is none on this connection.
            keep_alive = incoming.keep_alive and (incoming.ended or not incoming.expects)
            incoming.dropped = True
            incoming.take()
            return await self._send(request, response, keep_alive)
        except ClientGone:
            self.write(self.broken)
            return False
        except Exception:  # our bug: logged here, told to nobody else
            log.exception("bug while answering %s", request.method)
            return False

    async def _send(self, request: Request, response: Response, keep_alive: bool) -> bool:
        body, status = response.body, response.status
        parts = [_STATUS_LINES.get(status) or _status_line(status)]
        sized = chunked = closes = False
        for name, value in response.headers:
            parts.append(f"{name}: {value}\r\n")
            lower = name.lower()
            if lower == "content-length":
                sized = True
            elif lower == "connection":
                closes = closes or "close" in value.lower()
        if not sized and status not in _BARE:
            if isinstance(body, bytes):
                parts.append(f"content-length: {len(body)}\r\n")
            elif request.http_version == "1.0":
                keep_alive = False
            else:
                chunked = True
                parts.append("transfer-encoding: chunked\r\n")
        if not keep_alive and not closes:
            parts.append("connection: close\r\n")
        parts.append("\r\n")
        text = "".join(parts)
        if text.count("\n") != len(parts) or _CONTROL.search(text):
            raise ValueError("a header of the answer has a control character in it")
        head = text.encode("latin-1", "replace")
        if not isinstance(body, bytes):
            await self._send_stream(head, body, chunked=chunked, bare=request.method == "HEAD" or status in _BARE)
        elif request.method == "HEAD" or status in _BARE:
            self.write(head)
        elif len(body) <= TOGETHER_BYTES_MAX:
            self.write(head + body)
        elif self._transport is not None:
            self._transport.writelines((head, body))
        if self._writable is not None:
            await self._wait_writable()
        return keep_alive and not closes

    async def _send_stream(self, head: bytes, body: AsyncIterator[bytes], *, chunked: bool, bare: bool) -> None:
        """No faster than the client reads."""
        try:
            self.write(head)
            if bare:
                return
            async for chunk in body:
                if self._transport is None:
                    raise ClientGone
                if chunk:
                    self._transport.writelines((b"%x\r\n" % len(chunk), chunk, b"\r\n") if chunked else (chunk,))
                if self._writable is not None:
                    await self._wait_writable()
        finally:
            if isinstance(body, AsyncGenerator):
                await body.aclose()
        if chunked:
            self.write(b"0\r\n\r\n")

    async def _wait_writable(self) -> None:
        while self._writable is not None and not self.lost:
            await self._writable
        if self.lost:
            raise ClientGone


def _without_origin(url: bytes) -> bytes:
    """A target in absolute form, as proxies send it."""
    _, scheme, rest = url.partition(b"://")
    if not scheme:
        return url  # `*`
    _, slash, path = rest.partition(b"/")
    return slash + path if slash else b"/"
