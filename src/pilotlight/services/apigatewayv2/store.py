"""An API, and its parts: integrations, routes, stages, deployments. Every change raises the API's revision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pilotlight.storage import Transaction

PartKind = Literal["integration", "route", "stage", "deployment"]


@dataclass(frozen=True, slots=True)
class Api:
    id: str
    account: str
    region: str
    revision: int
    created_ms: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    api: str
    kind: str
    id: str
    created_ms: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An API with all its parts, as the data plane reads it."""

    api: Api
    parts: tuple[Part, ...]

    def of(self, kind: PartKind) -> list[Part]:
        return [part for part in self.parts if part.kind == kind]


def _api(row: Mapping[str, Any]) -> Api:
    return Api(**{**row, "body": json.loads(row["body"])})


def _part(row: Mapping[str, Any]) -> Part:
    return Part(**{**row, "body": json.loads(row["body"])})


def add_api(tx: Transaction, api: Api) -> bool:
    """False where the id is taken."""
    return (
        tx.run(
            """insert into apigatewayv2_api (id, account, region, revision, created_ms, body)
               values (:id, :account, :region, :revision, :created_ms, :body) on conflict (id) do nothing""",
            id=api.id,
            account=api.account,
            region=api.region,
            revision=api.revision,
            created_ms=api.created_ms,
            body=json.dumps(api.body),
        )
        > 0
    )


def find_api(tx: Transaction, identity: str, *, account: str, region: str) -> Api | None:
    row = tx.one(
        "select * from apigatewayv2_api where id = :id and account = :account and region = :region",
        id=identity,
        account=account,
        region=region,
    )
    return _api(row) if row else None


def list_apis(tx: Transaction, *, account: str, region: str, after: str, limit: int) -> list[Api]:
    rows = tx.all(
        """select * from apigatewayv2_api where account = :account and region = :region and id > :after
           order by id limit :limit""",
        account=account,
        region=region,
        after=after,
        limit=limit,
    )
    return [_api(row) for row in rows]


def save_api(tx: Transaction, identity: str, body: Mapping[str, Any]) -> None:
    tx.run(
        "update apigatewayv2_api set body = :body, revision = revision + 1 where id = :id",
        body=json.dumps(body),
        id=identity,
    )


def delete_api(tx: Transaction, identity: str) -> None:
    tx.run("delete from apigatewayv2_part where api = :id", id=identity)
    tx.run("delete from apigatewayv2_api where id = :id", id=identity)


def save_part(tx: Transaction, part: Part) -> None:
    tx.run(
        """insert into apigatewayv2_part (api, kind, id, created_ms, body)
           values (:api, :kind, :id, :created_ms, :body)
           on conflict (api, kind, id) do update set body = excluded.body""",
        api=part.api,
        kind=part.kind,
        id=part.id,
        created_ms=part.created_ms,
        body=json.dumps(part.body),
    )
    _touch(tx, part.api)


def find_part(tx: Transaction, api: str, kind: PartKind, identity: str) -> Part | None:
    row = tx.one(
        "select * from apigatewayv2_part where api = :api and kind = :kind and id = :id",
        api=api,
        kind=kind,
        id=identity,
    )
    return _part(row) if row else None


def list_parts(tx: Transaction, api: str, kind: PartKind) -> list[Part]:
    rows = tx.all("select * from apigatewayv2_part where api = :api and kind = :kind order by id", api=api, kind=kind)
    return [_part(row) for row in rows]


def delete_part(tx: Transaction, api: str, kind: PartKind, identity: str) -> bool:
    _touch(tx, api)
    return (
        tx.run(
            "delete from apigatewayv2_part where api = :api and kind = :kind and id = :id",
            api=api,
            kind=kind,
            id=identity,
        )
        > 0
    )


def _touch(tx: Transaction, api: str) -> None:
    tx.run("update apigatewayv2_api set revision = revision + 1 where id = :id", id=api)


def revision_of(tx: Transaction, identity: str) -> int | None:
    row = tx.one("select revision from apigatewayv2_api where id = :id", id=identity)
    return row["revision"] if row else None


def snapshot(tx: Transaction, identity: str) -> Snapshot | None:
    row = tx.one("select * from apigatewayv2_api where id = :id", id=identity)
    if row is None:
        return None
    parts = tx.all("select * from apigatewayv2_part where api = :id order by kind, id", id=identity)
    return Snapshot(_api(row), tuple(_part(part) for part in parts))
