"""S3's service without the gateway: its methods, asked as boto3 would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.s3 import make_parts
from pilotlight.storage import Database, outbox
from pilotlight.storage.blobs import LocalBlobs

ACCOUNT = "000000000000"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:thumbnail"


class FakeCloud:
    """Lambda's answer to a dry run, and nothing else."""

    def __init__(self) -> None:
        self.refusal: AwsError | None = None
        self.calls: list[tuple[str, str, Mapping[str, Any], Caller]] = []

    async def call(self, service: str, operation: str, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        self.calls.append((service, operation, params, caller))
        if self.refusal is not None:
            raise self.refusal
        return {}


class S3:
    """`await s3.put_object(Bucket=…, …)`: boto3's spelling, as the account's administrator."""

    def __init__(self, database: Database, blobs: LocalBlobs, clock: Clock) -> None:
        self.database = database
        self.blobs = blobs
        self.clock = clock
        self.cloud = FakeCloud()
        self.wakes = 0
        parts = make_parts(database, blobs, clock, Ids(), self.cloud, wake=self._wake, wake_lifecycle=lambda: None)
        self.service = parts.service
        self.lifecycle = parts.lifecycle
        self.caller = Caller(
            account=ACCOUNT, region="us-east-1", kind="administrator", arn=f"arn:aws:iam::{ACCOUNT}:root",
            request_id="request-1",
        )  # fmt: skip
        self._methods = {name: noun for noun in self.service.nouns for name in dir(noun) if not name.startswith("_")}

    def _wake(self) -> None:
        self.wakes += 1

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.__dict__["_methods"][name], name)

        async def call(caller: Caller | None = None, **request: Any) -> Any:
            return await method(caller or self.caller, request)

        return call

    async def body(self, **request: Any) -> bytes:
        found = (await self.get_object(**request))["Body"]
        return found if isinstance(found, bytes) else b"".join([piece async for piece in found])

    async def events(self) -> list[dict[str, Any]]:
        """Records that are on their way, oldest first."""
        leases = await self.database.claim(
            outbox.claim, now_ms=2**60, wall_ms=2**60, lease_until_ms=2**61, token="t", limit=100
        )
        records = [json.loads(lease.event.payload)["Records"][0] for lease in leases]
        return sorted(records, key=lambda record: str(record["s3"]["object"]["sequencer"]))


def code_of(caught: pytest.ExceptionInfo[AwsError]) -> str:
    return caught.value.code
