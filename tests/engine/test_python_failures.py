"""How a Python function fails, at init and in its handler, and what becomes of the instance."""

from __future__ import annotations

import json
import re

import pytest

from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

REQUEST = "11111111-2222-4333-8444-555555555555"


async def test_an_exception_is_answered_with_its_trace(each: World) -> None:
    version = each.version(
        """
        def deep():
            raise ValueError("not that")
        def handler(event, context):
            deep()
        """
    )
    failure = await each.failure(version, request_id=REQUEST)
    trace = failure.pop("stackTrace")
    assert failure == {"errorMessage": "not that", "errorType": "ValueError", "requestId": REQUEST}
    root = "/var/task" if each.isolation == "namespaces" else str(version.code)
    assert trace == [
        f'  File "{root}/app.py", line 5, in handler\n    deep()\n',
        f'  File "{root}/app.py", line 3, in deep\n    raise ValueError("not that")\n',
    ]
    (line,) = each.written(version)
    assert line.startswith("[ERROR] ValueError: not that\nTraceback (most recent call last):\n")
    assert "line 3, in deep" in line


async def test_an_exception_keeps_the_instance(each: World) -> None:
    version = each.version(
        """
        count = 0
        def handler(event, context):
            global count
            count += 1
            if event == "fail":
                raise RuntimeError
            return count
        """
    )
    failure = await each.failure(version, "fail")
    assert (failure["errorType"], failure["errorMessage"]) == ("RuntimeError", "")
    assert await each.answer(version) == 2


@pytest.mark.parametrize(
    ("source", "changes", "kind", "message"),
    [
        ("", {}, "Runtime.ImportModuleError", "Unable to import module 'app': No module named 'app'"),
        (
            "import nothing_here\ndef handler(e, c): pass",
            {},
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'nothing_here'",
        ),
        ("def other(e, c): pass", {}, "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        (
            "def handler(e, c): pass",
            {"handler": "handler"},
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        ),
        ("raise KeyError('at init')\n", {}, "KeyError", "'at init'"),
        ("1 / 0\n", {}, "ZeroDivisionError", "division by zero"),
    ],
)
async def test_what_fails_at_init(plain: World, source: str, changes: dict[str, str], kind: str, message: str) -> None:
    version = plain.version(source, {"readme": ""}, **changes)
    failure = await plain.failure(version, request_id=REQUEST)
    assert (failure["errorType"], failure["errorMessage"], failure["requestId"]) == (kind, message, REQUEST)
    assert any(line.startswith(f"[ERROR] {kind}: {message}") for line in plain.written(version))
    reports = [line for line in plain.lines(version) if line.startswith("INIT_REPORT ")]
    assert [re.sub(r"[\d.]+ ms", "N ms", line) for line in reports] == [
        f"INIT_REPORT Init Duration: N ms\tPhase: init\tStatus: error\tError Type: {kind}",
        f"INIT_REPORT Init Duration: N ms\tPhase: invoke\tStatus: error\tError Type: {kind}",
    ]


async def test_a_syntax_error_shows_its_place(each: World) -> None:
    version = each.version("def handler(event context): pass")
    failure = await each.failure(version)
    assert failure["errorType"] == "Runtime.UserCodeSyntaxError"
    assert failure["errorMessage"].startswith("Syntax error in module 'app': ")
    (trace,) = failure["stackTrace"]
    assert re.match(r'  File "[^"]*app\.py" Line 1\n    def handler', trace)


async def test_init_is_tried_again_by_every_invocation_until_it_works(each: World) -> None:
    """The second try finds what the first left outside."""
    flag = each.folder({"flag": ""}) / "flag"
    flag.unlink()
    if each.isolation == "namespaces":
        pytest.skip("a sandbox leaves nothing outside")
    version = each.version(
        f"""
        import os
        if not os.path.exists({str(flag)!r}):
            open({str(flag)!r}, "w").close()
            raise RuntimeError("the first time")
        def handler(event, context): return "works"
        """
    )
    assert await each.answer(version) == "works"


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("import sys\nsys.exit(3)", "Runtime exited with error: exit status 3"),
        ("import os\nos._exit(0)", "Runtime exited without providing a reason"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "Runtime exited with error: signal: killed"),
    ],
)
async def test_an_exit_at_init(each: World, source: str, how: str) -> None:
    version = each.version(source + "\ndef handler(event, context): pass")
    failure = await each.failure(version, request_id=REQUEST)
    assert failure == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {REQUEST} Error: {how}"}


