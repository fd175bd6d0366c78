"""What lifecycle changes, in SQL. A row is named by its sequence: what was replaced meanwhile is left alone."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.services.s3 import parts, store
from pilotlight.services.s3.conditions import WriteCondition
from pilotlight.services.s3.store import Bucket, MakeEvents, ObjectVersion, Written
from pilotlight.storage import Transaction, outbox


def buckets_with_rules(tx: Transaction) -> list[Bucket]:
    return [
        bucket
        for bucket in map(store.bucket_of, tx.all("select * from s3_bucket where settings like '%\"lifecycle\":%'"))
        if bucket.settings.get("lifecycle")
    ]


def _still_there(tx: Transaction, bucket: Bucket, version: ObjectVersion) -> bool:
    store.check_unchanged(tx, bucket)
    row = tx.one(
        "select current from s3_object where bucket = :bucket and key = :key and sequence = :sequence",
        bucket=bucket.name,
        key=version.key,
        sequence=version.sequence,
    )
    return row is not None and bool(row["current"]) == version.current


def expire(
    tx: Transaction,
    *,
    bucket: Bucket,
    version: ObjectVersion,
    version_id: str,
    now_ms: int,
    check: Callable[[ObjectVersion], None],
    make_events: MakeEvents | None,
) -> Written:
    """The current version: gone, or behind a delete marker where the bucket has versions."""
    if not _still_there(tx, bucket, version):
        return Written(None)
    if not bucket.versioning:
        return remove(tx, bucket=bucket, version=version, check=check, make_events=make_events)
    marker = ObjectVersion(bucket=bucket.name, key=version.key, marker=True, modified_ms=now_ms)
    return store.put_version(
        tx,
        bucket=bucket,
        version=marker,
        condition=WriteCondition(),
        version_id=version_id,
        make_events=make_events,
    )


def remove(
    tx: Transaction,
    *,
    bucket: Bucket,
    version: ObjectVersion,
    check: Callable[[ObjectVersion], None],
    make_events: MakeEvents | None,
) -> Written:
    """One version, for good. `check` may refuse it."""
    if not _still_there(tx, bucket, version):
        return Written(None)
    return store.delete_version(
        tx, bucket=bucket, key=version.key, version_id=version.version_id, check=check, make_events=make_events
    )


def change_class(
    tx: Transaction, *, bucket: Bucket, version: ObjectVersion, storage_class: str, make_events: MakeEvents | None
) -> Written:
    if not _still_there(tx, bucket, version):
        return Written(None)
    tx.run(
        """update s3_object set storage_class = :storage_class
           where bucket = :bucket and key = :key and sequence = :sequence""",
        storage_class=storage_class,
        bucket=bucket.name,
        key=version.key,
        sequence=version.sequence,
    )
    for event in make_events(version) if make_events else ():
        outbox.post(tx, event)
    return Written(version)


def uploads_page(tx: Transaction, bucket: str, after: tuple[str, str], limit: int) -> list[parts.Upload]:
    """Uploads under way after a key and an id."""
    key, upload_id = after
    of_key = parts.uploads_of(tx, bucket, key, after=upload_id) if key else []
    further = parts.uploads_after(tx, bucket, after=key, inclusive=False, before=None, limit=limit)
    return [*of_key, *further]
