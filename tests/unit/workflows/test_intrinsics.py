"""Each intrinsic function, and what it refuses."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.intrinsics import IntrinsicInvalid, evaluate, parse


def value_of(text: str, given: dict[str, Any] | None = None) -> Any:
    return evaluate(text, lambda path: (given or {})[path[2:]], random.Random(1))


@pytest.mark.parametrize(
    ("text", "given", "value"),
    [
        ("States.Format('Hello {}, {}!', $.n, 3)", {"n": "you"}, "Hello you, 3!"),
        (r"States.Format('\{{}\}', $.n)", {"n": {"a": 1}}, '{{"a":1}}'),
        (r"States.Format('it\'s {}', true)", {}, "it's true"),
        ("States.StringToJson($.t)", {"t": '{"a": [1]}'}, {"a": [1]}),
        ("States.JsonToString($.v)", {"v": {"a": [1, None]}}, '{"a":[1,null]}'),
        ("States.Array(1, 'two', null, States.Array())", {}, [1, "two", None, []]),
        ("States.ArrayPartition($.l, 2)", {"l": [1, 2, 3]}, [[1, 2], [3]]),
        ("States.ArrayContains($.l, 2)", {"l": [1, 2]}, True),
        ("States.ArrayRange(1, 9, 2)", {}, [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 1, -1)", {}, [3, 2, 1]),
        ("States.ArrayGetItem($.l, 1)", {"l": [1, 2]}, 2),
        ("States.ArrayLength($.l)", {"l": [1, 2]}, 2),
        ("States.ArrayUnique($.l)", {"l": [1, 2, 1, {"a": 1}, {"a": 1}]}, [1, 2, {"a": 1}]),
        ("States.Base64Encode('Data')", {}, "RGF0YQ=="),
        ("States.Base64Decode('RGF0YQ==')", {}, "Data"),
        ("States.Hash('input data', 'SHA-1')", {}, "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ("States.JsonMerge($.a, $.b, false)", {"a": {"x": 1, "y": {"z": 1}}, "b": {"y": 2}}, {"x": 1, "y": 2}),
        ("States.MathAdd($.n, -1)", {"n": 111}, 110),
        ("States.StringSplit('a,b;c', ',;')", {}, ["a", "b", "c"]),
    ],
)
def test_what_a_function_gives(text: str, given: dict[str, Any], value: Any) -> None:
    assert value_of(text, given) == value


def test_chance() -> None:
    assert 1 <= value_of("States.MathRandom(1, 10)") < 10
    assert value_of("States.MathRandom(1, 1000, 7)") == value_of("States.MathRandom(1, 1000, 7)")
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value_of("States.UUID()")
    )


@pytest.mark.parametrize(
    "text",
    [
        "States.Format('{}')",
        "States.ArrayGetItem($.l, 5)",
        "States.ArrayRange(1, 5000, 1)",
        "States.StringToJson('{')",
        "States.Hash('a', 'CRC')",
        "States.JsonMerge($.l, $.l, true)",
        "States.MathAdd('1', 2)",
        "States.UUID(1)",
    ],
)
def test_what_a_function_refuses(text: str) -> None:
    with pytest.raises(StatesError) as failed:
        value_of(text, {"l": [1]})
    assert failed.value.error == "States.IntrinsicFailure"


@pytest.mark.parametrize(
    "text", ["States.Nothing()", "States.Format('a'", "States.Array(1) x", "Format('a')", "States.Array(a)"]
)
def test_what_is_no_function(text: str) -> None:
    with pytest.raises(IntrinsicInvalid):
        parse(text)
