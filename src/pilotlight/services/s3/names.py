"""Names of buckets, keys and regions: what AWS allows, and the identities made from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.services.s3 import errors

KEY_BYTES_MAX = 1024
METADATA_BYTES_MAX = 2048

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_VERSION_ID = re.compile(r"[A-Za-z0-9._-]{32}")
_REGION = re.compile(r"(af|ap|ca|cn|eu|il|me|mx|sa|us|us-gov)-[a-z]+-\d")


def check_bucket_name(name: str) -> None:
    valid = (
        _BUCKET.fullmatch(name)
        and ".." not in name
        and not _ADDRESS.fullmatch(name)
        and not name.startswith(_RESERVED_STARTS)
        and not name.endswith(_RESERVED_ENDS)
    )
    if not valid:
        raise errors.invalid_bucket_name(name)


def check_key(key: str) -> None:
    size = len(key.encode("utf-8", "surrogatepass"))
    if size > KEY_BYTES_MAX:
        raise errors.key_too_long(size)
    if "\0" in key:
        raise NotImplementedHere("keys with a NUL character")


def check_version_id(version_id: str) -> None:
    """AWS: an id that S3 cannot have made is not one that is missing."""
    if version_id != "null" and not _VERSION_ID.fullmatch(version_id):
        raise errors.invalid_argument("Invalid version id specified", "versionId", version_id)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """AWS: the sum of the bytes of all names and values, without the `x-amz-meta-`."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        raise errors.metadata_too_large(size)


def region_of(constraint: str | None, endpoint_region: str) -> str:
    """Where a bucket is made. AWS: only us-east-1's endpoint makes buckets elsewhere, and its own name is no
    valid constraint; `EU` is an old name of eu-west-1."""
    if endpoint_region == "us-east-1":
        if constraint is None:
            return endpoint_region
        region = "eu-west-1" if constraint == "EU" else constraint
        if region == "us-east-1" or not _REGION.fullmatch(region):
            raise AwsError(
                "InvalidLocationConstraint",
                "The specified location-constraint is not valid",
                members={"LocationConstraint": constraint},
            )
        return region
    if constraint != endpoint_region and not (constraint == "EU" and endpoint_region == "eu-west-1"):
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {constraint or 'unspecified'} location constraint is incompatible for the region specific "
            "endpoint this request was sent to.",
        )
    return endpoint_region


def owner_of(account: str) -> dict[str, str]:
    """An account's canonical user: 64 hex digits that nobody can choose."""
    return {"ID": sha256(f"canonical-user:{account}".encode()).hexdigest()}


def bucket_arn(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


def object_arn(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


def url_encoded(key: str) -> str:
    """As `encoding-type=url` has it, and S3's events: a space is a plus, a slash stays."""
    return quote(key, safe="/*-._ ").replace(" ", "+")


def copy_source(given: Any) -> tuple[str, str, str | None]:
    """Bucket, key and version of `x-amz-copy-source`, or of the mapping that boto3 also takes."""
    if isinstance(given, Mapping):
        return given["Bucket"], given["Key"], given.get("VersionId")
    path, _, query = str(given).partition("?")
    version = query.removeprefix("versionId=") if query.startswith("versionId=") else None
    bucket, slash, key = unquote(path).removeprefix("/").partition("/")
    if not slash or not bucket or not key:
        raise errors.invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", given
        )
    return bucket, key, version
