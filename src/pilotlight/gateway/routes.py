"""Where a request goes: to an operation of a service, to a data plane, or nowhere.

The service is found as AWS's own edge would find it: by the credential's scope, by the target header, by
the host's name; what is left is S3, whose paths are the user's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, unquote

from pilotlight.gateway.hosts import HostRoute, read_host
from pilotlight.gateway.registry import Entry, Registry
from pilotlight.protocols.messages import Request

EXECUTE_API_PATH = "/_aws/execute-api/"
WEBSITE_PATH = "/_aws/s3-website/"
REGISTRY_PATH = "/v2"
FUNCTION_URL_PATH = "/_aws/lambda-url/"
TOKEN_ACTIONS = ("Action=ConfirmSubscription&", "Action=Unsubscribe&")
"""What the addresses in SNS's messages do."""
LOCAL_PREFIXES = ("/_pilotlight/", "/_localstack/")

Kind = Literal["service", "execute-api", "website", "registry", "lambda-url", "local", "unknown"]


@dataclass(frozen=True, slots=True)
class Route:
    """`entry` for a service; `api_id`, `path` and `domain` for an HTTP API; `name` and `path` for a bucket's website,
    with `domain` for a function URL; `name` for a registry's account and region, and for what we do not have."""

    kind: Kind
    host: HostRoute
    entry: Entry | None = None
    api_id: str = ""
    path: str = ""
    domain: str = ""
    name: str = ""


class Router:
    def __init__(self, registry: Registry, hosts: str) -> None:
        self._registry = registry
        self._further = frozenset(filter(None, (name.strip().lower() for name in hosts.split(","))))

    def route(self, request: Request) -> Route:
        host = read_host(request.headers.get("host", ""), self._further)
        if host.service == "execute-api":
            domain = request.headers["host"].partition(":")[0]
            return Route("execute-api", host, api_id=host.resource, path=request.path, domain=domain)
        if request.path.startswith(EXECUTE_API_PATH):
            api_id, _, rest = request.path.removeprefix(EXECUTE_API_PATH).partition("/")
            domain = f"{api_id}.execute-api.localhost.localstack.cloud"
            return Route("execute-api", host, api_id=unquote(api_id), path="/" + rest, domain=domain)
        if host.service == "s3-website":
            return Route("website", host, name=host.resource, path=request.path)
        if request.path.startswith(WEBSITE_PATH):
            bucket, _, rest = request.path.removeprefix(WEBSITE_PATH).partition("/")
            return Route("website", host, name=unquote(bucket), path="/" + rest)
        if _is_registry(request, host):
            return Route("registry", host, name=host.resource, path=request.path)
        if host.service == "lambda-url":
            domain = request.headers["host"].partition(":")[0]
            return Route("lambda-url", host, name=host.resource, path=request.path, domain=domain)
        if request.path.startswith(FUNCTION_URL_PATH):
            url_id, _, rest = request.path.removeprefix(FUNCTION_URL_PATH).partition("/")
            domain = f"{url_id}.lambda-url.localhost.localstack.cloud"
            return Route("lambda-url", host, name=unquote(url_id), path="/" + rest, domain=domain)
        if request.path.startswith(LOCAL_PREFIXES):
            return Route("local", host, path=request.path)
        return self._service(request, host)

    def _service(self, request: Request, host: HostRoute) -> Route:
        target = request.headers.get("x-amz-target", "")
        if target and (entry := self._registry.by_target(target)):
            return Route("service", host, entry)
        name = _scope_service(request) or host.service
        if not name and target:
            return Route("unknown", host, name=target.partition(".")[0])
        if not name:
            name = "sns" if request.path == "/" and request.query.startswith(TOKEN_ACTIONS) else "s3"
        entry = self._registry.by_signing_name(name)
        if entry is None:
            return Route("unknown", host, name=name)
        return Route("service", host, entry)


def _is_registry(request: Request, host: HostRoute) -> bool:
    """No bucket is called `v2`, and whatever else has such paths is signed."""
    if host.service == "ecr-registry":
        return True
    plain = not host.service and (request.path == REGISTRY_PATH or request.path.startswith(f"{REGISTRY_PATH}/"))
    return plain and not _scope_service(request)


def _scope_service(request: Request) -> str:
    """The service of the credential's scope: `…/20260101/us-east-1/SERVICE/aws4_request`."""
    authorization = request.headers.get("authorization", "")
    if authorization:
        start = authorization.find("Credential=")
        scope = authorization[start + 11 :].partition(",")[0].split("/")
        return scope[-2] if start >= 0 and len(scope) >= 5 else ""
    if "X-Amz-Credential=" in request.query:
        scope = parse_qs(request.query).get("X-Amz-Credential", [""])[0].split("/")
        return scope[-2] if len(scope) >= 5 else ""
    return ""


def path_style(request: Request, host: HostRoute) -> None:
    """A virtual-host request becomes a path-style one: `bucket.s3.…/key` → `/bucket/key`."""
    if host.service == "s3" and host.resource:
        request.path = f"/{host.resource}{request.path}"
