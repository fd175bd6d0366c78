"""Lambda's `ImageStore`: images of our own ECR, asked for as anyone would be, and of the registries an operator names.

The cache of the engine keeps what was pulled. An image that no function needs, and that nobody asked for in the last
hour, is forgotten.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.clock import Clock
from pilotlight.engine.contract import ContainerImage
from pilotlight.engine.images.cache import CachedImage, Fetch, ImageCache
from pilotlight.engine.images.compression import ImageInvalid
from pilotlight.engine.images.manifest import Blob, MediaTypeUnsupported, parse_manifest
from pilotlight.engine.images.registry import NotAllowed, NotThere, Reference, RegistryClient, Unreachable
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.surroundings import FoundImage, ImageRefused
from pilotlight.services.contract import Cloud
from pilotlight.services.ecr.access import Shared
from pilotlight.settings import Settings
from pilotlight.storage.blobs import BlobGone

KEPT_SECONDS = 3600.0
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com|localhost\.localstack\.cloud(:\d+)?)"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """An image in a repository of our own ECR."""

    account: str
    region: str
    reference: Reference


class ImageShelf:
    def __init__(self, cache: ImageCache, cloud: Cloud, shared: Shared, clock: Clock, settings: Settings) -> None:
        self._cache = cache
        self._cloud = cloud
        self._shared = shared
        self._clock = clock
        self._port = settings.port
        self._foreign = dict(_registries(settings.registries))
        self._locks: dict[str, asyncio.Lock] = {}
        self._asked: dict[str, float] = {}

    async def find(self, uri: str, service: Caller) -> FoundImage:
        reference = Reference.parse(uri)
        if reference is None or not (reference.tag or reference.digest):
            raise ImageRefused("InvalidUri", f"{uri} names no image")
        manifest, digest = await self._manifest(reference, service)
        try:
            parse_manifest(manifest)
        except MediaTypeUnsupported as error:
            raise ImageRefused("MediaType", str(error)) from None
        except ImageInvalid as error:
            raise ImageRefused("InvalidImage", str(error)) from None
        return FoundImage(uri, f"{reference.host}/{reference.name}@{digest}", digest)

    async def pull(self, image: FoundImage, service: Caller) -> None:
        await self._pulled(image, service)

    async def root(self, image: FoundImage, service: Caller, config: Mapping[str, Any]) -> ContainerImage:
        cached = self._cache.find(image.digest) or await self._pulled(image, service)
        self._asked[image.digest] = self._clock.monotonic()
        settings = cached.configuration
        argv = (*(config.get("EntryPoint") or settings.entrypoint), *(config.get("Command") or settings.command))
        if not argv:
            raise ImageRefused("InvalidImage", "it has neither an entry point nor a command")
        return ContainerImage(
            layers=(*cached.layers, cached.skeleton),
            argv=argv,
            working_directory=config.get("WorkingDirectory") or settings.working_directory,
            environment=dict(settings.environment),
            digest=image.digest,
        )

    async def collect(self, used: Collection[str]) -> int:
        """Forget what is not in `used`, and was not asked for lately."""
        now = self._clock.monotonic()
        self._asked = {digest: at for digest, at in self._asked.items() if now - at < KEPT_SECONDS}
        return await asyncio.to_thread(self._cache.collect, {*used, *self._asked})

    async def _pulled(self, image: FoundImage, service: Caller) -> CachedImage:
        self._asked[image.digest] = self._clock.monotonic()
        async with self._locks.setdefault(image.digest, asyncio.Lock()):
            try:
                reference = Reference.parse(image.resolved)
                assert reference is not None
                found = self._cache.find(image.digest)
                if found is not None:
                    return found
                manifest, _ = await self._manifest(reference, service)
                fetch = self._fetch(reference, service)
                return await asyncio.to_thread(self._cache.pull, image.digest, manifest, fetch)
            except (ImageInvalid, MediaTypeUnsupported) as error:
                raise ImageRefused("InvalidImage", str(error)) from None
            except (NotThere, BlobGone) as error:
                raise ImageRefused("ImageDeleted", str(error)) from None
            except NotAllowed as error:
                raise ImageRefused("ImageAccessDenied", str(error)) from None
            except Unreachable as error:
                raise ImageRefused("InternalError", str(error)) from None
            finally:
                self._locks.pop(image.digest, None)

    async def _manifest(self, reference: Reference, service: Caller) -> tuple[bytes, str]:
        place = self._own(reference, service)
        if place is not None:
            return await self._own_manifest(place, service)
        client = self._client(reference)
        try:
            return await asyncio.to_thread(client.manifest)
        except NotThere as error:
            raise ImageRefused("ImageDeleted", str(error)) from None
        except NotAllowed as error:
            raise ImageRefused("ImageAccessDenied", str(error)) from None
        except Unreachable as error:
            raise ImageRefused("InternalError", str(error)) from None

    def _own(self, reference: Reference, service: Caller) -> _Place | None:
        match = _ECR.fullmatch(reference.host)
        if match is not None:
            if match["region"] != service.region:
                # AWS: the image's region is the function's.
                raise ImageRefused("InvalidUri", "the image is in another region")
            return _Place(match["account"], match["region"], reference)
        host, _, port = reference.host.partition(":")
        if _loopback(host) and port == str(self._port):
            return _Place(service.account, service.region, reference)
        return None

    async def _own_manifest(self, place: _Place, service: Caller) -> tuple[bytes, str]:
        reference = place.reference
        wanted = {"imageDigest": reference.digest} if reference.digest else {"imageTag": reference.tag}
        asked = {"registryId": place.account, "repositoryName": reference.name, "imageIds": [wanted]}
        try:
            answer = await self._cloud.call("ecr", "BatchGetImage", asked, service)
        except AwsError as error:
            raise _translated(error, place) from None
        if not answer["images"]:
            raise ImageRefused("ImageDeleted", f"{reference.name} has no image {reference.selector}")
        found = answer["images"][0]
        return found["imageManifest"].encode(), found["imageId"]["imageDigest"]

    def _client(self, reference: Reference) -> RegistryClient:
        if reference.host not in self._foreign:
            raise ImageRefused("Registry", reference.host)
        user, password = self._foreign[reference.host]
        insecure = _loopback(reference.host.partition(":")[0])
        return RegistryClient(reference, user=user, password=password, insecure=insecure)

    def _fetch(self, reference: Reference, service: Caller) -> Fetch:
        place = self._own(reference, service)
        if place is None:
            return self._client(reference).blob
        loop = asyncio.get_running_loop()

        def fetch(blob: Blob) -> Iterator[bytes]:
            """In a thread, a piece at a time from the loop."""
            pieces = asyncio.run_coroutine_threadsafe(self._open(place, blob, service), loop).result()
            while True:
                piece = asyncio.run_coroutine_threadsafe(_next(pieces), loop).result()
                if piece is None:
                    return
                yield piece

        return fetch

    async def _open(self, place: _Place, blob: Blob, service: Caller) -> AsyncIterator[bytes]:
        asked = {"registryId": place.account, "repositoryName": place.reference.name}
        try:
            await self._cloud.call("ecr", "GetDownloadUrlForLayer", {**asked, "layerDigest": blob.digest}, service)
            repository = await self._shared.repository(service, asked)
        except AwsError as error:
            raise (NotAllowed if error.code == "AccessDeniedException" else NotThere)(error.message) from None
        layer = await self._shared.content.find(repository, blob.digest)
        if layer is None:
            raise NotThere(blob.digest)
        return await self._shared.content.read(layer, 0, layer.size)


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


def _translated(error: AwsError, place: _Place) -> ImageRefused:
    if error.code == "AccessDeniedException":
        return ImageRefused("ImageAccessDenied", error.message, repository=place.reference.name, registry=place.account)
    if error.code == "RepositoryNotFoundException":
        return ImageRefused("ImageDeleted", error.message)
    return ImageRefused("InvalidImage", error.message)


def _registries(text: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """`host` or `user:password@host`, with commas."""
    for one in filter(None, (part.strip() for part in text.split(","))):
        login, _, host = one.rpartition("@")
        user, _, password = login.partition(":")
        yield host, (user, password)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
