"""EventBridge, put together."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.clock import Clock
from pilotlight.services.contract import Service
from pilotlight.services.events.guard import EventsGuard
from pilotlight.services.events.rules import Rules
from pilotlight.storage import Database


def make_service(database: Database, clock: Clock, wake: Callable[[], None]) -> Service:
    """`wake` tells the schedule's reconciler that a rule has changed."""
    return Service(name="events", nouns=[Rules(database, clock, wake)], guard=EventsGuard())
