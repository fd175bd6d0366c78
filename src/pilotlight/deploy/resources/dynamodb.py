"""AWS::DynamoDB::Table."""

from __future__ import annotations

from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, boolean, ignore_missing, number, pick, there
from pilotlight.errors import AwsError

PASSED = ("AttributeDefinitions", "KeySchema", "LocalSecondaryIndexes", "BillingMode", "TableClass")


class Table:
    type = "AWS::DynamoDB::Table"
    properties = frozenset(
        {
            *PASSED,
            "TableName",
            "GlobalSecondaryIndexes",
            "ProvisionedThroughput",
            "TimeToLiveSpecification",
            "DeletionProtectionEnabled",
            "StreamSpecification",
            "Tags",
        }
    )
    replaced_by = frozenset({"TableName", "KeySchema", "LocalSecondaryIndexes"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("TableName") or at.name(maximum=255))
        return await there(at, name, "dynamodb", "DescribeTable", "ResourceNotFoundException", TableName=name)

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("TableName") or at.name(maximum=255))
        params: dict[str, Any] = {"TableName": name, **pick(properties, *PASSED)}
        if "ProvisionedThroughput" in properties:
            params["ProvisionedThroughput"] = _throughput(properties["ProvisionedThroughput"])
        if "GlobalSecondaryIndexes" in properties:
            params["GlobalSecondaryIndexes"] = [_index(index) for index in properties["GlobalSecondaryIndexes"]]
        if "DeletionProtectionEnabled" in properties:
            params["DeletionProtectionEnabled"] = boolean(properties["DeletionProtectionEnabled"])
        if "StreamSpecification" in properties:
            params["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        tags = at.tag_list(properties.get("Tags"))
        if tags:
            params["Tags"] = tags
        try:
            await at.call("dynamodb", "CreateTable", **params)
        except AwsError as error:
            if not (at.again and error.code == "ResourceInUseException"):
                raise
        await at.made(name)
        await self._time_to_live(at, name, {}, properties)
        return await self._describe(at, name)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        params: dict[str, Any] = {}
        if old.get("BillingMode") != new.get("BillingMode") or old.get("ProvisionedThroughput") != new.get(
            "ProvisionedThroughput"
        ):
            params["BillingMode"] = new.get("BillingMode", "PROVISIONED")
            if "ProvisionedThroughput" in new:
                params["ProvisionedThroughput"] = _throughput(new["ProvisionedThroughput"])
        if old.get("DeletionProtectionEnabled") != new.get("DeletionProtectionEnabled"):
            params["DeletionProtectionEnabled"] = boolean(new.get("DeletionProtectionEnabled", False))
        if params:
            await at.call("dynamodb", "UpdateTable", TableName=made.physical_id, **params)
        for change in _index_changes(old, new):
            await at.call(
                "dynamodb",
                "UpdateTable",
                TableName=made.physical_id,
                AttributeDefinitions=new["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=[change],
            )
        await self._time_to_live(at, made.physical_id, old, new)
        return await self._describe(at, made.physical_id)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "dynamodb", "DeleteTable", "ResourceNotFoundException", TableName=physical_id)

    async def _time_to_live(self, at: Context, name: str, old: Properties, new: Properties) -> None:
        before, after = old.get("TimeToLiveSpecification"), new.get("TimeToLiveSpecification")
        if before == after or (after is None and not boolean((before or {}).get("Enabled", False))):
            return
        wanted = after or {**(before or {}), "Enabled": False}
        specification = {"AttributeName": wanted["AttributeName"], "Enabled": boolean(wanted["Enabled"])}
        if before is None and not specification["Enabled"]:
            return
        await at.call("dynamodb", "UpdateTimeToLive", TableName=name, TimeToLiveSpecification=specification)

    async def _describe(self, at: Context, name: str) -> Made:
        table = (await at.call("dynamodb", "DescribeTable", TableName=name))["Table"]
        attributes = {"Arn": table["TableArn"], "TableId": table.get("TableId", "")}
        if "LatestStreamArn" in table:
            attributes["StreamArn"] = table["LatestStreamArn"]
        return Made(name, attributes)


def _throughput(given: Any) -> dict[str, int]:
    return {key: number(value) for key, value in given.items()}


def _index(given: Any) -> dict[str, Any]:
    if "ProvisionedThroughput" in given:
        return {**given, "ProvisionedThroughput": _throughput(given["ProvisionedThroughput"])}
    return dict(given)


def _index_changes(old: Properties, new: Properties) -> list[dict[str, Any]]:
    before = {index["IndexName"]: index for index in old.get("GlobalSecondaryIndexes", [])}
    after = {index["IndexName"]: index for index in new.get("GlobalSecondaryIndexes", [])}
    gone = [{"Delete": {"IndexName": name}} for name in before if name not in after]
    return gone + [{"Create": _index(index)} for name, index in after.items() if name not in before]


TYPES = (Table(),)
