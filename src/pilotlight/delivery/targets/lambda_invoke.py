"""A service calls a function: S3's notifications, schedules, destinations. The function's queue takes over from there.

The event is handed in by `Invoke` with `InvocationType=Event`, as the service that caused it, so that the function's
resource policy decides. AWS: a service that is not permitted is not tried again; throttles and failures are, with
back-off, for up to a day.

`detail` may name `principal` (else it follows from the source's ARN), or `role_arn` and `session` where a role
calls, and `trace_id`: the chain of events that it belongs to.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.arn import Arn
from pilotlight.clock import Clock
from pilotlight.delivery.contract import Done, Later
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Cloud
from pilotlight.storage.outbox import OutboxEvent

log = logging.getLogger(__name__)

AGE_SECONDS_MAX = 24 * 3600
WAIT_SECONDS_MAX = 300
DENIED = frozenset({"AccessDeniedException", "AccessDenied"})
INVALID = frozenset(
    {
        "InvalidParameterValueException",
        "InvalidRequestContentException",
        "RequestTooLargeException",
        "ValidationException",
    }
)


class LambdaInvoke:
    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock

    async def deliver(self, event: OutboxEvent) -> Done | Later:
        detail = json.loads(event.detail or "{}")
        request = {"FunctionName": event.target, "InvocationType": "Event", "Payload": event.payload}
        try:
            await self._cloud.call("lambda", "Invoke", request, caller_of(event, detail))
        except AwsError as error:
            return self._refused(event, detail, error)
        return Done()

    def _refused(self, event: OutboxEvent, detail: Mapping[str, Any], error: AwsError) -> Done | Later:
        waits = int(detail.get("waits", 0))
        due_ms = self._clock.now_ms() + 1000 * min(WAIT_SECONDS_MAX, 2 ** min(waits, 16))
        final = error.code in DENIED or error.code in INVALID
        if final or due_ms > event.created_ms + 1000 * AGE_SECONDS_MAX:
            log.warning("event %s from %s to %s is dropped: %s", event.id, event.source, event.target, error)
            return Done()
        return Later(due_ms=due_ms, detail=json.dumps({**detail, "waits": waits + 1}))


def caller_of(event: OutboxEvent, detail: Mapping[str, Any]) -> Caller:
    """Who invokes: a role, or the service behind the source."""
    request_id = request_id_of(event.id)
    if detail.get("role_arn"):
        role = Arn.parse(detail["role_arn"])
        session = f"assumed-role/{role.resource.rpartition('/')[2]}/{detail.get('session') or 'delivery'}"
        return Caller(
            account=role.account,
            region=event.region,
            kind="role",
            arn=f"arn:aws:sts::{role.account}:{session}",
            role_arn=detail["role_arn"],
            trace_id=detail.get("trace_id", ""),
            request_id=request_id,
        )
    service = detail.get("principal") or f"{Arn.parse(event.source).service}.amazonaws.com"
    region = Arn.parse(event.target).region
    caller = Caller.of_service(
        service, account=event.account, region=region, source_arn=event.source, request_id=request_id
    )
    return replace(caller, trace_id=detail.get("trace_id", ""), context={"aws:SourceAccount": event.account})


def request_id_of(event_id: str) -> str:
    """The same at each attempt, so that an event which was handed over just before a crash is not queued twice."""
    try:
        return str(uuid.UUID(event_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, event_id))
