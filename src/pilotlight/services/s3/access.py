"""What all nouns share: the bucket of a request, a write that holds against a changing bucket, its events."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pilotlight.clock import Clock
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.contract import Cloud
from pilotlight.services.s3 import errors, events, names, store
from pilotlight.services.s3.bodies import Bodies
from pilotlight.services.s3.store import Bucket, MakeEvents, ObjectVersion
from pilotlight.storage import Database, Transaction
from pilotlight.storage.outbox import OutboxEvent

T = TypeVar("T")

BUCKET_CHANGES_MAX = 10
PRINCIPAL = "s3.amazonaws.com"
DETAIL = json.dumps({"principal": PRINCIPAL, "subject": events.SUBJECT})

REFUSED = {
    "SSEKMSKeyId": "SSE-KMS",
    "SSEKMSEncryptionContext": "SSE-KMS",
    "WriteOffsetBytes": "appending with x-amz-write-offset-bytes",
    "MFA": "MFA delete",
    "OptionalObjectAttributes": "OptionalObjectAttributes",
    "AnnotationDirective": "object annotations",
}


@dataclass(frozen=True, slots=True)
class Shared:
    """What every noun of S3 is built with."""

    database: Database
    bodies: Bodies
    clock: Clock
    ids: Ids
    cloud: Cloud
    wake: Callable[[], None]
    wake_lifecycle: Callable[[], None]

    async def bucket(self, caller: Caller, request: Mapping[str, Any]) -> Bucket:
        """The request's bucket. Raises NoSuchBucket, AccessDenied where the owner is not the expected one, and
        PermanentRedirect where the request was signed for another region."""
        bucket = await self.bucket_named(request["Bucket"], request.get("ExpectedBucketOwner"))
        if caller.region != bucket.region and caller.kind not in ("anonymous", "service"):
            raise errors.elsewhere(bucket.name, bucket.region)
        return bucket

    async def bucket_named(self, name: str, expected_owner: str | None = None) -> Bucket:
        bucket = await self.database.read(store.find_bucket, name)
        if bucket is None:
            raise errors.no_such_bucket(name)
        if expected_owner is not None and expected_owner != bucket.account:
            raise errors.access_denied()
        return bucket

    async def write(self, bucket: Bucket, prepare: Callable[[Bucket], Callable[[Transaction], T]]) -> tuple[Bucket, T]:
        """Run what `prepare` makes for the bucket as it is at the commit; returns that bucket, too."""
        for _ in range(BUCKET_CHANGES_MAX):
            try:
                return bucket, await self.database.write(prepare(bucket))
            except store.BucketChanged:
                bucket = await self.bucket_named(bucket.name)
        raise AwsError("OperationAborted", "A conflicting conditional operation is currently in progress against "
                       "this resource. Please try again.", status=409)  # fmt: skip

    def maker(
        self, caller: Caller, bucket: Bucket, key: str, name: str, *, at_ms: int | None = None
    ) -> MakeEvents | None:
        """What makes the events of a write, in its own transaction; None where nobody listens."""
        found = events.targets(bucket, f"s3:{name}", key)
        if not found:
            return None
        now_ms = self.clock.now_ms() if at_ms is None else at_ms
        ids = [self.ids.uuid() for _ in found]

        def make(version: ObjectVersion) -> list[OutboxEvent]:
            return [
                OutboxEvent(
                    id=identity,
                    kind=target.delivery,
                    account=bucket.account,
                    region=bucket.region,
                    target=target.arn,
                    source=names.bucket_arn(bucket.name),
                    payload=events.record(
                        name=name, target=target, bucket=bucket, version=version, caller=caller, now_ms=now_ms
                    ),
                    created_ms=now_ms,
                    due_ms=now_ms,
                    detail=DETAIL,
                )
                for identity, target in zip(ids, found, strict=True)
            ]

        return make


def refuse_unsupported(request: Mapping[str, Any], operation: str) -> None:
    """Parameters that are not honoured are refused by name."""
    for name, what in REFUSED.items():
        if request.get(name):
            raise NotImplementedHere(f"{operation} with {what}")
    encryption = request.get("ServerSideEncryption")
    if encryption and encryption != "AES256":
        if encryption not in ("aws:kms", "aws:kms:dsse", "aws:fsx", "aws:backup"):
            raise errors.invalid_argument(
                "The encryption method specified is not supported", "x-amz-server-side-encryption", encryption
            )
        raise NotImplementedHere(f"{operation} with encryption {encryption}")
