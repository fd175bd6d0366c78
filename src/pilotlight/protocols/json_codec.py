"""Shapes as JSON, both ways: compiled once for each shape into a function from value to value.

Wrong types are refused in the words of the parser behind AWS's services, which is written in Java and
says so.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.protocols import timestamps
from pilotlight.protocols.shapes import Member, Shape

Function = Callable[[Any], Any]

_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_JAVA_SCALARS = {
    "string": "java.lang.String",
    "character": "java.lang.Character",
    "integer": "java.lang.Integer",
    "long": "java.lang.Long",
    "float": "java.lang.Float",
    "double": "java.lang.Double",
    "boolean": "java.lang.Boolean",
    "blob": "java.nio.ByteBuffer",
    "timestamp": "java.util.Date",
}
# AWS: what its parser answers where a list or a map holds a scalar in place of a list or a map.
_CAST = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base "
    "of loader 'bootstrap')"
)


def refused(message: str) -> AwsError:
    return AwsError("SerializationException", message)


def token(value: object) -> str:
    """What its parser calls a scalar."""
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    return "DECIMAL_VALUE" if isinstance(value, float) else "STRING_VALUE"


def no_scalar(value: object, kind: str) -> AwsError:
    """A scalar of this kind was expected, and the value is none of the sort.

    AWS: tried against DynamoDB by dynalite's authors, whose tests list every combination.
    """
    java = _JAVA_SCALARS[kind]
    if isinstance(value, list):
        return refused(f"Unrecognized collection type class {java}")
    if isinstance(value, dict):
        return refused("Start of structure or map found where not expected")
    if kind == "blob":
        return refused("only base-64-encoded strings are convertible to bytes")
    if kind == "boolean" and isinstance(value, str):
        return refused("Unexpected token received from parser")
    return refused(f"{token(value)} cannot be converted to {java.rpartition('.')[2]}")


class JsonCodec:
    """Compiles and keeps parsers and renderers of one model's shapes.

    `package` is the Java package of the service's own types, which some refusals name.
    """

    def __init__(self, package: str = "com.amazonaws") -> None:
        self._package = package
        self._parsers: dict[tuple[str, str, bool], Function] = {}
        self._renderers: dict[tuple[str, str], Function] = {}

    def parser(self, member: Member, *, inside: bool = False) -> Function:
        """Wire value → boto3's value; `inside` a list or a map. Raises AwsError `SerializationException`."""
        key = (member.shape.name, str(member.trait("timestampFormat")), inside)
        found = self._parsers.get(key)
        if found is None:
            # What refers to itself finds this first, and the real one on its first call.
            self._parsers[key] = lambda value: self._parsers[key](value)
            found = self._parsers[key] = self._compile_parser(member, inside)
        return found

    def body_parser(self, shape: Shape) -> Function:
        """The members of an operation's input that travel in the body, as the dictionary of parameters."""
        return self._structure_parser(shape, "Unexpected value type in payload", top=True)

    def renderer(self, member: Member) -> Function:
        """boto3's value → wire value."""
        key = (member.shape.name, str(member.trait("timestampFormat")))
        found = self._renderers.get(key)
        if found is None:
            self._renderers[key] = lambda value: self._renderers[key](value)
            found = self._renderers[key] = self._compile_renderer(member)
        return found

    def body_renderer(self, shape: Shape) -> Function:
        """The members of an output or an error that travel in the body."""
        return self._structure_renderer(shape, top=True)

    # Parsing.

    def _compile_parser(self, member: Member, inside: bool) -> Function:
        shape = member.shape
        if shape.type == "structure":
            if shape.traits.get("document"):
                return _same
            message = "Unexpected value type in payload" if inside else "Unexpected field type"
            return self._structure_parser(shape, message)
        if shape.type == "list":
            return self._list_parser(shape, _CAST if inside else "Unexpected field type")
        if shape.type == "map":
            return self._map_parser(shape, _CAST if inside else "Unexpected field type")
        if shape.type == "timestamp":
            form = member.trait("timestampFormat") or "unixTimestamp"
            return lambda value: _timestamp(value, form)
        return _SCALAR_PARSERS[shape.type]

    def _structure_parser(self, shape: Shape, message: str, *, top: bool = False) -> Function:
        fields = {
            member.wire_name or name: (name, self.parser(member))
            for name, member in shape.members.items()
            if not (top and member.location in ("uri", "querystring", "header", "headers"))
        }
        java = f"class {self._java(shape)}"

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise refused(f"Unrecognized collection type {java}" if type(value) is list else message)
            result = {}
            for key, item in value.items():
                if item is not None and key in fields:
                    name, inner = fields[key]
                    result[name] = inner(item)
            return result

        return parse

    def _list_parser(self, shape: Shape, message: str) -> Function:
        inner = self.parser(shape.element, inside=True)

        def parse(value: Any) -> list[Any]:
            if type(value) is not list:
                raise refused("Start of structure or map found where not expected" if type(value) is dict else message)
            return [None if item is None else inner(item) for item in value]

        return parse

    def _map_parser(self, shape: Shape, message: str) -> Function:
        inner = self.parser(shape.value, inside=True)
        java = self._java(shape)

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise refused(f"Unrecognized collection type {java}" if type(value) is list else message)
            return {key: None if item is None else inner(item) for key, item in value.items()}

        return parse

    def _java(self, shape: Shape) -> str:
        """The shape's type in Java."""
        if shape.type == "list":
            return f"java.util.List<{self._java(shape.element.shape)}>"
        if shape.type == "map":
            return f"java.util.Map<java.lang.String, {self._java(shape.value.shape)}>"
        return _JAVA_SCALARS.get(shape.type) or f"{self._package}.{shape.name}"

    # Rendering.

    def _compile_renderer(self, member: Member) -> Function:
        shape = member.shape
        if shape.type == "structure":
            return _same if shape.traits.get("document") else self._structure_renderer(shape)
        if shape.type == "list":
            element = self.renderer(shape.element)
            return lambda value: [None if item is None else element(item) for item in value]
        if shape.type == "map":
            inner = self.renderer(shape.value)
            return lambda value: {str(key): inner(item) for key, item in value.items() if item is not None}
        if shape.type == "timestamp":
            form = member.trait("timestampFormat") or "unixTimestamp"
            return lambda value: timestamps.render(value, form)
        return _SCALAR_RENDERERS.get(shape.type, _same)

    def _structure_renderer(self, shape: Shape, *, top: bool = False) -> Function:
        fields = {
            name: (member.wire_name or name, self.renderer(member))
            for name, member in shape.members.items()
            if not (top and member.location in ("header", "headers", "statusCode"))
        }

        def render(value: Any) -> dict[str, Any]:
            result = {}
            for name, item in value.items():
                if item is not None and name in fields:
                    key, inner = fields[name]
                    result[key] = inner(item)
            return result

        return render


