"""rest-json: members travel in the path, the query string, headers and a JSON body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.errors import AwsError
from pilotlight.protocols import event_stream
from pilotlight.protocols.aws_json import dump_json, error_body, error_status, parse_json
from pilotlight.protocols.event_stream import EventStream
from pilotlight.protocols.messages import Request, Response
from pilotlight.protocols.rest import OutputBindings, RestBindings
from pilotlight.protocols.shapes import Member

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel


class RestJson:
    def __init__(self, operation: Operation) -> None:
        self._bindings = RestBindings(operation)
        self._json = operation.model.json
        self._body = self._json.body_parser(operation.input) if operation.input else None
        self._render = self._json.body_renderer(operation.output) if operation.output else None
        payload = self._bindings.out.payload
        events = payload is not None and payload[1].trait("eventstream")
        self._events = EventStream(payload[1].shape, self._json) if payload is not None and events else None

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        result = self._bindings.parse(request, labels)
        if self._bindings.payload is not None:
            result |= self._bindings.parse_payload(request, self._structure)
        elif self._bindings.body and self._body is not None:
            result |= parse_json(self._body, request.body)
        return result

    def _structure(self, member: Member, body: bytes) -> Any:
        return parse_json(self._json.parser(member, inside=True), body)

    def render(self, result: Mapping[str, Any], request_id: str) -> Response:
        out = self._bindings.out
        response = out.start(result)
        response.headers.append(("x-amzn-requestid", request_id))
        if self._events is not None and out.payload is not None:
            events = result.get(out.payload[0])
            if events is not None:
                response.headers.append(("content-type", event_stream.CONTENT_TYPE))
                response.body = self._events.stream(events)
            return response
        if out.raw_payload(result, response):
            if not any(name.lower() == "content-type" for name, _ in response.headers):
                assert out.payload is not None
                text = out.payload[1].shape.type == "string"
                response.headers.append(("content-type", "text/plain" if text else "application/octet-stream"))
            return response
        if out.payload is not None:
            name, member = out.payload
            value = result.get(name)
            response.body = dump_json(self._json.renderer(member)(value)) if value is not None else b""
            if value is not None:
                response.headers.append(("content-type", "application/json"))
        elif response.status != 204:
            # AWS: an answer without members is an empty object, except where the status says that nothing comes.
            if self._render is not None:
                response.body = dump_json(self._render(result))
            response.headers.append(("content-type", "application/json"))
        return response


def error_renderer(model: ServiceModel) -> Callable[[AwsError, str], Response]:
    def render(error: AwsError, request_id: str) -> Response:
        shape = model.exception(error.code)
        bound = OutputBindings(shape, 400).start(error.members).headers if shape else []
        headers = [
            ("x-amzn-requestid", request_id),
            ("x-amzn-errortype", error.code),
            ("content-type", "application/json"),
            *bound,
            *error.headers.items(),
        ]
        return Response(status=error_status(model, error), headers=headers, body=dump_json(error_body(model, error)))

    return render
