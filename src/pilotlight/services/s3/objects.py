"""Objects: written, read, described and deleted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import acls, attributes, customer_keys, errors, locks, names, parts, store, tags
from pilotlight.services.s3.access import Shared, refuse_unsupported
from pilotlight.services.s3.conditions import Span, WriteCondition, check_read, read_range, seconds_of
from pilotlight.services.s3.lifecycle_rules import expiration_member
from pilotlight.services.s3.store import Bucket, DeleteCondition, ObjectVersion, Written
from pilotlight.storage import Transaction
from pilotlight.storage.blobs import BlobGone

DELETE_KEYS_MAX = 1000
READ_TRIES_MAX = 5
PART_NUMBER_MAX = 10_000
WHOLE_FLAGS = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")

Params = Mapping[str, Any]


class Objects:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._clock: Clock = shared.clock

    async def put_object(self, caller: Caller, request: Params) -> dict[str, Any]:
        return await put(self._shared, caller, request, event="ObjectCreated:Put")

    async def get_object(self, caller: Caller, request: Params) -> dict[str, Any]:
        for _ in range(READ_TRIES_MAX):
            answer, version, span = await self._head(caller, request, "GET")
            attributes.check_archived(version, self._clock.now_ms())
            try:
                answer["Body"] = await self._shared.bodies.read(version, span)
            except BlobGone:  # replaced between the row and its bytes: what is there now is the answer
                continue
            return answer
        raise AwsError("SlowDown", "Please reduce your request rate.", status=503)

    async def head_object(self, caller: Caller, request: Params) -> dict[str, Any]:
        return (await self._head(caller, request, "HEAD"))[0]

    async def _head(self, caller: Caller, request: Params, method: str) -> tuple[dict[str, Any], ObjectVersion, Span]:
        operation = "GetObject" if method == "GET" else "HeadObject"
        refuse_unsupported(request, operation)
        bucket = await self._shared.bucket(caller, request)
        version = await find_readable(self._shared, caller, bucket, request, method)
        customer_keys.check_read(version.attributes, request)
        if caller.kind == "anonymous" and any(name.startswith("Response") for name in request):
            raise errors.invalid_request("Request specific response headers cannot be used for anonymous GET requests.")
        check_read(request, etag=version.etag, modified_ms=version.modified_ms, now_ms=self._clock.now_ms())
        answer = {
            **attributes.described(bucket, version, request),
            **locks.members_of(version),
            **expiration_member(bucket, version),
            **attributes.restore_member(version, self._clock.now_ms()),
        }
        span = await self._span(version, request, answer)
        answer["ContentLength"] = span.size
        if request.get("ChecksumMode") == "ENABLED" and span.size == version.size:
            answer.update(attributes.checksum_members(version.attributes))
        return answer, version, span

    async def _span(self, version: ObjectVersion, request: Params, answer: dict[str, Any]) -> Span:
        """Which bytes are asked for; where it is not all, the answer says so."""
        number = request.get("PartNumber")
        if number is not None:
            if request.get("Range") is not None:
                raise errors.invalid_request("Cannot specify both Range header and partNumber query parameter")
            span = await self._part_span(version, number, answer)
        else:
            found = read_range(request.get("Range"), version.size)
            if found is None:
                return Span(0, version.size)
            span = found
        if span.size or number is None:
            answer["ContentRange"] = f"bytes {span.start}-{span.end - 1}/{version.size}"
        return span

    async def _part_span(self, version: ObjectVersion, number: int, answer: dict[str, Any]) -> Span:
        if not 1 <= number <= PART_NUMBER_MAX:
            message = "Part number must be an integer between 1 and 10000, inclusive"
            raise errors.invalid_argument(message, "partNumber", number)
        if not version.upload_id:
            if number > 1:
                raise errors.invalid_part_number(number, 1)
            return Span(0, version.size)
        found = await self._shared.database.scan(parts.list_parts, version.upload_id)
        if number > len(found):
            raise errors.invalid_part_number(number, len(found))
        answer["PartsCount"] = len(found)
        start = sum(part.size for part in found[: number - 1])
        return Span(start, start + found[number - 1].size)

    async def get_object_attributes(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "GetObjectAttributes")
        bucket = await self._shared.bucket(caller, request)
        wanted = request["ObjectAttributes"]
        unknown = [name for name in wanted if name not in WHOLE_FLAGS]
        if unknown:
            message = "Invalid attribute name specified."
            raise errors.invalid_argument(message, "x-amz-object-attributes", unknown[0])
        version = await find_readable(self._shared, caller, bucket, request, "GET")
        customer_keys.check_read(version.attributes, request)
        answer: dict[str, Any] = {
            "LastModified": seconds_of(version.modified_ms),
            **attributes.version_member(bucket, version),
        }
        if "ETag" in wanted:
            # AWS: without the quotes that every other operation has.
            answer["ETag"] = version.etag
        if "Checksum" in wanted and (members := attributes.checksum_members(version.attributes)):
            answer["Checksum"] = {
                name: value.partition("-")[0] if name != "ChecksumType" else value for name, value in members.items()
            }
        if "ObjectParts" in wanted and version.upload_id:
            answer["ObjectParts"] = await self._object_parts(version, request)
        if "StorageClass" in wanted:
            answer["StorageClass"] = version.storage_class
        if "ObjectSize" in wanted:
            answer["ObjectSize"] = version.size
        return answer

    async def _object_parts(self, version: ObjectVersion, request: Params) -> dict[str, Any]:
        found = await self._shared.database.scan(parts.list_parts, version.upload_id)
        answer: dict[str, Any] = {"TotalPartsCount": len(found)}
        if version.attributes.get("checksum_type") != "COMPOSITE":
            # AWS: the parts themselves are listed only where each has a checksum that counts.
            return answer
        limit, after = min(request.get("MaxParts", 1000), 1000), int(request.get("PartNumberMarker", 0))
        numbered = [(index, part) for index, part in enumerate(found, 1) if index > after]
        shown = numbered[:limit]
        return answer | {
            "PartNumberMarker": after,
            "NextPartNumberMarker": shown[-1][0] if shown else 0,
            "MaxParts": limit,
            "IsTruncated": len(numbered) > len(shown),
            "Parts": [
                {"PartNumber": index, "Size": part.size, **{f"Checksum{k}": v for k, v in part.checksums.items()}}
                for index, part in shown
            ],
        }

    async def delete_object(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "DeleteObject")
        bucket = await self._shared.bucket(caller, request)
        bypass = bool(request.get("BypassGovernanceRetention"))
        if bypass and not bucket.settings.get("object_lock"):
            message = "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets."
            raise errors.invalid_argument(message, "x-amz-bypass-governance-retention", "true")
        condition = _condition(request)
        return await self._delete(caller, bucket, request["Key"], request.get("VersionId"), condition, bypass=bypass)

    async def delete_objects(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "DeleteObjects")
        bucket = await self._shared.bucket(caller, request)
        listed = request["Delete"]["Objects"]
        if not 1 <= len(listed) <= DELETE_KEYS_MAX:
            raise errors.malformed_xml()
        bypass = bool(request.get("BypassGovernanceRetention"))
        deleted: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for item in listed:
            named = {name: item[name] for name in ("Key", "VersionId") if item.get(name)}
            try:
                gone = await self._delete(
                    caller, bucket, item["Key"], item.get("VersionId"), _item_condition(item), bypass=bypass
                )
            except AwsError as error:
                failed.append({**named, "Code": error.code, "Message": error.message})
                continue
            if gone.get("DeleteMarker") and gone.get("VersionId"):
                named = {**named, "DeleteMarker": True, "DeleteMarkerVersionId": gone["VersionId"]}
            deleted.append(named)
        answer: dict[str, Any] = {} if request["Delete"].get("Quiet") else {"Deleted": deleted}
        return {**answer, "Errors": failed} if failed else answer

    async def _delete(
        self,
        caller: Caller,
        bucket: Bucket,
        key: str,
        version_id: str | None,
        condition: DeleteCondition,
        *,
        bypass: bool,
    ) -> dict[str, Any]:
        names.check_key(key)
        if version_id is not None:
            names.check_version_id(version_id)
            return await self._delete_version(caller, bucket, key, version_id, bypass=bypass)
        fresh = self._shared.ids.token(24)

        def prepare(bucket: Bucket) -> Callable[[Transaction], Written]:
            name = "ObjectRemoved:DeleteMarkerCreated" if bucket.versioning else "ObjectRemoved:Delete"
            return functools.partial(
                store.delete_current,
                bucket=bucket,
                key=key,
                condition=condition,
                version_id=fresh,
                now_ms=self._clock.now_ms(),
                make_events=self._shared.maker(caller, bucket, key, name),
            )

        bucket, written = await self._shared.write(bucket, prepare)
        await self._after(bucket, written)
        if bucket.versioning and written.version is not None:
            return {"DeleteMarker": True, "VersionId": written.version.version_id}
        return {}

    async def _delete_version(
        self, caller: Caller, bucket: Bucket, key: str, version_id: str, *, bypass: bool
    ) -> dict[str, Any]:
        check = locks.checker(self._clock.now_ms(), bypass=bypass)

        def prepare(bucket: Bucket) -> Callable[[Transaction], Written]:
            make = self._shared.maker(caller, bucket, key, "ObjectRemoved:Delete")
            return functools.partial(
                store.delete_version, bucket=bucket, key=key, version_id=version_id, check=check, make_events=make
            )

        bucket, written = await self._shared.write(bucket, prepare)
        await self._after(bucket, written)
        marker = {"DeleteMarker": True} if written.version is not None and written.version.marker else {}
        return {"VersionId": version_id, **marker}

    async def _after(self, bucket: Bucket, written: Written) -> None:
        if bucket.settings.get("notification"):
            self._shared.wake()
        await self._shared.bodies.discard(written.blobs)

    async def get_object_acl(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        version = await find_readable(self._shared, caller, bucket, request, "GET")
        return acls.shown(bucket, version.attributes.get("acl"))

    async def put_object_acl(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        version = await find_readable(self._shared, caller, bucket, request, "PUT")
        if not acls.asked(request):
            raise errors.missing_acl()
        acl = acls.of_write(bucket, request)
        make = self._shared.maker(caller, bucket, version.key, "ObjectAcl:Put")

        def changed(kept: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in kept.items() if name != "acl"} | acl

        setting = functools.partial(
            store.change_attributes, bucket=bucket, version=version, change=changed, make_events=make
        )
        if not await self._shared.database.write(setting):
            raise errors.no_such_key(version.key)
        if make:
            self._shared.wake()

    async def get_object_tagging(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        version = await find_readable(self._shared, caller, bucket, request, "GET")
        return {"TagSet": tags.as_set(version.tags), **attributes.version_member(bucket, version)}

    async def put_object_tagging(self, caller: Caller, request: Params) -> dict[str, Any]:
        given = tags.read_set(request["Tagging"]["TagSet"], limit=tags.OBJECT_TAGS_MAX)
        return await self._set_tags(caller, request, given, "ObjectTagging:Put")

    async def delete_object_tagging(self, caller: Caller, request: Params) -> dict[str, Any]:
        return await self._set_tags(caller, request, {}, "ObjectTagging:Delete")

    async def _set_tags(self, caller: Caller, request: Params, given: Mapping[str, str], name: str) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        version = await find_readable(self._shared, caller, bucket, request, "PUT")
        make = self._shared.maker(caller, bucket, version.key, name)
        change = functools.partial(store.set_tags, bucket=bucket, version=version, tags=given, make_events=make)
        if not await self._shared.database.write(change):
            raise errors.no_such_key(version.key)
        if make:
            self._shared.wake()
        return attributes.version_member(bucket, version)


async def put(shared: Shared, caller: Caller, request: Params, *, event: str) -> dict[str, Any]:
    """PutObject, and what a browser's form does."""
    refuse_unsupported(request, "PutObject")
    bucket = await shared.bucket(caller, request)
    names.check_key(request["Key"])
    acl = acls.of_write(bucket, request)
    condition = WriteCondition.of(request)
    about = attributes.of_request(request)
    storage_class = attributes.storage_class(request)
    object_tags = tags.read_header(request.get("Tagging"))
    about |= acl | customer_keys.of_request(request)
    about |= locks.of_request(bucket, request, shared.clock.now_ms())
    locks.check_digest(request)
    async with shared.bodies.receive(request.get("Body", b""), request) as content:
        version = ObjectVersion(
            bucket=bucket.name,
            key=request["Key"],
            modified_ms=shared.clock.now_ms(),
            size=content.size,
            etag=content.etag,
            storage_class=storage_class,
            attributes={**about, "checksums": content.checksums},
            tags=object_tags,
            blob=content.blob,
            body=content.body,
        )
        bucket, written = await store_version(shared, caller, bucket, version, condition=condition, event=event)
    return {
        "ETag": f'"{content.etag}"',
        **customer_keys.members_of(about),
        **attributes.checksum_members(version.attributes),
        **attributes.version_member(bucket, written),
        **expiration_member(bucket, written),
    }


