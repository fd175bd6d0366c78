"""Functions, their versions, and what hangs on them: aliases, policies, settings.

A version's `number` is 0 for `$LATEST`. A *part* is a document that belongs to a function: `alias` (by its
name), and by qualifier (empty for the function itself) `policy`, `event_invoke`, `provisioned`, `runtime`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pilotlight.storage import Transaction

Kind = Literal["alias", "policy", "event_invoke", "provisioned", "runtime", "recursion", "signing", "pull"]
LATEST = "$LATEST"


@dataclass(frozen=True, slots=True)
class Name:
    """A function of an account in a region."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"

    @property
    def keys(self) -> dict[str, str]:
        return {"account": self.account, "region": self.region, "name": self.name}


@dataclass(frozen=True, slots=True)
class Function:
    name: Name
    id: str
    """Tells a function from its namesake that was deleted."""
    created_ms: int
    next_version: int
    reserved: int | None
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Version:
    function: Name
    number: int
    revision: str
    body: dict[str, Any]

    @property
    def version(self) -> str:
        return str(self.number) if self.number else LATEST


@dataclass(frozen=True, slots=True)
class Part:
    function: Name
    kind: str
    id: str
    revision: str
    body: dict[str, Any]


OF = "account = :account and region = :region and name = :name"


def _function(row: Mapping[str, Any]) -> Function:
    name = Name(row["account"], row["region"], row["name"])
    return Function(name, row["id"], row["created_ms"], row["next_version"], row["reserved"], json.loads(row["tags"]))


def _version(row: Mapping[str, Any]) -> Version:
    name = Name(row["account"], row["region"], row["name"])
    return Version(name, row["number"], row["revision"], json.loads(row["body"]))


def _part(row: Mapping[str, Any]) -> Part:
    name = Name(row["account"], row["region"], row["name"])
    return Part(name, row["kind"], row["id"], row["revision"], json.loads(row["body"]))


def add_function(tx: Transaction, function: Function) -> bool:
    """False where the name is taken."""
    added = tx.run(
        """insert into lambda_function (account, region, name, id, created_ms, next_version, reserved, tags)
           values (:account, :region, :name, :id, :created_ms, :next_version, null, :tags)
           on conflict (account, region, name) do nothing""",
        **function.name.keys,
        id=function.id,
        created_ms=function.created_ms,
        next_version=function.next_version,
        tags=json.dumps(function.tags),
    )
    return added > 0


def find_function(tx: Transaction, name: Name) -> Function | None:
    row = tx.one(f"select * from lambda_function where {OF}", **name.keys)
    return _function(row) if row else None


def delete_function(tx: Transaction, name: Name) -> bool:
    for table in ("lambda_part", "lambda_version", "lambda_url"):
        tx.run(f"delete from {table} where {OF}", **name.keys)
    return tx.run(f"delete from lambda_function where {OF}", **name.keys) > 0


def set_reserved(tx: Transaction, name: Name, reserved: int | None) -> None:
    tx.run(f"update lambda_function set reserved = :reserved where {OF}", **name.keys, reserved=reserved)


def set_next_version(tx: Transaction, name: Name, number: int) -> None:
    tx.run(f"update lambda_function set next_version = :number where {OF}", **name.keys, number=number)


def set_tags(tx: Transaction, name: Name, tags: Mapping[str, str]) -> None:
    tx.run(f"update lambda_function set tags = :tags where {OF}", **name.keys, tags=json.dumps(tags))


def reserved_total(tx: Transaction, account: str, region: str) -> int:
    row = tx.one(
        "select sum(reserved) as total from lambda_function where account = :account and region = :region",
        account=account,
        region=region,
    )
    return int(row["total"] or 0) if row else 0


def find_version(tx: Transaction, name: Name, number: int) -> Version | None:
    row = tx.one(f"select * from lambda_version where {OF} and number = :number", **name.keys, number=number)
    return _version(row) if row else None


def save_version(tx: Transaction, version: Version) -> None:
    tx.run(
        """insert into lambda_version (account, region, name, number, revision, body, code_bytes)
           values (:account, :region, :name, :number, :revision, :body, :code_bytes)
           on conflict (account, region, name, number) do update
           set revision = excluded.revision, body = excluded.body, code_bytes = excluded.code_bytes""",
        **version.function.keys,
        number=version.number,
        revision=version.revision,
        body=json.dumps(version.body),
        code_bytes=version.body["CodeSize"],
    )


