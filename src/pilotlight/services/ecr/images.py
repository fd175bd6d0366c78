"""Images: put, got, listed, described and deleted, by tag or by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.ecr import layer_store, manifests, store
from pilotlight.services.ecr.access import Shared
from pilotlight.services.ecr.deleting import delete
from pilotlight.services.ecr.mutability import immutable, tag_taken
from pilotlight.services.ecr.names import ANY_DIGEST, DIGEST, TAG, invalid, no_image, no_repository, unsatisfied
from pilotlight.services.ecr.store import Image, Reference, Repository
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
IDS_MAX = 100
PAGE = 100
PAGE_MAX = 1000
PULL_RECORDED_MS = 86_400_000
"""AWS: the time of the last pull is kept once in 24 hours."""


class Images:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def put_image(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        tag, data = request.get("imageTag", ""), request["imageManifest"].encode()
        expected = request.get("imageDigest", "")
        image, added = await put(
            self._shared, repository, data, request.get("imageManifestMediaType", ""), tag=tag, expected=expected
        )
        if not added:
            named = f" and tag '{tag}'" if tag else ""
            raise AwsError(
                "ImageAlreadyExistsException",
                f"Image with digest '{image.digest}'{named} already exists in the repository with name "
                f"'{repository.name}' in registry with id '{repository.account}'",
            )
        return {"image": _shown(repository, image, tag)}

    async def batch_get_image(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        accepted = request.get("acceptedMediaTypes") or ()
        images, failures = [], []
        for wanted in _ids(request):
            found = await self._find(repository, wanted)
            if isinstance(found, Image) and accepted and found.media_type not in accepted:
                found = _failure(wanted, "ImageNotFound", "Requested image is of none of the accepted media types")
            if isinstance(found, Image):
                await record_pull(self._shared, repository, found)
                images.append(_shown(repository, found, wanted.get("imageTag", "")))
            else:
                failures.append(found)
        return {"images": images, "failures": failures}

    async def batch_delete_image(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        now_ms = self._shared.clock.now_ms()

        def work(tx: Transaction) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
            gone: list[dict[str, str]] = []
            failures: list[dict[str, Any]] = []
            for wanted in _ids(request):
                found = _checked(wanted, lambda digest, tag: store.find_image(tx, repository, digest=digest, tag=tag))
                result = delete(tx, repository, found, wanted, now_ms) if isinstance(found, Image) else found
                if isinstance(result, dict):
                    failures.append(result)
                else:
                    gone += [one for one in result if one not in gone]
            return gone, failures

        gone, failures = await self._shared.database.write(work)
        return {"imageIds": gone, "failures": failures}

    async def describe_images(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        if request.get("imageIds"):
            if "maxResults" in request or "nextToken" in request:
                raise invalid("maxResults and nextToken cannot be used together with imageIds.")
            found = []
            for wanted in _ids(request):
                image = await self._find(repository, wanted)
                if not isinstance(image, Image):
                    raise no_image(repository, digest=wanted.get("imageDigest", ""), tag=wanted.get("imageTag", ""))
                found.append(image)
            return {"imageDetails": [_detail(repository, image) for image in found]}
        everything = [one for one in await self._list(repository) if _wanted(request, bool(one.tags))]
        page, following = _page(everything, request, lambda image: image.digest)
        return {"imageDetails": [_detail(repository, image) for image in page], **following}

    async def list_images(self, caller: Caller, request: Request) -> dict[str, Any]:
        repository = await self._shared.repository(caller, request)
        everything = [
            {"imageDigest": image.digest, **({"imageTag": tag} if tag else {})}
            for image in await self._list(repository)
            for tag in image.tags or ("",)
            if _wanted(request, bool(tag))
        ]
        page, following = _page(everything, request, lambda one: f"{one['imageDigest']} {one.get('imageTag', '')}")
        return {"imageIds": page, **following}

    async def _list(self, repository: Repository) -> list[Image]:
        return await self._shared.database.scan(store.list_images, repository)

    async def _find(self, repository: Repository, wanted: Mapping[str, str]) -> Image | dict[str, Any]:
        """The image, or a failure's members."""
        return await self._shared.database.read(
            lambda tx: _checked(wanted, lambda digest, tag: store.find_image(tx, repository, digest=digest, tag=tag))
        )


async def put(
    shared: Shared, repository: Repository, data: bytes, declared: str, *, tag: str = "", expected: str = ""
) -> tuple[Image, bool]:
    """Keep a manifest, and move the tag to it. False where the repository had both already."""
    if tag and not TAG.fullmatch(tag):
        raise unsatisfied("imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'")
    manifest = manifests.parse(data, declared)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if expected and expected != digest:
        raise AwsError(
            "ImageDigestDoesNotMatchException",
            f"The digest '{expected}' does not match the digest '{digest}' of the image manifest.",
        )
    image = Image(
        repository=repository.id,
        digest=digest,
        media_type=manifest.media_type,
        artifact_type=manifest.artifact_type,
        subject=manifest.subject,
        manifest=data,
        size=manifest.size,
        pushed_ms=shared.clock.now_ms(),
    )
    added = await shared.database.write(_put, repository, image, manifest.references, tag)
    shared.wake()
    return image, added


