"""Lambda's own queue: what becomes of an event after `Invoke` has answered 202.

AWS: a function's error is tried again after one minute and after two more (three runs in all, by default); throttles
and failures of the service wait for 1 s, doubling to 5 minutes, and do not count, until the event is too old (6 hours).
All waits are cloud time. `delivery` claims the row, calls `attempt`, and keeps to its answer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pilotlight.arn import Arn
from pilotlight.engine.contract import Invocation, Outcome
from pilotlight.errors import AwsError
from pilotlight.services.awslambda import recursion
from pilotlight.services.awslambda.destinations import Origin, dead_letter_event, record_event
from pilotlight.services.awslambda.names import Reference
from pilotlight.services.awslambda.resolver import Resolved, Resolver, Route
from pilotlight.services.awslambda.running import choose, run
from pilotlight.services.awslambda.store import Name
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage.outbox import OutboxEvent

log = logging.getLogger(__name__)

RETRIES = 2
AGE_SECONDS = 21_600
RETRY_SECONDS = (60, 120)
WAIT_SECONDS_MAX = 300
FINAL_ERRORS = frozenset({"ResourceNotFoundException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Nothing is left to do but these: events for a destination and a dead-letter queue, perhaps."""

    follow_ups: tuple[OutboxEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    due_ms: int
    """Cloud time."""
    detail: str


class Asynchronous:
    """One attempt at one event."""

    def __init__(self, parts: Surroundings, resolver: Resolver) -> None:
        self._parts = parts
        self._resolver = resolver

    async def attempt(self, event: OutboxEvent) -> Finished | Again:
        detail = json.loads(event.detail)
        reference = reference_of(event)
        try:
            resolved = await self._resolver.resolve(reference)
        except AwsError as error:
            if error.code not in FINAL_ERRORS:
                raise
            log.warning("event %s is dropped: %s", detail["request_id"], error.message)
            return Finished()
        course = _Course(self._parts, event, detail, resolved)
        limits = resolved.primary.limits
        if limits.concurrent == 0 and limits.group == reference.function.arn:
            return course.failed("ZeroReservedConcurrency", resolved.primary, None)
        if course.too_old(self._parts.clock.now_ms()):
            return course.failed("EventAgeExceeded", resolved.primary, None)
        trace, loop = recursion.step(self._parts, detail.get("trace_id", ""), resolved, reference.function.arn)
        if loop:
            # AWS: the event goes where failures go; with which condition is not documented.
            return course.failed("RecursiveInvocation", resolved.primary, None)
        course.trace = trace
        route = choose(resolved, self._parts.ids)
        invocation = Invocation(
            request_id=detail["request_id"],
            payload=event.payload,
            invoked_arn=route.arn,
            trace_id=trace,
            limits=route.limits,
            provisioned_key=route.provisioned_key,
        )
        try:
            outcome = await run(self._parts, route, invocation)
        except AwsError as error:
            return course.wait(route, error)
        return course.ran(route, outcome)


def reference_of(event: OutboxEvent) -> Reference:
    """The target is the ARN as it was invoked: `…:function:NAME` or `…:function:NAME:QUALIFIER`."""
    arn = Arn.parse(event.target)
    _, name, *qualifier = arn.resource.split(":")
    return Reference(Name(arn.account, arn.region, name), qualifier[0] if qualifier else "")


class _Course:
    """What follows from how an attempt went."""

    def __init__(self, parts: Surroundings, event: OutboxEvent, detail: Mapping[str, Any], resolved: Resolved) -> None:
        self._parts = parts
        self._event = event
        self._detail = dict(detail)
        self._settings = resolved.settings
        self._failures = int(detail.get("failures", 0))
        self.trace = str(detail.get("trace_id", ""))

    @property
    def _ends_ms(self) -> int:
        return self._event.created_ms + 1000 * int(self._settings.get("MaximumEventAgeInSeconds", AGE_SECONDS))

    def too_old(self, now_ms: int) -> bool:
        return now_ms > self._ends_ms

    def wait(self, route: Route, error: AwsError) -> Finished | Again:
        """A throttle, or a failure that is not the function's."""
        waits = int(self._detail.get("waits", 0))
        delay_seconds = min(WAIT_SECONDS_MAX, 2 ** min(waits, 16))
        log.info("event %s waits for %d s: %s", self._detail["request_id"], delay_seconds, error)
        return self._later(route, delay_seconds, None, waits=waits + 1)

    def ran(self, route: Route, outcome: Outcome) -> Finished | Again:
        if not outcome.function_error:
            return self._finish("OnSuccess", "Success", route, outcome, invokes=self._failures + 1)
        self._failures += 1
        if self._failures > int(self._settings.get("MaximumRetryAttempts", RETRIES)):
            return self.failed("RetriesExhausted", route, outcome)
        delay_seconds = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS)) - 1]
        return self._later(route, delay_seconds, outcome, failures=self._failures, waits=0)

    def failed(self, condition: str, route: Route, outcome: Outcome | None) -> Finished:
        return self._finish("OnFailure", condition, route, outcome, invokes=self._failures)

    def _later(self, route: Route, delay_seconds: int, outcome: Outcome | None, **changes: int) -> Finished | Again:
        due_ms = self._parts.clock.now_ms() + 1000 * delay_seconds
        if self.too_old(due_ms):
            return self.failed("EventAgeExceeded", route, outcome)
        return Again(due_ms=due_ms, detail=json.dumps({**self._detail, **changes}))

    def _finish(self, member: str, condition: str, route: Route, outcome: Outcome | None, *, invokes: int) -> Finished:
        now_ms = self._parts.clock.now_ms()
        origin = Origin(
            event=self._event,
            request_id=self._detail["request_id"],
            version=route.version,
            trace_id=self.trace,
            now_ms=now_ms,
        )
        follow_ups: list[OutboxEvent] = []
        destinations = self._settings.get("DestinationConfig") or {}
        target = (destinations.get(member) or {}).get("Destination")
        if target:
            record = self._record(condition, route, outcome, invokes=invokes, now_ms=now_ms)
            follow_ups.append(record_event(origin, target, record))
        if member == "OnFailure" and route.dead_letter:
            code, message = _why(condition, outcome)
            follow_ups.append(dead_letter_event(origin, route.dead_letter, code=code, message=message))
        if member == "OnFailure" and not follow_ups:
            log.warning("event %s for %s is dropped: %s", self._detail["request_id"], route.arn, condition)
        return Finished(follow_ups=tuple(follow_ups))

    def _record(
        self, condition: str, route: Route, outcome: Outcome | None, *, invokes: int, now_ms: int
    ) -> dict[str, Any]:
        """AWS: the invocation record that destinations receive, `version` 1.0."""
        moment = datetime.fromtimestamp(now_ms / 1000, UTC)
        qualified = self._event.target if self._event.target != route.version.arn else f"{route.version.arn}:$LATEST"
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}Z",
            "requestContext": {
                "requestId": self._detail["request_id"],
                "functionArn": qualified,
                "condition": condition,
                "approximateInvokeCount": invokes,
            },
            "requestPayload": json.loads(self._event.payload),
        }
        if outcome is not None:
            context: dict[str, Any] = {"statusCode": 200, "executedVersion": route.version.version}
            if outcome.function_error:
                context["functionError"] = outcome.function_error
            record["responseContext"] = context
            record["responsePayload"] = _json_or_none(outcome.payload)
        return record


def _why(condition: str, outcome: Outcome | None) -> tuple[int, str]:
    """For a dead letter: the last attempt's status, and what it said. AWS: of a function's error the status is 200."""
    if outcome is not None:
        told = _json_or_none(outcome.payload)
        message = told.get("errorMessage") if isinstance(told, dict) else None
        return 200, message if isinstance(message, str) else outcome.payload.decode("utf-8", "replace")
    if condition == "RecursiveInvocation":
        return 400, "Recursive invocation detected."
    return 429, "Rate Exceeded."


def _json_or_none(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except ValueError:
        return None
