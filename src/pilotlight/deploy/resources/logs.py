"""AWS::Logs::LogGroup."""

from __future__ import annotations

from pilotlight.deploy.resources.base import Context, Made, Properties, ignore_missing, number
from pilotlight.errors import AwsError


class LogGroup:
    type = "AWS::Logs::LogGroup"
    properties = frozenset({"LogGroupName", "RetentionInDays", "Tags", "LogGroupClass"})
    replaced_by = frozenset({"LogGroupName", "LogGroupClass"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("LogGroupName") or at.name(maximum=512))
        try:
            found = await at.call("logs", "DescribeLogGroups", logGroupNamePrefix=name)
        except AwsError as error:
            if error.code.startswith("AccessDenied"):
                return ""
            raise
        return name if any(one["logGroupName"] == name for one in found["logGroups"]) else ""

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("LogGroupName") or at.name(maximum=512))
        params: dict[str, object] = {"logGroupName": name}
        if "LogGroupClass" in properties:
            params["logGroupClass"] = properties["LogGroupClass"]
        tags = at.tag_map(properties.get("Tags"))
        if tags:
            params["tags"] = tags
        try:
            await at.call("logs", "CreateLogGroup", **params)
        except AwsError as error:
            if not (at.again and error.code == "ResourceAlreadyExistsException"):
                raise
        await at.made(name)
        return await self.update(at, Made(name), {}, properties)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        name = made.physical_id
        before, after = old.get("RetentionInDays"), new.get("RetentionInDays")
        if after is not None and before != after:
            await at.call("logs", "PutRetentionPolicy", logGroupName=name, retentionInDays=number(after))
        elif after is None and before is not None:
            await at.call("logs", "DeleteRetentionPolicy", logGroupName=name)
        arn = f"arn:aws:logs:{at.caller.region}:{at.caller.account}:log-group:{name}:*"
        return Made(name, {"Arn": arn})

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "logs", "DeleteLogGroup", "ResourceNotFoundException", logGroupName=physical_id)


TYPES = (LogGroup(),)
