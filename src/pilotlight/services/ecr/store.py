"""Repositories, images and their tags, in SQL. Layers and uploads are in `layer_store`.

An image is a manifest under its digest; a tag is a name that moves from one to another. A *reference* says what a
manifest needs: its config and layers (`layer`), or the images of a list (`image`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class Repository:
    id: str
    """Tells a repository from its namesake that was deleted."""
    account: str
    region: str
    name: str
    created_ms: int
    settings: dict[str, Any]
    """`mutability`, `exclusions`, `scan_on_push`, `tags`, `policy`, `lifecycle`, `evaluated_ms`, `preview`."""

    @property
    def arn(self) -> str:
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    digest: str
    kind: str
    """`layer` or `image`."""
    media_type: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    repository: str
    digest: str
    media_type: str
    artifact_type: str
    subject: str
    manifest: bytes
    size: int
    pushed_ms: int
    pulled_ms: int | None = None
    tags: tuple[str, ...] = field(default=())


def _repository(row: Mapping[str, Any]) -> Repository:
    return Repository(**{**row, "settings": json.loads(row["settings"])})


def _images(tx: Transaction, repository: str, rows: Sequence[Mapping[str, Any]]) -> list[Image]:
    if not rows:
        return []
    if len(rows) == 1:
        tags = tx.all(
            "select tag, digest from ecr_tag where repository = :repository and digest = :digest order by tag",
            repository=repository,
            digest=rows[0]["digest"],
        )
    else:
        tags = tx.all(
            "select tag, digest from ecr_tag where repository = :repository order by tag", repository=repository
        )
    named: dict[str, list[str]] = {}
    for row in tags:
        named.setdefault(row["digest"], []).append(row["tag"])
    return [
        Image(**{**row, "manifest": bytes(row["manifest"])}, tags=tuple(named.get(row["digest"], ()))) for row in rows
    ]


def add_repository(tx: Transaction, repository: Repository) -> bool:
    """False where the name is taken."""
    added = tx.run(
        """insert into ecr_repository (id, account, region, name, created_ms, settings)
           values (:id, :account, :region, :name, :created_ms, :settings)
           on conflict (account, region, name) do nothing""",
        id=repository.id,
        account=repository.account,
        region=repository.region,
        name=repository.name,
        created_ms=repository.created_ms,
        settings=json.dumps(repository.settings),
    )
    return added > 0


def find_repository(tx: Transaction, account: str, region: str, name: str) -> Repository | None:
    row = tx.one(
        "select * from ecr_repository where account = :account and region = :region and name = :name",
        account=account,
        region=region,
        name=name,
    )
    return _repository(row) if row else None


def repository_by_id(tx: Transaction, identity: str) -> Repository | None:
    row = tx.one("select * from ecr_repository where id = :id", id=identity)
    return _repository(row) if row else None


def list_repositories(tx: Transaction, account: str, region: str, *, after: str, limit: int) -> list[Repository]:
    rows = tx.all(
        """select * from ecr_repository where account = :account and region = :region and name > :after
           order by name limit :limit""",
        account=account,
        region=region,
        after=after,
        limit=limit,
    )
    return [_repository(row) for row in rows]


def every_repository(tx: Transaction) -> list[Repository]:
    """Of all accounts: for the background."""
    return [_repository(row) for row in tx.all("select * from ecr_repository order by id")]


def change_settings(tx: Transaction, repository: Repository, changes: Mapping[str, Any]) -> bool:
    """Set members; None removes one. False where the repository is gone."""
    row = tx.one("select settings from ecr_repository where id = :id", id=repository.id)
    if row is None:
        return False
    settings = {**json.loads(row["settings"]), **changes}
    kept = {name: value for name, value in settings.items() if value is not None}
    tx.run("update ecr_repository set settings = :settings where id = :id", id=repository.id, settings=json.dumps(kept))
    return True


def has_images(tx: Transaction, repository: Repository) -> bool:
    return tx.one("select 1 as n from ecr_image where repository = :id limit 1", id=repository.id) is not None


def delete_repository(tx: Transaction, repository: Repository) -> list[str]:
    """Everything in it goes, too; the names of blobs that nobody names any more."""
    owners = (
        """select id from ecr_layer where repository = :id union select id from ecr_upload where repository = :id"""
    )
    blobs = [row["blob"] for row in tx.all(f"select blob from ecr_blob where owner in ({owners})", id=repository.id)]
    tx.run(f"delete from ecr_blob where owner in ({owners})", id=repository.id)
    for table in ("ecr_image", "ecr_tag", "ecr_reference", "ecr_layer", "ecr_upload"):
        tx.run(f"delete from {table} where repository = :id", id=repository.id)
    tx.run("delete from ecr_repository where id = :id", id=repository.id)
    return blobs


def find_image(tx: Transaction, repository: Repository, *, digest: str = "", tag: str = "") -> Image | None:
    """By its digest, or else by its tag."""
    if not digest:
        row = tx.one("select digest from ecr_tag where repository = :id and tag = :tag", id=repository.id, tag=tag)
        if row is None:
            return None
        digest = row["digest"]
    rows = tx.all(
        "select * from ecr_image where repository = :id and digest = :digest", id=repository.id, digest=digest
    )
    found = _images(tx, repository.id, rows)
    return found[0] if found else None


def list_images(tx: Transaction, repository: Repository) -> list[Image]:
    """Oldest first."""
    rows = tx.all("select * from ecr_image where repository = :id order by pushed_ms, digest", id=repository.id)
    return _images(tx, repository.id, rows)


def list_tags(tx: Transaction, repository: Repository, *, after: str, limit: int) -> list[str]:
    rows = tx.all(
        "select tag from ecr_tag where repository = :id and tag > :after order by tag limit :limit",
        id=repository.id,
        after=after,
        limit=limit,
    )
    return [row["tag"] for row in rows]


def add_image(tx: Transaction, image: Image, references: Sequence[Reference]) -> bool:
    """False where the repository has it already."""
    added = tx.run(
        """insert into ecr_image (repository, digest, media_type, artifact_type, subject, manifest, size, pushed_ms)
           values (:repository, :digest, :media_type, :artifact_type, :subject, :manifest, :size, :pushed_ms)
           on conflict (repository, digest) do nothing""",
        repository=image.repository,
        digest=image.digest,
        media_type=image.media_type,
        artifact_type=image.artifact_type,
        subject=image.subject,
        manifest=image.manifest,
        size=image.size,
        pushed_ms=image.pushed_ms,
    )
    if not added:
        return False
    for reference in references:
        tx.run(
            """insert into ecr_reference (repository, image, digest, kind, media_type)
               values (:repository, :image, :digest, :kind, :media_type)
               on conflict (repository, image, digest) do nothing""",
            repository=image.repository,
            image=image.digest,
            digest=reference.digest,
            kind=reference.kind,
            media_type=reference.media_type,
        )
    return True


def set_tag(tx: Transaction, repository: Repository, tag: str, digest: str) -> None:
    tx.run(
        """insert into ecr_tag (repository, tag, digest) values (:id, :tag, :digest)
           on conflict (repository, tag) do update set digest = excluded.digest""",
        id=repository.id,
        tag=tag,
        digest=digest,
    )


def delete_tag(tx: Transaction, repository: Repository, tag: str) -> None:
    tx.run("delete from ecr_tag where repository = :id and tag = :tag", id=repository.id, tag=tag)


def delete_image(tx: Transaction, repository: Repository, digest: str, now_ms: int) -> None:
    """The image and its tags. Its layers stay for a while: another push may be about to use them."""
    tx.run(
        """update ecr_layer set touched_ms = :now_ms where repository = :id and digest in
           (select digest from ecr_reference where repository = :id and image = :digest)""",
        id=repository.id,
        digest=digest,
        now_ms=now_ms,
    )
    for table in ("ecr_tag", "ecr_image"):
        tx.run(f"delete from {table} where repository = :id and digest = :digest", id=repository.id, digest=digest)
    tx.run("delete from ecr_reference where repository = :id and image = :digest", id=repository.id, digest=digest)


def lists_of(tx: Transaction, repository: Repository, digest: str) -> list[str]:
    """The manifest lists that an image is part of."""
    rows = tx.all(
        """select image from ecr_reference where repository = :id and digest = :digest and kind = 'image'
           order by image""",
        id=repository.id,
        digest=digest,
    )
    return [row["image"] for row in rows]


def referrers(tx: Transaction, repository: Repository, subject: str) -> list[Image]:
    rows = tx.all(
        "select * from ecr_image where repository = :id and subject = :subject order by pushed_ms, digest",
        id=repository.id,
        subject=subject,
    )
    return _images(tx, repository.id, rows)


def pulled(tx: Transaction, repository: Repository, digest: str, now_ms: int) -> None:
    tx.run(
        "update ecr_image set pulled_ms = :now_ms where repository = :id and digest = :digest",
        id=repository.id,
        digest=digest,
        now_ms=now_ms,
    )


def media_types(tx: Transaction, repository: Repository, digest: str) -> list[str]:
    """What manifests call a layer."""
    rows = tx.all(
        "select distinct media_type from ecr_reference where repository = :id and digest = :digest order by media_type",
        id=repository.id,
        digest=digest,
    )
    return [row["media_type"] for row in rows]
