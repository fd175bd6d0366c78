"""AWS::S3::Bucket and AWS::S3::BucketPolicy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pilotlight.deploy.resources import s3_settings
from pilotlight.deploy.resources.base import Context, Made, Properties, boolean, ignore_missing
from pilotlight.errors import AwsError


@dataclass(frozen=True, slots=True)
class Setting:
    """A property that is one operation of S3 to put, and one to delete."""

    put: str
    member: str
    change: Callable[[Any], dict[str, Any]]
    delete: str = ""


SETTINGS = {
    "LifecycleConfiguration": Setting(
        "PutBucketLifecycleConfiguration", "LifecycleConfiguration", s3_settings.lifecycle, "DeleteBucketLifecycle"
    ),
    "WebsiteConfiguration": Setting(
        "PutBucketWebsite", "WebsiteConfiguration", s3_settings.website, "DeleteBucketWebsite"
    ),
    "ObjectLockConfiguration": Setting(
        "PutObjectLockConfiguration", "ObjectLockConfiguration", s3_settings.object_lock
    ),
}


class Bucket:
    type = "AWS::S3::Bucket"
    properties = frozenset(
        {
            "BucketName",
            "BucketEncryption",
            "NotificationConfiguration",
            "VersioningConfiguration",
            "Tags",
            "CorsConfiguration",
            "PublicAccessBlockConfiguration",
            "OwnershipControls",
            "LifecycleConfiguration",
            "WebsiteConfiguration",
            "ObjectLockEnabled",
            "ObjectLockConfiguration",
        }
    )
    replaced_by = frozenset({"BucketName", "ObjectLockEnabled"})

    async def find(self, at: Context, properties: Properties) -> str:
        # AWS: in us-east-1 CreateBucket succeeds for one's own bucket, but CloudFormation does not take it over.
        name = self._name(at, properties)
        try:
            await at.call("s3", "HeadBucket", Bucket=name)
        except AwsError as error:
            if error.code in ("404", "NotFound", "NoSuchBucket"):
                return ""
            if error.code in ("403", "Forbidden", "AccessDenied", "301", "PermanentRedirect"):
                return name
            raise
        return name

    @staticmethod
    def _name(at: Context, properties: Properties) -> str:
        return str(properties.get("BucketName") or at.name(maximum=63, lower=True))

    async def create(self, at: Context, properties: Properties) -> Made:
        name = self._name(at, properties)
        params: dict[str, Any] = {"Bucket": name}
        if at.caller.region != "us-east-1":
            params["CreateBucketConfiguration"] = {"LocationConstraint": at.caller.region}
        if boolean(properties.get("ObjectLockEnabled", False)):
            params["ObjectLockEnabledForBucket"] = True
        try:
            await at.call("s3", "CreateBucket", **params)
        except AwsError as error:
            if not (at.again and error.code == "BucketAlreadyOwnedByYou"):
                raise
        await at.made(name)
        await self._configure(at, name, {}, properties)
        return _made(name, at)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await self._configure(at, made.physical_id, old, new)
        return _made(made.physical_id, at)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "s3", "DeleteBucket", "NoSuchBucket", Bucket=physical_id)

    async def _configure(self, at: Context, name: str, old: Properties, new: Properties) -> None:
        def changed(key: str) -> bool:
            return bool(old.get(key) != new.get(key))

        if changed("BucketEncryption") and "BucketEncryption" in new:
            rules = [
                {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
                for rule in new["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            ]
            await at.call("s3", "PutBucketEncryption", Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})
        if changed("VersioningConfiguration") and "VersioningConfiguration" in new:
            status = {"Status": new["VersioningConfiguration"]["Status"]}
            await at.call("s3", "PutBucketVersioning", Bucket=name, VersioningConfiguration=status)
        if changed("OwnershipControls") and "OwnershipControls" in new:
            await at.call("s3", "PutBucketOwnershipControls", Bucket=name, OwnershipControls=new["OwnershipControls"])
        if changed("PublicAccessBlockConfiguration") and "PublicAccessBlockConfiguration" in new:
            block = {key: boolean(value) for key, value in new["PublicAccessBlockConfiguration"].items()}
            await at.call("s3", "PutPublicAccessBlock", Bucket=name, PublicAccessBlockConfiguration=block)
        tags = at.tag_list(new.get("Tags"))
        if tags and (changed("Tags") or not old):
            await at.call("s3", "PutBucketTagging", Bucket=name, Tagging={"TagSet": tags})
        for key in SETTINGS:
            if changed(key):
                await self._set(at, name, key, new.get(key))
        if changed("CorsConfiguration"):
            await self._cors(at, name, new.get("CorsConfiguration"))
        if changed("NotificationConfiguration"):
            await at.call(
                "s3",
                "PutBucketNotificationConfiguration",
                Bucket=name,
                NotificationConfiguration=_notifications(new.get("NotificationConfiguration", {})),
            )

    async def _set(self, at: Context, name: str, key: str, value: Any) -> None:
        setting = SETTINGS[key]
        if value:
            await at.call("s3", setting.put, Bucket=name, **{setting.member: setting.change(value)})
        elif setting.delete:
            await at.call("s3", setting.delete, Bucket=name)

    async def _cors(self, at: Context, name: str, cors: Any) -> None:
        if not cors:
            await at.call("s3", "DeleteBucketCors", Bucket=name)
            return
        names = {"MaxAge": "MaxAgeSeconds", "Id": "ID", "ExposedHeaders": "ExposeHeaders"}
        rules = [{names.get(key, key): value for key, value in rule.items()} for rule in cors["CorsRules"]]
        await at.call("s3", "PutBucketCors", Bucket=name, CORSConfiguration={"CORSRules": rules})


def _notifications(given: Any) -> dict[str, Any]:
    """CloudFormation has one event and `S3Key`; the service has several, and `Key`."""
    kinds = {
        "LambdaConfigurations": ("LambdaFunctionConfigurations", "Function", "LambdaFunctionArn"),
        "QueueConfigurations": ("QueueConfigurations", "Queue", "QueueArn"),
        "TopicConfigurations": ("TopicConfigurations", "Topic", "TopicArn"),
    }
    result: dict[str, Any] = {}
    for key, (target, source_name, target_name) in kinds.items():
        if not given.get(key):
            continue
        result[target] = [
            {
                target_name: one[source_name],
                "Events": [one["Event"]],
                **({"Filter": {"Key": {"FilterRules": one["Filter"]["S3Key"]["Rules"]}}} if "Filter" in one else {}),
            }
            for one in given[key]
        ]
    if "EventBridgeConfiguration" in given:
        result["EventBridgeConfiguration"] = {}
    return result


def _made(name: str, at: Context) -> Made:
    region = at.caller.region
    return Made(
        name,
        {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{region}.amazonaws.com",
        },
    )


class BucketPolicy:
    type = "AWS::S3::BucketPolicy"
    properties = frozenset({"Bucket", "PolicyDocument"})
    replaced_by = frozenset({"Bucket"})

    async def create(self, at: Context, properties: Properties) -> Made:
        await self._put(at, properties)
        return Made(at.name())

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await self._put(at, new)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(
            at, "s3", "DeleteBucketPolicy", "NoSuchBucket", "NoSuchBucketPolicy", Bucket=properties["Bucket"]
        )

    async def _put(self, at: Context, properties: Properties) -> None:
        document = properties["PolicyDocument"]
        policy = document if isinstance(document, str) else json.dumps(_plain(document))
        await at.call("s3", "PutBucketPolicy", Bucket=properties["Bucket"], Policy=policy)


def _plain(value: Any) -> Any:
    """Conditions hold text: `false` is written as "false"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


TYPES = (Bucket(), BucketPolicy())
