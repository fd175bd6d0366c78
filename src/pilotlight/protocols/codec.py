"""Which protocol makes the codec of an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pilotlight.errors import AwsError
from pilotlight.protocols import aws_json, query, rest_json, rest_xml
from pilotlight.protocols.messages import Request, Response

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel


class Codec(Protocol):
    """An operation's two directions."""

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]: ...

    def render(self, result: Mapping[str, Any], request_id: str) -> Response: ...


def compile_codec(operation: Operation) -> Codec:
    match operation.model.protocol:
        case "json":
            return aws_json.AwsJson(operation)
        case "rest-json":
            return rest_json.RestJson(operation)
        case "rest-xml":
            return rest_xml.RestXml(operation)
        case "query":
            return query.Query(operation)
    raise ValueError(f"{operation.model.name} speaks {operation.model.protocol}, which is not among the protocols")


def error_codec(model: ServiceModel) -> Callable[[AwsError, str], Response]:
    makers = {
        "json": aws_json.error_renderer,
        "rest-json": rest_json.error_renderer,
        "rest-xml": rest_xml.error_renderer,
        "query": query.error_renderer,
    }
    return makers[model.protocol](model)
