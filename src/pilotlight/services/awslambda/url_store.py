"""Function URLs: one at most for a function, and one for each of its aliases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.services.awslambda.names import Reference
from pilotlight.services.awslambda.store import OF, Name
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class FunctionUrl:
    id: str
    """The first label of its host name."""
    function: Name
    qualifier: str
    """An alias, or empty for `$LATEST`."""
    body: dict[str, Any]
    """`AuthType`, `InvokeMode`, `Cors`, `created_ms`, `modified_ms`."""

    @property
    def reference(self) -> Reference:
        return Reference(self.function, self.qualifier)


def _url(row: Mapping[str, Any]) -> FunctionUrl:
    name = Name(row["account"], row["region"], row["name"])
    return FunctionUrl(row["id"], name, row["qualifier"], json.loads(row["body"]))


def find_by_id(tx: Transaction, identity: str) -> FunctionUrl | None:
    row = tx.one("select * from lambda_url where id = :id", id=identity)
    return _url(row) if row else None


def find(tx: Transaction, reference: Reference) -> FunctionUrl | None:
    row = tx.one(
        f"select * from lambda_url where {OF} and qualifier = :qualifier",
        **reference.function.keys,
        qualifier=reference.qualifier,
    )
    return _url(row) if row else None


def list_urls(tx: Transaction, name: Name) -> list[FunctionUrl]:
    return [_url(row) for row in tx.all(f"select * from lambda_url where {OF} order by qualifier", **name.keys)]


def add(tx: Transaction, url: FunctionUrl) -> bool:
    """False where the id is taken."""
    added = tx.run(
        """insert into lambda_url (id, account, region, name, qualifier, body)
           values (:id, :account, :region, :name, :qualifier, :body) on conflict do nothing""",
        **url.function.keys,
        id=url.id,
        qualifier=url.qualifier,
        body=json.dumps(url.body),
    )
    return added > 0


def change(tx: Transaction, url: FunctionUrl) -> None:
    tx.run("update lambda_url set body = :body where id = :id", id=url.id, body=json.dumps(url.body))


def delete(tx: Transaction, identity: str) -> None:
    tx.run("delete from lambda_url where id = :id", id=identity)
