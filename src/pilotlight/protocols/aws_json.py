"""aws-json 1.0 and 1.1: a target header, a JSON object each way."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request, Response

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel

# AWS: DynamoDB sends a checksum of the body with every answer, which its SDKs check.
CHECKSUM_SERVICES = frozenset({"dynamodb", "dynamodbstreams"})
# AWS: some services write the namespace of the shape before an error's name; SDKs cut it off.
NAMESPACES = {
    "dynamodb": "com.amazonaws.dynamodb.v20120810#",
    "dynamodbstreams": "com.amazonaws.dynamodb.v20120810#",
    "sqs": "com.amazonaws.sqs#",
}
# AWS: what services that once spoke the query protocol call their errors there. SDKs show these names; they are those
# that the models had in the query protocol's time, and `query-error` headers have today.
SQS_CODE = "AWS.SimpleQueueService."
QUERY_CODES: dict[str, dict[str, str]] = {
    "sqs": {
        "QueueDoesNotExist": f"{SQS_CODE}NonExistentQueue",
        "QueueNameExists": "QueueAlreadyExists",
        "InvalidParameterValueException": "InvalidParameterValue",
        "MissingRequiredParameterException": "MissingParameter",
        **{
            name: SQS_CODE + name
            for name in (
                "BatchEntryIdsNotDistinct",
                "BatchRequestTooLong",
                "EmptyBatchRequest",
                "InvalidBatchEntryId",
                "MessageNotInflight",
                "PurgeQueueInProgress",
                "QueueDeletedRecently",
                "TooManyEntriesInBatchRequest",
                "UnsupportedOperation",
            )
        },
    }
}
# AWS: errors of the layer before the operation; DynamoDB names the layer, and two of them spell `Message`.
COMMON = "com.amazon.coral.service#"
CAPITAL_MESSAGES = frozenset({"SerializationException", "AccessDeniedException"})


class AwsJson:
    def __init__(self, operation: Operation) -> None:
        model = operation.model
        self._parse = model.json.body_parser(operation.input) if operation.input else None
        self._render = model.json.body_renderer(operation.output) if operation.output else None
        self._type = content_type(model)
        self._checksum = model.name in CHECKSUM_SERVICES

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        if self._parse is None:
            return {}
        if not request.body:
            raise unreadable()  # AWS: even where nothing is required, `{}` is
        result: dict[str, Any] = parse_json(self._parse, request.body)
        return result

    def render(self, result: Mapping[str, Any], request_id: str) -> Response:
        # AWS: an operation without output answers with no body (and still with the content type).
        body = dump_json(self._render(result)) if self._render else b""
        headers = [("x-amzn-requestid", request_id), ("content-type", self._type)]
        if self._checksum:
            headers.append(("x-amz-crc32", str(zlib.crc32(body))))
        return Response(status=200, headers=headers, body=body)


def unreadable() -> AwsError:
    """AWS: what is no JSON at all is refused without a message."""
    return AwsError("SerializationException", "")


def parse_json(parse: Callable[[Any], Any], body: bytes) -> Any:
    """What `parse` makes of the body; raises AwsError as AWS's own parsers do."""
    try:
        return parse(orjson.loads(body) if body else {})
    except (orjson.JSONDecodeError, RecursionError):  # or nested deeper than any service allows
        raise unreadable() from None


def dump_json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def content_type(model: ServiceModel) -> str:
    return f"application/x-amz-json-{model.json_version}"


def error_body(model: ServiceModel, error: AwsError) -> dict[str, Any]:
    """The message, spelled as the shape has it, and the error's further members, written as the shape says."""
    shape = model.exception(error.code)
    if shape is None:
        label = "Message" if error.code in CAPITAL_MESSAGES else "message"
        return ({label: error.message} if error.message else {}) | error.members
    written: dict[str, Any] = model.json.body_renderer(shape)(error.members)
    unknown = {key: value for key, value in error.members.items() if key not in shape.members}
    label = next((m.wire_name or name for name, m in shape.members.items() if name.lower() == "message"), "message")
    return {label: error.message, **unknown, **written}


def error_status(model: ServiceModel, error: AwsError) -> int:
    shape = model.exception(error.code)
    status = shape.traits.get("error", {}).get("httpStatusCode") if shape else None
    if status is None and shape is not None and shape.traits.get("fault"):
        status = 500
    return int(status or error.status)


def error_renderer(model: ServiceModel) -> Callable[[AwsError, str], Response]:
    namespace = NAMESPACES.get(model.name, "")
    common = COMMON if model.name in CHECKSUM_SERVICES else ""

    def kind_of(error: AwsError) -> str:
        shape = model.exception(error.code)
        if shape is not None:
            return f"{namespace}{shape.name}"
        if common and error.code == "ValidationException":
            return f"com.amazon.coral.validate#{error.code}"
        return f"{common}{error.code}"

    def render(error: AwsError, request_id: str) -> Response:
        body = dump_json({"__type": kind_of(error), **error_body(model, error)})
        headers = [("x-amzn-requestid", request_id), ("content-type", content_type(model)), *error.headers.items()]
        if model.name in CHECKSUM_SERVICES:
            headers.append(("x-amz-crc32", str(zlib.crc32(body))))
        if model.query_compatible:
            headers.append(("x-amzn-query-error", _query_error(model, error)))
        return Response(status=error_status(model, error), headers=headers, body=body)

    return render


def _query_error(model: ServiceModel, error: AwsError) -> str:
    """AWS: services that once spoke the query protocol still tell its error code."""
    shape = model.exception(error.code)
    code = shape.traits.get("error", {}).get("code", error.code) if shape else error.code
    code = QUERY_CODES.get(model.name, {}).get(code, code)
    return f"{code};{'Sender' if error_status(model, error) < 500 else 'Receiver'}"
