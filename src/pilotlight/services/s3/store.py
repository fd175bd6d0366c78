"""Buckets and the versions of their objects, in SQL.

A key's versions are rows in the order of `sequence`; one of them at most is `current`. In a bucket
without versioning the one version's id is `null`, and writing replaces it. Whatever a transaction
unnames is returned as `blobs`, to be discarded after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from pilotlight.services.s3 import errors
from pilotlight.services.s3.conditions import WriteCondition
from pilotlight.storage import Transaction, outbox

NULL_VERSION = "null"
Versioning = Literal["", "Enabled", "Suspended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    name: str
    id: str
    """Fresh for each creation: a name may come back."""
    account: str
    region: str
    created_ms: int
    revision: int = 0
    versioning: Versioning = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Configurations by kind, in boto3's shapes."""


class BucketChanged(Exception):
    """The bucket is not as it was read: read it again, and decide again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectVersion:
    bucket: str
    key: str
    sequence: int = 0
    version_id: str = NULL_VERSION
    current: bool = True
    marker: bool = False
    modified_ms: int
    size: int = 0
    etag: str = ""
    """Without quotes."""
    storage_class: str = "STANDARD"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """`headers` (boto3's names), `metadata`, `checksums`, `checksum_type`, `parts`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    upload_id: str = ""
    """The bytes are this upload's parts; else they are `blob`, else `body`."""
    blob: str = ""
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left: the version that was made or removed, and blobs that nothing names any more."""

    version: ObjectVersion | None
    blobs: tuple[str, ...] = ()


MakeEvents = Callable[[ObjectVersion], Sequence[outbox.OutboxEvent]]

COLUMNS = (
    "bucket, key, sequence, version_id, current, marker, modified_ms, size, etag, storage_class, attributes, tags, "
    "upload_id, blob, body"
)
SLIM = COLUMNS.removesuffix(", body")


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def version_of(row: Mapping[str, Any]) -> ObjectVersion:
    return ObjectVersion(
        **{
            **row,
            "current": bool(row["current"]),
            "marker": bool(row["marker"]),
            "attributes": orjson.loads(row["attributes"]),
            "tags": orjson.loads(row["tags"]),
        }
    )


def bucket_of(row: Mapping[str, Any]) -> Bucket:
    return Bucket(**{**row, "settings": orjson.loads(row["settings"])})


# Buckets.


def find_bucket(tx: Transaction, name: str) -> Bucket | None:
    row = tx.one("select * from s3_bucket where name = :name", name=name)
    return bucket_of(row) if row else None


def add_bucket(tx: Transaction, bucket: Bucket) -> Bucket | None:
    """None where it was made; else the one that has the name."""
    taken = find_bucket(tx, bucket.name)
    if taken is not None:
        return taken
    tx.run(
        """insert into s3_bucket (name, id, account, region, created_ms, revision, versioning, settings)
           values (:name, :id, :account, :region, :created_ms, 0, :versioning, :settings)""",
        versioning=bucket.versioning,
        name=bucket.name,
        id=bucket.id,
        account=bucket.account,
        region=bucket.region,
        created_ms=bucket.created_ms,
        settings=_json(bucket.settings),
    )
    return None


def list_buckets(
    tx: Transaction, *, account: str, prefix: str, region: str, after: str, limit: int | None
) -> list[Bucket]:
    rows = tx.all(
        f"""select * from s3_bucket where account = :account and name > :after
            and (:region = '' or region = :region) and substr(name, 1, length(:prefix)) = :prefix
            order by name {"" if limit is None else "limit " + str(int(limit))}""",
        account=account,
        after=after,
        region=region,
        prefix=prefix,
    )
    return [bucket_of(row) for row in rows]


def change_bucket(
    tx: Transaction, bucket: Bucket, kind: str, value: object | None, *, versioning: Versioning | None = None
) -> None:
    """Set (or with None remove) one configuration. Raises NoSuchBucket."""
    stored = find_bucket(tx, bucket.name)
    if stored is None or stored.id != bucket.id:
        raise errors.no_such_bucket(bucket.name)
    settings = {name: setting for name, setting in stored.settings.items() if name != kind}
    if value is not None:
        settings[kind] = value
    tx.run(
        """update s3_bucket set revision = revision + 1, settings = :settings, versioning = :versioning
           where name = :name""",
        settings=_json(settings),
        versioning=stored.versioning if versioning is None else versioning,
        name=bucket.name,
    )


def remove_bucket(tx: Transaction, bucket: Bucket) -> tuple[str, ...]:
    """Returns the blobs of unfinished uploads. Raises NoSuchBucket or BucketNotEmpty."""
    row = tx.one("select id from s3_bucket where name = :name", name=bucket.name)
    if row is None or row["id"] != bucket.id:
        raise errors.no_such_bucket(bucket.name)
    if tx.one("select 1 as one from s3_object where bucket = :name limit 1", name=bucket.name):
        raise errors.bucket_not_empty(bucket.name, versioned=bool(bucket.versioning))
    blobs = tx.all(
        "select blob from s3_part where blob <> '' and upload_id in (select id from s3_upload where bucket = :name)",
        name=bucket.name,
    )
    tx.run("delete from s3_part where upload_id in (select id from s3_upload where bucket = :name)", name=bucket.name)
    tx.run("delete from s3_upload where bucket = :name", name=bucket.name)
    tx.run("delete from s3_bucket where name = :name", name=bucket.name)
    return tuple(row["blob"] for row in blobs)


def check_unchanged(tx: Transaction, bucket: Bucket) -> None:
    """The compare of compare-and-set: versioning and notifications were read before this transaction."""
    row = tx.one("select id, revision from s3_bucket where name = :name", name=bucket.name)
    if row is None:
        raise errors.no_such_bucket(bucket.name)
    if row["id"] != bucket.id or row["revision"] != bucket.revision:
        raise BucketChanged


# Objects.


def find_current(tx: Transaction, bucket: str, key: str) -> ObjectVersion | None:
    """The newest version, which may be a delete marker."""
    row = tx.one(
        f"select {COLUMNS} from s3_object where bucket = :bucket and key = :key and current = 1", bucket=bucket, key=key
    )
    return version_of(row) if row else None


def find_version(tx: Transaction, bucket: str, key: str, version_id: str | None) -> ObjectVersion | None:
    if version_id is None:
        return find_current(tx, bucket, key)
    row = tx.one(
        f"select {COLUMNS} from s3_object where bucket = :bucket and key = :key and version_id = :version_id",
        bucket=bucket,
        key=key,
        version_id=version_id,
    )
    return version_of(row) if row else None


def _slim_current(tx: Transaction, bucket: str, key: str) -> dict[str, Any] | None:
    return tx.one(
        """select sequence, version_id, marker, size, modified_ms, etag, upload_id, blob from s3_object
           where bucket = :bucket and key = :key and current = 1""",
        bucket=bucket,
        key=key,
    )


def put_version(
    tx: Transaction,
    *,
    bucket: Bucket,
    version: ObjectVersion,
    condition: WriteCondition,
    version_id: str,
    make_events: MakeEvents | None,
) -> Written:
    """Make `version` the current one. `version_id` is used where versioning is enabled."""
    check_unchanged(tx, bucket)
    last = _slim_current(tx, bucket.name, version.key)
    condition.check(version.key, None if last is None or last["marker"] else last["etag"])
    enabled = bucket.versioning == "Enabled"
    # Time first, so that a key that was deleted and comes back goes on upwards.
    sequence = max(version.modified_ms * 1000, last["sequence"] + 1 if last else 0)
    version = replace(version, sequence=sequence, version_id=version_id if enabled else NULL_VERSION)
    blobs: tuple[str, ...] = ()
    if not enabled:
        blobs = _remove_null(tx, bucket, version.key, last)
    if last is not None and bucket.versioning:
        _retire(tx, bucket.name, version.key)
    _insert(tx, version)
    for event in make_events(version) if make_events else ():
        outbox.post(tx, event)
    return Written(version, blobs)


def _remove_null(tx: Transaction, bucket: Bucket, key: str, last: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Delete the `null` version, which the new one replaces."""
    if not bucket.versioning:
        row = last
    else:
        row = tx.one(
            """select sequence, upload_id, blob from s3_object
               where bucket = :bucket and key = :key and version_id = :null""",
            bucket=bucket.name,
            key=key,
            null=NULL_VERSION,
        )
    return _remove_row(tx, bucket.name, key, row) if row else ()


def _remove_row(tx: Transaction, bucket: str, key: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    tx.run(
        "delete from s3_object where bucket = :bucket and key = :key and sequence = :sequence",
        bucket=bucket,
        key=key,
        sequence=row["sequence"],
    )
    blobs = [row["blob"]] if row["blob"] else []
    if row["upload_id"]:
        parts = tx.all("delete from s3_part where upload_id = :upload_id returning blob", upload_id=row["upload_id"])
        blobs += [part["blob"] for part in parts if part["blob"]]
    return tuple(blobs)


def _retire(tx: Transaction, bucket: str, key: str) -> None:
    tx.run(
        "update s3_object set current = 0 where bucket = :bucket and key = :key and current = 1", bucket=bucket, key=key
    )


def _insert(tx: Transaction, version: ObjectVersion) -> None:
    tx.run(
        f"""insert into s3_object ({COLUMNS}) values (:bucket, :key, :sequence, :version_id, 1, :marker, :modified_ms,
            :size, :etag, :storage_class, :attributes, :tags, :upload_id, :blob, :body)""",
        bucket=version.bucket,
        key=version.key,
        sequence=version.sequence,
        version_id=version.version_id,
        marker=int(version.marker),
        modified_ms=version.modified_ms,
        size=version.size,
        etag=version.etag,
        storage_class=version.storage_class,
        attributes=_json(version.attributes),
        tags=_json(version.tags),
        upload_id=version.upload_id,
        blob=version.blob,
        body=version.body,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCondition:
    """What must hold of the object that is deleted."""

    etag: str | None = None
    modified_ms: int | None = None
    size: int | None = None

    def check(self, key: str, row: Mapping[str, Any] | None) -> None:
        if self.etag is None and self.modified_ms is None and self.size is None:
            return
        if row is None or row["marker"]:
            raise errors.no_such_key(key)
        if self.etag not in (None, "*", row["etag"]):
            raise errors.precondition_failed("If-Match")
        if self.modified_ms is not None and self.modified_ms // 1000 != row["modified_ms"] // 1000:
            raise errors.precondition_failed("x-amz-if-match-last-modified-time")
        if self.size is not None and self.size != row["size"]:
            raise errors.precondition_failed("x-amz-if-match-size")


def delete_current(
    tx: Transaction,
    *,
    bucket: Bucket,
    key: str,
    condition: DeleteCondition,
    version_id: str,
    now_ms: int,
    make_events: MakeEvents | None,
) -> Written:
    """Remove the object, or put a delete marker on top where the bucket has versions."""
    last = _slim_current(tx, bucket.name, key)
    condition.check(key, last)
    if bucket.versioning:
        marker = ObjectVersion(bucket=bucket.name, key=key, marker=True, modified_ms=now_ms)
        return put_version(
            tx,
            bucket=bucket,
            version=marker,
            condition=WriteCondition(),
            version_id=version_id,
            make_events=make_events,
        )
    check_unchanged(tx, bucket)
    if last is None:
        return Written(None)
    blobs = _remove_row(tx, bucket.name, key, last)
    sequence = max(now_ms * 1000, last["sequence"] + 1)
    gone = ObjectVersion(
        bucket=bucket.name, key=key, sequence=sequence, modified_ms=now_ms, size=last["size"], etag=last["etag"]
    )
    for event in make_events(gone) if make_events else ():
        outbox.post(tx, event)
    return Written(gone, blobs)


def delete_version(
    tx: Transaction,
    *,
    bucket: Bucket,
    key: str,
    version_id: str,
    check: Callable[[ObjectVersion], None],
    make_events: MakeEvents | None,
) -> Written:
    """Remove one version for good; the one before it becomes current. `check` may refuse it."""
    check_unchanged(tx, bucket)
    row = tx.one(
        f"select {SLIM} from s3_object where bucket = :bucket and key = :key and version_id = :version_id",
        bucket=bucket.name,
        key=key,
        version_id=version_id,
    )
    if row is None:
        return Written(None)
    version = version_of(row)
    check(version)
    blobs = _remove_row(tx, bucket.name, key, row)
    if row["current"]:
        tx.run(
            """update s3_object set current = 1 where bucket = :bucket and key = :key and sequence =
               (select max(sequence) from s3_object where bucket = :bucket and key = :key)""",
            bucket=bucket.name,
            key=key,
        )
    for event in make_events(version) if make_events else ():
        outbox.post(tx, event)
    return Written(version, blobs)


def change_attributes(
    tx: Transaction,
    *,
    bucket: Bucket,
    version: ObjectVersion,
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    make_events: MakeEvents | None = None,
) -> bool:
    """False where the version is gone."""
    row = tx.one(
        "select attributes from s3_object where bucket = :bucket and key = :key and sequence = :sequence",
        bucket=bucket.name,
        key=version.key,
        sequence=version.sequence,
    )
    if row is None:
        return False
    tx.run(
        "update s3_object set attributes = :attributes where bucket = :bucket and key = :key and sequence = :sequence",
        attributes=_json(change(orjson.loads(row["attributes"]))),
        bucket=bucket.name,
        key=version.key,
        sequence=version.sequence,
    )
    for event in make_events(version) if make_events else ():
        outbox.post(tx, event)
    return True


def set_tags(
    tx: Transaction,
    *,
    bucket: Bucket,
    version: ObjectVersion,
    tags: Mapping[str, str],
    make_events: MakeEvents | None,
) -> bool:
    """False where the version is gone."""
    changed = tx.run(
        "update s3_object set tags = :tags where bucket = :bucket and key = :key and sequence = :sequence",
        tags=_json(tags),
        bucket=bucket.name,
        key=version.key,
        sequence=version.sequence,
    )
    for event in make_events(version) if make_events and changed else ():
        outbox.post(tx, event)
    return changed > 0


# Pages of keys: `listing.py` asks for runs of rows and skips over common prefixes.


def current_after(
    tx: Transaction, bucket: str, *, after: str, inclusive: bool, before: str | None, limit: int
) -> list[ObjectVersion]:
    """Current objects (no delete markers) by key, from `after`, up to `before` (not included)."""
    rows = tx.all(
        f"""select {SLIM} from s3_object where bucket = :bucket and current = 1 and marker = 0
            and key {">=" if inclusive else ">"} :after {"" if before is None else "and key < :before"}
            order by key limit :limit""",
        bucket=bucket,
        after=after,
        limit=limit,
        **({} if before is None else {"before": before}),
    )
    return [version_of(row) for row in rows]


def versions_after(
    tx: Transaction, bucket: str, *, after: str, inclusive: bool, before: str | None, limit: int
) -> list[ObjectVersion]:
    """All versions by key and then newest first. The last key may be cut short."""
    rows = tx.all(
        f"""select {SLIM} from s3_object where bucket = :bucket and key {">=" if inclusive else ">"} :after
            {"" if before is None else "and key < :before"} order by key, sequence desc limit :limit""",
        bucket=bucket,
        after=after,
        limit=limit,
        **({} if before is None else {"before": before}),
    )
    return [version_of(row) for row in rows]


def versions_of(tx: Transaction, bucket: str, key: str, *, below: int, limit: int) -> list[ObjectVersion]:
    """A key's versions that are older than `below`, newest first."""
    rows = tx.all(
        f"""select {SLIM} from s3_object where bucket = :bucket and key = :key and sequence < :below
            order by sequence desc limit :limit""",
        bucket=bucket,
        key=key,
        below=below,
        limit=limit,
    )
    return [version_of(row) for row in rows]


def referenced_blobs(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Which of these blobs objects or parts name."""
    marks = ", ".join(f":n{number}" for number in range(len(names)))
    rows = tx.all(
        f"""select blob from s3_object where blob <> '' and blob in ({marks})
            union select blob from s3_part where blob <> '' and blob in ({marks})""",
        **{f"n{number}": name for number, name in enumerate(names)},
    ) if names else []  # fmt: skip
    return {row["blob"] for row in rows}
