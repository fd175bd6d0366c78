"""Listeners that come and go, and what they accept: each connection is handed to `gateway.http`.

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
from collections.abc import Awaitable, Callable

from pilotlight.gateway.http import Connection, Handler, Identity, Room

log = logging.getLogger(__name__)

FIRST_BYTE_SECONDS = 60
TLS_HELLO = b"\x16"
BACKLOG = 4096
INSTANCE_CONNECTIONS_MAX = 256
"""At a sandbox's listener. An SDK's pool has 50 at most; the platform's descriptors are everybody's."""
INSTANCE_BACKLOG = 128


class Server:
    """Every listener of a node. Its tasks belong to the group it is given."""

    def __init__(self, handler: Handler, group: asyncio.TaskGroup, tls: Callable[[], ssl.SSLContext]) -> None:
        self._handler = handler
        self._group = group
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None

    def _connection(self) -> Connection:
        return Connection(self._handler, self._group)

    def listen(self, listener: socket.socket) -> None:
        """Serve http and https on a bound socket until the group is cancelled."""
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._group.create_task(self._accept(listener))

    async def serve_instance(self, listener: socket.socket, instance: Identity) -> Callable[[], Awaitable[None]]:
        """Serve http on a sandbox's listener; returns what ends it."""
        listener.setblocking(False)
        loop, room = asyncio.get_running_loop(), Room(INSTANCE_CONNECTIONS_MAX)
        server = await loop.create_server(
            lambda: Connection(self._handler, self._group, instance, room), sock=listener, backlog=INSTANCE_BACKLOG
        )

        async def close() -> None:
            server.close()

        return close

    async def _accept(self, listener: socket.socket) -> None:
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
                self._group.create_task(self._greet(connection))

    async def _greet(self, connection: socket.socket) -> None:
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
                self._connection, connection, ssl=self._context() if first == TLS_HELLO else None
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
