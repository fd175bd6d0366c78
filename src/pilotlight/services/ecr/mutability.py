"""Whether a tag may move to another image: a repository's choice, with patterns of tags that are excepted from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.ecr.names import unsatisfied
from pilotlight.services.ecr.store import Repository

FILTERS_MAX = 5
WILDCARDS_MAX = 2
_FILTER = re.compile(r"[0-9a-zA-Z._*-]{1,128}")


def check_mutability(request: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a request asks for."""
    mutability = request.get("imageTagMutability", "MUTABLE")
    filters = request.get("imageTagMutabilityExclusionFilters") or []
    if mutability not in ("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"):
        raise unsatisfied("imageTagMutability", "Member must satisfy enum value set: [MUTABLE, IMMUTABLE, "
                          "IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION]")  # fmt: skip
    if mutability.endswith("_WITH_EXCLUSION") != bool(filters):
        raise unsatisfied("imageTagMutabilityExclusionFilters", "must be given with, and only with, a mutability that "
                          "has exclusions")  # fmt: skip
    if len(filters) > FILTERS_MAX:
        raise unsatisfied("imageTagMutabilityExclusionFilters", f"at most {FILTERS_MAX} filters")
    for one in filters:
        pattern = one["filter"]
        if one["filterType"] != "WILDCARD" or not _FILTER.fullmatch(pattern) or pattern.count("*") > WILDCARDS_MAX:
            raise unsatisfied("imageTagMutabilityExclusionFilters", f"invalid filter '{pattern}'")
    return {"mutability": mutability, **({"exclusions": filters} if filters else {})}


def immutable(repository: Repository, tag: str) -> bool:
    mutability = repository.settings.get("mutability", "MUTABLE")
    excepted = any(matches(one["filter"], tag) for one in repository.settings.get("exclusions", ()))
    return bool(mutability.startswith("IMMUTABLE") != excepted)


def matches(pattern: str, tag: str) -> bool:
    """`*` stands for any characters; nothing else is special."""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), tag) is not None


def tag_taken(repository: Repository, tag: str) -> AwsError:
    return AwsError(
        "ImageTagAlreadyExistsException",
        f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten because "
        f"the {'tag' if repository.settings.get('exclusions') else 'repository'} is immutable.",
    )
