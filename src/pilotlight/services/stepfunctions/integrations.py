"""What a Task state calls: a function, or an operation of a service of this cloud, as the state machine's role.

`arn:aws:states:::sqs:sendMessage` and `arn:aws:states:::aws-sdk:sqs:sendMessage` call the same operation; they differ
in how errors are named. AWS: members are written in PascalCase in states, however the service's API writes them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Bytes
from pilotlight.protocols.model import ModelNotFound, ServiceModel, load_model
from pilotlight.protocols.shapes import Shape
from pilotlight.services.contract import Cloud
from pilotlight.workflows.failures import StatesError
from pilotlight.workflows.tasks import Resource

OPTIMISED = {
    "lambda": ("lambda", "Lambda"),
    "sns": ("sns", "SNS"),
    "sqs": ("sqs", "SQS"),
    "dynamodb": ("dynamodb", "DynamoDB"),
    "events": ("events", "EventBridge"),
    "states": ("stepfunctions", "StepFunctions"),
}
SDK_NAMES = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}


class Integrations:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def call(self, resource: Resource, parameters: Any, caller: Caller) -> Any:
        """The task's output. Raises StatesError."""
        if resource.kind == "function":
            return await self._function(resource.arn, parameters, caller)
        if not isinstance(parameters, dict):
            raise StatesError("States.Runtime", "The parameters of a service's operation must be an object")
        if resource.type.startswith("aws-sdk:"):
            given = resource.type.removeprefix("aws-sdk:")
            name, shown = SDK_NAMES.get(given, given), ""
        elif resource.type in OPTIMISED:
            name, shown = OPTIMISED[resource.type]
        else:
            raise _missing(resource)
        model = _model(name)
        operation = resource.action[:1].upper() + resource.action[1:]
        if model is None or operation not in model.operations:
            raise _missing(resource)
        shapes = model.operations[operation]
        shown = shown or model.service_id.replace(" ", "")[:1].upper() + model.service_id.replace(" ", "")[1:].lower()
        if name == "lambda" and operation == "Invoke":
            return await self._invoke(parameters, caller)
        try:
            request = _inward(shapes.input, parameters) if shapes.input is not None else {}
            result = await self._cloud.call(name, operation, request, caller)
            return await _outward(shapes.output, result) if shapes.output is not None else {}
        except AwsError as error:
            raise _named(error, shown, caller) from None

    async def _function(self, arn: str, payload: Any, caller: Caller) -> Any:
        return (await self._invoked({"FunctionName": _padded(arn), "Payload": payload}, caller))["Payload"]

    async def _invoke(self, parameters: dict[str, Any], caller: Caller) -> Any:
        unknown = set(parameters) - {"FunctionName", "Payload", "InvocationType", "Qualifier", "ClientContext"}
        if unknown:
            raise StatesError("States.Runtime", f"The field {sorted(unknown)[0]!r} is not supported by Step Functions")
        return await self._invoked(parameters, caller)

    async def _invoked(self, parameters: dict[str, Any], caller: Caller) -> dict[str, Any]:
        payload = json.dumps(parameters.get("Payload", {}), separators=(",", ":")).encode()
        try:
            result = await self._cloud.call("lambda", "Invoke", {**parameters, "Payload": payload}, caller)
        except AwsError as error:
            raise _named(error, "Lambda", caller) from None
        body = result.get("Payload") or b""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else await _text(body)
        if result.get("FunctionError"):
            raise _function_error(text)
        answer: dict[str, Any] = {
            "ExecutedVersion": result.get("ExecutedVersion", "$LATEST"),
            "Payload": json.loads(text) if text else {},
            "SdkHttpMetadata": {"HttpStatusCode": result.get("StatusCode", 200)},
            "SdkResponseMetadata": {"RequestId": caller.request_id},
            "StatusCode": result.get("StatusCode", 200),
        }
        return answer


def _padded(arn: str) -> str:
    """Account numbers are twelve digits; shorter ones in samples are meant with zeros before them."""
    parts = arn.split(":")
    if len(parts) > 4 and parts[4].isdigit():
        parts[4] = parts[4].rjust(12, "0")
    return ":".join(parts)


@lru_cache(maxsize=16)
def _model(name: str) -> ServiceModel | None:
    try:
        return load_model(name)
    except ModelNotFound:
        return None


def _missing(resource: Resource) -> StatesError:
    return StatesError("States.Runtime", f"The resource {resource.arn} is not supported by Pilotlight")


def _function_error(text: str) -> StatesError:
    """AWS: the function's own error type is the error's name, and all that it said is the cause."""
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if isinstance(told, dict):
        return StatesError(str(told.get("errorType") or "Exception"), text)
    return StatesError("Lambda.Unknown", text)


def _named(error: AwsError, service: str, caller: Caller) -> StatesError:
    code = error.code.rpartition("#")[2]
    name = code if code.endswith("Exception") else f"{code}Exception"
    told = f"Service: {service}, Status Code: {error.status}, Request ID: {caller.request_id}"
    return StatesError(f"{service}.{name}", f"{error.message} ({told})")


def _by_first_letter(shape: Shape) -> dict[str, str]:
    return {name[:1].upper() + name[1:]: name for name in shape.members}


def _inward(shape: Shape, value: Any) -> Any:
    """A value of a state as boto3 would give it."""
    kind = shape.type
    if kind == "structure" and isinstance(value, dict):
        names = _by_first_letter(shape)
        unknown = [name for name in value if name not in names and name not in shape.members]
        if unknown:
            raise StatesError("States.Runtime", f"The field {unknown[0]!r} is not supported by Step Functions")
        named = {names[name] if name in names else str(name): one for name, one in value.items()}
        return {name: _inward(shape.members[name].shape, one) for name, one in named.items()}
    if kind == "list" and isinstance(value, list):
        return [_inward(shape.element.shape, one) for one in value]
    if kind == "map" and isinstance(value, dict):
        return {name: _inward(shape.value.shape, one) for name, one in value.items()}
    if kind == "blob":
        data = (value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))).encode()
        return Bytes(data) if shape.traits.get("streaming") else data
    if kind == "timestamp" and isinstance(value, str):
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    if kind == "string" and not isinstance(value, str):
        # AWS: where an API takes text, as a message's body, JSON is written out.
        return json.dumps(value, separators=(",", ":"))
    return value


async def _outward(shape: Shape, value: Any) -> Any:
    kind = shape.type
    if kind == "structure":
        return {
            name[:1].upper() + name[1:]: await _outward(shape.members[name].shape, one)
            for name, one in value.items()
            if name in shape.members and one is not None
        }
    if kind == "list":
        return [await _outward(shape.element.shape, one) for one in value]
    if kind == "map":
        return {name: await _outward(shape.value.shape, one) for name, one in value.items()}
    if kind == "blob":
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else await _text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


async def _text(body: AsyncIterator[bytes]) -> str:
    return b"".join([chunk async for chunk in body]).decode("utf-8", "replace")
