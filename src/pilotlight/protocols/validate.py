"""The model's constraints, checked before an operation runs, and refused in AWS's words.

AWS: most services share one validator, which answers `2 validation errors detected: Value '' at 'name'
failed to satisfy constraint: Member must have length greater than or equal to 1; …`. What differs is the code. S3
checks by itself, and hardly ever by the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pilotlight.errors import AwsError
from pilotlight.protocols.shapes import Member, Shape

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation

CODES = {
    "dynamodb": "ValidationException",
    "lambda": "ValidationException",
    "events": "ValidationException",
    "logs": "InvalidParameterException",
    "apigatewayv2": "BadRequestException",
    "iam": "ValidationError",
    "sts": "ValidationError",
    "cloudformation": "ValidationError",
}
FAILED = "failed to satisfy constraint"
UNCHECKED = frozenset({"s3"})
Check = Callable[[Any, str], Iterator[str]]


def validate(params: Mapping[str, Any], operation: Operation) -> None:
    """Raises AwsError when the parameters do not keep the model's constraints."""
    if operation.input is None or operation.model.name in UNCHECKED:
        return
    if operation.checks is None:
        operation.checks = _compile(Member(operation.input, {}), _Style(operation.model.protocol), set())
    found = list(operation.checks(params, ""))
    if found:
        noun = "error" if len(found) == 1 else "errors"
        code = CODES.get(operation.model.name, "ValidationException")
        raise AwsError(code, f"{len(found)} validation {noun} detected: {'; '.join(found)}")


class _Style:
    """How a path to a member is printed."""

    def __init__(self, protocol: str) -> None:
        self._lists = "member." if protocol in ("query", "json", "rest-json") else ""

    def member(self, path: str, name: str) -> str:
        lower = name[:1].lower() + name[1:]
        return f"{path}.{lower}" if path else lower

    def item(self, path: str, index: int) -> str:
        return f"{path}.{index + 1}.{self._lists.rstrip('.')}"


def _compile(member: Member, style: _Style, above: set[str]) -> Check:
    """A check for a shape and all below it. Shapes that hold themselves are checked where they are first met."""
    shape = member.shape
    inner: Check | None = None
    if shape.name not in above:
        inside = above | {shape.name}
        if shape.type == "structure":
            inner = _structure(shape, style, inside)
        elif shape.type == "list":
            inner = _elements(_compile(shape.element, style, inside), style)
        elif shape.type == "map":
            inner = _values(_compile(shape.value, style, inside), style)
    own = _own_constraints(shape)

    def check(value: Any, path: str) -> Iterator[str]:
        for broken in own:
            text = broken(value)
            if text:
                yield f"Value {_printed(value)} at '{path}' {FAILED}: {text}"
        if inner is not None:
            yield from inner(value, path)

    return check


def _structure(shape: Shape, style: _Style, above: set[str]) -> Check:
    compiled: dict[str, Check] = {}

    def check(value: Any, path: str) -> Iterator[str]:
        for name in shape.required:
            if value.get(name) is None:
                yield f"Value null at '{style.member(path, name)}' {FAILED}: Member must not be null"
        for name, item in value.items():
            if item is None or name not in shape.members:
                continue
            if name not in compiled:
                compiled[name] = _compile(shape.members[name], style, above)
            yield from compiled[name](item, style.member(path, name))

    return check


def _elements(inner: Check, style: _Style) -> Check:
    def check(value: Any, path: str) -> Iterator[str]:
        for index, item in enumerate(value):
            if item is not None:
                yield from inner(item, style.item(path, index))

    return check


def _values(inner: Check, style: _Style) -> Check:
    def check(value: Any, path: str) -> Iterator[str]:
        for key, item in value.items():
            if item is not None:
                yield from inner(item, f"{path}.{key}.member")

    return check


def _own_constraints(shape: Shape) -> list[Callable[[Any], str]]:
    traits, kind = shape.traits, shape.type
    found: list[Callable[[Any], str]] = []
    if kind in ("string", "list", "map", "blob"):
        found += _lengths(traits)
    if kind in ("integer", "long", "float", "double"):
        found += _ranges(traits)
    if kind == "string" and "enum" in traits:
        allowed = list(traits["enum"])
        text = f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        found.append(lambda value: "" if value in allowed else text)
    if kind == "string" and "pattern" in traits:
        pattern = _pattern(traits["pattern"])
        message = f"Member must satisfy regular expression pattern: {traits['pattern']}"
        if pattern is not None:
            compiled = pattern
            found.append(lambda value: "" if compiled.fullmatch(value) else message)
    return found


def _lengths(traits: Mapping[str, Any]) -> list[Callable[[Any], str]]:
    found: list[Callable[[Any], str]] = []
    low, high = traits.get("min"), traits.get("max")
    if low:
        least = f"Member must have length greater than or equal to {low}"
        found.append(lambda value: least if len(value) < low else "")
    if high is not None:
        most = f"Member must have length less than or equal to {high}"
        found.append(lambda value: most if len(value) > high else "")
    return found


def _ranges(traits: Mapping[str, Any]) -> list[Callable[[Any], str]]:
    found: list[Callable[[Any], str]] = []
    low, high = traits.get("min"), traits.get("max")
    if low is not None:
        least = f"Member must have value greater than or equal to {low}"
        found.append(lambda value: least if value < low else "")
    if high is not None:
        most = f"Member must have value less than or equal to {high}"
        found.append(lambda value: most if value > high else "")
    return found


def _pattern(text: str) -> re.Pattern[str] | None:
    """Java's expressions are almost Python's; what is not is left to the service."""
    try:
        return re.compile(_JAVA.sub(lambda match: _CLASSES.get(match[1], match[0]), text))
    except re.error:
        return None


_JAVA = re.compile(r"\\p\{([A-Za-z]+)\}")
_CLASSES = {
    "L": r"\w",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "ASCII": r"\x00-\x7f",
    "Graph": r"\x21-\x7e",
    "Print": r"\x20-\x7e",
    "XDigit": "0-9a-fA-F",
}


def _printed(value: Any) -> str:
    """As Java prints it between the quotes of the message."""
    return f"'{_java(value)}'"


def _java(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_java(item) for item in value) + "]"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return value.isoformat() if isinstance(value, datetime) else str(value)
