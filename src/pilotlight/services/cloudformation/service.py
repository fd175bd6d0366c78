"""CloudFormation, put together."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.cloudformation.change_sets import ChangeSets
from pilotlight.services.cloudformation.guard import CloudFormationGuard
from pilotlight.services.cloudformation.stacks import Descriptions, Shared, Stacks
from pilotlight.services.contract import Cloud, Service
from pilotlight.storage import Database


def make_service(
    database: Database,
    cloud: Cloud,
    clock: Clock,
    ids: Ids,
    *,
    known_types: Collection[str],
    wake: Callable[[], None],
) -> Service:
    """`known_types` are those that `deploy/` can make; `wake` tells it of a new operation."""
    shared = Shared(database, cloud, clock, ids, known_types=known_types, wake=wake)
    return Service(
        name="cloudformation",
        nouns=[Stacks(shared), Descriptions(shared), ChangeSets(shared)],
        guard=CloudFormationGuard(),
    )
