"""AWS::SQS::Queue, AWS::SQS::QueuePolicy, AWS::SQS::QueueInlinePolicy."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, boolean, ignore_missing
from pilotlight.errors import AwsError

PLAIN = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)
DOCUMENTS = ("RedrivePolicy", "RedriveAllowPolicy")
SUFFIX = ".fifo"


class Queue:
    type = "AWS::SQS::Queue"
    properties = frozenset({"QueueName", "FifoQueue", *PLAIN, *DOCUMENTS, "Tags"})
    replaced_by = frozenset({"QueueName", "FifoQueue"})

    async def find(self, at: Context, properties: Properties) -> str:
        try:
            return str((await at.call("sqs", "GetQueueUrl", QueueName=self._name(at, properties)))["QueueUrl"])
        except AwsError as error:
            if error.code == "QueueDoesNotExist" or error.code.startswith("AccessDenied"):
                return ""
            raise

    async def create(self, at: Context, properties: Properties) -> Made:
        attributes = _attributes(properties)
        if boolean(properties.get("FifoQueue", False)):
            attributes["FifoQueue"] = "true"
        params: dict[str, Any] = {"QueueName": self._name(at, properties), "Attributes": attributes}
        tags = at.tag_map(properties.get("Tags"))
        if tags:
            params["tags"] = tags
        url = (await at.call("sqs", "CreateQueue", **params))["QueueUrl"]
        await at.made(url)
        return await self._describe(at, url)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        before, after = _attributes(old), _attributes(new)
        changed = {name: value for name, value in after.items() if before.get(name) != value}
        changed |= dict.fromkeys(set(before) - set(after), "")
        if changed:
            await at.call("sqs", "SetQueueAttributes", QueueUrl=made.physical_id, Attributes=_reset(changed))
        tags, gone = at.tag_map(new.get("Tags")), set(at.tag_map(old.get("Tags")))
        if tags:
            await at.call("sqs", "TagQueue", QueueUrl=made.physical_id, Tags=tags)
        if gone - set(tags):
            await at.call("sqs", "UntagQueue", QueueUrl=made.physical_id, TagKeys=sorted(gone - set(tags)))
        return await self._describe(at, made.physical_id)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "sqs", "DeleteQueue", "QueueDoesNotExist", QueueUrl=physical_id)

    def _name(self, at: Context, properties: Properties) -> str:
        if properties.get("QueueName"):
            return str(properties["QueueName"])
        fifo = boolean(properties.get("FifoQueue", False))
        return at.name(maximum=80 - len(SUFFIX)) + (SUFFIX if fifo else "")

    async def _describe(self, at: Context, url: str) -> Made:
        found = await at.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])
        arn = found["Attributes"]["QueueArn"]
        return Made(url, {"Arn": arn, "QueueName": arn.rsplit(":", 1)[1], "QueueUrl": url})


def _attributes(properties: Properties) -> dict[str, str]:
    given = {}
    for name in PLAIN:
        if name in properties:
            value = properties[name]
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
    for name in DOCUMENTS:
        if name in properties:
            given[name] = _document(properties[name])
    return given


DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
    "SqsManagedSseEnabled": "true",
    "KmsDataKeyReusePeriodSeconds": "300",
}


def _reset(changed: dict[str, str]) -> dict[str, str]:
    """What a template no longer sets is what it would be without it."""
    return {name: value or DEFAULTS.get(name, "") for name, value in changed.items()}


def _document(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class QueuePolicy:
    """One policy on several queues."""

    type = "AWS::SQS::QueuePolicy"
    properties = frozenset({"PolicyDocument", "Queues"})
    replaced_by: frozenset[str] = frozenset()

    async def create(self, at: Context, properties: Properties) -> Made:
        await self._put(at, properties["Queues"], _document(properties["PolicyDocument"]))
        identity = at.name(maximum=128)
        return Made(identity, {"Id": identity})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        gone = [queue for queue in old["Queues"] if queue not in new["Queues"]]
        await self._put(at, gone, "")
        await self._put(at, new["Queues"], _document(new["PolicyDocument"]))
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await self._put(at, properties.get("Queues", []), "")

    async def _put(self, at: Context, queues: list[str], policy: str) -> None:
        for queue in queues:
            params = {"QueueUrl": queue, "Attributes": {"Policy": policy}}
            if policy:
                await at.call("sqs", "SetQueueAttributes", **params)
            else:
                await ignore_missing(at, "sqs", "SetQueueAttributes", "QueueDoesNotExist", **params)


class QueueInlinePolicy(QueuePolicy):
    """One policy on one queue."""

    type = "AWS::SQS::QueueInlinePolicy"
    properties = frozenset({"PolicyDocument", "Queue"})
    replaced_by = frozenset({"Queue"})

    async def create(self, at: Context, properties: Properties) -> Made:
        await self._put(at, [properties["Queue"]], _document(properties["PolicyDocument"]))
        return Made(properties["Queue"])

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await self._put(at, [new["Queue"]], _document(new["PolicyDocument"]))
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await self._put(at, [properties["Queue"]], "")


TYPES = (Queue(), QueuePolicy(), QueueInlinePolicy())
