"""Buckets and their settings, lists of keys, notifications."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.services.s3.driver import ACCOUNT, FUNCTION, S3, code_of

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.services.s3 import cors
from pilotlight.services.s3.listing import successor


async def fill(s3: S3, bucket: str, *keys: str) -> None:
    for key in keys:
        await s3.put_object(Bucket=bucket, Key=key, Body=b"x")


@pytest.mark.parametrize("name", ["ab", "Upper", "a..b", "1.2.3.4", "-a-b", "xn--abc", "a_b", "abc-s3alias"])
async def test_bucket_names_that_are_not_valid(s3: S3, name: str) -> None:
    with pytest.raises(AwsError) as caught:
        await s3.create_bucket(Bucket=name)
    assert code_of(caught) == "InvalidBucketName"


async def test_bucket_made_twice(s3: S3, bucket: str) -> None:
    assert (await s3.create_bucket(Bucket=bucket))["Location"] == "/pictures"
    stranger = replace(s3.caller, account="111111111111")
    with pytest.raises(AwsError) as caught:
        await s3.create_bucket(stranger, Bucket=bucket)
    assert (caught.value.code, caught.value.status) == ("BucketAlreadyExists", 409)
    elsewhere = replace(s3.caller, region="eu-west-1")
    there = {"LocationConstraint": "eu-west-1"}
    await s3.create_bucket(elsewhere, Bucket="elsewhere", CreateBucketConfiguration=there)
    with pytest.raises(AwsError) as caught:
        await s3.create_bucket(elsewhere, Bucket="elsewhere", CreateBucketConfiguration=there)
    assert code_of(caught) == "BucketAlreadyOwnedByYou"
    with pytest.raises(AwsError) as caught:
        await s3.create_bucket(elsewhere, Bucket="third")
    assert code_of(caught) == "IllegalLocationConstraintException"
    with pytest.raises(AwsError) as caught:
        await s3.create_bucket(Bucket="third", CreateBucketConfiguration={"LocationConstraint": "us-east-1"})
    assert code_of(caught) == "InvalidLocationConstraint"
    assert await s3.get_bucket_location(Bucket="elsewhere") == there
    assert await s3.get_bucket_location(Bucket=bucket) == {}


async def test_buckets_are_listed_in_pages(s3: S3) -> None:
    for name in ("ccc", "aaa", "bbb"):
        await s3.create_bucket(Bucket=name)
    page = await s3.list_buckets(MaxBuckets=2)
    assert [item["Name"] for item in page["Buckets"]] == ["aaa", "bbb"]
    page = await s3.list_buckets(MaxBuckets=2, ContinuationToken=page["ContinuationToken"])
    assert [item["Name"] for item in page["Buckets"]] == ["ccc"]
    assert "ContinuationToken" not in page


async def test_bucket_with_objects_is_not_deleted(s3: S3, bucket: str) -> None:
    await fill(s3, bucket, "k")
    with pytest.raises(AwsError) as caught:
        await s3.delete_bucket(Bucket=bucket)
    assert (caught.value.code, caught.value.status) == ("BucketNotEmpty", 409)
    await s3.delete_object(Bucket=bucket, Key="k")
    await s3.delete_bucket(Bucket=bucket)
    with pytest.raises(AwsError) as caught:
        await s3.head_bucket(Bucket=bucket)
    assert code_of(caught) == "NoSuchBucket"


async def test_list_with_delimiter_in_pages(s3: S3, bucket: str) -> None:
    keys = ["a", *(f"b/{number}" for number in range(20)), "c", "d/1", "é", "\U0001f600", "\uffff"]
    await fill(s3, bucket, *keys)
    seen: list[str] = []
    given: dict[str, Any] = {}
    while True:
        page = await s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=2, **given)
        seen += [item["Key"] for item in page["Contents"]] + [item["Prefix"] for item in page["CommonPrefixes"]]
        if not page["IsTruncated"]:
            break
        given = {"ContinuationToken": page["NextContinuationToken"]}
    assert sorted(seen) == sorted(["a", "b/", "c", "d/", "é", "\U0001f600", "\uffff"])
    assert len(seen) == len(set(seen))
    whole = await s3.list_objects_v2(Bucket=bucket)
    assert [item["Key"] for item in whole["Contents"]] == sorted(keys, key=str.encode)
    inside = await s3.list_objects(Bucket=bucket, Prefix="b/", Marker="b/17")
    assert [item["Key"] for item in inside["Contents"]] == ["b/18", "b/19", "b/2", "b/3", "b/4", "b/5", "b/6", "b/7",
                                                            "b/8", "b/9"]  # fmt: skip
    started = await s3.list_objects_v2(Bucket=bucket, StartAfter="c", EncodingType="url", MaxKeys=2)
    assert [item["Key"] for item in started["Contents"]] == ["d/1", "%C3%A9"]


async def test_list_refusals(s3: S3, bucket: str) -> None:
    for given in ({"ContinuationToken": "nonsense"}, {"MaxKeys": -1}, {"EncodingType": "base64"}):
        with pytest.raises(AwsError) as caught:
            await s3.list_objects_v2(Bucket=bucket, **given)
        assert code_of(caught) == "InvalidArgument"


async def test_versions_are_listed_in_pages_within_a_key(s3: S3, bucket: str) -> None:
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        await fill(s3, bucket, "a", "b")
    seen: list[tuple[str, str]] = []
    given: dict[str, Any] = {}
    while True:
        page = await s3.list_object_versions(Bucket=bucket, MaxKeys=2, **given)
        seen += [(item["Key"], item["VersionId"]) for item in page["Versions"]]
        if not page["IsTruncated"]:
            break
        given = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    assert [key for key, _ in seen] == ["a"] * 3 + ["b"] * 3
    assert len(set(seen)) == 6


def test_successor_is_the_least_greater_text() -> None:
    assert successor("a") == "b"
    assert successor("a\U0010ffff") == "b"
    assert successor("\ud7ff") == "\ue000"
    assert successor("") is None


async def test_policy_is_checked_and_a_public_one_is_blocked(s3: S3, bucket: str) -> None:
    def policy(**given: Any) -> str:
        statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                     "Resource": f"arn:aws:s3:::{bucket}/*", **given}  # fmt: skip
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    with pytest.raises(AwsError) as caught:
        await s3.get_bucket_policy(Bucket=bucket)
    assert code_of(caught) == "NoSuchBucketPolicy"
    for text, code in [
        ("nonsense", "MalformedPolicy"),
        (policy(Resource="arn:aws:s3:::other/*"), "MalformedPolicy"),
        (policy(Resource=f"arn:aws:s3:::{bucket}"), "MalformedPolicy"),
        (policy(), "AccessDenied"),
    ]:
        with pytest.raises(AwsError) as caught:
            await s3.put_bucket_policy(Bucket=bucket, Policy=text)
        assert code_of(caught) == code
    https = policy(Effect="Deny", Action="s3:*", Condition={"Bool": {"aws:SecureTransport": False}})
    await s3.put_bucket_policy(Bucket=bucket, Policy=https)
    assert (await s3.get_bucket_policy(Bucket=bucket))["Policy"] == https
    assert (await s3.get_bucket_policy_status(Bucket=bucket))["PolicyStatus"] == {"IsPublic": False}


async def test_defaults_and_refusals_of_settings(s3: S3, bucket: str) -> None:
    rules = (await s3.get_bucket_encryption(Bucket=bucket))["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    block = (await s3.get_public_access_block(Bucket=bucket))["PublicAccessBlockConfiguration"]
    assert all(block.values())
    assert await s3.get_bucket_versioning(Bucket=bucket) == {}
    for call, code in [
        (s3.get_bucket_tagging(Bucket=bucket), "NoSuchTagSet"),
        (s3.get_bucket_cors(Bucket=bucket), "NoSuchCORSConfiguration"),
        (s3.get_bucket_lifecycle_configuration(Bucket=bucket), "NoSuchLifecycleConfiguration"),
        (s3.put_bucket_acl(Bucket=bucket, ACL="private"), "AccessControlListNotSupported"),
        (s3.create_bucket(Bucket="other", ACL="public-read"), "InvalidBucketAclWithObjectOwnership"),
    ]:
        with pytest.raises(AwsError) as caught:
            await call
        assert code_of(caught) == code


def test_cors_rules_match_as_a_preflight_asks() -> None:
    rules = [{"AllowedOrigins": ["https://*.example.com"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["x-*"],
              "MaxAgeSeconds": 5}]  # fmt: skip
    found = cors.match(rules, origin="https://a.example.com", method="PUT", asked_headers=["X-One"])
    assert found is not None
    assert found["access-control-allow-origin"] == "https://a.example.com"
    assert found["access-control-max-age"] == "5"
    assert cors.match(rules, origin="https://example.org", method="PUT") is None
    assert cors.match(rules, origin="https://a.example.com", method="GET") is None


def listens(event: str = "s3:ObjectCreated:*", **filters: str) -> dict[str, Any]:
    rules = [{"Name": name, "Value": value} for name, value in filters.items()]
    item: dict[str, Any] = {"Id": "c1", "LambdaFunctionArn": FUNCTION, "Events": [event]}
    return item | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {})


async def notify(s3: S3, bucket: str, *items: dict[str, Any], **others: Any) -> None:
    configuration = {"LambdaFunctionConfigurations": list(items), **others}
    await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


async def test_event_is_posted_with_its_object(s3: S3, bucket: str) -> None:
    await notify(s3, bucket, listens(prefix="uploads/", suffix=".jpg"))
    service, operation, params, asker = s3.cloud.calls[0]
    assert (service, operation, params["InvocationType"]) == ("lambda", "Invoke", "DryRun")
    assert (asker.service, asker.source_arn, asker.account) == ("s3.amazonaws.com", f"arn:aws:s3:::{bucket}", ACCOUNT)
    caller = replace(s3.caller, user_id="AROA:session", source_ip="10.0.0.1")
    await s3.put_object(caller, Bucket=bucket, Key="uploads/my photo+é.jpg", Body=b"abc")
    await s3.put_object(Bucket=bucket, Key="uploads/no.png", Body=b"abc")
    assert s3.wakes == 2
    (record,) = await s3.events()
    assert record["eventVersion"] == "2.1"
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert record["eventTime"] == "2023-11-14T22:13:20.000Z"
    assert record["userIdentity"] == {"principalId": "AWS:AROA:session"}
    assert record["requestParameters"] == {"sourceIPAddress": "10.0.0.1"}
    assert record["responseElements"]["x-amz-request-id"] == "request-1"
    assert record["s3"]["configurationId"] == "c1"
    assert (record["s3"]["bucket"]["name"], record["s3"]["bucket"]["arn"]) == (bucket, f"arn:aws:s3:::{bucket}")
    described = record["s3"]["object"]
    assert described["key"] == "uploads/my+photo%2B%C3%A9.jpg"
    assert (described["size"], described["eTag"]) == (3, "900150983cd24fb0d6963f7d28e17f72")
    assert len(described["sequencer"]) == 18


async def test_events_of_removal_copy_and_refused_writes(s3: S3, bucket: str) -> None:
    await notify(s3, bucket, listens(), {**listens("s3:ObjectRemoved:*"), "Id": "c2"})
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    await s3.copy_object(Bucket=bucket, Key="k2", CopySource=f"{bucket}/k")
    with pytest.raises(AwsError):
        await s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*")
    await s3.delete_object(Bucket=bucket, Key="k")
    await s3.delete_object(Bucket=bucket, Key="never")
    await s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    await s3.delete_object(Bucket=bucket, Key="k2")
    records = {record["eventName"]: record["s3"]["object"] for record in await s3.events()}
    assert set(records) == {
        "ObjectCreated:Put", "ObjectCreated:Copy", "ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated",
    }  # fmt: skip
    assert set(records["ObjectRemoved:Delete"]) == {"key", "sequencer"}
    assert "versionId" in records["ObjectRemoved:DeleteMarkerCreated"]


async def test_notification_refusals(s3: S3, bucket: str) -> None:
    for items in [
        [{**listens(), "LambdaFunctionArn": "nonsense"}],
        [listens("s3:Nonsense")],
        [listens(prefix="a"), {**listens("s3:ObjectCreated:Put", prefix="ab"), "Id": "c2"}],
        [listens(colour="red")],
    ]:
        with pytest.raises(AwsError) as caught:
            await notify(s3, bucket, *items)
        assert code_of(caught) == "InvalidArgument"
    s3.cloud.refusal = AwsError("AccessDeniedException", "no", status=403)
    with pytest.raises(AwsError) as caught:
        await notify(s3, bucket, listens())
    assert caught.value.message == "Unable to validate the following destination configurations"
    assert caught.value.members["ArgumentValue1"] == f"Not authorized to invoke function [{FUNCTION}]"
    with pytest.raises(NotImplementedHere, match="EventBridge"):
        await notify(s3, bucket, EventBridgeConfiguration={})
    assert await s3.get_bucket_notification_configuration(Bucket=bucket) == {}


QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:jobs"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:news"


async def test_queue_and_topic_are_sent_a_test_message_and_then_events(s3: S3, bucket: str) -> None:
    queue = {"Id": "q", "QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]}
    topic = {"Id": "t", "TopicArn": TOPIC, "Events": ["s3:ObjectRemoved:*"]}
    await notify(s3, bucket, QueueConfigurations=[queue], TopicConfigurations=[topic])
    (to_queue, to_topic) = s3.cloud.calls
    assert to_queue[:2] == ("sqs", "SendMessage")
    assert to_queue[2]["QueueUrl"] == f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/jobs"
    assert json.loads(to_queue[2]["MessageBody"])["Event"] == "s3:TestEvent"
    assert (to_topic[:2], to_topic[2]["TopicArn"]) == (("sns", "Publish"), TOPIC)
    assert to_queue[3].source_arn == f"arn:aws:s3:::{bucket}"
    found = await s3.get_bucket_notification_configuration(Bucket=bucket)
    assert found == {"QueueConfigurations": [queue], "TopicConfigurations": [topic]}
    await s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    (record,) = await s3.events()
    assert (record["eventName"], record["s3"]["configurationId"]) == ("ObjectCreated:Put", "q")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", "The destination queue does not exist"),
        ("AccessDenied", "Permissions on the destination queue do not allow S3 to publish notifications from this"),
    ],
)
async def test_queue_that_takes_nothing_from_s3_is_refused(s3: S3, bucket: str, code: str, reason: str) -> None:
    s3.cloud.refusal = AwsError(code, "no")
    queue = {"Id": "q", "QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(AwsError) as caught:
        await notify(s3, bucket, QueueConfigurations=[queue])
    assert caught.value.members["ArgumentName1"] == QUEUE
    assert str(caught.value.members["ArgumentValue1"]).startswith(reason)
    elsewhere = {**queue, "QueueArn": QUEUE.replace("us-east-1", "eu-west-1")}
    with pytest.raises(AwsError, match="region is not valid"):
        await notify(s3, bucket, QueueConfigurations=[elsewhere])
