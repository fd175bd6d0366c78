"""Archived objects and their restores."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

NAMED = {"Bucket": "cellar", "Key": "k"}


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(Bucket="cellar")
    client.put_object(**NAMED, Body=b"wine", StorageClass="GLACIER")
    return client


def test_restored_object_is_read_until_its_date(sqlite_only_cloud: Cloud, s3: Any) -> None:
    begun = s3.restore_object(**NAMED, RestoreRequest={"Days": 2, "GlacierJobParameters": {"Tier": "Expedited"}})
    assert begun["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert s3.head_object(**NAMED)["Restore"] == 'ongoing-request="true"'
    with pytest.raises(ClientError, match="InvalidObjectState"):
        s3.get_object(**NAMED)
    with pytest.raises(ClientError, match="RestoreAlreadyInProgress"):
        s3.restore_object(**NAMED, RestoreRequest={"Days": 2})
    sqlite_only_cloud.clock.advance(minutes=6)
    assert s3.get_object(**NAMED)["Body"].read() == b"wine"
    assert s3.head_object(**NAMED)["Restore"].startswith('ongoing-request="false", expiry-date="')
    lengthened = s3.restore_object(**NAMED, RestoreRequest={"Days": 9})
    assert lengthened["ResponseMetadata"]["HTTPStatusCode"] == 200
    sqlite_only_cloud.clock.advance(days=8)
    assert s3.get_object(**NAMED)["Body"].read() == b"wine"
    sqlite_only_cloud.clock.advance(days=3)
    assert "Restore" not in s3.head_object(**NAMED)
    with pytest.raises(ClientError, match="InvalidObjectState"):
        s3.copy_object(Bucket="cellar", Key="copy", CopySource="cellar/k")


def test_restores_that_make_no_sense_are_refused(s3: Any) -> None:
    s3.put_object(Bucket="cellar", Key="warm")
    with pytest.raises(ClientError, match="InvalidObjectState"):
        s3.restore_object(Bucket="cellar", Key="warm", RestoreRequest={"Days": 1})
    for given in ({}, {"Days": 0}):
        with pytest.raises(ClientError, match="MalformedXML"):
            s3.restore_object(**NAMED, RestoreRequest=given)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.restore_object(Bucket="cellar", Key="nothing", RestoreRequest={"Days": 1})
