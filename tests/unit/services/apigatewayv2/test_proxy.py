"""Payload format 2.0, both ways."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pilotlight.protocols.messages import Request
from pilotlight.services.apigatewayv2 import cors, proxy

AT = proxy.Circumstances(
    account="000000000000",
    api_id="abc",
    domain="abc.execute-api.localhost.localstack.cloud",
    stage="$default",
    route_key="GET /images/{id}",
    path="/images/cat",
    path_parameters={"id": "cat"},
    stage_variables={},
    request_id="r=",
    trace_id="Root=1-0-0",
    now=datetime(2026, 3, 12, 19, 3, 58, tzinfo=UTC),
)


def make(body: bytes = b"", query: str = "", **headers: str) -> dict[str, Any]:
    given = {"host": "localhost:4566", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return proxy.event(Request(method="GET", path="/images/cat", query=query, headers=given), body, AT)


def test_the_event_says_what_was_asked() -> None:
    event = make(query="a=1&a=2&b=%20", cookie="x=1; y=2", user_agent="curl")
    assert event["version"] == "2.0"
    assert event["queryStringParameters"] == {"a": "1,2", "b": " "}
    assert event["cookies"] == ["x=1", "y=2"]
    assert "cookie" not in event["headers"]
    assert event["pathParameters"] == {"id": "cat"}
    assert "body" not in event
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert context["http"]["userAgent"] == "curl"
    assert context["time"] == "12/Mar/2026:19:03:58 +0000"
    assert (context["stage"], context["domainPrefix"]) == ("$default", "abc")


def test_empty_maps_are_left_out() -> None:
    event = make()
    assert not {"queryStringParameters", "cookies", "stageVariables", "body"} & set(event)


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("application/json", False),
        ("text/plain; charset=utf-8", False),
        ("application/vnd.api+json", False),
        ("application/x-www-form-urlencoded", True),
        ("image/png", True),
    ],
)
def test_a_body_travels_as_text_or_as_base64(kind: str, encoded: bool) -> None:
    event = make(b"a=1", content_type=kind)
    assert event["isBase64Encoded"] is encoded
    assert event["body"] == (base64.b64encode(b"a=1").decode() if encoded else "a=1")


def test_an_answer_with_a_status_is_taken_apart() -> None:
    answer = {"statusCode": 404, "body": '{"error":"not found"}', "headers": {"X-A": 1, "B": True}, "cookies": ["c=1"]}
    response = proxy.response(json.dumps(answer).encode(), "r")
    assert (response.status, response.body) == (404, b'{"error":"not found"}')
    headers = dict(response.headers)
    assert (headers["x-a"], headers["b"], headers["set-cookie"]) == ("1", "true", "c=1")
    assert headers["content-type"] == "text/plain;charset=UTF-8"


def test_an_answer_without_a_status_is_the_body() -> None:
    response = proxy.response(b'{"hello": 1}', "r")
    assert (response.status, response.body) == (200, b'{"hello": 1}')
    assert proxy.response(b'"text"', "r").body == b"text"


def test_a_base64_answer_is_decoded() -> None:
    answer = {"statusCode": 200, "body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    assert proxy.response(json.dumps(answer).encode(), "r").body == b"\x00\xff"


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "abc"},
        {"statusCode": 42},
        {"statusCode": True},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
    ],
)
def test_an_answer_that_is_no_answer_is_a_500(answer: dict[str, Any]) -> None:
    response = proxy.response(json.dumps(answer).encode(), "r")
    assert (response.status, response.body) == (500, b'{"message":"Internal Server Error"}')


def test_a_preflight_is_answered_for_an_allowed_origin_only() -> None:
    configuration = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60}
    headers = {"origin": "https://a.example", "access-control-request-method": "GET"}
    allowed = cors.preflight(Request(method="OPTIONS", path="/", query="", headers=headers), configuration, "r")
    assert dict(allowed.headers)["access-control-allow-origin"] == "https://a.example"
    other = {**headers, "origin": "https://b.example"}
    refused = cors.preflight(Request(method="OPTIONS", path="/", query="", headers=other), configuration, "r")
    assert not any(name.startswith("access-control") for name, _ in refused.headers)
