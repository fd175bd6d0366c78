"""Websites: a bucket's configuration, and the pages that its website's host serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Request, Response
from pilotlight.services.s3 import errors, events, store
from pilotlight.services.s3.access import Shared
from pilotlight.storage import Database

Params = Mapping[str, Any]
Fetch = Callable[[Params], Awaitable[Response]]
"""GetObject as somebody without credentials. Raises AwsError."""

RULES_MAX = 50
CONDITIONS = {
    "range": "Range",
    "if-match": "IfMatch",
    "if-none-match": "IfNoneMatch",
}


class WebsiteConfigurations:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get_bucket_website(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        found = bucket.settings.get("website")
        if not found:
            raise missing(bucket.name)
        return dict(found)

    async def put_bucket_website(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        given = request["WebsiteConfiguration"]
        check(given)
        await self._shared.database.write(store.change_bucket, bucket, "website", dict(given))

    async def delete_bucket_website(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        await self._shared.database.write(store.change_bucket, bucket, "website", None)


def missing(bucket: str) -> AwsError:
    message = "The specified bucket does not have a website configuration"
    return errors.missing_configuration("NoSuchWebsiteConfiguration", message, bucket)


def check(given: Params) -> None:
    """Raises InvalidArgument or InvalidRequest."""
    everything = given.get("RedirectAllRequestsTo")
    if everything:
        if any(given.get(name) for name in ("IndexDocument", "ErrorDocument", "RoutingRules")):
            message = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            raise errors.invalid_argument(message, "RedirectAllRequestsTo", "not null")
        _check_protocol(everything.get("Protocol"))
        return
    index = given.get("IndexDocument")
    if index is None:
        message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        raise errors.invalid_argument(message, "IndexDocument", "null")
    suffix = index.get("Suffix", "")
    if not suffix or "/" in suffix:
        raise errors.invalid_argument("The IndexDocument Suffix is not well formed", "IndexDocument", suffix)
    if "ErrorDocument" in given and not given["ErrorDocument"].get("Key"):
        raise errors.invalid_argument("The ErrorDocument Key is not well formed", "ErrorDocument", "")
    rules = given.get("RoutingRules", ())
    if len(rules) > RULES_MAX:
        raise errors.invalid_request(f"{len(rules)} routing rules provided, the number of routing rules in a website "
                                     f"configuration is limited to {RULES_MAX}.")  # fmt: skip
    for rule in rules:
        _check_rule(rule)


def _check_rule(rule: Params) -> None:
    redirect, condition = rule.get("Redirect", {}), rule.get("Condition", {})
    if not redirect:
        raise errors.malformed_xml()
    _check_protocol(redirect.get("Protocol"))
    if "ReplaceKeyPrefixWith" in redirect and "ReplaceKeyWith" in redirect:
        raise errors.invalid_request("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    code = redirect.get("HttpRedirectCode")
    if code is not None and not (code.isdigit() and 301 <= int(code) <= 399):
        message = f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300."
        raise errors.invalid_request(message)
    returned = condition.get("HttpErrorCodeReturnedEquals")
    if returned is not None and not (returned.isdigit() and 400 <= int(returned) <= 599):
        message = f"The provided HTTP error code ({returned}) is not valid. Valid codes are 4XX or 5XX."
        raise errors.invalid_request(message)


def _check_protocol(protocol: str | None) -> None:
    if protocol not in (None, "http", "https"):
        raise errors.invalid_request(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
            "automatically."
        )


class Websites:
    """What a website's host answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def answer(self, request: Request, name: str, path: str, fetch: Fetch, request_id: str) -> Response:
        """`path` is percent-encoded and starts with a slash."""
        key = unquote(path[1:])
        site: Params = {}
        try:
            if request.method not in ("GET", "HEAD"):
                members = {"Method": request.method, "ResourceType": "OBJECT"}
                message = "The specified method is not allowed against this resource."
                raise AwsError("MethodNotAllowed", message, status=405, members=members)
            bucket = await self._database.read(store.find_bucket, name)
            if bucket is None:
                raise errors.no_such_bucket(name)
            site = bucket.settings.get("website", {})
            if not site:
                raise missing(name)
            return await self._page(request, name, key, site, fetch)
        except AwsError as error:
            if error.status == 304:
                return Response(status=304, headers=list(error.headers.items()))
            rule = matching(site.get("RoutingRules", ()), key, error.status)
            if rule is not None:
                return redirected(request, rule, key)
            return await self._error(error, name, site, fetch, request_id)

    async def _page(self, request: Request, bucket: str, key: str, site: Params, fetch: Fetch) -> Response:
        everything = site.get("RedirectAllRequestsTo")
        if everything:
            return redirected(request, {"Redirect": everything}, key)
        rule = matching(site.get("RoutingRules", ()), key, None)
        if rule is not None:
            return redirected(request, rule, key)
        suffix = site["IndexDocument"]["Suffix"]
        wanted = key + suffix if not key or key.endswith("/") else key
        asked = {member: request.headers[name] for name, member in CONDITIONS.items() if name in request.headers}
        try:
            response = await fetch({"Bucket": bucket, "Key": wanted, **asked})
        except AwsError as error:
            if error.status in (403, 404) and wanted == key and await self._exists(bucket, f"{key}/{suffix}"):
                # AWS: a folder without its slash is told to come again with it.
                return Response(status=302, headers=[("location", f"/{quote(key)}/")])
            raise
        location = dict(response.headers).get("x-amz-website-redirect-location")
        if location:
            return Response(status=301, headers=[("location", location)])
        return response

    async def _exists(self, bucket: str, key: str) -> bool:
        found = await self._database.read(store.find_current, bucket, key)
        return found is not None and not found.marker

    async def _error(self, error: AwsError, bucket: str, site: Params, fetch: Fetch, request_id: str) -> Response:
        document = site.get("ErrorDocument", {}).get("Key")
        headers = [("x-amz-error-code", error.code), ("x-amz-error-message", error.message)]
        further: AwsError | None = None
        if document and 400 <= error.status < 500:
            try:
                response = await fetch({"Bucket": bucket, "Key": document})
            except AwsError as found:
                further = found
            else:
                response.status = error.status
                response.headers += headers
                return response
        body = _html(error, further, request_id).encode()
        headers += [("content-type", "text/html; charset=utf-8"), ("x-amz-request-id", request_id)]
        return Response(status=error.status, headers=headers, body=body)


