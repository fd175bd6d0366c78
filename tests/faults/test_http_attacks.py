"""Broken and hostile HTTP on the Runtime API: the platform stays small, and another instance is answered meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from pilotlight.app import cancelled_at_the_end
from pilotlight.engine import frames
from pilotlight.engine.contract import FunctionVersion
from pilotlight.engine.runtime_api import server
from pilotlight.engine.runtime_api.http import HEAD_BYTES_MAX, HELD_BYTES_MAX
from pilotlight.engine.runtime_api.server import CONNECTIONS_MAX, RuntimeApi
from pilotlight.engine.sandbox.contract import Sandbox
from pilotlight.ids import Ids

GREW_BYTES_MAX = 48 << 20
ATTACK_BYTES = 4 * HEAD_BYTES_MAX
EVENT_BYTES = 6 << 20
ID = "00000000-0000-4000-8000-00000000000a"
ANSWER = f"/2018-06-01/runtime/invocation/{ID}/response"


@dataclass
class Box:
    """As much of a sandbox as the API asks for."""

    api_listener: socket.socket

    def socket_inside(self) -> socket.socket:
        raise OSError


@dataclass
class Instance:
    """An API with nobody behind it, and what its instance was told."""

    api: RuntimeApi
    address: tuple[str, int]
    heard: list[tuple[int, bytes, int]] = field(default_factory=list)

    def invoke(self, payload: bytes = b"{}", request_id: str = ID) -> None:
        told = json.dumps({"request_id": request_id, "deadline_ms": 1, "invoked_arn": "arn"}).encode()
        self.api.runtime.send(frames.INVOKE, len(told).to_bytes(4, "little") + told + payload)

    def connect(self) -> socket.socket:
        ours = socket.create_connection(self.address)
        ours.setblocking(False)
        return ours

    @property
    def answers(self) -> list[tuple[int, bytes]]:
        return [(kind, body) for kind, body, _ in self.heard if kind != frames.READY]


def instance(group: asyncio.TaskGroup, path: Path) -> Instance:
    version = FunctionVersion(
        key="k", arn="a", account="1" * 12, region="r", name="f", version="1", runtime="r", handler="h", code=path
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)

    def later(work: Coroutine[Any, Any, None]) -> None:
        group.create_task(work)

    api = RuntimeApi(version, cast(Sandbox, Box(listener)), ids=Ids(), later=later, wall_ms=lambda: 0)
    made = Instance(api, listener.getsockname())
    api.runtime.attach(lambda kind, body, size: made.heard.append((kind, body, size)), lambda: None)
    return made


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Instance, Instance]]:
    """One that attacks, and one that is honest."""
    async with cancelled_at_the_end() as group:
        pair = instance(group, tmp_path), instance(group, tmp_path)
        yield pair
        for one in pair:
            one.api.close()
            one.api._listener.close()
        await asyncio.sleep(0.01)


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def talk(there: Instance, data: bytes) -> bytes:
    """Everything that comes back, until the other side hangs up."""
    loop = asyncio.get_running_loop()
    with there.connect() as ours:
        await loop.sock_sendall(ours, data)
        ours.shutdown(socket.SHUT_WR)
        heard = b""
        with contextlib.suppress(ConnectionError):
            while piece := await loop.sock_recv(ours, 65536):
                heard += piece
        return heard


async def pour(there: Instance, pieces: Iterator[bytes], most: int = ATTACK_BYTES) -> int:
    """Send until the other side hangs up, or `most` has gone; how much that was."""
    loop = asyncio.get_running_loop()
    sent = 0
    with there.connect() as ours, contextlib.suppress(ConnectionError):
        for piece in pieces:
            await loop.sock_sendall(ours, piece)
            sent += len(piece)
            if sent >= most:
                break
            await asyncio.sleep(0)
    return sent


def forever(head: bytes, piece: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        block = piece * (1 + 4096 // len(piece))
        while True:
            yield block

    return pieces


def numbered(head: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        yield head
        for start in range(0, 1 << 30, 200):
            yield b"".join(b"a%d: b\r\n" % number for number in range(start, start + 200))

    return pieces


NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n"
POST = f"POST {ANSWER} HTTP/1.1\r\nHost: a\r\n".encode()
REGISTER = b"POST /2020-01-01/extension/register HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a line without an end": forever(b"GET /", b"a"),
    "a method without an end": forever(b"", b"A"),
    "a header's name without an end": forever(NEXT, b"a"),
    "a header's value without an end": forever(NEXT + b"a: ", b"b"),
    "a header again and again": forever(NEXT, b"a: b\r\n"),
    "headers of many names": numbered(NEXT),
    "headers folded without an end": forever(NEXT + b"a: b\r\n", b" c\r\n"),
    "a chunk's extension without an end": forever(REGISTER + CHUNKED + b"1;", b"a=b;"),
    "a chunk's size without an end": forever(REGISTER + CHUNKED, b"0"),
    "trailers without an end": numbered(REGISTER + CHUNKED + b"0\r\n"),
    "one trailer without an end": forever(REGISTER + CHUNKED + b"0\r\na: ", b"b"),
    "empty lines": forever(b"", b"\r\n"),
    "requests that nobody answers": forever(NEXT + b"\r\n", NEXT + b"\r\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
async def test_what_has_no_end_is_cut_off(two: tuple[Instance, Instance], name: str) -> None:
    bad, good = two
    before = memory_bytes()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        attack = group.create_task(pour(bad, ENDLESS[name]()))
        while not attack.done():
            assert b"pong" in await talk(good, b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")
    assert attack.result() < ATTACK_BYTES, "nobody hung up"
    assert memory_bytes() - before < GREW_BYTES_MAX
    assert bad.answers == []
    assert b"pong" in await talk(bad, b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")


def request(body: bytes, *headers: bytes, head: bytes = POST) -> bytes:
    return head + b"\r\n".join([*headers, b"", body])


BROKEN = {
    "a body that ends too early": request(b"12", b"Content-Length: 5"),
    "a length that is no number": request(b"12", b"Content-Length: two"),
    "a length below nothing": request(b"12", b"Content-Length: -1"),
    "a length beyond all numbers": request(b"12", b"Content-Length: " + b"9" * 40),
    "two lengths": request(b"12", b"Content-Length: 2", b"Content-Length: 1"),
    "a length and chunks": request(b"2\r\n12\r\n0\r\n\r\n", b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    "chunks that are not the last coding": request(b"0\r\n\r\n", b"Transfer-Encoding: chunked, gzip"),
    "a chunk that never comes": request(b"ff\r\n12", b"Transfer-Encoding: chunked"),
    "chunks that never end": request(b"2\r\n12\r\n", b"Transfer-Encoding: chunked"),
    "a chunk's size that is no number": request(b"zz\r\n12\r\n", b"Transfer-Encoding: chunked"),
    "a chunk's size below nothing": request(b"-2\r\n12\r\n", b"Transfer-Encoding: chunked"),
    "a chunk's size beyond all numbers": request(b"f" * 30 + b"\r\n12", b"Transfer-Encoding: chunked"),
    "a chunk longer than its size": request(b"1\r\n12\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "a space before the colon": request(b"12", b"Content-Length : 2"),
    "a name that is none": request(b"12", b"Content\0Length: 2"),
    "a bare carriage return": request(b"12", b"a: b\rContent-Length: 2"),
    "nothing but a head": POST,
    "junk": bytes(range(256)) * 40,
    "zeros": bytes(100_000),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "the hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "another version": POST.replace(b"1.1", b"3.7") + b"\r\n",
    "a tunnel": b"CONNECT 127.0.0.1:4566 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a path that is none": b"POST //../..%00/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    "another host's address": b"GET http://10.0.0.1/2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_http_is_no_answer_of_the_function(two: tuple[Instance, Instance], name: str) -> None:
    """It may end the invocation with an error, as a truncated answer does; it is never half an answer."""
    bad, good = two
    await _next(bad)
    async with asyncio.timeout(5):
        heard = await talk(bad, BROKEN[name])
    assert frames.RESPONSE not in [kind for kind, _ in bad.answers]
    assert b"202" not in heard.split(b"\r\n")[0]
    for one in (bad, good):
        assert b"pong" in await talk(one, b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")
    assert good.answers == []


async def _next(there: Instance, payload: bytes = b"{}", request_id: str = ID) -> bytes:
    there.invoke(payload, request_id)
    return await talk(there, NEXT + b"Connection: close\r\n\r\n")


async def test_the_honest_form_of_them_is_an_answer(two: tuple[Instance, Instance]) -> None:
    """Else the test above could not fail."""
    for sent in (request(b"12", b"Content-Length: 2"), request(b"2\r\n12\r\n0\r\n\r\n", b"Transfer-Encoding: chunked")):
        await _next(two[0])
        assert b" 202 " in (await talk(two[0], sent))
        assert two[0].answers.pop() == (frames.RESPONSE, b"12")


async def test_who_asks_again_and_again_and_does_not_read(two: tuple[Instance, Instance]) -> None:
    """Each `next` is answered with the same event of six megabytes."""
    bad, good = two
    await _next(bad, bytes(EVENT_BYTES))
    before, loop = memory_bytes(), asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            ours = stack.enter_context(bad.connect())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await loop.sock_sendall(ours, (NEXT + b"\r\n") * 200)
        assert b"pong" in await talk(good, b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")
        assert memory_bytes() - before < 4 * EVENT_BYTES + GREW_BYTES_MAX
        await loop.sock_sendall(stack.enter_context(bad.connect()), NEXT + b"Connection: close\r\n\r\n")


async def test_who_reads_late_gets_everything(two: tuple[Instance, Instance]) -> None:
    there, loop = two[0], asyncio.get_running_loop()
    await _next(there, b"x" * EVENT_BYTES)
    with there.connect() as ours:
        await loop.sock_sendall(ours, (NEXT + b"\r\n") * 3 + NEXT + b"Connection: close\r\n\r\n")
        await asyncio.sleep(0.02)
        heard = 0
        while piece := await loop.sock_recv(ours, 1 << 20):
            heard += piece.count(b"x")
    assert heard == 4 * EVENT_BYTES


async def test_many_that_are_never_complete(two: tuple[Instance, Instance]) -> None:
    """Each connection may hold a long head; not all of them."""
    bad, good = two
    before, loop = memory_bytes(), asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX):
            ours = stack.enter_context(bad.connect())
            with contextlib.suppress(ConnectionError):
                await loop.sock_sendall(ours, NEXT + b"a: " + b"b" * (HEAD_BYTES_MAX - 1000))
        assert b"pong" in await talk(good, b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")
        assert memory_bytes() - before < HELD_BYTES_MAX + GREW_BYTES_MAX
        assert 0 < len(bad.api._connections) < CONNECTIONS_MAX
    while bad.api._connections:
        await asyncio.sleep(0)
    assert bad.api._held_bytes == 0


async def test_connections_without_number(two: tuple[Instance, Instance]) -> None:
    """Half of them say nothing, half are half open; the first hundred or so are all there are."""
    bad, good = two
    with contextlib.ExitStack() as stack:
        for number in range(3 * CONNECTIONS_MAX):
            ours = stack.enter_context(bad.connect())
            if number % 2:
                with contextlib.suppress(OSError):
                    ours.send(NEXT)
                    ours.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0)
        assert b"pong" in await talk(good, b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")
        assert len(bad.api._connections) <= CONNECTIONS_MAX + server.ACCEPTED_AT_ONCE
    while bad.api._connections:
        await asyncio.sleep(0)
    assert b"pong" in await talk(bad, b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")


async def test_requests_sent_ahead_are_answered_in_their_order(two: tuple[Instance, Instance]) -> None:
    """Two answers to one invocation: the second comes too late, and the next invocation is not its own."""
    there = two[0]
    await _next(there)
    answer = request(b"12", b"Content-Length: 2")
    heard = await talk(there, answer + answer.replace(b"12", b"34") + b"GET /2018-06-01/ping HTTP/1.0\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", heard) == [b"202", b"400", b"200"]
    assert there.answers == [(frames.RESPONSE, b"12")]


async def test_who_waits_to_go_on_is_told_once(two: tuple[Instance, Instance]) -> None:
    await _next(two[0])
    heard = await talk(two[0], request(b"12", b"Content-Length: 2", b"Expect: 100-continue"))
    assert heard.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


OTHER = "00000000-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    "request_id",
    [OTHER, ID.upper(), ID + "0", ID[:-1], f"{ID}%00", f"..%2f{ID}", "*", "%2e%2e", "next", " ", ID.replace("-", "")],
)
@pytest.mark.parametrize("kind", ["response", "error"])
async def test_an_answer_to_anothers_invocation_is_refused(
    two: tuple[Instance, Instance], request_id: str, kind: str
) -> None:
    bad, good = two
    await _next(bad, request_id=ID)
    await _next(good, request_id=OTHER)
    path = ANSWER.replace(ID, request_id.replace(" ", "%20")).replace("response", kind)
    sent = request(b'"stolen"', b"Content-Length: 8").replace(ANSWER.encode(), path.encode())
    heard = await talk(bad, sent)
    assert heard.split()[1] in (b"400", b"404", b"405"), heard
    assert (bad.answers, good.answers) == ([], [])


async def test_an_answer_after_its_time_is_not_the_next_invocations(two: tuple[Instance, Instance]) -> None:
    """The invocation was ended and another begun; its own id is needed to answer it."""
    there = two[0]
    await _next(there)
    assert b" 202 " in await talk(there, request(b"12", b"Content-Length: 2"))
    await _next(there, request_id=OTHER)
    assert b" 400 " in await talk(there, request(b"34", b"Content-Length: 2"))
    assert there.answers == [(frames.RESPONSE, b"12")]


async def test_an_extension_of_another_instance_is_unknown(two: tuple[Instance, Instance]) -> None:
    bad, good = two
    body = b'{"events": ["INVOKE"]}'
    register = request(body, b"Lambda-Extension-Name: one", b"Content-Length: %d" % len(body), head=REGISTER)
    heard = await talk(good, register)
    identifier = heard.lower().partition(b"lambda-extension-identifier: ")[2].partition(b"\r\n")[0]
    assert len(identifier) == 36
    for path in ("GET /2020-01-01/extension/event/next", "POST /2020-01-01/extension/exit/error"):
        head = f"{path} HTTP/1.1\r\nHost: a\r\nLambda-Extension-Identifier: ".encode() + identifier
        heard = await talk(bad, head + b"\r\nLambda-Extension-Function-Error-Type: a.b\r\n\r\n")
        assert heard.startswith(b"HTTP/1.1 403 "), heard
        assert b"UnknownExtensionIdentifier" in heard
    assert [one.state.value for one in good.api.extensions.all] == ["Registered"]
