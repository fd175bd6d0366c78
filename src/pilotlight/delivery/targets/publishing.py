"""A service sends a message to a queue or a topic, as itself: the queue's or topic's policy decides.

S3's notifications take this way; records and dead letters of functions too, in the name of the function's role, which
`detail` names. It may hold `attributes` for the message and its `subject`. AWS: what the policy refuses is dropped;
what fails is tried again for a day.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from pilotlight.arn import Arn
from pilotlight.clock import Clock
from pilotlight.delivery.contract import Done, Later
from pilotlight.delivery.targets.lambda_invoke import AGE_SECONDS_MAX, WAIT_SECONDS_MAX, caller_of
from pilotlight.errors import AwsError
from pilotlight.services.contract import Cloud
from pilotlight.storage.outbox import OutboxEvent

log = logging.getLogger(__name__)

FINAL = (
    "AccessDenied",
    "AccessDeniedException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "NotFound",
    "NotImplemented",
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "InvalidMessageContents",
    "InvalidParameter",
    "MissingParameter",
)


def message(target: str, body: str, detail: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """The call that sends it: service, operation, parameters. `target` is a queue's or a topic's ARN."""
    arn = Arn.parse(target)
    attributes = {"MessageAttributes": detail["attributes"]} if detail.get("attributes") else {}
    if arn.service == "sqs":
        url = f"https://sqs.{arn.region}.amazonaws.com/{arn.account}/{arn.resource}"
        return "sqs", "SendMessage", {"QueueUrl": url, "MessageBody": body, **attributes}
    subject = {"Subject": detail["subject"]} if detail.get("subject") else {}
    return "sns", "Publish", {"TopicArn": target, "Message": body, **subject, **attributes}


class Publishing:
    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock

    async def deliver(self, event: OutboxEvent) -> Done | Later:
        detail = json.loads(event.detail or "{}")
        service, operation, params = message(event.target, event.payload.decode(), detail)
        try:
            await self._cloud.call(service, operation, params, caller_of(event, detail))
        except AwsError as error:
            return self._refused(event, detail, error)
        return Done()

    def _refused(self, event: OutboxEvent, detail: Mapping[str, Any], error: AwsError) -> Done | Later:
        waits = int(detail.get("waits", 0))
        due_ms = self._clock.now_ms() + 1000 * min(WAIT_SECONDS_MAX, 2 ** min(waits, 16))
        if error.code in FINAL or due_ms > event.created_ms + 1000 * AGE_SECONDS_MAX:
            log.warning("event %s from %s to %s is dropped: %s", event.id, event.source, event.target, error)
            return Done()
        return Later(due_ms=due_ms, detail=json.dumps({**detail, "waits": waits + 1}))
