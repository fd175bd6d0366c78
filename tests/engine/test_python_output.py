"""What a Python function writes, and what Lambda writes around it."""

from __future__ import annotations

import json
import re

import pytest

from tests.engine.world import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

REQUEST = "11111111-2222-4333-8444-555555555555"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


async def test_each_printed_line_is_an_event(each: World) -> None:
    version = each.version("def handler(event, context):\n    print('one')\n    print('two\\nthree')\n    print('é🎈')")
    await each.answer(version)
    assert each.written(version) == ["one", "two", "three", "é🎈"]


async def test_what_has_no_newline_is_written_when_the_handler_ends(each: World) -> None:
    version = each.version("def handler(event, context):\n    print('a', end='')\n    print('b', end='', flush=True)")
    await each.answer(version)
    assert each.written(version) == ["ab"]


async def test_standard_error_and_its_buffer_are_logged(each: World) -> None:
    version = each.version(
        """
        import sys
        def handler(event, context):
            sys.stderr.write("to stderr\\n")
            sys.stdout.buffer.write(b"bytes\\n")
            sys.stdout.writelines(["many ", "parts\\n"])
        """
    )
    await each.answer(version)
    assert each.written(version) == ["to stderr", "bytes", "many parts"]


async def test_surrogates_are_printed_escaped(plain: World) -> None:
    version = plain.version("def handler(event, context): print('\\ud800 lone')")
    await plain.answer(version)
    assert plain.written(version) == ["\\ud800 lone"]


async def test_output_past_python_is_logged(each: World) -> None:
    version = each.version(
        """
        import os, subprocess, sys
        def handler(event, context):
            os.write(1, b"descriptor one\\n")
            os.write(2, b"descriptor two\\n")
            subprocess.run(["/bin/echo", "from a child"], check=True)
        """
    )
    await each.answer(version)
    for text in ("descriptor one", "descriptor two", "from a child"):
        assert await each.log_line(version, text) == text


async def test_output_at_init_is_logged_after_init_start(each: World) -> None:
    version = each.version("print('at init')\ndef handler(event, context): pass")
    await each.answer(version)
    lines = each.lines(version)
    assert lines[0].startswith("INIT_START ")
    assert lines[1] == "at init"
    assert lines[2].startswith("START ")


async def test_log_records_have_lambdas_format(each: World) -> None:
    version = each.version(
        """
        import logging
        logger = logging.getLogger()
        logger.setLevel("INFO")
        def handler(event, context):
            logger.info("hello %s", "world")
            logging.getLogger("mine").warning("two\\nlines")
            logger.debug("not seen")
        """
    )
    await each.answer(version, request_id=REQUEST)
    first, second = each.written(version)
    assert re.fullmatch(rf"\[INFO\]\t{MOMENT}\t{REQUEST}\thello world", first)
    assert re.fullmatch(rf"\[WARNING\]\t{MOMENT}\t{REQUEST}\ttwo\nlines", second)


async def test_log_records_of_init_have_no_request(plain: World) -> None:
    version = plain.version("import logging\nlogging.error('early')\ndef handler(event, context): pass")
    await plain.answer(version)
    (line,) = plain.written(version)
    assert re.fullmatch(rf"\[ERROR\]\t{MOMENT}\t\tearly", line)


async def test_warnings_are_logged_by_default_and_information_is_not(plain: World) -> None:
    version = plain.version(
        "import logging\ndef handler(e, c):\n    logging.warning('seen')\n    logging.info('not seen')"
    )
    await plain.answer(version)
    assert [line.rpartition("\t")[2] for line in plain.written(version)] == ["seen"]


async def test_a_record_with_an_exception_is_one_event(plain: World) -> None:
    version = plain.version(
        """
        import logging
        def handler(event, context):
            try:
                1 / 0
            except ZeroDivisionError:
                logging.exception("broken")
        """
    )
    await plain.answer(version)
    (line,) = plain.written(version)
    assert "broken\nTraceback (most recent call last):" in line
    assert line.endswith("ZeroDivisionError: division by zero")


async def test_json_records(each: World) -> None:
    version = each.version(
        """
        import logging
        def handler(event, context):
            logging.getLogger("mine").info("hello", extra={"order": 7})
        """,
        log_format="JSON",
        application_log_level="INFO",
    )
    await each.answer(version, request_id=REQUEST)
    (line,) = each.written(version)
    record = json.loads(line)
    moment = record.pop("timestamp")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", moment)
    assert record == {"level": "INFO", "message": "hello", "logger": "mine", "requestId": REQUEST, "order": 7}


