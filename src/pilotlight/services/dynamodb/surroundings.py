"""What every noun of this service needs, and what they share: two caches of immutable values."""

from __future__ import annotations

from dataclasses import dataclass, field

from pilotlight.clock import Clock
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.dynamodb.expressions.cache import ParseCache
from pilotlight.services.dynamodb.store import Scope, TableCache
from pilotlight.settings import Settings
from pilotlight.storage import Database


@dataclass(frozen=True, slots=True)
class Surroundings:
    database: Database
    clock: Clock
    ids: Ids
    settings: Settings
    parsed: ParseCache = field(default_factory=ParseCache)
    tables: TableCache = field(default_factory=TableCache)

    def new_revision(self) -> int:
        """A random number of 62 bits and never `ABSENT`: no revision of an item comes again."""
        return 1 + (int.from_bytes(self.ids.secret(8), "big") >> 2)

    def new_id(self) -> int:
        """A number of 47 bits for a table or an index. It is part of many keys, so it is short."""
        return 1 + (int.from_bytes(self.ids.secret(6), "big") >> 1)


def scope_of(caller: Caller) -> Scope:
    return Scope(caller.account, caller.region)
