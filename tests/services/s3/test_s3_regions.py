"""Buckets of one region, asked from another."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from pilotlight.testing.cloud import Cloud


@pytest.fixture
def european(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3", region="eu-west-1")
    client.create_bucket(Bucket="abroad", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_object(Bucket="abroad", Key="k", Body=b"there")
    return client


def test_boto3_is_sent_on_to_the_buckets_region(sqlite_only_cloud: Cloud, european: Any) -> None:
    american = sqlite_only_cloud.client("s3")
    assert american.get_object(Bucket="abroad", Key="k")["Body"].read() == b"there"
    assert american.head_bucket(Bucket="abroad")["BucketRegion"] == "eu-west-1"
    assert american.get_bucket_location(Bucket="abroad")["LocationConstraint"] == "eu-west-1"
    assert european.head_bucket(Bucket="abroad")["BucketRegion"] == "eu-west-1"


def test_signature_for_another_region_is_redirected(sqlite_only_cloud: Cloud, european: Any) -> None:
    american = sqlite_only_cloud.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    url = american.generate_presigned_url("get_object", Params={"Bucket": "abroad", "Key": "k"})
    answer = URLLib3Session().send(AWSRequest("GET", url).prepare())
    assert answer.status_code == 301
    assert answer.headers["x-amz-bucket-region"] == "eu-west-1"
    assert b"<Code>PermanentRedirect</Code>" in answer.content
    assert b"<Endpoint>abroad.s3.eu-west-1.amazonaws.com</Endpoint>" in answer.content


def test_buckets_are_made_where_the_endpoint_says(sqlite_only_cloud: Cloud) -> None:
    european = sqlite_only_cloud.client("s3", region="eu-west-1")
    for configuration in ({}, {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}):
        with pytest.raises(ClientError, match="IllegalLocationConstraintException"):
            european.create_bucket(Bucket="nowhere", **configuration)
    american = sqlite_only_cloud.client("s3")
    american.create_bucket(Bucket="home")
    american.create_bucket(Bucket="home")
    assert american.get_bucket_location(Bucket="home")["LocationConstraint"] is None
