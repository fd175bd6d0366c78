"""One instance's end of the APIs: accepts on its listener, and hands each request to the part that answers it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtime_api import answers
from pilotlight.engine.runtime_api.extensions import Extensions
from pilotlight.engine.runtime_api.http import HELD_BYTES_MAX, Connection, Exchange
from pilotlight.engine.runtime_api.runtime import RuntimeSide
from pilotlight.engine.runtime_api.telemetry import Telemetry
from pilotlight.engine.sandbox.contract import Sandbox
from pilotlight.ids import Ids

CONNECTIONS_MAX = 128
"""Open at once, of one instance. AWS: a function may open 1,024 files."""
ACCEPTED_AT_ONCE = 16


class RuntimeApi:
    """Costs an instance that never calls it one entry in the loop's list of sockets."""

    def __init__(
        self,
        version: FunctionVersion,
        sandbox: Sandbox,
        *,
        ids: Ids,
        later: Callable[[Coroutine[Any, Any, None]], None],
        wall_ms: Callable[[], int],
    ) -> None:
        listener = sandbox.api_listener
        assert listener is not None
        self.runtime = RuntimeSide()
        self.changed: Callable[[], None] | None = None
        """Called whenever an extension has moved on."""
        self.extensions = Extensions(version, ids, self._changed)
        self.telemetry = Telemetry(
            extensions=self.extensions, connect=sandbox.socket_inside, later=later, wall_ms=wall_ms
        )
        self._listener = listener
        self._later = later
        self._connections: set[Connection] = set()
        self._held_bytes = 0
        self._open = True
        asyncio.get_running_loop().add_reader(listener.fileno(), self._acceptable)

    def close(self) -> None:
        """Before the listener is."""
        if not self._open:
            return
        self._open = False
        self.telemetry.close()
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
        for connection in list(self._connections):
            connection.close()

    def begun(self, exchange: Exchange) -> None:
        match exchange.path.strip("/").split("/"):
            case ["2018-06-01", "runtime", *parts] if self.runtime.begun(exchange, parts):
                return
            case ["2020-01-01", "extension", *parts] if self.extensions.begun(exchange, parts):
                return
            case ["2022-07-01", "telemetry"]:
                self.telemetry.begun(exchange, logs=False)
            case ["2020-08-15", "logs"]:
                self.telemetry.begun(exchange, logs=True)
            case ["2018-06-01", "ping"]:
                exchange.respond(200, b"pong")
            case _:
                answers.not_found(exchange)

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def hold(self, more_bytes: int) -> bool:
        self._held_bytes += more_bytes
        return self._held_bytes <= HELD_BYTES_MAX

    def _changed(self) -> None:
        if self.changed is not None:
            self.changed()

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
