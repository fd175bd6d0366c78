"""Runs a Python handler: loads it once, answers one invocation after another.

Standard library only, Python 3.8 and newer. Started by exec with the control socket's number as its argument, or
called in a zygote's child. Messages and shapes of errors are those of Lambda's own Python runtime.
"""

import builtins
import importlib
import importlib.util
import json
import os
import re
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import logs  # noqa: E402
from context import LambdaContext  # noqa: E402
from frames import FAILURE, INIT_FAILED, INVOKE, READY, RESPONSE, RESTORE, START, Channel  # noqa: E402

# A function may have modules of these names, and must find its own.
for _name in ("logs", "context", "frames"):
    del sys.modules[_name]

PR_SET_PDEATHSIG = 1
SNAPSTART_MINOR_MIN = 12
"""AWS: SnapStart's module is there from this runtime on."""


class Fault(Exception):
    """What is wrong with the function, not with its code's own logic."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = list(trace)


class Encoder(json.JSONEncoder):
    """AWS: a Decimal is written with all its digits; whatever else JSON does not know is an error."""

    def __init__(self, **options):
        super().__init__(**options)
        self._mark = os.urandom(16).hex()
        self._decimals = []

    def default(self, value):
        if type(value).__name__ == "Decimal" and type(value).__module__ in ("decimal", "_pydecimal"):
            if not value.is_finite():
                return float("nan") if value.is_nan() else float(value)
            # The standard library cannot write a number verbatim: this string stands for it, and no other is like it.
            self._decimals.append(str(value))
            return f"{self._mark}{len(self._decimals) - 1}."
        return super().default(value)

    def bytes_of(self, value):
        self._decimals = []
        text = self.encode(value)
        if self._decimals:
            text = re.sub(f'"{self._mark}([0-9]+)[.]"', lambda match: self._decimals[int(match[1])], text)
        return text.encode("utf-8", "surrogatepass")


def runtime_minor(start):
    """12 of `python3.12`."""
    return int(start["runtime"].split(".")[1])


def make_encoder(start):
    # AWS: 3.12 and later write characters as they are, the earlier runtimes escape them.
    plain = runtime_minor(start) >= 12
    # AWS: NaN and Infinity are written too, although JSON has none; the tests of AWS's own runtime client say so.
    return Encoder(ensure_ascii=not plain, allow_nan=True)


def main(channel, forked):
    """`forked`: the environment is still the zygote's."""
    kind, body = channel.receive()
    if kind != START:
        os._exit(2)
    start = json.loads(body)
    if forked:
        os.environ.clear()
        os.environ.update(start["environment"])
        time.tzset()
    prepare(start)
    serve(channel, start)


def serve(channel, start):
    """Initialise, then answer until the platform closes the channel."""
    logs.set_up(channel, start)
    try:
        handler = load(start["handler"])
        if start.get("snap_start"):
            run_hooks("get_before_snapshot")
    except Fault as fault:
        fail_init(channel, fault)
        return
    logs.finish()
    channel.send(READY, b"")
    encoder = make_encoder(start)
    while True:
        kind, body = channel.receive()
        if kind == INVOKE:
            answer(channel, start, handler, encoder, body)
        elif kind == RESTORE:
            restore(channel)


class Provided:
    """Finds SnapStart's module where the function brings none of its own."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "snapshot_restore_py":
            return None
        return importlib.util.spec_from_file_location(name, os.path.join(HERE, "snapshot_restore_py.py"))


def run_hooks(registry):
    """Those that the function registered, if it did. Raises Fault."""
    module = sys.modules.get("snapshot_restore_py")
    if module is None:
        return
    hooks = list(getattr(module, registry)())
    if registry == "get_before_snapshot":
        hooks.reverse()
    for function, arguments, named in hooks:
        try:
            function(*arguments, **named)
        except Exception as error:
            raise Fault(type(error).__name__, str(error), trace_of(error)) from error


def restore(channel):
    """The first invocation is near. Nothing was copied from another instance, so there is nothing else to renew."""
    try:
        run_hooks("get_after_restore")
    except Fault as fault:
        fail_init(channel, fault)
        return
    logs.finish()
    channel.send(READY, b"")


def prepare(start):
    """The search path and the directory that a function starts with."""
    own = [path for path in sys.path if path not in (HERE, "") and not path.startswith(start["task_root"])]
    stdlib = [path for path in own if path not in start["search_path"]]
    sys.path[:] = [start["task_root"], *start["search_path"], *stdlib]
    if runtime_minor(start) >= SNAPSTART_MINOR_MIN:
        sys.meta_path.append(Provided)
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
        raise Fault(type(error).__name__, str(error), trace_of(error)) from error
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", message) from None


def trace_of(error):
    """AWS: the trace as `traceback` formats it, from the first frame that is not the runtime's own."""
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename.startswith(HERE):
        del frames[0]
    return traceback.format_list(frames)


def fail_init(channel, fault):
    body = {"errorMessage": fault.message, "errorType": fault.kind, "requestId": "", "stackTrace": fault.trace}
    logs.finish()
    logs.write_error(body)
    channel.send_json(INIT_FAILED, body)
    os._exit(1)


def answer(channel, start, handler, encoder, body):
    size = int.from_bytes(body[:4], "little")
    header = json.loads(body[4 : 4 + size])
    payload = body[4 + size :]
    logs.Current.request_id = header["request_id"]
    if header.get("trace_id"):
        os.environ["_X_AMZN_TRACE_ID"] = header["trace_id"]
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        context = LambdaContext(
            start,
            header,
            client_context=unmarshal(header.get("client_context"), "Client Context"),
            identity=unmarshal(header.get("identity"), "Cognito Identity"),
        )
        try:
            event = json.loads(payload.decode("utf-8")) if payload else {}
        except ValueError as error:
            raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None
        encoded = marshal(encoder, handler(event, context))
    except Fault as fault:
        fail(channel, header, fault.kind, fault.message, fault.trace)
    except Exception as error:
        fail(channel, header, type(error).__name__, str(error), trace_of(error))
    else:
        logs.finish()
        channel.send(RESPONSE, encoded)


def unmarshal(text, what):
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {what} JSON: {error}") from None


def marshal(encoder, result):
    if isinstance(result, bytes):
        return result  # AWS: bytes are the answer as they are
    try:
        return encoder.bytes_of(result)
    except Exception as error:  # a handler's own types may fail in any way
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def fail(channel, header, kind, message, trace):
    body = {"errorMessage": message, "errorType": kind, "requestId": header["request_id"], "stackTrace": trace}
    logs.finish()
    logs.write_error(body)
    channel.send(FAILURE, json.dumps(body).encode())


def end_with_parent():
    """Whoever started us may be killed while a handler runs, and nobody else would end it."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    end_with_parent()
    main(Channel(int(sys.argv[1])), forked=False)
