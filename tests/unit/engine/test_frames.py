"""The platform's end of the channel, against bootstraps that lie. Async, since a channel paces what it hears."""

from __future__ import annotations

from typing import Any

import pytest

from pilotlight.engine import frames
from pilotlight.engine.frames import HEAD, LOG, LOG_BYTES_MAX, READY, RESPONSE, RESPONSE_BYTES_MAX, START, Channel


class FakeTransport:
    def __init__(self) -> None:
        self.written = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


class Listener:
    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes, int]] = []
        self.lost = 0
        self.transport: Any = FakeTransport()
        self.channel = Channel()
        self.channel.connection_made(self.transport)
        self.channel.attach(lambda *frame: self.frames.append(frame), self.on_lost)

    def on_lost(self) -> None:
        self.lost += 1


def frame(kind: int, body: bytes) -> bytes:
    return HEAD.pack(len(body), kind) + body


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_frames_arrive_whole_however_they_are_cut(step: int) -> None:
    listener = Listener()
    data = frame(LOG, b"one") + frame(READY, b"") + frame(RESPONSE, b"x" * 50)
    for start in range(0, len(data), step):
        listener.channel.data_received(data[start : start + step])
    assert listener.frames == [(LOG, b"one", 3), (READY, b"", 0), (RESPONSE, b"x" * 50, 50)]


@pytest.mark.parametrize("step", [1000, 1 << 20, 1 << 30])
@pytest.mark.parametrize(("kind", "limit"), [(RESPONSE, RESPONSE_BYTES_MAX), (LOG, LOG_BYTES_MAX)])
async def test_what_is_over_the_limit_is_told_and_not_kept(kind: int, limit: int, step: int) -> None:
    listener = Listener()
    data = frame(kind, b"x" * (limit + 1)) + frame(READY, b"after")
    for start in range(0, len(data), step):
        listener.channel.data_received(data[start : start + step])
        assert len(listener.channel._buffer) <= step
    assert listener.frames == [(kind, b"", limit + 1), (READY, b"after", 5)]


async def test_what_is_just_at_the_limit_is_kept() -> None:
    listener = Listener()
    listener.channel.data_received(frame(RESPONSE, b"x" * RESPONSE_BYTES_MAX))
    assert len(listener.frames[0][1]) == RESPONSE_BYTES_MAX


@pytest.mark.parametrize("kind", [0, START, frames.INVOKE, 255])
async def test_an_unknown_kind_ends_the_conversation(kind: int) -> None:
    listener = Listener()
    listener.channel.data_received(frame(kind, b"x") + frame(READY, b""))
    assert listener.transport.aborted
    assert listener.frames == []


async def test_a_length_nobody_has_ends_the_conversation() -> None:
    listener = Listener()
    listener.channel.data_received(HEAD.pack(0xFFFFFFFF, RESPONSE))
    assert listener.transport.aborted


async def test_a_frame_that_stops_half_way_is_never_told() -> None:
    listener = Listener()
    listener.channel.data_received(HEAD.pack(100, RESPONSE) + b"half")
    listener.channel.connection_lost(None)
    assert (listener.frames, listener.lost) == ([], 1)


async def test_sending_after_the_end_is_nothing() -> None:
    listener = Listener()
    listener.channel.send(START, b"{}")
    assert listener.transport.written == frame(START, b"{}")
    listener.channel.connection_lost(None)
    listener.channel.send(START, b"{}")
    listener.channel.close()
    assert listener.transport.written == frame(START, b"{}")
