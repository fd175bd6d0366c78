"""Lifecycle policies: checked, evaluated, previewed, and carried out when images fall due.

AWS: all rules are evaluated at once, and then applied by priority; an image that fits a rule's tags is out of reach for
the rules of lower priority; images of a manifest list stay while the list does. AWS takes up to a day to act; here it
happens at the moment itself. Refused by name: transitions to the archive, and counting by pulls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.ecr import layer_store, store
from pilotlight.services.ecr.access import Shared
from pilotlight.services.ecr.deleting import delete
from pilotlight.services.ecr.mutability import matches
from pilotlight.services.ecr.names import no_repository, unsatisfied
from pilotlight.services.ecr.store import Image, Repository
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
DAY_MS = 86_400_000
RULES_MAX = 50
WILDCARDS_MAX = 4
UNUSED_LAYER_MS = DAY_MS
LAYERS_AT_ONCE = 100
PAGE = 100
PAGE_MAX = 1000
_SELECTION = {"tagStatus", "tagPrefixList", "tagPatternList", "countType", "countUnit", "countNumber", "storageClass"}


@dataclass(frozen=True, slots=True)
class Rule:
    priority: int
    status: str
    prefixes: tuple[str, ...]
    patterns: tuple[str, ...]
    counts: bool
    """`imageCountMoreThan`, or else `sinceImagePushed`."""
    number: int

    def fits(self, image: Image) -> bool:
        if self.status == "any":
            return True
        if self.status == "untagged":
            return not image.tags
        # AWS: of several prefixes or patterns an image must have tags for all.
        by_prefix = all(any(tag.startswith(one) for tag in image.tags) for one in self.prefixes)
        by_pattern = all(any(matches(one, tag) for tag in image.tags) for one in self.patterns)
        return bool(image.tags) and by_prefix and by_pattern


def parse(text: str) -> list[Rule]:
    """By priority. Raises InvalidParameterException in AWS's words."""
    try:
        rules = json.loads(text)["rules"]
        parsed = [_rule(one) for one in rules]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _refused("Lifecycle policy validation failure: could not map the document to its schema") from None
    if not 1 <= len(parsed) <= RULES_MAX:
        raise _refused(f"Lifecycle policy validation failure: between 1 and {RULES_MAX} rules")
    parsed.sort(key=lambda rule: rule.priority)
    if len({rule.priority for rule in parsed}) < len(parsed):
        raise _refused("Lifecycle policy validation failure: rulePriority must be unique")
    for status in ("any", "untagged"):
        if sum(rule.status == status for rule in parsed) > 1:
            raise _refused(f"Lifecycle policy validation failure: only one rule may select '{status}'")
    if any(rule.status == "any" for rule in parsed[:-1]):
        raise _refused("Lifecycle policy validation failure: rule with tagStatus 'any' must have the highest priority")
    return parsed


def _refused(what: str) -> AwsError:
    return unsatisfied("LifecyclePolicyText", what)


def _rule(given: Mapping[str, Any]) -> Rule:
    selection, action = given["selection"], given["action"]
    unknown = sorted(
        {*set(given) - {"rulePriority", "description", "selection", "action"}, *set(selection) - _SELECTION}
    )
    if unknown:
        raise _refused(f"Lifecycle policy validation failure: unknown member {unknown[0]}")
    if action["type"] != "expire" or set(action) != {"type"} or selection.get("storageClass", "standard") != "standard":
        raise NotImplementedHere(f"lifecycle policies with the action {action['type']!r} or storage classes")
    status, kind, number = selection["tagStatus"], selection["countType"], selection["countNumber"]
    prefixes, patterns = selection.get("tagPrefixList") or (), selection.get("tagPatternList") or ()
    if kind in ("sinceImagePulled", "sinceImageTransitioned"):
        raise NotImplementedHere(f"lifecycle policies with the countType {kind}")
    numbers = [given["rulePriority"], number]
    if any(not isinstance(one, int) or isinstance(one, bool) or one < 1 for one in numbers):
        raise _refused("Lifecycle policy validation failure: rulePriority and countNumber must be positive integers")
    if status not in ("tagged", "untagged", "any") or kind not in ("imageCountMoreThan", "sinceImagePushed"):
        raise _refused("Lifecycle policy validation failure: unknown tagStatus or countType")
    if (status == "tagged") != bool(prefixes or patterns) or (prefixes and patterns):
        message = "tagged rules need one of tagPrefixList and tagPatternList, and others neither"
        raise _refused(f"Lifecycle policy validation failure: {message}")
    if (kind == "sinceImagePushed") != ("countUnit" in selection) or selection.get("countUnit", "days") != "days":
        raise _refused(
            "Lifecycle policy validation failure: countUnit is 'days' with sinceImagePushed, and else absent"
        )
    if any(one.count("*") > WILDCARDS_MAX for one in patterns):
        raise _refused(f"Lifecycle policy validation failure: at most {WILDCARDS_MAX} wildcards in a tag pattern")
    return Rule(given["rulePriority"], status, tuple(prefixes), tuple(patterns), kind == "imageCountMoreThan", number)


@dataclass(frozen=True, slots=True)
class Evaluation:
    expired: list[tuple[Image, Rule]]
    """Oldest first."""
    next_due_ms: int | None


