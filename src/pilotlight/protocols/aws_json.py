"""aws-json 1.0 and 1.1: a target header, a JSON object each way."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request, Response
from pilotlight.protocols.shapes import Member

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel

# AWS: DynamoDB sends a checksum of the body with every answer, which its SDKs check.
CHECKSUM_SERVICES = frozenset({"dynamodb", "dynamodbstreams"})


class AwsJson:
    def __init__(self, operation: Operation) -> None:
        model = operation.model
        self._parse = model.json.parser(Member(operation.input, {})) if operation.input else None
        self._render = model.json.renderer(Member(operation.output, {})) if operation.output else None
        self._type = content_type(model)
        self._checksum = model.name in CHECKSUM_SERVICES

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        if self._parse is None:
            return {}
        result: dict[str, Any] = self._parse(read_json(request.body))
        return result

    def render(self, result: Mapping[str, Any], request_id: str) -> Response:
        # AWS: an operation without output answers with no body (and still with the content type).
        body = dump_json(self._render(result)) if self._render else b""
        headers = [("x-amzn-requestid", request_id), ("content-type", self._type)]
        if self._checksum:
            headers.append(("x-amz-crc32", str(zlib.crc32(body))))
        return Response(status=200, headers=headers, body=body)


def read_json(body: bytes) -> Any:
    """An object; raises AwsError as AWS's own parsers do."""
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise AwsError("SerializationException", "Could not parse request body as JSON") from None


def dump_json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def content_type(model: ServiceModel) -> str:
    return f"application/x-amz-json-{model.json_version}"


def error_members(model: ServiceModel, error: AwsError) -> dict[str, Any]:
    """The error's further members, written as its shape says."""
    shape = model.exception(error.code)
    members = dict(error.members)
    if shape is not None:
        written: dict[str, Any] = model.json.renderer(Member(shape, {}))(members)
        return {**{key: value for key, value in members.items() if key not in shape.members}, **written}
    return members


def error_status(model: ServiceModel, error: AwsError) -> int:
    shape = model.exception(error.code)
    status = shape.traits.get("error", {}).get("httpStatusCode") if shape else None
    if status is None and shape is not None and shape.traits.get("fault"):
        status = 500
    return int(status or error.status)


def error_renderer(model: ServiceModel) -> Callable[[AwsError, str], Response]:
    # AWS: DynamoDB prefixes the type with its namespace; the others of this protocol send the bare name.
    prefix = f"com.amazonaws.dynamodb.v{model.api_version.replace('-', '')}#" if model.name == "dynamodb" else ""
    if model.name == "dynamodb":
        common = "com.amazon.coral.service#"
    else:
        common = ""
    general = {
        "SerializationException",
        "UnknownOperationException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "IncompleteSignatureException",
        "ValidationException",
        "ExpiredTokenException",
    }

    def render(error: AwsError, request_id: str) -> Response:
        members = error_members(model, error)
        common_error = error.code in general and model.exception(error.code) is None
        if model.name == "dynamodb" and error.code == "ValidationException":
            kind = f"com.amazon.coral.validate#{error.code}"
        else:
            kind = f"{common if common_error else prefix}{error.code}"
        # AWS: most services spell `message`; some older shapes, and the serializer's errors, `Message`.
        label = _message_label(model, error)
        body = dump_json({"__type": kind, label: error.message, **members})
        headers = [("x-amzn-requestid", request_id), ("content-type", content_type(model)), *error.headers.items()]
        if model.name in CHECKSUM_SERVICES:
            headers.append(("x-amz-crc32", str(zlib.crc32(body))))
        if model.query_compatible:
            headers.append(("x-amzn-query-error", _query_error(model, error)))
        return Response(status=error_status(model, error), headers=headers, body=body)

    return render


def _message_label(model: ServiceModel, error: AwsError) -> str:
    shape = model.exception(error.code)
    if shape is None:
        return "Message" if error.code == "SerializationException" else "message"
    return next((name for name in shape.members if name.lower() == "message"), "message")


def _query_error(model: ServiceModel, error: AwsError) -> str:
    """AWS: services that once spoke the query protocol still tell its error code."""
    shape = model.exception(error.code)
    code = shape.traits.get("error", {}).get("code", error.code) if shape else error.code
    return f"{code};{'Sender' if error_status(model, error) < 500 else 'Receiver'}"
