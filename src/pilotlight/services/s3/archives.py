"""Archived objects, brought back for a while.

A restore is `restore` among a version's attributes: when it is ready, and when the copy goes. Both are moments of cloud
time that readers compare with now, so that nothing has to run for them; only the events are posted ahead.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import errors, store
from pilotlight.services.s3.access import PRINCIPAL, Shared
from pilotlight.services.s3.lifecycle_rules import due_ms
from pilotlight.services.s3.objects import find_readable
from pilotlight.services.s3.store import ObjectVersion
from pilotlight.storage.outbox import OutboxEvent

Params = Mapping[str, Any]

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
WAITS_MS = {
    "GLACIER": {"Expedited": 5 * MINUTE_MS, "Standard": 5 * HOUR_MS, "Bulk": 12 * HOUR_MS},
    "DEEP_ARCHIVE": {"Standard": 12 * HOUR_MS, "Bulk": 48 * HOUR_MS},
}
"""AWS: within these times; here after them."""


class Archives:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def restore_object(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        version = await find_readable(self._shared, caller, bucket, request, "POST")
        given = request.get("RestoreRequest", {})
        for name in ("Type", "SelectParameters", "OutputLocation", "Description"):
            if name in given:
                raise NotImplementedHere(f"RestoreObject with {name} (S3 Select)")
        if version.storage_class not in WAITS_MS:
            message = "Restore is not allowed for the object's current storage class"
            members = {"StorageClass": version.storage_class}
            raise AwsError("InvalidObjectState", message, status=403, members=members)
        if given.get("Days", 0) < 1:
            raise errors.malformed_xml()
        waits = WAITS_MS[version.storage_class]
        tier = given.get("GlacierJobParameters", {}).get("Tier", given.get("Tier", "Standard"))
        if tier not in ("Expedited", "Standard", "Bulk"):
            raise errors.malformed_xml()
        if tier not in waits:
            message = f"{tier} retrievals are not available for objects in the DEEP_ARCHIVE storage class"
            raise AwsError("InvalidArgument", message)
        now_ms = self._shared.clock.now_ms()
        kept = version.attributes.get("restore", {})
        again = kept.get("expires_ms", 0) > now_ms
        if again and kept["ready_ms"] > now_ms:
            message = "Object restore is already in progress"
            raise AwsError("RestoreAlreadyInProgress", message, status=409)
        ready_ms = kept["ready_ms"] if again else now_ms + waits[tier]
        restore = {"ready_ms": ready_ms, "expires_ms": due_ms(now_ms if again else ready_ms, given["Days"])}
        setting = functools.partial(
            store.change_attributes,
            bucket=bucket,
            version=version,
            change=lambda kept: {**kept, "restore": restore},
            make_events=None if again else self._maker(caller, bucket, version, restore),
        )
        if not await self._shared.database.write(setting):
            raise errors.no_such_key(version.key)
        self._shared.wake()
        # AWS: accepted where the restore begins, and 200 where it is only lengthened.
        return {} if again else {"HttpStatus": 202}

    def _maker(
        self, caller: Caller, bucket: store.Bucket, version: ObjectVersion, restore: Mapping[str, int]
    ) -> store.MakeEvents:
        service = Caller.of_service(
            PRINCIPAL, account=bucket.account, region=bucket.region, request_id=caller.request_id
        )
        steps = (
            ("ObjectRestore:Post", caller, self._shared.clock.now_ms()),
            ("ObjectRestore:Completed", service, restore["ready_ms"]),
            ("ObjectRestore:Delete", service, restore["expires_ms"]),
        )
        makers = [
            (self._shared.maker(who, bucket, version.key, name, at_ms=moment), moment) for name, who, moment in steps
        ]

        def make(version: ObjectVersion) -> list[OutboxEvent]:
            return [replace(event, due_ms=moment) for maker, moment in makers if maker for event in maker(version)]

        return make
