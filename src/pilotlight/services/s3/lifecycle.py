"""Lifecycle configurations, and the work that carries them out.

At each midnight (UTC, cloud time), and where a configuration was put, every version of a bucket that has rules is
looked at. What has been done is only remembered in memory: after a restart it is done again, which changes nothing.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import errors, lifecycle_rules, lifecycle_store, locks, parts, store
from pilotlight.services.s3.access import PRINCIPAL, Shared
from pilotlight.services.s3.lifecycle_rules import DAY_MS, MINIMUM_SIZES, Step
from pilotlight.services.s3.listing import PAGE_MAX
from pilotlight.services.s3.store import Bucket, ObjectVersion, Written
from pilotlight.storage import Transaction

Params = Mapping[str, Any]


class Lifecycle:
    """The operations."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get_bucket_lifecycle_configuration(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        found = bucket.settings.get("lifecycle")
        if not found:
            message = "The lifecycle configuration does not exist"
            raise errors.missing_configuration("NoSuchLifecycleConfiguration", message, bucket.name)
        return {
            "Rules": [_dated(rule, lambda text: datetime.fromisoformat(text)) for rule in found["rules"]],
            "TransitionDefaultMinimumObjectSize": found["minimum"],
        }

    async def put_bucket_lifecycle_configuration(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        rules = request.get("LifecycleConfiguration", {}).get("Rules", ())
        minimum = request.get("TransitionDefaultMinimumObjectSize") or MINIMUM_SIZES[0]
        if minimum not in MINIMUM_SIZES:
            header = "x-amz-transition-default-minimum-object-size"
            raise errors.invalid_argument("Invalid transition default minimum object size", header, minimum)
        lifecycle_rules.check(rules)
        kept = [
            {"ID": self._shared.ids.uuid(), **_dated(rule, lambda date: date.astimezone(UTC).isoformat())}
            for rule in ({name: value for name, value in rule.items() if value != ""} | _prefix(rule) for rule in rules)
        ]
        value = {"rules": kept, "minimum": minimum}
        await self._shared.database.write(store.change_bucket, bucket, "lifecycle", value)
        self._shared.wake_lifecycle()
        return {"TransitionDefaultMinimumObjectSize": minimum}

    async def delete_bucket_lifecycle(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        await self._shared.database.write(store.change_bucket, bucket, "lifecycle", None)


def _prefix(rule: Params) -> dict[str, Any]:
    return {"Prefix": ""} if rule.get("Prefix") == "" else {}


def _dated(rule: Params, change: Callable[[Any], Any]) -> dict[str, Any]:
    """The rule with its dates changed: they are text where they are kept."""

    def action(given: Params) -> dict[str, Any]:
        return {**given, "Date": change(given["Date"])} if "Date" in given else dict(given)

    changed = dict(rule)
    if "Expiration" in rule:
        changed["Expiration"] = action(rule["Expiration"])
    if "Transitions" in rule:
        changed["Transitions"] = [action(one) for one in rule["Transitions"]]
    return changed


class LifecycleWork:
    """The reconciler's side."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._done: dict[str, tuple[str, int, int]] = {}

    async def work(self) -> int | None:
        """Carry out what is due; returns the next midnight where there are rules."""
        now_ms = self._shared.clock.now_ms()
        midnight_ms = now_ms // DAY_MS * DAY_MS
        buckets = await self._shared.database.scan(lifecycle_store.buckets_with_rules)
        for bucket in buckets:
            state = (bucket.id, bucket.revision, midnight_ms)
            if self._done.get(bucket.name) != state:
                await self._run(bucket)
                self._done[bucket.name] = state
        self._done = {bucket.name: self._done[bucket.name] for bucket in buckets}
        return midnight_ms + DAY_MS if buckets else None

    async def _run(self, bucket: Bucket) -> None:
        after = ""
        found: list[Step] = []
        rules = bucket.settings["lifecycle"]["rules"]
        minimum = bucket.settings["lifecycle"]["minimum"]
        while True:
            rows = await self._shared.database.scan(_page, bucket.name, after)
            now_ms = self._shared.clock.now_ms()
            for _, group in itertools.groupby(rows, key=lambda version: version.key):
                found += lifecycle_rules.steps(rules, minimum, list(group), now_ms)
            for step in found:
                await self._carry_out(bucket, step)
            found.clear()
            if not rows:
                break
            after = rows[-1].key
        await self._abort(bucket)

    async def _carry_out(self, bucket: Bucket, step: Step) -> None:
        now_ms = self._shared.clock.now_ms()
        permanent = step.kind == "remove" or not bucket.versioning
        check = locks.checker(now_ms, bypass=False)
        fresh = self._shared.ids.token(24)
        caller = Caller.of_service(PRINCIPAL, account=bucket.account, region=bucket.region)
        if step.kind == "transition":
            name = "LifecycleTransition"
        else:
            name = "LifecycleExpiration:" + ("Delete" if permanent else "DeleteMarkerCreated")

        def prepare(bucket: Bucket) -> Callable[[Transaction], Written]:
            make = self._shared.maker(caller, bucket, step.version.key, name)
            if step.kind == "transition":
                return functools.partial(
                    lifecycle_store.change_class, bucket=bucket, version=step.version, storage_class=step.storage_class,
                    make_events=make,
                )  # fmt: skip
            if step.kind == "remove":
                return functools.partial(
                    lifecycle_store.remove, bucket=bucket, version=step.version, check=check, make_events=make
                )
            return functools.partial(
                lifecycle_store.expire, bucket=bucket, version=step.version, version_id=fresh, now_ms=now_ms,
                check=check, make_events=make,
            )  # fmt: skip

        try:
            bucket, written = await self._shared.write(bucket, prepare)
        except AwsError:  # the version is locked, or the bucket gone
            return
        if bucket.settings.get("notification"):
            self._shared.wake()
        await self._shared.bodies.discard(written.blobs)

    async def _abort(self, bucket: Bucket) -> None:
        after = ("", "")
        while uploads := await self._shared.database.scan(lifecycle_store.uploads_page, bucket.name, after, PAGE_MAX):
            for upload in uploads:
                moment = lifecycle_rules.abort_due_ms(
                    bucket.settings["lifecycle"]["rules"], upload.key, upload.initiated_ms
                )
                if moment is None or moment > self._shared.clock.now_ms():
                    continue
                try:
                    blobs = await self._shared.database.write(parts.abort, bucket.name, upload.key, upload.id)
                except AwsError:  # completed or aborted meanwhile
                    continue
                await self._shared.bodies.discard(blobs)
            after = (uploads[-1].key, uploads[-1].id)


def _page(tx: Transaction, bucket: str, after: str) -> list[ObjectVersion]:
    """Whole keys: of the last one, all versions."""
    rows = store.versions_after(tx, bucket, after=after, inclusive=False, before=None, limit=PAGE_MAX)
    if len(rows) == PAGE_MAX:
        rows += store.versions_of(tx, bucket, rows[-1].key, below=rows[-1].sequence, limit=2**31)
    return rows
