"""An HTTP API's own CORS configuration: API Gateway answers preflights itself, and adds its headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.protocols.messages import Request, Response


def is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and "origin" in request.headers
        and "access-control-request-method" in request.headers
    )


def preflight(request: Request, configuration: Mapping[str, Any], request_id: str) -> Response:
    """AWS: 204, with the headers where the origin is allowed, and without where it is not."""
    response = Response(status=204, headers=[("apigw-requestid", request_id)])
    if add_headers(request, configuration, response):
        if methods := configuration.get("AllowMethods"):
            response.headers.append(("access-control-allow-methods", ",".join(methods)))
        if headers := configuration.get("AllowHeaders"):
            response.headers.append(("access-control-allow-headers", ",".join(headers)))
        if "MaxAge" in configuration:
            response.headers.append(("access-control-max-age", str(configuration["MaxAge"])))
    return response


def add_headers(request: Request, configuration: Mapping[str, Any], response: Response) -> bool:
    """The headers of any cross-origin answer; False where the origin is not allowed.

    AWS: what the function itself set of these headers is replaced by the API's configuration.
    """
    response.headers[:] = [(name, value) for name, value in response.headers if not name.startswith("access-control-")]
    origin = request.headers.get("origin")
    if origin is None or not _allowed(origin, configuration.get("AllowOrigins", ())):
        return False
    everyone = "*" in configuration.get("AllowOrigins", ())
    response.headers.append(("access-control-allow-origin", "*" if everyone else origin))
    if not everyone:
        response.headers.append(("vary", "Origin"))
    if configuration.get("AllowCredentials"):
        response.headers.append(("access-control-allow-credentials", "true"))
    if exposed := configuration.get("ExposeHeaders"):
        response.headers.append(("access-control-expose-headers", ",".join(exposed)))
    return True


def _allowed(origin: str, origins: Sequence[str]) -> bool:
    for pattern in origins:
        if pattern in ("*", origin):
            return True
        scheme, star, _ = pattern.partition("*")
        if star and origin.startswith(scheme):
            return True
    return False
