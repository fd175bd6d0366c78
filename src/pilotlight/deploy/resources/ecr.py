"""AWS::ECR::Repository."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, boolean, ignore_missing, pick, there
from pilotlight.errors import AwsError

GONE = "RepositoryNotFoundException"
VALUE = "ImageTagMutabilityExclusionFilterValue"


class Repository:
    type = "AWS::ECR::Repository"
    properties = frozenset(
        {
            "EmptyOnDelete",
            "EncryptionConfiguration",
            "ImageScanningConfiguration",
            "ImageTagMutability",
            "ImageTagMutabilityExclusionFilters",
            "LifecyclePolicy",
            "RepositoryName",
            "RepositoryPolicyText",
            "Tags",
        }
    )
    replaced_by = frozenset({"RepositoryName", "EncryptionConfiguration"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = _name(at, properties)
        return await there(at, name, "ecr", "DescribeRepositories", GONE, repositoryNames=[name])

    async def create(self, at: Context, properties: Properties) -> Made:
        name = _name(at, properties)
        params: dict[str, Any] = {"repositoryName": name, **_mutability(properties)}
        if "EncryptionConfiguration" in properties:
            given = properties["EncryptionConfiguration"]
            params["encryptionConfiguration"] = {
                "encryptionType": given["EncryptionType"],
                **({"kmsKey": given["KmsKey"]} if "KmsKey" in given else {}),
            }
        tags = at.tag_list(properties.get("Tags"))
        if tags:
            params["tags"] = tags
        try:
            await at.call("ecr", "CreateRepository", **params)
        except AwsError as error:
            if not (at.again and error.code == "RepositoryAlreadyExistsException"):
                raise
        await at.made(name)
        return await self._settings(at, name, {}, properties)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        name = made.physical_id
        if _mutability(old) != _mutability(new):
            await at.call("ecr", "PutImageTagMutability", repositoryName=name, **_mutability(new))
        before, after = at.tag_map(old.get("Tags")), at.tag_map(new.get("Tags"))
        arn = _made(at, name, "").attributes["Arn"]
        if gone := sorted(set(before) - set(after)):
            await at.call("ecr", "UntagResource", resourceArn=arn, tagKeys=gone)
        if after and after != before:
            await at.call("ecr", "TagResource", resourceArn=arn, tags=at.tag_list(new.get("Tags")))
        return await self._settings(at, name, old, new)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        force = boolean(properties.get("EmptyOnDelete", False))
        await ignore_missing(at, "ecr", "DeleteRepository", GONE, repositoryName=physical_id, force=force)

    async def _settings(self, at: Context, name: str, old: Properties, new: Properties) -> Made:
        place = {"repositoryName": name}
        if old.get("ImageScanningConfiguration") != new.get("ImageScanningConfiguration"):
            wanted = boolean((new.get("ImageScanningConfiguration") or {}).get("ScanOnPush", False))
            scanning = {"imageScanningConfiguration": {"scanOnPush": wanted}}
            await at.call("ecr", "PutImageScanningConfiguration", **place, **scanning)
        before, after = old.get("RepositoryPolicyText"), new.get("RepositoryPolicyText")
        if after and after != before:
            text = after if isinstance(after, str) else json.dumps(after)
            await at.call("ecr", "SetRepositoryPolicy", **place, policyText=text)
        elif before and not after:
            await ignore_missing(at, "ecr", "DeleteRepositoryPolicy", "RepositoryPolicyNotFoundException", **place)
        rules = [(one.get("LifecyclePolicy") or {}).get("LifecyclePolicyText") for one in (old, new)]
        if rules[1] and rules[1] != rules[0]:
            await at.call("ecr", "PutLifecyclePolicy", **place, lifecyclePolicyText=rules[1])
        elif rules[0] and not rules[1]:
            await ignore_missing(at, "ecr", "DeleteLifecyclePolicy", "LifecyclePolicyNotFoundException", **place)
        found = await at.call("ecr", "DescribeRepositories", repositoryNames=[name])
        return _made(at, name, found["repositories"][0]["repositoryUri"])


def _name(at: Context, properties: Properties) -> str:
    return str(properties.get("RepositoryName") or at.name(maximum=256, lower=True))


def _made(at: Context, name: str, uri: str) -> Made:
    arn = f"arn:aws:ecr:{at.caller.region}:{at.caller.account}:repository/{name}"
    return Made(name, {"Arn": arn, "RepositoryUri": uri})


def _mutability(properties: Properties) -> dict[str, Any]:
    given = pick(properties, "ImageTagMutability", "ImageTagMutabilityExclusionFilters")
    result: dict[str, Any] = {"imageTagMutability": given.get("ImageTagMutability", "MUTABLE")}
    if given.get("ImageTagMutabilityExclusionFilters"):
        result["imageTagMutabilityExclusionFilters"] = [
            {"filterType": one["ImageTagMutabilityExclusionFilterType"], "filter": one[VALUE]}
            for one in given["ImageTagMutabilityExclusionFilters"]
        ]
    return result


TYPES = (Repository(),)
