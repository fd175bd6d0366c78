"""The condition block of a policy statement: AWS's operators over the keys of a request. Pure.

Keys are compared without regard to case, and hold one value or several. `IfExists`, `ForAllValues:` and
`ForAnyValue:` change what a missing or repeated value means; negated operators hold where nothing matches.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.identity.patterns import Context, Pattern

Test = Callable[[str, str], bool]
"""(policy's value, request's value) → matches."""


class UnknownOperator(ValueError):
    """No such condition operator."""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> float | None:
    """Seconds of an ISO 8601 date, or of the epoch."""
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _ordered(read: Callable[[str], float | None], holds: Callable[[float, float], bool]) -> Test:
    """Compare the request's value with the policy's, where both can be read."""

    def test(wanted: str, actual: str) -> bool:
        left, right = read(actual), read(wanted)
        return left is not None and right is not None and holds(left, right)

    return test


def _in_network(wanted: str, actual: str) -> bool:
    try:
        return ipaddress.ip_address(actual) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _same_bytes(wanted: str, actual: str) -> bool:
    try:
        return base64.b64decode(wanted) == base64.b64decode(actual)
    except ValueError:
        return False


_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "equals": lambda left, right: left == right,
    "lessthan": lambda left, right: left < right,
    "lessthanequals": lambda left, right: left <= right,
    "greaterthan": lambda left, right: left > right,
    "greaterthanequals": lambda left, right: left >= right,
}
_TESTS: dict[str, Test] = {
    "stringequals": lambda wanted, actual: wanted == actual,
    "stringequalsignorecase": lambda wanted, actual: wanted.casefold() == actual.casefold(),
    "bool": lambda wanted, actual: wanted.lower() == actual.lower(),
    "binaryequals": _same_bytes,
    "ipaddress": _in_network,
    **{f"numeric{name}": _ordered(_number, order) for name, order in _ORDERS.items()},
    **{f"date{name}": _ordered(_moment, order) for name, order in _ORDERS.items()},
}
_GLOBS = {"stringlike": False, "arnlike": True, "arnequals": True}
"""Operators with wildcards, and whether they compare ARNs part by part."""
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key."""

    operator: str
    key: str
    patterns: tuple[Pattern, ...]
    negated: bool
    if_exists: bool
    qualifier: str

    def holds(self, context: Context) -> bool:
        values = context.get(self.key)
        if self.operator == "null":
            wanted = {pattern.text.lower() for pattern in self.patterns}
            return ("true" if not values else "false") in wanted
        if self.qualifier == "forallvalues":
            return all(self._matches(value, context) != self.negated for value in values or ())
        if not values:
            return self.if_exists or (self.negated and not self.qualifier)
        if self.qualifier == "foranyvalue":
            return any(self._matches(value, context) != self.negated for value in values)
        return any(self._matches(value, context) for value in values) != self.negated

    def _matches(self, value: str, context: Context) -> bool:
        if self.operator in _GLOBS:
            return any(pattern.matches(value, context) for pattern in self.patterns)
        test = _TESTS[self.operator]
        for pattern in self.patterns:
            wanted = pattern.expand(context)
            if wanted is not None and test(wanted, value):
                return True
        return False


def compile_conditions(block: Mapping[str, Any], *, variables: bool) -> tuple[Condition, ...]:
    """A `Condition` block. Raises UnknownOperator, or ValueError for values of the wrong shape."""
    conditions = []
    for name, keys in block.items():
        qualifier, colon, operator = name.lower().rpartition(":")
        if (colon and qualifier not in ("forallvalues", "foranyvalue")) or not isinstance(keys, Mapping):
            raise UnknownOperator(name)
        if_exists = operator.endswith("ifexists")
        operator = operator.removesuffix("ifexists")
        negated = operator in _NEGATED
        operator = _NEGATED.get(operator, operator)
        if operator not in _TESTS and operator not in _GLOBS and operator != "null":
            raise UnknownOperator(name)
        for key, given in keys.items():
            patterns = tuple(
                Pattern.compile(
                    _text(value), arn=_GLOBS.get(operator, False), variables=variables, literal=operator not in _GLOBS
                )
                for value in (given if isinstance(given, list) else [given])
            )
            conditions.append(Condition(operator, key.lower(), patterns, negated, if_exists, qualifier))
    return tuple(conditions)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("a condition's value must be text, a number or a boolean")


class RequestKeys(Mapping[str, Sequence[str]]):
    """Condition keys as evaluation wants them: names in lower case, values as lists of text.

    They are put together when the first one is asked for, since most policies ask for none.
    """

    def __init__(self, layers: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Later layers win."""
        self._layers = layers
        self._values: dict[str, Sequence[str]] | None = None

    def __getitem__(self, name: str) -> Sequence[str]:
        return self._built()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._built())

    def __len__(self) -> int:
        return len(self._built())

    def _built(self) -> dict[str, Sequence[str]]:
        if self._values is None:
            self._values = {}
            for layer in self._layers():
                for name, value in layer.items():
                    if value is not None:
                        many = value if isinstance(value, list | tuple | set | frozenset) else (value,)
                        self._values[name.lower()] = tuple(_text(item) for item in many)
        return self._values


def context_of(*layers: Mapping[str, Any]) -> Context:
    """The condition keys of these layers; later ones win."""
    return RequestKeys(lambda: layers)
