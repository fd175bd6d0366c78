"""A streamed answer on its way from a runtime's request to the instance, no further ahead than its reader allows."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.engine import frames
from pilotlight.engine.runtime_api.http import Exchange
from pilotlight.engine.streams import WINDOW_BYTES


class Outgoing:
    """What has come and may not go on yet is kept here, and no more is read meanwhile."""

    def __init__(self, exchange: Exchange, on_frame: Callable[[int, bytes, int], None]) -> None:
        self._exchange = exchange
        self._on_frame = on_frame
        self._kept = bytearray()
        self._ahead = 0
        self._held = False
        self._done: Callable[[], None] | None = None
        content_type = exchange.headers.get("content-type", "").encode("latin-1")
        on_frame(frames.STREAM, content_type, len(content_type))

    def take(self, data: bytes) -> None:
        self._kept += data
        self._go_on()

    def allow(self, size: int) -> None:
        self._ahead -= size
        self._go_on()

    def finish(self, done: Callable[[], None]) -> None:
        """Call `done` when all has gone on."""
        self._done = done
        self._go_on()

    def _go_on(self) -> None:
        room = WINDOW_BYTES - self._ahead
        if self._kept and room > 0:
            data = bytes(self._kept[:room])
            del self._kept[:room]
            self._ahead += len(data)
            self._on_frame(frames.DATA, data, len(data))
        if bool(self._kept) is not self._held:
            self._held = not self._held
            (self._exchange.hold_back if self._held else self._exchange.go_on)()
        if not self._kept and self._done is not None:
            done, self._done = self._done, None
            done()
