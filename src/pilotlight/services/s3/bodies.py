"""Bytes on their way in and out: small ones in the row, larger ones in blobs, hashed while they are written."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.protocols.messages import BodyStream, Bytes
from pilotlight.services.s3 import checksums, errors, parts, store
from pilotlight.services.s3.checksums import Digests
from pilotlight.services.s3.conditions import Span
from pilotlight.services.s3.parts import Part
from pilotlight.services.s3.store import ObjectVersion
from pilotlight.storage import Database
from pilotlight.storage.blobs import BlobGone, Blobs, Segment

INLINE_BYTES_MAX = 32 * 1024
"""Up to here the body is part of the row: a group commit syncs many at once, where each blob needs two of its own."""
UPLOAD_BYTES_MAX = 5 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body that arrived whole and was what its checksums say. It is durable once its row is committed."""

    size: int
    etag: str
    checksums: Mapping[str, str]
    blob: str = ""
    body: bytes | None = None


class Bodies:
    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    @contextlib.asynccontextmanager
    async def receive(
        self, source: BodyStream | bytes, request: Mapping[str, Any], *, also: str = ""
    ) -> AsyncIterator[Content]:
        """Commit the content's row inside the context. `also` is computed besides what was sent."""
        stream = Bytes(source) if isinstance(source, bytes | bytearray) else source
        names = checksums.wanted(request, getattr(stream, "declared", ()), also)
        md5 = checksums.decode_md5(request["ContentMD5"]) if "ContentMD5" in request else None
        digests = Digests(names)
        pieces: list[bytes] = []
        size = 0
        incoming = aiter(stream)
        async for piece in incoming:
            pieces.append(piece)
            size += len(piece)
            if size > INLINE_BYTES_MAX:
                break
        if size <= INLINE_BYTES_MAX:
            body = b"".join(pieces)
            digests.update(body)
            yield _content(digests, request, stream, md5, body=body)
            return
        async with self._blobs.write(digests.update) as writer:
            for piece in pieces:
                await writer.append(piece)
            pieces.clear()
            async for piece in incoming:
                size += len(piece)
                if size > UPLOAD_BYTES_MAX:
                    raise errors.entity_too_large(size, UPLOAD_BYTES_MAX)
                await writer.append(piece)
            await writer.settle()
            _content(digests, request, stream, md5)
            blob = await writer.finish()
            yield _content(digests, request, stream, md5, blob=blob)

    async def segments(self, version: ObjectVersion, span: Span) -> list[Segment]:
        if version.upload_id:
            found = await self._database.scan(parts.parts_of_object, version.upload_id)
            if sum(part.size for part in found) != version.size:
                raise BlobGone(version.upload_id)
            return segments_of(found, span)
        return [Segment(span.start, span.end, version.blob, version.body or b"")]

    async def read(self, version: ObjectVersion, span: Span) -> bytes | AsyncIterator[bytes]:
        """Raises BlobGone where the version was replaced since it was read."""
        if not version.upload_id and not version.blob:
            return (version.body or b"")[span.start : span.end]
        return await self._blobs.read(await self.segments(version, span))

    def link(self, blob: str) -> contextlib.AbstractAsyncContextManager[str]:
        return self._blobs.link(blob)

    async def discard(self, blobs: Sequence[str]) -> None:
        if blobs:
            await self._blobs.discard(blobs)

    async def collect(self) -> int:
        """Delete blobs that no row names."""

        async def referenced(names: Sequence[str]) -> set[str]:
            return await self._database.scan(store.referenced_blobs, names)

        return await self._blobs.collect(referenced)


def _content(
    digests: Digests,
    request: Mapping[str, Any],
    stream: BodyStream,
    md5: bytes | None,
    *,
    blob: str = "",
    body: bytes | None = None,
) -> Content:
    if md5 is not None and md5 != digests.md5:
        raise errors.bad_digest(request["ContentMD5"], digests.md5.hex())
    computed = digests.values()
    checksums.compare(checksums.given(request), computed)
    checksums.compare(checksums.of_trailers(getattr(stream, "trailers", {})), computed)
    return Content(size=digests.size, etag=digests.md5.hex(), checksums=computed, blob=blob, body=body)


def segments_of(found: Sequence[Part], span: Span) -> list[Segment]:
    """Which bytes of which parts the span is."""
    segments = []
    offset = 0
    for part in found:
        start, end = max(span.start - offset, 0), min(span.end - offset, part.size)
        if start < end:
            segments.append(Segment(start, end, part.blob, part.body or b""))
        offset += part.size
    return segments


class Streamed:
    """An iterator of bytes as a `BodyStream`: a copy reads its source with it."""

    def __init__(self, source: bytes | AsyncIterator[bytes]) -> None:
        self._source = source

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._source, bytes):
            yield self._source
            return
        async for piece in self._source:
            yield piece

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])
