"""Copies: the bytes by a second name of the same blob where nothing has to be computed, else read and hashed again."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import acls, attributes, checksums, customer_keys, errors, locks, names, tags
from pilotlight.services.s3.access import Shared, refuse_unsupported
from pilotlight.services.s3.bodies import UPLOAD_BYTES_MAX, Content, Streamed
from pilotlight.services.s3.conditions import Span, WriteCondition, check_read, seconds_of
from pilotlight.services.s3.lifecycle_rules import expiration_member
from pilotlight.services.s3.objects import find_readable, store_version
from pilotlight.services.s3.store import Bucket, ObjectVersion
from pilotlight.storage.blobs import BlobGone

Params = Mapping[str, Any]
COPY_TRIES_MAX = 5
ENCRYPTING = {"ServerSideEncryption", "SSECustomerAlgorithm", "CopySourceSSECustomerAlgorithm"}


class Copies:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def copy_object(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "CopyObject")
        bucket = await self._shared.bucket(caller, request)
        names.check_key(request["Key"])
        acl = acls.of_write(bucket, request)
        condition = WriteCondition.of(request)
        asked = request.get("ChecksumAlgorithm")
        if asked:
            checksums.check_algorithm(asked)
        for _ in range(COPY_TRIES_MAX):
            source_bucket, source = await find_source(self._shared, caller, request)
            if source.size > UPLOAD_BYTES_MAX:
                message = "The specified copy source is larger than the maximum allowable size for a copy source: "
                raise errors.invalid_request(message + str(UPLOAD_BYTES_MAX))
            about, object_tags, storage_class = self._described(request, bucket, source_bucket, source)
            about |= acl | customer_keys.of_request(request)
            about |= locks.of_request(bucket, request, self._shared.clock.now_ms())
            try:
                async with self._content(source, asked) as content:
                    version = ObjectVersion(
                        bucket=bucket.name,
                        key=request["Key"],
                        modified_ms=self._shared.clock.now_ms(),
                        size=content.size,
                        etag=content.etag,
                        storage_class=storage_class,
                        attributes={**about, "checksums": content.checksums},
                        tags=object_tags,
                        blob=content.blob,
                        body=content.body,
                    )
                    bucket, written = await store_version(
                        self._shared, caller, bucket, version, condition=condition, event="ObjectCreated:Copy"
                    )
            except BlobGone:  # the source was replaced meanwhile: copy what it is now
                continue
            return _answer(bucket, written, source_bucket, source)
        raise AwsError("SlowDown", "Please reduce your request rate.", status=503)

    def _described(
        self, request: Params, bucket: Bucket, source_bucket: Bucket, source: ObjectVersion
    ) -> tuple[dict[str, Any], dict[str, str], str]:
        """Attributes, tags and storage class of the copy, by the directives."""
        directive = request.get("MetadataDirective", "COPY")
        if directive not in ("COPY", "REPLACE"):
            raise errors.invalid_argument("Unknown metadata directive.", "x-amz-metadata-directive", directive)
        tagging = request.get("TaggingDirective", "COPY")
        if tagging not in ("COPY", "REPLACE"):
            raise errors.invalid_argument("Unknown tagging directive.", "x-amz-tagging-directive", tagging)
        changes = directive == "REPLACE" or "StorageClass" in request or "WebsiteRedirectLocation" in request
        itself = source_bucket.name == bucket.name and source.key == request["Key"]
        versioned = bool(source.version_id != "null" or bucket.versioning)
        if itself and not changes and not versioned and not ENCRYPTING & set(request):
            raise errors.invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes."
            )
        if directive == "REPLACE":
            about = attributes.of_request(request)
        else:
            kept = dict(source.attributes.get("headers", {}))
            kept.pop("WebsiteRedirectLocation", None)
            if request.get("WebsiteRedirectLocation"):
                kept["WebsiteRedirectLocation"] = request["WebsiteRedirectLocation"]
            about = {"headers": kept, "metadata": source.attributes.get("metadata", {})}
        object_tags = tags.read_header(request.get("Tagging")) if tagging == "REPLACE" else dict(source.tags)
        return about, object_tags, attributes.storage_class(request)

    @contextlib.asynccontextmanager
    async def _content(self, source: ObjectVersion, asked: str | None) -> AsyncIterator[Content]:
        stored = source.attributes.get("checksums", {})
        algorithm = asked or next(iter(stored), checksums.DEFAULT)
        if not source.upload_id and algorithm in stored:
            copied = Content(size=source.size, etag=source.etag, checksums=stored, body=source.body)
            if not source.blob:
                yield copied
                return
            async with self._shared.bodies.link(source.blob) as blob:
                yield Content(size=source.size, etag=source.etag, checksums=stored, blob=blob)
            return
        stream = Streamed(await self._shared.bodies.read(source, Span(0, source.size)))
        async with self._shared.bodies.receive(stream, {}, also=algorithm) as content:
            yield content


def _answer(bucket: Bucket, written: ObjectVersion, source_bucket: Bucket, source: ObjectVersion) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "CopyObjectResult": {
            "ETag": f'"{written.etag}"',
            "LastModified": seconds_of(written.modified_ms),
            **attributes.checksum_members(written.attributes),
        },
        **customer_keys.members_of(written.attributes),
        **attributes.version_member(bucket, written),
        **expiration_member(bucket, written),
    }
    if source_bucket.versioning:
        answer["CopySourceVersionId"] = source.version_id
    return answer


async def find_source(shared: Shared, caller: Caller, request: Params) -> tuple[Bucket, ObjectVersion]:
    """A copy's source, with its conditions checked."""
    name, key, version_id = names.copy_source(request["CopySource"])
    bucket = await shared.bucket_named(name, request.get("ExpectedSourceBucketOwner"))
    named = {"Key": key} | ({"VersionId": version_id} if version_id else {})
    try:
        source = await find_readable(shared, caller, bucket, named, "GET")
    except AwsError as error:
        if error.code != "MethodNotAllowed":
            raise
        message = "The source of a copy request may not specifically refer to a delete marker by version id."
        raise errors.invalid_request(message) from None
    customer_keys.check_read(source.attributes, request, "CopySource")
    check_read(
        request, etag=source.etag, modified_ms=source.modified_ms, now_ms=shared.clock.now_ms(), prefix="CopySource"
    )
    attributes.check_archived(source, shared.clock.now_ms())
    return bucket, source
