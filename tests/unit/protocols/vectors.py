"""botocore's published protocol cases, made ready to be run backwards: from the wire to values, and back.

They are data of others and not part of this project: `PILOTLIGHT_VECTORS` names the folder that holds
`botocore-protocols`, or `shared/vectors` lies beside the checkout.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.awsrequest import HeadersDict
from botocore.model import OperationModel
from botocore.model import ServiceModel as ClientModel
from botocore.parsers import create_parser

from pilotlight.protocols.messages import Request
from pilotlight.protocols.model import Operation, ServiceModel
from pilotlight.protocols.shapes import Member, Shape

ROOT = Path(__file__).resolve().parents[3]
PROTOCOLS = ("query", "json", "json_1_0", "json_1_0-query-compatible", "rest-json", "rest-xml")
DEFAULTS = {"serviceId": "Vectors", "endpointPrefix": "vectors", "apiVersion": "2020-01-01", "targetPrefix": "Vectors"}


def folder() -> Path | None:
    named = os.environ.get("PILOTLIGHT_VECTORS")
    found = (Path(named) if named else ROOT.parent / "shared" / "vectors") / "botocore-protocols"
    return found if found.is_dir() else None


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    protocol: str
    suite: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def description(self) -> dict[str, Any]:
        given = {"name": "OperationName", "http": {"method": "POST", "requestUri": "/"}, **self.data["given"]}
        metadata = {**DEFAULTS, **self.suite["metadata"]}
        return {"metadata": metadata, "shapes": self.suite["shapes"], "operations": {given["name"]: given}}

    def operation(self) -> Operation:
        model = ServiceModel("vectors", self.description)
        return next(iter(model.operations.values()))


def cases(direction: str) -> Iterator[Case]:
    root = folder()
    if root is None:
        return
    for kind in ("", "legacy/"):
        for protocol in PROTOCOLS:
            path = root / f"{kind}{direction}" / f"{protocol}.json"
            if path.is_file():
                for suite in json.loads(path.read_text()):
                    for index, data in enumerate(suite["cases"]):
                        name = data.get("id") or f"{suite['description']} {index + 1}"
                        yield Case(f"{kind}{protocol}: {name}", protocol, suite, data)


def request_of(case: Case) -> Request:
    """What a client sends, as the vector writes it down."""
    sent = case.data["serialized"]
    path, _, query = str(sent["uri"]).partition("?")
    headers = {key.lower(): str(value) for key, value in sent.get("headers", {}).items()}
    body = sent.get("body", "")
    if isinstance(body, Mapping):  # the older cases write a form as its fields
        body = "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in body.items())
    http = case.data["given"].get("http", {})
    method = sent.get("method") or http.get("method", "POST")
    if case.suite["metadata"]["protocol"] == "json":  # the cases about hosts and tokens leave it out
        prefix = case.suite["metadata"].get("targetPrefix", DEFAULTS["targetPrefix"])
        headers.setdefault("x-amz-target", f"{prefix}.{case.description['operations'].popitem()[0]}")
    return Request(method=method, path=path or "/", query=query, headers=headers, body=body.encode())


def _quoted(text: object) -> str:
    return quote(str(text), safe="-_.~")


def values(shape: Shape | None, given: Any) -> Any:
    """boto3's values from a vector's JSON: moments, bytes and the numbers that JSON cannot write."""
    if given is None or shape is None:
        return given
    if shape.type == "structure":
        if shape.traits.get("document"):
            return given
        known = {name: item for name, item in given.items() if name in shape.members}
        return {name: _member(shape.members[name], item) for name, item in known.items()}
    if shape.type == "list":
        return [values(shape.element.shape, item) for item in given]
    if shape.type == "map":
        return {key: values(shape.value.shape, item) for key, item in given.items()}
    if shape.type == "timestamp":
        return moment(given)
    if shape.type == "blob":
        return given.encode()
    if shape.type in ("float", "double") and isinstance(given, str):
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[given]
    return given


def _member(member: Member, given: Any) -> Any:
    # The cases write a JSON value as its text; boto3 takes and gives the value.
    in_header = member.trait("jsonvalue") and member.location == "header" and isinstance(given, str)
    return json.loads(given) if in_header else values(member.shape, given)


def moment(given: Any) -> datetime:
    if isinstance(given, int | float):
        return datetime.fromtimestamp(given, UTC)
    return datetime.fromisoformat(given).astimezone(UTC)


def client_reads(case: Case, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """An answer as botocore's own parser understands it."""
    client = ClientModel(case.description, "vectors")
    operation: OperationModel = client.operation_model(client.operation_names[0])
    parser = create_parser(case.suite["metadata"]["protocol"])
    response = {
        "status_code": status,
        "headers": HeadersDict(headers),
        "body": _Stream(body) if operation.has_streaming_output and status < 300 else body,
        "context": {"operation_name": operation.name},
    }
    parsed: dict[str, Any] = parser.parse(response, operation.output_shape)
    if status >= 300:
        for shape in operation.error_shapes:
            if parsed.get("Error", {}).get("Code") in (shape.name, shape.error_code):
                parsed.update(parser.parse(response, shape))
    parsed.pop("ResponseMetadata", None)
    result: dict[str, Any] = comparable(parsed)
    return result


class _Stream:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self) -> bytes:
        return self._body


def comparable(value: Any) -> Any:
    """Equal where the values are: NaN is itself here, bodies are bytes, moments are UTC."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if hasattr(value, "read"):
        return value.read()
    return value
