"""The engine's pure parts, by tables: failures, reports, lives, admission."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine import failures
from pilotlight.engine.admission import Admission
from pilotlight.engine.contract import FunctionVersion, Limits, Throttled
from pilotlight.engine.life_cycle import TRANSITIONS, Event, ImpossibleStep, State, after
from pilotlight.engine.report import Report, SystemLog


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "Runtime exited without providing a reason"),
        (1, "Runtime exited with error: exit status 1"),
        (255, "Runtime exited with error: exit status 255"),
        (-9, "Runtime exited with error: signal: killed"),
        (-11, "Runtime exited with error: signal: segmentation fault"),
        (-6, "Runtime exited with error: signal: aborted"),
        (-15, "Runtime exited with error: signal: terminated"),
        (-7, "Runtime exited with error: signal: bus error"),
    ],
)
def test_how_a_runtime_ended(code: int, text: str) -> None:
    assert failures.how_it_ended(code) == text
    assert failures.exited("r", code, out_of_memory=False).message == f"RequestId: r Error: {text}"


@pytest.mark.parametrize("code", [None, -34, -64, -1])
def test_any_end_has_words(code: int | None) -> None:
    assert failures.how_it_ended(code).startswith("Runtime exited")


def test_memory_has_its_own_type() -> None:
    assert failures.exited("r", -9, out_of_memory=True).error_type == "Runtime.OutOfMemory"


def test_a_failures_payload() -> None:
    assert json.loads(failures.timed_out("r", 3).payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: r Error: Task timed out after 3.00 seconds",
    }


@pytest.mark.parametrize(
    ("duration_ms", "init_ms", "provisioned", "billed_ms"),
    [
        (0.0, None, False, 1),
        (1.0, None, False, 1),
        (1.01, None, False, 2),
        (10.5, 100.2, False, 111),
        (10.5, 100.2, True, 11),
        (3000.0, None, False, 3000),
    ],
)
def test_what_is_billed(duration_ms: float, init_ms: float | None, provisioned: bool, billed_ms: int) -> None:
    report = Report(request_id="r", duration_ms=duration_ms, memory_used_mb=1, init_ms=init_ms, provisioned=provisioned)
    assert report.billed_ms == billed_ms


def system(**changes: Any) -> SystemLog:
    version = FunctionVersion(
        key="k",
        arn="arn:aws:lambda:eu-west-1:1:function:f",
        account="1",
        region="eu-west-1",
        name="f",
        version="7",
        runtime="python3.12",
        handler="app.handler",
        code=Path("code"),
        **changes,
    )
    return SystemLog(version)


def test_a_report_as_text() -> None:
    report = Report(request_id="r", duration_ms=2.345, memory_used_mb=40, init_ms=10.0, status="timeout")
    assert system().end(0, report) == [
        "END RequestId: r",
        "REPORT RequestId: r\tDuration: 2.35 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t"
        "Init Duration: 10.00 ms\tStatus: timeout\t",
    ]


def test_a_report_as_json() -> None:
    report = Report(request_id="r", duration_ms=2.5, memory_used_mb=40, status="error", error_type="Runtime.ExitError")
    (line,) = system(log_format="JSON").end(1_700_000_000_123, report)
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.123Z",
        "type": "platform.report",
        "record": {
            "requestId": "r",
            "metrics": {"durationMs": 2.5, "billedDurationMs": 3, "memorySizeMB": 128, "maxMemoryUsedMB": 40},
            "status": "error",
            "errorType": "Runtime.ExitError",
        },
    }


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_step_is_in_the_table_or_a_bug(state: State, event: Event) -> None:
    if event in TRANSITIONS[state]:
        assert after(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(ImpossibleStep):
            after(state, event)


def test_what_is_dead_stays_dead_and_everything_else_can_die() -> None:
    assert TRANSITIONS[State.DEAD] == {}
    assert all(after(state, Event.EXITED) is State.DEAD for state in State if state is not State.DEAD)


def test_admission_counts_groups_apart() -> None:
    admission = Admission()
    one = Limits(group="one", concurrent=2, reason="ConcurrentInvocationLimitExceeded")
    admission.enter(one)
    admission.enter(one)
    with pytest.raises(Throttled, match="ConcurrentInvocationLimitExceeded"):
        admission.enter(one)
    admission.enter(Limits(group="two", concurrent=1, reason="ConcurrentInvocationLimitExceeded"))
    admission.enter(None)
    admission.leave(None)
    admission.leave(one)
    admission.enter(one)
    assert (admission.running("one"), admission.running("two"), admission.running("three")) == (2, 1, 0)
