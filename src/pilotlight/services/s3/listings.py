"""Lists of objects and of their versions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import errors, names, store
from pilotlight.services.s3.access import Shared, refuse_unsupported
from pilotlight.services.s3.conditions import seconds_of
from pilotlight.services.s3.listing import PAGE_MAX, Page, completing, list_page, page_size, read_token, token_of
from pilotlight.services.s3.store import Bucket, ObjectVersion
from pilotlight.storage import Transaction

Params = Mapping[str, Any]


def encoded(request: Params) -> Callable[[str], str]:
    """How keys are written: as they are, or with `encoding-type=url`."""
    encoding = request.get("EncodingType")
    if encoding is None:
        return lambda text: text
    if encoding != "url":
        raise errors.invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", encoding)
    return names.url_encoded


class Listings:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def list_objects_v2(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "ListObjectsV2")
        bucket = await self._shared.bucket(caller, request)
        encode = encoded(request)
        limit = page_size(request.get("MaxKeys"))
        token = request.get("ContinuationToken")
        if token == "":
            raise errors.invalid_argument("The continuation token provided is incorrect", "continuation-token", "")
        after = read_token(token) if token is not None else request.get("StartAfter", "")
        page = await self._page(bucket, request, after, limit)
        answer = {
            **_common(bucket, request, page, limit, encode),
            "Contents": [
                _listed(version, encode, bucket if request.get("FetchOwner") else None) for version in page.items
            ],
            "KeyCount": len(page.items) + len(page.prefixes),
        }
        if token is not None:
            answer["ContinuationToken"] = token
        if page.truncated:
            answer["NextContinuationToken"] = token_of(page.last)
        if "StartAfter" in request:
            answer["StartAfter"] = encode(request["StartAfter"])
        return answer

    async def list_objects(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "ListObjects")
        bucket = await self._shared.bucket(caller, request)
        encode = encoded(request)
        limit = page_size(request.get("MaxKeys"))
        marker = request.get("Marker", "")
        page = await self._page(bucket, request, marker, limit)
        answer = {
            **_common(bucket, request, page, limit, encode),
            "Contents": [_listed(version, encode, bucket) for version in page.items],
            "Marker": encode(marker),
        }
        if page.truncated and request.get("Delimiter"):
            # AWS: without a delimiter the last key is the marker, and NextMarker is left out.
            answer["NextMarker"] = encode(page.last)
        return answer

    async def _page(self, bucket: Bucket, request: Params, after: str, limit: int) -> Page[ObjectVersion]:
        def read(tx: Transaction) -> Page[ObjectVersion]:
            return list_page(
                functools.partial(store.current_after, tx, bucket.name),
                prefix=request.get("Prefix", ""),
                delimiter=request.get("Delimiter", ""),
                after=after,
                limit=limit,
            )

        return await self._shared.database.scan(read)

    async def list_object_versions(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "ListObjectVersions")
        bucket = await self._shared.bucket(caller, request)
        encode = encoded(request)
        limit = page_size(request.get("MaxKeys"))
        marker, version_marker = request.get("KeyMarker", ""), request.get("VersionIdMarker", "")
        if version_marker and not marker:
            message = "A version-id marker cannot be specified without a key marker."
            raise errors.invalid_argument(message, "version-id-marker", version_marker)

        def read(tx: Transaction) -> Page[ObjectVersion]:
            older = functools.partial(store.versions_of, tx, bucket.name, limit=PAGE_MAX + 1)
            first: list[ObjectVersion] = []
            if version_marker:
                last = store.find_version(tx, bucket.name, marker, version_marker)
                if last is None:
                    raise errors.invalid_argument("Invalid version id specified", "version-id-marker", version_marker)
                first = older(marker, below=last.sequence)
            fetch = completing(
                functools.partial(store.versions_after, tx, bucket.name),
                lambda last: older(last.key, below=last.sequence),
            )
            return list_page(
                fetch,
                prefix=request.get("Prefix", ""),
                delimiter=request.get("Delimiter", ""),
                after=marker,
                limit=limit,
                first=first,
            )

        page = await self._shared.database.scan(read)
        owner = names.owner_of(bucket.account)
        answer = {
            **_common(bucket, request, page, limit, encode),
            "KeyMarker": encode(marker),
            "VersionIdMarker": version_marker,
            "Versions": [_listed_version(version, encode, owner) for version in page.items if not version.marker],
            "DeleteMarkers": [_listed_marker(version, encode, owner) for version in page.items if version.marker],
        }
        if page.truncated:
            answer["NextKeyMarker"] = encode(page.last)
            if page.items and page.items[-1].key == page.last:
                answer["NextVersionIdMarker"] = page.items[-1].version_id
        return answer


def _common(
    bucket: Bucket, request: Params, page: Page[ObjectVersion], limit: int, encode: Callable[[str], str]
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "Name": bucket.name,
        "Prefix": encode(request.get("Prefix", "")),
        "MaxKeys": limit,
        "IsTruncated": page.truncated,
        "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in page.prefixes],
    }
    if request.get("Delimiter"):
        answer["Delimiter"] = encode(request["Delimiter"])
    if request.get("EncodingType"):
        answer["EncodingType"] = request["EncodingType"]
    return answer


def _listed(version: ObjectVersion, encode: Callable[[str], str], owned_by: Bucket | None) -> dict[str, Any]:
    item: dict[str, Any] = {
        "Key": encode(version.key),
        "LastModified": seconds_of(version.modified_ms),
        "ETag": f'"{version.etag}"',
        "Size": version.size,
        "StorageClass": version.storage_class,
    }
    algorithms = list(version.attributes.get("checksums", ()))
    if algorithms:
        item["ChecksumAlgorithm"] = algorithms
        item["ChecksumType"] = version.attributes.get("checksum_type", "FULL_OBJECT")
    if owned_by is not None:
        item["Owner"] = names.owner_of(owned_by.account)
    return item


def _listed_version(version: ObjectVersion, encode: Callable[[str], str], owner: Mapping[str, str]) -> dict[str, Any]:
    item = _listed(version, encode, None)
    return item | {"VersionId": version.version_id, "IsLatest": version.current, "Owner": owner}


def _listed_marker(version: ObjectVersion, encode: Callable[[str], str], owner: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Key": encode(version.key),
        "VersionId": version.version_id,
        "IsLatest": version.current,
        "LastModified": seconds_of(version.modified_ms),
        "Owner": owner,
    }