def evaluate(rules: Sequence[Rule], images: Sequence[Image], now_ms: int) -> Evaluation:
    """`images` oldest first."""
    expired: dict[str, tuple[Image, Rule]] = {}
    claimed: set[str] = set()
    due: list[int] = []
    for rule in rules:
        fitting = [image for image in images if rule.fits(image)]
        if rule.counts:
            identified = fitting[: max(0, len(fitting) - rule.number)]
        else:
            age_ms = rule.number * DAY_MS
            identified = [image for image in fitting if image.pushed_ms + age_ms <= now_ms]
            due += [image.pushed_ms + age_ms for image in fitting if image.pushed_ms + age_ms > now_ms]
        expired |= {image.digest: (image, rule) for image in identified if image.digest not in claimed}
        claimed |= {image.digest for image in fitting}
    ordered = [expired[image.digest] for image in images if image.digest in expired]
    return Evaluation(ordered, min(due, default=None))


class Lifecycle:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def put_lifecycle_policy(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        text = request["lifecyclePolicyText"]
        parse(text)
        await self._change(repository, {"lifecycle": text, "evaluated_ms": None})
        self._shared.wake()
        return {**_place(repository), "lifecyclePolicyText": text}

    async def get_lifecycle_policy(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        return {**_place(repository), "lifecyclePolicyText": _text(repository), **_evaluated(repository)}

    async def delete_lifecycle_policy(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        text = _text(repository)
        await self._change(repository, {"lifecycle": None, "evaluated_ms": None})
        return {**_place(repository), "lifecyclePolicyText": text, **_evaluated(repository)}

    async def start_lifecycle_policy_preview(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        text = request.get("lifecyclePolicyText") or _text(repository)
        parse(text)
        await self._change(repository, {"preview": {"policy": text, "at_ms": self._shared.clock.now_ms()}})
        return {**_place(repository), "lifecyclePolicyText": text, "status": "IN_PROGRESS"}

    async def get_lifecycle_policy_preview(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        preview = repository.settings.get("preview")
        if preview is None:
            raise AwsError(
                "LifecyclePolicyPreviewNotFoundException",
                f"Lifecycle policy preview does not exist for the repository with name '{repository.name}' in the "
                f"registry with id '{repository.account}'",
            )
        images = await self._shared.database.scan(store.list_images, repository)
        expired = evaluate(parse(preview["policy"]), images, preview["at_ms"]).expired
        wanted = [one.get("imageDigest") for one in request.get("imageIds") or ()]
        status = (request.get("filter") or {}).get("tagStatus", "ANY")
        chosen = [
            (image, rule)
            for image, rule in expired
            if (not wanted or image.digest in wanted) and (status == "ANY" or (status == "TAGGED") == bool(image.tags))
        ]
        limit, start = min(request.get("maxResults", PAGE), PAGE_MAX), _offset(request)
        answer = {
            **_place(repository),
            "lifecyclePolicyText": preview["policy"],
            "status": "COMPLETE",
            "previewResults": [_previewed(image, rule) for image, rule in chosen[start : start + limit]],
            "summary": {"expiringImageTotalCount": len(expired)},
        }
        return answer | ({"nextToken": str(start + limit)} if len(chosen) > start + limit else {})

    async def _change(self, repository: Repository, changes: Mapping[str, Any]) -> None:
        if not await self._shared.database.write(store.change_settings, repository, changes):
            raise no_repository(repository.name, repository.account)


class LifecycleWork:
    """A reconciler's work: expire images, and forget layers that no image needs."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def work(self) -> int | None:
        now_ms = self._shared.clock.now_ms()
        due: list[int] = []
        for repository in await self._shared.database.scan(store.every_repository):
            if "lifecycle" in repository.settings:
                next_ms = await self._shared.database.write(_expire, repository, now_ms)
                due += [next_ms] if next_ms is not None else []
        while blobs := await self._shared.database.write(
            layer_store.outdated, now_ms - UNUSED_LAYER_MS, LAYERS_AT_ONCE
        ):
            await self._shared.content.discard(blobs)
        return min(due, default=None)


def _expire(tx: Transaction, named: Repository, now_ms: int) -> int | None:
    repository = store.repository_by_id(tx, named.id)
    if repository is None or "lifecycle" not in repository.settings:
        return None
    result = evaluate(parse(repository.settings["lifecycle"]), store.list_images(tx, repository), now_ms)
    gone = 0
    for image, _ in result.expired:
        # An image of a list fails, and stays.
        gone += isinstance(delete(tx, repository, image, {"imageDigest": image.digest}, now_ms), list)
    if gone or "evaluated_ms" not in repository.settings:
        store.change_settings(tx, repository, {"evaluated_ms": now_ms})
    return result.next_due_ms


def _place(repository: Repository) -> dict[str, Any]:
    return {"registryId": repository.account, "repositoryName": repository.name}


def _text(repository: Repository) -> str:
    text = repository.settings.get("lifecycle")
    if text is None:
        raise AwsError(
            "LifecyclePolicyNotFoundException",
            f"Lifecycle policy does not exist for the repository with name '{repository.name}' in the registry with id "
            f"'{repository.account}'",
        )
    return str(text)


def _evaluated(repository: Repository) -> dict[str, Any]:
    at_ms = repository.settings.get("evaluated_ms", 0)
    return {"lastEvaluatedAt": datetime.fromtimestamp(at_ms / 1000, UTC)}


def _offset(request: Request) -> int:
    token = request.get("nextToken", "0")
    if not token.isdigit():
        raise unsatisfied("nextToken", "Invalid token")
    return int(token)


def _previewed(image: Image, rule: Rule) -> dict[str, Any]:
    return {
        "imageDigest": image.digest,
        "imagePushedAt": datetime.fromtimestamp(image.pushed_ms / 1000, UTC),
        "action": {"type": "EXPIRE"},
        "appliedRulePriority": rule.priority,
        **({"imageTags": list(image.tags)} if image.tags else {}),
    }
