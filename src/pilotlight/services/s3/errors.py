"""S3's refusals, in its own words. Each is made here once, so that no two places word one differently."""

from __future__ import annotations

from collections.abc import Mapping

from pilotlight.errors import AwsError


def _error(code: str, status: int, message: str, **members: object) -> AwsError:
    return AwsError(code, message, status=status, members={name.replace("_", "-"): v for name, v in members.items()})


def no_such_bucket(bucket: str) -> AwsError:
    return _error("NoSuchBucket", 404, "The specified bucket does not exist", BucketName=bucket)


def no_such_key(key: str) -> AwsError:
    return _error("NoSuchKey", 404, "The specified key does not exist.", Key=key)


def no_such_version(key: str, version_id: str) -> AwsError:
    return _error("NoSuchVersion", 404, "The specified version does not exist.", Key=key, VersionId=version_id)


def no_such_upload(upload_id: str) -> AwsError:
    message = (
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed."
    )
    return _error("NoSuchUpload", 404, message, UploadId=upload_id)


def elsewhere(bucket: str, region: str) -> AwsError:
    """AWS: one region's endpoint sends requests for another region's buckets on; SDKs read the region's header."""
    message = (
        "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all "
        "future requests to this endpoint."
    )
    members = {"Endpoint": f"{bucket}.s3.{region}.amazonaws.com", "Bucket": bucket}
    headers = {"x-amz-bucket-region": region}
    return AwsError("PermanentRedirect", message, status=301, members=members, headers=headers)


def invalid_bucket_name(bucket: str) -> AwsError:
    return _error("InvalidBucketName", 400, "The specified bucket is not valid.", BucketName=bucket)


def bucket_exists(bucket: str) -> AwsError:
    message = (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again."
    )
    return _error("BucketAlreadyExists", 409, message, BucketName=bucket)


def bucket_owned(bucket: str) -> AwsError:
    message = "Your previous request to create the named bucket succeeded and you already own it."
    return _error("BucketAlreadyOwnedByYou", 409, message, BucketName=bucket)


def bucket_not_empty(bucket: str, *, versioned: bool) -> AwsError:
    message = "The bucket you tried to delete is not empty"
    if versioned:
        message += ". You must delete all versions in the bucket."
    return _error("BucketNotEmpty", 409, message, BucketName=bucket)


def invalid_argument(message: str, name: str, value: object) -> AwsError:
    return _error("InvalidArgument", 400, message, ArgumentName=name, ArgumentValue=str(value))


def invalid_request(message: str) -> AwsError:
    return _error("InvalidRequest", 400, message)


def malformed_xml() -> AwsError:
    message = "The XML you provided was not well-formed or did not validate against our published schema"
    return _error("MalformedXML", 400, message)


def key_too_long(size: int) -> AwsError:
    return _error("KeyTooLongError", 400, "Your key is too long", Size=str(size), MaxSizeAllowed="1024")


def access_denied() -> AwsError:
    return _error("AccessDenied", 403, "Access Denied")


def method_not_allowed(method: str, headers: Mapping[str, str]) -> AwsError:
    """AWS: what is asked of a delete marker by its version id; `ResourceType` tells which it is."""
    message = "The specified method is not allowed against this resource."
    members = {"Method": method, "ResourceType": "DeleteMarker"}
    return AwsError("MethodNotAllowed", message, status=405, members=members, headers={**headers, "allow": "DELETE"})


def precondition_failed(condition: str) -> AwsError:
    message = "At least one of the pre-conditions you specified did not hold"
    return _error("PreconditionFailed", 412, message, Condition=condition)


def not_modified(headers: Mapping[str, str]) -> AwsError:
    return AwsError("NotModified", "Not Modified", status=304, headers=headers)


def header_not_implemented(header: str, additional: str) -> AwsError:
    """S3's own refusal of conditions that a write does not take."""
    message = "A header you provided implies functionality that is not implemented"
    return _error("NotImplemented", 501, message, Header=header, additionalMessage=additional)


def invalid_range(given: str, size: int) -> AwsError:
    message = "The requested range is not satisfiable"
    return _error("InvalidRange", 416, message, RangeRequested=given, ActualObjectSize=str(size))


def invalid_part_number(number: int, count: int) -> AwsError:
    message = "The requested partnumber is not satisfiable"
    return _error("InvalidPartNumber", 416, message, PartNumberRequested=str(number), ActualPartCount=str(count))


def bad_digest(given: str, calculated: str) -> AwsError:
    message = "The Content-MD5 you specified did not match what we received."
    return _error("BadDigest", 400, message, ExpectedDigest=given, CalculatedDigest=calculated)


def bad_checksum(algorithm: str) -> AwsError:
    return _error("BadDigest", 400, f"The {algorithm} you specified did not match the calculated checksum.")


def invalid_digest(given: str) -> AwsError:
    return AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.", members={"Content-MD5": given})


def incomplete_body() -> AwsError:
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header."
    return _error("IncompleteBody", 400, message)


def entity_too_large(size: int, limit: int) -> AwsError:
    message = "Your proposed upload exceeds the maximum allowed size"
    return _error("EntityTooLarge", 400, message, ProposedSize=str(size), MaxSizeAllowed=str(limit))


def entity_too_small(size: int, number: int, etag: str, limit: int) -> AwsError:
    message = "Your proposed upload is smaller than the minimum allowed size"
    members = {"ProposedSize": str(size), "MinSizeAllowed": str(limit), "PartNumber": str(number), "ETag": etag}
    return _error("EntityTooSmall", 400, message, **members)


def invalid_part(upload_id: str, number: int, etag: str) -> AwsError:
    message = (
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
        "specified entity tag may not match the part's entity tag."
    )
    return _error("InvalidPart", 400, message, UploadId=upload_id, PartNumber=str(number), ETag=etag)


def invalid_part_order(upload_id: str) -> AwsError:
    message = "The list of parts was not in ascending order. Parts must be ordered by part number."
    return _error("InvalidPartOrder", 400, message, UploadId=upload_id)


def metadata_too_large(size: int) -> AwsError:
    message = "Your metadata headers exceed the maximum allowed metadata size"
    return _error("MetadataTooLarge", 400, message, Size=str(size), MaxSizeAllowed="2048")


def missing_acl() -> AwsError:
    message = "Your request was missing a required header"
    return _error("MissingSecurityHeader", 400, message, MissingHeaderName="x-amz-acl")


def acl_not_supported() -> AwsError:
    return _error("AccessControlListNotSupported", 400, "The bucket does not allow ACLs")


def invalid_tag(message: str, **members: object) -> AwsError:
    return _error("InvalidTag", 400, message, **members)


def missing_configuration(code: str, message: str, bucket: str) -> AwsError:
    return _error(code, 404, message, BucketName=bucket)
