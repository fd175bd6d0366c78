"""The registry that `docker`, `crane` and `skopeo` talk to: OCI's distribution protocol over ECR's rows.

Reached by a registry's own host name, or at `/v2/` of the plain endpoint, where the registry is that of whoever asks.
The password is one of GetAuthorizationToken's; on a node that admits strangers, any other makes its bearer the
account's administrator, as any unknown access key does. Each request needs the permission of the API operation that
does the same, also under the repository's policy. AWS: blobs cannot be deleted by this road.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from pilotlight.errors import AwsError
from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Request, Response
from pilotlight.services.ecr import blobs, tags
from pilotlight.services.ecr.access import EcrGuard, Shared
from pilotlight.services.ecr.names import NAME
from pilotlight.services.ecr.store import Repository
from pilotlight.services.ecr.strangers import Logins

VERSION = ("docker-distribution-api-version", "registry/2.0")
Answer = Callable[["Visit"], Awaitable[Response]]

CODES: Mapping[str, tuple[str, int]] = {
    "RepositoryNotFoundException": ("NAME_UNKNOWN", 404),
    "ImageNotFoundException": ("MANIFEST_UNKNOWN", 404),
    "ImageTagAlreadyExistsException": ("TAG_INVALID", 400),
    "LayersNotFoundException": ("MANIFEST_BLOB_UNKNOWN", 404),
    "ReferencedImagesNotFoundException": ("MANIFEST_BLOB_UNKNOWN", 404),
    "UploadNotFoundException": ("BLOB_UPLOAD_UNKNOWN", 404),
    "InvalidLayerException": ("DIGEST_INVALID", 400),
    "ImageDigestDoesNotMatchException": ("DIGEST_INVALID", 400),
    "InvalidParameterException": ("MANIFEST_INVALID", 400),
    "LimitExceededException": ("SIZE_INVALID", 413),
    "AccessDeniedException": ("DENIED", 403),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of which the repository is known, and that its sender may have it."""

    shared: Shared
    request: Request
    caller: Caller
    repository: Repository
    reference: str
    """A tag, a digest, or an upload's id."""
    query: Mapping[str, str]
    may: Callable[[str, str], Awaitable[bool]]
    """Whether the caller has this operation's permission in another repository of the registry, by its name."""

    def location(self, rest: str) -> str:
        return f"/v2/{self.repository.name}/{rest}"


_NAME = r"(?P<name>.+?)"
ROUTES: tuple[tuple[re.Pattern[str], Mapping[str, tuple[str, Answer]]], ...] = (
    (
        re.compile(rf"/v2/{_NAME}/blobs/uploads/?"),
        {"POST": ("InitiateLayerUpload", blobs.begin)},
    ),
    (
        re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<reference>[^/]+)"),
        {
            "GET": ("UploadLayerPart", blobs.progress),
            "PATCH": ("UploadLayerPart", blobs.append),
            "PUT": ("CompleteLayerUpload", blobs.complete),
            "DELETE": ("UploadLayerPart", blobs.cancel),
        },
    ),
    (
        re.compile(rf"/v2/{_NAME}/blobs/(?P<reference>[^/]+)"),
        {"GET": ("GetDownloadUrlForLayer", blobs.get), "HEAD": ("BatchCheckLayerAvailability", blobs.get)},
    ),
    (
        re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)"),
        {
            "GET": ("BatchGetImage", tags.get),
            "HEAD": ("BatchGetImage", tags.get),
            "PUT": ("PutImage", tags.put),
            "DELETE": ("BatchDeleteImage", tags.delete),
        },
    ),
    (re.compile(rf"/v2/{_NAME}/tags/list(?P<reference>)"), {"GET": ("ListImages", tags.listed)}),
    (
        re.compile(rf"/v2/{_NAME}/referrers/(?P<reference>[^/]+)"),
        {"GET": ("BatchGetImage", tags.referrers)},
    ),
)


