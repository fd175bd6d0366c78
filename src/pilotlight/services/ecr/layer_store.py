"""Layers and the uploads that become layers, in SQL.

An upload is a list of blobs that grows; a layer is one that was completed, and keeps the upload's id, so that its
blobs need not be named again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pilotlight.services.ecr.store import Repository
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class Layer:
    repository: str
    digest: str
    id: str
    size: int


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    repository: str
    size: int
    parts: int


@dataclass(frozen=True, slots=True)
class Part:
    blob: str
    size: int


def find_layer(tx: Transaction, repository: Repository, digest: str) -> Layer | None:
    row = tx.one(
        "select repository, digest, id, size from ecr_layer where repository = :id and digest = :digest",
        id=repository.id,
        digest=digest,
    )
    return Layer(**row) if row else None


def parts_of(tx: Transaction, owner: str) -> list[Part]:
    rows = tx.all("select blob, size from ecr_blob where owner = :owner order by number", owner=owner)
    return [Part(**row) for row in rows]


def add_upload(tx: Transaction, upload: Upload, now_ms: int) -> None:
    tx.run(
        """insert into ecr_upload (id, repository, size, parts, started_ms)
           values (:id, :repository, 0, 0, :now_ms)""",
        id=upload.id,
        repository=upload.repository,
        now_ms=now_ms,
    )


def find_upload(tx: Transaction, repository: Repository, identity: str) -> Upload | None:
    row = tx.one(
        "select id, repository, size, parts from ecr_upload where id = :id and repository = :repository",
        id=identity,
        repository=repository.id,
    )
    return Upload(**row) if row else None


def append(tx: Transaction, upload: Upload, part: Part) -> Upload | None:
    """The upload as it is then; None where it has changed or ended since it was read."""
    changed = tx.run(
        """update ecr_upload set size = size + :size, parts = parts + 1
           where id = :id and size = :before and parts = :parts""",
        id=upload.id,
        size=part.size,
        before=upload.size,
        parts=upload.parts,
    )
    if not changed:
        return None
    _name(tx, upload.id, upload.parts, part)
    return Upload(upload.id, upload.repository, upload.size + part.size, upload.parts + 1)


def complete(tx: Transaction, upload: Upload, digest: str, now_ms: int) -> bool | None:
    """Make a layer of it. False where the repository has that layer already, None where the upload has changed."""
    gone = tx.run(
        "delete from ecr_upload where id = :id and size = :size and parts = :parts",
        id=upload.id,
        size=upload.size,
        parts=upload.parts,
    )
    if not gone:
        return None
    return add_layer(tx, Layer(upload.repository, digest, upload.id, upload.size), (), now_ms)


def add_layer(tx: Transaction, layer: Layer, parts: Sequence[Part], now_ms: int) -> bool:
    """False where the repository has it already, or is gone."""
    added = tx.run(
        """insert into ecr_layer (repository, digest, id, size, touched_ms)
           select :repository, :digest, :id, :size, :now_ms from ecr_repository where id = :repository
           on conflict (repository, digest) do nothing""",
        repository=layer.repository,
        digest=layer.digest,
        id=layer.id,
        size=layer.size,
        now_ms=now_ms,
    )
    if not added:
        tx.run(
            "update ecr_layer set touched_ms = :now_ms where repository = :repository and digest = :digest",
            repository=layer.repository,
            digest=layer.digest,
            now_ms=now_ms,
        )
        return False
    for number, part in enumerate(parts):
        _name(tx, layer.id, number, part)
    return True


def _name(tx: Transaction, owner: str, number: int, part: Part) -> None:
    tx.run(
        "insert into ecr_blob (owner, number, blob, size) values (:owner, :number, :blob, :size)",
        owner=owner,
        number=number,
        blob=part.blob,
        size=part.size,
    )


def drop(tx: Transaction, owner: str) -> list[str]:
    """Forget an upload, or what one was that did not become a layer; its blobs' names."""
    if tx.one("select 1 as n from ecr_layer where id = :id", id=owner):
        return []
    tx.run("delete from ecr_upload where id = :id", id=owner)
    blobs = [part.blob for part in parts_of(tx, owner)]
    tx.run("delete from ecr_blob where owner = :id", id=owner)
    return blobs


def outdated(tx: Transaction, before_ms: int, limit: int) -> list[str]:
    """Forget layers that no image needs, and uploads that nobody goes on with, since `before_ms`; their blobs."""
    rows = tx.all(
        """select id, digest, repository from ecr_layer where touched_ms < :before_ms and not exists
           (select 1 from ecr_reference where ecr_reference.repository = ecr_layer.repository
            and ecr_reference.digest = ecr_layer.digest) order by id limit :limit""",
        before_ms=before_ms,
        limit=limit,
    )
    owners = [row["id"] for row in rows]
    for row in rows:
        tx.run(
            "delete from ecr_layer where repository = :repository and digest = :digest",
            repository=row["repository"],
            digest=row["digest"],
        )
    uploads = tx.all(
        "select id from ecr_upload where started_ms < :before_ms order by id limit :limit",
        before_ms=before_ms,
        limit=limit,
    )
    return [blob for owner in (*owners, *(row["id"] for row in uploads)) for blob in drop(tx, owner)]


def referenced(tx: Transaction, names: Sequence[str]) -> set[str]:
    """Which of these blobs rows mention."""
    found: set[str] = set()
    for name in names:
        if tx.one("select 1 as n from ecr_blob where blob = :blob limit 1", blob=name):
            found.add(name)
    return found
