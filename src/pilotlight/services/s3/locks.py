"""Locks of versions: what they forbid, and how a write asks for one. Pure.

A version's lock is `lock` among its attributes: `mode` and `until_ms`, and `hold` where it was ever set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.s3 import checksums, errors
from pilotlight.services.s3.store import Bucket, ObjectVersion

Params = Mapping[str, Any]

MODES = ("GOVERNANCE", "COMPLIANCE")
DAY_MS = 86_400_000


def held(version: ObjectVersion, now_ms: int, *, bypass: bool = False) -> bool:
    """Whether the version may not be deleted. `bypass` overrides governance, and nothing else."""
    lock = version.attributes.get("lock", {})
    retained = lock.get("until_ms", 0) > now_ms and not (bypass and lock["mode"] == "GOVERNANCE")
    return retained or lock.get("hold") == "ON"


def protected() -> AwsError:
    return AwsError("AccessDenied", "Access Denied because object protected by object lock.", status=403)


def checker(now_ms: int, *, bypass: bool) -> Callable[[ObjectVersion], None]:
    """What refuses the deletion of a version that is held."""

    def check(version: ObjectVersion) -> None:
        if held(version, now_ms, bypass=bypass):
            raise protected()

    return check


def of_request(bucket: Bucket, request: Params, now_ms: int) -> dict[str, Any]:
    """`lock` for a write's attributes, from its headers or the bucket's default; empty where there is none."""
    mode, until = request.get("ObjectLockMode"), request.get("ObjectLockRetainUntilDate")
    hold = request.get("ObjectLockLegalHoldStatus")
    configured = bucket.settings.get("object_lock")
    if (mode or until or hold) and not configured:
        raise missing_configuration()
    if bool(mode) != bool(until):
        message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        raise errors.invalid_argument(
            message, "x-amz-object-lock-mode" if until else "x-amz-object-lock-retain-until-date", "null"
        )
    lock: dict[str, Any] = {}
    if mode:
        lock = retention(mode, until, now_ms)
    elif configured:
        lock = _default(configured, now_ms)
    if hold:
        lock["hold"] = _hold(hold)
    return {"lock": lock} if lock else {}


def check_digest(request: Params) -> None:
    """AWS: what is written with a lock comes with a digest."""
    asked = any(request.get(f"ObjectLock{name}") for name in ("Mode", "LegalHoldStatus"))
    trailers = getattr(request.get("Body"), "declared", ())
    if asked and not ("ContentMD5" in request or checksums.given(request) or trailers):
        raise errors.invalid_request(
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        )


def members_of(version: ObjectVersion) -> dict[str, Any]:
    """As GetObject and HeadObject answer."""
    lock = version.attributes.get("lock", {})
    members: dict[str, Any] = {}
    if "mode" in lock:
        members = {"ObjectLockMode": lock["mode"], "ObjectLockRetainUntilDate": date_of(lock["until_ms"])}
    return members | ({"ObjectLockLegalHoldStatus": lock["hold"]} if "hold" in lock else {})


def missing_configuration() -> AwsError:
    return errors.invalid_request("Bucket is missing Object Lock Configuration")


def date_of(moment_ms: int) -> datetime:
    return datetime.fromtimestamp(moment_ms / 1000, UTC)


def retention(mode: Any, until: Any, now_ms: int) -> dict[str, Any]:
    if mode not in MODES:
        raise errors.invalid_argument("Unknown wormMode directive.", "x-amz-object-lock-mode", mode)
    moment = until if until.tzinfo else until.replace(tzinfo=UTC)
    until_ms = int(moment.timestamp() * 1000)
    if until_ms <= now_ms:
        message = "The retain until date must be in the future!"
        raise errors.invalid_argument(message, "x-amz-object-lock-retain-until-date", moment.isoformat())
    return {"mode": mode, "until_ms": until_ms}


def _hold(status: Any) -> str:
    if status not in ("ON", "OFF"):
        message = "Legal Hold must be either of 'ON' or 'OFF'"
        raise errors.invalid_argument(message, "x-amz-object-lock-legal-hold", status)
    return str(status)


def _default(configured: Params, now_ms: int) -> dict[str, Any]:
    default = configured.get("Rule", {}).get("DefaultRetention")
    if not default:
        return {}
    until = date_of(now_ms)
    if "Years" in default:
        year = until.year + default["Years"]
        leap = until.month == 2 and until.day == 29
        until = until.replace(year=year, day=28) if leap else until.replace(year=year)
        return {"mode": default["Mode"], "until_ms": int(until.timestamp() * 1000)}
    return {"mode": default["Mode"], "until_ms": now_ms + default["Days"] * DAY_MS}
