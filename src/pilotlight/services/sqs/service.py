"""SQS, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.contract import Service
from pilotlight.services.sqs.guard import SqsGuard
from pilotlight.services.sqs.maintenance import Maintenance
from pilotlight.services.sqs.moves import Moves
from pilotlight.services.sqs.names import Urls
from pilotlight.services.sqs.permissions import Permissions
from pilotlight.services.sqs.queues import Queues
from pilotlight.services.sqs.receiving import Receiving
from pilotlight.services.sqs.sending import Sending
from pilotlight.services.sqs.surroundings import Sequences, Surroundings
from pilotlight.services.sqs.waiting import Waiters
from pilotlight.storage import Database


@dataclass(frozen=True, slots=True)
class Parts:
    service: Service
    work: Callable[[], Awaitable[int | None]]
    """For a `background.Reconciler`."""
    waiters: Waiters
    """For whoever reads from queues: wakes those that wait for messages."""


def make_parts(
    database: Database, clock: Clock, ids: Ids, *, endpoint: Callable[[], str], wake: Callable[[], None]
) -> Parts:
    """`endpoint` is where people reach this cloud; `wake` tells the reconciler that there is work."""
    around = Surroundings(database, clock, ids, Urls(endpoint), Waiters(clock), Sequences(clock, ids), wake)
    nouns = [Queues(around), Sending(around), Receiving(around), Permissions(around), Moves(around)]
    return Parts(Service(name="sqs", nouns=nouns, guard=SqsGuard(database)), Maintenance(around).work, around.waiters)
