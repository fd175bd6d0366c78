"""Event patterns: AWS's own examples, what is refused, and the published cases where they lie beside this checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pilotlight.event_patterns import InvalidPattern, compile_pattern

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "eventruler.jsonl"
CASES = [json.loads(line) for line in VECTORS.read_text().splitlines()] if VECTORS.is_file() else []


def matches(pattern: Any, event: Any) -> bool:
    return compile_pattern(json.dumps(pattern)).matches(event)


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": [1]}, {"a": 1.0}, True),
        ({"a": ["1"]}, {"a": 1}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [True]}, {"a": 1}, False),
        ({"a": ["x", "y"]}, {"a": ["z", "y"]}, True),
        ({"a": {"b": ["x"]}}, {"a": {"b": "x", "c": 1}}, True),
        ({"a": [{"prefix": "up"}]}, {"a": "uploads/x"}, True),
        ({"a": [{"prefix": {"equals-ignore-case": "UP"}}]}, {"a": "uploads/x"}, True),
        ({"a": [{"suffix": ".jpg"}]}, {"a": "x.png"}, False),
        ({"a": [{"suffix": {"equals-ignore-case": ".JPG"}}]}, {"a": "x.jpg"}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "z"}, True),
        ({"a": [{"anything-but": 5}]}, {"a": 5}, False),
        ({"a": [{"anything-but": "x"}]}, {"b": 1}, False),
        ({"a": [{"anything-but": {"prefix": ["x", "y"]}}]}, {"a": "yes"}, False),
        ({"a": [{"anything-but": {"wildcard": "*/lib/*"}}]}, {"a": "src/lib/x"}, False),
        ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 5}, True),
        ({"a": [{"numeric": ["=", 3.018e2]}]}, {"a": 301.8}, True),
        ({"a": [{"numeric": [">", 0]}]}, {"a": "1"}, False),
        ({"a": [{"exists": True}]}, {"a": None}, True),
        ({"a": [{"exists": True}]}, {"a": {}}, False),
        ({"a": [{"exists": False}]}, {"b": 1}, True),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.0.255"}, True),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "no address"}, False),
        ({"a": [{"equals-ignore-case": "AlIcE"}]}, {"a": "alice"}, True),
        ({"a": [{"wildcard": "*.txt"}]}, {"a": "x.txt"}, True),
        ({"a": [{"wildcard": "a\\*b"}]}, {"a": "axb"}, False),
        ({"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}, {"b": 2, "c": 3}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}, {"b": 2}, False),
        ({"l": {"a": [1], "b": [2]}}, {"l": [{"a": 1, "b": 3}, {"a": 2, "b": 2}]}, False),
        ({"l": {"a": [1], "b": [2]}}, {"l": [{"a": 1, "b": 3}, {"a": 1, "b": 2}]}, True),
    ],
)
def test_what_matches(pattern: Any, event: Any, expected: bool) -> None:
    assert matches(pattern, event) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"a": 1}',
        '{"a": "x"}',
        '{"a": []}',
        '{"a": {}}',
        '{"a": [[1]]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"unknown": 1}]}',
        '{"a": [{"prefix": "a", "suffix": "b"}]}',
        '{"a": [{"numeric": []}]}',
        '{"a": [{"numeric": ["<", "1"]}]}',
        '{"a": [{"numeric": [">", 5, "<", 1]}]}',
        '{"a": [{"numeric": [">", 5000000001]}]}',
        '{"a": [{"exists": "yes"}]}',
        '{"a": [{"cidr": "10.0.0.0/33"}]}',
        '{"a": [{"wildcard": "a**b"}]}',
        '{"a": [{"anything-but": ["x", 1]}]}',
        '{"a": [{"anything-but": {"numeric": [">", 1]}}]}',
        '{"$or": [{"a": [1]}]}',
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(text)


def test_alternatives_are_bounded() -> None:
    alternatives = [{"a": [number]} for number in range(11)]
    pattern = {"x": {"$or": alternatives}, "y": {"$or": alternatives}, "z": {"$or": alternatives}}
    with pytest.raises(InvalidPattern, match="combinations"):
        compile_pattern(json.dumps(pattern))


@pytest.mark.skipif(not CASES, reason="the published cases are not beside this checkout")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_published_case_holds(case: dict[str, Any]) -> None:
    if "valid" not in case:
        assert compile_pattern(case["pattern"]).matches(json.loads(case["event"])) is case["match"]
    elif case["valid"]:
        compile_pattern(case["pattern"])
    else:
        with pytest.raises(InvalidPattern):
            compile_pattern(case["pattern"])
