"""A sandbox's listener: its connections are counted, since descriptors are everybody's."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from pilotlight.app import cancelled_at_the_end
from pilotlight.gateway import server
from pilotlight.gateway.server import Server
from pilotlight.protocols.messages import Request, Response


async def who(request: Request) -> Response:
    return Response(body=request.instance.encode())


def no_tls() -> ssl.SSLContext:
    raise AssertionError("a sandbox's listener speaks http alone")


async def asked(port: int) -> tuple[bytes, asyncio.StreamWriter]:
    """The status line, or nothing where the connection was closed; and the connection, still open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        line = await reader.readline()
    except ConnectionError:
        line = b""
    if not line:
        writer.close()
    return line, writer


async def test_one_instance_has_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "INSTANCE_CONNECTIONS_MAX", 3)
    async with asyncio.timeout(10), cancelled_at_the_end() as group:
        made = Server(who, group, no_tls)
        ports, ends = [], []
        for name in ("one", "other"):
            listener = socket.create_server(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
            ends.append(await made.serve_instance(listener, lambda name=name: name))  # type: ignore[misc]
        held = [await asked(ports[0]) for _ in range(3)]
        assert [line for line, _ in held] == [b"HTTP/1.1 200 OK\r\n"] * 3
        assert (await asked(ports[0]))[0] == b""
        neighbour, its = await asked(ports[1])
        assert neighbour == b"HTTP/1.1 200 OK\r\n"
        held[0][1].close()
        await held[0][1].wait_closed()
        while not (again := await asked(ports[0]))[0]:
            await asyncio.sleep(0)
        for writer in (*(one for _, one in held[1:]), again[1], its):
            writer.close()
        for end in ends:
            await end()