def matching(rules: Sequence[Params], key: str, status: int | None) -> Params | None:
    """The first rule that fits. Without a status those are asked that need none."""
    for rule in rules:
        condition = rule.get("Condition", {})
        returned = condition.get("HttpErrorCodeReturnedEquals")
        if returned is not None and (status is None or int(returned) != status):
            continue
        if returned is None and status is not None:
            continue
        if key.startswith(condition.get("KeyPrefixEquals", "")):
            return rule
    return None


def redirected(request: Request, rule: Params, key: str) -> Response:
    redirect = rule["Redirect"]
    if "ReplaceKeyWith" in redirect:
        key = redirect["ReplaceKeyWith"]
    elif "ReplaceKeyPrefixWith" in redirect:
        prefix = rule.get("Condition", {}).get("KeyPrefixEquals", "")
        key = redirect["ReplaceKeyPrefixWith"] + key.removeprefix(prefix)
    protocol = redirect.get("Protocol") or ("https" if request.secure else "http")
    host = redirect.get("HostName") or request.headers.get("host", "")
    status = int(redirect.get("HttpRedirectCode") or 301)
    return Response(status=status, headers=[("location", f"{protocol}://{host}/{quote(key)}")])


def _html(error: AwsError, further: AwsError | None, request_id: str) -> str:
    title = f"{error.status} {HTTPStatus(error.status).phrase}"
    identity = {"RequestId": request_id, "HostId": events.extended_request_id(request_id)}
    lines = [*_items(error, identity)]
    if further is not None:
        lines += ["<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>",
                  *_items(further, {})]  # fmt: skip
    text = "\n".join(lines)
    return f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{text}\n<hr/>\n</body>\n</html>\n"


def _items(error: AwsError, identity: Mapping[str, str]) -> list[str]:
    shown = {"Code": error.code, "Message": error.message, **error.members, **identity}
    return ["<ul>", *(f"<li>{name}: {escape(str(value))}</li>" for name, value in shown.items()), "</ul>"]
