"""What a bucket is set to: versioning, tags, encryption, ownership, public access, ACL, and what is only kept.

Request payment and transfer acceleration are stored: whom AWS bills, and by which road bytes enter its
network, has no meaning here. Of configurations that cannot be put yet, the reads answer that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import acls, errors, store, tags
from pilotlight.services.s3.access import Shared

Params = Mapping[str, Any]

OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
DEFAULT_ENCRYPTION: Mapping[str, Any] = {
    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
}


class Configuration:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def _setting(self, caller: Caller, request: Params, kind: str) -> tuple[store.Bucket, Any]:
        bucket = await self._shared.bucket(caller, request)
        return bucket, bucket.settings.get(kind)

    async def _set(self, caller: Caller, request: Params, kind: str, value: object | None) -> None:
        bucket = await self._shared.bucket(caller, request)
        await self._shared.database.write(store.change_bucket, bucket, kind, value)

    # Versioning.

    async def get_bucket_versioning(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        return {"Status": bucket.versioning} if bucket.versioning else {}

    async def put_bucket_versioning(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        given = request["VersioningConfiguration"]
        if request.get("MFA") or given.get("MFADelete") == "Enabled":
            raise NotImplementedHere("PutBucketVersioning with MFA delete")
        status = given.get("Status")
        if status is None:
            message = "The Versioning element must be specified"
            raise AwsError("IllegalVersioningConfigurationException", message)
        if status not in ("Enabled", "Suspended"):
            raise errors.malformed_xml()
        if status == "Suspended" and bucket.settings.get("object_lock"):
            message = (
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
            )
            raise AwsError("InvalidBucketState", message, status=409)
        await self._shared.database.write(store.change_bucket, bucket, "", None, versioning=status)

    # Tags.

    async def get_bucket_tagging(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket, found = await self._setting(caller, request, "tags")
        if not found:
            raise errors.missing_configuration("NoSuchTagSet", "The TagSet does not exist", bucket.name)
        return {"TagSet": tags.as_set(found)}

    async def put_bucket_tagging(self, caller: Caller, request: Params) -> None:
        await self._set(
            caller, request, "tags", tags.read_set(request["Tagging"]["TagSet"], limit=tags.BUCKET_TAGS_MAX)
        )

    async def delete_bucket_tagging(self, caller: Caller, request: Params) -> None:
        await self._set(caller, request, "tags", None)

    # Encryption.

    async def get_bucket_encryption(self, caller: Caller, request: Params) -> dict[str, Any]:
        _, found = await self._setting(caller, request, "encryption")
        return {"ServerSideEncryptionConfiguration": found or DEFAULT_ENCRYPTION}

    async def put_bucket_encryption(self, caller: Caller, request: Params) -> None:
        given = request["ServerSideEncryptionConfiguration"]
        rules = given.get("Rules", ())
        if len(rules) != 1:
            raise errors.malformed_xml()
        default = rules[0].get("ApplyServerSideEncryptionByDefault", {})
        algorithm = default.get("SSEAlgorithm", "AES256")
        if algorithm != "AES256":
            raise NotImplementedHere(f"PutBucketEncryption with {algorithm}")
        if default.get("KMSMasterKeyID"):
            raise errors.invalid_argument(
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
                "ApplyServerSideEncryptionByDefault",
                algorithm,
            )
        if rules[0].get("BlockedEncryptionTypes"):
            raise NotImplementedHere("PutBucketEncryption with BlockedEncryptionTypes")
        rule = {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm},
            "BucketKeyEnabled": bool(rules[0].get("BucketKeyEnabled", False)),
        }
        await self._set(caller, request, "encryption", {"Rules": [rule]})

    async def delete_bucket_encryption(self, caller: Caller, request: Params) -> None:
        await self._set(caller, request, "encryption", None)

    # Public access and ownership.

    async def get_public_access_block(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket, found = await self._setting(caller, request, "public_access_block")
        if found is None:
            message = "The public access block configuration was not found"
            raise errors.missing_configuration("NoSuchPublicAccessBlockConfiguration", message, bucket.name)
        return {"PublicAccessBlockConfiguration": found}

    async def put_public_access_block(self, caller: Caller, request: Params) -> None:
        given = request["PublicAccessBlockConfiguration"]
        flags = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        await self._set(caller, request, "public_access_block", {flag: bool(given.get(flag, False)) for flag in flags})

    async def delete_public_access_block(self, caller: Caller, request: Params) -> None:
        await self._set(caller, request, "public_access_block", None)

    async def get_bucket_ownership_controls(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket, found = await self._setting(caller, request, "ownership")
        if found is None:
            message = "The bucket ownership controls were not found"
            raise errors.missing_configuration("OwnershipControlsNotFoundError", message, bucket.name)
        return {"OwnershipControls": found}

    async def put_bucket_ownership_controls(self, caller: Caller, request: Params) -> None:
        rules = request["OwnershipControls"]["Rules"]
        if len(rules) != 1 or rules[0]["ObjectOwnership"] not in OWNERSHIPS:
            raise errors.malformed_xml()
        bucket = await self._shared.bucket(caller, request)
        if rules[0]["ObjectOwnership"] == "BucketOwnerEnforced" and bucket.settings.get("acl"):
            message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
            raise AwsError("InvalidBucketAclWithObjectOwnership", message)
        await self._set(caller, request, "ownership", {"Rules": [{"ObjectOwnership": rules[0]["ObjectOwnership"]}]})

    async def delete_bucket_ownership_controls(self, caller: Caller, request: Params) -> None:
        await self._set(caller, request, "ownership", None)

    async def get_bucket_acl(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        return acls.shown(bucket, bucket.settings.get("acl"))

    async def put_bucket_acl(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        if acls.ownership(bucket) == "BucketOwnerEnforced":
            # AWS: here not even `private` is taken.
            raise errors.acl_not_supported()
        if not acls.asked(request):
            raise errors.missing_acl()
        await self._shared.database.write(store.change_bucket, bucket, "acl", acls.read(bucket, request))

    # Stored, and inert.

    async def get_bucket_request_payment(self, caller: Caller, request: Params) -> dict[str, Any]:
        _, found = await self._setting(caller, request, "request_payment")
        return {"Payer": found or "BucketOwner"}

    async def put_bucket_request_payment(self, caller: Caller, request: Params) -> None:
        payer = request["RequestPaymentConfiguration"]["Payer"]
        if payer not in ("BucketOwner", "Requester"):
            raise errors.malformed_xml()
        await self._set(caller, request, "request_payment", payer)

    async def get_bucket_accelerate_configuration(self, caller: Caller, request: Params) -> dict[str, Any]:
        _, found = await self._setting(caller, request, "accelerate")
        return {"Status": found} if found else {}

    async def put_bucket_accelerate_configuration(self, caller: Caller, request: Params) -> None:
        status = request["AccelerateConfiguration"].get("Status")
        if status not in ("Enabled", "Suspended"):
            raise errors.malformed_xml()
        if "." in request["Bucket"]:
            message = "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"
            raise errors.invalid_request(message)
        await self._set(caller, request, "accelerate", status)

    # Not to be had yet: what reads answer where nothing was put.

    async def get_bucket_replication(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        message = "The replication configuration was not found"
        raise errors.missing_configuration("ReplicationConfigurationNotFoundError", message, bucket.name)

    async def get_bucket_logging(self, caller: Caller, request: Params) -> dict[str, Any]:
        _, found = await self._setting(caller, request, "logging")
        return {"LoggingEnabled": found} if found else {}

    async def put_bucket_logging(self, caller: Caller, request: Params) -> None:
        """Kept, and inert: nothing is logged."""
        enabled = request["BucketLoggingStatus"].get("LoggingEnabled")
        if enabled is None:
            await self._set(caller, request, "logging", None)
            return
        if enabled.get("TargetGrants"):
            raise NotImplementedHere("PutBucketLogging with TargetGrants")
        bucket = await self._shared.bucket(caller, request)
        target = await self._shared.database.read(store.find_bucket, enabled["TargetBucket"])
        if target is None:
            message = "The target bucket for logging does not exist"
        elif target.account != bucket.account:
            message = "The owner for the bucket to be logged and the target bucket must be the same."
        elif target.region != bucket.region:
            message = "The target bucket for logging is not in the same location as the bucket to be logged"
        else:
            await self._set(caller, request, "logging", dict(enabled))
            return
        members = {"TargetBucket": enabled["TargetBucket"]}
        raise AwsError("InvalidTargetBucketForLogging", message, members=members)

    async def list_bucket_inventory_configurations(self, caller: Caller, request: Params) -> dict[str, Any]:
        await self._shared.bucket(caller, request)
        return {"IsTruncated": False}

    async def list_bucket_metrics_configurations(self, caller: Caller, request: Params) -> dict[str, Any]:
        await self._shared.bucket(caller, request)
        return {"IsTruncated": False}

    async def list_bucket_analytics_configurations(self, caller: Caller, request: Params) -> dict[str, Any]:
        await self._shared.bucket(caller, request)
        return {"IsTruncated": False}

    async def list_bucket_intelligent_tiering_configurations(self, caller: Caller, request: Params) -> dict[str, Any]:
        await self._shared.bucket(caller, request)
        return {"IsTruncated": False}