class Registry:
    def __init__(self, shared: Shared, guard: EcrGuard, policies: Policies, logins: Logins) -> None:
        self._shared = shared
        self._guard = guard
        self._policies = policies
        self._logins = logins

    async def answer(self, request: Request, registry: str, region: str, request_id: str) -> Response:
        """`registry` and `region` as the host names them, or nothing at the plain endpoint."""
        try:
            response = await self._answer(request, registry, region, request_id)
        except AwsError as error:
            code, status = CODES.get(error.code, (error.code, error.status))
            response = refused(code, status, error.message, error.members)
            response.headers += error.headers.items()
        response.headers.append(VERSION)
        return response

    async def _answer(self, request: Request, registry: str, region: str, request_id: str) -> Response:
        query = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
        path = unquote(request.path)
        if (key := query.get(blobs.LINK)) is not None:
            return await self._linked(request, key, path, registry, region)
        caller = await self._logins.caller(request, registry, region, request_id)
        if path in ("/v2", "/v2/"):
            return _json(200, {})
        account = registry or caller.account
        if path == "/v2/_catalog" and request.method == "GET":
            return await self._catalog(caller, account, query)
        for pattern, operations in ROUTES:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if request.method not in operations:
                return refused("UNSUPPORTED", 405, f"The operation {request.method} is unsupported here.")
            operation, answer = operations[request.method]
            return await self._visit(request, caller, account, match, query, operation, answer)
        return refused("NAME_INVALID", 404, f"There is nothing at {request.path}.")

    async def _visit(
        self,
        request: Request,
        caller: Caller,
        account: str,
        match: re.Match[str],
        query: Mapping[str, str],
        operation: str,
        answer: Answer,
    ) -> Response:
        name, found = match["name"], match.groupdict()
        if not NAME.fullmatch(name):
            return refused("NAME_INVALID", 400, f"Invalid repository name: {name}")

        async def authorise(operation: str, repository: str) -> None:
            params = {"registryId": account, "repositoryName": repository}
            await self._policies.authorise(caller, self._guard, operation, params, protocol="json")

        async def may(operation: str, repository: str) -> bool:
            try:
                await authorise(operation, repository)
            except AwsError:
                return False
            return True

        await authorise(operation, name)
        repository = await self._shared.repository(caller, {"registryId": account, "repositoryName": name})
        return await answer(
            Visit(
                shared=self._shared,
                request=request,
                caller=caller,
                repository=repository,
                reference=found.get("reference") or "",
                query=query,
                may=may,
            )
        )

    async def _linked(self, request: Request, key: str, path: str, registry: str, region: str) -> Response:
        """A layer by an address of GetDownloadUrlForLayer: the key in it is for this one layer."""
        match = ROUTES[2][0].fullmatch(path)
        if match is None or request.method not in ("GET", "HEAD") or not registry:
            return refused("DENIED", 403, "This key opens layers only.")
        caller = self._logins.nobody(request, registry, region)
        asked = {"registryId": registry, "repositoryName": match["name"]}
        repository = await self._shared.repository(caller, asked)
        if not self._logins.opens(key, f"{repository.id}/{match['reference']}"):
            return refused("DENIED", 403, "The key is not this layer's, or no more valid.")
        return await blobs.send(self._shared, request, repository, match["reference"])

    async def _catalog(self, caller: Caller, account: str, query: Mapping[str, str]) -> Response:
        params = {"registryId": account}
        await self._policies.authorise(caller, self._guard, "DescribeRepositories", params, protocol="json")
        names, more = await tags.catalog(self._shared, caller, account, query)
        response = _json(200, {"repositories": names})
        if more:
            response.headers.append(("link", f'</v2/_catalog?n={len(names)}&last={names[-1]}>; rel="next"'))
        return response


def refused(code: str, status: int, message: str, detail: Mapping[str, Any] | None = None) -> Response:
    error = {"code": code, "message": message, **({"detail": detail} if detail else {})}
    return _json(status, {"errors": [error]})


def _json(status: int, value: Mapping[str, Any]) -> Response:
    headers = [("content-type", "application/json; charset=utf-8")]
    return Response(status=status, headers=headers, body=json.dumps(value).encode())
