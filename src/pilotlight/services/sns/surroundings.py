"""What SNS's operations are handed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.contract import Cloud
from pilotlight.services.sns.addresses import Addresses
from pilotlight.storage import Database


@dataclass(frozen=True, slots=True)
class Surroundings:
    database: Database
    cloud: Cloud
    clock: Clock
    ids: Ids
    addresses: Addresses
    wake_delivery: Callable[[], None]
