"""Runs a WebAssembly command: `_start`, in a fresh instance for each invocation, event on stdin and answer on stdout.

Started with the control socket's number, the directory of `frames.py` and that of wasmtime, ahead of time and for any
function. The module comes as native code that the platform made.
"""

import json
import os
import sys

for _path in sys.argv[2:4]:
    sys.path.insert(0, _path)

import wasmtime  # noqa: E402
from frames import FAILURE, INIT_FAILED, INVOKE, LOG, READY, RESPONSE, START, Channel  # noqa: E402

EVENT_BYTES_MAX = 262118
ANSWER_BYTES_MAX = 7 * 1024 * 1024
MEGABYTE = 1 << 20
HEADERS = {
    "request_id": "AWS_LAMBDA_REQUEST_ID",
    "deadline_ms": "AWS_LAMBDA_DEADLINE_MS",
    "invoked_arn": "AWS_LAMBDA_INVOKED_FUNCTION_ARN",
    "client_context": "AWS_LAMBDA_CLIENT_CONTEXT",
    "identity": "AWS_LAMBDA_COGNITO_IDENTITY",
    "trace_id": "_X_AMZN_TRACE_ID",
}


class Lines:
    """Standard error: each line is one event of the log."""

    def __init__(self, channel):
        self._channel = channel
        self._left = b""

    def write(self, data):
        *lines, self._left = (self._left + bytes(data)).split(b"\n")
        for line in lines:
            self._send(line)
        if len(self._left) > EVENT_BYTES_MAX:
            self.finish()
        return len(data)

    def finish(self):
        if self._left:
            line, self._left = self._left, b""
            self._send(line)

    def _send(self, line):
        for start in range(0, len(line) or 1, EVENT_BYTES_MAX):
            self._channel.send(LOG, line[start : start + EVENT_BYTES_MAX])


class Answer:
    """Standard output. What is beyond any answer's limit is counted, and not kept."""

    def __init__(self):
        self.parts = []
        self._size = 0

    def write(self, data):
        if self._size < ANSWER_BYTES_MAX:
            self.parts.append(bytes(data))
        self._size += len(data)
        return len(data)


class Command:
    def __init__(self, engine, channel, start):
        self._start = start
        self._channel = channel
        self._engine = engine
        self._linker = wasmtime.Linker(engine)
        self._linker.define_wasi()
        self._module = wasmtime.Module.deserialize_file(engine, start["compiled"])
        if not any(export.name == "_start" for export in self._module.exports):
            raise ValueError("it exports no _start, so it is no command")
        self._input, self._input_path = open_input(start["scratch"])

    def run(self, header, payload):
        """The bytes of the answer. Raises wasmtime's errors."""
        os.ftruncate(self._input, 0)
        os.pwrite(self._input, payload, 0)
        answer, lines = Answer(), Lines(self._channel)
        store = wasmtime.Store(self._engine)
        store.set_limits(memory_size=self._start["memory_mb"] * MEGABYTE)
        store.set_wasi(self._world(header, answer, lines))
        try:
            self._linker.instantiate(store, self._module).exports(store)["_start"](store)
        except wasmtime.ExitTrap as ended:
            if ended.code != 0:
                raise
        finally:
            lines.finish()
            store.close()
        return b"".join(answer.parts) or b"null"

    def _world(self, header, answer, lines):
        wasi = wasmtime.WasiConfig()
        given = {name: str(header[key]) for key, name in HEADERS.items() if header.get(key)}
        wasi.env = list({**self._start["environment"], **given}.items())
        wasi.argv = [self._start["handler"]]
        wasi.stdin_file = self._input_path
        wasi.stdout_custom = answer.write
        wasi.stderr_custom = lines.write
        wasi.preopen_dir(self._start["scratch"], "/tmp")
        wasi.preopen_dir(self._start["task_root"], "/var/task", False)
        return wasi


def open_input(scratch):
    """A file for the event, which the function cannot find."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("event")
        return descriptor, "/proc/self/fd/%d" % descriptor
    path = os.path.join(os.path.dirname(scratch), os.path.basename(scratch) + ".event")
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600), path


def fault(kind, message):
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def main():
    channel = Channel(int(sys.argv[1]))
    engine = wasmtime.Engine()
    kind, body = channel.receive()
    if kind != START:
        os._exit(2)
    start = json.loads(body)
    try:
        if start["refusal"]:
            raise ValueError(start["refusal"])
        command = Command(engine, channel, start)
    except (ValueError, wasmtime.WasmtimeError) as error:
        said = "%s cannot be run: %s" % (start["handler"], error)
        channel.send(LOG, said.encode())
        channel.send(INIT_FAILED, fault("Runtime.InvalidModule", said))
        os._exit(1)
    channel.send(READY, b"")
    while True:
        kind, body = channel.receive()
        if kind == INVOKE:
            answer(channel, command, body)


def answer(channel, command, body):
    size = int.from_bytes(body[:4], "little")
    try:
        channel.send(RESPONSE, command.run(json.loads(body[4 : 4 + size]), body[4 + size :]))
    except wasmtime.ExitTrap as ended:
        fail(channel, "Runtime.ExitError", "exit status %d" % ended.code)
    except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
        channel.send(LOG, str(error).encode()[:EVENT_BYTES_MAX])
        fail(channel, "Runtime.Trap", str(error).strip().split("\n")[-1].strip())


def fail(channel, kind, message):
    channel.send(FAILURE, fault(kind, message))


if __name__ == "__main__":
    main()
