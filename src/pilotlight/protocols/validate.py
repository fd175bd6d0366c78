"""The model's constraints, checked before an operation runs, and refused in AWS's words.

AWS: most services share one validator, which answers `2 validation errors detected: Value '' at 'name'
failed to satisfy constraint: Member must have length greater than or equal to 1; …`. What differs is the code. S3
checks by itself, and hardly ever by the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
    "ecr": "InvalidParameterException",
    "apigatewayv2": "BadRequestException",
    "iam": "ValidationError",
    "sts": "ValidationError",
    "cloudformation": "ValidationError",
}
UNCHECKED = frozenset({"s3"})
# AWS: Lambda checks a runtime's name by itself, with another code and other words.
OWN_CHECKS = {
    "lambda": frozenset({"Runtime"}),
    # AWS: so does SQS with the names of attributes.
    "sqs": frozenset({"Attributes", "AttributeNames", "MessageSystemAttributeNames", "MessageSystemAttributes"}),
}
# AWS: what is missing is named, as in the query protocol's time.
MISSING = {"sqs": "MissingRequiredParameterException"}
# AWS: the generations of the validator differ: Lambda's adds this to what a list's or map's elements must satisfy.
NOT_NULL_ELEMENTS = frozenset({"lambda"})
FAILED = "failed to satisfy constraint"
NOT_NULL = "Member must not be null"

Check = Callable[[Any, str, list[str]], None]
"""Adds what is broken: `(value, path, found)`."""
Broken = Callable[[Any], str]
"""The constraint that a value breaks, in words, or nothing."""


def validate(params: Mapping[str, Any], operation: Operation) -> None:
    """Raises AwsError when the parameters do not keep the model's constraints."""
    if operation.input is None or operation.model.name in UNCHECKED:
        return
    if operation.model.name in MISSING:
        for name in operation.input.traits.get("required", ()):
            if params.get(name) is None:
                raise AwsError(MISSING[operation.model.name], f"The request must contain the parameter {name}.")
    check = operation.model.checks.of(operation.input)
    if check is None:
        return
    found: list[str] = []
    check(params, "", found)
    if found:
        noun = "error" if len(found) == 1 else "errors"
        code = CODES.get(operation.model.name, "ValidationException")
        raise AwsError(code, f"{len(found)} validation {noun} detected: {'; '.join(found)}")


class Checks:
    """Compiles and keeps the checks of one model's shapes; shapes without constraints have none."""

    def __init__(self, service: str) -> None:
        self._own = OWN_CHECKS.get(service, frozenset())
        self._elements_tail = [NOT_NULL] if service in NOT_NULL_ELEMENTS else []
        self._made: dict[str, Check | None] = {}

    def of(self, shape: Shape) -> Check | None:
        if shape.name not in self._made:
            if not _constrained(shape, set()):
                self._made[shape.name] = None
            else:
                # What refers to itself finds this first, and the real one on its first call.
                self._made[shape.name] = self._later(shape)
                self._made[shape.name] = self._compile(shape)
        return self._made[shape.name]

    def _later(self, shape: Shape) -> Check:
        def check(value: Any, path: str, found: list[str]) -> None:
            made = self._made[shape.name]
            if made is not None:
                made(value, path, found)

        return check

    def _compile(self, shape: Shape) -> Check:
        own = constraints(shape)
        inner: Check | None = None
        if shape.type == "structure":
            inner = self._structure(shape)
        elif shape.type == "list":
            own += self._of_elements(shape.element.shape)
            inner = self._elements(self._below(shape.element.shape))
        elif shape.type == "map":
            own += self._of_entries(shape)
            inner = self._values(self._below(shape.value.shape))
        hidden = bool(shape.traits.get("sensitive"))

        def check(value: Any, path: str, found: list[str]) -> None:
            for broken in own:
                text = broken(value)
                if text:
                    # AWS: a sensitive value is not repeated.
                    told = "Value" if hidden else f"Value '{_java(value, shape)}'"
                    found.append(f"{told} at '{path}' {FAILED}: {text}")
            if inner is not None:
                inner(value, path, found)

        return check

    def _below(self, shape: Shape) -> Check | None:
        """What is checked element by element. Scalars are checked, and told, with the list or map that holds them."""
        return self.of(shape) if shape.type in ("structure", "list", "map") else None

    def _structure(self, shape: Shape) -> Check:
        required = shape.required
        members = {
            name: made
            for name, member in shape.members.items()
            if name not in self._own and not member.trait("streaming") and (made := self.of(member.shape)) is not None
        }

        def check(value: Any, path: str, found: list[str]) -> None:
            for name in required:
                if value.get(name) is None:
                    found.append(f"Value null at '{_at(path, name)}' {FAILED}: {NOT_NULL}")
            for name, item in value.items():
                if name in members and item is not None:
                    made = members[name]
                    if made is not None:
                        made(item, _at(path, name), found)

        return check

    def _elements(self, inner: Check | None) -> Check | None:
        if inner is None:
            return None

        def check(value: Any, path: str, found: list[str]) -> None:
            for index, item in enumerate(value):
                if item is not None:
                    inner(item, f"{path}.{index + 1}.member", found)

        return check

    def _values(self, inner: Check | None) -> Check | None:
        if inner is None:
            return None

        def check(value: Any, path: str, found: list[str]) -> None:
            for key, item in value.items():
                if item is not None:
                    inner(item, f"{path}.{key}.member", found)

        return check

    def _of_elements(self, element: Shape) -> list[Broken]:
        each = constraints(element) if element.type not in ("structure", "list", "map") else []
        if not each:
            return []
        text = f"Member must satisfy constraint: [{self._all_of(element)}]"
        return [lambda value: text if any(item is not None and _breaks(each, item) for item in value) else ""]

    def _of_entries(self, shape: Shape) -> list[Broken]:
        found: list[Broken] = []
        key, value = shape.key.shape, shape.value.shape
        keys, values = constraints(key), constraints(value) if value.type != "structure" else []
        if keys:
            text = f"Map keys must satisfy constraint: [{self._all_of(key)}]"
            found.append(lambda entries: text if any(_breaks(keys, name) for name in entries) else "")
        if values:
            told = f"Map value must satisfy constraint: [{self._all_of(value)}]"
            found.append(
                lambda entries: told if any(v is not None and _breaks(values, v) for v in entries.values()) else ""
            )
        return found

    def _all_of(self, shape: Shape) -> str:
        """AWS: between brackets stand all constraints of the element, whichever of them is broken."""
        return ", ".join([*described(shape), *self._elements_tail])


