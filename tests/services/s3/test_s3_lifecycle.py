"""Lifecycle rules, carried out as cloud time passes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(Bucket="box")
    return client


def put_rules(s3: Any, *rules: dict[str, Any], **options: Any) -> Any:
    given = [{"ID": f"rule-{number}", "Status": "Enabled", "Filter": {}, **rule} for number, rule in enumerate(rules)]
    return s3.put_bucket_lifecycle_configuration(Bucket="box", LifecycleConfiguration={"Rules": given}, **options)


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket="box").get("Contents", ())]


def versions(s3: Any) -> tuple[int, int]:
    found = s3.list_object_versions(Bucket="box")
    return len(found.get("Versions", ())), len(found.get("DeleteMarkers", ()))


def test_objects_expire_by_prefix_tag_and_size(sqlite_only_cloud: Cloud, s3: Any) -> None:
    put_rules(
        s3,
        {"Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}},
        {"Filter": {"Tag": {"Key": "k", "Value": "v"}}, "Expiration": {"Days": 1}},
        {"Filter": {"And": {"Prefix": "big/", "ObjectSizeGreaterThan": 3}}, "Expiration": {"Days": 1}},
        {"Filter": {"Prefix": "off/"}, "Expiration": {"Days": 1}, "Status": "Disabled"},
    )
    for key, tagging in (("logs/a", ""), ("tagged", "k=v"), ("other", "k=w"), ("big/1", ""), ("off/a", "")):
        s3.put_object(Bucket="box", Key=key, Body=b"1234", Tagging=tagging)
    s3.put_object(Bucket="box", Key="big/0", Body=b"123")
    assert len(keys(s3)) == 6
    sqlite_only_cloud.clock.advance(days=2)
    assert keys(s3) == ["big/0", "off/a", "other"]


def test_answers_say_when_an_object_expires(sqlite_only_cloud: Cloud, s3: Any) -> None:
    put_rules(s3, {"ID": "old", "Expiration": {"Days": 3}})
    put = s3.put_object(Bucket="box", Key="k", Body=b"1")
    head = s3.head_object(Bucket="box", Key="k")
    written = head["LastModified"].astimezone(UTC)
    assert put["Expiration"] == head["Expiration"]
    assert head["Expiration"].endswith('rule-id="old"')
    text = head["Expiration"].partition('"')[2].partition('"')[0]
    moment = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    assert 3 <= (moment - written).total_seconds() / 86_400 <= 4


def test_versions_expire_behind_a_marker_and_then_for_good(sqlite_only_cloud: Cloud, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    put_rules(
        s3,
        {"Expiration": {"Days": 1}},
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 5, "NewerNoncurrentVersions": 1}},
    )
    for _ in range(3):
        s3.put_object(Bucket="box", Key="k", Body=b"1")
    sqlite_only_cloud.clock.advance(days=2)
    assert (keys(s3), versions(s3)) == ([], (3, 1))
    sqlite_only_cloud.clock.advance(days=6)
    assert versions(s3) == (1, 1)


def test_marker_with_nothing_under_it_goes(sqlite_only_cloud: Cloud, s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="box", VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(Bucket="box", Key="alone")
    s3.put_object(Bucket="box", Key="k", Body=b"1")
    s3.delete_object(Bucket="box", Key="k")
    put_rules(s3, {"Expiration": {"ExpiredObjectDeleteMarker": True}})
    sqlite_only_cloud.clock.advance(days=1)
    found = s3.list_object_versions(Bucket="box")
    assert [marker["Key"] for marker in found["DeleteMarkers"]] == ["k"]


def test_uploads_under_way_are_aborted(sqlite_only_cloud: Cloud, s3: Any) -> None:
    put_rules(s3, {"Filter": {"Prefix": "a"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
    for key in ("a1", "a2", "b1"):
        s3.create_multipart_upload(Bucket="box", Key=key)
    sqlite_only_cloud.clock.advance(days=2)
    assert [upload["Key"] for upload in s3.list_multipart_uploads(Bucket="box")["Uploads"]] == ["b1"]


def test_large_objects_grow_cold_and_small_ones_stay(sqlite_only_cloud: Cloud, s3: Any) -> None:
    put_rules(
        s3,
        {"Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"}]},
    )
    s3.put_object(Bucket="box", Key="large", Body=b"x" * 200_000)
    s3.put_object(Bucket="box", Key="small", Body=b"x")
    sqlite_only_cloud.clock.advance(days=31)
    assert s3.head_object(Bucket="box", Key="large")["StorageClass"] == "STANDARD_IA"
    sqlite_only_cloud.clock.advance(days=31)
    assert [item["StorageClass"] for item in s3.list_objects_v2(Bucket="box")["Contents"]] == ["GLACIER", "STANDARD"]
    with pytest.raises(ClientError, match="InvalidObjectState"):
        s3.get_object(Bucket="box", Key="large")


def test_configuration_comes_back_and_goes(s3: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="box")
    date = datetime(2040, 1, 1, tzinfo=UTC)
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Date": date}}
    answer = s3.put_bucket_lifecycle_configuration(Bucket="box", LifecycleConfiguration={"Rules": [rule]})
    assert answer["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    found = s3.get_bucket_lifecycle_configuration(Bucket="box")
    assert found["Rules"] == [rule]
    s3.delete_bucket_lifecycle(Bucket="box")
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="box")


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"Expiration": {"Days": 0}}, "InvalidArgument"),
        ({"Expiration": {"Date": datetime(2040, 1, 1, 5, tzinfo=UTC)}}, "InvalidArgument"),
        ({"Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}, "MalformedXML"),
        ({}, "InvalidRequest"),
        ({"Status": "enabled", "Expiration": {"Days": 1}}, "MalformedXML"),
        ({"ID": "a" * 256, "Expiration": {"Days": 1}}, "InvalidArgument"),
        ({"Transitions": [{"Days": 29, "StorageClass": "STANDARD_IA"}]}, "InvalidArgument"),
        ({"Transitions": [{"Days": 9, "StorageClass": "GLACIER"}], "Expiration": {"Days": 9}}, "InvalidArgument"),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 0}}, "InvalidArgument"),
        (
            {
                "Filter": {"Tag": {"Key": "a", "Value": "b"}},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            },
            "InvalidRequest",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused(s3: Any, rule: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError, match=code):
        put_rules(s3, rule)


def test_rule_ids_are_unique(s3: Any) -> None:
    with pytest.raises(ClientError, match="Rule ID must be unique"):
        put_rules(s3, {"ID": "a", "Expiration": {"Days": 1}}, {"ID": "a", "Expiration": {"Days": 2}})
