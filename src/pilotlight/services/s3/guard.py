"""The permissions that S3's operations need. Most are called as their operations; these are the others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params
from pilotlight.services.s3 import acls, bucket_policies, errors, names, store
from pilotlight.services.s3.bucket_policies import is_public
from pilotlight.storage import Database

OBJECT_ACTIONS: Mapping[str, str] = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "UploadPartCopy": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
    "DeleteObject": "DeleteObject",
    "GetObjectAttributes": "GetObject",
    "GetObjectAcl": "GetObjectAcl",
    "PutObjectAcl": "PutObjectAcl",
    "GetObjectTagging": "GetObjectTagging",
    "PutObjectTagging": "PutObjectTagging",
    "DeleteObjectTagging": "DeleteObjectTagging",
    "GetObjectRetention": "GetObjectRetention",
    "PutObjectRetention": "PutObjectRetention",
    "GetObjectLegalHold": "GetObjectLegalHold",
    "PutObjectLegalHold": "PutObjectLegalHold",
    "RestoreObject": "RestoreObject",
}
VERSIONED = ("GetObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl", "GetObjectTagging", "PutObjectTagging",
             "DeleteObjectTagging")  # fmt: skip
BUCKET_ACTIONS: Mapping[str, str] = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "PutBucketAccelerateConfiguration": "PutAccelerateConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "ListBucketInventoryConfigurations": "GetInventoryConfiguration",
    "ListBucketMetricsConfigurations": "GetMetricsConfiguration",
    "ListBucketAnalyticsConfigurations": "GetAnalyticsConfiguration",
    "ListBucketIntelligentTieringConfigurations": "GetIntelligentTieringConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
}
LISTS = ("ListObjects", "ListObjectsV2", "ListObjectVersions", "ListMultipartUploads")


class S3Guard:
    """An object's ARN names no account, so the bucket's owner is filled into each access's context when its
    policy is read, which is before the access is decided."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        if operation == "ListBuckets":
            return [Access("s3:ListAllMyBuckets", "*", {})]
        bucket = params["Bucket"]
        if operation == "DeleteObjects":
            listed = params.get("Delete", {}).get("Objects", ())
            bypassed = [access for item in listed for access in _bypass(params, bucket, item)]
            return [*(_delete_access(bucket, item) for item in listed), *bypassed]
        action = OBJECT_ACTIONS.get(operation)
        if action is None:
            name = BUCKET_ACTIONS.get(operation, operation)
            return [Access(f"s3:{name}", names.bucket_arn(bucket), _bucket_context(operation, params))]
        if params.get("VersionId") and action in VERSIONED:
            action = action.replace("Object", "ObjectVersion", 1)
        own = Access(f"s3:{action}", names.object_arn(bucket, params["Key"]), _object_context(params))
        return [*_source(operation, params), own, *_further(operation, params)]

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        name = access.resource.removeprefix(names.bucket_arn("")).partition("/")[0]
        bucket = await self._database.read(store.find_bucket, name) if access.resource != "*" else None
        if bucket is None:
            if caller.kind == "anonymous" and access.resource != "*":
                # AWS: whether a bucket is there is no secret.
                raise errors.no_such_bucket(name)
            return None
        assert isinstance(access.context, dict)
        access.context["aws:ResourceAccount"] = bucket.account
        policy = _counting(bucket, caller)
        if await self._listed(bucket, access, params, caller):
            statements = json.loads(policy)["Statement"] if policy else []
            allowed = {"Effect": "Allow", "Principal": "*", "Action": access.action, "Resource": access.resource}
            listed = statements if isinstance(statements, list) else [statements]
            return json.dumps({"Version": "2012-10-17", "Statement": [*listed, allowed]})
        return policy

    async def _listed(self, bucket: store.Bucket, access: Access, params: Params, caller: Caller) -> bool:
        """Whether an ACL gives the caller this permission, beside what the policy says."""
        if acls.ownership(bucket) == "BucketOwnerEnforced":
            return False
        granted = bucket.settings.get("acl")
        if granted and acls.allows(bucket, granted, acls.BUCKET_ACTIONS, access.action, caller):
            return True
        key = access.resource.removeprefix(names.bucket_arn(bucket.name)).removeprefix("/")
        if not key or not any(access.action in covered for covered in acls.OBJECT_ACTIONS.values()):
            return False
        version = await self._database.read(store.find_version, bucket.name, key, params.get("VersionId"))
        granted = version.attributes.get("acl") if version else None
        return bool(granted) and acls.allows(bucket, granted or (), acls.OBJECT_ACTIONS, access.action, caller)


