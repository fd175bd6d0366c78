"""What the two REST protocols share: labels, query string, headers, status and payload.

A body that is no payload member is the protocol's own business: JSON or XML.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Bytes, Request, Response
from pilotlight.protocols.shapes import Member, Shape
from pilotlight.protocols.xml_codec import scalar, scalar_text

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation

_DEFAULT_FORMS = {"header": "rfc822", "headers": "rfc822", "querystring": "iso8601", "uri": "iso8601"}


def bad_value(name: str, value: str) -> AwsError:
    return AwsError("SerializationException", f"Invalid value for {name}: {value}")


class RestBindings:
    """Where each member of an operation's input and output travels."""

    def __init__(self, operation: Operation) -> None:
        self._uri: list[tuple[str, str, Member]] = []
        self._query: list[tuple[str, str, Member]] = []
        self._query_map: str | None = None
        self._query_map_lists = False
        self._headers: list[tuple[str, str, Member]] = []
        self._prefixes: list[tuple[str, str]] = []
        self.payload: tuple[str, Member] | None = None
        self.body: dict[str, Member] = {}
        if operation.input is not None:
            self._read_input(operation)
        self.out = OutputBindings(operation.output, operation.status)

    def _read_input(self, operation: Operation) -> None:
        assert operation.input is not None
        payload = operation.input.traits.get("payload")
        for name, member in operation.input.members.items():
            wire = member.wire_name or name
            match member.location:
                case "uri":
                    self._uri.append((name, wire, member))
                case "querystring" if member.shape.type == "map":
                    self._query_map = name
                    self._query_map_lists = member.shape.value.shape.type == "list"
                case "querystring":
                    self._query.append((name, wire, member))
                case "header":
                    self._headers.append((name, wire.lower(), member))
                case "headers":
                    self._prefixes.append((name, str(member.trait("locationName") or "").lower()))
                case _ if name == payload:
                    self.payload = (name, member)
                case _:
                    self.body[name] = member

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        """All but what is in the body."""
        result: dict[str, Any] = {}
        for name, wire, member in self._uri:
            if wire in labels:
                result[name] = _value(member, labels[wire], "uri", wire)
        if self._query or self._query_map:
            self._parse_query(request.query, result)
        for name, wire, member in self._headers:
            if wire in request.headers:
                result[name] = _header_value(member, request.headers[wire], wire)
        for name, prefix in self._prefixes:
            found = {key[len(prefix) :]: value for key, value in request.headers.items() if key.startswith(prefix)}
            if found:
                result[name] = found
        return result

    def _parse_query(self, query: str, result: dict[str, Any]) -> None:
        given: dict[str, list[str]] = {}
        for key, value in parse_qsl(query, keep_blank_values=True):
            given.setdefault(key, []).append(value)
        for name, wire, member in self._query:
            if wire in given:
                if member.shape.type == "list":
                    element = member.shape.element
                    result[name] = [_value(element, value, "querystring", wire) for value in given[wire]]
                else:
                    result[name] = _value(member, given[wire][0], "querystring", wire)
        if self._query_map:
            bound = {wire for _, wire, _ in self._query}
            rest = {key: values for key, values in given.items() if key not in bound}
            lists = self._query_map_lists
            if rest:
                result[self._query_map] = {key: values if lists else values[0] for key, values in rest.items()}

    def parse_payload(self, request: Request, structure: Callable[[Member, bytes], Any]) -> dict[str, Any]:
        """The payload member, where there is one: a stream, bytes, text, or what `structure` makes of the body."""
        if self.payload is None:
            return {}
        name, member = self.payload
        if member.trait("streaming"):
            return {name: request.stream if request.stream is not None else Bytes(request.body)}
        if member.shape.type == "blob":
            return {name: request.body} if request.body else {}
        if member.shape.type == "string":
            return {name: _text(request.body)} if request.body else {}
        return {name: structure(member, request.body)} if request.body else {}


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise AwsError("SerializationException", "The body is not UTF-8") from None


