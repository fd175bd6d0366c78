"""Answers that a Node.js handler streams: pieces as they are made, failures midway, readers that are slow or gone."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable

import pytest

from pilotlight.engine import streams
from pilotlight.engine.contract import FunctionVersion
from tests.engine.world import World

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
]


class Reader:
    """A `ResponseSink` that takes at once what it is given, or when it is told to."""

    def __init__(self, *, greedy: bool = True) -> None:
        self.content_type = ""
        self.pieces: list[bytes] = []
        self.untaken = 0
        self._greedy = greedy
        self._taken: Callable[[int], None] = lambda size: None
        self._changed = asyncio.Event()

    def begin(self, content_type: str, taken: Callable[[int], None]) -> None:
        self.content_type, self._taken = content_type, taken

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        self.untaken += len(data)
        self._changed.set()
        if self._greedy:
            self.take()

    def take(self) -> None:
        size, self.untaken = self.untaken, 0
        self._taken(size)

    async def wait_for(self, size: int) -> None:
        async with asyncio.timeout(10):
            while sum(map(len, self.pieces)) < size:
                self._changed.clear()
                await self._changed.wait()


def streaming(plain: World, body: str, **changes: object) -> FunctionVersion:
    source = f"exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {{ {body} }})"
    return plain.version(files={"index.js": source}, runtime="nodejs20.x", handler="index.handler", **changes)


async def test_pieces_arrive_before_the_answer_is_whole(plain: World) -> None:
    version = streaming(plain, "stream.write('one'); setTimeout(() => stream.end('two'), 60)")
    reader = Reader()
    running = asyncio.ensure_future(plain.invoke(version, sink=reader))
    await reader.wait_for(3)
    assert not running.done()
    outcome = await running
    assert (outcome.payload, outcome.function_error) == (b"", "")
    assert (reader.pieces, reader.content_type) == ([b"one", b"two"], "application/octet-stream")


async def test_a_content_type_and_a_prelude(plain: World) -> None:
    reader = Reader()
    await plain.invoke(streaming(plain, "stream.setContentType('text/html'); stream.end('<p>')"), sink=reader)
    assert reader.content_type == "text/html"
    reader = Reader()
    body = "stream = awslambda.HttpResponseStream.from(stream, { statusCode: 418 }); stream.end('tea')"
    await plain.invoke(streaming(plain, body), sink=reader)
    assert reader.content_type == "application/vnd.awslambda.http-integration-response"
    prelude, _, rest = b"".join(reader.pieces).partition(bytes(8))
    assert (json.loads(prelude), rest) == ({"statusCode": 418}, b"tea")


async def test_a_failure_midway_and_one_at_once(plain: World) -> None:
    reader = Reader()
    version = streaming(plain, "stream.write('half'); if (event) throw new TypeError('broken')")
    outcome = await plain.invoke(version, True, sink=reader)
    assert (reader.pieces, outcome.function_error) == ([b"half"], "Unhandled")
    assert json.loads(outcome.payload)["errorMessage"] == "broken"
    reader = Reader()
    outcome = await plain.invoke(streaming(plain, "throw new Error('never')"), sink=reader)
    assert (reader.pieces, reader.content_type, outcome.function_error) == ([], "", "Unhandled")


async def test_a_process_that_exits_midway(plain: World) -> None:
    reader = Reader()
    outcome = await plain.invoke(streaming(plain, "stream.write('half'); process.exit(3)"), sink=reader)
    assert reader.pieces == [b"half"]
    assert "exit status 3" in json.loads(outcome.payload)["errorMessage"]


async def test_a_handler_that_does_not_stream_leaves_the_reader_alone(plain: World) -> None:
    files = {"index.js": "exports.handler = async () => ({ a: 1 })"}
    version = plain.version(files=files, runtime="nodejs20.x", handler="index.handler")
    reader = Reader()
    outcome = await plain.invoke(version, sink=reader)
    assert (outcome.payload, reader.pieces, reader.content_type) == (b'{"a":1}', [], "")


async def test_a_slow_reader_holds_the_handler_back(plain: World) -> None:
    body = """
      let sent = 0
      while (sent < 4000000) {
        if (!stream.write(Buffer.alloc(50000))) await new Promise(resolve => stream.once('drain', resolve))
        sent += 50000
      }
      stream.end()"""
    reader = Reader(greedy=False)
    running = asyncio.ensure_future(plain.invoke(streaming(plain, body), sink=reader))
    await reader.wait_for(streams.WINDOW_BYTES - 50_000)
    for _ in range(50):
        await asyncio.sleep(0)
    assert reader.untaken <= streams.WINDOW_BYTES
    while not running.done():
        reader.take()
        await asyncio.sleep(0.001)
    assert sum(map(len, reader.pieces)) == 4_000_000


async def test_a_stream_over_the_limit_is_cut(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STREAM_BYTES_MAX", 100_000)
    reader = Reader()
    outcome = await plain.invoke(streaming(plain, "stream.end(Buffer.alloc(500000))"), sink=reader)
    assert sum(map(len, reader.pieces)) <= 100_000
    assert json.loads(outcome.payload)["errorType"] == "Function.ResponseSizeTooLarge"


async def test_a_streaming_handler_answers_again_when_warm(plain: World) -> None:
    version = streaming(plain, "stream.end(String(event))")
    for number in range(3):
        reader = Reader()
        await plain.invoke(version, number, sink=reader)
        assert b"".join(reader.pieces) == str(number).encode()
