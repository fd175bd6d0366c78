"""Buckets as websites."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

SITE = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
HOST = "site.s3-website-us-east-1.amazonaws.com"


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(Bucket="site")
    client.delete_public_access_block(Bucket="site")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::site/*", "arn:aws:s3:::site"],
    }
    client.put_bucket_policy(Bucket="site", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    for key in ("index.html", "docs/index.html", "error.html"):
        client.put_object(Bucket="site", Key=key, Body=key.encode(), ContentType="text/html")
    return client


def configure(s3: Any, **site: Any) -> None:
    s3.put_bucket_website(Bucket="site", WebsiteConfiguration=site or SITE)


def visit(cloud: Cloud, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(cloud.endpoint).netloc, timeout=30)
    connection.request(method, path, headers={"Host": HOST, "Sec-Fetch-Site": "cross-site", **headers})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def test_pages_and_folders_are_shown(sqlite_only_cloud: Cloud, s3: Any) -> None:
    configure(s3)
    for path, text in (("/", "index.html"), ("/docs/", "docs/index.html"), ("/error.html?v=1", "error.html")):
        status, headers, found = visit(sqlite_only_cloud, path)
        assert (status, found, headers["content-type"]) == (200, text, "text/html")
    status, headers, _ = visit(sqlite_only_cloud, "/docs")
    assert (status, headers["location"]) == (302, "/docs/")
    plain = {"Host": urlsplit(sqlite_only_cloud.endpoint).netloc}
    assert visit(sqlite_only_cloud, "/_aws/s3-website/site/docs/", **plain)[2] == "docs/index.html"
    etag = visit(sqlite_only_cloud, "/")[1]["etag"]
    assert visit(sqlite_only_cloud, "/", **{"If-None-Match": etag})[0] == 304
    assert visit(sqlite_only_cloud, "/", "HEAD")[::2] == (200, "")


def test_errors_are_pages(sqlite_only_cloud: Cloud, s3: Any) -> None:
    status, headers, text = visit(sqlite_only_cloud, "/")
    assert (status, headers["x-amz-error-code"]) == (404, "NoSuchWebsiteConfiguration")
    configure(s3)
    status, headers, text = visit(sqlite_only_cloud, "/nothing")
    assert (status, text, headers["x-amz-error-code"]) == (404, "error.html", "NoSuchKey")
    s3.delete_object(Bucket="site", Key="error.html")
    status, _, text = visit(sqlite_only_cloud, "/<nothing>")
    assert (status, "<h1>404 Not Found</h1>" in text, "&lt;nothing&gt;" in text) == (404, True, True)
    assert "Custom Error Document" in text
    assert visit(sqlite_only_cloud, "/", "POST")[0] == 405
    s3.delete_bucket_policy(Bucket="site")
    status, headers, _ = visit(sqlite_only_cloud, "/")
    assert (status, headers["x-amz-error-code"]) == (403, "AccessDenied")


def test_rules_redirect(sqlite_only_cloud: Cloud, s3: Any) -> None:
    rules = [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "api"},
            "Redirect": {"HostName": "api.example", "Protocol": "https", "HttpRedirectCode": "302"},
        },
    ]
    configure(s3, **SITE, RoutingRules=rules)
    assert s3.get_bucket_website(Bucket="site")["RoutingRules"] == rules
    status, headers, _ = visit(sqlite_only_cloud, "/old/a%20b")
    assert (status, headers["location"]) == (301, f"http://{HOST}/new/a%20b")
    status, headers, _ = visit(sqlite_only_cloud, "/api/x")
    assert (status, headers["location"]) == (302, "https://api.example/api/x")
    configure(s3, RedirectAllRequestsTo={"HostName": "example.org"})
    status, headers, _ = visit(sqlite_only_cloud, "/k")
    assert (status, headers["location"]) == (301, "http://example.org/k")


def test_objects_redirect(sqlite_only_cloud: Cloud, s3: Any) -> None:
    configure(s3)
    s3.put_object(Bucket="site", Key="moved", WebsiteRedirectLocation="/docs/")
    status, headers, _ = visit(sqlite_only_cloud, "/moved")
    assert (status, headers["location"]) == (301, "/docs/")


@pytest.mark.parametrize(
    ("site", "code"),
    [
        ({}, "InvalidArgument"),
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
        ({**SITE, "RedirectAllRequestsTo": {"HostName": "h"}}, "InvalidArgument"),
        ({"RedirectAllRequestsTo": {"HostName": "h", "Protocol": "ftp"}}, "InvalidRequest"),
        ({**SITE, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "200"}}]}, "InvalidRequest"),
        (
            {**SITE, "RoutingRules": [{"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}]},
            "InvalidRequest",
        ),
    ],
)
def test_sites_that_make_no_sense_are_refused(s3: Any, site: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError, match=code):
        s3.put_bucket_website(Bucket="site", WebsiteConfiguration=site)
    with pytest.raises(ClientError, match="NoSuchWebsiteConfiguration"):
        s3.get_bucket_website(Bucket="site")
