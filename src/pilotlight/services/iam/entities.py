"""IAM's nouns as values: their ARNs, their words for each other, their limits, and the pages of lists."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from pilotlight.errors import AwsError

Kind = Literal["user", "role", "group", "instance-profile"]
T = TypeVar("T")

NOUNS: Mapping[str, str] = {"user": "user", "role": "role", "group": "group", "instance-profile": "Instance Profile"}
ID_PREFIXES: Mapping[str, str] = {"user": "AIDA", "role": "AROA", "group": "AGPA", "instance-profile": "AIPA"}
INLINE_CHARACTERS_MAX: Mapping[str, int] = {"user": 2048, "role": 10240, "group": 5120}
POLICY_CHARACTERS_MAX = 6144
TRUST_CHARACTERS_MAX = 2048
ATTACHED_MAX = 10
GROUPS_OF_USER_MAX = 10
ACCESS_KEYS_MAX = 2
POLICY_VERSIONS_MAX = 5
TAGS_MAX = 50
PAGE_ITEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A user, role, group or instance profile."""

    account: str
    kind: Kind
    name: str
    path: str
    id: str
    created_ms: int
    trust: str = ""
    """A role's trust policy."""
    description: str = ""
    max_session_seconds: int = 3600
    boundary: str = ""
    """ARN of the permissions boundary."""

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:{self.kind}{self.path}{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPolicy:
    account: str
    arn: str
    name: str
    path: str
    id: str
    description: str
    default_version: int
    last_version: int
    created_ms: int
    updated_ms: int
    attachments: int = 0
    boundary_uses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    arn: str
    version: int
    document: str
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    id: str
    account: str
    user_name: str
    secret: str
    active: bool
    created_ms: int


def moment(created_ms: int) -> datetime:
    """As IAM shows times: whole seconds."""
    return datetime.fromtimestamp(created_ms // 1000, UTC)


def encoded(document: str) -> str:
    """AWS: documents are returned URL-encoded after RFC 3986; boto3 decodes them again."""
    return quote(document, safe="~")


def no_such(kind: str, name: str) -> AwsError:
    if kind == "instance-profile":
        return AwsError("NoSuchEntity", f"Instance Profile {name} cannot be found.", status=404)
    return AwsError("NoSuchEntity", f"The {kind} with name {name} cannot be found.", status=404)


def no_such_policy(arn: str) -> AwsError:
    return AwsError("NoSuchEntity", f"Policy {arn} was not found.", status=404)


def not_attachable(arn: str) -> AwsError:
    return AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", status=404)


def exists(kind: str, name: str) -> AwsError:
    if kind == "instance-profile":
        text = f"Instance Profile {name} already exists."
    elif kind == "policy":
        text = f"A policy called {name} already exists. Duplicate names are not allowed."
    else:
        text = f"{kind.capitalize()} with name {name} already exists."
    return AwsError("EntityAlreadyExists", text, status=409)


def conflict(text: str) -> AwsError:
    return AwsError("DeleteConflict", text, status=409)


def limit_exceeded(text: str) -> AwsError:
    return AwsError("LimitExceeded", text, status=409)


def page(
    items: Sequence[T], request: Mapping[str, Any], member: str, shape: Callable[[T], Any], key: Callable[[T], str]
) -> dict[str, Any]:
    """The part of a list that `Marker` and `MaxItems` ask for. `key` orders the items and names the next page."""
    after = _read_marker(request.get("Marker"))
    wanted = [item for item in sorted(items, key=key) if after is None or key(item) > after]
    limit = request.get("MaxItems", PAGE_ITEMS)
    result: dict[str, Any] = {member: [shape(item) for item in wanted[:limit]], "IsTruncated": len(wanted) > limit}
    if len(wanted) > limit:
        result["Marker"] = base64.urlsafe_b64encode(key(wanted[limit - 1]).encode()).decode()
    return result


def _read_marker(marker: str | None) -> str | None:
    if marker is None:
        return None
    try:
        return base64.b64decode(marker.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise AwsError("ValidationError", f"Invalid Marker: {marker}") from None


def tags_shape(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in sorted(tags.items())]


def tags_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a request. Raises AWS's refusal for a key that is there twice, or too many."""
    tags: dict[str, str] = {}
    folded: set[str] = set()
    for tag in request.get("Tags") or ():
        name = tag["Key"]
        if name.lower() in folded:
            message = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            raise AwsError("InvalidInput", message)
        if name.lower().startswith("aws:"):
            message = "System tags cannot be added/updated/deleted"
            raise AwsError("InvalidInput", message)
        folded.add(name.lower())
        tags[name] = tag["Value"]
    if len(tags) > TAGS_MAX:
        raise limit_exceeded(f"Cannot exceed quota for TagsPerResource: {TAGS_MAX}")
    return tags
