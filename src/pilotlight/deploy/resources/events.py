"""AWS::Events::Rule."""

from __future__ import annotations

from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, pick, there
from pilotlight.errors import AwsError


class Rule:
    type = "AWS::Events::Rule"
    properties = frozenset(
        {
            "Name",
            "Description",
            "EventBusName",
            "EventPattern",
            "RoleArn",
            "ScheduleExpression",
            "State",
            "Targets",
            "Tags",
        }
    )
    replaced_by = frozenset({"Name", "EventBusName"})

    async def find(self, at: Context, properties: Properties) -> str:
        name = str(properties.get("Name") or at.name())
        return await there(at, name, "events", "DescribeRule", "ResourceNotFoundException", Name=name)

    async def create(self, at: Context, properties: Properties) -> Made:
        name = str(properties.get("Name") or at.name())
        return await self._put(at, name, {}, properties)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        return await self._put(at, made.physical_id, old, new)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        try:
            listed = (await at.call("events", "ListTargetsByRule", Rule=physical_id))["Targets"]
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return
            raise
        if listed:
            await at.call("events", "RemoveTargets", Rule=physical_id, Ids=[target["Id"] for target in listed])
        await at.call("events", "DeleteRule", Name=physical_id)

    async def _put(self, at: Context, name: str, old: Properties, new: Properties) -> Made:
        params: dict[str, Any] = pick(
            new, "Description", "EventBusName", "EventPattern", "RoleArn", "ScheduleExpression", "State"
        )
        tags = at.tag_list(new.get("Tags"))
        if tags and not old:
            params["Tags"] = tags
        arn = (await at.call("events", "PutRule", Name=name, **params))["RuleArn"]
        if not old:
            await at.made(name)
        targets = [dict(target) for target in new.get("Targets", [])]
        if targets:
            await at.call("events", "PutTargets", Rule=name, Targets=targets)
        kept = {target["Id"] for target in targets}
        gone = [target["Id"] for target in old.get("Targets", []) if target["Id"] not in kept]
        if gone:
            await at.call("events", "RemoveTargets", Rule=name, Ids=gone)
        return Made(name, {"Arn": arn})


TYPES = (Rule(),)
