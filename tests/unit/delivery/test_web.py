"""Posting to web servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pilotlight.delivery.targets import web
from pilotlight.services.sns.addresses import Addresses

PLACES = Addresses(lambda: "http://127.0.0.1:4566", egress=True)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hook?a=b"
    finally:
        listening.close()


def saying(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return answer


async def post(url: str, *, guest: bool = False) -> None:
    await web.post(url, web.headers("Notification", "m", "t", "s"), "héllo", PLACES, guest=guest)


async def test_what_is_sent() -> None:
    seen = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen = await reader.readuntil("héllo".encode())
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with server(answer) as url:
        await post(url)
    line, *lines = seen.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert line == "POST /hook?a=b HTTP/1.1"
    told = dict(one.split(": ", 1) for one in lines)
    assert told["Host"] == url.split("/")[2]
    assert told["Content-Length"] == "6"
    assert told["x-amz-sns-subscription-arn"] == "s"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n",
        b"HTTP/1.0 200 fine\r\n\r\n",
    ],
)
async def test_what_is_an_answer(data: bytes) -> None:
    async with server(saying(data)) as url:
        await post(url)


@pytest.mark.parametrize(
    ("data", "passing", "said"),
    [
        (b"HTTP/1.1 500 Oh\r\n\r\n", True, "answered 500"),
        (b"HTTP/1.1 429 Busy\r\n\r\n", True, "answered 429"),
        (b"HTTP/1.1 403 No\r\n\r\n", False, "answered 403"),
        (b"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1/\r\n\r\n", False, "answered 302"),
        (b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", False, "answered 101"),
        (b"", True, "hung up"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", True, "hung up"),
        (b"220 mail\r\n", True, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, True, "no end"),
    ],
)
async def test_what_fails(data: bytes, passing: bool, said: str) -> None:
    async with server(saying(data)) as url:
        with pytest.raises(web.Failed, match=said) as failed:
            await post(url)
    assert failed.value.passing is passing


async def test_an_answer_that_drips_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.001)

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await answer(reader, writer)

    monkeypatch.setattr(web, "SECONDS_MAX", 0.05)
    async with server(drips) as url:
        with pytest.raises(web.Failed, match="did not answer within") as failed:
            await post(url)
    assert failed.value.passing


async def test_a_functions_subscription_does_not_reach_the_host() -> None:
    async with server(saying(b"HTTP/1.1 200 OK\r\n\r\n")) as url:
        await post(url)
        with pytest.raises(web.Failed, match="public IPv4") as failed:
            await post(url, guest=True)
    assert not failed.value.passing


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://name.invalid/"])
async def test_who_is_not_there_may_come(url: str) -> None:
    with pytest.raises(web.Failed) as failed:
        await post(url)
    assert failed.value.passing


async def test_what_cannot_be_a_name_is_given_up() -> None:
    with pytest.raises(web.Failed) as failed:
        await post(f"http://{'a' * 70}.example/")
    assert not failed.value.passing
