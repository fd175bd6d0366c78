"""Choice rules: comparisons of a variable with a value or with another variable, and `And`, `Or`, `Not` of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.paths import MISSING

Lookup = Callable[[str], Any]
"""The value at a path, or MISSING."""

_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "GreaterThan": lambda left, right: left > right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThanEquals": lambda left, right: left >= right,
}
_KINDS = ("String", "Numeric", "Timestamp", "Boolean")
_TESTS = ("IsNull", "IsNumeric", "IsString", "IsBoolean", "IsTimestamp", "IsPresent")
OPERATORS = {
    *_TESTS,
    "StringMatches",
    *(
        f"{kind}{name}{path}"
        for kind in _KINDS
        for name in _COMPARE
        for path in ("", "Path")
        if kind != "Boolean" or name == "Equals"
    ),
}


def moment(text: Any) -> datetime | None:
    if not isinstance(text, str) or not _TIMESTAMP.match(text):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def decide(rule: Mapping[str, Any], lookup: Lookup) -> bool:
    """Whether a rule holds. Raises StatesError where its variable is missing."""
    if "And" in rule:
        return all(decide(one, lookup) for one in rule["And"])
    if "Or" in rule:
        return any(decide(one, lookup) for one in rule["Or"])
    if "Not" in rule:
        return not decide(rule["Not"], lookup)
    operator = next(name for name in rule if name in OPERATORS)
    wanted, value = rule[operator], lookup(rule["Variable"])
    if operator == "IsPresent":
        return (value is not MISSING) is wanted
    if value is MISSING:
        raise StatesError(
            "States.Runtime",
            f"Invalid path '{rule['Variable']}': The choice state's condition path references an invalid value.",
        )
    if operator in _TESTS:
        return _is(operator, value) is wanted
    if operator == "StringMatches":
        return isinstance(value, str) and _pattern(wanted).fullmatch(value) is not None
    if operator.endswith("Path"):
        operator, path = operator[:-4], wanted
        wanted = lookup(path)
        if wanted is MISSING:
            raise StatesError(
                "States.Runtime",
                f"Invalid path '{path}': The choice state's condition path references an invalid value.",
            )
    kind = next(kind for kind in _KINDS if operator.startswith(kind))
    left, right = _as(kind, value), _as(kind, wanted)
    return left is not None and right is not None and _COMPARE[operator[len(kind) :]](left, right)


def _is(operator: str, value: Any) -> bool:
    if operator == "IsNull":
        return value is None
    if operator == "IsBoolean":
        return isinstance(value, bool)
    if operator == "IsNumeric":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if operator == "IsString":
        return isinstance(value, str)
    return moment(value) is not None


def _as(kind: str, value: Any) -> Any:
    """The value, where it is of that kind: a comparison of another kind is simply false."""
    if kind == "Timestamp":
        return moment(value)
    if kind == "Numeric":
        return value if _is("IsNumeric", value) else None
    return value if _is(f"Is{kind}", value) else None


def _pattern(text: str) -> re.Pattern[str]:
    made, at = [], 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            made.append(re.escape(text[at + 1]))
            at += 2
        else:
            made.append(".*" if text[at] == "*" else re.escape(text[at]))
            at += 1
    return re.compile("".join(made), re.DOTALL)
