"""What each kind of state does, on its own clock and with tasks that the test answers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.machine import Machine
from pilotlight.workflows.state import About, Thread

LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:work"
Worker = Callable[[Any], Any]


def about(given: Any) -> About:
    return About(
        arn="arn:aws:states:us-east-1:000000000000:execution:m:e",
        name="e",
        role_arn="arn:aws:iam::000000000000:role/r",
        started="2026-01-01T00:00:00.000Z",
        machine_arn="arn:aws:states:us-east-1:000000000000:stateMachine:m",
        machine_name="m",
        region="us-east-1",
        input=given,
        secret="s",
    )


class Run:
    """Drives a machine to its end; each step goes through JSON, as a restart would take it."""

    def __init__(self, definition: dict[str, Any], given: Any, worker: Worker | None = None) -> None:
        self.definition = definition
        self.given = given
        self.worker = worker or (lambda value: value)
        self.history: list[dict[str, Any]] = []
        self.now_ms = 0
        self.machine = Machine(definition, about(given), rng=random.Random(1))
        self.machine.start(json.dumps(given), 0)
        self._to_the_end()

    def _to_the_end(self) -> None:
        for _ in range(10_000):
            calls = self._taken()
            if self.machine.status != "RUNNING":
                return
            if calls:
                for call in calls:
                    self._answer(call)
                continue
            due = self.machine.next_due_ms
            assert due is not None, "nothing will ever happen"
            self.now_ms = max(self.now_ms, due)
            self.machine.pass_time(self.now_ms)
        raise AssertionError("it does not end")

    def _answer(self, call: Any) -> None:
        try:
            output = self.worker(call.parameters)
        except StatesError as error:
            self.machine.task_failed(call.thread, call.attempt, error, self.now_ms)
        else:
            if output is not LATE:
                self.machine.task_succeeded(call.thread, call.attempt, output, self.now_ms)

    def _taken(self) -> list[Any]:
        machine, calls = self.machine, self.machine.calls
        self.history += machine.events
        machine.taken()
        if machine.status == "RUNNING":
            threads = json.loads(json.dumps({key: one.to_json() for key, one in machine.threads.items()}))
            self.machine = Machine(
                self.definition,
                about(self.given),
                rng=random.Random(1),
                threads={int(key): Thread(**body) for key, body in threads.items()},
                event_count=machine.event_count,
                thread_count=machine.thread_count,
                deadline_ms=machine.deadline_ms,
            )
        return calls

    @property
    def output(self) -> Any:
        assert self.machine.status == "SUCCEEDED", (self.machine.error, self.machine.cause)
        return json.loads(self.machine.output or "null")

    @property
    def kinds(self) -> list[str]:
        return [one["type"] for one in self.history]


LATE = object()


def one(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "A", "States": {"A": {"End": True, **state}}}


@pytest.mark.parametrize(
    ("state", "given", "output"),
    [
        ({"Type": "Pass"}, {"a": 1}, {"a": 1}),
        ({"Type": "Pass", "Result": 7}, {"a": 1}, 7),
        ({"Type": "Pass", "Result": 7, "ResultPath": "$.b.c"}, {"a": 1}, {"a": 1, "b": {"c": 7}}),
        ({"Type": "Pass", "Result": 7, "ResultPath": None}, {"a": 1}, {"a": 1}),
        ({"Type": "Pass", "InputPath": "$.a"}, {"a": [1]}, [1]),
        ({"Type": "Pass", "InputPath": None}, {"a": [1]}, {}),
        ({"Type": "Pass", "OutputPath": "$.a[0]"}, {"a": [1]}, 1),
        ({"Type": "Pass", "Parameters": {"x.$": "$.a", "y": {"z.$": "$$.Execution.Name"}}}, {"a": 1},
         {"x": 1, "y": {"z": "e"}}),
        ({"Type": "Pass", "Parameters": {"x.$": "States.Format('{}-{}', $.a, 'b')"}}, {"a": 1}, {"x": "1-b"}),
        ({"Type": "Pass", "Parameters": {"x.$": "$.a[*].n"}}, {"a": [{"n": 1}, {"n": 2}]}, {"x": [1, 2]}),
        ({"Type": "Pass", "Parameters": {"x.$": "$.a[?(@.n > 1)]"}}, {"a": [{"n": 1}, {"n": 2}]}, {"x": [{"n": 2}]}),
        ({"Type": "Task", "Resource": LAMBDA}, {"a": 1}, {"a": 1}),
        ({"Type": "Task", "Resource": LAMBDA, "ResultSelector": {"n.$": "$.a"}, "ResultPath": "$.r"}, {"a": 1},
         {"a": 1, "r": {"n": 1}}),
        ({"Type": "Map", "ItemProcessor": one({"Type": "Pass", "Parameters": {"v.$": "$"}})}, [1, 2],
         [{"v": 1}, {"v": 2}]),
        ({"Type": "Map", "ItemsPath": "$.l", "ItemSelector": {"i.$": "$$.Map.Item.Index", "k.$": "$.k"},
          "MaxConcurrency": 1, "Iterator": one({"Type": "Pass"})}, {"l": [5, 6], "k": "x"},
         [{"i": 0, "k": "x"}, {"i": 1, "k": "x"}]),
        ({"Type": "Map", "ItemProcessor": one({"Type": "Pass"})}, [], []),
        ({"Type": "Parallel",
          "Branches": [one({"Type": "Pass", "Result": 1}), one({"Type": "Task", "Resource": LAMBDA})]},
         {"a": 1}, [1, {"a": 1}]),
    ],
)  # fmt: skip
def test_what_a_state_gives(state: dict[str, Any], given: Any, output: Any) -> None:
    assert Run(one(state), given).output == output


@pytest.mark.parametrize(
    ("rule", "given", "yes"),
    [
        ({"Variable": "$.n", "NumericGreaterThan": 1}, {"n": 2}, True),
        ({"Variable": "$.n", "NumericGreaterThan": 1}, {"n": "2"}, False),
        ({"Variable": "$.n", "NumericEqualsPath": "$.m"}, {"n": 2, "m": 2.0}, True),
        ({"Variable": "$.s", "StringMatches": "log-*.txt"}, {"s": "log-1.txt"}, True),
        ({"Variable": "$.s", "StringMatches": "a\\*"}, {"s": "ab"}, False),
        ({"Variable": "$.b", "BooleanEquals": True}, {"b": True}, True),
        ({"Variable": "$.t", "TimestampLessThan": "2026-01-01T00:00:00Z"}, {"t": "2025-12-31T23:59:59+00:00"}, True),
        ({"Variable": "$.x", "IsPresent": False}, {}, True),
        ({"Variable": "$.x", "IsNull": True}, {"x": None}, True),
        ({"And": [{"Variable": "$.a", "NumericEquals": 1}, {"Not": {"Variable": "$.b", "IsPresent": True}}]}, {"a": 1},
         True),
        ({"Or": [{"Variable": "$.a", "NumericEquals": 2}, {"Variable": "$.a", "NumericEquals": 3}]}, {"a": 1}, False),
    ],
)  # fmt: skip
def test_what_a_choice_decides(rule: dict[str, Any], given: Any, yes: bool) -> None:
    definition = {
        "StartAt": "C",
        "States": {
            "C": {"Type": "Choice", "Choices": [{**rule, "Next": "Y"}], "Default": "N"},
            "Y": {"Type": "Pass", "Result": True, "End": True},
            "N": {"Type": "Pass", "Result": False, "End": True},
        },
    }
    assert Run(definition, given).output is yes


def test_a_choice_without_a_match_fails() -> None:
    state = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "A"}]}
    run = Run({"StartAt": "A", "States": {"A": state}}, {"n": 2})
    assert (run.machine.status, run.machine.error) == ("FAILED", "States.NoChoiceMatched")


def test_a_path_that_finds_nothing_says_where() -> None:
    run = Run(one({"Type": "Pass", "Parameters": {"x.$": "$.no"}}), {"a": 1})
    assert run.machine.error == "States.Runtime"
    assert run.machine.cause == (
        "An error occurred while executing the state 'A' (entered at the event id #2). The JSONPath '$.no' specified "
        "for the field 'x.$' could not be found in the input '{\"a\":1}'"
    )


def test_a_task_is_tried_again_after_longer_and_longer_waits() -> None:
    seen: list[int] = []

    def work(value: Any) -> Any:
        seen.append(run_of[0].now_ms if run_of else 0)
        if len(seen) < 3:
            raise StatesError("Busy", "later")
        return "done"

    run_of: list[Run] = []
    retry = {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 2, "BackoffRate": 2.0, "MaxAttempts": 3}
    run = Run.__new__(Run)
    run_of.append(run)
    run.now_ms = 0
    Run.__init__(run, one({"Type": "Task", "Resource": LAMBDA, "Retry": [retry]}), {}, work)
    assert run.output == "done"
    assert seen == [0, 2000, 6000]
    assert run.kinds.count("LambdaFunctionFailed") == 2
    assert run.kinds.count("TaskStateEntered") == 1


def test_a_catcher_gets_error_and_cause_beside_the_input() -> None:
    def work(value: Any) -> Any:
        raise StatesError("ValidationError", "bad")

    definition = {
        "StartAt": "A",
        "States": {
            "A": {
                "Type": "Task",
                "Resource": LAMBDA,
                "Catch": [{"ErrorEquals": ["ValidationError"], "ResultPath": "$.why", "Next": "B"}],
                "End": True,
            },
            "B": {"Type": "Pass", "End": True},
        },
    }
    run = Run(definition, {"a": 1}, work)
    assert run.output == {"a": 1, "why": {"Error": "ValidationError", "Cause": "bad"}}
    assert "TaskStateExited" in run.kinds


def test_a_branch_that_fails_ends_the_others() -> None:
    def work(value: Any) -> Any:
        if value == "bad":
            raise StatesError("Broken", "it is")
        return LATE

    branches = [
        one({"Type": "Task", "Resource": LAMBDA, "Parameters": "slow"}),
        one({"Type": "Task", "Resource": LAMBDA, "Parameters": "bad"}),
    ]
    run = Run(one({"Type": "Parallel", "Branches": branches}), {}, work)
    assert (run.machine.status, run.machine.error, run.machine.cause) == ("FAILED", "Broken", "it is")
    assert run.kinds[-4:] == ["LambdaFunctionFailed", "TaskStateAborted", "ParallelStateFailed", "ExecutionFailed"]


def test_a_task_that_is_late_times_out_and_its_answer_is_dropped() -> None:
    run = Run(one({"Type": "Task", "Resource": LAMBDA, "TimeoutSeconds": 5}), {}, lambda value: LATE)
    assert (run.machine.error, run.now_ms) == ("States.Timeout", 5000)
    assert run.kinds[-2:] == ["LambdaFunctionTimedOut", "ExecutionFailed"]


def test_a_wait_lasts_until_its_moment() -> None:
    run = Run(one({"Type": "Wait", "SecondsPath": "$.s"}), {"s": 86_400 * 365})
    assert run.output == {"s": 86_400 * 365}
    assert run.now_ms == 86_400 * 365 * 1000


def test_an_execution_has_a_time_limit() -> None:
    run = Run({**one({"Type": "Wait", "Seconds": 100}), "TimeoutSeconds": 10}, {})
    assert (run.machine.status, run.kinds[-1], run.now_ms) == ("TIMED_OUT", "ExecutionTimedOut", 10_000)


def test_variables_last_beyond_their_state() -> None:
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"n.$": "$.a"}, "Result": {"a": 5}, "Next": "B"},
            "B": {"Type": "Pass", "Parameters": {"seen.$": "$n"}, "End": True},
        },
    }
    run = Run(definition, {})
    assert run.output == {"seen": 5}
    exited = next(one for one in run.history if one["type"] == "PassStateExited")
    assert exited["stateExitedEventDetails"]["assignedVariables"] == {"n": "5"}


def test_a_loop_ends_with_the_history() -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}}
    run = Run(definition, {})
    assert run.machine.status == "FAILED"
    assert "maximum number of history events" in (run.machine.cause or "")


def test_every_event_names_the_one_before_it() -> None:
    branches = [one({"Type": "Pass"}), one({"Type": "Task", "Resource": LAMBDA})]
    run = Run(one({"Type": "Parallel", "Branches": branches}), {})
    assert [one["id"] for one in run.history] == list(range(1, len(run.history) + 1))
    assert all(one["previousEventId"] < one["id"] for one in run.history)
