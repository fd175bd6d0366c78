"""The frames between an instance and its bootstrap: four bytes of length, one of kind, and a body.

`runtimes/bootstraps/python/frames.py` is the other side. What comes from there is a stranger's: lengths lie,
kinds are unknown, and neither may cost more than the instance.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import cast

from pilotlight.engine.pace import Pace

START, READY, INVOKE, RESPONSE, FAILURE, LOG, INIT_FAILED, LEAVING = (ord(letter) for letter in "SRIOFLXG")
RESTORE = ord("E")
"""A version with SnapStart is about to be invoked: READY follows once its hooks have run, or INIT_FAILED."""
STREAM, DATA, TAKEN = (ord(letter) for letter in "BDA")
"""A streamed answer: STREAM with its content type, then DATA, then RESPONSE (empty) or FAILURE. TAKEN goes the other
way: as many bytes of DATA (four bytes, little-endian) have been read, and as many may follow."""
HEAD = struct.Struct("<IB")
RESPONSE_BYTES_MAX = 6 * 1024 * 1024 + 100
LOG_BYTES_MAX = 256 * 1024
FRAME_BYTES_MAX = 512 * 1024 * 1024
KNOWN = frozenset((READY, RESPONSE, FAILURE, LOG, INIT_FAILED, LEAVING, STREAM, DATA))


class Channel(asyncio.Protocol):
    """The platform's end. Nothing is expected from the other side before `attach`."""

    def __init__(self) -> None:
        self._on_frame: Callable[[int, bytes, int], None] = _ignore
        self._on_lost: Callable[[], None] | None = None
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._skip = 0
        self._skipped: tuple[int, int] | None = None
        self._pace = Pace(self._pause, self._resume)

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def attach(self, on_frame: Callable[[int, bytes, int], None], on_lost: Callable[[], None]) -> None:
        """`on_frame(kind, body, size)`: `body` is empty where `size` was over the limit."""
        self._on_frame = on_frame
        self._on_lost = on_lost
        if not self.connected:
            on_lost()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._pace.close()
        if self._on_lost is not None:
            self._on_lost()

    def send(self, kind: int, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(HEAD.pack(len(body), kind) + body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._skip:
            data = self._discard(data)
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEAD.size:
            size, kind = HEAD.unpack_from(buffer)
            if kind not in KNOWN or size > FRAME_BYTES_MAX:
                self.close()  # no bootstrap of ours speaks like this
                return
            if size > (LOG_BYTES_MAX if kind == LOG else RESPONSE_BYTES_MAX):
                rest = bytes(buffer[HEAD.size :])
                buffer.clear()
                self._skip, self._skipped = size, (kind, size)
                buffer += self._discard(rest)
                if self._skip:
                    return
                continue
            end = HEAD.size + size
            if len(buffer) < end:
                return
            body = bytes(buffer[HEAD.size : end])
            del buffer[:end]
            self._pace.spend(size if kind == LOG else 0, 1)
            self._on_frame(kind, body, size)

    def _discard(self, data: bytes) -> bytes:
        """Throw away what belongs to a frame over the limit; what comes after it is handed back."""
        taken = min(self._skip, len(data))
        self._skip -= taken
        if self._skip == 0 and self._skipped is not None:
            (kind, size), self._skipped = self._skipped, None
            self._pace.spend(size if kind == LOG else 0, 1)
            self._on_frame(kind, b"", size)
        return data[taken:]


def _ignore(kind: int, body: bytes, size: int) -> None:
    pass
