"""Objects under their customer's own keys."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from pilotlight.testing.cloud import Cloud

NAMED = {"Bucket": "secrets", "Key": "k"}
KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef" * 2}
OTHER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "fedcba9876543210" * 2}


@pytest.fixture
def s3(sqlite_only_cloud: Cloud) -> Any:
    client = sqlite_only_cloud.client("s3")
    client.create_bucket(Bucket="secrets")
    return client


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_object_is_read_with_its_key_and_no_other(s3: Any) -> None:
    put = s3.put_object(**NAMED, **KEY, Body=b"hush")
    assert (put["SSECustomerAlgorithm"], "ServerSideEncryption" in put) == ("AES256", False)
    got = s3.get_object(**NAMED, **KEY)
    assert (got["Body"].read(), got["SSECustomerKeyMD5"]) == (b"hush", put["SSECustomerKeyMD5"])
    for given, expected in (({}, "InvalidRequest"), (OTHER, "AccessDenied")):
        with pytest.raises(ClientError) as error:
            s3.get_object(**NAMED, **given)
        assert code(error) == expected
    with pytest.raises(ClientError) as error:
        s3.head_object(**NAMED)
    assert code(error) == "400"
    s3.put_object(**NAMED, Body=b"plain")
    with pytest.raises(ClientError, match="not applicable"):
        s3.get_object(**NAMED, **KEY)


def test_copy_has_a_key_for_its_source_and_one_of_its_own(s3: Any) -> None:
    s3.put_object(**NAMED, **KEY, Body=b"hush")
    source = {f"CopySource{name}": value for name, value in KEY.items()}
    target = {"Bucket": "secrets", "Key": "copy", "CopySource": "secrets/k"}
    with pytest.raises(ClientError, match="InvalidRequest"):
        s3.copy_object(**target)
    s3.copy_object(**target, **source, **OTHER)
    assert s3.get_object(Bucket="secrets", Key="copy", **OTHER)["Body"].read() == b"hush"
    s3.copy_object(**target, **source)
    assert s3.get_object(Bucket="secrets", Key="copy")["ServerSideEncryption"] == "AES256"


def test_parts_bring_their_uploads_key(s3: Any) -> None:
    upload = {**NAMED, "UploadId": s3.create_multipart_upload(**NAMED, **KEY)["UploadId"]}
    for given in ({}, OTHER):
        with pytest.raises(ClientError, match="InvalidRequest"):
            s3.upload_part(**upload, PartNumber=1, Body=b"1", **given)
    part = s3.upload_part(**upload, PartNumber=1, Body=b"1", **KEY)
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert s3.get_object(**NAMED, **KEY)["Body"].read() == b"1"
    plain = s3.create_multipart_upload(**NAMED)["UploadId"]
    with pytest.raises(ClientError, match="did not request encryption"):
        s3.upload_part(**NAMED, UploadId=plain, PartNumber=1, Body=b"1", **KEY)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({**KEY, "SSECustomerKey": "short"}, "InvalidArgument"),
        ({**KEY, "SSECustomerKeyMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument"),
        ({**KEY, "SSECustomerAlgorithm": "DES"}, "InvalidEncryptionAlgorithmError"),
        ({"SSECustomerAlgorithm": "AES256"}, "InvalidArgument"),
        ({"SSECustomerKey": KEY["SSECustomerKey"]}, "InvalidArgument"),
        ({**KEY, "ServerSideEncryption": "AES256"}, "InvalidArgument"),
    ],
)
def test_keys_that_make_no_sense_are_refused(s3: Any, given: dict[str, str], expected: str) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(**NAMED, Body=b"x", **given)
    assert code(error) == expected


def test_refusal_before_the_body_leaves_the_client_usable(s3: Any) -> None:
    for _ in range(3):
        with pytest.raises(ClientError, match="NoSuchUpload"):
            s3.upload_part(**NAMED, UploadId="nothing", PartNumber=1, Body=b"x" * 100_000)
        s3.put_object(**NAMED, Body=b"y" * 100_000)
