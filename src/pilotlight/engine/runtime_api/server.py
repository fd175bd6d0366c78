"""One instance's end of the APIs: accepts on its listener, and hands each request to the part that answers it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from pilotlight.engine.runtime_api import answers
from pilotlight.engine.runtime_api.http import Connection, Exchange
from pilotlight.engine.runtime_api.runtime import RuntimeSide

CONNECTIONS_MAX = 128
"""Open at once, of one instance. AWS: a function may open 1,024 files."""
ACCEPTED_AT_ONCE = 16


class RuntimeApi:
    """Costs an instance that never calls it one entry in the loop's list of sockets."""

    def __init__(self, listener: socket.socket, later: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.runtime = RuntimeSide()
        self._listener = listener
        self._later = later
        self._connections: set[Connection] = set()
        self._open = True
        asyncio.get_running_loop().add_reader(listener.fileno(), self._acceptable)

    def close(self) -> None:
        """Before the listener is."""
        if not self._open:
            return
        self._open = False
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        for connection in list(self._connections):
            connection.close()

    def begun(self, exchange: Exchange) -> None:
        match exchange.path.strip("/").split("/"):
            case ["2018-06-01", "runtime", *parts] if self.runtime.begun(exchange, parts):
                return
            case ["2018-06-01", "ping"]:
                exchange.respond(200, b"pong")
            case _:
                answers.not_found(exchange)

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def _acceptable(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            if len(self._connections) >= CONNECTIONS_MAX:
                accepted.close()
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._later(self._serve(accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        if not self._open:
            accepted.close()
            return
        connection = Connection(self)
        self._connections.add(connection)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
