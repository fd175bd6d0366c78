"""SNS, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.contract import Cloud, Service
from pilotlight.services.sns.addresses import Addresses
from pilotlight.services.sns.guard import SnsGuard
from pilotlight.services.sns.permissions import Permissions
from pilotlight.services.sns.publishing import Publishing
from pilotlight.services.sns.signing import Signer
from pilotlight.services.sns.subscriptions import Subscriptions
from pilotlight.services.sns.surroundings import Surroundings
from pilotlight.services.sns.topics import Topics
from pilotlight.storage import Database


@dataclass(frozen=True, slots=True)
class Parts:
    service: Service
    signer: Signer
    addresses: Addresses


def make_parts(
    database: Database,
    cloud: Cloud,
    clock: Clock,
    ids: Ids,
    *,
    endpoint: Callable[[], str],
    egress: bool,
    wake_delivery: Callable[[], None],
) -> Parts:
    """`endpoint` is where people reach this cloud; `egress`, whether functions may reach the internet."""
    addresses = Addresses(endpoint, egress=egress)
    around = Surroundings(database, cloud, clock, ids, addresses, wake_delivery)
    nouns = [Topics(around), Subscriptions(around), Publishing(around), Permissions(around)]
    return Parts(
        Service(name="sns", nouns=nouns, guard=SnsGuard(database)), Signer(database, clock, endpoint), addresses
    )
