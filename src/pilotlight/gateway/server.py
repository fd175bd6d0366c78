"""Sockets to requests: HTTP/1.1 by uvicorn's protocol over listeners that come and go.

The cloud's own listener speaks http and https on one port: the first byte of a connection tells which.
A sandbox's listener was made inside its network namespace; whatever arrives there carries the
identity of the instance behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pilotlight.protocols.messages import Request, Response, joined

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 300
FIRST_BYTE_SECONDS = 60
TLS_HELLO = b"\x16"
BACKLOG = 4096

Identity = Callable[[], str]
"""Who is behind a sandbox's listener: the access key id of its instance, the only one accepted there."""
Handler = Callable[[Request], Awaitable[Response]]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ClientGone(Exception):
    """The client closed the connection before its body was here."""


class AsgiBody:
    """A request's body as it arrives."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False
        self.begun = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        while not self._ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])


class Application:
    """The ASGI side of one listener."""

    def __init__(self, handler: Handler, instance: Identity | None = None) -> None:
        self._handler = handler
        self._instance = instance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        client = scope.get("client")
        body = AsgiBody(receive)
        request = Request(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=joined(scope["headers"]),
            stream=body,
            source_ip=client[0] if client else "127.0.0.1",
            secure=scope["scheme"] == "https",
            instance=self._instance() if self._instance else "",
            http_version=scope["http_version"],
        )
        try:
            response = await self._handler(request)
        except ClientGone:
            return
        if "expect" in request.headers and not body.begun:
            # The client waits to be told to go on. It will not send the body now, but the parser would take the next
            # request for it: so there is none on this connection.
            response.headers.append(("connection", "close"))
        await _send(response, scope["method"], send)


async def _send(response: Response, method: str, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.headers]
    body = response.body
    if isinstance(body, bytes) and not any(name.lower() == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(body, bytes):
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
        return
    try:
        async for chunk in body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        if isinstance(body, AsyncGenerator):
            await body.aclose()
    await send({"type": "http.response.body", "body": b""})


class Server:
    """Every listener of a node. Its tasks belong to the group it is given."""

    def __init__(self, handler: Handler, group: asyncio.TaskGroup, tls: Callable[[], ssl.SSLContext]) -> None:
        self._handler = handler
        self._group = group
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._state = ServerState()

    def _protocol(self, instance: Identity | None = None) -> Callable[[], HttpToolsProtocol]:
        config = Config(
            Application(self._handler, instance),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            server_header=False,
            date_header=False,
            proxy_headers=False,
        )
        config.load()
        loop = asyncio.get_running_loop()
        return lambda: HttpToolsProtocol(config, self._state, {}, loop)

    def listen(self, listener: socket.socket) -> None:
        """Serve http and https on a bound socket until the group is cancelled."""
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._group.create_task(self._accept(listener, self._protocol()))

    async def serve_instance(self, listener: socket.socket, instance: Identity) -> Callable[[], Awaitable[None]]:
        """Serve http on a sandbox's listener; returns what ends it."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._protocol(instance), sock=listener, backlog=BACKLOG)

        async def close() -> None:
            server.close()

        return close

    async def _accept(self, listener: socket.socket, protocol: Callable[[], HttpToolsProtocol]) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                try:
                    connection, _ = await loop.sock_accept(listener)
                except OSError as error:  # out of descriptors: those that close make room
                    log.warning("cannot accept: %s", error)
                    await asyncio.sleep(0.05)
                    continue
                connection.setblocking(False)
                self._group.create_task(self._greet(connection, protocol))

    async def _greet(self, connection: socket.socket, protocol: Callable[[], HttpToolsProtocol]) -> None:
        """Hand the connection to HTTP, with TLS where the client begins with it."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                first = await _peek(connection)
            if not first:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.connect_accepted_socket(
                protocol, connection, ssl=self._context() if first == TLS_HELLO else None
            )
        except (OSError, TimeoutError, ssl.SSLError):
            connection.close()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._make_tls()
        return self._tls


async def _peek(connection: socket.socket) -> bytes:
    """The first byte, left where it is; nothing where the client went away."""
    with contextlib.suppress(BlockingIOError):
        return connection.recv(1, socket.MSG_PEEK)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)
