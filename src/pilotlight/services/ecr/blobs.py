"""The registry's blobs: sent whole or in part, uploaded whole, in chunks, or taken over from another repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pilotlight.errors import AwsError
from pilotlight.protocols.messages import Bytes, Request, Response
from pilotlight.services.ecr import layer_store
from pilotlight.services.ecr.access import Shared
from pilotlight.services.ecr.layer_store import Upload
from pilotlight.services.ecr.layers import LINK
from pilotlight.services.ecr.names import DIGEST, no_upload
from pilotlight.services.ecr.store import Repository
from pilotlight.storage.blobs import BlobGone

if TYPE_CHECKING:
    from pilotlight.services.ecr.data_plane import Visit

__all__ = ["LINK", "append", "begin", "cancel", "complete", "get", "progress", "send"]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CONTENT_RANGE = re.compile(r"(?:bytes )?(\d+)-(\d+)(?:/.*)?")


async def get(visit: Visit) -> Response:
    return await send(visit.shared, visit.request, visit.repository, visit.reference)


async def send(shared: Shared, request: Request, repository: Repository, digest: str) -> Response:
    _check_digest(digest)
    layer = await shared.content.find(repository, digest)
    if layer is None:
        raise AwsError("BLOB_UNKNOWN", f"The layer {digest} is not in the repository '{repository.name}'.", status=404)
    headers = [
        ("content-type", "application/octet-stream"),
        ("docker-content-digest", digest),
        ("etag", f'"{digest}"'),
        ("accept-ranges", "bytes"),
    ]
    if request.headers.get("if-none-match", "").strip('"') == digest:
        return Response(status=304, headers=headers)
    start, end, status = 0, layer.size, 200
    if (asked := request.headers.get("range")) is not None and request.method == "GET":
        found = _span(asked, layer.size)
        if found is None:
            unsatisfied = [*headers, ("content-range", f"bytes */{layer.size}")]
            return Response(status=416, headers=unsatisfied)
        start, end = found
        status = 206
        headers.append(("content-range", f"bytes {start}-{end - 1}/{layer.size}"))
    headers.append(("content-length", str(end - start)))
    if request.method == "HEAD":
        return Response(status=status, headers=headers)
    try:
        return Response(status=status, headers=headers, body=await shared.content.read(layer, start, end))
    except BlobGone:
        raise AwsError("BLOB_UNKNOWN", f"The layer {digest} was removed just now.", status=404) from None


def _span(text: str, size: int) -> tuple[int, int] | None:
    """One range; None where nothing of it is there."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        return (0, size) if size else None
    if not match[1]:
        length = min(int(match[2]), size)
        return (size - length, size) if length else None
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    return (start, end) if start < end else None


async def begin(visit: Visit) -> Response:
    """Start an upload, or do all of it: by a mount, or with the whole blob in the body."""
    shared, repository = visit.shared, visit.repository
    wanted = visit.query.get("mount", "")
    if wanted:
        _check_digest(wanted)
        if await _mount(visit, wanted):
            return _created(visit, wanted)
    digest = visit.query.get("digest", "")
    if digest:
        _check_digest(digest)
    upload = await shared.content.begin(repository)
    if not digest:
        return _accepted(visit, upload)
    try:
        upload = await _receive(visit, upload)
        await shared.content.complete(repository, upload, digest)
    except AwsError:
        await shared.content.cancel(upload)
        raise
    return _created(visit, digest)


async def _mount(visit: Visit, digest: str) -> bool:
    """False where the client has to upload it: the source is not there, or not for it."""
    shared, source = visit.shared, visit.query.get("from", "")
    if await shared.content.find(visit.repository, digest):
        return True
    if not source or not await visit.may("GetDownloadUrlForLayer", source):
        return False
    try:
        asked = {"registryId": visit.repository.account, "repositoryName": source}
        repository = await shared.repository(visit.caller, asked)
        layer = await shared.content.find(repository, digest)
        if layer is None:
            return False
        await shared.content.mount(visit.repository, layer)
    except (AwsError, BlobGone):
        return False
    return True


async def append(visit: Visit) -> Response:
    upload = await _upload(visit)
    sent = visit.request.headers.get("content-range")
    if sent is not None:
        match = _CONTENT_RANGE.fullmatch(sent.strip())
        if match is None or int(match[1]) != upload.size or int(match[2]) < int(match[1]):
            return _misplaced(visit, upload)
        length = visit.request.headers.get("content-length")
        if length is not None and int(length) != int(match[2]) - int(match[1]) + 1:
            raise AwsError("SIZE_INVALID", "The chunk is not as long as its range says.")
    return _accepted(visit, await _receive(visit, upload))


async def complete(visit: Visit) -> Response:
    digest = visit.query.get("digest", "")
    if not digest:
        raise AwsError("DIGEST_INVALID", "The digest of the upload is missing.")
    _check_digest(digest)
    upload = await _receive(visit, await _upload(visit))
    await visit.shared.content.complete(visit.repository, upload, digest)
    return _created(visit, digest)


async def progress(visit: Visit) -> Response:
    upload = await _upload(visit)
    response = _accepted(visit, upload)
    response.status = 204
    return response


async def cancel(visit: Visit) -> Response:
    await visit.shared.content.cancel(await _upload(visit))
    return Response(status=204)


async def _upload(visit: Visit) -> Upload:
    found = await visit.shared.database.read(layer_store.find_upload, visit.repository, visit.reference)
    if found is None:
        raise no_upload(visit.repository, visit.reference)
    return found


async def _receive(visit: Visit, upload: Upload) -> Upload:
    source = visit.request.stream or Bytes(visit.request.body)
    return await visit.shared.content.append(visit.repository, upload, source)


def _check_digest(digest: str) -> None:
    if not DIGEST.fullmatch(digest):
        raise AwsError("DIGEST_INVALID", f"The digest {digest} is not one of sha256.")


def _accepted(visit: Visit, upload: Upload) -> Response:
    headers = [
        ("location", visit.location(f"blobs/uploads/{upload.id}")),
        ("docker-upload-uuid", upload.id),
        # As docker's own registry says it: an empty upload has the range 0-0.
        ("range", f"0-{max(upload.size - 1, 0)}"),
    ]
    return Response(status=202, headers=headers)


def _misplaced(visit: Visit, upload: Upload) -> Response:
    response = _accepted(visit, upload)
    response.status = 416
    return response


def _created(visit: Visit, digest: str) -> Response:
    headers = [("location", visit.location(f"blobs/{digest}")), ("docker-content-digest", digest)]
    return Response(status=201, headers=headers)