class OutputBindings:
    """Where each member of an output, or of an error, travels."""

    def __init__(self, shape: Shape | None, status: int) -> None:
        self._headers: list[tuple[str, str, Member]] = []
        self._prefixes: list[tuple[str, str]] = []
        self._status_member = ""
        self.payload: tuple[str, Member] | None = None
        self.has_body = False
        self._status = status
        if shape is None:
            return
        payload = shape.traits.get("payload")
        for name, member in shape.members.items():
            match member.location:
                case "header":
                    self._headers.append((name, member.trait("locationName") or name, member))
                case "headers":
                    self._prefixes.append((name, str(member.trait("locationName") or "")))
                case "statusCode":
                    self._status_member = name
                case _ if name == payload:
                    self.payload = (name, member)
                case _:
                    self.has_body = True

    def start(self, result: Mapping[str, Any]) -> Response:
        """Status and headers; the body is still empty."""
        headers: list[tuple[str, str]] = []
        for name, wire, member in self._headers:
            value = result.get(name)
            if value is not None:
                text = _header_text(member, value)
                if text is not None:
                    headers.append((wire, text))
        for name, prefix in self._prefixes:
            for key, value in (result.get(name) or {}).items():
                headers.append((_one_line(f"{prefix}{key}"), _one_line(str(value))))
        status = result.get(self._status_member) if self._status_member else None
        return Response(status=status or self._status, headers=headers)

    def raw_payload(self, result: Mapping[str, Any], response: Response) -> bool:
        """Put a blob or text payload into the response; False where the payload is a structure, or absent."""
        if self.payload is None:
            return False
        name, member = self.payload
        if member.shape.type not in ("blob", "string") and not member.trait("streaming"):
            return False
        value = result.get(name)
        if value is not None:
            response.body = value.encode() if isinstance(value, str) else value
        return True


def _value(member: Member, text: str, location: str, name: str) -> Any:
    form = member.trait("timestampFormat") or _DEFAULT_FORMS[location]
    try:
        return scalar(member.shape.type, text, form)
    except AwsError:
        raise bad_value(name, text) from None


def _header_value(member: Member, text: str, name: str) -> Any:
    kind = member.shape.type
    if member.trait("jsonvalue"):
        try:
            return json.loads(base64.b64decode(text, validate=True))
        except ValueError:
            raise bad_value(name, text) from None
    if kind == "list":
        element = member.shape.element
        if element.shape.type == "timestamp":
            parts = text.split(",")
            texts = [",".join(parts[index : index + 2]).strip() for index in range(0, len(parts), 2)]
        else:
            texts = split_header(text)
        return [_value(element, item, "header", name) for item in texts]
    return _value(member, text, "header", name)


def split_header(text: str) -> list[str]:
    """A list in a header: commas separate, quotes protect."""
    if not text:
        return []
    items, current, quoted, escaped = [], "", False, False
    for character in text:
        if escaped:
            current, escaped = current + character, False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            items.append(current.strip())
            current = ""
        else:
            current += character
    return [*items, current.strip()]


def _header_text(member: Member, value: Any) -> str | None:
    if member.trait("jsonvalue"):
        return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()
    if member.shape.type == "list":
        element = member.shape.element
        texts = [_quoted(scalar_text(element.shape.type, item, _form(element))) for item in value]
        if element.shape.type == "timestamp":
            texts = [scalar_text("timestamp", item, _form(element)) for item in value]
        return _one_line(", ".join(texts)) if texts else None
    return _one_line(scalar_text(member.shape.type, value, _form(member)))


def _one_line(text: str) -> str:
    """A line break in a header would be another header."""
    return text.replace("\r", " ").replace("\n", " ") if "\n" in text or "\r" in text else text


def _form(member: Member) -> str:
    return member.trait("timestampFormat") or "rfc822"


def _quoted(text: str) -> str:
    if "," in text or '"' in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