def _same(value: Any) -> Any:
    return value


def _timestamp(value: Any, form: str) -> Any:
    try:
        return timestamps.parse(value, form)
    except (ValueError, OverflowError, TypeError, IndexError):
        raise no_scalar(value, "timestamp") from None


def _string(value: Any) -> str:
    # AWS: a number is not taken for a string: `{"N": 5}` is the mistake that this refusal is known for.
    if type(value) is str:
        return value
    raise no_scalar(value, "string")


def _integer(value: Any) -> int:
    # AWS: fractions are cut off, and what does not fit becomes the nearest that does, as a cast in Java does it.
    if type(value) in (int, float):
        return int(max(-(2**31), min(2**31 - 1, value)))
    raise no_scalar(value, "integer")


def _long(value: Any) -> int:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    if type(value) in (int, float):
        return max(-(2**63), min(2**63 - 1, int(value)))
    raise no_scalar(value, "long")


def _float(value: Any) -> float:
    if type(value) in (int, float):
        return float(value)
    if type(value) is str and value in _SPECIAL:
        return _SPECIAL[value]
    raise no_scalar(value, "double")


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise no_scalar(value, "boolean")


def _blob(value: Any) -> bytes:
    if type(value) is not str:
        raise no_scalar(value, "blob")
    if len(value) % 4:
        raise refused(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(value)}")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        # AWS: the misspelling is theirs.
        raise refused("Invalid last non-pad Base64 character dectected") from None


def render_float(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _render_blob(value: Any) -> str:
    data = value.encode() if isinstance(value, str) else value
    return base64.b64encode(data).decode()


_SCALAR_PARSERS: dict[str, Function] = {
    "string": _string,
    "character": _string,
    "integer": _integer,
    "long": _long,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "blob": _blob,
}
_SCALAR_RENDERERS: dict[str, Function] = {"blob": _render_blob, "float": render_float, "double": render_float}
