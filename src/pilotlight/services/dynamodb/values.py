"""Attribute values, in the shape boto3 gives them: one type and its content, `{"S": "…"}`.

What is stored has passed `canonical`, so equal values are equal objects but for the order in sets.
Sizes are counted as AWS counts them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from pilotlight.services.dynamodb import numbers
from pilotlight.services.dynamodb.errors import NESTED_TOO_DEEP, invalid, parameters_invalid

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]

ITEM_BYTES_MAX = 400 * 1024
NESTING_LEVELS_MAX = 32
_COLLECTION_BYTES = 3
_ELEMENT_BYTES = 1


def type_of(value: Mapping[str, Any]) -> str:
    return next(iter(value))


def canonical(value: Mapping[str, Any], depth: int = 1) -> AttributeValue:
    """The value with its numbers in canonical form. Raises AwsError for what is no attribute value."""
    if len(value) == 1:
        for kind, content in value.items():
            if kind == "S":
                return {"S": content}
            if kind == "N":
                return {"N": numbers.canonical_number(content)}
            return _canonical_of(kind, content, depth)
    if not value:
        raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
    for kind, content in value.items():  # AWS: a bad number is reported before the other types are.
        _canonical_of(kind, content, depth)
    raise invalid(
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
    )


def _canonical_of(kind: str, content: Any, depth: int) -> AttributeValue:
    if kind in ("S", "B", "BOOL"):
        return {kind: content}
    if kind == "N":
        return {"N": numbers.canonical_number(content)}
    if kind == "NULL":
        if not content:
            raise parameters_invalid("Null attribute value types must have the value of true")
        return {"NULL": True}
    if kind in ("M", "L"):
        if depth >= NESTING_LEVELS_MAX:
            raise invalid(NESTED_TOO_DEEP)
        if kind == "M":
            return {"M": {name: canonical(inner or {}, depth + 1) for name, inner in content.items()}}
        return {"L": [canonical(inner or {}, depth + 1) for inner in content]}
    return _canonical_set(kind, content)


def _canonical_set(kind: str, content: list[Any]) -> AttributeValue:
    """AWS: a set is not empty, but a member of it may be (measured by others in four regions in 2026)."""
    if kind == "SS":
        if not content:
            raise parameters_invalid("An string set  may not be empty")
        if len(set(content)) != len(content):
            raise parameters_invalid(f"Input collection [{', '.join(content)}] contains duplicates.")
        return {"SS": list(content)}
    if kind == "NS":
        if not content:
            raise parameters_invalid("An number set  may not be empty")
        members = [numbers.canonical_number(member) for member in content]
        if len(set(members)) != len(members):
            raise invalid("Input collection contains duplicates")
        return {"NS": members}
    if kind == "BS":
        if not content:
            raise parameters_invalid("Binary sets should not be empty")
        if len(set(content)) != len(content):
            shown = ", ".join(base64.b64encode(member).decode() for member in content)
            raise parameters_invalid(f"Input collection [{shown}]of type BS contains duplicates.")
        return {"BS": list(content)}
    raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")


def canonical_item(item: Mapping[str, Mapping[str, Any]]) -> Item:
    return {name: canonical(value or {}) for name, value in item.items()}


# Sizes.


def item_size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes of all names and values."""
    return sum(text_size(name) + value_size(value) for name, value in item.items())


def text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def value_size(value: Mapping[str, Any]) -> int:
    kind, content = next(iter(value.items()))
    if kind == "S":
        return text_size(content)
    if kind == "N":
        return numbers.number_size(content)
    if kind == "B":
        return len(content)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "M":
        return _COLLECTION_BYTES + sum(
            text_size(name) + value_size(inner) + _ELEMENT_BYTES for name, inner in content.items()
        )
    if kind == "L":
        return _COLLECTION_BYTES + sum(value_size(inner) + _ELEMENT_BYTES for inner in content)
    if kind == "SS":
        return sum(map(text_size, content))
    if kind == "NS":
        return sum(map(numbers.number_size, content))
    return sum(map(len, content))


# Comparison.


def equal(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Of the same type and content; sets regardless of order."""
    if left == right:
        return True
    kind = next(iter(left))
    if kind != next(iter(right)):
        return False
    mine, other = left[kind], right[kind]
    if kind in ("SS", "NS", "BS"):
        return len(mine) == len(other) and set(mine) == set(other)
    if kind == "L":
        return len(mine) == len(other) and all(map(equal, mine, other))
    if kind == "M":
        return mine.keys() == other.keys() and all(equal(mine[name], other[name]) for name in mine)
    return False


def order(left: Mapping[str, Any], right: Mapping[str, Any]) -> int | None:
    """-1, 0 or 1 between two strings, numbers or binaries; None where they have no order."""
    kind = next(iter(left))
    if kind != next(iter(right)):
        return None
    mine, other = left[kind], right[kind]
    if kind == "N":
        return numbers.compare(mine, other)
    if kind in ("S", "B"):
        # Code points sort as their UTF-8 does.
        return 0 if mine == other else -1 if mine < other else 1
    return None


# Stored form: JSON, as on the wire.


def dump(item: Mapping[str, Any]) -> bytes:
    return orjson.dumps(item, default=_base64)


def _base64(content: Any) -> str:
    return base64.b64encode(content).decode()


def load(body: bytes) -> Item:
    item: Item = orjson.loads(body)
    if b'"B":' in body or b'"BS":' in body:
        for value in item.values():
            _revive(value)
    return item


def _revive(value: AttributeValue) -> None:
    for kind, content in value.items():
        if kind == "B":
            value["B"] = base64.b64decode(content)
        elif kind == "BS":
            value["BS"] = [base64.b64decode(member) for member in content]
        elif kind == "M":
            for inner in content.values():
                _revive(inner)
        elif kind == "L":
            for inner in content:
                _revive(inner)
