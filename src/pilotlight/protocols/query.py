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
Tree = dict[str, Any]


class Query:
    def __init__(self, operation: Operation) -> None:
        self._input = operation.input
        self._name = operation.name
        self._space = xmlns(operation.model.xml_namespace)
        self._content = operation.model.xml.content(operation.output) if operation.output else None
        wrapper = operation.traits.get("output", {}).get("resultWrapper")
        self._wrapper = wrapper or (f"{operation.name}Result" if operation.output else "")

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        if self._input is None:
            return {}
        return parse_structure(self._input, tree_of(parameters(request)))

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
        node = tree
        *path, last = key.split(".")
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


def parse_structure(shape: Shape, tree: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if not isinstance(tree, dict):
        return result
    for name, member in shape.members.items():
        wire = member.wire_name or name
        flat = member.trait("flattened") and member.shape.type == "list"
        if flat and not member.wire_name:
            wire = member.shape.element.wire_name or name
        elif flat and member.wire_name and member.shape.element.wire_name:
            # botocore's clients write the element's own name in place of the list's.
            head, _, _ = member.wire_name.rpartition(".")
            alternative = f"{head}.{member.shape.element.wire_name}".lstrip(".")
            wire = wire if wire in tree else alternative
        if wire in tree:
            value = _parse_member(member, tree[wire])
            if value is not None:
                result[name] = value
    return result


def _parse_member(member: Member, tree: Any) -> Any:
    shape = member.shape
    if shape.type == "structure":
        return parse_structure(shape, tree)
    if shape.type == "list":
        return _parse_list(member, tree)
    if shape.type == "map":
        return _parse_map(member, tree)
    text = tree.get("", "") if isinstance(tree, dict) else tree
    try:
        return scalar(shape.type, text, member.trait("timestampFormat") or "iso8601")
    except AwsError:
        raise AwsError("MalformedInput", f"Invalid value: {text}") from None


def _parse_list(member: Member, tree: Any) -> list[Any]:
    """AWS: an empty list is sent as the list's name with no value."""
    if not isinstance(tree, dict):
        return []
    element = member.shape.element
    if not member.trait("flattened"):
        tree = tree.get(element.wire_name or "member", tree.get("member", {}))
    return [_parse_member(element, item) for _, item in _numbered(tree)]


def _parse_map(member: Member, tree: Any) -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {}
    if not member.trait("flattened"):
        tree = tree.get("entry", {})
    key_name = member.shape.key.wire_name or "key"
    value_name = member.shape.value.wire_name or "value"
    result = {}
    for _, entry in _numbered(tree):
        if isinstance(entry, dict) and key_name in entry:
            result[str(entry[key_name])] = _parse_member(member.shape.value, entry.get(value_name, ""))
    return result


def _numbered(tree: Any) -> list[tuple[int, Any]]:
    if not isinstance(tree, dict):
        return []
    found = [(int(key), item) for key, item in tree.items() if key.isdigit() and int(key) <= INDEX_MAX]
    return sorted(found, key=lambda pair: pair[0])


def error_renderer(model: ServiceModel) -> Callable[[AwsError, str], Response]:
    space = xmlns(model.xml_namespace)

    def render(error: AwsError, request_id: str) -> Response:
        shape = model.exception(error.code)
        code = shape.traits.get("error", {}).get("code", error.code) if shape else error.code
        status = error_status(model, error)
        fault = "Sender" if status < 500 else "Receiver"
        members = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in error.members.items())
        text = (
            f"<ErrorResponse{space}><Error><Type>{fault}</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(error.message)}</Message>{members}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        headers = [("x-amzn-requestid", request_id), ("content-type", "text/xml"), *error.headers.items()]
        return Response(status=status, headers=headers, body=text.encode())

    return render
