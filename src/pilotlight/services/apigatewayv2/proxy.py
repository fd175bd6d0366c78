"""A request as payload format 2.0, and a function's answer as a response: pure.

AWS: "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway", HTTP API developer guide.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from pilotlight.protocols.messages import Request, Response

TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
HOP_HEADERS = {"connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the event says beside the request itself."""

    account: str
    api_id: str
    domain: str
    stage: str
    route_key: str
    path: str
    path_parameters: Mapping[str, str]
    stage_variables: Mapping[str, str]
    request_id: str
    trace_id: str
    now: datetime


def event(request: Request, body: bytes, at: Circumstances) -> dict[str, Any]:
    headers = dict(request.headers)
    cookies = [cookie.strip() for cookie in headers.pop("cookie", "").split(";") if cookie.strip()]
    headers.update(
        {
            "content-length": str(len(body)),
            "x-amzn-trace-id": headers.get("x-amzn-trace-id", at.trace_id),
            "x-forwarded-for": request.source_ip,
            "x-forwarded-port": "443" if request.secure else headers.get("host", "").rpartition(":")[2] or "80",
            "x-forwarded-proto": "https" if request.secure else "http",
        }
    )
    result: dict[str, Any] = {
        "version": "2.0",
        "routeKey": at.route_key,
        "rawPath": at.path,
        "rawQueryString": request.query,
    }
    if cookies:
        result["cookies"] = cookies
    result["headers"] = headers
    if query := _query(request.query):
        result["queryStringParameters"] = query
    result["requestContext"] = _context(request, at)
    if at.path_parameters:
        result["pathParameters"] = dict(at.path_parameters)
    if at.stage_variables:
        result["stageVariables"] = dict(at.stage_variables)
    text = _as_text(body, headers.get("content-type", ""))
    if body:
        result["body"] = text if text is not None else base64.b64encode(body).decode()
    result["isBase64Encoded"] = text is None
    return result


def _context(request: Request, at: Circumstances) -> dict[str, Any]:
    return {
        "accountId": at.account,
        "apiId": at.api_id,
        "domainName": at.domain,
        "domainPrefix": at.domain.split(".")[0],
        "http": {
            "method": request.method,
            "path": at.path,
            "protocol": f"HTTP/{request.http_version}",
            "sourceIp": request.source_ip,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": at.request_id,
        "routeKey": at.route_key,
        "stage": at.stage,
        "time": at.now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(at.now.timestamp() * 1000),
    }


def _query(query: str) -> dict[str, str]:
    """AWS: a parameter that is given twice has its values joined by a comma."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _as_text(body: bytes, content_type: str) -> str | None:
    """None where the body travels as base64. AWS: that includes forms (`application/x-www-form-urlencoded`)."""
    kind = content_type.split(";")[0].strip().lower()
    if kind and not kind.startswith(TEXT_TYPES) and not kind.endswith(("+json", "+xml")):
        return None if body else ""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def failure(status: int, message: str, request_id: str) -> Response:
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    return Response(
        status=status, headers=[("content-type", "application/json"), ("apigw-requestid", request_id)], body=body
    )


def response(payload: bytes, request_id: str) -> Response:
    """AWS: an answer without `statusCode` is the body itself, as JSON, with status 200."""
    try:
        answer = json.loads(payload) if payload else None
    except ValueError:
        return failure(500, "Internal Server Error", request_id)
    if not isinstance(answer, dict) or "statusCode" not in answer:
        body = answer.encode() if isinstance(answer, str) else payload
        headers = [("content-type", "application/json"), ("apigw-requestid", request_id)]
        return Response(status=200, headers=headers, body=body)
    try:
        return _structured(answer, request_id)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return failure(500, "Internal Server Error", request_id)


def _structured(answer: Mapping[str, Any], request_id: str) -> Response:
    status = int(answer["statusCode"])
    if not 100 <= status <= 599 or isinstance(answer["statusCode"], bool):
        raise ValueError(status)
    headers: list[tuple[str, str]] = []
    for name, value in (answer.get("headers") or {}).items():
        if name.lower() not in HOP_HEADERS and value is not None:
            headers.append((name.lower(), _header_text(value)))
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    headers += [("set-cookie", str(cookie)) for cookie in answer.get("cookies") or []]
    headers.append(("apigw-requestid", request_id))
    body = answer.get("body")
    if body is None:
        data = b""
    elif answer.get("isBase64Encoded"):
        data = base64.b64decode(body, validate=True)
    else:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
    return Response(status=status, headers=headers, body=data)


def _header_text(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if any(character in text for character in "\r\n\0"):
        raise ValueError("a header with a line break")
    return text
