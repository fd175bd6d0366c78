"""The core of durable executions: what becomes of one, as plain values."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from pilotlight.errors import AwsError
from pilotlight.services.awslambda.durable import shapes
from pilotlight.services.awslambda.durable.fold import Checkpoint, Course, Target
from pilotlight.services.awslambda.durable.state import OPERATIONS_MAX, PAYLOAD_BYTES_MAX, Execution
from pilotlight.services.awslambda.durable.tokens import CallbackId, CheckpointToken

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f:1/durable-execution/n/e"
START = 1_000_000
HOUR = 3_600_000


def begun(**changes: Any) -> Course:
    members: dict[str, Any] = {
        "arn": ARN,
        "account": "000000000000",
        "region": "us-east-1",
        "function": "f",
        "version": "1",
        "name": "n",
        "id": "e",
        "input": "{}",
        "synchronous": False,
        "timeout_seconds": 86_400,
        "retention_days": 2,
        "started_ms": START,
        "deadline_ms": START + 86_400_000,
    }
    numbers = itertools.count(1)
    course = Course(Execution(**{**members, **changes}), {}, lambda: f"id{next(numbers)}")
    course.start(START)
    return course


def save(course: Course, *updates: dict[str, Any], now_ms: int = START, **options: Any) -> Checkpoint:
    client, targets = options.get("client", ""), options.get("targets", {})
    return course.checkpoint(options.get("token", course.token), client, updates, targets, now_ms)


def update(identity: str, kind: str, action: str, **members: Any) -> dict[str, Any]:
    return {"Id": identity, "Type": kind, "Action": action, **members}


def wait(identity: str, seconds: int, **members: Any) -> dict[str, Any]:
    return update(identity, "WAIT", "START", WaitOptions={"WaitSeconds": seconds}, **members)


def kinds(course: Course) -> list[str]:
    return [event["EventType"] for event in course.events]


def answer(course: Course, status: str, now_ms: int = START, **members: Any) -> None:
    course.answered(course.execution.invocation, {"Status": status, **members}, START, now_ms)


def test_an_execution_begins_with_an_invocation() -> None:
    course = begun()
    assert (course.launch, course.execution.invocation, course.updated) == ("id1", "id1", ["e"])
    assert kinds(course) == ["ExecutionStarted"]
    assert course.due_ms() == START + 86_400_000


def test_an_answer_ends_it() -> None:
    course = begun()
    answer(course, "SUCCEEDED", Result='"done"')
    assert (course.execution.status, course.execution.result) == ("SUCCEEDED", '"done"')
    assert kinds(course) == ["ExecutionStarted", "InvocationCompleted", "ExecutionSucceeded"]
    assert course.due_ms() == START + 2 * 86_400_000


def test_a_wait_ends_when_its_time_has_come_and_the_handler_is_invoked() -> None:
    course = begun()
    shown = save(course, wait("w", 60)).operations
    assert [(one.id, one.status) for one in shown] == [("w", "STARTED")]
    answer(course, "PENDING")
    course.taken()
    assert course.due_ms() == START + 60_000
    course.pass_time(START + 59_999)
    assert course.launch == ""
    course.pass_time(START + 60_000)
    assert (course.launch, course.updated) == ("id2", ["w"])
    assert course.operations["w"].status == "SUCCEEDED"


def test_a_wait_that_ends_while_the_handler_runs_is_told_by_its_next_checkpoint_and_needs_no_invocation() -> None:
    course = begun()
    save(course, wait("w", 1), update("s", "STEP", "START"))
    course.pass_time(START + 2000)
    done = save(course, update("s", "STEP", "SUCCEED", Payload="1"), wait("v", 60), now_ms=START + 2000)
    assert {one.id: one.status for one in done.operations} == {"w": "SUCCEEDED", "s": "SUCCEEDED", "v": "STARTED"}
    answer(course, "PENDING", START + 3000)
    assert course.execution.invocation == ""


def test_a_wait_that_ends_unseen_brings_another_invocation() -> None:
    course = begun()
    save(course, wait("w", 1))
    course.pass_time(START + 2000)
    answer(course, "PENDING", START + 3000)
    assert course.execution.invocation == "id2"


def test_a_step_is_retried_after_its_delay() -> None:
    course = begun()
    error = {"ErrorMessage": "no", "ErrorType": "ValueError"}
    retry = update("s", "STEP", "RETRY", Error=error, StepOptions={"NextAttemptDelaySeconds": 5})
    save(course, update("s", "STEP", "START", Name="s"), retry)
    step = course.operations["s"]
    assert (step.status, step.attempt, step.due_ms) == ("PENDING", 1, START + 5000)
    answer(course, "PENDING")
    course.pass_time(START + 5000)
    assert (step.status, step.due_ms) == ("READY", None)
    save(course, update("s", "STEP", "START"), update("s", "STEP", "SUCCEED", Payload="1"), now_ms=START + 5000)
    assert (step.status, step.attempt, step.result, step.error) == ("SUCCEEDED", 2, "1", None)
    assert kinds(course)[1:] == [
        "StepStarted",
        "StepFailed",
        "InvocationCompleted",
        "StepStarted",
        "StepSucceeded",
    ]


def test_a_stale_token_is_refused_and_a_repeated_request_answered_again() -> None:
    course = begun()
    first = course.token
    done = save(course, wait("w", 60), client="c")
    assert save(course, wait("w", 60), client="c", token=first) == done
    for text in (first, "AAAA", str(CheckpointToken("e", "another", 1)), "x"):
        with pytest.raises(AwsError, match="Invalid checkpoint token"):
            save(course, wait("v", 60), token=text)
    with pytest.raises(AwsError, match="not valid for the durable execution ARN"):
        save(course, token=str(CheckpointToken("f", "id1", 1)))


def test_a_lost_invocation_is_begun_again_and_its_token_is_worth_nothing() -> None:
    course = begun()
    old = course.token
    course.taken()
    course.lost(START)
    assert course.launch == "id2"
    with pytest.raises(AwsError, match="Invalid checkpoint token"):
        save(course, wait("w", 60), token=old)
    with pytest.raises(LookupError):
        course.answered("id1", {"Status": "SUCCEEDED"}, START, START)


def test_an_invocation_that_fails_is_tried_five_times() -> None:
    course = begun()
    delays = []
    now_ms = START
    while not course.execution.closed:
        course.failed(course.execution.invocation, {"ErrorMessage": "no"}, now_ms, now_ms)
        if course.execution.retry_ms is not None:
            delays.append(course.execution.retry_ms - now_ms)
            now_ms = course.execution.retry_ms
            course.pass_time(now_ms)
    assert delays == [1000, 2000, 4000, 8000]
    assert (course.execution.status, course.execution.error) == ("FAILED", {"ErrorMessage": "no"})


def test_a_throttle_does_not_count() -> None:
    course = begun()
    now_ms = START
    for _ in range(20):
        course.throttled(course.execution.invocation, now_ms)
        now_ms = course.due_ms()
        course.pass_time(now_ms)
    assert (course.execution.status, course.execution.failures) == ("RUNNING", 0)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({}, "Invalid Status in invocation output."),
        ({"Status": "DONE"}, "Invalid Status in invocation output."),
        ({"Status": ["PENDING"]}, "Invalid Status in invocation output."),
        ({"Status": "FAILED", "Result": "1"}, "Cannot provide a Result for FAILED status."),
        ({"Status": "SUCCEEDED", "Error": {}}, "Cannot provide an Error for SUCCEEDED status."),
        (
            {"Status": "SUCCEEDED", "Result": "x" * (PAYLOAD_BYTES_MAX + 1)},
            "Execution output payload size must be less than or equal to 1048576 bytes.",
        ),
    ],
)
def test_an_answer_that_is_none_fails_the_execution(reply: dict[str, Any], message: str) -> None:
    course = begun()
    course.answered("id1", reply, START, START)
    error = course.execution.error or {}
    assert (course.execution.status, error["ErrorMessage"]) == ("FAILED", message)
    assert error["ErrorType"] == "InvalidParameterValueException"


def test_pending_without_reason_is_given_another_chance_or_two() -> None:
    course = begun()
    for _ in range(2):
        answer(course, "PENDING")
        assert course.execution.status == "RUNNING"
        course.pass_time(course.due_ms())
    answer(course, "PENDING")
    assert course.execution.error == {
        "ErrorMessage": "Cannot return PENDING status with no pending operations.",
        "ErrorType": "InvalidParameterValueException",
    }


def test_the_execution_runs_out_of_time() -> None:
    course = begun(timeout_seconds=10, deadline_ms=START + 10_000)
    save(course, wait("w", 60))
    answer(course, "PENDING")
    course.pass_time(course.due_ms())
    assert course.execution.status == "TIMED_OUT"
    assert course.execution.error == {"ErrorMessage": "Execution timed out after 10 seconds."}


def test_stopping_ends_it_once() -> None:
    course = begun()
    assert course.stop({"ErrorType": "Enough"}, START + 5) == START + 5
    assert course.stop(None, START + 9) == START + 5
    assert (course.execution.status, course.execution.error) == ("STOPPED", {"ErrorType": "Enough"})
    answer(course, "SUCCEEDED", Result="1")
    assert (course.execution.status, course.execution.result) == ("STOPPED", None)
    with pytest.raises(AwsError, match="Invalid checkpoint token"):
        save(course, wait("w", 1))


def callback(course: Course, **options: int) -> CallbackId:
    save(course, update("c", "CALLBACK", "START", CallbackOptions=options))
    found = CallbackId.parse(course.operations["c"].callback)
    assert found is not None
    answer(course, "PENDING")
    course.taken()
    return found


def test_a_callback_is_answered_once() -> None:
    course = begun()
    one = callback(course)
    course.end_callback(one, "SUCCEEDED", START + 5, result='"yes"')
    assert (course.operations["c"].result, course.launch) == ('"yes"', "id3")
    for again in (one, CallbackId(ARN, "c", "guess"), CallbackId(ARN, "d", one.secret)):
        with pytest.raises(AwsError, match="already completed") as refusal:
            course.end_callback(again, "FAILED", START + 6, error={})
        assert refusal.value.code == "CallbackTimeoutException"


@pytest.mark.parametrize(
    ("options", "beats", "kind", "after_ms"),
    [
        ({"TimeoutSeconds": 60}, [], "Callback.Timeout", 60_000),
        ({"HeartbeatTimeoutSeconds": 60}, [], "Callback.Heartbeat", 60_000),
        ({"TimeoutSeconds": 100, "HeartbeatTimeoutSeconds": 60}, [50_000], "Callback.Timeout", 100_000),
        ({"HeartbeatTimeoutSeconds": 60}, [50_000, 100_000], "Callback.Heartbeat", 160_000),
    ],
)
def test_a_callback_is_late(options: dict[str, int], beats: list[int], kind: str, after_ms: int) -> None:
    course = begun()
    one = callback(course, **options)
    for beat in beats:
        course.heartbeat(one, START + beat)
    assert course.due_ms() == START + after_ms
    with pytest.raises(AwsError, match="timed out"):
        course.heartbeat(one, START + after_ms)
    course.pass_time(START + after_ms)
    operation = course.operations["c"]
    assert (operation.status, (operation.error or {})["ErrorType"]) == ("TIMED_OUT", kind)
    assert course.launch == "id3"


def test_a_chained_invoke_waits_for_its_function() -> None:
    course = begun()
    call = update("c", "CHAINED_INVOKE", "START", ChainedInvokeOptions={"FunctionName": "g"}, Payload="1")
    save(course, call, targets={"c": Target(version="$LATEST")})
    assert [one.payload for one in course.calls] == ["1"]
    answer(course, "PENDING")
    course.end_chained("c", "SUCCEEDED", START, result="2")
    with pytest.raises(LookupError):
        course.end_chained("c", "FAILED", START)
    assert course.operations["c"].result == "2"


def test_a_function_that_cannot_be_called_fails_the_operation_at_once() -> None:
    course = begun()
    call = update("c", "CHAINED_INVOKE", "START", ChainedInvokeOptions={"FunctionName": "g"}, Payload="1")
    done = save(course, call, targets={"c": Target(error={"ErrorType": "ResourceNotFoundException"})})
    assert [(one.status, one.error) for one in done.operations] == [
        ("FAILED", {"ErrorType": "ResourceNotFoundException"})
    ]
    assert (course.calls, done.operations[0].payload) == ([], None)


def test_a_checkpoint_can_end_the_execution_and_leaves_no_token() -> None:
    course = begun(synchronous=True)
    large = "x" * (PAYLOAD_BYTES_MAX + 1)
    done = save(course, update("e", "EXECUTION", "SUCCEED", Payload=large))
    assert (done.token, course.execution.status, course.execution.result) == (None, "SUCCEEDED", large)


def test_pausing_withholds_the_token_and_resuming_makes_up_for_it() -> None:
    course = begun()
    assert course.pause("c", "lunch", START, timeout=True)
    assert course.execution.status == "PAUSING"
    assert save(course, wait("w", 60), client="k") == Checkpoint(None, [])
    assert course.execution.status == "PAUSED"
    answer(course, "PENDING")
    course.taken()
    course.pass_time(START + 60_000)
    assert (course.operations["w"].status, course.launch) == ("SUCCEEDED", "")
    assert course.pause("c", "lunch", START, timeout=True)
    assert not course.pause("d", "lunch", START, timeout=True)
    assert course.resume("d", None, START + HOUR)
    assert course.launch
    assert course.execution.deadline_ms == START + 86_400_000 + HOUR
    assert [one for one in kinds(course) if one.startswith("Execution")] == ["ExecutionResumed"]


def test_an_invocation_that_a_pause_cut_off_is_made_up_for_though_it_was_resumed_meanwhile() -> None:
    course = begun()
    course.pause("", None, START, timeout=True)
    save(course)
    course.resume("", None, START)
    answer(course, "PENDING")
    assert course.execution.invocation == "id2"


def test_only_what_is_under_way_is_lost_with_the_process() -> None:
    course = begun()
    call = update("c", "CHAINED_INVOKE", "START", ChainedInvokeOptions={"FunctionName": "g"})
    save(course, wait("w", 60), call, targets={"c": Target(version="1")})
    answer(course, "PENDING")
    assert course.busy
    course.taken()
    course.lost(START)
    assert ([one.id for one in course.calls], course.launch) == (["c"], "")
    course.end_chained("c", "SUCCEEDED", START)
    answer(course, "PENDING")
    assert not course.busy


def test_an_idle_execution_is_paused_at_once_and_its_time_may_run_on() -> None:
    course = begun(deadline_ms=START + HOUR)
    save(course, wait("w", 60))
    answer(course, "PENDING")
    assert course.pause("", None, START, timeout=False)
    assert course.execution.status == "PAUSED"
    course.pass_time(START + HOUR)
    assert course.execution.status == "TIMED_OUT"
    assert not course.resume("", None, START + HOUR)


@pytest.mark.parametrize(
    ("before", "updates", "message"),
    [
        (
            [],
            [update("e", "EXECUTION", "SUCCEED"), update("e", "EXECUTION", "FAIL")],
            "Cannot checkpoint multiple EXECUTION updates.",
        ),
        ([], [update("e", "EXECUTION", "SUCCEED"), wait("w", 1)], "EXECUTION checkpoint must be the last update."),
        ([], [wait("w", 1), wait("w", 1)], "Cannot checkpoint multiple operations with the same ID."),
        ([], [wait("w", 1, ParentId="p")], "Invalid parent operation id."),
        ([wait("v", 1)], [wait("w", 1, ParentId="v")], "Invalid parent operation id."),
        ([wait("w", 1)], [update("w", "STEP", "START")], "Inconsistent operation type."),
        ([wait("w", 1, Name="a")], [update("w", "WAIT", "CANCEL", Name="b")], "Inconsistent operation name."),
        (
            [wait("w", 1, SubType="a")],
            [update("w", "WAIT", "CANCEL", SubType="b")],
            "Inconsistent operation subtype.",
        ),
        ([], [update("w", "WAIT", "SUCCEED")], "Invalid action for the given operation type."),
        ([], [update("w", "WAIT", "START")], "Update for WAIT operation requires WaitOptions."),
        ([wait("w", 1)], [wait("w", 1)], "Cannot start a WAIT that already exist."),
        (
            [],
            [update("w", "WAIT", "CANCEL")],
            "Cannot cancel a WAIT that does not exist or has already completed.",
        ),
        (
            [update("s", "STEP", "SUCCEED")],
            [update("s", "STEP", "SUCCEED")],
            "Invalid current STEP state to close.",
        ),
        ([update("s", "STEP", "START")], [update("s", "STEP", "START")], "Invalid current STEP state to start."),
        ([], [update("s", "STEP", "RETRY")], "Invalid StepOptions for the given action."),
        (
            [update("s", "STEP", "SUCCEED")],
            [update("s", "STEP", "RETRY", StepOptions={"NextAttemptDelaySeconds": 1})],
            "Invalid current STEP state to re-attempt.",
        ),
        (
            [],
            [update("s", "STEP", "RETRY", StepOptions={"NextAttemptDelaySeconds": 1}, Error={}, Payload="")],
            "Cannot provide both error and payload to RETRY a STEP.",
        ),
        ([], [update("s", "STEP", "SUCCEED", Error={})], "Cannot provide an Error for SUCCEED action."),
        ([], [update("s", "STEP", "FAIL", Payload="1")], "Cannot provide a Payload for FAIL action."),
        (
            [update("x", "CONTEXT", "SUCCEED")],
            [update("x", "CONTEXT", "FAIL")],
            "Invalid current CONTEXT state to close.",
        ),
        (
            [],
            [update("c", "CHAINED_INVOKE", "START")],
            "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.",
        ),
        (
            [],
            [update("s", "STEP", "SUCCEED", Payload="x" * (PAYLOAD_BYTES_MAX + 1))],
            "STEP payload size must be less than or equal to 1048576 bytes.",
        ),
        (
            [],
            [update("s", "STEP", "FAIL", Error={"ErrorData": "x" * PAYLOAD_BYTES_MAX})],
            "Error object size must be less than 1048576 bytes.",
        ),
        (
            [],
            [update(f"s{number}", "STEP", "START") for number in range(OPERATIONS_MAX + 1)],
            "Cannot checkpoint more than 3000 operations in a durable execution.",
        ),
    ],
)
def test_a_batch_that_does_not_fit_changes_nothing(
    before: list[dict[str, Any]], updates: list[dict[str, Any]], message: str
) -> None:
    course = begun()
    save(course, *before)
    course.taken()
    with pytest.raises(AwsError) as refusal:
        save(course, *updates)
    assert (refusal.value.code, refusal.value.message) == ("InvalidParameterValueException", message)
    assert (course.dirty, course.events) == (set(), [])


def test_what_is_within_a_finished_context_is_not_replayed_unless_it_asks() -> None:
    course = begun()
    for context, options in (("x", {}), ("y", {"ContextOptions": {"ReplayChildren": True}})):
        save(
            course,
            update(context, "CONTEXT", "START"),
            update(f"{context}1", "CONTEXT", "START", ParentId=context),
            update(f"{context}2", "STEP", "SUCCEED", ParentId=f"{context}1"),
            update(context, "CONTEXT", "SUCCEED", **options),
        )
    assert [one.id for one in shapes.replayed(course.operations)] == ["e", "x", "y", "y1", "y2"]


def test_operations_come_in_pages_that_an_event_can_hold() -> None:
    course = begun()
    large = "x" * PAYLOAD_BYTES_MAX
    save(course, *[update(f"s{number}", "STEP", "SUCCEED", Payload=large) for number in range(7)])
    operations = list(course.operations.values())
    first, following = shapes.page(course.execution, operations, after=0, limit=1000, first=True)
    assert ([one.id for one in first], following) == (["e", "s0", "s1", "s2", "s3"], 5)
    rest, following = shapes.page(course.execution, operations, after=5, limit=1000, first=False)
    assert ([one.id for one in rest], following) == (["s4", "s5", "s6"], None)
    two, following = shapes.page(course.execution, operations, after=1, limit=2, first=False)
    assert ([one.id for one in two], following) == (["s0", "s1"], 3)


def test_an_input_that_is_too_large_for_an_event_is_left_to_the_second_page() -> None:
    course = begun(input='"' + "x" * (6 * 1024 * 1024 - 2) + '"', synchronous=True)
    operations = list(course.operations.values())
    assert shapes.page(course.execution, operations, after=0, limit=1000, first=True) == ([], 0)
    assert shapes.page(course.execution, operations, after=0, limit=1000, first=False) == (operations, None)
