"""Standard output, standard error and the root logger, in Lambda's formats.

AWS: text is `[LEVEL]\\tTIME\\tREQUEST\\tMESSAGE`, and a record is one log event however many lines it has; JSON is an
object with timestamp, level, message, logger and requestId. What is printed is one event a line, in both formats.
"""

import atexit
import io
import json
import logging
import sys
import threading
import time
import traceback

from frames import LOG

EVENT_BYTES_MAX = 262118
"""AWS: CloudWatch's limit of 256 KiB an event, less its overhead of 26 bytes. What is longer becomes several."""
LEVELS = {"TRACE": 10, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "taskName"}
NO_BREAK_SPACE = "\u00a0"


class Current:
    """What whoever writes a line needs to know; there is one of it in a process."""

    request_id = ""
    channel = None
    json = False


def write(text):
    """One log event, or as many as its length needs."""
    data = text.encode("utf-8", "backslashreplace")
    for start in range(0, len(data) or 1, EVENT_BYTES_MAX):
        Current.channel.send(LOG, data[start : start + EVENT_BYTES_MAX])


def write_error(error):
    """What ended an invocation, or the initialisation: one log event with its trace."""
    if Current.json:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        write(json.dumps({"timestamp": moment, "level": "ERROR", **error}, ensure_ascii=False))
        return
    message = ": " + error["errorMessage"] if error["errorMessage"] else ""
    lines = [f"[ERROR] {error['errorType']}{message}", "Traceback (most recent call last):"]
    for element in error["stackTrace"]:
        for line in element.splitlines():
            # AWS: the indentation is of no-break spaces.
            text = line.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    write("\n".join(lines))


class Stream(io.TextIOBase):
    """Text that goes to the platform as it is printed; what has no newline yet waits for one."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._pending = ""
        self._lock = threading.Lock()

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
        with self._lock:
            self._pending += text
            if "\n" not in text:
                return len(text)
            *lines, self._pending = self._pending.split("\n")
        for line in lines:
            write(line)
        return len(text)

    def flush(self):
        """A line is written when it is whole, as a pipe's reader sees it."""

    def finish(self):
        with self._lock:
            pending, self._pending = self._pending, ""
        if pending:
            write(pending)


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

    def emit(self, record):
        try:
            text = self.format(record)
            write(text[:-1] if text.endswith("\n") else text)
        except Exception:
            self.handleError(record)


class RequestFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = Current.request_id
        return True


class JsonFormatter(logging.Formatter):
    def format(self, record):
        level = min(50, max(0, record.levelno)) // 10 * 10
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry = {
            "timestamp": f"{moment}.{int(record.msecs):03}Z",
            "level": logging.getLevelName(level),
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0]:
            kind, error, trace = record.exc_info
            entry["stackTrace"] = traceback.format_tb(trace)
            entry["errorType"] = kind.__name__
            entry["errorMessage"] = str(error)
        entry["requestId"] = Current.request_id
        if record.exc_info:
            entry["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        for key, value in vars(record).items():
            if key not in STANDARD and key not in entry and value is not None:
                entry[key] = value
        return json.dumps(entry, ensure_ascii=False)


def set_up(channel, start):
    """Put the streams and the root handler in place."""
    Current.channel = channel
    Current.json = start["log_format"] == "JSON"
    sys.stdout = Stream(1)
    sys.stderr = Stream(2)
    atexit.register(finish)
    logging.Formatter.converter = time.gmtime
    handler = Handler()
    if Current.json:
        handler.setFormatter(JsonFormatter())
        logging.getLogger().setLevel(LEVELS.get(start["application_log_level"] or "INFO", 20))
    else:
        pattern = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        handler.setFormatter(logging.Formatter(pattern, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(RequestFilter())
    logging.getLogger().addHandler(handler)


def finish():
    """Write what was printed without a newline at its end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Stream):
            stream.finish()
