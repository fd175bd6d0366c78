"""A bucket's cross-origin rules, as browsers meet them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from pilotlight.testing.cloud import Cloud

PAGE = "https://app.example"
RULE = {
    "AllowedOrigins": [PAGE, "https://*.example.org"],
    "AllowedMethods": ["GET", "PUT"],
    "AllowedHeaders": ["x-amz-*"],
    "ExposeHeaders": ["ETag"],
    "MaxAgeSeconds": 300,
}


@pytest.fixture
def bucket(sqlite_only_cloud: Cloud) -> str:
    s3 = sqlite_only_cloud.client("s3")
    s3.create_bucket(Bucket="pictures")
    s3.put_object(Bucket="pictures", Key="cat", Body=b"meow")
    return "pictures"


def allow(cloud: Cloud, bucket: str, *rules: Mapping[str, Any]) -> None:
    cloud.client("s3").put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules or [RULE]})


def send(
    cloud: Cloud, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(cloud.endpoint).netloc, timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=names)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def test_preflight_is_answered_by_the_rule_that_fits(sqlite_only_cloud: Cloud, bucket: str) -> None:
    allow(sqlite_only_cloud, bucket)
    status, headers, _ = send(
        sqlite_only_cloud, "OPTIONS", "/pictures/cat", Origin=PAGE, Access_Control_Request_Method="PUT",
        Access_Control_Request_Headers="X-Amz-Date, x-amz-content-sha256", Sec_Fetch_Site="cross-site",
    )  # fmt: skip
    assert status == 200
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-allow-methods"] == "GET, PUT"
    assert headers["access-control-allow-headers"] == "x-amz-date, x-amz-content-sha256"
    assert headers["access-control-max-age"] == "300"
    assert headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example", "Access_Control_Request_Method": "GET"},
        {"Origin": PAGE, "Access_Control_Request_Method": "DELETE"},
        {"Origin": PAGE, "Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "authorization"},
    ],
)
def test_preflight_that_no_rule_allows_is_forbidden(
    sqlite_only_cloud: Cloud, bucket: str, headers: dict[str, str]
) -> None:
    allow(sqlite_only_cloud, bucket)
    status, answered, text = send(sqlite_only_cloud, "OPTIONS", "/pictures/cat", **headers)
    assert status == 403
    assert "<Code>AccessForbidden</Code>" in text
    assert "<ResourceType>OBJECT</ResourceType>" in text
    assert "access-control-allow-origin" not in answered


def test_preflight_says_that_nothing_is_configured(sqlite_only_cloud: Cloud, bucket: str) -> None:
    asked = {"Origin": PAGE, "Access_Control_Request_Method": "GET"}
    assert "CORS is not enabled for this bucket." in send(sqlite_only_cloud, "OPTIONS", "/pictures/", **asked)[2]
    assert "Bucket not found" in send(sqlite_only_cloud, "OPTIONS", "/nowhere/", **asked)[2]
    assert send(sqlite_only_cloud, "OPTIONS", "/pictures/")[0] == 400
    status, _, text = send(sqlite_only_cloud, "OPTIONS", "/pictures/", Origin=PAGE)
    assert (status, "Invalid Access-Control-Request-Method: null" in text) == (400, True)


def test_page_reads_and_writes_by_presigned_urls(sqlite_only_cloud: Cloud, bucket: str) -> None:
    allow(sqlite_only_cloud, bucket)
    s3 = sqlite_only_cloud.client("s3")
    for method, operation, body in (("PUT", "put_object", b"purr"), ("GET", "get_object", None)):
        url = s3.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "cat"})
        path = url.removeprefix(sqlite_only_cloud.endpoint)
        status, headers, _ = send(
            sqlite_only_cloud, method, path, body, Origin="https://www.example.org", Sec_Fetch_Site="cross-site"
        )
        assert status == 200
        assert headers["access-control-allow-origin"] == "https://www.example.org"
        assert headers["access-control-expose-headers"] == "ETag"
    assert s3.get_object(Bucket=bucket, Key="cat")["Body"].read() == b"purr"


def test_errors_can_be_read_by_the_page(sqlite_only_cloud: Cloud, bucket: str) -> None:
    allow(sqlite_only_cloud, bucket, {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]})
    status, headers, text = send(sqlite_only_cloud, "GET", "/pictures/cat", Origin=PAGE)
    assert (status, headers["access-control-allow-origin"]) == (403, "*")
    assert "AccessDenied" in text
    assert "access-control-allow-credentials" not in headers


def test_page_that_no_rule_names_is_refused(sqlite_only_cloud: Cloud, bucket: str) -> None:
    allow(sqlite_only_cloud, bucket)
    s3 = sqlite_only_cloud.client("s3")
    s3.delete_public_access_block(Bucket=bucket)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::pictures/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    for headers in ({"Origin": "https://elsewhere.example"}, {"Host": "rebound.example", "Origin": PAGE}):
        assert send(sqlite_only_cloud, "PUT", "/pictures/cat", b"x", **headers)[0] == 403
    assert s3.get_object(Bucket=bucket, Key="cat")["Body"].read() == b"meow"


def test_read_of_another_origin_lacks_the_headers(sqlite_only_cloud: Cloud, bucket: str) -> None:
    allow(sqlite_only_cloud, bucket)
    url = sqlite_only_cloud.client("s3").generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "cat"})
    path = url.removeprefix(sqlite_only_cloud.endpoint)
    status, headers, text = send(sqlite_only_cloud, "GET", path, Origin="https://elsewhere.example")
    assert (status, text) == (200, "meow")
    assert "access-control-allow-origin" not in headers
    browser = {"Origin": "https://elsewhere.example", "Sec_Fetch_Site": "cross-site"}
    assert send(sqlite_only_cloud, "GET", path, **browser)[0] == 403
