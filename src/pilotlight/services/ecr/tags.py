"""The registry's manifests, and the lists of tags, referrers and repositories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.protocols.messages import Request, Response
from pilotlight.services.ecr import deleting, images, store
from pilotlight.services.ecr.access import Shared
from pilotlight.services.ecr.manifests import MANIFEST_BYTES_MAX, OCI_INDEX
from pilotlight.services.ecr.names import DIGEST, TAG, no_image
from pilotlight.services.ecr.store import Image

if TYPE_CHECKING:
    from pilotlight.services.ecr.data_plane import Visit

PAGE_MAX = 1000


def _named(reference: str) -> dict[str, str]:
    """A digest or a tag, as `store.find_image` takes them."""
    if ":" in reference:
        if not DIGEST.fullmatch(reference):
            raise AwsError("DIGEST_INVALID", f"The digest {reference} is not one of sha256.")
        return {"digest": reference}
    if not TAG.fullmatch(reference):
        raise AwsError("TAG_INVALID", f"The tag {reference} is not valid.")
    return {"tag": reference}


async def _find(visit: Visit) -> Image:
    named = _named(visit.reference)
    image = await visit.shared.database.read(store.find_image, visit.repository, **named)
    if image is None:
        raise no_image(visit.repository, **named)
    return image


async def get(visit: Visit) -> Response:
    image = await _find(visit)
    headers = [
        ("content-type", image.media_type),
        ("docker-content-digest", image.digest),
        ("etag", f'"{image.digest}"'),
        ("content-length", str(len(image.manifest))),
    ]
    if visit.request.headers.get("if-none-match", "").strip('"') == image.digest:
        return Response(status=304, headers=headers[1:3])
    if visit.request.method == "GET":
        await images.record_pull(visit.shared, visit.repository, image)
    return Response(headers=headers, body=image.manifest)


async def put(visit: Visit) -> Response:
    named = _named(visit.reference)
    data = await _read(visit.request)
    declared = visit.request.headers.get("content-type", "").partition(";")[0].strip()
    if declared in ("application/json", "application/octet-stream"):
        declared = ""
    image, _ = await images.put(
        visit.shared,
        visit.repository,
        data,
        declared,
        tag=named.get("tag", ""),
        expected=named.get("digest", ""),
    )
    headers = [
        ("location", visit.location(f"manifests/{image.digest}")),
        ("docker-content-digest", image.digest),
        *([("oci-subject", image.subject)] if image.subject else []),
    ]
    return Response(status=201, headers=headers)


async def delete(visit: Visit) -> Response:
    named = _named(visit.reference)
    wanted = {"imageDigest": named["digest"]} if "digest" in named else {"imageTag": named["tag"]}
    now_ms = visit.shared.clock.now_ms()

    def work(tx: Any) -> list[dict[str, str]] | dict[str, Any]:
        image = store.find_image(tx, visit.repository, **named)
        if image is None:
            raise no_image(visit.repository, **named)
        return deleting.delete(tx, visit.repository, image, wanted, now_ms)

    result = await visit.shared.database.write(work)
    if isinstance(result, dict):
        raise AwsError("DENIED", str(result["failureReason"]), status=409)
    return Response(status=202)


async def listed(visit: Visit) -> Response:
    """In the order of their names, `n` at a time, behind `last`."""
    limit = _limit(visit.query)
    after = visit.query.get("last", "")
    found = await visit.shared.database.read(store.list_tags, visit.repository, after=after, limit=limit + 1)
    body = json.dumps({"name": visit.repository.name, "tags": found[:limit]}).encode()
    headers = [("content-type", "application/json; charset=utf-8")]
    if limit and len(found) > limit:
        following = visit.location(f"tags/list?n={limit}&last={found[limit - 1]}")
        headers.append(("link", f'<{following}>; rel="next"'))
    return Response(headers=headers, body=body)


async def referrers(visit: Visit) -> Response:
    """What says of itself that it belongs to an image: signatures, bills of materials. An index, also an empty one."""
    subject = _named(visit.reference).get("digest")
    if subject is None:
        raise AwsError("DIGEST_INVALID", f"{visit.reference} is no digest.")
    kind = visit.query.get("artifactType", "")
    found = await visit.shared.database.read(store.referrers, visit.repository, subject)
    listed = [_descriptor(image) for image in found if not kind or image.artifact_type == kind]
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
    headers = [("content-type", OCI_INDEX), *([("oci-filters-applied", "artifactType")] if kind else [])]
    return Response(headers=headers, body=body)


def _descriptor(image: Image) -> dict[str, Any]:
    described: dict[str, Any] = {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": len(image.manifest),
    }
    if image.artifact_type:
        described["artifactType"] = image.artifact_type
    annotations = json.loads(image.manifest).get("annotations")
    return described | ({"annotations": annotations} if annotations else {})


async def catalog(shared: Shared, caller: Caller, account: str, query: Mapping[str, str]) -> tuple[list[str], bool]:
    """Names of repositories, and whether there are more."""
    limit = _limit(query)
    found = await shared.database.read(
        store.list_repositories, account, caller.region, after=query.get("last", ""), limit=limit + 1
    )
    return [one.name for one in found[:limit]], 0 < limit < len(found)


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("n", str(PAGE_MAX))
    if not text.isdigit():
        raise AwsError("PAGINATION_NUMBER_INVALID", f"{text!r} is no number of results.")
    return min(int(text), PAGE_MAX)


async def _read(request: Request) -> bytes:
    if request.stream is None:
        return request.body
    chunks, size = [], 0
    async for chunk in request.stream:
        size += len(chunk)
        if size > MANIFEST_BYTES_MAX:
            raise AwsError("SIZE_INVALID", f"A manifest has at most {MANIFEST_BYTES_MAX} bytes.", status=413)
        chunks.append(chunk)
    return b"".join(chunks)