def delete_version(tx: Transaction, name: Name, number: int) -> bool:
    return tx.run(f"delete from lambda_version where {OF} and number = :number", **name.keys, number=number) > 0


def newest_version(tx: Transaction, name: Name) -> Version | None:
    """The last published version that still exists."""
    row = tx.one(f"select * from lambda_version where {OF} and number > 0 order by number desc limit 1", **name.keys)
    return _version(row) if row else None


def list_versions(tx: Transaction, name: Name, *, after: int, limit: int) -> list[Version]:
    rows = tx.all(
        f"select * from lambda_version where {OF} and number > :after order by number limit :limit",
        **name.keys,
        after=after,
        limit=limit,
    )
    return [_version(row) for row in rows]


def list_latest(tx: Transaction, account: str, region: str, *, after: str, limit: int) -> list[Version]:
    rows = tx.all(
        """select * from lambda_version where account = :account and region = :region and number = 0
           and name > :after order by name limit :limit""",
        account=account,
        region=region,
        after=after,
        limit=limit,
    )
    return [_version(row) for row in rows]


def list_all(tx: Transaction, account: str, region: str, *, after: tuple[str, int], limit: int) -> list[Version]:
    rows = tx.all(
        """select * from lambda_version where account = :account and region = :region
           and (name > :after or (name = :after and number > :number)) order by name, number limit :limit""",
        account=account,
        region=region,
        after=after[0],
        number=after[1],
        limit=limit,
    )
    return [_version(row) for row in rows]


def code_bytes(tx: Transaction, account: str, region: str) -> int:
    """What the zips of versions and layers take up together."""
    row = tx.one(
        """select (select coalesce(sum(code_bytes), 0) from lambda_version
                   where account = :account and region = :region)
                + (select coalesce(sum(code_bytes), 0) from lambda_layer_version
                   where account = :account and region = :region) as total""",
        account=account,
        region=region,
    )
    return int(row["total"]) if row else 0


def count_functions(tx: Transaction, account: str, region: str) -> int:
    sql = "select count(*) as n from lambda_function where account = :account and region = :region"
    row = tx.one(sql, account=account, region=region)
    return int(row["n"]) if row else 0


def runtimes_in_use(tx: Transaction) -> set[str]:
    """Of all functions of all accounts, as they would be invoked now."""
    rows = tx.all("select body from lambda_version where number = 0")
    return {json.loads(row["body"]).get("Runtime", "") for row in rows} - {""}


def image_bodies(tx: Transaction) -> list[dict[str, Any]]:
    """Bodies of all versions, of all accounts, that are made of a container image."""
    rows = tx.all("select body from lambda_version where body like :mark", mark='%"_image": {%')
    return [json.loads(row["body"]) for row in rows]


def find_part(tx: Transaction, name: Name, kind: Kind, identity: str) -> Part | None:
    row = tx.one(
        f"select * from lambda_part where {OF} and kind = :kind and id = :id", **name.keys, kind=kind, id=identity
    )
    return _part(row) if row else None


def save_part(tx: Transaction, part: Part) -> None:
    tx.run(
        """insert into lambda_part (account, region, name, kind, id, revision, body)
           values (:account, :region, :name, :kind, :id, :revision, :body)
           on conflict (account, region, name, kind, id) do update
           set revision = excluded.revision, body = excluded.body""",
        **part.function.keys,
        kind=part.kind,
        id=part.id,
        revision=part.revision,
        body=json.dumps(part.body),
    )


def delete_part(tx: Transaction, name: Name, kind: Kind, identity: str) -> bool:
    sql = f"delete from lambda_part where {OF} and kind = :kind and id = :id"
    return tx.run(sql, **name.keys, kind=kind, id=identity) > 0


def delete_parts_of(tx: Transaction, name: Name, identity: str) -> None:
    """Everything that hangs on a qualifier."""
    tx.run(f"delete from lambda_part where {OF} and id = :id", **name.keys, id=identity)
    tx.run(f"delete from lambda_url where {OF} and qualifier = :id", **name.keys, id=identity)


def list_parts(tx: Transaction, name: Name, kind: Kind) -> list[Part]:
    rows = tx.all(f"select * from lambda_part where {OF} and kind = :kind order by id", **name.keys, kind=kind)
    return [_part(row) for row in rows]


def every_part(tx: Transaction, kind: Kind) -> list[Part]:
    """Of all functions of all accounts: for what must be brought up again at start-up."""
    rows = tx.all("select * from lambda_part where kind = :kind order by account, region, name, id", kind=kind)
    return [_part(row) for row in rows]
