"""A message is posted to a web server, as SNS does it.

A server's own 5xx, 429 and silence may pass; every other refusal does not. Nothing is followed to elsewhere. A name is
looked up once and what was looked at is connected to, so that no name changes its mind in between; all of it together
has a time, so that no server holds a place in the line by answering slowly.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping, Sequence

import httptools

from pilotlight.services.sns import addresses
from pilotlight.services.sns.addresses import Address, Addresses, Refused

SECONDS_MAX = 15
CONNECT_SECONDS_MAX = 5
ANSWER_BYTES_MAX = 65_536
PASSING = (429,)


class Failed(Exception):
    def __init__(self, text: str, *, passing: bool) -> None:
        super().__init__(text)
        self.passing = passing


def headers(kind: str, identity: str, topic: str, subscription: str) -> dict[str, str]:
    told = {
        "x-amz-sns-message-type": kind,
        "x-amz-sns-message-id": identity,
        "x-amz-sns-topic-arn": topic,
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
    }
    return {**told, "x-amz-sns-subscription-arn": subscription} if subscription else told


async def post(url: str, told: Mapping[str, str], body: str, places: Addresses, *, guest: bool) -> None:
    """`guest` says that a function subscribed this address. Raises Failed."""
    try:
        address = addresses.read(url)
        async with asyncio.timeout(SECONDS_MAX):
            found = await places.look_up(address, guest=guest)
            status = await _exchange(address, found, told, body.encode())
    except (Refused, ValueError) as error:
        raise Failed(f"{url} is not posted to: {error}", passing=False) from error
    except TimeoutError as error:
        raise Failed(f"{url} did not answer within {SECONDS_MAX} s", passing=True) from error
    except OSError as error:
        raise Failed(f"{url}: {error}", passing=True) from error
    if not 200 <= status < 300:
        raise Failed(f"{url} answered {status}", passing=status >= 500 or status in PASSING)


async def _exchange(address: Address, places: Sequence[str], told: Mapping[str, str], body: bytes) -> int:
    """The status of the answer. Raises OSError."""
    reader, writer = await _connect(address, places)
    try:
        own = {"Host": address.authority, "Connection": "close", "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**own, **told}.items())
        writer.write(f"POST {address.target} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        return await _status(reader)
    finally:
        writer.transport.abort()


async def _connect(address: Address, places: Sequence[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first place that takes us. Raises OSError."""
    tls = _tls() if address.secure else None
    failed: OSError = ConnectionError("it has no address")
    for place in places:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                return await asyncio.open_connection(
                    place, address.port, ssl=tls, server_hostname=address.host if tls else None
                )
        except OSError as error:
            failed = error
    raise failed


async def _status(reader: asyncio.StreamReader) -> int:
    """Raises ConnectionError where what comes is no answer."""
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    seen = 0
    while not answer.begun:
        data = await reader.read(4096)
        seen += len(data)
        if not data or seen > ANSWER_BYTES_MAX:
            raise ConnectionError("it hung up without an answer" if not data else "its answer has no end")
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            break
        except httptools.HttpParserError as error:
            raise ConnectionError(f"its answer is not HTTP: {error}") from error
        if answer.begun and parser.get_status_code() < 200:
            answer.begun = False  # 1xx: the answer itself follows
    return int(parser.get_status_code())


class _Answer:
    def __init__(self) -> None:
        self.begun = False

    def on_headers_complete(self) -> None:
        self.begun = True


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
