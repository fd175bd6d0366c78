"""Multipart uploads: parts in any order, refusals in AWS's, and the object that they become."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest
from tests.unit.services.s3.driver import S3, code_of

from pilotlight.errors import AwsError

PART = b"p" * (5 * 1024 * 1024)
LAST = b"the end"


async def begin(s3: S3, bucket: str, **given: Any) -> str:
    return str((await s3.create_multipart_upload(Bucket=bucket, Key="k", **given))["UploadId"])


async def upload(s3: S3, bucket: str, identity: str, *bodies: bytes, **given: Any) -> list[dict[str, Any]]:
    parts = []
    for number, body in enumerate(bodies, 1):
        answer = await s3.upload_part(Bucket=bucket, Key="k", UploadId=identity, PartNumber=number, Body=body, **given)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    return parts


async def test_parts_become_the_object(s3: S3, bucket: str) -> None:
    identity = await begin(s3, bucket, Metadata={"a": "1"})
    parts = await upload(s3, bucket, identity, PART, LAST, b"unused")
    answer = await s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=identity, MultipartUpload={"Parts": parts[:2]}
    )
    joined = hashlib.md5(PART).digest() + hashlib.md5(LAST).digest()
    assert answer["ETag"] == f'"{hashlib.md5(joined).hexdigest()}-2"'
    assert answer["ChecksumType"] == "FULL_OBJECT"
    assert await s3.body(Bucket=bucket, Key="k") == PART + LAST
    assert await s3.body(Bucket=bucket, Key="k", PartNumber=2) == LAST
    ranged = f"bytes={len(PART) - 2}-{len(PART) + 2}"
    assert await s3.body(Bucket=bucket, Key="k", Range=ranged) == b"ppthe"
    head = await s3.head_object(Bucket=bucket, Key="k", PartNumber=1)
    assert (head["PartsCount"], head["ContentLength"], head["Metadata"]) == (2, len(PART), {"a": "1"})
    assert not (await s3.list_multipart_uploads(Bucket=bucket))["Uploads"]
    await s3.delete_object(Bucket=bucket, Key="k")
    assert not list(s3.blobs._directory.glob("??/*"))


@pytest.mark.parametrize(("kind", "composite"), [("COMPOSITE", True), ("FULL_OBJECT", False)])
async def test_checksums_of_the_whole(s3: S3, bucket: str, kind: str, composite: bool) -> None:
    identity = await begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType=kind)
    crcs = [zlib.crc32(body).to_bytes(4, "big") for body in (PART, LAST)]
    parts = [
        {**part, "ChecksumCRC32": base64.b64encode(crc).decode()}
        for part, crc in zip(await upload(s3, bucket, identity, PART, LAST), crcs, strict=True)
    ]
    answer = await s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=identity, MultipartUpload={"Parts": parts}
    )
    value = zlib.crc32(b"".join(crcs)) if composite else zlib.crc32(PART + LAST)
    expected = base64.b64encode(value.to_bytes(4, "big")).decode() + ("-2" if composite else "")
    assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (expected, kind)


async def test_refusals_of_completion(s3: S3, bucket: str) -> None:
    identity = await begin(s3, bucket)
    parts = await upload(s3, bucket, identity, b"small", LAST)
    for listed, code in [
        ([], "MalformedXML"),
        (parts[::-1], "InvalidPartOrder"),
        ([{"PartNumber": 7, "ETag": '"x"'}], "InvalidPart"),
        ([{"PartNumber": 1, "ETag": '"x"'}], "InvalidPart"),
        (parts, "EntityTooSmall"),
    ]:
        with pytest.raises(AwsError) as caught:
            await s3.complete_multipart_upload(
                Bucket=bucket, Key="k", UploadId=identity, MultipartUpload={"Parts": listed}
            )
        assert code_of(caught) == code
    with pytest.raises(AwsError) as caught:
        await s3.upload_part(Bucket=bucket, Key="k", UploadId=identity, PartNumber=10_001, Body=b"")
    assert code_of(caught) == "InvalidArgument"
    with pytest.raises(AwsError) as caught:
        await s3.list_parts(Bucket=bucket, Key="other", UploadId=identity)
    assert (caught.value.code, caught.value.status) == ("NoSuchUpload", 404)


async def test_aborted_upload_leaves_nothing(s3: S3, bucket: str) -> None:
    identity = await begin(s3, bucket)
    await upload(s3, bucket, identity, PART)
    await s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=identity)
    assert not list(s3.blobs._directory.glob("??/*"))
    with pytest.raises(AwsError) as caught:
        await s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=identity)
    assert code_of(caught) == "NoSuchUpload"


async def test_part_that_is_sent_again_replaces_the_first(s3: S3, bucket: str) -> None:
    identity = await begin(s3, bucket)
    await upload(s3, bucket, identity, PART)
    parts = await upload(s3, bucket, identity, PART + b"!")
    listed = await s3.list_parts(Bucket=bucket, Key="k", UploadId=identity)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, len(PART) + 1)]
    await s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=identity, MultipartUpload={"Parts": parts})
    assert len(list(s3.blobs._directory.glob("??/*"))) == 1


async def test_part_copied_from_a_range(s3: S3, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    identity = await begin(s3, bucket)
    answer = await s3.upload_part_copy(
        Bucket=bucket, Key="k", UploadId=identity, PartNumber=1, CopySource=f"{bucket}/source",
        CopySourceRange="bytes=2-5",
    )  # fmt: skip
    part = {"PartNumber": 1, "ETag": answer["CopyPartResult"]["ETag"]}
    await s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=identity, MultipartUpload={"Parts": [part]})
    assert await s3.body(Bucket=bucket, Key="k") == b"2345"
    with pytest.raises(AwsError) as caught:
        await s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=await begin(s3, bucket), PartNumber=1, CopySource=f"{bucket}/source",
            CopySourceRange="bytes=2-10",
        )  # fmt: skip
    assert code_of(caught) == "InvalidArgument"


async def test_uploads_are_listed(s3: S3, bucket: str) -> None:
    for _ in range(2):
        await begin(s3, bucket)
    await s3.create_multipart_upload(Bucket=bucket, Key="folder/x")
    first = await s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, Delimiter="/")
    assert first["CommonPrefixes"] == [{"Prefix": "folder/"}]
    assert first["IsTruncated"] is True
    second = await s3.list_multipart_uploads(
        Bucket=bucket, KeyMarker=first["NextKeyMarker"], UploadIdMarker=first["NextUploadIdMarker"]
    )
    seen = {item["UploadId"] for page in (first, second) for item in page["Uploads"]}
    assert len(seen) == 2
