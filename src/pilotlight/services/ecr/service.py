"""ECR, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.identity.authorise import Policies
from pilotlight.ids import Ids
from pilotlight.services.contract import Service
from pilotlight.services.ecr.access import EcrGuard, Shared
from pilotlight.services.ecr.content import Content
from pilotlight.services.ecr.data_plane import Registry
from pilotlight.services.ecr.images import Images
from pilotlight.services.ecr.layers import Layers
from pilotlight.services.ecr.lifecycle import Lifecycle, LifecycleWork
from pilotlight.services.ecr.repositories import Repositories
from pilotlight.services.ecr.strangers import Logins
from pilotlight.services.ecr.tokens import Authorization, Passwords
from pilotlight.settings import Settings
from pilotlight.storage import Database
from pilotlight.storage.blobs import Blobs


@dataclass(frozen=True, slots=True)
class EcrParts:
    service: Service
    registry: Registry
    """The data plane."""
    shared: Shared
    lifecycle: Callable[[], Awaitable[int | None]]
    """A reconciler's work."""


def make_parts(
    database: Database,
    blobs: Blobs,
    clock: Clock,
    ids: Ids,
    settings: Settings,
    policies: Policies,
    *,
    secret: bytes,
    wake: Callable[[], None],
) -> EcrParts:
    """`blobs` hold nothing but ECR's; `secret`, 32 bytes, seals the registry's passwords."""
    shared = Shared(database, Content(database, blobs, clock, ids), clock, ids, settings.port, wake)
    passwords, guard = Passwords(secret, clock, ids), EcrGuard(database)
    nouns = [
        Repositories(shared),
        Images(shared),
        Layers(shared, passwords),
        Lifecycle(shared),
        Authorization(passwords, settings.port),
    ]
    service = Service(name="ecr", nouns=nouns, guard=guard)
    registry = Registry(shared, guard, policies, Logins(passwords, settings))
    return EcrParts(service, registry, shared, LifecycleWork(shared).work)
