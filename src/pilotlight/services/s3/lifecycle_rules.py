"""Lifecycle rules: checked as AWS checks them, and what they say of a key's versions. Pure.

AWS: an age counts from a version's creation (a noncurrent version's from its successor's), and what it brings
about happens at the first midnight UTC after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pilotlight.errors import AwsError
from pilotlight.services.s3 import errors, tags
from pilotlight.services.s3.store import Bucket, ObjectVersion

Rule = Mapping[str, Any]

DAY_MS = 86_400_000
RULES_MAX = 1000
ID_CHARS_MAX = 255
SMALL_BYTES = 128 * 1024
INFREQUENT_DAYS_MIN = 30
TRANSITION_CLASSES = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
"""From warm to cold: a version only ever goes to the right."""
MINIMUM_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
ACTIONS = (
    "Expiration",
    "Transitions",
    "NoncurrentVersionTransitions",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done to a version."""

    kind: Literal["expire", "remove", "transition"]
    version: ObjectVersion
    storage_class: str = ""


def due_ms(since_ms: int, days: int) -> int:
    """The first midnight UTC at which so many days have passed."""
    return -(-(since_ms + days * DAY_MS) // DAY_MS) * DAY_MS


def moment_ms(given: datetime | str) -> int:
    moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _action_due_ms(action: Rule, since_ms: int) -> int | None:
    if "Date" in action:
        return moment_ms(action["Date"])
    return due_ms(since_ms, action["Days"]) if "Days" in action else None


# Which versions a rule speaks of.


def conditions_of(rule: Rule) -> dict[str, Any]:
    """`prefix`, `tags`, `larger`, `smaller`, from whichever form the rule has."""
    given = rule.get("Filter", {"Prefix": rule.get("Prefix", "")})
    inner = given.get("And", given)
    listed = [*inner.get("Tags", ()), *([inner["Tag"]] if "Tag" in inner else ())]
    return {
        "prefix": inner.get("Prefix", ""),
        "tags": {tag["Key"]: tag["Value"] for tag in listed},
        "larger": inner.get("ObjectSizeGreaterThan"),
        "smaller": inner.get("ObjectSizeLessThan"),
    }


def covers(rule: Rule, version: ObjectVersion) -> bool:
    asked = conditions_of(rule)
    if rule["Status"] != "Enabled" or not version.key.startswith(asked["prefix"]):
        return False
    if version.marker:
        return not asked["tags"] and asked["larger"] is None and asked["smaller"] is None
    return (
        all(version.tags.get(key) == value for key, value in asked["tags"].items())
        and (asked["larger"] is None or version.size > asked["larger"])
        and (asked["smaller"] is None or version.size < asked["smaller"])
    )


def expiry(rules: Sequence[Rule], version: ObjectVersion) -> tuple[int, str] | None:
    """When the current version expires, and by which rule: the earliest that there is."""
    found = [
        (moment, str(rule["ID"]))
        for rule in rules
        if "Expiration" in rule and covers(rule, version)
        if (moment := _action_due_ms(rule["Expiration"], version.modified_ms)) is not None
    ]
    return min(found) if found else None


def expiration_header(rules: Sequence[Rule], version: ObjectVersion) -> str:
    """`x-amz-expiration`, or nothing."""
    found = expiry(rules, version) if version.current and not version.marker else None
    if found is None:
        return ""
    date = datetime.fromtimestamp(found[0] // 1000, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return f'expiry-date="{date}", rule-id="{found[1]}"'


def expiration_member(bucket: Bucket, version: ObjectVersion) -> dict[str, str]:
    """`Expiration` of an answer, where a rule says when."""
    found = bucket.settings.get("lifecycle")
    header = expiration_header(found["rules"], version) if found else ""
    return {"Expiration": header} if header else {}


# What falls due.


def steps(rules: Sequence[Rule], minimum: str, versions: Sequence[ObjectVersion], now_ms: int) -> Iterator[Step]:
    """Of one key's versions, newest first. AWS: expiry wins over a transition."""
    for index, version in enumerate(versions):
        covering = [rule for rule in rules if covers(rule, version)]
        if version.current:
            step = _current_step(covering, minimum, version, now_ms, alone=len(versions) == 1)
        else:
            since_ms = versions[index - 1].modified_ms
            step = _noncurrent_step(covering, minimum, version, now_ms, since_ms=since_ms, newer=index - 1)
        if step is not None:
            yield step


def _current_step(
    rules: Sequence[Rule], minimum: str, version: ObjectVersion, now_ms: int, *, alone: bool
) -> Step | None:
    if version.marker:
        expirations = [rule["Expiration"] for rule in rules if "Expiration" in rule]
        # AWS: a marker with nothing under it also goes by the age that objects expire by.
        due = any(
            one.get("ExpiredObjectDeleteMarker")
            or ((moment := _action_due_ms(one, version.modified_ms)) is not None and moment <= now_ms)
            for one in expirations
        )
        return Step("remove", version) if alone and due else None
    found = expiry(rules, version)
    if found is not None and found[0] <= now_ms:
        return Step("expire", version)
    due_classes = [
        transition["StorageClass"]
        for rule in rules
        for transition in rule.get("Transitions", ())
        if (_action_due_ms(transition, version.modified_ms) or 0) <= now_ms and _large(rule, minimum, version,
                                                                                      transition["StorageClass"])
    ]  # fmt: skip
    return _transition(version, due_classes)


def _noncurrent_step(
    rules: Sequence[Rule], minimum: str, version: ObjectVersion, now_ms: int, *, since_ms: int, newer: int
) -> Step | None:
    """`newer` noncurrent versions are younger than this one."""

    def due(action: Rule) -> bool:
        return newer >= action.get("NewerNoncurrentVersions", 0) and (
            due_ms(since_ms, action.get("NoncurrentDays", 0)) <= now_ms
        )

    if any("NoncurrentVersionExpiration" in rule and due(rule["NoncurrentVersionExpiration"]) for rule in rules):
        return Step("remove", version)
    if version.marker:
        return None
    due_classes = [
        transition["StorageClass"]
        for rule in rules
        for transition in rule.get("NoncurrentVersionTransitions", ())
        if due(transition) and _large(rule, minimum, version, transition["StorageClass"])
    ]
    return _transition(version, due_classes)


def _transition(version: ObjectVersion, classes: Sequence[str]) -> Step | None:
    colder = max(classes, key=TRANSITION_CLASSES.index, default="")
    if not colder or _warmth(colder) <= _warmth(version.storage_class):
        return None
    return Step("transition", version, colder)


def _warmth(storage_class: str) -> int:
    return TRANSITION_CLASSES.index(storage_class) if storage_class in TRANSITION_CLASSES else -1


def _large(rule: Rule, minimum: str, version: ObjectVersion, storage_class: str) -> bool:
    """AWS: small objects stay, unless the rule itself speaks of sizes."""
    asked = conditions_of(rule)
    if asked["larger"] is not None or asked["smaller"] is not None:
        return True
    if minimum == "varies_by_storage_class" and storage_class in ("GLACIER", "DEEP_ARCHIVE"):
        return True
    return version.size >= SMALL_BYTES


def abort_due_ms(rules: Sequence[Rule], key: str, initiated_ms: int) -> int | None:
    """When an upload that is still under way is aborted."""
    found = [
        due_ms(initiated_ms, rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        for rule in rules
        if "AbortIncompleteMultipartUpload" in rule
        and rule["Status"] == "Enabled"
        and key.startswith(conditions_of(rule)["prefix"])
    ]
    return min(found, default=None)


# What AWS refuses.


def check(rules: Sequence[Rule]) -> None:
    if not 1 <= len(rules) <= RULES_MAX:
        raise errors.malformed_xml()
    named = [rule["ID"] for rule in rules if rule.get("ID")]
    if len(set(named)) != len(named):
        raise _invalid("Rule ID must be unique. Found same ID for more than one rule")
    for rule in rules:
        _check_rule(rule)


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidArgument", message)


def _check_rule(rule: Rule) -> None:
    if len(rule.get("ID", "")) > ID_CHARS_MAX:
        raise _invalid(f"ID length should not exceed allowed limit of {ID_CHARS_MAX}")
    if rule["Status"] not in ("Enabled", "Disabled") or ("Filter" in rule) == ("Prefix" in rule):
        raise errors.malformed_xml()
    if not any(rule.get(name) for name in ACTIONS):
        raise errors.invalid_request("At least one action needs to be specified in a rule")
    given = rule.get("Filter", {})
    inner = given.get("And", {})
    if len(given) > 1 or ("And" in given and len(inner) + max(0, len(inner.get("Tags", ())) - 1) < 2):
        raise errors.malformed_xml()
    asked = conditions_of(rule)
    listed = [*inner.get("Tags", ()), *([given["Tag"]] if "Tag" in given else ())]
    tags.read_set(listed, limit=tags.OBJECT_TAGS_MAX)
    if None not in (asked["larger"], asked["smaller"]) and asked["larger"] >= asked["smaller"]:
        raise errors.invalid_request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    _check_tagless(rule, asked)
    _check_expiration(rule)
    for name, action in (("Transition", one) for one in rule.get("Transitions", ())):
        _check_transition(rule, name, action)
    for action in rule.get("NoncurrentVersionTransitions", ()):
        _check_class(action, "NoncurrentDays", "NoncurrentVersionTransition")
    noncurrent = rule.get("NoncurrentVersionExpiration")
    if noncurrent is not None:
        if noncurrent.get("NoncurrentDays", 1) < 1:
            raise _invalid("'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer")
        if "NoncurrentDays" not in noncurrent:
            raise errors.malformed_xml()


def _check_tagless(rule: Rule, asked: Mapping[str, Any]) -> None:
    sized = asked["larger"] is not None or asked["smaller"] is not None
    abort = rule.get("AbortIncompleteMultipartUpload")
    if abort is not None:
        if asked["tags"] or sized:
            what = "Tags" if asked["tags"] else "Object Size"
            raise errors.invalid_request(f"AbortIncompleteMultipartUpload cannot be specified with {what}.")
        if abort.get("DaysAfterInitiation", 0) < 1:
            message = "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer"
            raise _invalid(message)
    if rule.get("Expiration", {}).get("ExpiredObjectDeleteMarker") and (asked["tags"] or sized):
        what = "Tags" if asked["tags"] else "Object Size"
        raise errors.invalid_request(f"ExpiredObjectDeleteMarker cannot be specified with {what}.")


def _check_expiration(rule: Rule) -> None:
    expiration = rule.get("Expiration")
    if expiration is None:
        return
    if len(expiration) != 1:
        raise errors.malformed_xml()
    if "Days" in expiration and expiration["Days"] < 1:
        raise _invalid("'Days' for Expiration action must be a positive integer")
    if "Date" in expiration and moment_ms(expiration["Date"]) % DAY_MS:
        raise _invalid("'Date' must be at midnight GMT")


def _check_transition(rule: Rule, name: str, action: Rule) -> None:
    if ("Days" in action) == ("Date" in action):
        raise errors.malformed_xml()
    if "Date" in action and moment_ms(action["Date"]) % DAY_MS:
        raise _invalid("'Date' must be at midnight GMT")
    _check_class(action, "Days", name)
    expiration = rule.get("Expiration", {})
    if ("Days" in action and "Date" in expiration) or ("Date" in action and "Days" in expiration):
        raise errors.invalid_request(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter "
            f"'(prefix={conditions_of(rule)['prefix']})'"
        )
    if "Days" in action and expiration.get("Days", action["Days"] + 1) <= action["Days"]:
        prefix = conditions_of(rule)["prefix"]
        raise _invalid(
            f"'Days' in the Expiration action for filter '(prefix={prefix})' must be greater than 'Days' in the "
            "Transition action"
        )


def _check_class(action: Rule, days: str, name: str) -> None:
    storage_class = action.get("StorageClass")
    if storage_class not in TRANSITION_CLASSES:
        raise errors.malformed_xml()
    if action.get(days, 0) < 0:
        raise _invalid(f"'{days}' for {name} action must be nonnegative")
    if storage_class in ("STANDARD_IA", "ONEZONE_IA") and action.get(days, INFREQUENT_DAYS_MIN) < INFREQUENT_DAYS_MIN:
        raise _invalid(
            f"'{days}' in {name} action must be greater than or equal to {INFREQUENT_DAYS_MIN} for storageClass "
            f"'{storage_class}'"
        )
