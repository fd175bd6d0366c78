"""The contract's handlers in Python."""

from __future__ import annotations

from tests.engine.contract import Language

PROGRAM = """
import os, signal, subprocess, sys, threading, time, resource

started = {"count": 0, "ticks": 0}
print("loaded")


class Boom(Exception):
    pass


def handler(event, context):
    if not isinstance(event, dict) or "do" not in event:
        return event
    return globals()["do_" + event["do"]](event.get("with"), context)


def do_echo(value, context): return value
def do_context(value, context):
    client = context.client_context
    return {"request": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
            "version": context.function_version, "memory": context.memory_limit_in_mb,
            "group": context.log_group_name, "stream": context.log_stream_name,
            "custom": client.custom if client else None,
            "identity": context.identity.cognito_identity_id if context.identity else None}
def do_remaining(value, context): return context.get_remaining_time_in_millis()
def do_environment(value, context): return dict(os.environ)
def do_where(value, context): return [os.getcwd(), os.path.dirname(os.path.abspath(__file__))]
def do_count(value, context):
    started["count"] += 1
    return started["count"]
def do_pid(value, context): return os.getpid()
def do_raise(value, context): raise Boom(value)
def do_unserialisable(value, context): return {1, 2}
def do_exit(value, context): os._exit(value)
def do_signal(value, context): os.kill(os.getpid(), value); time.sleep(5)
def do_sleep(value, context): time.sleep(value)
def do_spin(value, context):
    while True: pass
def do_big(value, context): return "x" * value
def do_print(value, context): print(value)
def do_error(value, context): print(value, file=sys.stderr)
def do_partial(value, context): sys.stdout.write(value)
def do_child(value, context): subprocess.run(["sh", "-c", value], check=False)
def do_tick(value, context):
    def run():
        while True:
            started["ticks"] += 1
            time.sleep(0.005)
    threading.Thread(target=run, daemon=True).start()
def do_ticks(value, context): return started["ticks"]
def do_write(value, context):
    with open(value, "a") as file: file.write("x")
    return os.path.getsize(value)
def do_can(value, context):
    try:
        with open(value, "a"): return True
    except OSError: return False
def do_reads(value, context):
    try:
        with open(value, "rb") as file: file.read(1)
        return True
    except OSError: return False
def do_user(value, context): return os.getuid()
def do_files(value, context): return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
def do_fill(value, context):
    kept = []
    while True: kept.append(b"x" * (1 << 20))
def do_listing(value, context): return sorted(os.listdir(value))
"""

LANGUAGE = Language(
    name="python",
    runtime="python3.12",
    executable="python3",
    file="app.py",
    program=PROGRAM,
    at_init={
        "raise": "class Boom(Exception): pass\nraise Boom('at init')",
        "exit": "import os; os._exit(7)",
        "hang": "import time; time.sleep(60)",
        "nothing": "",
        "module": "import nothing_like_it",
        "syntax": "def (",
    },
    faults={
        "raise": "Boom",
        "init": "Boom",
        "module": "Runtime.ImportModuleError",
        "missing": "Runtime.ImportModuleError",
        "syntax": "Runtime.UserCodeSyntaxError",
        "handler": "Runtime.HandlerNotFound",
        "name": "Runtime.MalformedHandlerName",
        "unserialisable": "Runtime.MarshalError",
    },
)
