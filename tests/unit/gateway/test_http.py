"""HTTP/1.1 over a real socket pair: what a connection does with whole, broken, slow and hostile clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pilotlight.app import cancelled_at_the_end
from pilotlight.gateway import http
from pilotlight.gateway.http import Connection
from pilotlight.protocols.messages import Request, Response

Seen = list[Request]
TALK_SECONDS = 5


async def echo(request: Request) -> Response:
    """What came, as it was understood; a stream is read."""
    body = await request.stream.read() if request.stream is not None else request.body
    return Response(headers=[("x-path", request.path), ("x-query", request.query)], body=body)


async def refuse(request: Request) -> Response:
    return Response(status=403, body=b"no")


async def talk(
    sent: list[bytes],
    handler: Callable[[Request], Awaitable[Response]] = echo,
    *,
    instance: str = "",
    hang_up: bool = True,
) -> bytes:
    """Send the pieces one after another, each when the connection has gone quiet; everything that came back."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(TALK_SECONDS), cancelled_at_the_end() as group:
        theirs.setblocking(False)
        await loop.connect_accepted_socket(
            lambda: Connection(handler, group, (lambda: instance) if instance else None), theirs
        )
        reader, writer = await asyncio.open_connection(sock=ours)
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            for _ in range(20):
                await asyncio.sleep(0)
        if hang_up:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


def get(path: str = "/", *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/{version}", "host: here", *headers, "", ""]).encode()


async def test_an_answer_leaves_with_its_length_and_the_connection_stays() -> None:
    answer = await talk([get("/a?b=c"), get("/d", "connection: close")], hang_up=False)
    first, second = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first == b"x-path: /a\r\nx-query: b=c\r\ncontent-length: 0\r\n\r\n"
    assert second.endswith(b"content-length: 0\r\nconnection: close\r\n\r\n")


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    running = 0

    async def one_at_a_time(request: Request) -> Response:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.001)
        running -= 1
        return Response(body=request.path.encode())

    ahead = b"".join(get(f"/{number}") for number in range(20)) + get("/last", "connection: close")
    answer = await talk([ahead], one_at_a_time, hang_up=False)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [f"/{number}".encode() for number in range(20)] + [b"/last"]


async def test_a_body_in_pieces_is_a_stream_and_chunks_are_joined() -> None:
    head = b"PUT /x HTTP/1.1\r\nhost: here\r\nconnection: close\r\n"
    sized = await talk([head + b"content-length: 6\r\n\r\nabc", b"def"], hang_up=False)
    assert sized.endswith(b"\r\n\r\nabcdef")
    chunked = await talk(
        [head + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"3\r\ndef\r\n0\r\n\r\n"], hang_up=False
    )
    assert chunked.endswith(b"\r\n\r\nabcdef")


