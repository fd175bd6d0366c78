"""Layers' versions. Numbers are never given twice, also where versions were deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.services.awslambda import code
from pilotlight.services.awslambda.store import OF
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class Layer:
    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:layer:{self.name}"

    @property
    def keys(self) -> dict[str, str]:
        return {"account": self.account, "region": self.region, "name": self.name}


@dataclass(frozen=True, slots=True)
class LayerVersion:
    layer: Layer
    number: int
    revision: str
    body: dict[str, Any]
    policy: list[dict[str, Any]]

    @property
    def arn(self) -> str:
        return f"{self.layer.arn}:{self.number}"


def _layer_version(row: Mapping[str, Any]) -> LayerVersion:
    layer = Layer(row["account"], row["region"], row["name"])
    return LayerVersion(layer, row["number"], row["revision"], json.loads(row["body"]), json.loads(row["policy"]))


def take_number(tx: Transaction, layer: Layer) -> int:
    row = tx.one(
        """insert into lambda_layer (account, region, name, next_version) values (:account, :region, :name, 2)
           on conflict (account, region, name) do update set next_version = lambda_layer.next_version + 1
           returning next_version""",
        **layer.keys,
    )
    assert row is not None
    return int(row["next_version"]) - 1


def save_layer_version(tx: Transaction, version: LayerVersion) -> None:
    tx.run(
        """insert into lambda_layer_version (account, region, name, number, revision, body, policy, code_bytes)
           values (:account, :region, :name, :number, :revision, :body, :policy, :code_bytes)
           on conflict (account, region, name, number) do update
           set revision = excluded.revision, body = excluded.body, policy = excluded.policy""",
        **version.layer.keys,
        number=version.number,
        revision=version.revision,
        body=json.dumps(version.body),
        policy=json.dumps(version.policy),
        code_bytes=version.body["CodeSize"],
    )


def publish(tx: Transaction, layer: Layer, body: dict[str, Any], revision: str) -> LayerVersion:
    code.check_storage(tx, layer.account, layer.region, body["CodeSize"])
    version = LayerVersion(layer, take_number(tx, layer), revision, body, [])
    save_layer_version(tx, version)
    return version


def find_layer_version(tx: Transaction, layer: Layer, number: int) -> LayerVersion | None:
    row = tx.one(f"select * from lambda_layer_version where {OF} and number = :number", **layer.keys, number=number)
    return _layer_version(row) if row else None


def delete_layer_version(tx: Transaction, layer: Layer, number: int) -> None:
    tx.run(f"delete from lambda_layer_version where {OF} and number = :number", **layer.keys, number=number)


def list_layer_versions(tx: Transaction, layer: Layer) -> list[LayerVersion]:
    rows = tx.all(f"select * from lambda_layer_version where {OF} order by number desc", **layer.keys)
    return [_layer_version(row) for row in rows]


def list_every_layer_version(tx: Transaction, account: str, region: str) -> list[LayerVersion]:
    rows = tx.all(
        """select * from lambda_layer_version where account = :account and region = :region
           order by name, number desc""",
        account=account,
        region=region,
    )
    return [_layer_version(row) for row in rows]
