"""DynamoDB on both databases, called as the gateway calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.dynamodb.service import Parts, make_parts
from pilotlight.settings import ACCOUNT, REGION, Settings
from pilotlight.storage.database import Database

CALLER = Caller(
    account=ACCOUNT, region=REGION, kind="administrator", arn=f"arn:aws:iam::{ACCOUNT}:root", user_id=ACCOUNT
)


@dataclass
class Dynamo:
    """The operations by boto3's names."""

    parts: Parts
    clock: Clock
    database: Database
    caller: Caller = CALLER

    async def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        noun = next(noun for noun in self.parts.service.nouns if hasattr(noun, operation))
        result: dict[str, Any] = await getattr(noun, operation)(self.caller, request)
        return result

    async def refused(self, operation: str, **request: Any) -> AwsError:
        with pytest.raises(AwsError) as caught:
            await self(operation, **request)
        return caught.value

    async def message(self, operation: str, **request: Any) -> str:
        return (await self.refused(operation, **request)).message

    async def reconcile(self, name: str) -> int | None:
        return await self.parts.reconcilers[name]()

    async def table(self, name: str = "Things", **more: Any) -> None:
        """A table with keys `pk` (S) and `sk` (N), an LSI on `lsk`, and GSIs of each projection on `g`."""
        request: dict[str, Any] = {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
                {"AttributeName": "lsk", "AttributeType": "S"},
                {"AttributeName": "g", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "LocalSecondaryIndexes": [
                {
                    "IndexName": "local",
                    "KeySchema": [
                        {"AttributeName": "pk", "KeyType": "HASH"},
                        {"AttributeName": "lsk", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            "GlobalSecondaryIndexes": [
                _global("all", {"ProjectionType": "ALL"}),
                _global("keys", {"ProjectionType": "KEYS_ONLY"}),
                _global("some", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a"]}),
            ],
        }
        await self("create_table", **{**request, **more})

    async def simple(self, name: str = "Simple", key: str = "id", kind: str = "S", **more: Any) -> None:
        """A table with nothing but a partition key."""
        await self(
            "create_table",
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            **more,
        )

    async def put(self, table: str, **item: Any) -> dict[str, Any]:
        return await self("put_item", TableName=table, Item=item)


def _global(name: str, projection: dict[str, Any]) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": projection}


def s(text: str) -> dict[str, str]:
    return {"S": text}


def n(number: float | str) -> dict[str, str]:
    return {"N": str(number)}


@pytest.fixture
def components() -> list[str]:
    return ["pilotlight.services.dynamodb"]


@pytest.fixture
def dynamo(database: Database) -> Dynamo:
    clock = Clock()
    return Dynamo(make_parts(database, clock, Ids(), Settings()), clock, database)
