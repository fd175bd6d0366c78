"""What AWS refuses, and in which words: where an emulator is easily wrong."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

NAMED = {"Bucket": "box", "Key": "k"}


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(Bucket="box")
    client.put_object(**NAMED, Body=b"x")
    return client


@pytest.mark.parametrize("operation", ["get_object", "delete_object", "get_object_tagging"])
def test_version_ids_that_cannot_be_are_invalid(s3: Any, operation: str) -> None:
    with pytest.raises(ClientError, match="Invalid version id specified"):
        getattr(s3, operation)(**NAMED, VersionId="nonsense")
    if operation != "delete_object":
        with pytest.raises(ClientError, match="NoSuchVersion"):
            getattr(s3, operation)(**NAMED, VersionId="a" * 32)


def test_composite_upload_is_completed_with_its_parts_checksums(s3: Any) -> None:
    upload = {**NAMED, "UploadId": s3.create_multipart_upload(**NAMED, ChecksumAlgorithm="SHA256")["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"1", ChecksumAlgorithm="SHA256")
    named = {"PartNumber": 1, "ETag": part["ETag"]}
    with pytest.raises(ClientError, match="It was missing for part 1 in the request"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [named]})
    named["ChecksumSHA256"] = part["ChecksumSHA256"]
    assert s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [named]})["ChecksumType"] == "COMPOSITE"


def test_strangers_are_told_which_buckets_are_not_there(sqlite_only_cloud: Cloud, s3: Any) -> None:
    for bucket, status in (("nowhere", 404), ("box", 403)):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{sqlite_only_cloud.endpoint}/{bucket}")
        error.value.close()
        assert error.value.code == status


def test_configurations_that_cannot_be_put_are_none(s3: Any) -> None:
    for kind in ("inventory", "metrics", "analytics", "intelligent_tiering"):
        assert getattr(s3, f"list_bucket_{kind}_configurations")(Bucket="box")["IsTruncated"] is False


def test_logging_is_kept_for_a_target_that_is_there(s3: Any) -> None:
    enabled = {"TargetBucket": "box", "TargetPrefix": "logs/"}
    s3.put_bucket_logging(Bucket="box", BucketLoggingStatus={"LoggingEnabled": enabled})
    assert s3.get_bucket_logging(Bucket="box")["LoggingEnabled"] == enabled
    s3.put_bucket_logging(Bucket="box", BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="box")
    with pytest.raises(ClientError, match="InvalidTargetBucketForLogging"):
        s3.put_bucket_logging(
            Bucket="box", BucketLoggingStatus={"LoggingEnabled": {**enabled, "TargetBucket": "nowhere"}}
        )


def test_overrides_and_initiators_are_named_as_aws_names_them(s3: Any) -> None:
    moment = datetime(2031, 1, 1, tzinfo=UTC)
    assert s3.get_object(**NAMED, ResponseExpires=moment)["ExpiresString"] == "Wed, 01 Jan 2031 00:00:00 GMT"
    s3.create_multipart_upload(**NAMED)
    (upload,) = s3.list_multipart_uploads(Bucket="box")["Uploads"]
    assert upload["Initiator"]["ID"] == upload["Owner"]["ID"]
