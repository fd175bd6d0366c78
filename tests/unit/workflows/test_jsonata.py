"""The JSONata language: published cases, AWS's own functions, and expressions that mean harm."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from pilotlight.workflows.jsonata import JsonataError, body_of, check, evaluate
from pilotlight.workflows.paths import MISSING

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "jsonata.jsonl"
OTHERWISE = {
    "default-operator/case016[0]": "the library negates a number before `?:` twice",
    "default-operator/case017[0]": "as case016",
    "default-operator/case018[0]": "as case016",
    "function-contains/case007[0]": "the library refuses a pattern that is undefined",
    "function-formatInteger/formatInteger[43]": "the library counts in whole numbers, not in doubles",
    "function-formatNumber/case014[0]": "the library writes the mantissa of a picture without 0 otherwise",
    "function-length/case004[0]": "a pair of surrogates that escapes make stays two characters",
    "function-sort/case009[0]": "the library's sort leaves equals in another order",
    "function-sort/case010[0]": "as case009",
    "function-string/case006[0]": "the library writes large numbers as Python does",
    "function-string/case030[0]": "as case006",
    "function-tomillis/case009[0]": "the library takes a blank for the T of ISO 8601",
    "function-tomillis/parseDateTime[46]": "the library knows no more than six digits of a second",
    "joins/library-joins[12]": "the library fails where a join finds nothing",
    "matchers/case000[0]": "the library takes no matchers that are functions",
    "regex/case022[0]": "the library lets a pattern match nothing",
    "regex/case034[0]": "the library gives a replacing function the whole match for a group",
}


def value_of(expression: str, given: Any = None, **variables: Any) -> Any:
    return evaluate(expression, {"states": {"input": given}, **variables}, now_ms=1_000, rng=random.Random(1))


def outcome(expression: str, given: Any) -> Any:
    try:
        found = value_of(expression, given)
    except JsonataError:
        return "an error"
    return "undefined" if found is MISSING else found


@pytest.mark.slow
@pytest.mark.skipif(not VECTORS.exists(), reason="the published cases are not here")
def test_published_cases() -> None:
    missed = set()
    for line in VECTORS.read_text().splitlines():
        case = json.loads(line)
        wanted = "an error" if "error" in case else "undefined" if "undefined" in case else case["result"]
        found = outcome(case["expr"], case["input"])
        if json.dumps(found, sort_keys=True) != json.dumps(wanted, sort_keys=True):
            missed.add(case["id"])
    assert missed == set(OTHERWISE)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$partition([1..5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(0, 10, 5)", [0, 5, 10]),
        ("$hash('a', 'SHA-256')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("$parse('{\"a\": [null, 1]}')", {"a": [None, 1]}),
        ("$random(7) = $random(7)", True),
        ("$random() < 1", True),
        ("$length($uuid())", 36),
        ("$millis()", 1_000),
        ("$now()", "1970-01-01T00:00:01.000Z"),
        ("$states.input.a", None),
        ("$states.input.b", MISSING),
        ("$name & '!'", "x!"),
        ("4 / 2", 2),
        ("1 / 2", 0.5),
        ("1e300 * 10", 1e301),
        ("[1, 2.0, null]", [1, 2, None]),
    ],
)
def test_values(expression: str, value: Any) -> None:
    found = value_of(expression, {"a": None}, name="x")
    assert found is value or json.dumps(found) == json.dumps(value)


@pytest.mark.parametrize(
    "expression",
    [
        "$eval('1')",
        "$range(1, 10, 0)",
        "$range(1, 1000000, 1)",
        "$hash('a', 'CRC')",
        "$parse('{')",
        "1 + 'a'",
        "$nothing()",
        "function($x) { $x }",
        pytest.param("($f := function() { $f() }; $f())", marks=pytest.mark.slow),
        "($f := function() { 1 + $f() }; $f())",
        "($f := function($x) { $f($x & $x) }; $f('aaaaaaaa'))",
        "($f := function($x) { $f($append($x, $x)) }; $f([1, 2]))",
        "[1..9000000]",
        "($f := function($x) { $f($x * $x) }; $f(3))",
    ],
)
def test_refusals(expression: str) -> None:
    with pytest.raises(JsonataError):
        value_of(expression)


@pytest.mark.parametrize("expression", ["", "1 +", "(" * 5_000, "1" * 70_000, "/(/", "'open"])
def test_what_cannot_be_read(expression: str) -> None:
    with pytest.raises(JsonataError):
        check(expression)


def test_only_a_whole_string_is_an_expression() -> None:
    assert body_of("{% 1 %}") == " 1 "
    assert [body_of(one) for one in (" {% 1 %}", "{% 1 %} ", "a", "{%}", 1)] == [None] * 5
