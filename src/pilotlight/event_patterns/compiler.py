"""Reads patterns: JSON to fields with tests, `$or` to alternatives. Pure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pilotlight.event_patterns import values
from pilotlight.event_patterns.events import Event, flatten
from pilotlight.event_patterns.values import Test

ALTERNATIVES_MAX = 1000
"""AWS: a pattern may come to as many combinations of `$or` at most."""
OPERATORS = frozenset({
    "prefix", "suffix", "anything-but", "numeric", "exists", "cidr", "equals-ignore-case", "wildcard", "exactly",
})  # fmt: skip


class InvalidPattern(Exception):
    """The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Field:
    """What a pattern wants of one leaf: any of the tests, or that it is not there."""

    path: str
    tests: tuple[Test, ...]
    absent: bool = False


class Pattern:
    def __init__(self, alternatives: list[list[Field]]) -> None:
        self._alternatives = alternatives

    def matches(self, event: Any) -> bool:
        """`event`: as `json.loads` gives it; numbers may be of any kind."""
        return self.matches_flat(flatten(event))

    def matches_flat(self, event: Event) -> bool:
        return any(_matches(fields, event) for fields in self._alternatives)


def _matches(fields: list[Field], event: Event) -> bool:
    wanted: list[list[Mapping[str, int]]] = []
    absent: list[list[Mapping[str, int]]] = []
    for field in fields:
        leaves = event.get(field.path, ())
        found = [places for leaf, places in leaves if any(test(leaf) for test in field.tests)]
        if found:
            wanted.append(found)
        elif field.absent:
            absent.append([places for _, places in leaves])
        else:
            return False
    return _consistent(wanted, absent, {})


def _consistent(
    wanted: list[list[Mapping[str, int]]], absent: list[list[Mapping[str, int]]], chosen: Mapping[str, int]
) -> bool:
    """AWS: what matches within arrays of objects must match within the same objects, and what must be absent must be
    so in those."""
    if not wanted:
        return not any(_fits(places, chosen) for leaves in absent for places in leaves)
    return any(_fits(places, chosen) and _consistent(wanted[1:], absent, {**chosen, **places}) for places in wanted[0])


def _fits(places: Mapping[str, int], chosen: Mapping[str, int]) -> bool:
    return all(chosen.get(array, index) == index for array, index in places.items())


def compile_pattern(text: str) -> Pattern:
    """Raises InvalidPattern."""
    try:
        pattern = json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_object)
    except ValueError as error:
        raise InvalidPattern(str(error)) from None
    if not isinstance(pattern, dict):
        raise InvalidPattern("Filter is not an object")
    if not pattern:
        raise InvalidPattern("Empty objects are not allowed")
    alternatives = _compile_object(pattern, "")
    return Pattern(alternatives)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """AWS: of a key that is there twice, the last one counts."""
    return dict(pairs)


def _compile_object(pattern: Mapping[str, Any], path: str) -> list[list[Field]]:
    parts: list[list[list[Field]]] = []
    for key, value in pattern.items():
        inner = f"{path}.{key}" if path else key
        if key == "$or" and _is_or(value):
            if len(value) < 2:
                raise InvalidPattern("There must have at least 2 Objects in $or relationship.")
            alternatives = [one for choice in value for one in _compile_object(choice, path)]
            parts.append(alternatives)
        elif isinstance(value, dict):
            if not value:
                raise InvalidPattern("Empty objects are not allowed")
            parts.append(_compile_object(value, inner))
        elif isinstance(value, list):
            parts.append([[_compile_field(inner, value)]])
        else:
            raise InvalidPattern(f'"{key}" must be an object or an array')
    count = 1
    for part in parts:
        count *= len(part)
        if count > ALTERNATIVES_MAX:
            raise InvalidPattern("The pattern has too many combinations of $or")
    # AWS: what an alternative says of a field takes the place of what is said of it outside.
    return [
        list({field.path: field for field in itertools.chain.from_iterable(choice)}.values())
        for choice in itertools.product(*parts)
    ]


