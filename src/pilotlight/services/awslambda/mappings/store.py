"""Mappings, as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping as Values
from dataclasses import dataclass, field
from typing import Any

from pilotlight.services.awslambda.names import Reference
from pilotlight.services.awslambda.store import Name
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class Mapping:
    uuid: str
    account: str
    region: str
    function: str
    qualifier: str
    source: str
    """The queue's ARN."""
    enabled: bool
    body: dict[str, Any]
    """What was set: BatchSize, MaximumBatchingWindowInSeconds, FilterCriteria …"""
    modified_ms: int
    tags: dict[str, str] = field(default_factory=dict)
    result: str = "No records processed"

    @property
    def reference(self) -> Reference:
        return Reference(Name(self.account, self.region, self.function), self.qualifier)

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:event-source-mapping:{self.uuid}"


def _mapping(row: Values[str, Any]) -> Mapping:
    read = {"enabled": bool(row["enabled"]), "body": json.loads(row["body"]), "tags": json.loads(row["tags"])}
    return Mapping(**{**row, **read})


def save(tx: Transaction, mapping: Mapping) -> None:
    tx.run(
        """insert into lambda_mapping (uuid, account, region, function, qualifier, source, enabled, body, tags,
                                       modified_ms, result)
           values (:uuid, :account, :region, :function, :qualifier, :source, :enabled, :body, :tags,
                   :modified_ms, :result)
           on conflict (uuid) do update set function = excluded.function, qualifier = excluded.qualifier,
           enabled = excluded.enabled, body = excluded.body, tags = excluded.tags,
           modified_ms = excluded.modified_ms""",
        uuid=mapping.uuid,
        account=mapping.account,
        region=mapping.region,
        function=mapping.function,
        qualifier=mapping.qualifier,
        source=mapping.source,
        enabled=int(mapping.enabled),
        body=json.dumps(mapping.body),
        tags=json.dumps(mapping.tags),
        modified_ms=mapping.modified_ms,
        result=mapping.result,
    )


def find(tx: Transaction, uuid: str, *, account: str, region: str) -> Mapping | None:
    row = tx.one(
        "select * from lambda_mapping where uuid = :uuid and account = :account and region = :region",
        uuid=uuid,
        account=account,
        region=region,
    )
    return _mapping(row) if row else None


def find_pair(tx: Transaction, source: str, reference: Reference) -> Mapping | None:
    row = tx.one(
        """select * from lambda_mapping where account = :account and region = :region and source = :source
           and function = :function and qualifier = :qualifier""",
        account=reference.function.account,
        region=reference.function.region,
        source=source,
        function=reference.function.name,
        qualifier=reference.qualifier,
    )
    return _mapping(row) if row else None


def list_mappings(tx: Transaction, *, account: str, region: str, after: str, limit: int) -> list[Mapping]:
    rows = tx.all(
        """select * from lambda_mapping where account = :account and region = :region and uuid > :after
           order by uuid limit :limit""",
        account=account,
        region=region,
        after=after,
        limit=limit,
    )
    return [_mapping(row) for row in rows]


def enabled(tx: Transaction) -> list[Mapping]:
    """Of every account and region."""
    return [_mapping(row) for row in tx.all("select * from lambda_mapping where enabled = 1 order by uuid")]


def delete(tx: Transaction, mapping: Mapping) -> None:
    tx.run("delete from lambda_mapping where uuid = :uuid", uuid=mapping.uuid)


def tell(tx: Transaction, uuid: str, result: str) -> None:
    tx.run("update lambda_mapping set result = :result where uuid = :uuid", uuid=uuid, result=result)
