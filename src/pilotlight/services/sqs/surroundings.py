"""What SQS's operations are handed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.sqs.message_store import SEQUENCE_BITS, sequence_at
from pilotlight.services.sqs.names import Urls
from pilotlight.services.sqs.waiting import Waiters
from pilotlight.storage import Database


class Sequences:
    """Places in standard queues: the moment, and a number that tells apart what is sent within a millisecond."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._numbers = itertools.count(int(ids.hex(5), 16))

    def next(self) -> int:
        return sequence_at(self._clock.now_ms()) | (next(self._numbers) & ((1 << SEQUENCE_BITS) - 1))


@dataclass(frozen=True, slots=True)
class Surroundings:
    database: Database
    clock: Clock
    ids: Ids
    urls: Urls
    waiters: Waiters
    sequences: Sequences
    wake: Callable[[], None]
    """Tells the reconciler that there is something to do."""

    def queue_id(self) -> int:
        """52 random bits: what was purged or deleted must not come again."""
        return int(self.ids.hex(13), 16)
