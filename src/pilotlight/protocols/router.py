"""Which operation a request asks for, by its protocol's own means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Request
from pilotlight.protocols.query import parameters

if TYPE_CHECKING:
    from pilotlight.protocols.model import Operation, ServiceModel

Found = tuple["Operation", Mapping[str, str]]

PATHS_CACHED_MAX = 2000
_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """An operation of a REST service, with what a request must have beside method and path."""

    operation: Operation
    labels: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    """Static parts of the query string: name, and value or nothing."""
    needed: tuple[str, ...]
    """Query parameters and headers without which it is another operation."""
    headers: tuple[str, ...]
    required: tuple[str, ...]
    """Query parameters that tell it from another operation of the same static ones, where there is one."""

    @property
    def conditions(self) -> int:
        return len(self.query) + len(self.needed) + len(self.headers)

    @property
    def order(self) -> tuple[int, int]:
        """The more it asks for, the earlier it is tried."""
        return (-self.conditions, -len(self.required))

    def fits(self, given: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        return (
            all(name in given and (not value or given[name] == value) for name, value in self.query)
            and all(name in given for name in self.needed)
            and all(name in headers for name in self.headers)
        )


@dataclass(slots=True)
class _Node:
    """A place in the tree of path segments. A literal is tried before a label, and a label before a greedy one."""

    literals: dict[str, _Node] = field(default_factory=dict)
    label: _Node | None = None
    ending: list[Route] = field(default_factory=list)
    greedy: list[Route] = field(default_factory=list)


class RestRouter:
    """All routes of one REST service: for each method a tree of path segments."""

    def __init__(self, model: ServiceModel) -> None:
        self._roots: dict[str, _Node] = {}
        self._found: dict[tuple[str, str], Found] = {}
        self._by_path = model.name != "s3"
        """Where there is no query, method and path alone tell operations apart. S3 goes by headers, too."""
        for operation in model.operations.values():
            if model.name == "s3" and operation.name in _SUPERSEDED:
                continue
            self._add(self._roots.setdefault(operation.http_method, _Node()), operation, s3=model.name == "s3")

    def _add(self, node: _Node, operation: Operation, *, s3: bool) -> None:
        path, _, query = operation.uri.partition("?")
        route = Route(
            operation=operation,
            labels=tuple(match[1] for match in _LABEL.finditer(path)),
            # AWS: S3's clients add `x-id` with the operation's name, which nothing depends on.
            query=tuple((k, v) for k, v in parse_qsl(query, keep_blank_values=True) if not (s3 and k == "x-id")),
            needed=_NEEDED_QUERY.get(operation.name, ()) if s3 else (),
            headers=_NEEDED_HEADERS.get(operation.name, ()) if s3 else (),
            required=_required_query(operation),
        )
        for segment in path.strip("/").split("/") if path.strip("/") else ():
            match = _LABEL.fullmatch(segment)
            if match is None:
                node = node.literals.setdefault(segment, _Node())
            elif match[2]:
                node.greedy.append(route)
                node.greedy.sort(key=lambda one: one.order)
                return  # a greedy label takes the rest of the path
            else:
                node.label = node.label or _Node()
                node = node.label
        node.ending.append(route)
        node.ending.sort(key=lambda one: one.order)

    def find(self, request: Request) -> Found | None:
        if request.query or not self._by_path:
            return self._find(request)
        index = (request.method, request.path)
        found = self._found.get(index)
        if found is None:
            found = self._find(request)
            if found is not None:
                if len(self._found) >= PATHS_CACHED_MAX:
                    self._found.clear()
                self._found[index] = found
        return found

    def _find(self, request: Request) -> Found | None:
        root = self._roots.get(request.method)
        if root is None:
            return None
        segments = request.path[1:].split("/") if len(request.path) > 1 else []
        given = dict(parse_qsl(request.query, keep_blank_values=True)) if request.query else {}
        for routes, values in _candidates(root, segments, 0, ()):
            route = _best(routes, given, request.headers)
            if route is not None:
                texts = {name: _decoded(value) for name, value in zip(route.labels, values, strict=True)}
                return route.operation, texts
        return None


def _best(routes: list[Route], given: Mapping[str, str], headers: Mapping[str, str]) -> Route | None:
    """The first route that fits. Where a required parameter is missing, another one with as many conditions may fit
    (`?analytics` lists what `?analytics&id=…` gets), but never one with fewer: that would be `DeleteBucket`.
    """
    first: Route | None = None
    for route in routes:
        if first is not None and route.conditions < first.conditions:
            return first
        if route.fits(given, headers):
            if all(name in given for name in route.required):
                return route
            first = first or route
    return first


def _required_query(operation: Operation) -> tuple[str, ...]:
    if operation.input is None:
        return ()
    members = ((name, operation.input.members[name]) for name in operation.input.required)
    return tuple(member.wire_name or name for name, member in members if member.location == "querystring")


def _candidates(
    node: _Node, segments: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[list[Route], tuple[str, ...]]]:
    """Places that the path leads to, the most literal first, with what its labels stand for."""
    left = len(segments) - at
    # AWS: a slash at the end of the path means nothing: `/bucket/` is the bucket, not an object without a name.
    if left == 0 or (left == 1 and not segments[at]):
        if node.ending:
            yield node.ending, values
        return
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        yield from _candidates(literal, segments, at + 1, values)
    if node.label is not None and segment:
        yield from _candidates(node.label, segments, at + 1, (*values, segment))
    if node.greedy:
        yield node.greedy, (*values, "/".join(segments[at:]))


def _decoded(text: str) -> str:
    return unquote(text) if "%" in text else text


# AWS: old forms of operations that are still in the model, with the same method and URI as the new ones; and one
# that only the endpoints of directory buckets have, with the method and URI of `ListBuckets`.
_SUPERSEDED = (
    "GetBucketNotification",
    "PutBucketNotification",
    "GetBucketLifecycle",
    "PutBucketLifecycle",
    "ListDirectoryBuckets",
)
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
        return _method_not_allowed(request)
    return AwsError("UnknownOperationException", "Unknown operation", status=404)


def _method_not_allowed(request: Request) -> AwsError:
    bucket, _, key = request.path.strip("/").partition("/")
    kind = "OBJECT" if key else "BUCKET" if bucket else "SERVICE"
    return AwsError(
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
        status=405,
        members={"Method": request.method, "ResourceType": kind},
    )


def _by_target(model: ServiceModel, request: Request) -> Found | AwsError:
    prefix, _, name = request.headers.get("x-amz-target", "").rpartition(".")
    operation = model.operations.get(name)
    if operation is None or prefix != model.target_prefix:
        return AwsError("UnknownOperationException", "")
    return operation, {}


def _by_action(model: ServiceModel, request: Request) -> Found | AwsError:
    given = dict(parse_qsl(request.query, keep_blank_values=True)) if request.query else {}
    if not given.get("Action") and request.body:
        try:
            given = parameters(request)
        except AwsError as error:
            return error
    action = given.get("Action", "")
    if not action:
        return AwsError("MissingAction", "Missing Action")
    operation = model.operations.get(action)
    if operation is None:
        version = given.get("Version") or "NO_VERSION_SPECIFIED"
        return AwsError("InvalidAction", f"Could not find operation {action} for version {version}")
    return operation, {}