def _at(path: str, name: str) -> str:
    lower = name[:1].lower() + name[1:]
    return f"{path}.{lower}" if path else lower


def _breaks(broken: list[Broken], value: Any) -> bool:
    return any(one(value) for one in broken)


def _constrained(shape: Shape, seen: set[str]) -> bool:
    """Whether anything can be broken in this shape or below it."""
    if shape.name in seen:
        return False
    seen.add(shape.name)
    if constraints(shape) or shape.required:
        return True
    below: list[Member] = []
    if shape.type == "structure":
        below = list(shape.members.values())
    elif shape.type == "list":
        below = [shape.element]
    elif shape.type == "map":
        below = [shape.key, shape.value]
    return any(_constrained(member.shape, seen) for member in below)


def constraints(shape: Shape) -> list[Broken]:
    traits, kind = shape.traits, shape.type
    found: list[Broken] = []
    if kind in ("string", "list", "map", "blob"):
        found += _lengths(traits)
    if kind in ("integer", "long", "float", "double"):
        found += _ranges(traits)
    if kind == "string" and "enum" in traits:
        allowed, text = frozenset(traits["enum"]), _enum_text(traits)
        found.append(lambda value: "" if value in allowed else text)
    if kind == "string" and "pattern" in traits:
        pattern = _pattern(traits["pattern"])
        message = _pattern_text(traits)
        if pattern is not None:
            compiled = pattern
            found.append(lambda value: "" if compiled.fullmatch(value) else message)
    return found


def described(shape: Shape) -> list[str]:
    """A shape's constraints in words, in the order in which AWS lists them."""
    traits = shape.traits
    noun = "value" if shape.type in ("integer", "long", "float", "double") else "length"
    words = []
    if traits.get("max") is not None:
        words.append(f"Member must have {noun} less than or equal to {traits['max']}")
    if traits.get("min") is not None:
        words.append(f"Member must have {noun} greater than or equal to {traits['min']}")
    if "pattern" in traits:
        words.append(_pattern_text(traits))
    if "enum" in traits:
        words.append(_enum_text(traits))
    return words


def _enum_text(traits: Mapping[str, Any]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(traits['enum'])}]"


def _pattern_text(traits: Mapping[str, Any]) -> str:
    return f"Member must satisfy regular expression pattern: {traits['pattern']}"


def _lengths(traits: Mapping[str, Any]) -> list[Broken]:
    found: list[Broken] = []
    low, high = traits.get("min"), traits.get("max")
    if low:
        least = f"Member must have length greater than or equal to {low}"
        found.append(lambda value: least if len(value) < low else "")
    if high is not None:
        most = f"Member must have length less than or equal to {high}"
        found.append(lambda value: most if len(value) > high else "")
    return found


def _ranges(traits: Mapping[str, Any]) -> list[Broken]:
    found: list[Broken] = []
    low, high = traits.get("min"), traits.get("max")
    if low is not None:
        least = f"Member must have value greater than or equal to {low}"
        found.append(lambda value: least if value < low else "")
    if high is not None:
        most = f"Member must have value less than or equal to {high}"
        found.append(lambda value: most if value > high else "")
    return found


def _pattern(text: str) -> re.Pattern[str] | None:
    """Java's expressions are almost Python's; what is not, and not among these, is left to the service."""
    text = text.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF").replace(r"[\w-", r"[\w\-")
    try:
        # Java's `\w` and `\d` are ASCII; its letters are every script's.
        plain = _JAVA.sub(lambda match: _CLASSES.get(match[1], match[0]), text)
        return re.compile(plain, re.ASCII if plain == text else 0)
    except re.error:
        return None


_JAVA = re.compile(r"\\p\{([A-Za-z]+)\}")
_CLASSES = {
    "L": r"\w",
    "N": r"\d",
    "Z": "\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "ASCII": r"\x00-\x7f",
    "Graph": r"\x21-\x7e",
    "Print": r"\x20-\x7e",
    "XDigit": "0-9a-fA-F",
}


def _java(value: Any, shape: Shape) -> str:
    """As Java prints a value of this shape."""
    if value is None:
        return "null"
    if shape.type == "structure" and isinstance(value, Mapping):
        members = (f"{_at('', name)}={_java(value.get(name), m.shape)}" for name, m in shape.members.items())
        return f"{shape.name}({', '.join(members)})"
    if shape.type == "map" and isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_java(item, shape.value.shape)}" for key, item in value.items()) + "}"
    if shape.type == "list" and isinstance(value, list):
        return "[" + ", ".join(_java(item, shape.element.shape) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return value.isoformat() if isinstance(value, datetime) else str(value)
