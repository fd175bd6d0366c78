"""Where a function's or layer's zip comes from: the request itself, or a bucket."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.names import invalid, user_error
from pilotlight.services.awslambda.surroundings import BadPackage, StoredPackage, Surroundings
from pilotlight.storage import Transaction

ZIPPED_BYTES_MAX = 50 * 1024 * 1024
UNZIPPED_BYTES_MAX = 250 * 1024 * 1024
STORED_BYTES_MAX = 75 * 1024**3
"""AWS: of all versions and layers of an account in a region."""
SOURCE_MEMBERS_REFUSED = ("SourceKMSKeyArn",)


async def fetch(parts: Surroundings, caller: Caller, operation: str, source: Mapping[str, Any]) -> bytes:
    """The zip that `source` (FunctionCode, LayerVersionContentInput) names."""
    if source.get("ImageUri"):
        raise invalid("Please don't provide ImageUri where a zip is wanted.")
    for member in SOURCE_MEMBERS_REFUSED:
        if source.get(member):
            raise NotImplementedHere(f"{operation} with {member}")
    if source.get("S3ObjectStorageMode", "COPY") != "COPY":
        raise NotImplementedHere(f"{operation} with S3ObjectStorageMode {source['S3ObjectStorageMode']}")
    if source.get("S3Bucket") and "ZipFile" in source:
        raise invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
    if "ZipFile" in source:
        data = bytes(source["ZipFile"])
        if not data:
            raise invalid("Uploaded file must be a non-empty zip")
        if len(data) > ZIPPED_BYTES_MAX:
            raise _too_large(operation)
        return data
    if not source.get("S3Bucket") or not source.get("S3Key"):
        raise invalid("Please provide a source for function code.")
    return await _from_bucket(parts, caller, source)


async def _from_bucket(parts: Surroundings, caller: Caller, source: Mapping[str, Any]) -> bytes:
    """AWS: Lambda reads the object with the permissions of whoever deploys."""
    wanted = {"Bucket": source["S3Bucket"], "Key": source["S3Key"]}
    if source.get("S3ObjectVersion"):
        wanted["VersionId"] = source["S3ObjectVersion"]
    try:
        answer = await parts.cloud.call("s3", "GetObject", wanted, caller)
    except AwsError as error:
        if error.code in ("AccessDenied", "AccessDeniedException"):
            raise AwsError(
                "AccessDeniedException",
                f"Your access has been denied by S3, please make sure your request credentials have permission to "
                f"GetObject for {source['S3Bucket']}/{source['S3Key']}. S3 Error Code: AccessDenied. "
                f"S3 Error Message: {error.message}",
                status=403,
            ) from None
        raise invalid(
            f"Error occurred while GetObject. S3 Error Code: {error.code}. S3 Error Message: {error.message}"
        ) from None
    body = answer["Body"]
    if isinstance(body, bytes):
        return body
    chunks, size = [], 0
    async for chunk in body:
        size += len(chunk)
        if size > UNZIPPED_BYTES_MAX:
            raise invalid(f"Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(operation: str) -> AwsError:
    # AWS: 50 MB of zip are 70167211 bytes of request, since the JSON holds it in base64.
    return user_error(
        "RequestEntityTooLargeException",
        f"Request must be smaller than 70167211 bytes for the {operation} operation",
        status=413,
    )


async def keep(parts: Surroundings, data: bytes, *, others_bytes: int = 0) -> StoredPackage:
    """Store a zip. `others_bytes` is what the layers beside it take up when unpacked."""
    try:
        package = await parts.packages.put(data)
    except BadPackage:
        raise invalid("Could not unzip uploaded file. Please check your file, then try to upload again.") from None
    check_unzipped(package.unzipped_bytes + others_bytes, layers=others_bytes > 0)
    return package


def check_unzipped(total_bytes: int, *, layers: bool) -> None:
    if total_bytes <= UNZIPPED_BYTES_MAX:
        return
    if layers:
        raise invalid(
            f"Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_BYTES_MAX} bytes. "
            f"The actual size is {total_bytes} bytes."
        )
    raise invalid(f"Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes")


def check_storage(tx: Transaction, account: str, region: str, added_bytes: int) -> None:
    if store.code_bytes(tx, account, region) + added_bytes > STORED_BYTES_MAX:
        raise user_error("CodeStorageExceededException", "Code storage limit exceeded.")


def code_members(package: StoredPackage) -> dict[str, Any]:
    return {
        "CodeSha256": package.sha256,
        "CodeSize": package.zipped_bytes,
        "_package": package.key,
        "_unzipped": package.unzipped_bytes,
    }


def sha256_base64(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
