"""Versions that may not be deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

BUCKET = {"Bucket": "vault"}


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(**BUCKET, ObjectLockEnabledForBucket=True)
    return client


def later(days: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def put(s3: Any, **lock: Any) -> dict[str, str]:
    return {**BUCKET, "Key": "k", "VersionId": s3.put_object(**BUCKET, Key="k", Body=b"1", **lock)["VersionId"]}


def test_bucket_with_a_lock_has_versions_for_good(s3: Any) -> None:
    assert s3.get_bucket_versioning(**BUCKET)["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(**BUCKET)["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_bucket_versioning(**BUCKET, VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize(("mode", "bypassed"), [("GOVERNANCE", True), ("COMPLIANCE", False)])
def test_retention_ends_with_its_date_or_is_bypassed(
    sqlite_only_cloud: Cloud, s3: Any, mode: str, bypassed: bool
) -> None:
    named = put(s3, ObjectLockMode=mode, ObjectLockRetainUntilDate=later(2))
    head = s3.head_object(**named)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"] > later(1)) == (mode, True)
    with pytest.raises(ClientError, match="protected by object lock"):
        s3.delete_object(**named)
    failed = s3.delete_objects(**BUCKET, Delete={"Objects": [{"Key": "k", "VersionId": named["VersionId"]}]})
    assert failed["Errors"][0]["Code"] == "AccessDenied"
    assert s3.delete_object(**BUCKET, Key="k")["DeleteMarker"] is True
    if bypassed:
        s3.delete_object(**named, BypassGovernanceRetention=True)
        return
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**named, BypassGovernanceRetention=True)
    sqlite_only_cloud.clock.advance(days=3)
    s3.delete_object(**named)


def test_retention_is_lengthened_and_not_shortened(s3: Any) -> None:
    named = put(s3, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later(2))
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": later(1)}
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object_retention(**named, Retention=shorter)
    s3.put_object_retention(**named, Retention=shorter, BypassGovernanceRetention=True)
    s3.put_object_retention(**named, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later(5)})
    assert s3.get_object_retention(**named)["Retention"]["Mode"] == "COMPLIANCE"
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object_retention(
            **named, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later(9)}, BypassGovernanceRetention=True
        )


def test_legal_hold_is_lifted(s3: Any) -> None:
    named = put(s3, ObjectLockLegalHoldStatus="ON")
    assert s3.get_object_legal_hold(**named)["LegalHold"] == {"Status": "ON"}
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**named, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    s3.delete_object(**named)


def test_default_retention_holds_for_what_is_written_after_it(s3: Any) -> None:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    s3.put_object_lock_configuration(**BUCKET, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule})
    upload = s3.create_multipart_upload(**BUCKET, Key="parts")["UploadId"]
    part = s3.upload_part(**BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=b"1")
    s3.complete_multipart_upload(
        **BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    s3.copy_object(**BUCKET, Key="copy", CopySource="vault/parts")
    put(s3)
    for key in ("k", "parts", "copy"):
        assert s3.head_object(**BUCKET, Key=key)["ObjectLockMode"] == "GOVERNANCE"


def test_lifecycle_leaves_what_is_held(sqlite_only_cloud: Cloud, s3: Any) -> None:
    put(s3, ObjectLockLegalHoldStatus="ON")
    put(s3)
    put(s3)
    rule = {"ID": "r", "Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
    s3.put_bucket_lifecycle_configuration(**BUCKET, LifecycleConfiguration={"Rules": [rule]})
    sqlite_only_cloud.clock.advance(days=3)
    assert len(s3.list_object_versions(**BUCKET)["Versions"]) == 2


def test_locks_that_make_no_sense_are_refused(s3: Any) -> None:
    s3.create_bucket(Bucket="plain")
    plain = {"Bucket": "plain", "Key": "k"}
    for given, code in (
        ({**plain, "ObjectLockLegalHoldStatus": "ON"}, "InvalidRequest"),
        ({**BUCKET, "Key": "k", "ObjectLockMode": "GOVERNANCE"}, "InvalidArgument"),
        (
            {**BUCKET, "Key": "k", "ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": later(-1)},
            "InvalidArgument",
        ),
        (
            {**BUCKET, "Key": "k", "ObjectLockMode": "governance", "ObjectLockRetainUntilDate": later(1)},
            "InvalidArgument",
        ),
    ):
        with pytest.raises(ClientError, match=code):
            s3.put_object(**given)
    s3.put_object(**plain)
    with pytest.raises(ClientError, match="Bucket is missing Object Lock Configuration"):
        s3.get_object_retention(**plain)
    with pytest.raises(ClientError, match="NoSuchObjectLockConfiguration"):
        s3.get_object_retention(**put(s3))
    with pytest.raises(ClientError, match="ObjectLockConfigurationNotFoundError"):
        s3.get_object_lock_configuration(Bucket="plain")
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_object_lock_configuration(Bucket="plain", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    for period in ({"Days": 0}, {"Days": 1, "Years": 1}):
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", **period}}
        with pytest.raises(ClientError, match=r"InvalidArgument|MalformedXML"):
            s3.put_object_lock_configuration(
                **BUCKET, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
            )
