"""What one leaf of an event may be asked: a test for each operator. Pure."""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

Test = Callable[[Any], bool]
"""Of a leaf: text, a Decimal, True, False or None."""
NUMBER_MAX = Decimal(5_000_000_000)
COMPARISONS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}


def equal(wanted: Any) -> Test:
    """The same value of the same kind; numbers by what they are worth."""
    if wanted is None or isinstance(wanted, bool):
        return lambda leaf: leaf is wanted
    if isinstance(wanted, str):
        return lambda leaf: isinstance(leaf, str) and leaf == wanted
    return lambda leaf: is_number(leaf) and leaf == wanted


def is_number(leaf: Any) -> bool:
    return isinstance(leaf, Decimal)


def prefix(text: str) -> Test:
    return lambda leaf: isinstance(leaf, str) and leaf.startswith(text)


def suffix(text: str) -> Test:
    return lambda leaf: isinstance(leaf, str) and leaf.endswith(text)


def fold(text: str) -> str:
    """Letters that differ by case alone become the same. Character by character: no letter becomes two."""
    return "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


def equal_ignoring_case(text: str) -> Test:
    wanted = fold(text)
    return lambda leaf: isinstance(leaf, str) and fold(leaf) == wanted


def prefix_ignoring_case(text: str) -> Test:
    wanted = fold(text)
    return lambda leaf: isinstance(leaf, str) and fold(leaf).startswith(wanted)


def suffix_ignoring_case(text: str) -> Test:
    wanted = fold(text)
    return lambda leaf: isinstance(leaf, str) and fold(leaf).endswith(wanted)


def wildcard(text: str) -> Test:
    """`*` stands for any text; `\\*` and `\\\\` for themselves. Raises ValueError."""
    parts, index = [], 0
    while index < len(text):
        letter = text[index]
        if letter == "\\":
            if index + 1 >= len(text) or text[index + 1] not in "*\\":
                raise ValueError(f"Invalid escape character at pos {index}")
            parts.append(re.escape(text[index + 1]))
            index += 2
            continue
        if letter == "*":
            if parts and parts[-1] == ".*":
                raise ValueError(f"Consecutive wildcard characters at pos {index - 1}")
            parts.append(".*")
        else:
            parts.append(re.escape(letter))
        index += 1
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda leaf: isinstance(leaf, str) and compiled.fullmatch(leaf) is not None


def numeric(conditions: list[tuple[str, Decimal]]) -> Test:
    tests = [(COMPARISONS[sign], bound) for sign, bound in conditions]
    return lambda leaf: is_number(leaf) and all(test(leaf, bound) for test, bound in tests)


def cidr(text: str) -> Test:
    """Raises ValueError."""
    network = ipaddress.ip_network(text, strict=False)

    def test(leaf: Any) -> bool:
        if not isinstance(leaf, str):
            return False
        try:
            address = ipaddress.ip_address(leaf)
        except ValueError:
            return False
        return address.version == network.version and address in network

    return test


def none_of(tests: list[Test]) -> Test:
    return lambda leaf: not any(test(leaf) for test in tests)
