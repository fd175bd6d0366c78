"""Lambda's own queue: events that `Invoke` accepted with 202."""

from __future__ import annotations

from pilotlight.delivery.contract import Done, Later
from pilotlight.services.awslambda.asynchronous import Again, Asynchronous
from pilotlight.storage.outbox import OutboxEvent


class LambdaAsync:
    """How often and when is Lambda's to say; see `services/awslambda/asynchronous.py`."""

    def __init__(self, asynchronous: Asynchronous) -> None:
        self._asynchronous = asynchronous

    async def deliver(self, event: OutboxEvent) -> Done | Later:
        answer = await self._asynchronous.attempt(event)
        if isinstance(answer, Again):
            return Later(due_ms=answer.due_ms, detail=answer.detail)
        return Done(follow_ups=answer.follow_ups)
