"""What a kind of event is to the dispatcher: one attempt, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pilotlight.storage.outbox import OutboxEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Delivered, or given up: the row goes, and these come, in one transaction."""

    follow_ups: tuple[OutboxEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Not yet: the row is due again at `due_ms`, cloud time."""

    due_ms: int
    detail: str


class Target(Protocol):
    """A kind of event's way to where it goes. It may be tried again after any crash, so it is at least once."""

    async def deliver(self, event: OutboxEvent) -> Done | Later: ...
