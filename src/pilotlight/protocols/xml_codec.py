"""Shapes as XML, both ways: for rest-xml bodies and for what the query protocol answers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pilotlight.errors import AwsError
from pilotlight.protocols import timestamps
from pilotlight.protocols.json_codec import render_float
from pilotlight.protocols.shapes import Member, Shape

Renderer = Callable[[str, Any, list[str]], None]
Parser = Callable[[Element], Any]

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "\n"}
_SPECIAL = re.compile('[&<>"\r]|[\x00-\x08\x0b\x0c\x0e-\x1f]')
DEPTH_MAX = 64
ASKED_ELSEWHERE = ("uri", "querystring", "header", "headers")
ANSWERED_ELSEWHERE = ("header", "headers", "statusCode")
"""Where the members of a request, and of an answer, travel that are not in its body."""


def escape(text: str) -> str:
    """Text for an element or an attribute. What XML 1.0 cannot hold is written as a reference, as S3 does."""
    return _SPECIAL.sub(lambda match: _ESCAPES.get(match[0]) or f"&#x{ord(match[0]):x};", text)


def malformed() -> AwsError:
    return AwsError(
        "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
    )


def read_document(body: bytes) -> Element:
    """The root element. Entities and document types are refused: nobody needs them, and they explode."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise malformed()
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise malformed() from None
    _check_depth(root)
    return root


def _check_depth(root: Element) -> None:
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise malformed()
        level = [child for element in level for child in element]


def local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


class XmlCodec:
    """Compiles and keeps parsers and renderers of one model's shapes."""

    def __init__(self) -> None:
        self._parsers: dict[tuple[str, str, bool], Parser] = {}
        self._renderers: dict[tuple[str, str], Renderer] = {}

    # Parsing.

    def parser(self, member: Member) -> Parser:
        """The value of one element; raises AwsError `MalformedXML`. Flattened lists are their parent's business."""
        key = (member.shape.name, str(member.trait("timestampFormat")), bool(member.trait("flattened")))
        found = self._parsers.get(key)
        if found is None:
            self._parsers[key] = lambda element: self._parsers[key](element)
            found = self._parsers[key] = self._compile_parser(member)
        return found

    def _compile_parser(self, member: Member) -> Parser:
        shape = member.shape
        if shape.type == "structure":
            return self._structure_parser(shape)
        if shape.type == "list":
            inner, name = self.parser(shape.element), shape.element.wire_name or "member"
            return lambda element: [inner(child) for child in element if local_name(child) == name]
        if shape.type == "map":
            return self._map_parser(shape)
        form = member.trait("timestampFormat") or "iso8601"
        return lambda element: scalar(shape.type, element.text or "", form)

    def body_parser(self, shape: Shape) -> Parser:
        """The members of an operation's input that travel in the body, as the dictionary of parameters."""
        return self._structure_parser(shape, top=True)

    def _structure_parser(self, shape: Shape, *, top: bool = False) -> Parser:
        attributes: dict[str, tuple[str, Member]] = {}
        single: dict[str, tuple[str, Parser]] = {}
        repeated: dict[str, tuple[str, Parser, bool]] = {}
        for name, member in shape.members.items():
            if top and member.location in ASKED_ELSEWHERE:
                continue
            wire = member.wire_name or name
            if member.traits.get("xmlAttribute"):
                attributes[wire.rpartition(":")[2]] = (name, member)
            elif member.shape.type in ("list", "map") and member.trait("flattened"):
                inner = member.shape.element if member.shape.type == "list" else member
                is_map = member.shape.type == "map"
                read = self._entry_parser(member.shape) if is_map else self.parser(inner)
                # Clients write the list's name, or its element's where it has one: both are read.
                for wire in {member.wire_name or inner.wire_name or name, member.wire_name or name}:
                    repeated[wire] = (name, read, is_map)
            else:
                single[wire] = (name, self.parser(member))

        def parse(element: Element) -> dict[str, Any]:
            result: dict[str, Any] = {}
            for key, text in element.attrib.items():
                found = attributes.get(key.rpartition("}")[2])
                if found:
                    result[found[0]] = scalar(found[1].shape.type, text, "iso8601")
            for child in element:
                name = local_name(child)
                if name in single:
                    target, inner = single[name]
                    result[target] = inner(child)
                elif name in repeated:
                    target, inner, is_map = repeated[name]
                    if is_map:
                        result.setdefault(target, {}).update([inner(child)])
                    else:
                        result.setdefault(target, []).append(inner(child))
            return result

        return parse

    def _map_parser(self, shape: Shape) -> Parser:
        entry = self._entry_parser(shape)
        return lambda element: dict(entry(child) for child in element)

    def _entry_parser(self, shape: Shape) -> Parser:
        key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"
        inner = self.parser(shape.value)

        def parse(element: Element) -> tuple[str, Any]:
            found = {local_name(child): child for child in element}
            if key_name not in found or value_name not in found:
                raise malformed()
            return found[key_name].text or "", inner(found[value_name])

        return parse

    # Rendering.

    def renderer(self, member: Member) -> Renderer:
        """Writes one member under a name: `(name, value, parts)`."""
        key = (member.shape.name, repr(sorted((k, str(v)) for k, v in member.traits.items() if k != "shape")))
        found = self._renderers.get(key)
        if found is None:
            self._renderers[key] = lambda name, value, parts: self._renderers[key](name, value, parts)
            found = self._renderers[key] = self._compile_renderer(member)
        return found

    def _compile_renderer(self, member: Member) -> Renderer:
        shape = member.shape
        if shape.type == "structure":
            return self._structure_renderer(member)
        if shape.type == "list":
            return self._list_renderer(member)
        if shape.type == "map":
            return self._map_renderer(member)
        form = member.trait("timestampFormat") or "iso8601"
        kind = shape.type

        def render(name: str, value: Any, parts: list[str]) -> None:
            text = scalar_text(kind, value, form)
            parts.append(f"<{name}>{escape(text)}</{name}>" if text else f"<{name}/>")

        return render

    def content(self, shape: Shape, *, top: bool = True) -> Callable[[Mapping[str, Any], list[str]], None]:
        """Writes what is inside a structure, in the model's order, without the structure's own element.

        At the `top`, an answer's or an error's, without what travels elsewhere.
        """
        fields = [
            (name, _element_name(name, member), self.renderer(member))
            for name, member in shape.members.items()
            if not (top and member.location in ANSWERED_ELSEWHERE) and not member.traits.get("xmlAttribute")
        ]

        def render(value: Mapping[str, Any], parts: list[str]) -> None:
            for key, name, inner in fields:
                item = value.get(key)
                if item is not None:
                    inner(name, item, parts)

        return render

    def _structure_renderer(self, member: Member) -> Renderer:
        shape = member.shape
        inside: list[Callable[[Mapping[str, Any], list[str]], None]] = []
        written = attributes(shape)
        space = xmlns(member.trait("xmlNamespace"))

        def render(name: str, value: Any, parts: list[str]) -> None:
            if not inside:
                inside.append(self.content(shape, top=False))
            parts.append(f"<{name}{space}{written(value)}>")
            inside[0](value, parts)
            parts.append(f"</{name}>")

        return render

    def _list_renderer(self, member: Member) -> Renderer:
        element = member.shape.element
        inner = self.renderer(element)
        if member.trait("flattened"):
            own = member.traits.get("locationName")

            def flat(name: str, value: Any, parts: list[str]) -> None:
                for item in value:
                    inner(own or element.wire_name or name, item, parts)

            return flat
        each = element.wire_name or "member"

        def render(name: str, value: Any, parts: list[str]) -> None:
            parts.append(f"<{name}>")
            for item in value:
                inner(each, item, parts)
            parts.append(f"</{name}>")

        return render

    def _map_renderer(self, member: Member) -> Renderer:
        shape, flattened = member.shape, bool(member.trait("flattened"))
        key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"
        inner = self.renderer(shape.value)

        def render(name: str, value: Any, parts: list[str]) -> None:
            entry = name if flattened else "entry"
            if not flattened:
                parts.append(f"<{name}>")
            for key, item in value.items():
                parts.append(f"<{entry}><{key_name}>{escape(str(key))}</{key_name}>")
                inner(value_name, item, parts)
                parts.append(f"</{entry}>")
            if not flattened:
                parts.append(f"</{name}>")

        return render


