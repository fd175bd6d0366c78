"""A service's model as botocore ships it, and its operations with their codecs.

The model is read when the service is registered, without its documentation, which is most of it. An
operation's codec is compiled on its first use and kept.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from importlib import resources
from typing import Any

import orjson

from pilotlight.errors import AwsError
from pilotlight.protocols.codec import Codec, compile_codec, error_codec
from pilotlight.protocols.json_codec import JsonCodec
from pilotlight.protocols.messages import Request, Response
from pilotlight.protocols.router import RestRouter
from pilotlight.protocols.shapes import Shape, Shapes
from pilotlight.protocols.validate import Checks
from pilotlight.protocols.xml_codec import XmlCodec

SUPPORTED = ("json", "rest-json", "rest-xml", "query")
# Prose, and what only clients ask for.
# fmt: off
_DROPPED = frozenset((
    "alias", "auth", "authtype", "box", "clientContextParams", "contextParam", "deprecated", "deprecatedMessage",
    "deprecatedSince", "documentation", "documentationUrl", "endpoint", "endpointdiscovery", "endpointoperation",
    "errors", "examples", "hostLabel", "httpChecksum", "httpChecksumRequired", "idempotencyToken", "idempotent",
    "operationContextParams", "readonly", "requestcompression", "retryable", "staticContextParams", "unsignedPayload",
    "wrapper", "xmlOrder",
))
# fmt: on


class ModelNotFound(Exception):
    """botocore ships no model of that name."""


class Operation:
    """One operation: how it is asked for, parsed and answered."""

    def __init__(self, model: ServiceModel, name: str, traits: Mapping[str, Any]) -> None:
        self.model = model
        self.name = name
        http = traits.get("http", {})
        self.http_method = str(http.get("method", "POST"))
        self.uri = str(http.get("requestUri", "/"))
        self.status = int(http.get("responseCode", 200))
        self.traits = traits
        self.input = model.shapes.top(traits.get("input"))
        self.output = model.shapes.top(traits.get("output"))
        self.streams_request = _streams(self.input)
        self.streams_response = _streams(self.output)
        self._codec: Codec | None = None

    @property
    def codec(self) -> Codec:
        if self._codec is None:
            self._codec = compile_codec(self)
        return self._codec

    def parse(self, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        """boto3's parameters; raises AwsError for what cannot be read."""
        return self.codec.parse(request, labels)

    def render(self, result: Mapping[str, Any], request_id: str) -> Response:
        return self.codec.render(result, request_id)

    def render_error(self, error: AwsError, request_id: str) -> Response:
        return self.model.render_error(error, request_id)


class ServiceModel:
    """One service, in the newest version of its API that botocore has."""

    def __init__(self, name: str, given: Mapping[str, Any]) -> None:
        metadata = given["metadata"]
        self.name = name
        self.service_id = str(metadata["serviceId"])
        self.endpoint_prefix = str(metadata["endpointPrefix"])
        self.signing_name = str(metadata.get("signingName") or self.endpoint_prefix)
        self.protocol = _protocol(metadata)
        self.api_version = str(metadata["apiVersion"])
        self.target_prefix = str(metadata.get("targetPrefix", ""))
        self.json_version = str(metadata.get("jsonVersion", "1.0"))
        self.xml_namespace = metadata.get("xmlNamespace", "")
        self.query_compatible = "awsQueryCompatible" in metadata
        self.metadata = metadata
        self.shapes = Shapes(given["shapes"])
        self.json = JsonCodec(f"com.amazonaws.{name}.v{self.api_version.replace('-', '')}")
        self.xml = XmlCodec()
        self.checks = Checks(name)
        self.operations: dict[str, Operation] = {
            key: Operation(self, key, traits) for key, traits in given["operations"].items()
        }
        self._errors = error_codec(self)
        self._router: RestRouter | None = None
        self._exceptions: dict[str, Shape] | None = None

    def exception(self, code: str) -> Shape | None:
        """The shape of an error, by its name or its code on the wire."""
        if self._exceptions is None:
            self._exceptions = {}
            for name in self.shapes.names():
                shape = self.shapes.get(name)
                if shape.traits.get("exception") or shape.traits.get("error"):
                    self._exceptions[name] = shape
                    wire = shape.traits.get("error", {}).get("code")
                    if wire:
                        self._exceptions.setdefault(wire, shape)
        return self._exceptions.get(code)

    @property
    def rest_router(self) -> RestRouter:
        if self._router is None:
            self._router = RestRouter(self)
        return self._router

    def render_error(self, error: AwsError, request_id: str) -> Response:
        return self._errors(error, request_id)


def load_model(name: str) -> ServiceModel:
    """By botocore's name of the service: `s3`, `dynamodb`, `lambda` … Raises ModelNotFound."""
    folder = resources.files("botocore").joinpath("data", name)
    if not folder.is_dir():
        raise ModelNotFound(name)
    versions = sorted((entry.name for entry in folder.iterdir() if entry.is_dir()), reverse=True)
    for version in versions:
        for file, unpack in (("service-2.json.gz", gzip.decompress), ("service-2.json", bytes)):
            path = folder.joinpath(version, file)
            if path.is_file():
                return ServiceModel(name, _Compactor().compact(orjson.loads(unpack(path.read_bytes()))))
    raise ModelNotFound(name)


class _Compactor:
    """Copies a model without what nobody here asks for, and with one object for what is said again and again.

    A member may be called as a trait is, and a shape too: only what is neither is dropped.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._leaves: dict[tuple[Any, ...], dict[str, Any]] = {}

    def compact(self, value: Any) -> Any:
        if type(value) is str:
            return self._texts.setdefault(value, value)
        if type(value) is dict:
            return self._object(value)
        return [self.compact(item) for item in value] if type(value) is list else value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        kept, leaf = {}, True
        for key, item in value.items():
            kind = type(item)
            if key in _DROPPED and not (kind is dict and ("shape" in item or "type" in item)):
                continue
            if kind is dict or kind is list:
                leaf = False
            kept[key] = self.compact(item)
        return self._leaves.setdefault(tuple(kept.items()), kept) if leaf else kept


def _protocol(metadata: Mapping[str, Any]) -> str:
    offered = [metadata["protocol"], *metadata.get("protocols", [])]
    return next((protocol for protocol in offered if protocol in SUPPORTED), str(metadata["protocol"]))


def _streams(shape: Shape | None) -> bool:
    payload = shape.traits.get("payload") if shape else None
    if shape is None or payload is None:
        return False
    member = shape.members[payload]
    return bool(member.trait("streaming")) and member.shape.type == "blob"