async def test_a_large_body_is_read_no_faster_than_it_is_taken() -> None:
    sizes = []

    async def slowly(request: Request) -> Response:
        assert request.stream is not None
        async for chunk in request.stream:
            sizes.append(len(chunk))
            await asyncio.sleep(0)
        return Response(body=str(sum(sizes)).encode(), headers=[("connection", "close")])

    body = bytes(8 << 20)
    answer = await talk([b"PUT /x HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body], slowly, hang_up=False)
    assert answer.endswith(str(len(body)).encode())
    assert max(sizes) < 1 << 20


EXPECTING = b"PUT /x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"


async def test_a_client_that_waits_is_told_to_go_on_when_its_body_is_read() -> None:
    answer = await talk([EXPECTING, b"abc", get("/", "connection: close")], hang_up=False)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_a_client_that_waits_and_is_refused_has_its_connection_closed() -> None:
    answer = await talk([EXPECTING], refuse, hang_up=False)
    assert answer == b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"


async def test_a_refused_body_that_comes_all_the_same_does_not_become_the_next_request() -> None:
    pieces = [
        b"PUT /x HTTP/1.1\r\ncontent-length: 32\r\n\r\n",
        b"GET /smuggled HTTP/1.1\r\n\r\n......",
        get("/", "connection: close"),
    ]
    answer = await talk(pieces, refuse, hang_up=False)
    assert answer.count(b"HTTP/1.1 403") == 2


async def test_a_body_that_breaks_off_is_no_request() -> None:
    done = []

    async def handler(request: Request) -> Response:
        assert request.stream is not None
        await request.stream.read()
        done.append(request)
        return Response()

    assert await talk([b"PUT /x HTTP/1.1\r\ncontent-length: 30\r\n\r\nabc"], handler) == b""
    assert not done


async def test_what_is_not_http_is_refused_after_what_was() -> None:
    answer = await talk([get("/fine") + b"NONSENSE\r\n\r\n"], hang_up=False)
    first, second = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 OK")
    assert second.startswith(b"400 Bad Request")
    assert b"connection: close" in second


async def test_a_chunk_with_a_false_length_is_refused() -> None:
    answer = await talk([b"PUT /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"], hang_up=False)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")


async def test_two_lengths_are_refused() -> None:
    answer = await talk(
        [b"PUT / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc"], hang_up=False
    )
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")


async def test_headers_without_end_are_refused() -> None:
    flood = [f"x-{number}: {'y' * 1000}" for number in range(140)]
    answer = await talk([get("/", *flood)], hang_up=False)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_http_1_0_closes_and_is_sent_no_chunks() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    async def handler(request: Request) -> Response:
        return Response(body=pieces())

    answer = await talk([get(version="1.0")], handler, hang_up=False)
    assert answer == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcd"
    answer = await talk([get("/", "connection: close")], handler, hang_up=False)
    assert answer.endswith(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n")


async def test_head_and_204_have_no_body() -> None:
    async def handler(request: Request) -> Response:
        return Response(status=204 if request.path == "/none" else 200, body=b"abc")

    answer = await talk([b"HEAD / HTTP/1.1\r\n\r\n", get("/none", "connection: close")], handler, hang_up=False)
    assert answer == (
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nHTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    )


async def test_an_upgrade_is_answered_as_any_request() -> None:
    asked = get("/up", "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
    answer = await talk([asked, get("/next", "connection: close")], hang_up=False)
    assert b"x-path: /up" in answer
    assert b"x-path: /next" in answer


@pytest.mark.parametrize("text", ["a\r\nset-cookie: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_with_a_control_character_is_never_sent(text: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        return Response(headers=[("x-text", text)])

    assert await talk([get()], handler, hang_up=False) == b""
    assert "control character" in caplog.text


async def test_a_bug_ends_its_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        raise LookupError("hidden")

    assert await talk([get()], handler, hang_up=False) == b""
    assert "hidden" in caplog.text


async def test_a_reader_that_goes_away_ends_the_stream() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(65536)
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def handler(request: Request) -> Response:
        return Response(body=endless())

    ours, theirs = socket.socketpair()
    async with asyncio.timeout(TALK_SECONDS), cancelled_at_the_end() as group:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(handler, group), theirs)
        ours.sendall(get())
        while not await asyncio.to_thread(ours.recv, 1 << 20):
            pass
        ours.close()
        await ended.wait()


async def test_whoever_is_silent_for_a_whole_period_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "KEEP_ALIVE_SECONDS", 0.02)
    assert (await talk([get()], hang_up=False)).startswith(b"HTTP/1.1 200 OK")


async def test_an_absolute_target_is_a_path_and_a_fragment_is_nobodys() -> None:
    answer = await talk([get("http://elsewhere/a/b?c#d", "connection: close")], hang_up=False)
    assert b"x-path: /a/b\r\nx-query: c\r\n" in answer


async def test_what_comes_from_a_sandbox_carries_its_identity() -> None:
    async def handler(request: Request) -> Response:
        return Response(body=request.instance.encode())

    answer = await talk([get("/", "connection: close")], handler, instance="ASIAX", hang_up=False)
    assert answer.endswith(b"\r\n\r\nASIAX")


async def test_headers_are_counted() -> None:
    many = [f"x-{number}: v" for number in range(http.HEADERS_MAX - 1)]
    assert (await talk([get("/", *many)])).startswith(b"HTTP/1.1 200 ")
    assert (await talk([get("/", *many, "one: more")])).startswith(b"HTTP/1.1 431 ")
    assert (await talk([get("/", *["same:"] * (http.HEADERS_MAX + 1))])).startswith(b"HTTP/1.1 431 ")
