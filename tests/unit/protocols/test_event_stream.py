"""Messages of `application/vnd.amazon.eventstream`, read by botocore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer

from pilotlight.protocols.event_stream import message
from pilotlight.protocols.model import load_model


def read(data: bytes) -> list[tuple[dict[str, Any], bytes]]:
    buffer = EventStreamBuffer()  # type: ignore[no-untyped-call]
    buffer.add_data(data)  # type: ignore[no-untyped-call]
    return [(one.headers, one.payload) for one in buffer]


def test_messages_are_read_back() -> None:
    data = message({":event-type": "A", "ü": "ö" * 300}, b"one") + message({}, b"")
    assert read(data) == [({":event-type": "A", "ü": "ö" * 300}, b"one"), ({}, b"")]


def test_a_changed_byte_is_seen() -> None:
    data = bytearray(message({"a": "b"}, b"payload"))
    data[-6] ^= 1
    with pytest.raises(ChecksumMismatch):
        read(bytes(data))


def test_the_known_bytes_of_an_empty_message() -> None:
    """The specification's own example."""
    assert message({}, b"").hex() == "000000100000000005c248eb7d98c8ff"


async def test_an_operation_renders_its_events() -> None:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"PayloadChunk": {"Payload": b"\x00\xff"}}
        yield {"InvokeComplete": {"ErrorCode": "Unhandled"}}

    operation = load_model("lambda").operations["InvokeWithResponseStream"]
    response = operation.render({"StatusCode": 200, "EventStream": events()}, "id")
    assert ("content-type", "application/vnd.amazon.eventstream") in response.headers
    assert not isinstance(response.body, bytes)
    found = read(b"".join([piece async for piece in response.body]))
    assert [(headers[":event-type"], headers[":content-type"], payload) for headers, payload in found] == [
        ("PayloadChunk", "application/octet-stream", b"\x00\xff"),
        ("InvokeComplete", "application/json", b'{"ErrorCode":"Unhandled"}'),
    ]
