"""`application/vnd.amazon.eventstream`: an answer of events, each a message with its length and two checksums.

A message: total length and headers' length (four bytes each, big-endian), CRC-32 of these eight bytes, headers,
payload, CRC-32 of all before it. A header: a byte of length, its name, a byte of type (7: text), two bytes of length,
its value. AWS: the Smithy specification, "Amazon Event Stream Specification".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.protocols.aws_json import dump_json

if TYPE_CHECKING:
    from pilotlight.protocols.json_codec import JsonCodec
    from pilotlight.protocols.shapes import Shape

CONTENT_TYPE = "application/vnd.amazon.eventstream"
PRELUDE = struct.Struct(">II")
CHECKSUM = struct.Struct(">I")
TEXT = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message. Headers are text; other types do not occur in what AWS sends to clients here."""
    encoded = b"".join(_header(name, value) for name, value in headers.items())
    total = PRELUDE.size + CHECKSUM.size + len(encoded) + len(payload) + CHECKSUM.size
    prelude = PRELUDE.pack(total, len(encoded))
    body = b"".join((prelude, CHECKSUM.pack(zlib.crc32(prelude)), encoded, payload))
    return body + CHECKSUM.pack(zlib.crc32(body))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return b"".join((bytes((len(key),)), key, bytes((TEXT,)), len(text).to_bytes(2, "big"), text))


class EventStream:
    """The events of one output shape, for the JSON protocols: `{"Name": {…members}}` ↔ messages."""

    def __init__(self, shape: Shape, json: JsonCodec) -> None:
        self._events: dict[str, tuple[str, Any]] = {}
        for name, member in shape.members.items():
            payload = next((key for key, one in member.shape.members.items() if one.trait("eventpayload")), "")
            self._events[name] = (payload, None if payload else json.renderer(member))

    def encode(self, event: Mapping[str, Any]) -> bytes:
        (name, members), *_ = event.items()
        payload_member, render = self._events[name]
        if payload_member:
            kind, payload = "application/octet-stream", members[payload_member]
        else:
            kind, payload = "application/json", dump_json(render(members))
        return message({":event-type": name, ":content-type": kind, ":message-type": "event"}, payload)

    async def stream(self, events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
        try:
            async for event in events:
                yield self.encode(event)
        finally:
            if hasattr(events, "aclose"):
                await events.aclose()
