"""DynamoDB, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.contract import Service
from pilotlight.services.dynamodb.batches import Batches
from pilotlight.services.dynamodb.guard import DynamoDbGuard
from pilotlight.services.dynamodb.items import Items
from pilotlight.services.dynamodb.maintenance import Maintenance
from pilotlight.services.dynamodb.queries import Queries
from pilotlight.services.dynamodb.surroundings import Surroundings
from pilotlight.services.dynamodb.table_settings import Tags, TimeToLive
from pilotlight.services.dynamodb.tables import Tables
from pilotlight.services.dynamodb.transactions import Transactions
from pilotlight.settings import Settings
from pilotlight.storage import Database


@dataclass(frozen=True, slots=True)
class Parts:
    service: Service
    reconcilers: dict[str, Callable[[], Awaitable[int | None]]]
    """Work for `background.Reconciler`s, by name."""


def make_parts(database: Database, clock: Clock, ids: Ids, settings: Settings) -> Parts:
    around = Surroundings(database, clock, ids, settings)
    maintenance = Maintenance(around)
    nouns = [
        Tables(around, maintenance),
        TimeToLive(around, maintenance),
        Tags(around),
        Items(around),
        Queries(around),
        Batches(around),
        Transactions(around),
    ]
    service = Service(name="dynamodb", nouns=nouns, guard=DynamoDbGuard(around))
    return Parts(service, {"dynamodb-expiry": maintenance.expire, "dynamodb-tidy": maintenance.tidy})


def make_service(database: Database, clock: Clock, ids: Ids, settings: Settings) -> Service:
    """The service alone, without what runs in the background."""
    return make_parts(database, clock, ids, settings).service