async def test_json_records_of_exceptions(plain: World) -> None:
    version = plain.version(
        """
        import logging
        def handler(event, context):
            try:
                {}["missing"]
            except KeyError:
                logging.exception("broken")
        """,
        log_format="JSON",
    )
    await plain.answer(version)
    record = json.loads(plain.written(version)[0])
    assert (record["errorType"], record["errorMessage"]) == ("KeyError", "'missing'")
    assert record["stackTrace"]
    assert "app.py:handler:" in record["location"]


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("TRACE", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("INFO", ["INFO", "WARNING", "ERROR", "CRITICAL"]),
        ("WARN", ["WARNING", "ERROR", "CRITICAL"]),
        ("ERROR", ["ERROR", "CRITICAL"]),
        ("FATAL", ["CRITICAL"]),
        ("", ["INFO", "WARNING", "ERROR", "CRITICAL"]),
    ],
)
async def test_json_levels(plain: World, level: str, seen: list[str]) -> None:
    version = plain.version(
        """
        import logging
        def handler(event, context):
            for number in (10, 20, 30, 40, 50):
                logging.log(number, "x")
        """,
        log_format="JSON",
        application_log_level=level,
    )
    await plain.answer(version)
    assert [json.loads(line)["level"] for line in plain.written(version)] == seen


async def test_lambdas_own_lines(each: World) -> None:
    version = each.version("def handler(event, context): pass", memory_mb=192)
    first = await each.invoke(version, request_id=REQUEST)
    await each.invoke(version, request_id=REQUEST)
    init, start, end, report, start_again, _, report_again = each.lines(version)
    assert re.fullmatch(
        r"INIT_START Runtime Version: python:3\.12\.v\d+\t"
        r"Runtime Version ARN: arn:aws:lambda:eu-west-1::runtime:[0-9a-f]{64}",
        init,
    )
    assert start == start_again == f"START RequestId: {REQUEST} Version: $LATEST"
    assert end == f"END RequestId: {REQUEST}"
    warm = (
        rf"REPORT RequestId: {REQUEST}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 192 MB\t"
        r"Max Memory Used: \d+ MB\t"
    )
    assert re.fullmatch(warm + r"Init Duration: \d+\.\d\d ms\t", report)
    assert re.fullmatch(warm, report_again)
    assert first.init_ms is not None
    assert first.billed_ms >= first.init_ms
    assert 1 < first.memory_used_mb <= 192


async def test_lambdas_own_lines_as_json(plain: World) -> None:
    version = plain.version("def handler(event, context): pass", log_format="JSON")
    await plain.invoke(version, request_id=REQUEST)
    events = [json.loads(line) for line in plain.lines(version)]
    assert [event["type"] for event in events] == ["platform.initStart", "platform.start", "platform.report"]
    assert events[0]["record"]["initializationType"] == "on-demand"
    assert events[1]["record"] == {"requestId": REQUEST, "version": "$LATEST"}
    record = events[2]["record"]
    assert record["status"] == "success"
    assert set(record["metrics"]) == {
        "durationMs",
        "billedDurationMs",
        "memorySizeMB",
        "maxMemoryUsedMB",
        "initDurationMs",
    }


async def test_the_system_log_level_hides_what_is_ordinary(plain: World) -> None:
    version = plain.version("def handler(event, context): pass", log_format="JSON", system_log_level="WARN")
    await plain.invoke(version)
    assert plain.lines(version) == []


async def test_the_tail_is_the_last_four_kilobytes(each: World) -> None:
    version = each.version(
        "def handler(event, context):\n    for i in range(300):\n        print(f'line {i:04} ' + 'x' * 30)"
    )
    outcome = await each.invoke(version, request_id=REQUEST)
    assert len(outcome.log_tail) == 4096
    assert b"line 0299" in outcome.log_tail
    assert b"line 0000" not in outcome.log_tail
    assert outcome.log_tail.rstrip().splitlines()[-1].startswith(f"REPORT RequestId: {REQUEST}".encode())


async def test_the_tail_is_of_one_invocation(plain: World) -> None:
    version = plain.version("def handler(event, context): print('said', event)")
    await plain.invoke(version, "first")
    outcome = await plain.invoke(version, "second", request_id=REQUEST)
    lines = outcome.log_tail.decode().splitlines()
    assert lines[:3] == [f"START RequestId: {REQUEST} Version: $LATEST", "said second", f"END RequestId: {REQUEST}"]


async def test_an_instance_writes_one_stream(plain: World) -> None:
    version = plain.version("def handler(event, context): return context.log_stream_name")
    named = await plain.answer(version)
    await plain.answer(version)
    assert {stream for group, stream, _ in plain.logs.events if group == version.log_group} == {named}


async def test_a_flood_of_output_does_not_hold_up_the_answer(each: World) -> None:
    version = each.version(
        "def handler(event, context):\n    for _ in range(20000):\n        print('x' * 100)\n    return 1"
    )
    assert await each.answer(version) == 1
    assert len(each.written(version)) == 20000


async def test_a_line_longer_than_an_event_becomes_several(plain: World) -> None:
    version = plain.version("def handler(event, context): print('x' * 600_000)")
    await plain.answer(version)
    assert sum(map(len, plain.written(version))) == 600_000
    assert max(map(len, plain.written(version))) <= 262144


async def test_threads_may_write(plain: World) -> None:
    version = plain.version(
        """
        import threading
        def handler(event, context):
            threads = [threading.Thread(target=lambda: [print("x" * 50) for _ in range(50)]) for _ in range(8)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        """
    )
    await plain.answer(version)
    assert plain.written(version) == ["x" * 50] * 400
