"""Multipart uploads. A part is durable when its upload is answered; completing only says which count."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import acls, attributes, checksums, customer_keys, errors, locks, names, parts, tags
from pilotlight.services.s3.access import Shared, refuse_unsupported
from pilotlight.services.s3.bodies import Content, Streamed
from pilotlight.services.s3.conditions import Span, WriteCondition, copy_range, seconds_of
from pilotlight.services.s3.copying import find_source
from pilotlight.services.s3.lifecycle_rules import expiration_member
from pilotlight.services.s3.listing import completing, list_page, page_size
from pilotlight.services.s3.listings import encoded
from pilotlight.services.s3.parts import Part, Upload
from pilotlight.services.s3.store import Bucket, ObjectVersion, Written
from pilotlight.storage import Transaction
from pilotlight.storage.blobs import BlobGone

PART_BYTES_MIN = 5 * 1024 * 1024
PARTS_MAX = 10_000
COPY_TRIES_MAX = 5

Params = Mapping[str, Any]


class Multipart:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def create_multipart_upload(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "CreateMultipartUpload")
        bucket = await self._shared.bucket(caller, request)
        names.check_key(request["Key"])
        acl = acls.of_write(bucket, request)
        about = attributes.of_request(request)
        about |= acl | customer_keys.of_request(request)
        about |= locks.of_request(bucket, request, self._shared.clock.now_ms())
        algorithm, kind = request.get("ChecksumAlgorithm"), request.get("ChecksumType")
        shown: dict[str, Any] = {}
        if kind and not algorithm:
            raise errors.invalid_request("The x-amz-checksum-type header can only be used with the "
                                         "x-amz-checksum-algorithm header.")  # fmt: skip
        if algorithm:
            checksums.check_algorithm(algorithm)
            shown = {"ChecksumAlgorithm": algorithm, "ChecksumType": checksums.type_for(algorithm, kind)}
            about |= {"checksum_algorithm": algorithm, "checksum_type": shown["ChecksumType"]}
        upload = Upload(
            id=self._shared.ids.token(72),
            bucket=bucket.name,
            key=request["Key"],
            initiated_ms=self._shared.clock.now_ms(),
            # AWS: an account is named by its canonical id, and a user or role by its ARN.
            initiator=names.owner_of(caller.account)["ID"] if caller.kind == "administrator" else caller.arn,
            storage_class=attributes.storage_class(request),
            attributes=about,
            tags=tags.read_header(request.get("Tagging")),
        )
        await self._shared.write(
            bucket, lambda bucket: functools.partial(parts.add_upload, bucket=bucket, upload=upload)
        )
        return {
            "Bucket": bucket.name,
            "Key": upload.key,
            "UploadId": upload.id,
            **customer_keys.members_of(about),
            **shown,
        }

    async def upload_part(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "UploadPart")
        bucket = await self._shared.bucket(caller, request)
        _check_number(request["PartNumber"])
        upload = await self._upload(bucket, request)
        customer_keys.check_part(upload.attributes, request)
        algorithm = _algorithm(upload)
        sent = [*checksums.given(request), *getattr(request.get("Body"), "declared", ())]
        if upload.attributes.get("checksum_algorithm") and sent and not _sends(request, algorithm):
            raise errors.invalid_request(
                f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, actual checksum Type: "
                f"{sent[0].removeprefix(checksums.HEADER).lower()}"
            )
        async with self._shared.bodies.receive(request.get("Body", b""), request, also=algorithm) as content:
            await self._keep(upload, request["PartNumber"], content)
        shown = {name: value for name, value in content.checksums.items() if _sends(request, name)}
        return {
            "ETag": f'"{content.etag}"',
            **customer_keys.members_of(upload.attributes),
            **{f"Checksum{name}": value for name, value in shown.items()},
        }

    async def upload_part_copy(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "UploadPartCopy")
        bucket = await self._shared.bucket(caller, request)
        _check_number(request["PartNumber"])
        upload = await self._upload(bucket, request)
        customer_keys.check_part(upload.attributes, request)
        for attempt in range(COPY_TRIES_MAX):
            source_bucket, source = await find_source(self._shared, caller, request)
            wanted = request.get("CopySourceRange")
            span = copy_range(wanted, source.size) if wanted else Span(0, source.size)
            try:
                stream = Streamed(await self._shared.bodies.read(source, span))
                async with self._shared.bodies.receive(stream, {}, also=_algorithm(upload)) as content:
                    part = await self._keep(upload, request["PartNumber"], content)
                break
            except BlobGone:
                if attempt == COPY_TRIES_MAX - 1:
                    raise
        answer: dict[str, Any] = {
            "CopyPartResult": {"ETag": f'"{part.etag}"', "LastModified": seconds_of(part.modified_ms)},
            **customer_keys.members_of(upload.attributes),
        }
        if upload.attributes.get("checksum_algorithm"):
            answer["CopyPartResult"] |= {f"Checksum{name}": value for name, value in part.checksums.items()}
        if source_bucket.versioning:
            answer["CopySourceVersionId"] = source.version_id
        return answer

    async def _keep(self, upload: Upload, number: int, content: Content) -> Part:
        part = Part(
            number=number,
            size=content.size,
            etag=content.etag,
            modified_ms=self._shared.clock.now_ms(),
            checksums=content.checksums,
            blob=content.blob,
            body=content.body,
        )
        replaced = await self._shared.database.write(parts.put_part, upload, part)
        await self._shared.bodies.discard(replaced)
        return part

    async def complete_multipart_upload(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "CompleteMultipartUpload")
        bucket = await self._shared.bucket(caller, request)
        condition = WriteCondition.of(request)
        listed = request.get("MultipartUpload", {}).get("Parts", ())
        if not listed:
            raise errors.malformed_xml()
        upload = await self._upload(bucket, request)
        stored = await self._shared.database.scan(parts.list_parts, upload.id)
        chosen = _choose(upload, listed, {part.number: part for part in stored})
        size = sum(part.size for part in chosen)
        if "MpuObjectSize" in request and int(request["MpuObjectSize"]) != size:
            raise errors.invalid_request(
                f"The provided 'x-amz-mp-object-size' header value {request['MpuObjectSize']} does not match what "
                f"was computed: {size}"
            )
        version = ObjectVersion(
            bucket=bucket.name,
            key=upload.key,
            modified_ms=self._shared.clock.now_ms(),
            size=size,
            etag=checksums.multipart_etag([part.etag for part in chosen]),
            storage_class=upload.storage_class,
            attributes={**upload.attributes, **_final_checksum(upload, chosen, request)},
            tags=upload.tags,
            upload_id=upload.id,
        )
        bucket, written = await self._complete(caller, bucket, upload, version, chosen, condition)
        return {
            "Location": f"https://{bucket.name}.s3.{bucket.region}.amazonaws.com/{quote(upload.key)}",
            "Bucket": bucket.name,
            "Key": upload.key,
            "ETag": f'"{version.etag}"',
            **customer_keys.members_of(version.attributes),
            **attributes.checksum_members(version.attributes),
            **attributes.version_member(bucket, written),
            **expiration_member(bucket, written),
        }

    async def _complete(
        self,
        caller: Caller,
        bucket: Bucket,
        upload: Upload,
        version: ObjectVersion,
        chosen: Sequence[Part],
        condition: WriteCondition,
    ) -> tuple[Bucket, ObjectVersion]:
        fresh = self._shared.ids.token(24)

        def prepare(bucket: Bucket) -> Callable[[Transaction], Written]:
            make = self._shared.maker(caller, bucket, upload.key, "ObjectCreated:CompleteMultipartUpload")
            return functools.partial(
                parts.complete,
                bucket=bucket,
                upload=upload,
                version=version,
                chosen=chosen,
                condition=condition,
                version_id=fresh,
                make_events=make,
            )

        bucket, written = await self._shared.write(bucket, prepare)
        if bucket.settings.get("notification"):
            self._shared.wake()
        await self._shared.bodies.discard(written.blobs)
        assert written.version is not None
        return bucket, written.version

    async def abort_multipart_upload(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        blobs = await self._shared.database.write(parts.abort, bucket.name, request["Key"], request["UploadId"])
        await self._shared.bodies.discard(blobs)

    async def list_parts(self, caller: Caller, request: Params) -> dict[str, Any]:
        refuse_unsupported(request, "ListParts")
        bucket = await self._shared.bucket(caller, request)
        upload = await self._upload(bucket, request)
        limit = page_size(request.get("MaxParts"), "max-parts")
        after = int(request.get("PartNumberMarker") or 0)
        found = await self._shared.database.scan(parts.list_parts, upload.id, after=after, limit=limit + 1)
        shown = found[:limit]
        owner = names.owner_of(bucket.account)
        answer = {
            "Bucket": bucket.name,
            "Key": upload.key,
            "UploadId": upload.id,
            "PartNumberMarker": after,
            "NextPartNumberMarker": shown[-1].number if shown else 0,
            "MaxParts": limit,
            "IsTruncated": len(found) > limit,
            "Parts": [_listed(upload, part) for part in shown],
            "Initiator": {"ID": upload.initiator},
            "Owner": owner,
            "StorageClass": upload.storage_class,
        }
        if upload.attributes.get("checksum_algorithm"):
            answer["ChecksumAlgorithm"] = upload.attributes["checksum_algorithm"]
            answer["ChecksumType"] = upload.attributes["checksum_type"]
        return answer

    async def list_multipart_uploads(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        limit = page_size(request.get("MaxUploads"), "max-uploads")
        marker, upload_marker = request.get("KeyMarker", ""), request.get("UploadIdMarker", "")
        prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")

        def read(tx: Transaction) -> Any:
            of_key = functools.partial(parts.uploads_of, tx, bucket.name)
            first = of_key(marker, after=upload_marker) if marker and upload_marker else []
            fetch = completing(
                functools.partial(parts.uploads_after, tx, bucket.name), lambda last: of_key(last.key, after=last.id)
            )
            return list_page(fetch, prefix=prefix, delimiter=delimiter, after=marker, limit=limit, first=first)

        page = await self._shared.database.scan(read)
        encode = encoded(request)
        owner = names.owner_of(bucket.account)
        answer: dict[str, Any] = {
            "Bucket": bucket.name,
            "KeyMarker": encode(marker),
            "UploadIdMarker": upload_marker,
            "Prefix": encode(prefix),
            "MaxUploads": limit,
            "IsTruncated": page.truncated,
            "Uploads": [
                {
                    "UploadId": upload.id,
                    "Key": encode(upload.key),
                    "Initiated": seconds_of(upload.initiated_ms),
                    "StorageClass": upload.storage_class,
                    "Owner": owner,
                    "Initiator": {"ID": upload.initiator},
                    **_upload_checksum(upload),
                }
                for upload in page.items
            ],
            "CommonPrefixes": [{"Prefix": encode(text)} for text in page.prefixes],
        }
        if delimiter:
            answer["Delimiter"] = encode(delimiter)
        if request.get("EncodingType"):
            answer["EncodingType"] = request["EncodingType"]
        if page.truncated:
            answer["NextKeyMarker"] = encode(page.last)
            last = page.items[-1] if page.items else None
            answer["NextUploadIdMarker"] = last.id if last is not None and last.key == page.last else ""
        return answer

    async def _upload(self, bucket: Bucket, request: Params) -> Upload:
        return await self._shared.database.read(parts.find_upload, bucket.name, request["Key"], request["UploadId"])


def _algorithm(upload: Upload) -> str:
    return str(upload.attributes.get("checksum_algorithm", checksums.DEFAULT))


def _sends(request: Params, algorithm: str) -> bool:
    declared = getattr(request.get("Body"), "declared", ())
    return f"Checksum{algorithm}" in request or f"{checksums.HEADER}{algorithm.lower()}" in declared


def _check_number(number: int) -> None:
    if not 1 <= number <= PARTS_MAX:
        message = "Part number must be an integer between 1 and 10000, inclusive"
        raise errors.invalid_argument(message, "partNumber", number)


def _listed(upload: Upload, part: Part) -> dict[str, Any]:
    algorithm = str(upload.attributes.get("checksum_algorithm", ""))
    shown = {f"Checksum{algorithm}": part.checksums[algorithm]} if algorithm in part.checksums else {}
    return {
        "PartNumber": part.number,
        "LastModified": seconds_of(part.modified_ms),
        "ETag": f'"{part.etag}"',
        "Size": part.size,
        **shown,
    }


def _upload_checksum(upload: Upload) -> dict[str, str]:
    if not upload.attributes.get("checksum_algorithm"):
        return {}
    return {
        "ChecksumAlgorithm": upload.attributes["checksum_algorithm"],
        "ChecksumType": upload.attributes["checksum_type"],
    }


def _choose(upload: Upload, listed: Sequence[Params], stored: Mapping[int, Part]) -> list[Part]:
    """The parts that are named, in AWS's order of refusals: order, existence, checksums, sizes."""
    numbers = [item.get("PartNumber", 0) for item in listed]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        raise errors.invalid_part_order(upload.id)
    chosen = []
    for item in listed:
        number, etag = item.get("PartNumber", 0), str(item.get("ETag", "")).strip('"')
        part = stored.get(number)
        if part is None or part.etag != etag:
            raise errors.invalid_part(upload.id, number, etag)
        algorithm = str(upload.attributes.get("checksum_algorithm", ""))
        if upload.attributes.get("checksum_type") == "COMPOSITE" and f"Checksum{algorithm}" not in item:
            raise errors.invalid_request(
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {number} in the request."
            )
        for name, value in part.checksums.items():
            if item.get(f"Checksum{name}", value) != value:
                raise errors.invalid_part(upload.id, number, etag)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < PART_BYTES_MIN:
            raise errors.entity_too_small(part.size, part.number, part.etag, PART_BYTES_MIN)
    return chosen


def _final_checksum(upload: Upload, chosen: Sequence[Part], request: Params) -> dict[str, Any]:
    """The object's checksum, compared with the one that completion promises."""
    algorithm = _algorithm(upload)
    kind = upload.attributes.get("checksum_type", "FULL_OBJECT")
    asked = request.get("ChecksumType")
    if asked and asked != kind:
        message = f"The upload was created using the {kind} checksum mode. The complete request must use the same "
        raise errors.invalid_request(message + "checksum mode.")
    if kind == "COMPOSITE":
        value = checksums.composite(algorithm, [part.checksums[algorithm] for part in chosen])
    else:
        value = checksums.combined(algorithm, [(part.checksums[algorithm], part.size) for part in chosen])
    promised = request.get(f"Checksum{algorithm}")
    if promised is not None and promised.partition("-")[0] != value.partition("-")[0]:
        raise errors.bad_checksum(algorithm.lower())
    return {"checksums": {algorithm: value}, "checksum_type": kind, "parts": len(chosen)}
