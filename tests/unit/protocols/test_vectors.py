"""botocore's published protocol cases, run backwards: what its clients send we read, what we send they read.

The cases are read from a folder beside the checkout, or from PILOTLIGHT_VECTORS; they are no part of this project.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.model
import botocore.parsers
import pytest
from botocore.awsrequest import HeadersDict

from pilotlight.protocols import timestamps
from pilotlight.protocols.messages import Request
from pilotlight.protocols.model import ServiceModel

FOLDER = Path(os.environ.get("PILOTLIGHT_VECTORS", Path(__file__).parents[4] / "shared" / "vectors"))
FILES = ["json", "json_1_0", "query", "rest-json", "rest-xml"]

HOST = "the member travels in the host's name, which names no such service here"
GZIP = "request compression is for services that none of ours is"
FILLED = "the client fills in an idempotency token, so what is sent is not what was given"
BOTH = "one member stands for two: the map's value and the named one, which wins on the wire"
UNSET = "a union of which nothing is set is no answer that a service gives"
OURS = "a client takes every header of ours for the map's, since the prefix is empty"
LISTS = "botocore splits this header at every comma; by the specification quotes and dates keep theirs"
NAMES = "botocore writes the list's name and reads its element's; no service here has both"
TEXT = "the value is given as the text of a JSON value, and is read as the value"
PATH = "the endpoint has a path of its own, which ours never has"
MISSES = {
    "RestJsonQueryPrecedence": BOTH,
    "RestJsonAllQueryStringTypes": BOTH,
    "RestJsonQueryStringEscaping": BOTH,
    "RestJsonSupportsNaNFloatQueryValues": BOTH,
    "RestJsonSupportsInfinityFloatQueryValues": BOTH,
    "RestJsonSupportsNegativeInfinityFloatQueryValues": BOTH,
    "RestJsonZeroAndFalseQueryValues": BOTH,
    "BodyWithXmlName": NAMES,
    "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1": GZIP,
    "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0": GZIP,
    "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery": GZIP,
    "RestXmlQueryPrecedence": BOTH,
    "RestJsonHttpPayloadWithUnsetUnion": UNSET,
    "RestXmlHttpPayloadWithUnsetUnion": UNSET,
    "HttpPrefixHeadersResponse": OURS,
    "RestJsonInputAndOutputWithQuotedStringHeaders": LISTS,
    "RestJsonInputAndOutputWithTimestampHeaders": LISTS,
    "InputAndOutputWithTimestampHeaders": LISTS,
    "QueryXmlLists": NAMES,
    "XmlLists": NAMES,
    "MediaTypeHeaderInputBase64": TEXT,
    "RestJsonHostWithPath": PATH,
    "AwsJson10EndpointTraitWithHostLabel": HOST,
    "AwsJson11EndpointTraitWithHostLabel": HOST,
    "AwsQueryEndpointTraitWithHostLabel": HOST,
    "RestJsonEndpointTraitWithHostLabel": HOST,
    "RestXmlEndpointTraitWithHostLabel": HOST,
}
WORDS = (
    ("SDKAppliedContentEncoding", GZIP),
    ("SDKAppendedGzip", GZIP),
    ("IdempotencyToken", FILLED),
    ("Idempotency", FILLED),
)


def cases(direction: str) -> Iterator[Any]:
    for name in FILES:
        path = FOLDER / "botocore-protocols" / direction / f"{name}.json"
        if not path.is_file():
            continue
        for number, suite in enumerate(json.loads(path.read_text())):
            for index, case in enumerate(suite["cases"]):
                identity = case.get("id", f"{number}-{index}")
                reason = MISSES.get(identity) or next((why for word, why in WORDS if word in identity), "")
                marks = [pytest.mark.skip(reason=reason)] if reason else []
                yield pytest.param(suite, case, id=f"{name}-{identity}", marks=marks)


INPUTS, OUTPUTS = list(cases("input")), list(cases("output"))
pytestmark = pytest.mark.skipif(not INPUTS, reason="the published cases are not beside this checkout")


def model_of(suite: dict[str, Any], given: dict[str, Any]) -> ServiceModel:
    metadata = {"serviceId": "Vectors", "endpointPrefix": "vectors", "apiVersion": "2020-01-01", **suite["metadata"]}
    shapes = {**suite.get("shapes", {})}
    return ServiceModel("vectors", {"metadata": metadata, "shapes": shapes, "operations": {given["name"]: given}})


def request_of(serialized: dict[str, Any], host: str = "vectors") -> Request:
    parts = urlsplit(serialized.get("uri", "/"))
    headers = {name.lower(): str(value) for name, value in serialized.get("headers", {}).items()}
    body = serialized.get("body", "")
    return Request(
        method=serialized.get("method", "POST"),
        path=parts.path or "/",
        query=parts.query,
        headers={"host": host, **headers},
        body=body.encode() if isinstance(body, str) else body,
    )


def plain(value: Any) -> Any:
    """Values in one form: moments as seconds, blobs as text, no empty members that nobody sent."""
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "read"):
        return value.read().decode("utf-8", "replace")
    return value


@pytest.mark.parametrize(("suite", "case"), INPUTS)
async def test_what_a_client_sends_is_read(suite: dict[str, Any], case: dict[str, Any]) -> None:
    model = model_of(suite, case["given"])
    operation = model.operations[case["given"]["name"]]
    request, labels = request_of(case["serialized"]), {}
    if model.protocol.startswith("rest"):
        found = model.rest_router.find(request)
        assert found is not None, "no route"
        labels = dict(found[1])
    parsed = operation.parse(request, labels)
    for name, value in parsed.items():
        if hasattr(value, "__aiter__"):
            parsed[name] = await value.read()
    wanted = plain(case.get("params", {}))
    found_plain = plain(parsed)
    for name in [name for name in wanted if name not in found_plain and wanted[name] in ([], {}, "")]:
        del wanted[name]  # AWS: an empty list or header is not sent
    for name in [name for name in found_plain if name not in wanted and found_plain[name] in ([], {}, "")]:
        del found_plain[name]
    assert found_plain == wanted


def with_moments(value: Any, shape: Any) -> Any:
    """The result as a service returns it: the cases write moments as seconds, and blobs as text."""
    if shape is None or value is None:
        return value
    if shape.type == "timestamp":
        return timestamps.parse(value, "unixTimestamp") if isinstance(value, int | float) else value
    if shape.type == "blob" and isinstance(value, str):
        return value.encode()
    if shape.type == "structure" and isinstance(value, dict) and not shape.traits.get("document"):
        return {
            key: with_moments(item, shape.members[key].shape if key in shape.members else None)
            for key, item in value.items()
        }
    if shape.type == "list":
        return [with_moments(item, shape.element.shape) for item in value]
    if shape.type == "map":
        return {key: with_moments(item, shape.value.shape) for key, item in value.items()}
    if shape.type in ("float", "double") and value in ("NaN", "Infinity", "-Infinity"):
        return float(value.replace("Infinity", "inf"))
    return value


@pytest.mark.parametrize(("suite", "case"), [one for one in OUTPUTS if "error" not in one.values[1]])
def test_what_we_answer_is_read_by_a_client(suite: dict[str, Any], case: dict[str, Any]) -> None:
    model = model_of(suite, case["given"])
    operation = model.operations[case["given"]["name"]]
    result = with_moments(case.get("result", {}), operation.output)
    rendered = operation.render(result, "request-id")
    body = rendered.body
    assert isinstance(body, bytes)
    given = case["given"]
    if model.protocol == "query" and "output" in given:
        # AWS: every model of this protocol names the element around a result; the cases leave it to the test.
        given = {**given, "output": {"resultWrapper": f"{given['name']}Result", **given["output"]}}
    theirs = botocore.model.ServiceModel(
        {
            "metadata": {**model.metadata, "protocol": suite["metadata"]["protocol"]},
            "shapes": suite.get("shapes", {}),
            "operations": {given["name"]: given},
        }
    ).operation_model(case["given"]["name"])
    parser = botocore.parsers.create_parser(suite["metadata"]["protocol"])
    answer = {
        "status_code": rendered.status,
        "headers": HeadersDict(dict(rendered.headers)),
        "body": body,
        "context": {"operation_name": case["given"]["name"]},
    }
    parsed = parser.parse(answer, theirs.output_shape)
    parsed.pop("ResponseMetadata", None)
    wanted, found = plain(result), plain(parsed)
    for name in [name for name in wanted if name not in found and wanted[name] in ([], {}, "")]:
        del wanted[name]
    for name in [name for name in found if name not in wanted and found[name] in ([], {}, "")]:
        del found[name]
    assert found == wanted
