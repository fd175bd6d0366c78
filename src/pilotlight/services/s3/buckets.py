"""Buckets: made, found, listed and removed. Their names are shared by all accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.s3 import acls, errors, names, store, tags
from pilotlight.services.s3.access import Shared
from pilotlight.services.s3.listing import read_token, token_of
from pilotlight.services.s3.store import Bucket

Params = Mapping[str, Any]

BUCKETS_PAGE_MAX = 10_000
DEFAULTS: Mapping[str, Any] = {
    # AWS: since April 2023 every new bucket owns its objects and blocks public access.
    "ownership": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    "public_access_block": {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    },
}


class Buckets:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def create_bucket(self, caller: Caller, request: Params) -> dict[str, Any]:
        name = request["Bucket"]
        names.check_bucket_name(name)
        if request.get("BucketNamespace") not in (None, "global"):
            raise NotImplementedHere("CreateBucket with BucketNamespace")
        configuration = request.get("CreateBucketConfiguration", {})
        for member in ("Location", "Bucket"):
            if member in configuration:
                raise NotImplementedHere(f"CreateBucket with CreateBucketConfiguration.{member} (directory buckets)")
        region = names.region_of(configuration.get("LocationConstraint"), caller.region)
        settings = dict(DEFAULTS)
        if "ObjectOwnership" in request:
            settings["ownership"] = {"Rules": [{"ObjectOwnership": request["ObjectOwnership"]}]}
        if configuration.get("Tags"):
            settings["tags"] = tags.read_set(configuration["Tags"], limit=tags.BUCKET_TAGS_MAX)
        locked = bool(request.get("ObjectLockEnabledForBucket"))
        if locked:
            settings["object_lock"] = {"ObjectLockEnabled": "Enabled"}
        bucket = Bucket(
            versioning="Enabled" if locked else "",
            name=name,
            id=self._shared.ids.hex(32),
            account=caller.account,
            region=region,
            created_ms=self._shared.clock.now_ms(),
            settings=settings,
        )
        bucket = _with_acl(bucket, request)
        taken = await self._shared.database.write(store.add_bucket, bucket)
        if taken is not None and taken.account != caller.account:
            raise errors.bucket_exists(name)
        # AWS: in us-east-1 making one's own bucket again is no error.
        if taken is not None and not (region == caller.region == taken.region == "us-east-1"):
            raise errors.bucket_owned(name)
        location = f"/{name}" if caller.region == "us-east-1" else f"http://{name}.s3.amazonaws.com/"
        return {"Location": location, "BucketArn": names.bucket_arn(name)}

    async def head_bucket(self, caller: Caller, request: Params) -> dict[str, Any]:
        bucket = await self._shared.bucket(caller, request)
        return {"BucketRegion": bucket.region, "BucketArn": names.bucket_arn(bucket.name), "AccessPointAlias": False}

    async def list_buckets(self, caller: Caller, request: Params) -> dict[str, Any]:
        limit = request.get("MaxBuckets")
        if limit is not None and not 1 <= limit <= BUCKETS_PAGE_MAX:
            message = f"Argument MaxBuckets must be an integer between 1 and {BUCKETS_PAGE_MAX}"
            raise errors.invalid_argument(message, "max-buckets", limit)
        token = request.get("ContinuationToken")
        found = await self._shared.database.scan(
            store.list_buckets,
            account=caller.account,
            prefix=request.get("Prefix", ""),
            region=request.get("BucketRegion", ""),
            after=read_token(token) if token else "",
            limit=None if limit is None else limit + 1,
        )
        shown = found[:limit]
        paged = any(name in request for name in ("MaxBuckets", "BucketRegion", "Prefix", "ContinuationToken"))
        answer: dict[str, Any] = {
            "Buckets": [_listed(bucket, paged=paged) for bucket in shown],
            "Owner": names.owner_of(caller.account),
        }
        if len(found) > len(shown):
            answer["ContinuationToken"] = token_of(shown[-1].name)
        if "Prefix" in request:
            answer["Prefix"] = request["Prefix"]
        return answer

    async def delete_bucket(self, caller: Caller, request: Params) -> None:
        bucket = await self._shared.bucket(caller, request)
        blobs = await self._shared.database.write(store.remove_bucket, bucket)
        await self._shared.bodies.discard(blobs)

    async def get_bucket_location(self, caller: Caller, request: Params) -> dict[str, Any]:
        # AWS: us-east-1's endpoint tells where any bucket is.
        if caller.region == "us-east-1":
            bucket = await self._shared.bucket_named(request["Bucket"], request.get("ExpectedBucketOwner"))
        else:
            bucket = await self._shared.bucket(caller, request)
        # AWS: us-east-1 is the region that has no name here.
        return {} if bucket.region == "us-east-1" else {"LocationConstraint": bucket.region}


def _listed(bucket: Bucket, *, paged: bool) -> dict[str, Any]:
    item: dict[str, Any] = {
        "Name": bucket.name,
        "CreationDate": datetime.fromtimestamp(bucket.created_ms // 1000, UTC),
        "BucketArn": names.bucket_arn(bucket.name),
    }
    return item | {"BucketRegion": bucket.region} if paged else item


def _with_acl(bucket: Bucket, request: Params) -> Bucket:
    """The new bucket with the ACL that it is made with."""
    if not acls.asked(request) or request.get("ACL") == "private":
        return bucket
    if acls.ownership(bucket) == "BucketOwnerEnforced":
        message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        raise AwsError("InvalidBucketAclWithObjectOwnership", message)
    try:
        grants = acls.read(bucket, request)
    except AwsError as error:
        if error.code != "AccessDenied":
            raise
        message = "Bucket cannot have public ACLs set with BlockPublicAccess enabled"
        raise AwsError("InvalidBucketAclWithBlockPublicAccessError", message) from None
    return replace(bucket, settings={**bucket.settings, "acl": grants}) if grants is not None else bucket
