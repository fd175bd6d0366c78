"""AWS::CloudFormation::WaitConditionHandle, which templates use as a resource that is nothing."""

from __future__ import annotations

from pilotlight.deploy.resources.base import Context, Made, Properties


class WaitConditionHandle:
    type = "AWS::CloudFormation::WaitConditionHandle"
    properties: frozenset[str] = frozenset()
    replaced_by: frozenset[str] = frozenset()

    async def create(self, at: Context, properties: Properties) -> Made:
        return Made(f"https://cloudformation-waitcondition-{at.caller.region}.s3.amazonaws.com/{at.name(maximum=200)}")

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        """There is nothing to remove."""


TYPES = (WaitConditionHandle(),)
