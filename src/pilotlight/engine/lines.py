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
        if texts and self.telling is not None and self.telling.on:
            self.telling.function_lines(texts)

    def native(self, data: bytes) -> None:
        """What was written to descriptors 1 and 2 past the bootstrap: native code, subprocesses, crashes."""
        texts, self._native = events(self._native + data)
        self.of_function(texts)

    def of_extensions(self, data: bytes) -> None:
        texts, self._extensions = events(self._extensions + data)
        self.write(texts)
        if texts and self.telling is not None and self.telling.on:
            self.telling.extension_lines(texts)

    def end(self) -> None:
        """What waits for its newline is an event of the log when there is nobody left to write one."""
        if self._native:
            line, self._native = self._native, b""
            self.of_function([line.decode("utf-8", "replace")])


def events(data: bytes) -> tuple[list[str], bytes]:
    """Lines as events of the log, and the beginning of one that is not whole yet. Nothing is lost: what is longer than
    an event may be is more than one."""
    *lines, rest = data.split(b"\n")
    parts = [part for line in lines for part in _pieces(line)]
    while len(rest) >= frames.LOG_BYTES_MAX:
        parts.append(rest[: frames.LOG_BYTES_MAX])
        rest = rest[frames.LOG_BYTES_MAX :]
    return [part.decode("utf-8", "replace") for part in parts], rest


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + frames.LOG_BYTES_MAX] for at in range(0, max(len(line), 1), frames.LOG_BYTES_MAX)]
