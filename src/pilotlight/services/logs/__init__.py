"""CloudWatch Logs: groups, streams, events, filter patterns, retention, tags.

Real: all of that; retention deletes by cloud time. Refused by name: Insights queries, live tail, metric and
subscription filters, exports, KMS keys, data protection, anomaly detectors, deliveries. Functions' logs arrive through
`observability/logs.py`.
"""

from __future__ import annotations

from pilotlight.clock import Clock
from pilotlight.observability.logs import LogBuffer
from pilotlight.services.contract import Service
from pilotlight.services.logs.events import Events
from pilotlight.services.logs.groups import Groups
from pilotlight.services.logs.guard import LogsGuard
from pilotlight.services.logs.streams import Streams
from pilotlight.services.logs.tags import Tags
from pilotlight.storage import Database


def make_service(database: Database, clock: Clock, buffer: LogBuffer) -> Service:
    """`database` is the logs' own file; `buffer` is flushed before anything is read."""
    nouns = (
        Groups(database, clock, buffer),
        Streams(database, clock, buffer),
        Events(database, clock, buffer),
        Tags(database),
    )
    return Service(name="logs", nouns=nouns, guard=LogsGuard())
