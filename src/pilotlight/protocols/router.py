"""Which operation a request asks for, by its protocol's own means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request
from pilotlight.protocols.query import parameters

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel

Found = tuple["Operation", Mapping[str, str]]

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class RestRoute:
    operation: Operation
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    """Static parts of the query string: name, and value or nothing."""
    needed: tuple[str, ...]
    """Query parameters and headers without which it is another operation."""
    headers: tuple[str, ...]

    @property
    def weight(self) -> tuple[int, int, int, int]:
        """The more it asks for, the earlier it is tried."""
        literal = len(_LABEL.sub("", self.operation.uri.partition("?")[0]))
        greedy = self.operation.uri.count("+}")
        return (-len(self.query) - len(self.needed) - len(self.headers), greedy, -literal, len(self.labels))


class RestRouter:
    """All routes of one REST service, by method."""

    def __init__(self, model: ServiceModel) -> None:
        self._routes: dict[str, list[RestRoute]] = {}
        for operation in model.operations.values():
            if model.name == "s3" and operation.name in _SUPERSEDED:
                continue
            self._routes.setdefault(operation.http_method, []).append(_route(operation))
        for routes in self._routes.values():
            routes.sort(key=lambda route: route.weight)

    def find(self, request: Request) -> Found | None:
        given: dict[str, str] | None = None
        best: RestRoute | None = None
        values: tuple[str, ...] = ()
        for route in self._routes.get(request.method, ()):
            match = route.pattern.match(request.path)
            if match is None:
                continue
            if route.query or route.needed:
                if given is None:
                    given = dict(parse_qsl(request.query, keep_blank_values=True))
                if any(name not in given or (value and given[name] != value) for name, value in route.query):
                    continue
                if any(name not in given for name in route.needed):
                    continue
            if any(name not in request.headers for name in route.headers):
                continue
            best, values = route, match.groups()
            break
        if best is None:
            return None
        return best.operation, {name: unquote(value) for name, value in zip(best.labels, values, strict=True)}


# AWS: old forms of operations that are still in the model, with the same method and URI as the new ones.
_SUPERSEDED = ("GetBucketNotification", "PutBucketNotification", "GetBucketLifecycle", "PutBucketLifecycle")
# Where the model alone does not tell two operations apart: what the one needs that the other lacks.
_NEEDED_QUERY: dict[str, tuple[str, ...]] = {
    "UploadPart": ("partNumber", "uploadId"),
    "UploadPartCopy": ("partNumber", "uploadId"),
    "ListParts": ("uploadId",),
    "AbortMultipartUpload": ("uploadId",),
    "CompleteMultipartUpload": ("uploadId",),
}
_NEEDED_HEADERS: dict[str, tuple[str, ...]] = {
    "CopyObject": ("x-amz-copy-source",),
    "UploadPartCopy": ("x-amz-copy-source",),
    "RenameObject": ("x-amz-rename-source",),
}


def _route(operation: Operation) -> RestRoute:
    path, _, query = operation.uri.partition("?")
    labels: list[str] = []

    def label(match: re.Match[str]) -> str:
        labels.append(match[1])
        return "\x00" if match[2] else "\x01"

    text = re.escape(_LABEL.sub(label, path).rstrip("/") or "/")
    # An S3 key may begin with a slash and may be anything; elsewhere a label has at least one character.
    text = text.replace(re.escape("\x00"), "\x00").replace(re.escape("\x01"), "\x01")
    text = text.replace("\x00", "(.+)").replace("\x01", "([^/]+)")
    pattern = re.compile(f"^{text}/?$" if not text.endswith("(.+)") else f"^{text}$", re.DOTALL)
    s3 = operation.model.name == "s3"
    static = tuple(
        (name, value) for name, value in parse_qsl(query, keep_blank_values=True) if not (s3 and name == "x-id")
    )
    return RestRoute(
        operation=operation,
        pattern=pattern,
        labels=tuple(labels),
        query=static,
        needed=_NEEDED_QUERY.get(operation.name, ()) if s3 else (),
        headers=_NEEDED_HEADERS.get(operation.name, ()) if s3 else (),
    )


def find_operation(model: ServiceModel, request: Request) -> Found | AwsError:
    """The operation and its path labels, or AWS's answer to what is no operation."""
    if model.protocol == "json":
        return _by_target(model, request)
    if model.protocol == "query":
        return _by_action(model, request)
    found = model.rest_router.find(request)
    if found is not None:
        return found
    if model.name == "s3":
        members = {"Method": request.method, "ResourceType": "OBJECT" if request.path.count("/") > 1 else "BUCKET"}
        message = "The specified method is not allowed against this resource."
        return AwsError("MethodNotAllowed", message, status=405, members=members)
    return AwsError("UnknownOperationException", "Unknown operation", status=404)


def _by_target(model: ServiceModel, request: Request) -> Found | AwsError:
    prefix, _, name = request.headers.get("x-amz-target", "").rpartition(".")
    operation = model.operations.get(name)
    if operation is None or prefix != model.target_prefix:
        return AwsError("UnknownOperationException", "")
    return operation, {}


def _by_action(model: ServiceModel, request: Request) -> Found | AwsError:
    action = dict(parse_qsl(request.query)).get("Action", "")
    if not action and request.body:
        action = parameters(request).get("Action", "")
    if not action:
        return AwsError("MissingAction", "Missing Action")
    operation = model.operations.get(action)
    if operation is None:
        message = f"Could not find operation {action} for version {model.api_version}"
        return AwsError("InvalidAction", message)
    return operation, {}