@pytest.mark.parametrize(
    ("statement", "how"),
    [
        ("sys.exit(1)", "Runtime exited with error: exit status 1"),
        ("sys.exit()", "Runtime exited without providing a reason"),
        ("sys.exit('why')", "Runtime exited with error: exit status 1"),
        ("os._exit(7)", "Runtime exited with error: exit status 7"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.kill(os.getpid(), 15)", "Runtime exited with error: signal: terminated"),
        ("ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
    ],
)
async def test_an_exit_in_the_handler_ends_the_instance(each: World, statement: str, how: str) -> None:
    version = each.version(
        f"""
        import ctypes, os, sys
        count = 0
        def handler(event, context):
            global count
            count += 1
            if event == "end":
                print("last words")
                {statement}
            return count
        """
    )
    assert await each.answer(version) == 1
    failure = await each.failure(version, "end", request_id=REQUEST)
    assert failure == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {REQUEST} Error: {how}"}
    assert "last words" in each.written(version)
    report = next(line for line in each.lines(version) if line.startswith(f"REPORT RequestId: {REQUEST}"))
    assert "\tStatus: error\tError Type: Runtime.ExitError" in report
    assert await each.answer(version) == 1


async def test_a_timeout_ends_the_instance(each: World) -> None:
    version = each.version(
        """
        import time
        count = 0
        def handler(event, context):
            global count
            count += 1
            print("working")
            while event == "hang": time.sleep(0.01)
            return count
        """,
        timeout_seconds=3,
    )
    assert await each.answer(version) == 1
    soon_ms = each.clock.wall_ms() + 250
    outcome = await each.invoke(version, "hang", request_id=REQUEST, deadline_ms=soon_ms)
    assert outcome.function_error == "Unhandled"
    assert json.loads(outcome.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {REQUEST} Error: Task timed out after 3.00 seconds",
    }
    assert any(
        re.fullmatch(rf"\d{{4}}-.*Z {REQUEST} Task timed out after 3\.00 seconds\n*", line)
        for line in each.written(version)
    )
    report = next(line for line in each.lines(version) if line.startswith(f"REPORT RequestId: {REQUEST}"))
    assert "\tStatus: timeout" in report
    assert await each.answer(version) == 1


async def test_a_timeout_comes_though_the_handler_eats_signals_and_spins(each: World) -> None:
    version = each.version(
        """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        def handler(event, context):
            while True: pass
        """,
        timeout_seconds=1,
    )
    failure = await each.failure(version)
    assert failure["errorType"] == "Sandbox.Timedout"


async def test_init_that_takes_too_long_is_tried_again_with_the_functions_own_time(each: World) -> None:
    version = each.version("import time\ntime.sleep(0.6)\ndef handler(event, context): return 1", timeout_seconds=5)
    assert await each.answer(version) == 1
    (report,) = [line for line in each.lines(version) if line.startswith("INIT_REPORT ")]
    assert report.endswith("\tPhase: init\tStatus: timeout")


async def test_init_that_never_ends_times_out(each: World) -> None:
    version = each.version(
        "import time\nwhile True: time.sleep(0.01)\ndef handler(event, context): return 1", timeout_seconds=1
    )
    failure = await each.failure(version, request_id=REQUEST)
    assert failure == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {REQUEST} Error: Task timed out after 1.00 seconds",
    }


async def test_a_response_over_six_megabytes(each: World) -> None:
    version = each.version("def handler(event, context): return 'x' * event")
    most = 6_291_556 - 2
    outcome = await each.invoke(version, most)
    assert (len(outcome.payload), outcome.function_error) == (6_291_556, "")
    failure = await each.failure(version, most + 1)
    assert failure == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert await each.answer(version, 3) == "xxx"


async def test_a_response_far_over_six_megabytes(plain: World) -> None:
    version = plain.version("def handler(event, context): return 'x' * event")
    failure = await plain.failure(version, 40_000_000)
    assert failure["errorType"] == "Function.ResponseSizeTooLarge"
    assert await plain.answer(version, 1) == "x"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("object", "Unable to marshal response: Object of type type is not JSON serializable"),
        ("{1, 2}", "Unable to marshal response: Object of type set is not JSON serializable"),
        ("{(1, 2): 3}", "Unable to marshal response: keys must be str, int, float, bool or None, not tuple"),
        ("datetime.datetime.now()", "Unable to marshal response: Object of type datetime is not JSON serializable"),
        ("[b'x']", "Unable to marshal response: Object of type bytes is not JSON serializable"),
    ],
)
async def test_what_is_not_json(plain: World, expression: str, message: str) -> None:
    version = plain.version(f"import datetime\ndef handler(event, context): return {expression}")
    failure = await plain.failure(version)
    assert (failure["errorType"], failure["errorMessage"]) == ("Runtime.MarshalError", message)