def _element_name(name: str, member: Member) -> str:
    if member.shape.type == "list" and member.trait("flattened") and not member.wire_name:
        return member.shape.element.wire_name or name
    return member.wire_name or name


def attributes(shape: Shape) -> Callable[[Mapping[str, Any]], str]:
    """Writes the members that are attributes of the structure's own element."""
    names = [(name, item.wire_name or name) for name, item in shape.members.items() if item.traits.get("xmlAttribute")]
    if not names:
        return lambda value: ""
    return lambda value: "".join(f' {wire}="{escape(str(value[key]))}"' for key, wire in names if value.get(key))


def xmlns(given: Any) -> str:
    """` xmlns="…"`, or nothing."""
    if not given:
        return ""
    if isinstance(given, str):
        return f' xmlns="{given}"'
    prefix = f":{given['prefix']}" if given.get("prefix") else ""
    return f' xmlns{prefix}="{given["uri"]}"'


def scalar(kind: str, text: str, form: str) -> Any:
    """A scalar from its text: XML elements, query parameters, headers. Raises AwsError."""
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
        if kind == "boolean":
            if text.lower() not in ("true", "false", "1", "0"):
                raise ValueError(text)
            return text.lower() in ("true", "1")
        if kind == "timestamp":
            return timestamps.parse(text, form)
        if kind == "blob":
            return base64.b64decode(text)
    except (ValueError, OverflowError, TypeError, IndexError, binascii.Error):
        raise malformed() from None
    return text


def scalar_text(kind: str, value: Any, form: str) -> str:
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return str(timestamps.render(value, form))
    if kind == "blob":
        return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
    if kind in ("float", "double"):
        return str(render_float(value))
    return str(value)
