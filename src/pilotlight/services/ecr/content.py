"""Layers' bytes: received in pieces, hashed on their way, kept as blobs, read again by anyone who may.

Nothing is a layer before its digest was checked over every byte. The hash of an upload is kept in memory beside its
offset; after a restart the pieces are read again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.ids import Ids
from pilotlight.protocols.messages import BodyStream
from pilotlight.services.ecr import layer_store
from pilotlight.services.ecr.layer_store import Layer, Part, Upload
from pilotlight.services.ecr.names import no_upload
from pilotlight.services.ecr.store import Repository
from pilotlight.storage import Database
from pilotlight.storage.blobs import BlobGone, Blobs, Segment

if TYPE_CHECKING:
    from hashlib import _Hash

LAYER_BYTES_MAX = 52_000 * 1024 * 1024
"""AWS: the largest layer."""
HASHES_MAX = 1000


@dataclass(slots=True)
class _Known:
    size: int
    digest: _Hash


class Content:
    """`blobs` hold nothing but ECR's."""

    def __init__(self, database: Database, blobs: Blobs, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._hashes: OrderedDict[str, _Known] = OrderedDict()

    async def find(self, repository: Repository, digest: str) -> Layer | None:
        return await self._database.read(layer_store.find_layer, repository, digest)

    async def read(self, layer: Layer, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (not included). Raises BlobGone where the layer went away meanwhile."""
        parts = await self._database.read(layer_store.parts_of, layer.id)
        if sum(part.size for part in parts) != layer.size:
            raise BlobGone(layer.digest)
        return await self._blobs.read(_segments(parts, start, end))

    async def begin(self, repository: Repository) -> Upload:
        upload = Upload(self._ids.uuid(), repository.id, 0, 0)
        await self._database.write(layer_store.add_upload, upload, self._clock.now_ms())
        return upload

    async def append(self, repository: Repository, upload: Upload, source: BodyStream) -> Upload:
        """Add what the source has. An upload that somebody else went on with meanwhile is refused."""
        known = self._hashes.get(upload.id)
        digest = known.digest.copy() if known and known.size == upload.size else None
        if upload.size == 0:
            digest = hashlib.sha256()
        size = 0
        async with self._blobs.write(digest.update if digest else None) as writer:
            async for piece in source:
                size += len(piece)
                if upload.size + size > LAYER_BYTES_MAX:
                    raise AwsError("LimitExceededException", f"A layer has at most {LAYER_BYTES_MAX} bytes.")
                await writer.append(piece)
            if not size:
                return upload
            part = Part(await writer.finish(), size)
            changed = await self._database.write(layer_store.append, upload, part)
        if changed is None:
            await self._blobs.discard([part.blob])
            raise no_upload(repository, upload.id)
        if digest is not None:
            self._remember(upload.id, _Known(changed.size, digest))
        return changed

    async def complete(self, repository: Repository, upload: Upload, digest: str) -> bool:
        """Make a layer of it. False where the repository has it already. Raises InvalidLayerException."""
        known = self._hashes.get(upload.id)
        if known is None or known.size != upload.size:
            known = _Known(upload.size, await self._hash(upload))
        computed = f"sha256:{known.digest.hexdigest()}"
        if computed != digest:
            raise AwsError(
                "InvalidLayerException",
                f"The layer digest provided {digest} does not match the digest {computed} that was computed.",
            )
        done = await self._database.write(layer_store.complete, upload, digest, self._clock.now_ms())
        if done is None:
            raise no_upload(repository, upload.id)
        self._hashes.pop(upload.id, None)
        if not done:
            await self.cancel(upload)
        return done

    async def cancel(self, upload: Upload) -> None:
        self._hashes.pop(upload.id, None)
        blobs = await self._database.write(layer_store.drop, upload.id)
        await self._blobs.discard(blobs)

    async def mount(self, target: Repository, layer: Layer) -> None:
        """The same bytes in another repository, with a life of their own."""
        parts = await self._database.read(layer_store.parts_of, layer.id)
        await self._link(target, layer, parts, [])

    async def discard(self, blobs: Sequence[str]) -> None:
        await self._blobs.discard(blobs)

    async def collect(self) -> int:
        """Delete blobs that no row names."""

        async def referenced(names: Sequence[str]) -> set[str]:
            return await self._database.scan(layer_store.referenced, names)

        return await self._blobs.collect(referenced)

    async def _link(self, target: Repository, layer: Layer, left: Sequence[Part], linked: list[Part]) -> None:
        """Each link stays safe from the collector while its context is open, until the row is there."""
        if left:
            async with self._blobs.link(left[0].blob) as name:
                await self._link(target, layer, left[1:], [*linked, Part(name, left[0].size)])
            return
        mounted = Layer(target.id, layer.digest, self._ids.uuid(), layer.size)
        added = await self._database.write(layer_store.add_layer, mounted, linked, self._clock.now_ms())
        if not added:
            await self._blobs.discard([part.blob for part in linked])

    async def _hash(self, upload: Upload) -> _Hash:
        parts = await self._database.read(layer_store.parts_of, upload.id)
        digest = hashlib.sha256()
        async for piece in await self._blobs.read(_segments(parts, 0, upload.size)):
            digest.update(piece)
        return digest

    def _remember(self, upload: str, known: _Known) -> None:
        self._hashes[upload] = known
        self._hashes.move_to_end(upload)
        while len(self._hashes) > HASHES_MAX:
            self._hashes.popitem(last=False)


def _segments(parts: Sequence[Part], start: int, end: int) -> list[Segment]:
    """Which bytes of which blobs these are."""
    segments, offset = [], 0
    for part in parts:
        first, last = max(start - offset, 0), min(end - offset, part.size)
        if first < last:
            segments.append(Segment(first, last, part.blob))
        offset += part.size
    return segments
