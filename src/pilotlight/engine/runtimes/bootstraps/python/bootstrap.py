"""Runs a Python handler: loads it once, answers one invocation after another.

Standard library only, Python 3.8 and newer. Started by exec with the control socket's number as its argument, or
called in a zygote's child. Messages and shapes of errors are those of Lambda's own Python runtime.
"""

import builtins
import importlib
import json
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import logs  # noqa: E402
from context import LambdaContext  # noqa: E402
from frames import FAILURE, INIT_FAILED, INVOKE, READY, RESPONSE, START, Channel  # noqa: E402


class Fault(Exception):
    """What is wrong with the function, not with its code's own logic."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = list(trace)


class Encoder(json.JSONEncoder):
    """AWS: a Decimal becomes a number; whatever else JSON does not know is an error."""

    def default(self, value):
        if type(value).__name__ == "Decimal" and type(value).__module__ in ("decimal", "_pydecimal"):
            return int(value) if value == value.to_integral_value() else float(value)
        return super().default(value)


ENCODER = Encoder(ensure_ascii=False, allow_nan=False)


def main(channel):
    kind, body = channel.receive()
    if kind != START:
        os._exit(2)
    serve(channel, json.loads(body))


def serve(channel, start):
    """Initialise, then answer until the platform closes the channel."""
    prepare(start)
    logs.set_up(channel, start)
    try:
        handler = load(start["handler"])
    except Fault as fault:
        fail_init(channel, fault)
        return
    logs.finish()
    channel.send(READY, b"")
    while True:
        kind, body = channel.receive()
        if kind == INVOKE:
            answer(channel, start, handler, body)


def prepare(start):
    """The environment and the search path that a function sees."""
    os.environ.clear()
    os.environ.update(start["environment"])
    time.tzset()
    own = [path for path in sys.path if path not in (HERE, "") and not path.startswith(start["task_root"])]
    stdlib = [path for path in own if path not in start["search_path"]]
    sys.path[:] = [start["task_root"], *start["search_path"], *stdlib]
    sys.argv[:] = [""]
    os.chdir(start["task_root"])
    if not hasattr(builtins, "exit"):  # started without `site`
        import _sitebuiltins

        builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
        builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")


def load(name):
    """The handler function. Raises Fault in the words of Lambda's runtime."""
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {error}") from None
    try:
        if module_name.split(".")[0] in sys.builtin_module_names:
            raise Fault(
                "Runtime.BuiltInModuleConflict",
                f"Cannot use built-in module {module_name} as a handler module",
            )
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise Fault("Runtime.ImportModuleError", message) from None
    except SyntaxError as error:
        message = f"Syntax error in module '{module_name}': {error}"
        line = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", message, [line]) from None
    except Exception as error:
        raise Fault(type(error).__name__, str(error), user_trace(error)) from error
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from None


def user_trace(error):
    """The frames of the function's own code, as `traceback` writes them."""
    frames = traceback.extract_tb(error.__traceback__)
    kept = [frame for frame in frames if not hidden(frame.filename)]
    return traceback.format_list(kept)


def hidden(filename):
    return filename.startswith(HERE) or "importlib" in filename


def fail_init(channel, fault):
    logs.finish()
    log_error(fault.kind, fault.message, fault.trace)
    logs.finish()
    channel.send_json(
        INIT_FAILED,
        {"errorMessage": fault.message, "errorType": fault.kind, "requestId": "", "stackTrace": fault.trace},
    )
    os._exit(1)


def log_error(kind, message, trace):
    """AWS: one log event with the error and its trace."""
    lines = [f"[ERROR] {kind}: {message}"]
    if trace:
        lines.append("Traceback (most recent call last):")
        lines.extend(line.rstrip("\n") for line in trace)
    sys.stderr._channel.send(logs.LOG, "\n".join(lines).encode("utf-8", "backslashreplace"))


def answer(channel, start, handler, body):
    size = int.from_bytes(body[:4], "little")
    header = json.loads(body[4 : 4 + size])
    payload = body[4 + size :]
    logs.Current.request_id = header["request_id"]
    if header.get("trace_id"):
        os.environ["_X_AMZN_TRACE_ID"] = header["trace_id"]
    try:
        try:
            event = json.loads(payload.decode("utf-8")) if payload else {}
        except ValueError as error:
            raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None
        result = handler(event, LambdaContext(start, header))
        try:
            encoded = ENCODER.encode(result).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, OverflowError) as error:
            raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    except Fault as fault:
        fail(channel, header, fault.kind, fault.message, fault.trace)
    except Exception as error:
        fail(channel, header, type(error).__name__, str(error), user_trace(error))
    else:
        logs.finish()
        channel.send(RESPONSE, encoded)
    logs.Current.request_id = ""


def fail(channel, header, kind, message, trace):
    logs.finish()
    log_error(kind, message, trace)
    body = {
        "errorMessage": message,
        "errorType": kind,
        "requestId": header["request_id"],
        "stackTrace": trace,
    }
    channel.send(FAILURE, json.dumps(body).encode())


if __name__ == "__main__":
    main(Channel(int(sys.argv[1])))