def _put(tx: Transaction, named: Repository, image: Image, references: tuple[Reference, ...], tag: str) -> bool:
    repository = store.repository_by_id(tx, named.id)
    if repository is None:
        raise no_repository(named.name, named.account)
    if tag:
        tagged = store.find_image(tx, repository, tag=tag)
        if tagged is not None and tagged.digest != image.digest and immutable(repository, tag):
            raise tag_taken(repository, tag)
    _check_references(tx, repository, references)
    added = store.add_image(tx, image, references)
    if tag and (tagged is None or tagged.digest != image.digest):
        store.set_tag(tx, repository, tag, image.digest)
        added = True
    return added


def _check_references(tx: Transaction, repository: Repository, references: tuple[Reference, ...]) -> None:
    layers = [one.digest for one in references if one.kind == "layer"]
    missing = [digest for digest in layers if layer_store.find_layer(tx, repository, digest) is None]
    if missing:
        raise AwsError(
            "LayersNotFoundException",
            f"Layers with digests '[{', '.join(dict.fromkeys(missing))}]' required for pushing image into repository "
            f"with name '{repository.name}' in the registry with id '{repository.account}' do not exist",
        )
    images = [one.digest for one in references if one.kind == "image"]
    missing = [digest for digest in images if store.find_image(tx, repository, digest=digest) is None]
    if missing:
        raise AwsError(
            "ReferencedImagesNotFoundException",
            f"Images with digests '[{', '.join(dict.fromkeys(missing))}]' required for pushing image into repository "
            f"with name '{repository.name}' in the registry with id '{repository.account}' do not exist",
        )


async def record_pull(shared: Shared, repository: Repository, image: Image) -> None:
    now_ms = shared.clock.now_ms()
    if image.pulled_ms is None or image.pulled_ms + PULL_RECORDED_MS <= now_ms:
        await shared.database.write(store.pulled, repository, image.digest, now_ms)


def _ids(request: Request) -> list[Mapping[str, str]]:
    ids = list(request.get("imageIds") or ())
    if not 1 <= len(ids) <= IDS_MAX:
        raise unsatisfied("imageIds", f"Member must have length between 1 and {IDS_MAX}")
    return ids


def _checked(wanted: Mapping[str, str], find: Any) -> Image | dict[str, Any]:
    """AWS: the failures of the batch operations, in the words that they have there."""
    digest, tag = wanted.get("imageDigest", ""), wanted.get("imageTag", "")
    if not digest and not tag:
        message = "Invalid request parameters: both tag and digest cannot be null"
        return _failure(wanted, "MissingDigestAndTag", message)
    if digest and not ANY_DIGEST.fullmatch(digest):
        message = "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
        return _failure(wanted, "InvalidImageDigest", message)
    if tag and not TAG.fullmatch(tag):
        return _failure(wanted, "InvalidImageTag", "Invalid request parameters: image tag is not valid")
    image: Image | None = find(digest, tag) if not digest or DIGEST.fullmatch(digest) else None
    if image is None:
        return _failure(wanted, "ImageNotFound", "Requested image not found")
    if digest and tag and tag not in image.tags:
        return _failure(wanted, "ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest")
    return image


def _failure(wanted: Mapping[str, str], code: str, reason: str) -> dict[str, Any]:
    return {"imageId": dict(wanted), "failureCode": code, "failureReason": reason}


def _wanted(request: Request, tagged: bool) -> bool:
    chosen = request.get("filter") or {}
    status = chosen.get("tagStatus", "ANY")
    # All images are active: there is no archive here.
    active = chosen.get("imageStatus", "ACTIVE") in ("ACTIVE", "ANY")
    return active and (status == "ANY" or (status == "TAGGED") == tagged)


def _page(items: list[Any], request: Request, key: Any) -> tuple[list[Any], dict[str, str]]:
    """A page of a list whose order stays: it goes on behind the one that the token names."""
    limit = min(request.get("maxResults", PAGE), PAGE_MAX)
    start, token = 0, request.get("nextToken")
    if token:
        places = [number for number, item in enumerate(items) if key(item) == token]
        if not places:
            raise invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
        start = places[0] + 1
    page = items[start : start + limit]
    more = len(items) > start + limit
    return page, {"nextToken": key(page[-1])} if more else {}


def _shown(repository: Repository, image: Image, tag: str) -> dict[str, Any]:
    return {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": image.digest, **({"imageTag": tag} if tag else {})},
        "imageManifest": image.manifest.decode(),
        "imageManifestMediaType": image.media_type,
    }


def _detail(repository: Repository, image: Image) -> dict[str, Any]:
    detail: dict[str, Any] = {
        "registryId": repository.account,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        "imageSizeInBytes": image.size,
        "imagePushedAt": datetime.fromtimestamp(image.pushed_ms / 1000, UTC),
        "imageManifestMediaType": image.media_type,
        "imageStatus": "ACTIVE",
    }
    if image.tags:
        detail["imageTags"] = list(image.tags)
    if image.artifact_type:
        detail["artifactMediaType"] = image.artifact_type
    if image.subject:
        detail["subjectManifestDigest"] = image.subject
    if image.pulled_ms is not None:
        detail["lastRecordedPullTime"] = datetime.fromtimestamp(image.pulled_ms / 1000, UTC)
    return detail
