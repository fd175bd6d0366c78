"""Scheduled rules that fall due become events on their way to the rule's targets.

The firing and the rule's next moment are one transaction, so that a rule fires once for each moment,
whatever is killed. Moments that passed while the cloud was down fire once, together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pilotlight.clock import Clock
from pilotlight.services.events import schedules, store
from pilotlight.services.events.store import Rule
from pilotlight.storage import Database, Transaction
from pilotlight.storage.outbox import OutboxEvent, post

RULES_AT_ONCE_MAX = 100


class Schedules:
    """`work` is a reconciler's."""

    def __init__(self, database: Database, clock: Clock, wake_delivery: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._wake_delivery = wake_delivery

    async def work(self) -> int | None:
        while True:
            fired, due_ms = await self._database.claim(_fire, self._clock.now_ms())
            if fired:
                self._wake_delivery()
            if fired < RULES_AT_ONCE_MAX:
                return due_ms


def _fire(tx: Transaction, now_ms: int) -> tuple[int, int | None]:
    rules = store.due(tx, now_ms, RULES_AT_ONCE_MAX)
    for rule in rules:
        moment_ms = rule.next_due_ms or now_ms
        for target in store.targets(tx, rule):
            post(tx, _event(rule, target, moment_ms, now_ms))
        schedule = schedules.parse(rule.schedule)
        following = schedule.after(moment_ms)
        if following is not None and following <= now_ms:
            following = schedule.after(now_ms)
        store.save(tx, replace(rule, next_due_ms=following))
    return len(rules), store.next_due_ms(tx)


def _event(rule: Rule, target: Mapping[str, Any], moment_ms: int, now_ms: int) -> OutboxEvent:
    # The id follows from what fired when, so that running the transaction again posts the same event.
    digest = hashlib.sha256(f"{rule.arn} {target['Id']} {moment_ms}".encode()).hexdigest()
    identity = f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    return OutboxEvent(
        id=identity,
        kind="lambda_invoke",
        account=rule.account,
        region=rule.region,
        target=target["Arn"],
        source=rule.arn,
        payload=_payload(rule, target, moment_ms, identity).encode(),
        created_ms=now_ms,
        due_ms=now_ms,
        detail=json.dumps({"principal": "events.amazonaws.com"}),
    )


def _payload(rule: Rule, target: Mapping[str, Any], moment_ms: int, identity: str) -> str:
    if "Input" in target:
        return str(target["Input"])
    if target.get("InputPath") == "$.detail":
        return "{}"
    moment = datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {
            "version": "0",
            "id": identity,
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": rule.account,
            "time": moment,
            "region": rule.region,
            "resources": [rule.arn],
            "detail": {},
        }
    )
