"""Object lock: a bucket's configuration, and the retention and legal hold of a version."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import errors, locks, store
from pilotlight.services.s3.access import Shared
from pilotlight.services.s3.objects import find_readable
from pilotlight.services.s3.store import Bucket, ObjectVersion

Params = Mapping[str, Any]
Lock = Mapping[str, Any]

DAYS_MAX = 36_500
YEARS_MAX = 100


class ObjectLock:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get_object_lock_configuration(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        found = bucket.settings.get("object_lock")
        if not found:
            message = "Object Lock configuration does not exist for this bucket"
            raise errors.missing_configuration("ObjectLockConfigurationNotFoundError", message, bucket.name)
        return {"ObjectLockConfiguration": found}

    async def put_object_lock_configuration(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        given = request.get("ObjectLockConfiguration", {})
        if given.get("ObjectLockEnabled") != "Enabled":
            raise errors.malformed_xml()
        value: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
        if "Rule" in given:
            default = given["Rule"].get("DefaultRetention", {})
            if default.get("Mode") not in locks.MODES or ("Days" in default) == ("Years" in default):
                raise errors.malformed_xml()
            period, limit = default.get("Days", default.get("Years")), DAYS_MAX if "Days" in default else YEARS_MAX
            if period < 1:
                raise AwsError("InvalidArgument", "Default retention period must be a positive integer value.")
            if period > limit:
                raise AwsError("InvalidArgument", "Default retention period too large.")
            value["Rule"] = {"DefaultRetention": dict(default)}
        if bucket.versioning != "Enabled":
            # AWS: since November 2023 the lock can be had for any bucket with versions.
            message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
            raise AwsError("InvalidBucketState", message, status=409)
        await self._shared.database.write(store.change_bucket, bucket, "object_lock", value)

    async def get_object_retention(self, caller: Caller, request: Params) -> dict[str, Any]:
        lock = (await self._version(caller, request, "GET"))[1].attributes.get("lock", {})
        if "mode" not in lock:
            raise _no_lock()
        return {"Retention": {"Mode": lock["mode"], "RetainUntilDate": locks.date_of(lock["until_ms"])}}

    async def put_object_retention(self, caller: Caller, request: Params) -> None:
        bucket, version = await self._version(caller, request, "PUT")
        given = request.get("Retention") or {}
        if bool(given.get("Mode")) != bool(given.get("RetainUntilDate")):
            raise errors.malformed_xml()
        now_ms = self._shared.clock.now_ms()
        if given and given["Mode"] not in locks.MODES:
            raise errors.malformed_xml()
        wanted = locks.retention(given["Mode"], given["RetainUntilDate"], now_ms) if given else {}
        bypass = bool(request.get("BypassGovernanceRetention"))

        def change(lock: Lock) -> dict[str, Any]:
            if lock.get("until_ms", 0) > now_ms and not (bypass and lock["mode"] == "GOVERNANCE"):
                weaker = wanted.get("until_ms", 0) < lock["until_ms"]
                other = wanted.get("mode") != lock["mode"] and lock["mode"] == "COMPLIANCE"
                if weaker or other:
                    raise locks.protected()
            return {**({"hold": lock["hold"]} if "hold" in lock else {}), **wanted}

        await self._change(bucket, version, change)

    async def get_object_legal_hold(self, caller: Caller, request: Params) -> dict[str, Any]:
        lock = (await self._version(caller, request, "GET"))[1].attributes.get("lock", {})
        if "hold" not in lock:
            raise _no_lock()
        return {"LegalHold": {"Status": lock["hold"]}}

    async def put_object_legal_hold(self, caller: Caller, request: Params) -> None:
        bucket, version = await self._version(caller, request, "PUT")
        status = request.get("LegalHold", {}).get("Status")
        if status not in ("ON", "OFF"):
            raise errors.malformed_xml()
        await self._change(bucket, version, lambda lock: {**lock, "hold": status})

    async def _version(self, caller: Caller, request: Params, method: str) -> tuple[Bucket, ObjectVersion]:
        bucket = await self._shared.bucket(caller, request)
        if not bucket.settings.get("object_lock"):
            raise locks.missing_configuration()
        return bucket, await find_readable(self._shared, caller, bucket, request, method)

    async def _change(self, bucket: Bucket, version: ObjectVersion, change: Callable[[Lock], Lock]) -> None:
        def changed(attributes: Mapping[str, Any]) -> dict[str, Any]:
            return {**attributes, "lock": change(attributes.get("lock", {}))}

        setting = functools.partial(store.change_attributes, bucket=bucket, version=version, change=changed)
        if not await self._shared.database.write(setting):
            raise errors.no_such_key(version.key)


def _no_lock() -> AwsError:
    message = "The specified object does not have a ObjectLock configuration"
    return AwsError("NoSuchObjectLockConfiguration", message, status=404)
