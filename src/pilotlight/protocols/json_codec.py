"""Shapes as JSON, both ways: compiled once for each shape into a function from value to value."""

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

_TYPE_NAMES = {str: "STRING_VALUE", dict: "START_OBJECT", list: "START_ARRAY", float: "DECIMAL_VALUE"}
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def mistyped(value: object, wanted: str) -> AwsError:
    """AWS: the words come from the parser behind its services, e.g. `STRING_VALUE cannot be converted to Integer`."""
    if isinstance(value, bool):
        kind = "TRUE_VALUE" if value else "FALSE_VALUE"
    elif isinstance(value, int):
        kind = "NUMBER_VALUE"
    else:
        kind = _TYPE_NAMES.get(type(value), "NULL_VALUE")
    if kind in ("START_OBJECT", "START_ARRAY") and wanted not in ("Structure", "List", "Map"):
        return AwsError("SerializationException", f"{kind} cannot be converted to {wanted}")
    if wanted in ("Structure", "Map"):
        return AwsError("SerializationException", "Unexpected value type in payload")
    if wanted == "List":
        return AwsError("SerializationException", "Unexpected value type in payload")
    return AwsError("SerializationException", f"{kind} cannot be converted to {wanted}")


class JsonCodec:
    """Compiles and keeps parsers and renderers of one model's shapes."""

    def __init__(self) -> None:
        self._parsers: dict[tuple[str, str], Function] = {}
        self._renderers: dict[tuple[str, str], Function] = {}

    def parser(self, member: Member) -> Function:
        """Wire value → boto3's value. Raises AwsError `SerializationException`."""
        key = (member.shape.name, str(member.trait("timestampFormat")))
        found = self._parsers.get(key)
        if found is None:
            # What refers to itself finds this first, and the real one on its first call.
            self._parsers[key] = lambda value: self._parsers[key](value)
            found = self._parsers[key] = self._compile_parser(member)
        return found

    def renderer(self, member: Member) -> Function:
        """boto3's value → wire value."""
        key = (member.shape.name, str(member.trait("timestampFormat")))
        found = self._renderers.get(key)
        if found is None:
            self._renderers[key] = lambda value: self._renderers[key](value)
            found = self._renderers[key] = self._compile_renderer(member)
        return found

    # Parsing.

    def _compile_parser(self, member: Member) -> Function:
        shape = member.shape
        if shape.type == "structure":
            return (lambda value: value) if shape.traits.get("document") else self._structure_parser(shape)
        if shape.type == "list":
            return self._list_parser(shape)
        if shape.type == "map":
            return self._map_parser(shape)
        if shape.type == "timestamp":
            form = member.trait("timestampFormat") or "unixTimestamp"
            return lambda value: _timestamp(value, form)
        return _SCALAR_PARSERS[shape.type]

    def _structure_parser(self, shape: Shape) -> Function:
        fields = {
            member.wire_name or name: (name, self.parser(member))
            for name, member in shape.members.items()
            if not member.traits.get("location")
        }

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise mistyped(value, "Structure")
            result = {}
            for key, item in value.items():
                if item is not None and key in fields:
                    name, inner = fields[key]
                    result[name] = inner(item)
            return result

        return parse

    def _list_parser(self, shape: Shape) -> Function:
        inner = self.parser(shape.element)

        def parse(value: Any) -> list[Any]:
            if type(value) is not list:
                raise mistyped(value, "List")
            return [None if item is None else inner(item) for item in value]

        return parse

    def _map_parser(self, shape: Shape) -> Function:
        inner = self.parser(shape.value)

        def parse(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise mistyped(value, "Map")
            return {key: None if item is None else inner(item) for key, item in value.items()}

        return parse

    # Rendering.

    def _compile_renderer(self, member: Member) -> Function:
        shape = member.shape
        if shape.type == "structure":
            return (lambda value: value) if shape.traits.get("document") else self._structure_renderer(shape)
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

    def _structure_renderer(self, shape: Shape) -> Function:
        fields = {
            name: (member.wire_name or name, self.renderer(member))
            for name, member in shape.members.items()
            if member.traits.get("location") not in ("header", "headers", "statusCode")
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
        raise mistyped(value, "Timestamp") from None


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    # AWS: numbers and booleans are taken for strings, structures are not.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise mistyped(value, "String")


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float:
        return int(value)
    raise mistyped(value, "Integer")


def _long(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float:
        return int(value)
    raise mistyped(value, "Long")


def _float(value: Any) -> float:
    if type(value) in (int, float):
        return float(value)
    if value in _SPECIAL:
        return _SPECIAL[value]
    raise mistyped(value, "Double")


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise mistyped(value, "Boolean")


def _blob(value: Any) -> bytes:
    if type(value) is not str:
        raise mistyped(value, "Blob")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise AwsError(
            "SerializationException",
            "Base64 encoded length is expected a multiple of 4 bytes but found: " + str(len(value))
            if len(value) % 4
            else "Invalid base64 character",
        ) from None


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
