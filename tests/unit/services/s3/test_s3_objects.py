"""Objects on both databases: written, read, described, deleted, and refused."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.services.s3.driver import S3, code_of

from pilotlight.clock import Clock
from pilotlight.errors import AwsError

LARGE = bytes(range(256)) * 4096


def files(s3: S3) -> int:
    return sum(1 for path in s3.blobs._directory.glob("??/*"))


@pytest.mark.parametrize("body", [b"", b"hello", LARGE], ids=["empty", "small", "large"])
async def test_object_comes_back_as_it_was_put(s3: S3, bucket: str, body: bytes) -> None:
    put = await s3.put_object(
        Bucket=bucket, Key="a/b c", Body=body, ContentType="text/plain", Metadata={"Colour": "red"}
    )
    got = await s3.get_object(Bucket=bucket, Key="a/b c")
    assert await s3.body(Bucket=bucket, Key="a/b c") == body
    assert put["ETag"] == got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert got["ContentLength"] == len(body)
    assert (got["ContentType"], got["Metadata"]) == ("text/plain", {"colour": "red"})
    assert got["LastModified"] == datetime.fromtimestamp(1_700_000_000, UTC)
    assert "VersionId" not in put
    assert "ContentRange" not in got


async def test_upload_without_a_checksum_is_given_crc64nvme(s3: S3, bucket: str) -> None:
    put = await s3.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    assert put["ChecksumCRC64NVME"] == base64.b64encode(0xAE8B14860A799888.to_bytes(8, "big")).decode()
    assert put["ChecksumType"] == "FULL_OBJECT"
    assert "ChecksumCRC64NVME" not in await s3.head_object(Bucket=bucket, Key="k")
    head = await s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] == put["ChecksumCRC64NVME"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ContentMD5": "bad"}, "InvalidDigest"),
        ({"ContentMD5": base64.b64encode(b"0" * 16).decode()}, "BadDigest"),
        ({"ChecksumCRC32": "AAAAAA=="}, "BadDigest"),
        ({"ChecksumCRC32": "AAAA"}, "InvalidRequest"),
        ({"ChecksumCRC32": "AAAAAA==", "ChecksumCRC32C": "AAAAAA=="}, "InvalidRequest"),
        ({"Key": "k" * 1025}, "KeyTooLongError"),
        ({"StorageClass": "BRONZE"}, "InvalidStorageClass"),
        ({"Metadata": {"a": "b" * 2048}}, "MetadataTooLarge"),
        ({"ACL": "public-read"}, "AccessControlListNotSupported"),
        ({"Tagging": "a=1&a=2"}, "InvalidArgument"),
        ({"Bucket": "nowhere"}, "NoSuchBucket"),
        ({"ExpectedBucketOwner": "111111111111"}, "AccessDenied"),
        ({"SSECustomerAlgorithm": "AES256"}, "InvalidArgument"),
        ({"IfNoneMatch": "abc"}, "NotImplemented"),
    ],
)
@pytest.mark.parametrize("body", [b"small", LARGE], ids=["small", "large"])
async def test_refused_upload_leaves_nothing(
    s3: S3, bucket: str, body: bytes, given: dict[str, Any], code: str
) -> None:
    with pytest.raises(AwsError) as caught:
        await s3.put_object(**{"Bucket": bucket, "Key": "k", "Body": body, **given})
    assert code_of(caught) == code
    assert files(s3) == 0
    assert not (await s3.list_objects_v2(Bucket=bucket))["Contents"]


async def test_overwriting_and_deleting_large_objects_removes_their_blobs(s3: S3, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=LARGE)
    await s3.put_object(Bucket=bucket, Key="k", Body=LARGE + b"!")
    assert files(s3) == 1
    assert await s3.body(Bucket=bucket, Key="k") == LARGE + b"!"
    await s3.delete_object(Bucket=bucket, Key="k")
    assert files(s3) == 0


async def test_reader_gets_the_whole_object_though_it_is_overwritten(s3: S3, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=LARGE * 3)
    reading = (await s3.get_object(Bucket=bucket, Key="k"))["Body"]
    await s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert b"".join([piece async for piece in reading]) == LARGE * 3
    assert await s3.body(Bucket=bucket, Key="k") == b"new"


@pytest.mark.parametrize("body", [b"0123456789", LARGE], ids=["small", "large"])
async def test_ranges(s3: S3, bucket: str, body: bytes) -> None:
    size = len(body)
    await s3.put_object(Bucket=bucket, Key="k", Body=body)
    for header, start, end in [("bytes=2-4", 2, 5), ("bytes=3-", 3, size), ("bytes=-4", size - 4, size),
                               ("bytes=1-99999999", 1, size)]:  # fmt: skip
        got = await s3.get_object(Bucket=bucket, Key="k", Range=header)
        assert got["ContentRange"] == f"bytes {start}-{end - 1}/{size}"
        assert got["ContentLength"] == end - start
        assert await s3.body(Bucket=bucket, Key="k", Range=header) == body[start:end]
    assert "ContentRange" not in await s3.get_object(Bucket=bucket, Key="k", Range="bytes=5-2")
    with pytest.raises(AwsError) as caught:
        await s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={size}-")
    assert (caught.value.code, caught.value.status) == ("InvalidRange", 416)


async def test_missing_key_and_missing_bucket(s3: S3, bucket: str) -> None:
    with pytest.raises(AwsError) as caught:
        await s3.get_object(Bucket=bucket, Key="nothing")
    assert (caught.value.code, caught.value.message) == ("NoSuchKey", "The specified key does not exist.")
    assert (caught.value.status, caught.value.members) == (404, {"Key": "nothing"})
    with pytest.raises(AwsError) as caught:
        await s3.get_object(Bucket="nowhere", Key="k")
    assert caught.value.members == {"BucketName": "nowhere"}


async def test_conditions_of_reads(s3: S3, bucket: str) -> None:
    etag = (await s3.put_object(Bucket=bucket, Key="k", Body=b"x"))["ETag"]
    before, after = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 11, 14, 23, 0, tzinfo=UTC)
    await s3.get_object(Bucket=bucket, Key="k", IfMatch=etag, IfUnmodifiedSince=before)
    await s3.get_object(Bucket=bucket, Key="k", IfModifiedSince=before)
    for given, status in [
        ({"IfMatch": '"other"'}, 412),
        ({"IfUnmodifiedSince": before}, 412),
        ({"IfNoneMatch": etag, "IfModifiedSince": before}, 304),
        ({"IfModifiedSince": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)}, 304),
    ]:
        with pytest.raises(AwsError) as caught:
            await s3.head_object(Bucket=bucket, Key="k", **given)
        assert caught.value.status == status
    # A moment that has not come yet is ignored.
    await s3.get_object(Bucket=bucket, Key="k", IfModifiedSince=after)


async def test_conditional_writes(s3: S3, bucket: str) -> None:
    with pytest.raises(AwsError) as caught:
        await s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch='"e"')
    assert code_of(caught) == "NoSuchKey"
    etag = (await s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*"))["ETag"]
    with pytest.raises(AwsError) as caught:
        await s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfNoneMatch="*")
    assert (caught.value.code, caught.value.members) == ("PreconditionFailed", {"Condition": "If-None-Match"})
    await s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=etag)
    with pytest.raises(AwsError) as caught:
        await s3.put_object(Bucket=bucket, Key="k", Body=b"three", IfMatch=etag)
    assert code_of(caught) == "PreconditionFailed"
    assert await s3.body(Bucket=bucket, Key="k") == b"two"


async def test_versions(s3: S3, bucket: str, clock: Clock) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"zero")
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    one = (await s3.put_object(Bucket=bucket, Key="k", Body=b"one"))["VersionId"]
    two = (await s3.put_object(Bucket=bucket, Key="k", Body=LARGE))["VersionId"]
    assert await s3.body(Bucket=bucket, Key="k", VersionId="null") == b"zero"
    assert await s3.body(Bucket=bucket, Key="k", VersionId=one) == b"one"
    gone = await s3.delete_object(Bucket=bucket, Key="k")
    assert gone["DeleteMarker"] is True
    with pytest.raises(AwsError) as caught:
        await s3.get_object(Bucket=bucket, Key="k")
    assert (caught.value.code, caught.value.headers["x-amz-delete-marker"]) == ("NoSuchKey", "true")
    with pytest.raises(AwsError) as caught:
        await s3.get_object(Bucket=bucket, Key="k", VersionId=gone["VersionId"])
    assert (caught.value.code, caught.value.status) == ("MethodNotAllowed", 405)
    listed = await s3.list_object_versions(Bucket=bucket)
    assert [item["VersionId"] for item in listed["Versions"]] == [two, one, "null"]
    assert [item["VersionId"] for item in listed["DeleteMarkers"]] == [gone["VersionId"]]
    removed = await s3.delete_object(Bucket=bucket, Key="k", VersionId=gone["VersionId"])
    assert removed == {"VersionId": gone["VersionId"], "DeleteMarker": True}
    assert await s3.body(Bucket=bucket, Key="k") == LARGE
    await s3.delete_object(Bucket=bucket, Key="k", VersionId=two)
    assert await s3.body(Bucket=bucket, Key="k") == b"one"
    assert files(s3) == 0


async def test_suspended_bucket_replaces_only_its_null_version(s3: S3, bucket: str) -> None:
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = (await s3.put_object(Bucket=bucket, Key="k", Body=b"kept"))["VersionId"]
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"first", b"second"):
        assert (await s3.put_object(Bucket=bucket, Key="k", Body=body))["VersionId"] == "null"
    listed = await s3.list_object_versions(Bucket=bucket)
    assert [(item["VersionId"], item["IsLatest"]) for item in listed["Versions"]] == [("null", True), (kept, False)]
    marker = await s3.delete_object(Bucket=bucket, Key="k")
    assert marker["VersionId"] == "null"
    assert len((await s3.list_object_versions(Bucket=bucket))["Versions"]) == 1


async def test_delete_objects_says_what_went_and_what_did_not(s3: S3, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    objects = [{"Key": "a"}, {"Key": "never"}, {"Key": "k" * 1025}]
    answer = await s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert answer["Deleted"] == [{"Key": "a"}, {"Key": "never"}]
    assert [item["Code"] for item in answer["Errors"]] == ["KeyTooLongError"]
    assert await s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}], "Quiet": True}) == {}
    with pytest.raises(AwsError) as caught:
        await s3.delete_objects(Bucket=bucket, Delete={"Objects": []})
    assert code_of(caught) == "MalformedXML"


async def test_copy_takes_bytes_and_by_directive_the_rest(s3: S3, bucket: str) -> None:
    for key, body in (("small", b"small"), ("large", LARGE)):
        await s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"a": "1"}, Tagging="t=1", ContentType="x/y")
        await s3.copy_object(Bucket=bucket, Key=f"{key}-copy", CopySource=f"{bucket}/{key}")
        copied = await s3.head_object(Bucket=bucket, Key=f"{key}-copy")
        assert (copied["Metadata"], copied["ContentType"], copied["TagCount"]) == ({"a": "1"}, "x/y", 1)
        await s3.delete_object(Bucket=bucket, Key=key)
        assert await s3.body(Bucket=bucket, Key=f"{key}-copy") == body
    await s3.copy_object(
        Bucket=bucket, Key="large-copy", CopySource={"Bucket": bucket, "Key": "large-copy"},
        MetadataDirective="REPLACE", Metadata={"b": "2"}, ChecksumAlgorithm="SHA256",
    )  # fmt: skip
    head = await s3.head_object(Bucket=bucket, Key="large-copy", ChecksumMode="ENABLED")
    assert head["Metadata"] == {"b": "2"}
    assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(LARGE).digest()).decode()
    assert files(s3) == 1
    with pytest.raises(AwsError) as caught:
        await s3.copy_object(Bucket=bucket, Key="small-copy", CopySource=f"{bucket}/small-copy")
    assert code_of(caught) == "InvalidRequest"
    with pytest.raises(AwsError) as caught:
        await s3.copy_object(Bucket=bucket, Key="x", CopySource=f"{bucket}/nothing")
    assert code_of(caught) == "NoSuchKey"


async def test_tags(s3: S3, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")
    await s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "b", "Value": "2"}]})
    assert (await s3.get_object_tagging(Bucket=bucket, Key="k"))["TagSet"] == [{"Key": "b", "Value": "2"}]
    await s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert (await s3.get_object_tagging(Bucket=bucket, Key="k"))["TagSet"] == []
    with pytest.raises(AwsError) as caught:
        await s3.put_object_tagging(
            Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": str(n), "Value": ""} for n in range(11)]}
        )
    assert (caught.value.code, caught.value.message) == ("BadRequest", "Object tags cannot be greater than 10")


async def test_archived_objects_are_described_but_not_read(s3: S3, bucket: str) -> None:
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER")
    assert (await s3.head_object(Bucket=bucket, Key="k"))["StorageClass"] == "GLACIER"
    with pytest.raises(AwsError) as caught:
        await s3.get_object(Bucket=bucket, Key="k")
    assert code_of(caught) == "InvalidObjectState"