def _counting(bucket: store.Bucket, caller: Caller) -> str | None:
    """The bucket's policy. AWS: with RestrictPublicBuckets a public one counts only for the owner's account and for
    services."""
    policy = bucket.settings.get("policy")
    stranger = caller.kind == "anonymous" or caller.account != bucket.account
    restricted = bucket.settings.get("public_access_block", {}).get("RestrictPublicBuckets")
    if policy and stranger and restricted and is_public(bucket_policies.parse(policy, bucket.name)):
        return None
    return str(policy) if policy else None


def _delete_access(bucket: str, item: Mapping[str, Any]) -> Access:
    action = "s3:DeleteObjectVersion" if item.get("VersionId") else "s3:DeleteObject"
    context = {"s3:VersionId": item["VersionId"]} if item.get("VersionId") else {}
    return Access(action, names.object_arn(bucket, item["Key"]), context)


def _bypass(params: Params, bucket: str, item: Mapping[str, Any]) -> list[Access]:
    """To override governance is a permission of its own."""
    if not params.get("BypassGovernanceRetention"):
        return []
    return [Access("s3:BypassGovernanceRetention", names.object_arn(bucket, item["Key"]), {})]


def _bucket_context(operation: str, params: Params) -> dict[str, Any]:
    context: dict[str, Any] = {}
    if operation in LISTS:
        context["s3:prefix"] = params.get("Prefix", "")
        if "Delimiter" in params:
            context["s3:delimiter"] = params["Delimiter"]
        if "MaxKeys" in params:
            context["s3:max-keys"] = params["MaxKeys"]
    elif operation == "CreateBucket":
        constraint = params.get("CreateBucketConfiguration", {}).get("LocationConstraint")
        if constraint:
            context["s3:LocationConstraint"] = constraint
    return context


def _object_context(params: Params) -> dict[str, Any]:
    members = {
        "ACL": "s3:x-amz-acl",
        "ServerSideEncryption": "s3:x-amz-server-side-encryption",
        "StorageClass": "s3:x-amz-storage-class",
        "VersionId": "s3:VersionId",
        "CopySource": "s3:x-amz-copy-source",
        "MetadataDirective": "s3:x-amz-metadata-directive",
        "IfMatch": "s3:if-match",
        "IfNoneMatch": "s3:if-none-match",
    }
    return {key: params[name] for name, key in members.items() if isinstance(params.get(name), str)}


def _source(operation: str, params: Params) -> list[Access]:
    if operation not in ("CopyObject", "UploadPartCopy"):
        return []
    try:
        bucket, key, version_id = names.copy_source(params["CopySource"])
    except AwsError:  # the operation refuses it in its own words
        return []
    action = "s3:GetObjectVersion" if version_id else "s3:GetObject"
    return [Access(action, names.object_arn(bucket, key), {"s3:VersionId": version_id} if version_id else {})]


def _further(operation: str, params: Params) -> list[Access]:
    """Writes that also tag, lock or set an ACL need those permissions, too."""
    if operation in ("DeleteObject", "PutObjectRetention"):
        return _bypass(params, params["Bucket"], params)
    if operation not in ("PutObject", "CopyObject", "CreateMultipartUpload"):
        return []
    arn = names.object_arn(params["Bucket"], params["Key"])
    further = []
    if params.get("Tagging"):
        further.append(Access("s3:PutObjectTagging", arn, {}))
    if params.get("ObjectLockMode"):
        further.append(Access("s3:PutObjectRetention", arn, {}))
    if params.get("ObjectLockLegalHoldStatus"):
        further.append(Access("s3:PutObjectLegalHold", arn, {}))
    if params.get("ACL") or any(name.startswith("Grant") for name in params):
        further.append(Access("s3:PutObjectAcl", arn, _object_context(params)))
    return further