def _condition(request: Params) -> DeleteCondition:
    modified = request.get("IfMatchLastModifiedTime")
    etag = request.get("IfMatch")
    return DeleteCondition(
        etag=etag.strip('"') if etag else None,
        modified_ms=int(modified.timestamp() * 1000) if modified else None,
        size=request.get("IfMatchSize"),
    )


def _item_condition(item: Params) -> DeleteCondition:
    return _condition({"IfMatch": item.get("ETag"), "IfMatchLastModifiedTime": item.get("LastModifiedTime"),
                       "IfMatchSize": item.get("Size")})  # fmt: skip


async def find_readable(shared: Shared, caller: Caller, bucket: Bucket, request: Params, method: str) -> ObjectVersion:
    """The version that the request names. Who may not list the bucket is not told what is missing in it."""
    key, version_id = request["Key"], request.get("VersionId")
    if version_id is not None:
        names.check_version_id(version_id)
    version = await shared.database.read(store.find_version, bucket.name, key, version_id)
    try:
        return attributes.check_readable(bucket, version, key=key, version_id=version_id, method=method)
    except AwsError as error:
        if error.code in ("NoSuchKey", "NoSuchVersion") and caller.kind not in ("administrator", "service"):
            # AWS: 404 needs s3:ListBucket; without it the answer is 403, in the words of that refusal.
            await shared.cloud.call("s3", "HeadBucket", {"Bucket": bucket.name}, caller)
        raise


async def store_version(
    shared: Shared,
    caller: Caller,
    bucket: Bucket,
    version: ObjectVersion,
    *,
    condition: WriteCondition,
    event: str,
) -> tuple[Bucket, ObjectVersion]:
    """Make it the current version, with its events; the bucket is as it was at the commit."""
    fresh = shared.ids.token(24)

    def prepare(bucket: Bucket) -> Callable[[Transaction], Written]:
        make = shared.maker(caller, bucket, version.key, event)
        return functools.partial(
            store.put_version, bucket=bucket, version=version, condition=condition, version_id=fresh, make_events=make
        )

    bucket, written = await shared.write(bucket, prepare)
    if bucket.settings.get("notification"):
        shared.wake()
    await shared.bodies.discard(written.blobs)
    assert written.version is not None
    return bucket, written.version
