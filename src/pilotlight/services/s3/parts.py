"""Multipart uploads and their parts, in SQL. After completion the chosen parts stay as the object's bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotlight.services.s3 import errors
from pilotlight.services.s3.conditions import WriteCondition
from pilotlight.services.s3.store import Bucket, MakeEvents, ObjectVersion, Written, check_unchanged, put_version
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    id: str
    bucket: str
    key: str
    initiated_ms: int
    initiator: str
    storage_class: str = "STANDARD"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """As an object's, and `checksum_algorithm`, `checksum_type` where they were asked for."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    number: int
    size: int
    etag: str
    modified_ms: int
    checksums: Mapping[str, str]
    blob: str = ""
    body: bytes | None = None


def _upload(row: Mapping[str, Any]) -> Upload:
    return Upload(**{**row, "attributes": json.loads(row["attributes"]), "tags": json.loads(row["tags"])})


def _part(row: Mapping[str, Any]) -> Part:
    return Part(**{**row, "checksums": json.loads(row["checksums"])})


def add_upload(tx: Transaction, bucket: Bucket, upload: Upload) -> None:
    check_unchanged(tx, bucket)
    tx.run(
        """insert into s3_upload (id, bucket, key, initiated_ms, initiator, storage_class, attributes, tags)
           values (:id, :bucket, :key, :initiated_ms, :initiator, :storage_class, :attributes, :tags)""",
        id=upload.id,
        bucket=upload.bucket,
        key=upload.key,
        initiated_ms=upload.initiated_ms,
        initiator=upload.initiator,
        storage_class=upload.storage_class,
        attributes=json.dumps(upload.attributes),
        tags=json.dumps(upload.tags),
    )


def find_upload(tx: Transaction, bucket: str, key: str, upload_id: str) -> Upload:
    """Raises NoSuchUpload."""
    row = tx.one(
        "select * from s3_upload where id = :id and bucket = :bucket and key = :key",
        id=upload_id,
        bucket=bucket,
        key=key,
    )
    if row is None:
        raise errors.no_such_upload(upload_id)
    return _upload(row)


def put_part(tx: Transaction, upload: Upload, part: Part) -> tuple[str, ...]:
    """Keep a part, in place of an earlier one of its number, whose blob is returned. Raises NoSuchUpload."""
    find_upload(tx, upload.bucket, upload.key, upload.id)
    replaced = tx.one(
        "select blob from s3_part where upload_id = :upload_id and number = :number",
        upload_id=upload.id,
        number=part.number,
    )
    tx.run(
        """insert into s3_part (upload_id, number, size, etag, modified_ms, checksums, blob, body)
           values (:upload_id, :number, :size, :etag, :modified_ms, :checksums, :blob, :body)
           on conflict (upload_id, number) do update set size = excluded.size, etag = excluded.etag,
               modified_ms = excluded.modified_ms, checksums = excluded.checksums, blob = excluded.blob,
               body = excluded.body""",
        upload_id=upload.id,
        number=part.number,
        size=part.size,
        etag=part.etag,
        modified_ms=part.modified_ms,
        checksums=json.dumps(part.checksums),
        blob=part.blob,
        body=part.body,
    )
    return (replaced["blob"],) if replaced and replaced["blob"] else ()


def list_parts(tx: Transaction, upload_id: str, *, after: int = 0, limit: int = 10_000) -> list[Part]:
    """Without their bodies."""
    rows = tx.all(
        """select number, size, etag, modified_ms, checksums, blob from s3_part
           where upload_id = :upload_id and number > :after order by number limit :limit""",
        upload_id=upload_id,
        after=after,
        limit=limit,
    )
    return [_part(row) for row in rows]


def parts_of_object(tx: Transaction, upload_id: str) -> list[Part]:
    """With the bodies of those that are small."""
    rows = tx.all(
        """select number, size, etag, modified_ms, checksums, blob, body from s3_part
           where upload_id = :upload_id order by number""",
        upload_id=upload_id,
    )
    return [_part(row) for row in rows]


def complete(
    tx: Transaction,
    *,
    bucket: Bucket,
    upload: Upload,
    version: ObjectVersion,
    chosen: Sequence[Part],
    condition: WriteCondition,
    version_id: str,
    make_events: MakeEvents | None,
) -> Written:
    """The parts become the object. Raises NoSuchUpload, or InvalidPart where a part was replaced meanwhile."""
    find_upload(tx, upload.bucket, upload.key, upload.id)
    kept = {part.number: part.etag for part in chosen}
    stored = {part.number: part for part in list_parts(tx, upload.id)}
    for number, etag in kept.items():
        if number not in stored or stored[number].etag != etag:
            raise errors.invalid_part(upload.id, number, etag)
    written = put_version(
        tx, bucket=bucket, version=version, condition=condition, version_id=version_id, make_events=make_events
    )
    unused = [part for number, part in stored.items() if number not in kept]
    for part in unused:
        tx.run(
            "delete from s3_part where upload_id = :upload_id and number = :number",
            upload_id=upload.id,
            number=part.number,
        )
    tx.run("delete from s3_upload where id = :id", id=upload.id)
    return Written(written.version, (*written.blobs, *(part.blob for part in unused if part.blob)))


def abort(tx: Transaction, bucket: str, key: str, upload_id: str) -> tuple[str, ...]:
    """Returns the parts' blobs. Raises NoSuchUpload."""
    find_upload(tx, bucket, key, upload_id)
    rows = tx.all("delete from s3_part where upload_id = :id returning blob", id=upload_id)
    tx.run("delete from s3_upload where id = :id", id=upload_id)
    return tuple(row["blob"] for row in rows if row["blob"])


def uploads_after(
    tx: Transaction, bucket: str, *, after: str, inclusive: bool, before: str | None, limit: int
) -> list[Upload]:
    """Uploads under way, by key and then by id."""
    rows = tx.all(
        f"""select * from s3_upload where bucket = :bucket and key {">=" if inclusive else ">"} :after
            {"" if before is None else "and key < :before"} order by key, id limit :limit""",
        bucket=bucket,
        after=after,
        limit=limit,
        **({} if before is None else {"before": before}),
    )
    return [_upload(row) for row in rows]


def uploads_of(tx: Transaction, bucket: str, key: str, *, after: str) -> list[Upload]:
    """A key's uploads whose ids follow `after`."""
    rows = tx.all(
        "select * from s3_upload where bucket = :bucket and key = :key and id > :after order by id",
        bucket=bucket,
        key=key,
        after=after,
    )
    return [_upload(row) for row in rows]
