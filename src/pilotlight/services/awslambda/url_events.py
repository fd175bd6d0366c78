"""A request to a function URL as payload format 2.0, and the function's answer as a response: pure.

AWS: "Invoking Lambda function URLs", request and response payloads.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Request, Response

TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
HOP_HEADERS = {"connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer"}
DEFAULT_TYPE = "application/json"
PRELUDE_END = bytes(8)
PRELUDE_BYTES_MAX = 1024 * 1024


class BadAnswer(Exception):
    """What the function answered is no response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the event says beside the request itself."""

    url_id: str
    domain: str
    path: str
    request_id: str
    trace_id: str
    now: datetime
    caller: Caller | None
    """Who signed, where the URL asks for that."""


def event(request: Request, body: bytes, at: Circumstances) -> dict[str, Any]:
    headers = dict(request.headers)
    cookies = [cookie.strip() for cookie in headers.get("cookie", "").split(";") if cookie.strip()]
    headers.pop("connection", None)
    headers.update(
        {
            "x-amzn-trace-id": headers.get("x-amzn-trace-id", at.trace_id),
            "x-forwarded-for": request.source_ip,
            "x-forwarded-port": "443" if request.secure else headers.get("host", "").rpartition(":")[2] or "80",
            "x-forwarded-proto": "https" if request.secure else "http",
        }
    )
    path = unquote(at.path)
    result: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query,
    }
    if cookies:
        result["cookies"] = cookies
    result["headers"] = headers
    if query := _query(request.query):
        result["queryStringParameters"] = query
    result["requestContext"] = _context(request, at, path)
    if body:
        text = _as_text(body, headers.get("content-type", ""))
        result["body"] = text if text is not None else base64.b64encode(body).decode()
        result["isBase64Encoded"] = text is None
    else:
        result["isBase64Encoded"] = False
    return result


def _context(request: Request, at: Circumstances, path: str) -> dict[str, Any]:
    context: dict[str, Any] = {
        "accountId": at.caller.account if at.caller else "anonymous",
        "apiId": at.url_id,
    }
    if at.caller:
        context["authorizer"] = {
            "iam": {
                "accessKey": at.caller.access_key_id,
                "accountId": at.caller.account,
                "callerId": at.caller.user_id,
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": at.caller.arn,
                "userId": at.caller.user_id,
            }
        }
    return context | {
        "domainName": at.domain,
        "domainPrefix": at.url_id,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": f"HTTP/{request.http_version}",
            "sourceIp": request.source_ip,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": at.request_id,
        "routeKey": "$default",
        "stage": "$default",
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
    """None where the body travels as base64. AWS: that is anything but text, JSON, JavaScript and XML; forms too."""
    kind = content_type.split(";")[0].strip().lower()
    if not kind.startswith(TEXT_TYPES) and not kind.endswith(("+json", "+xml")):
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def response(payload: bytes) -> Response:
    """AWS: an answer without `statusCode` is the body itself, as JSON, with status 200. Raises BadAnswer."""
    try:
        answer = json.loads(payload) if payload else None
    except ValueError:
        raise BadAnswer("the answer is not JSON") from None
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(headers=[("content-type", DEFAULT_TYPE)], body=payload)
    made = head(answer, DEFAULT_TYPE)
    body = answer.get("body")
    try:
        if body is None:
            made.body = b""
        elif answer.get("isBase64Encoded"):
            made.body = base64.b64decode(body, validate=True)
        else:
            made.body = (body if isinstance(body, str) else json.dumps(body)).encode()
    except (ValueError, TypeError, binascii.Error):
        raise BadAnswer("the answer's body is not base64") from None
    return made


def head(answer: Mapping[str, Any], default_type: str) -> Response:
    """Status, headers and cookies of an answer, or of a stream's prelude. Raises BadAnswer."""
    status = answer.get("statusCode", 200)
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 599:
        raise BadAnswer("the answer's statusCode is no status")
    given, cookies = answer.get("headers") or {}, answer.get("cookies") or []
    if not isinstance(given, dict) or not isinstance(cookies, list):
        raise BadAnswer("the answer's headers or cookies are none")
    headers: list[tuple[str, str]] = []
    for name, value in given.items():
        if name.lower() in HOP_HEADERS or value is None:
            continue
        values = value if isinstance(value, list) else [value]
        headers += [(_line(name).lower(), _line(one)) for one in values]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", default_type))
    headers += [("set-cookie", _line(cookie)) for cookie in cookies]
    return Response(status=status, headers=headers)


def _line(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if any(character in text for character in "\r\n\0"):
        raise BadAnswer("a header with a line break")
    return text


def read_prelude(data: bytes) -> Response:
    """What `HttpResponseStream.from` wrote before the eight zeros. Raises BadAnswer."""
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise BadAnswer("the stream's metadata is no JSON object")
    return head(answer, "application/octet-stream")
