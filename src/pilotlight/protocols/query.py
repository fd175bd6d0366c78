"""The query protocol: parameters in a form, answers in XML. IAM, STS and CloudFormation speak it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pilotlight.errors import AwsError
from pilotlight.protocols.aws_json import error_status
from pilotlight.protocols.messages import Request, Response
from pilotlight.protocols.shapes import Member, Shape
from pilotlight.protocols.xml_codec import escape, scalar, xmlns

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel

INDEX_MAX = 10_000
DEPTH_MAX = 64
Tree = dict[str, Any]
Parser = Callable[[Any], Any]


class Query:
    def __init__(self, operation: Operation) -> None:
        self._parse = QueryParsers().structure(operation.input) if operation.input else None
        self._name = operation.name
        self._space = xmlns(operation.model.xml_namespace)
        self._content = operation.model.xml.content(operation.output) if operation.output else None
        wrapper = operation.traits.get("output", {}).get("resultWrapper")
        self._wrapper = wrapper or (f"{operation.name}Result" if operation.output else "")

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        if self._parse is None:
            return {}
        result: dict[str, Any] = self._parse(tree_of(parameters(request)))
        return result

    def render(self, result: Mapping[str, Any], request_id: str) -> Response:
        parts = [f"<{self._name}Response{self._space}>"]
        if self._content is not None:
            parts.append(f"<{self._wrapper}>")
            self._content(result, parts)
            parts.append(f"</{self._wrapper}>")
        parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{self._name}Response>")
        headers = [("x-amzn-requestid", request_id), ("content-type", "text/xml")]
        return Response(status=200, headers=headers, body="".join(parts).encode())


def parameters(request: Request) -> dict[str, str]:
    """Of the body and of the query string: AWS takes both."""
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
    except UnicodeDecodeError:
        raise AwsError("MalformedInput", "The request could not be read") from None
    return dict(parse_qsl(request.query, keep_blank_values=True) + pairs)


def tree_of(flat: Mapping[str, str]) -> Tree:
    """`a.member.1.b=x` → `{"a": {"member": {"1": {"b": "x"}}}}`."""
    tree: Tree = {}
    for key, value in flat.items():
        *path, last = key.split(".", DEPTH_MAX)
        node = tree
        for part in path:
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                child = node[part] = {"": child}
            node = child
        if isinstance(node.get(last), dict):
            node[last][""] = value
        else:
            node[last] = value
    return tree


class QueryParsers:
    """Compiles an operation's input: from the tree of its parameters to boto3's values."""

    def __init__(self) -> None:
        self._structures: dict[str, Parser] = {}

    def structure(self, shape: Shape) -> Parser:
        found = self._structures.get(shape.name)
        if found is None:
            # What refers to itself finds this first, and the real one on its first call.
            self._structures[shape.name] = lambda tree: self._structures[shape.name](tree)
            found = self._structures[shape.name] = self._compile_structure(shape)
        return found

    def _compile_structure(self, shape: Shape) -> Parser:
        fields = [(name, _wires(name, member), self._member(member)) for name, member in shape.members.items()]

        def parse(tree: Any) -> dict[str, Any]:
            if not isinstance(tree, dict):
                return {}
            result = {}
            for name, wires, inner in fields:
                for wire in wires:
                    if wire in tree:
                        result[name] = inner(tree[wire])
                        break
            return result

        return parse

    def _member(self, member: Member) -> Parser:
        shape = member.shape
        if shape.type == "structure":
            return self.structure(shape)
        if shape.type == "list":
            return self._list(member)
        if shape.type == "map":
            return self._map(member)
        form = member.trait("timestampFormat") or "iso8601"

        def parse(tree: Any) -> Any:
            text = tree.get("", "") if isinstance(tree, dict) else tree
            try:
                return scalar(shape.type, text, form)
            except AwsError:
                raise AwsError("MalformedInput", f"Invalid value: {text}") from None

        return parse

    def _list(self, member: Member) -> Parser:
        element = member.shape.element
        inner = self._member(element)
        flattened = bool(member.trait("flattened"))
        name = element.wire_name or "member"

        def parse(tree: Any) -> list[Any]:
            # AWS: an empty list is sent as the list's name with no value.
            if isinstance(tree, dict) and not flattened:
                tree = tree.get(name, tree.get("member"))
            return [inner(item) for item in _numbered(tree)]

        return parse

    def _map(self, member: Member) -> Parser:
        inner = self._member(member.shape.value)
        flattened = bool(member.trait("flattened"))
        key_name = member.shape.key.wire_name or "key"
        value_name = member.shape.value.wire_name or "value"

        def parse(tree: Any) -> dict[str, Any]:
            if isinstance(tree, dict) and not flattened:
                tree = tree.get("entry")
            found = [entry for entry in _numbered(tree) if isinstance(entry, dict) and key_name in entry]
            return {str(entry[key_name]): inner(entry.get(value_name, "")) for entry in found}

        return parse


def _wires(name: str, member: Member) -> tuple[str, ...]:
    """The names under which a member may come: clients differ over flattened lists whose elements have a name."""
    if member.shape.type != "list" or not member.trait("flattened"):
        return (member.wire_name or name,)
    element = member.shape.element.wire_name
    if not element:
        return (member.wire_name or name,)
    if not member.wire_name:
        return (element, name)
    head = member.wire_name.rpartition(".")[0]
    return (member.wire_name, f"{head}.{element}".lstrip("."))


def _numbered(tree: Any) -> list[Any]:
    """A list's elements in their order; gaps are closed."""
    if not isinstance(tree, dict):
        return []
    found = [(int(key), item) for key, item in tree.items() if key.isdecimal() and int(key) <= INDEX_MAX]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def error_members(model: ServiceModel, error: AwsError) -> str:
    """An error's further members as XML: as its shape says, and else as they are."""
    shape = model.exception(error.code)
    parts: list[str] = []
    if shape is not None:
        model.xml.content(shape)({key: item for key, item in error.members.items() if key.lower() != "message"}, parts)
    for key, value in error.members.items():
        if shape is None or key not in shape.members:
            parts.append(f"<{key}>{escape(str(value))}</{key}>")
    return "".join(parts)


def error_document(model: ServiceModel, error: AwsError, status: int, request_id: str) -> str:
    shape = model.exception(error.code)
    code = shape.traits.get("error", {}).get("code", error.code) if shape else error.code
    fault = "Sender" if status < 500 else "Receiver"
    return (
        f"<ErrorResponse{xmlns(model.xml_namespace)}><Error><Type>{fault}</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(error.message)}</Message>{error_members(model, error)}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )


def error_renderer(model: ServiceModel) -> Callable[[AwsError, str], Response]:
    def render(error: AwsError, request_id: str) -> Response:
        status = error_status(model, error)
        headers = [("x-amzn-requestid", request_id), ("content-type", "text/xml"), *error.headers.items()]
        return Response(status=status, headers=headers, body=error_document(model, error, status, request_id).encode())

    return render
