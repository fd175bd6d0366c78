"""CloudFormation's spelling of a bucket's settings, as S3 itself has them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pilotlight.deploy.resources.base import boolean

WEBSITE_DOCUMENTS = {"IndexDocument": "Suffix", "ErrorDocument": "Key"}


def lifecycle(given: Any) -> dict[str, Any]:
    return {"Rules": [_rule(rule) for rule in given["Rules"]]}


def _date(given: Any) -> datetime:
    moment = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _rule(given: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {"Status": given["Status"], "Filter": _filter(given)}
    if "Id" in given:
        rule["ID"] = given["Id"]
    if "ExpirationInDays" in given:
        rule["Expiration"] = {"Days": int(given["ExpirationInDays"])}
    elif "ExpirationDate" in given:
        rule["Expiration"] = {"Date": _date(given["ExpirationDate"])}
    elif "ExpiredObjectDeleteMarker" in given:
        rule["Expiration"] = {"ExpiredObjectDeleteMarker": boolean(given["ExpiredObjectDeleteMarker"])}
    transitions = [*given.get("Transitions", ()), *([given["Transition"]] if "Transition" in given else ())]
    if transitions:
        rule["Transitions"] = [_transition(one, "Days") for one in transitions]
    older = [
        *given.get("NoncurrentVersionTransitions", ()),
        *([given["NoncurrentVersionTransition"]] if "NoncurrentVersionTransition" in given else ()),
    ]
    if older:
        rule["NoncurrentVersionTransitions"] = [_transition(one, "NoncurrentDays") for one in older]
    if "NoncurrentVersionExpiration" in given:
        expiration = given["NoncurrentVersionExpiration"]
        rule["NoncurrentVersionExpiration"] = {name: int(value) for name, value in expiration.items()}
    elif "NoncurrentVersionExpirationInDays" in given:
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(given["NoncurrentVersionExpirationInDays"])}
    if "AbortIncompleteMultipartUpload" in given:
        days = int(given["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return rule


def _transition(given: Any, days: str) -> dict[str, Any]:
    changed: dict[str, Any] = {"StorageClass": given["StorageClass"]}
    if "TransitionInDays" in given:
        changed[days] = int(given["TransitionInDays"])
    if "TransitionDate" in given:
        changed["Date"] = _date(given["TransitionDate"])
    if "NewerNoncurrentVersions" in given:
        changed["NewerNoncurrentVersions"] = int(given["NewerNoncurrentVersions"])
    return changed


def _filter(given: Any) -> dict[str, Any]:
    """One condition stands alone, several stand under `And`."""
    parts: dict[str, Any] = {"Prefix": given["Prefix"]} if "Prefix" in given else {}
    for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if name in given:
            parts[name] = int(given[name])
    tags = given.get("TagFilters", ())
    if len(parts) + len(tags) > 1:
        return {"And": parts | ({"Tags": tags} if tags else {})}
    return {"Tag": tags[0]} if tags else parts


def website(given: Any) -> dict[str, Any]:
    changed: dict[str, Any] = {
        name: {member: given[name]} for name, member in WEBSITE_DOCUMENTS.items() if name in given
    }
    if "RedirectAllRequestsTo" in given:
        changed["RedirectAllRequestsTo"] = given["RedirectAllRequestsTo"]
    if "RoutingRules" in given:
        names = {"RedirectRule": "Redirect", "RoutingRuleCondition": "Condition"}
        changed["RoutingRules"] = [{names[name]: value for name, value in one.items()} for one in given["RoutingRules"]]
    return changed


def object_lock(given: Any) -> dict[str, Any]:
    changed: dict[str, Any] = {"ObjectLockEnabled": given.get("ObjectLockEnabled", "Enabled")}
    if "Rule" in given:
        default = given["Rule"]["DefaultRetention"]
        period = {name: int(default[name]) for name in ("Days", "Years") if name in default}
        changed["Rule"] = {"DefaultRetention": {"Mode": default["Mode"], **period}}
    return changed