def _is_or(value: Any) -> bool:
    """AWS: a field may be called `$or`, too: then its objects are operators, or not objects at all."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, dict) and one and not (set(one) & OPERATORS) for one in value)


def _compile_field(path: str, wanted: list[Any]) -> Field:
    if not wanted:
        raise InvalidPattern("Empty arrays are not allowed")
    tests: list[Test] = []
    absent = False
    for one in wanted:
        if isinstance(one, list):
            raise InvalidPattern("Match value must be String, number, true, false, or null")
        if not isinstance(one, dict):
            tests.append(values.equal(one))
            continue
        if one == {"exists": False}:
            absent = True
            continue
        tests.append(_compile_operator(one))
    return Field(path, tuple(tests), absent)


def _compile_operator(given: Mapping[str, Any]) -> Test:
    if len(given) != 1:
        raise InvalidPattern("Only one key allowed in match expression")
    ((name, value),) = given.items()
    made = _OPERATORS.get(name)
    if made is None:
        raise InvalidPattern(f"Unrecognized match type {name}")
    return made(value)


def _text(value: Any, what: str, *, empty: bool = True) -> str:
    if not isinstance(value, str):
        raise InvalidPattern(f"{what} match pattern must be a string")
    if not value and not empty:
        raise InvalidPattern(f"Null {what} not allowed")
    return value


def _affix(what: str, plain: Callable[[str], Test], ignoring: Callable[[str], Test]) -> Callable[[Any], Test]:
    def made(value: Any) -> Test:
        if isinstance(value, dict):
            if set(value) != {"equals-ignore-case"}:
                raise InvalidPattern(f"Unsupported {what} pattern: {', '.join(value)}")
            return ignoring(_text(value["equals-ignore-case"], "equals-ignore-case"))
        return plain(_text(value, what))

    return made


def _exists(value: Any) -> Test:
    if value is not True:
        raise InvalidPattern("exists match pattern must be either true or false.")
    return lambda leaf: True


def _wildcard(value: Any) -> Test:
    try:
        return values.wildcard(_text(value, "wildcard"))
    except ValueError as error:
        raise InvalidPattern(str(error)) from None


def _cidr(value: Any) -> Test:
    text = _text(value, "CIDR")
    try:
        return values.cidr(text)
    except ValueError as error:
        raise InvalidPattern(f"Malformed CIDR: {error}") from None


def _numeric(value: Any) -> Test:
    if not isinstance(value, list) or not value:
        raise InvalidPattern("Invalid member in numeric match: it must be an array")
    if len(value) % 2:
        raise InvalidPattern("Value of numeric match must be numeric")
    conditions: list[tuple[str, Decimal]] = []
    for sign, bound in zip(value[::2], value[1::2], strict=True):
        if sign not in values.COMPARISONS:
            raise InvalidPattern(f"Unrecognized numeric range operator: {sign}")
        if not values.is_number(bound):
            raise InvalidPattern(f"Value of {sign} must be numeric")
        if bound and not float(bound):
            raise InvalidPattern(f"Cannot compare number : {bound}")
        if abs(bound) > values.NUMBER_MAX:
            raise InvalidPattern("Value must be between -5.0E9 and 5.0E9, inclusive")
        conditions.append((sign, bound))
    _check_range(conditions)
    return values.numeric(conditions)


def _check_range(conditions: list[tuple[str, Decimal]]) -> None:
    """One bound, or a lower and an upper one that leave something between them."""
    signs = [sign[0] for sign, _ in conditions]
    if len(conditions) > 2 or (len(conditions) == 2 and signs != [">", "<"]):
        raise InvalidPattern("Too many elements in numeric expression")
    if len(conditions) == 2:
        bounds = {sign[0]: bound for sign, bound in conditions}
        if bounds[">"] >= bounds["<"]:
            raise InvalidPattern("Bottom must be less than top")


def _anything_but(value: Any) -> Test:
    if isinstance(value, dict):
        if len(value) != 1:
            raise InvalidPattern("Only one key allowed in match expression")
        ((name, inner),) = value.items()
        if name not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
            raise InvalidPattern(f"Unsupported anything-but pattern: {name}")
        return values.none_of([_but(name, one) for one in _several(inner, name)])
    wanted = _several(value, "anything-but")
    kinds = {str if isinstance(one, str) else Decimal for one in wanted}
    if isinstance(value, list) and len(kinds) > 1:
        raise InvalidPattern(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    return values.none_of([values.equal(one) for one in wanted])


def _but(name: str, value: Any) -> Test:
    if isinstance(value, dict) and name in ("prefix", "suffix"):
        return _OPERATORS[name](value)
    return _OPERATORS[name](_text(value, f"anything-but {name}", empty=name in ("equals-ignore-case", "wildcard")))


def _several(value: Any, what: str) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    if not found:
        raise InvalidPattern("Empty arrays are not allowed")
    for one in found:
        right = isinstance(one, str) or (what == "anything-but" and values.is_number(one))
        if not right and not (isinstance(one, dict) and what in ("prefix", "suffix")):
            raise InvalidPattern(f"Inside {what} list, value must be a string or a number")
    return found


def _equals_ignore_case(value: Any) -> Test:
    return values.equal_ignoring_case(_text(value, "equals-ignore-case"))


_OPERATORS: Mapping[str, Callable[[Any], Test]] = {
    "prefix": _affix("prefix", values.prefix, values.prefix_ignoring_case),
    "suffix": _affix("suffix", values.suffix, values.suffix_ignoring_case),
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "cidr": _cidr,
    "numeric": _numeric,
    "exists": _exists,
    "exactly": lambda value: values.equal(_text(value, "exact")),
    "anything-but": _anything_but,
}
