"""Standard output, standard error and the root logger, in Lambda's formats.

AWS: text is `[LEVEL]\\tTIME\\tREQUEST\\tMESSAGE`, and a record is one log event however many lines it has; JSON is an
object with timestamp, level, message, logger and requestId.
"""

import io
import json
import logging
import sys
import time
import traceback

from frames import LOG

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
NAMES = {"WARNING": "WARN", "CRITICAL": "FATAL"}
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "taskName"}


class Current:
    """The request that is being answered, for whoever writes a line."""

    request_id = ""


class Stream(io.TextIOBase):
    """Text that goes to the platform as it is printed; what has no newline yet waits for one."""

    def __init__(self, channel, descriptor):
        self._channel = channel
        self._descriptor = descriptor
        self._pending = ""

    encoding = "utf-8"
    errors = "backslashreplace"

    def writable(self):
        return True

    def fileno(self):
        return self._descriptor

    def isatty(self):
        return False

    @property
    def buffer(self):
        return _Bytes(self)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._pending += text
        if text.endswith("\n") and self._pending.strip("\n"):
            # AWS: what one print wrote is one log event, however many lines it has.
            self.finish()
        return len(text)

    def flush(self):
        pass

    def finish(self):
        if self._pending:
            pending, self._pending = self._pending.rstrip("\n"), ""
            self._channel.send(LOG, pending.encode("utf-8", "backslashreplace"))


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, stream):
        self._stream = stream

    def writable(self):
        return True

    def write(self, data):
        self._stream.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)


class Handler(logging.Handler):
    """One record, one log event."""

    def __init__(self, channel):
        super().__init__()
        self._channel = channel

    def emit(self, record):
        try:
            self._channel.send(LOG, self.format(record).encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)


class RequestFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = Current.request_id
        return True


class JsonFormatter(logging.Formatter):
    def format(self, record):
        entry = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": NAMES.get(record.levelname, record.levelname),
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            kind, error, trace = record.exc_info
            entry["stackTrace"] = [line.rstrip("\n") for line in traceback.format_tb(trace)]
            entry["errorType"] = kind.__name__
            entry["errorMessage"] = str(error)
            entry["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        entry["requestId"] = Current.request_id
        entry.update({key: value for key, value in vars(record).items() if key not in STANDARD})
        return json.dumps(entry, default=str, ensure_ascii=False)


def set_up(channel, start):
    """Put the streams and the root handler in place."""
    sys.stdout = Stream(channel, 1)
    sys.stderr = Stream(channel, 2)
    logging.Formatter.converter = time.gmtime
    handler = Handler(channel)
    if start["log_format"] == "JSON":
        handler.setFormatter(JsonFormatter())
        level = start["application_log_level"] or "INFO"
        logging.getLogger().setLevel(LEVELS.get(level, 20))
    else:
        pattern = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        handler.setFormatter(logging.Formatter(pattern, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(RequestFilter())
    logging.getLogger().addHandler(handler)


def finish():
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Stream):
            stream.finish()
