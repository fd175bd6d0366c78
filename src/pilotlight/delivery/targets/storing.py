"""A record becomes an object of a bucket, in the name of a role: failures of functions take this way.

`detail` names `role_arn`, `session` and the object's `key`, which is the same at each attempt: a second one
changes nothing.
"""

from __future__ import annotations

import json
import logging

from pilotlight.arn import Arn
from pilotlight.clock import Clock
from pilotlight.delivery.contract import Done, Later
from pilotlight.delivery.targets.lambda_invoke import AGE_SECONDS_MAX, WAIT_SECONDS_MAX, caller_of
from pilotlight.errors import AwsError
from pilotlight.services.contract import Cloud
from pilotlight.storage.outbox import OutboxEvent

log = logging.getLogger(__name__)

FINAL = ("AccessDenied", "NoSuchBucket", "InvalidBucketName", "NotImplemented")


class Storing:
    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock

    async def deliver(self, event: OutboxEvent) -> Done | Later:
        detail = json.loads(event.detail)
        params = {
            "Bucket": Arn.parse(event.target).resource,
            "Key": detail["key"],
            "Body": event.payload,
            "ContentType": "application/json",
        }
        try:
            await self._cloud.call("s3", "PutObject", params, caller_of(event, detail))
        except AwsError as error:
            waits = int(detail.get("waits", 0))
            due_ms = self._clock.now_ms() + 1000 * min(WAIT_SECONDS_MAX, 2 ** min(waits, 16))
            if error.code not in FINAL and due_ms <= event.created_ms + 1000 * AGE_SECONDS_MAX:
                return Later(due_ms=due_ms, detail=json.dumps({**detail, "waits": waits + 1}))
            log.warning("event %s from %s to %s is dropped: %s", event.id, event.source, event.target, error)
        return Done()
