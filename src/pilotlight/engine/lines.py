"""What one instance writes into its function's log: the platform's lines, the function's, its extensions'."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.clock import Clock
from pilotlight.engine import frames
from pilotlight.engine.contract import FunctionVersion, LogSink
from pilotlight.engine.telling import Telling

LOG_TAIL_BYTES = 4096


class Lines:
    def __init__(self, version: FunctionVersion, stream: str, logs: LogSink, clock: Clock) -> None:
        self.tail: bytearray | None = None
        """Gets the lines of the invocation under way."""
        self.telling: Telling | None = None
        self._version = version
        self._stream = stream
        self._logs = logs
        self._clock = clock
        self._native = b""
        self._extensions = b""

    def write(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        if self.tail is not None:
            for text in texts:
                self.tail += text.encode() + b"\n"
            del self.tail[: -2 * LOG_TAIL_BYTES]
        now_ms = self._clock.wall_ms()
        self._logs.write(
            account=self._version.account,
            region=self._version.region,
            group=self._version.log_group,
            stream=self._stream,
            lines=[(now_ms, text) for text in texts],
        )

    def of_function(self, texts: Sequence[str]) -> None:
        self.write(texts)
        if self.telling is not None and self.telling.on:
            self.telling.function_lines(texts)

    def native(self, data: bytes) -> None:
        """What was written to descriptors 1 and 2 past the bootstrap: native code, subprocesses, crashes."""
        whole, newline, rest = (self._native + data).rpartition(b"\n")
        self._native = rest[-LOG_TAIL_BYTES:] if newline else (whole + rest)[-frames.LOG_BYTES_MAX :]
        if newline:
            self.of_function(whole.decode("utf-8", "replace").split("\n"))

    def of_extensions(self, data: bytes) -> None:
        whole, newline, rest = (self._extensions + data).rpartition(b"\n")
        self._extensions = rest[-frames.LOG_BYTES_MAX :]
        if newline:
            texts = whole.decode("utf-8", "replace").split("\n")
            self.write(texts)
            if self.telling is not None and self.telling.on:
                self.telling.extension_lines(texts)

    def end(self) -> None:
        """What waits for its newline is an event of the log when there is nobody left to write one."""
        if self._native:
            line, self._native = self._native, b""
            self.of_function([line.decode("utf-8", "replace")])
