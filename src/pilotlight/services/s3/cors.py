"""Cross-origin rules: kept for a bucket, and matched with an origin. `CrossOrigin` is what the gateway asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Request, Response
from pilotlight.services.s3 import errors, store
from pilotlight.services.s3.access import Shared
from pilotlight.storage import Database

Params = Mapping[str, Any]

RULES_MAX = 100
METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


class Cors:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get_bucket_cors(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        rules = bucket.settings.get("cors")
        if not rules:
            message = "The CORS configuration does not exist"
            raise errors.missing_configuration("NoSuchCORSConfiguration", message, bucket.name)
        return {"CORSRules": rules}

    async def put_bucket_cors(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        rules = request["CORSConfiguration"]["CORSRules"]
        check(rules)
        await self._shared.database.write(store.change_bucket, bucket, "cors", [dict(rule) for rule in rules])

    async def delete_bucket_cors(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        await self._shared.database.write(store.change_bucket, bucket, "cors", None)


def check(rules: Sequence[Params]) -> None:
    if not rules or len(rules) > RULES_MAX:
        raise errors.malformed_xml()
    for rule in rules:
        for method in rule["AllowedMethods"]:
            if method not in METHODS:
                message = f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
                raise errors.invalid_request(message)
        for origin in rule["AllowedOrigins"]:
            if origin.count("*") > 1:
                raise errors.invalid_request(f'AllowedOrigin "{origin}" can not have more than one wildcard.')
        for header in rule.get("AllowedHeaders", ()):
            if header.count("*") > 1:
                raise errors.invalid_request(f'AllowedHeader "{header}" can not have more than one wildcard.')
        for header in rule.get("ExposeHeaders", ()):
            if "*" in header:
                message = f'ExposeHeader "{header}" contains wildcard. We currently do not support wildcard for '
                raise errors.invalid_request(message + "ExposeHeader.")


def match(
    rules: Sequence[Params], *, origin: str, method: str, asked_headers: Sequence[str] = ()
) -> dict[str, str] | None:
    """The headers of the first rule that fits, for a preflight or a plain request; None where none does."""
    for rule in rules:
        allowed = next((text for text in rule["AllowedOrigins"] if _fits(origin, text)), None)
        if allowed is None or method not in rule["AllowedMethods"]:
            continue
        patterns = [pattern.lower() for pattern in rule.get("AllowedHeaders", ())]
        names = [name.strip().lower() for name in asked_headers if name.strip()]
        if not all(any(_fits(name, pattern) for pattern in patterns) for name in names):
            continue
        return _headers(rule, "*" if allowed == "*" else origin, names)
    return None


def _headers(rule: Params, origin: str, names: Sequence[str]) -> dict[str, str]:
    headers = {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": ", ".join(rule["AllowedMethods"]),
        "vary": VARY,
    }
    if names:
        headers["access-control-allow-headers"] = ", ".join(names)
    if rule.get("ExposeHeaders"):
        headers["access-control-expose-headers"] = ", ".join(rule["ExposeHeaders"])
    if rule.get("MaxAgeSeconds") is not None:
        headers["access-control-max-age"] = str(rule["MaxAgeSeconds"])
    if origin != "*":
        headers["access-control-allow-credentials"] = "true"
    return headers


def _fits(text: str, pattern: str) -> bool:
    literal = pattern.replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(text, literal)


class CrossOrigin:
    """What browsers are told: the answer to their preflight, and the headers of what a page asks after it.

    The paths are path-style: the gateway has put a virtual host's bucket in front.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preflight(self, request: Request) -> Response:
        """Raises AccessForbidden, or BadRequest where it is no preflight."""
        origin, method = request.headers.get("origin"), request.headers.get("access-control-request-method")
        if not origin:
            raise AwsError("BadRequest", "Insufficient information. Origin request header needed.")
        if method not in METHODS:
            raise AwsError("BadRequest", f"Invalid Access-Control-Request-Method: {method or 'null'}")
        name, key = _split(request.path)
        bucket = await self._database.read(store.find_bucket, name)
        rules = bucket.settings.get("cors") if bucket else None
        asked = request.headers.get("access-control-request-headers", "").split(",")
        headers = match(rules or (), origin=origin, method=method, asked_headers=asked)
        if headers is None:
            raise refused_preflight(method, key, missing=bucket is None, configured=bool(rules))
        return Response(headers=list(headers.items()))

    async def headers(self, request: Request) -> dict[str, str]:
        """The headers that let a page read the answer; nothing where no rule names its origin."""
        origin = request.headers.get("origin")
        if not origin:
            return {}
        bucket = await self._database.read(store.find_bucket, _split(request.path)[0])
        rules = bucket.settings.get("cors", ()) if bucket else ()
        # AWS: a page's request that carries a preflight's header is matched by the method named there.
        method = request.headers.get("access-control-request-method", request.method)
        return match(rules, origin=origin, method=method) or {}


def _split(path: str) -> tuple[str, str]:
    bucket, _, key = path.removeprefix("/").partition("/")
    return unquote(bucket), key


def refused_preflight(method: str, key: str, *, missing: bool, configured: bool) -> AwsError:
    """AWS: a preflight that no rule allows is 403, and says whether a bucket or an object was asked for."""
    message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, " \
              "request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted " \
              "by the resource's CORS spec."  # fmt: skip
    if missing:
        message = "CORSResponse: Bucket not found"
    elif not configured:
        message = "CORSResponse: CORS is not enabled for this bucket."
    members = {"Method": method, "ResourceType": "OBJECT" if key else "BUCKET"}
    return AwsError("AccessForbidden", message, status=403, members=members)
