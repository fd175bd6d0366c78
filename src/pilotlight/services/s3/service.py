"""S3, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.contract import Cloud, Service
from pilotlight.services.s3.access import Shared
from pilotlight.services.s3.archives import Archives
from pilotlight.services.s3.bodies import Bodies
from pilotlight.services.s3.bucket_policies import BucketPolicies
from pilotlight.services.s3.buckets import Buckets
from pilotlight.services.s3.configuration import Configuration
from pilotlight.services.s3.copying import Copies
from pilotlight.services.s3.cors import Cors
from pilotlight.services.s3.forms import Forms
from pilotlight.services.s3.guard import S3Guard
from pilotlight.services.s3.lifecycle import Lifecycle, LifecycleWork
from pilotlight.services.s3.listings import Listings
from pilotlight.services.s3.multipart import Multipart
from pilotlight.services.s3.notifications import Notifications
from pilotlight.services.s3.object_lock import ObjectLock
from pilotlight.services.s3.objects import Objects
from pilotlight.services.s3.websites import WebsiteConfigurations
from pilotlight.storage import Database
from pilotlight.storage.blobs import Blobs


@dataclass(frozen=True, slots=True)
class S3Parts:
    service: Service
    forms: Forms
    lifecycle: Callable[[], Awaitable[int | None]]
    """A reconciler's work."""


def make_parts(
    database: Database,
    blobs: Blobs,
    clock: Clock,
    ids: Ids,
    cloud: Cloud,
    *,
    wake: Callable[[], None],
    wake_lifecycle: Callable[[], None],
) -> S3Parts:
    """`blobs` hold nothing but S3's; `wake` is called after a commit that posted events."""
    shared = Shared(database, Bodies(database, blobs), clock, ids, cloud, wake, wake_lifecycle)
    kinds: tuple[Callable[[Shared], object], ...] = (
        Buckets,
        Configuration,
        BucketPolicies,
        Cors,
        Notifications,
        Objects,
        Archives,
        Copies,
        Lifecycle,
        ObjectLock,
        Listings,
        Multipart,
        WebsiteConfigurations,
    )
    service = Service(name="s3", nouns=[kind(shared) for kind in kinds], guard=S3Guard(database))
    return S3Parts(service, Forms(shared), LifecycleWork(shared).work)


async def collect_orphans(database: Database, blobs: Blobs) -> int:
    """Delete blobs that no row names; safe at any time. Run it at start and every hour."""
    return await Bodies(database, blobs).collect()
