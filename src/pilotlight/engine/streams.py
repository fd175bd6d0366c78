"""An answer that is streamed: from the bootstrap's frames to whoever reads it, with what is on its way bounded.

The bootstrap may send a window of bytes ahead of the reader; one that sends more is no bootstrap of ours. Lambda's
bandwidth cap (2 MB/s after the first 6 MB) is not imitated: a stream here is as fast as its reader.
"""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.engine.contract import ResponseSink

STREAM_BYTES_MAX = 200 * 1024 * 1024
"""AWS: the most that a streamed answer may have, since July 2025."""
WINDOW_BYTES = 256 * 1024
"""`bootstraps/node/streaming.cjs` keeps to the same."""
CONTENT_TYPE_BYTES_MAX = 1024
DEFAULT_TYPE = "application/octet-stream"


class Streaming:
    """The streamed answer of one invocation. `allow(size)` lets the bootstrap send as much again."""

    def __init__(self, sink: ResponseSink, allow: Callable[[int], None]) -> None:
        self._sink = sink
        self._allow = allow
        self._ahead = 0
        self.begun = False
        self.size = 0

    def begin(self, content_type: bytes) -> None:
        if self.begun:
            return
        self.begun = True
        text = content_type[:CONTENT_TYPE_BYTES_MAX].decode("utf-8", "replace")
        self._sink.begin(text if text.isprintable() and text else DEFAULT_TYPE, self._taken)

    def take(self, data: bytes) -> bool:
        """False where the bootstrap does not keep to the window."""
        if not data:
            return True
        self.begin(b"")
        self.size += len(data)
        self._ahead += len(data)
        if self._ahead > WINDOW_BYTES:
            return False
        if self.size <= STREAM_BYTES_MAX:
            self._sink.write(data)
        return True

    @property
    def too_large(self) -> bool:
        return self.size > STREAM_BYTES_MAX

    def _taken(self, size: int) -> None:
        self._ahead -= size
        self._allow(size)