@pytest.mark.parametrize(
    ("expression", "payload"),
    [
        ("Decimal('3')", "3"),
        ("Decimal('0.1')", "0.1"),
        ("Decimal('12345678901234567890.123')", "12345678901234567890.123"),
        ("{'a': [Decimal('1.50')]}", '{"a": [1.50]}'),
        ("float('nan')", "NaN"),
        ("[float('inf'), float('-inf')]", "[Infinity, -Infinity]"),
        ("{'a': Decimal('nan'), 'b': Decimal('-sNaN')}", '{"a": NaN, "b": NaN}'),
        ("b'raw'", "raw"),
        ("None", "null"),
        ("(1, 2)", "[1, 2]"),
        ("{1: 2}", '{"1": 2}'),
    ],
)
async def test_what_becomes_json(plain: World, expression: str, payload: str) -> None:
    version = plain.version(f"from decimal import Decimal\ndef handler(event, context): return {expression}")
    outcome = await plain.invoke(version)
    assert (outcome.payload.decode(), outcome.function_error) == (payload, "")


async def test_a_payload_that_is_not_json(plain: World) -> None:
    failure = await plain.failure(plain.version("def handler(e, c): pass"), payload=b"{not json")
    assert failure["errorType"] == "Runtime.UnmarshalError"
    assert failure["errorMessage"] == (
        "Unable to unmarshal input: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
    )


async def test_a_handler_with_the_wrong_arguments(plain: World) -> None:
    failure = await plain.failure(plain.version("def handler(): pass"))
    assert failure["errorType"] == "TypeError"
    assert failure["errorMessage"] == "handler() takes 0 positional arguments but 2 were given"


async def test_endless_recursion_is_an_exception(plain: World) -> None:
    failure = await plain.failure(plain.version("def handler(e, c): return handler(e, c)"))
    assert failure["errorType"] == "RecursionError"


async def test_an_exception_whose_text_fails(plain: World) -> None:
    version = plain.version(
        """
        class Odd(Exception):
            def __str__(self): raise ValueError("no text")
        def handler(event, context):
            if event: raise Odd
            return 1
        """
    )
    outcome = await plain.invoke(version, 1)
    assert outcome.function_error == "Unhandled"


async def test_memory_has_an_end(sandboxed: World) -> None:
    version = sandboxed.version(
        """
        held = []
        def handler(event, context):
            while event: held.append(bytearray(8 << 20))
            return 1
        """,
        memory_mb=128,
    )
    assert await sandboxed.answer(version, 0) == 1
    if "memory" not in sandboxed.limits:
        # An ordinary user without a cgroup: a brake for each process, which Python meets as any other error.
        assert (await sandboxed.failure(version, 1))["errorType"] == "MemoryError"
        return
    outcome = await sandboxed.invoke(version, 1, request_id=REQUEST)
    assert json.loads(outcome.payload) == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": f"RequestId: {REQUEST} Error: Runtime exited with error: signal: killed",
    }
    assert outcome.memory_used_mb == 128
    assert await sandboxed.answer(version, 0) == 1
