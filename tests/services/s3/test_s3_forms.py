"""Uploads by browsers' forms, with their policies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from pilotlight.testing.cloud import Cloud

BOUNDARY = "----pilot"


def encoded(fields: Mapping[str, str], body: bytes | None, file_name: str = "cat.jpg") -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if body is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n'
        parts += [head.encode(), b"Content-Type: image/jpeg\r\n\r\n", body, b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def post(
    cloud: Cloud, fields: Mapping[str, str], body: bytes | None = b"meow", bucket: str = "pictures"
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(cloud.endpoint).netloc, timeout=30)
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", f"/{bucket}", encoded(fields, body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(Bucket="pictures")
    return client


def fields_of(
    s3: Any, key: str = "uploads/${filename}", conditions: Sequence[Any] = (), fields: Mapping[str, str] | None = None
) -> dict[str, str]:
    found: dict[str, str] = s3.generate_presigned_post(
        "pictures", key, Fields=dict(fields or {}), Conditions=list(conditions), ExpiresIn=60
    )["fields"]
    return found


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_form_uploads_its_file(sqlite_only_cloud: Cloud, s3: Any, version: str) -> None:
    signer = sqlite_only_cloud.client("s3", config=Config(signature_version=version))
    given = {"Content-Type": "image/jpeg", "x-amz-meta-colour": "red", "x-amz-storage-class": "STANDARD_IA"}
    conditions = [{name: value} for name, value in given.items()]
    status, headers, text = post(sqlite_only_cloud, fields_of(signer, conditions=conditions, fields=given))
    assert (status, text) == (204, "")
    found = s3.get_object(Bucket="pictures", Key="uploads/cat.jpg")
    assert found["Body"].read() == b"meow"
    assert headers["etag"] == found["ETag"]
    assert (found["ContentType"], found["Metadata"]) == ("image/jpeg", {"colour": "red"})
    assert found["StorageClass"] == "STANDARD_IA"


def test_large_file_that_holds_half_boundaries_comes_whole(sqlite_only_cloud: Cloud, s3: Any) -> None:
    body = (b"\r\n--" + b"\r\n--" + BOUNDARY[:-1].encode() + b"x" * 997) * 500
    assert post(sqlite_only_cloud, fields_of(s3), body)[0] == 204
    assert s3.get_object(Bucket="pictures", Key="uploads/cat.jpg")["Body"].read() == body


def test_success_is_answered_as_asked(sqlite_only_cloud: Cloud, s3: Any) -> None:
    for asked, expected in (("200", 200), ("201", 201), ("204", 204), ("404", 204)):
        fields = {"success_action_status": asked}
        form = fields_of(s3, conditions=[{"success_action_status": asked}], fields=fields)
        status, _, text = post(sqlite_only_cloud, form)
        assert status == expected
        assert ("<Key>uploads/cat.jpg</Key>" in text) == (expected == 201)
    fields = {"success_action_redirect": "https://app.example/done?x=1"}
    form = fields_of(s3, conditions=[["starts-with", "$success_action_redirect", "https://"]], fields=fields)
    status, headers, _ = post(sqlite_only_cloud, form)
    assert status == 303
    assert headers["location"].startswith("https://app.example/done?x=1&bucket=pictures&key=uploads%2Fcat.jpg&etag=%22")


def test_tags_come_as_a_document(sqlite_only_cloud: Cloud, s3: Any) -> None:
    document = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    form = fields_of(s3, conditions=[{"tagging": document}], fields={"tagging": document})
    assert post(sqlite_only_cloud, form)[0] == 204
    tagging = s3.get_object_tagging(Bucket="pictures", Key="uploads/cat.jpg")
    assert tagging["TagSet"] == [{"Key": "a", "Value": "b"}]


@pytest.mark.parametrize(
    ("conditions", "changed", "status", "said"),
    [
        ([["content-length-range", 0, 3]], {}, 400, "EntityTooLarge"),
        ([["content-length-range", 5, 9]], {}, 400, "EntityTooSmall"),
        ([["starts-with", "$Content-Type", "image/"]], {"Content-Type": "text/html"}, 403, "Policy Condition failed"),
        ([], {"x-amz-meta-extra": "1"}, 403, "Extra input fields: x-amz-meta-extra"),
        ([], {"x-ignore-me": "1"}, 204, ""),
        ([], {"key": "elsewhere"}, 403, "Policy Condition failed"),
        ([], {"policy": base64.b64encode(b"{}").decode()}, 403, "SignatureDoesNotMatch"),
        ([["equals", "$x", "y"]], {}, 400, "InvalidPolicyDocument"),
    ],
)
def test_form_is_held_to_its_policy(
    sqlite_only_cloud: Cloud, s3: Any, conditions: list[Any], changed: dict[str, str], status: int, said: str
) -> None:
    sts = sqlite_only_cloud.client("iam")
    sts.create_user(UserName="u")
    sts.attach_user_policy(UserName="u", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    key = sts.create_access_key(UserName="u")["AccessKey"]
    signer = sqlite_only_cloud.client(
        "s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
        config=Config(signature_version="s3v4"),
    )  # fmt: skip
    found, _, text = post(sqlite_only_cloud, {**fields_of(signer, conditions=conditions), **changed})
    assert found == status
    assert said in text
    assert s3.list_objects_v2(Bucket="pictures")["KeyCount"] == (1 if status == 204 else 0)


def test_form_without_key_file_or_life_is_refused(sqlite_only_cloud: Cloud, s3: Any) -> None:
    form = fields_of(s3)
    without = {name: value for name, value in form.items() if name != "key"}
    assert "a field named 'key'" in post(sqlite_only_cloud, without)[2]
    status, _, text = post(sqlite_only_cloud, form, None)
    assert (status, "exactly one file upload" in text) == (400, True)
    policy = {"expiration": "2020-01-01T00:00:00Z", "conditions": [["starts-with", "$key", ""], {"bucket": "pictures"}]}
    text = base64.b64encode(json.dumps(policy).encode()).decode()
    signature = base64.b64encode(hmac.new(b"test", text.encode(), hashlib.sha1).digest()).decode()
    expired = {"key": "k", "policy": text, "AWSAccessKeyId": "test", "signature": signature}
    status, _, text = post(sqlite_only_cloud, expired)
    assert (status, "Invalid according to Policy: Policy expired." in text) == (403, True)


def test_anonymous_form_needs_the_buckets_policy(sqlite_only_cloud: Cloud, s3: Any) -> None:
    assert post(sqlite_only_cloud, {"key": "k"})[0] == 403
    s3.delete_public_access_block(Bucket="pictures")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::pictures/*"}
    s3.put_bucket_policy(Bucket="pictures", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert post(sqlite_only_cloud, {"key": "k"})[0] == 204
