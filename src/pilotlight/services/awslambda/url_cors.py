"""A function URL's own CORS configuration: Lambda answers preflights itself, and adds its headers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.protocols.messages import Request, Response


def is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and "origin" in request.headers
        and "access-control-request-method" in request.headers
    )


def preflight(request: Request, cors: Mapping[str, Any]) -> Response:
    """AWS: 200 and nothing in it; headers where the origin is allowed."""
    response = Response(headers=[("content-type", "application/json")])
    if add_headers(request, cors, response):
        if cors.get("AllowMethods"):
            response.headers.append(("access-control-allow-methods", ",".join(cors["AllowMethods"])))
        if cors.get("AllowHeaders"):
            response.headers.append(("access-control-allow-headers", ",".join(cors["AllowHeaders"])))
        if cors.get("MaxAge"):
            response.headers.append(("access-control-max-age", str(cors["MaxAge"])))
    return response


def add_headers(request: Request, cors: Mapping[str, Any], response: Response) -> bool:
    """The headers of a cross-origin answer; False where the origin is not allowed.

    AWS: what the function itself set of these headers gives way to the URL's configuration.
    """
    response.headers[:] = [(name, value) for name, value in response.headers if not name.startswith("access-control-")]
    origin, origins = request.headers.get("origin"), cors.get("AllowOrigins") or ()
    if origin is None or not ("*" in origins or origin in origins):
        return False
    everyone = "*" in origins and not cors.get("AllowCredentials")
    response.headers.append(("access-control-allow-origin", "*" if everyone else origin))
    if not everyone:
        response.headers.append(("vary", "Origin"))
    if cors.get("AllowCredentials"):
        response.headers.append(("access-control-allow-credentials", "true"))
    if cors.get("ExposeHeaders"):
        response.headers.append(("access-control-expose-headers", ",".join(cors["ExposeHeaders"])))
    return True
