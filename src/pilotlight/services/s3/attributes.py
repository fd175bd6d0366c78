"""What is known of an object beside its bytes: read from a write's parameters, shown in a read's answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.s3 import customer_keys, errors, names
from pilotlight.services.s3.conditions import http_date, seconds_of
from pilotlight.services.s3.store import Bucket, ObjectVersion

HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
)
DEFAULT_TYPE = "binary/octet-stream"
STORAGE_CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
)
ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")


def of_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """`headers` and `metadata` of a write. Raises MetadataTooLarge."""
    headers = {name: request[name] for name in HEADERS if request.get(name) not in (None, "")}
    if "Expires" in headers:
        headers["Expires"] = _http_text(headers["Expires"])
    encodings = [part.strip() for part in headers.get("ContentEncoding", "").split(",")]
    kept = [part for part in encodings if part and part != "aws-chunked"]
    # AWS: `aws-chunked` is how the body travelled, and is not kept.
    headers = {**headers, "ContentEncoding": ",".join(kept)} if kept else _without(headers, "ContentEncoding")
    headers.setdefault("ContentType", DEFAULT_TYPE)
    metadata = {name.lower(): value for name, value in request.get("Metadata", {}).items()}
    names.check_metadata(metadata)
    redirect = headers.get("WebsiteRedirectLocation")
    if redirect and not redirect.startswith(("/", "http://", "https://")):
        message = "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."
        raise AwsError("InvalidRedirectLocation", message)
    return {"headers": headers, "metadata": metadata}


def _http_text(value: Any) -> Any:
    """Times as headers have them; everything else as it is."""
    return http_date(int(value.timestamp() * 1000)) if isinstance(value, datetime) else value


def _without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


def storage_class(request: Mapping[str, Any]) -> str:
    given = request.get("StorageClass") or "STANDARD"
    if given not in STORAGE_CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid",
                       members={"StorageClassRequested": given})  # fmt: skip
    return str(given)


def checksum_members(attributes: Mapping[str, Any]) -> dict[str, str]:
    """`ChecksumCRC32` … and `ChecksumType`."""
    values = attributes.get("checksums", {})
    members = {f"Checksum{name}": value for name, value in values.items()}
    return members | {"ChecksumType": attributes.get("checksum_type", "FULL_OBJECT")} if values else members


def version_member(bucket: Bucket, version: ObjectVersion) -> dict[str, str]:
    """AWS: without versioning, nobody speaks of versions."""
    return {"VersionId": version.version_id} if bucket.versioning else {}


def described(bucket: Bucket, version: ObjectVersion, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of GetObject and HeadObject, but for the length and the body."""
    answer: dict[str, Any] = {
        **version.attributes.get("headers", {}),
        "AcceptRanges": "bytes",
        "LastModified": seconds_of(version.modified_ms),
        "ETag": f'"{version.etag}"',
        "Metadata": dict(version.attributes.get("metadata", {})),
        **customer_keys.members_of(version.attributes),
        **version_member(bucket, version),
    }
    if version.storage_class != "STANDARD":
        answer["StorageClass"] = version.storage_class
    if version.tags:
        answer["TagCount"] = len(version.tags)
    for name in HEADERS[:-1]:
        override = request.get(f"Response{name}")
        if override is not None:
            answer[name] = _http_text(override)
    return answer


def restored(version: ObjectVersion, now_ms: int) -> bool:
    restore = version.attributes.get("restore", {})
    return bool(restore) and restore["ready_ms"] <= now_ms < restore["expires_ms"]


def restore_member(version: ObjectVersion, now_ms: int) -> dict[str, str]:
    """`x-amz-restore`: under way, or there until a date."""
    restore = version.attributes.get("restore", {})
    if not restore or now_ms >= restore["expires_ms"] or version.storage_class not in ARCHIVED:
        return {}
    if now_ms < restore["ready_ms"]:
        return {"Restore": 'ongoing-request="true"'}
    return {"Restore": f'ongoing-request="false", expiry-date="{http_date(restore["expires_ms"])}"'}


def check_archived(version: ObjectVersion, now_ms: int) -> None:
    """Raises InvalidObjectState where the bytes would have to be restored first."""
    if version.storage_class in ARCHIVED and not restored(version, now_ms):
        message = "The operation is not valid for the object's storage class"
        raise AwsError("InvalidObjectState", message, status=403, members={"StorageClass": version.storage_class})


def check_readable(
    bucket: Bucket, version: ObjectVersion | None, *, key: str, version_id: str | None, method: str
) -> ObjectVersion:
    """The version that is to be read, or AWS's refusal: nothing there, no such version, a delete marker."""
    if version is None:
        raise errors.no_such_key(key) if version_id is None else errors.no_such_version(key, version_id)
    if not version.marker:
        return version
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": version.version_id}
    if version_id is not None:
        raise errors.method_not_allowed(method, headers)
    missing = errors.no_such_key(key)
    missing.headers.update(headers)
    raise missing
