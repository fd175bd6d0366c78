"""AWS::SNS::Topic, AWS::SNS::Subscription, AWS::SNS::TopicPolicy."""

from __future__ import annotations

import json
from typing import Any

from pilotlight.deploy.resources.base import Context, Made, Properties, boolean, ignore_missing

PLAIN = (
    "ContentBasedDeduplication",
    "DisplayName",
    "FifoThroughputScope",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
)
SUBSCRIBING = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "SubscriptionRoleArn",
)
SUFFIX = ".fifo"


class Topic:
    type = "AWS::SNS::Topic"
    properties = frozenset({"TopicName", "FifoTopic", "Subscription", "Tags", *PLAIN})
    replaced_by = frozenset({"TopicName", "FifoTopic"})

    async def create(self, at: Context, properties: Properties) -> Made:
        fifo = boolean(properties.get("FifoTopic", False))
        name = properties.get("TopicName") or at.name(maximum=256 - len(SUFFIX)) + (SUFFIX if fifo else "")
        given = _attributes(properties, PLAIN) | ({"FifoTopic": "true"} if fifo else {})
        tags = at.tag_list(properties.get("Tags"))
        made = await at.call("sns", "CreateTopic", Name=name, Attributes=given, Tags=tags)
        arn = made["TopicArn"]
        await at.made(arn)
        for one in properties.get("Subscription") or []:
            await at.call("sns", "Subscribe", TopicArn=arn, Protocol=one["Protocol"], Endpoint=one["Endpoint"])
        return _topic(arn)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        arn = made.physical_id
        await _change(at, "SetTopicAttributes", "TopicArn", arn, _attributes(old, PLAIN), _attributes(new, PLAIN))
        tags, gone = at.tag_map(new.get("Tags")), set(at.tag_map(old.get("Tags")))
        if tags:
            await at.call("sns", "TagResource", ResourceArn=arn, Tags=at.tag_list(new.get("Tags")))
        if gone - set(tags):
            await at.call("sns", "UntagResource", ResourceArn=arn, TagKeys=sorted(gone - set(tags)))
        for one in new.get("Subscription") or []:
            await at.call("sns", "Subscribe", TopicArn=arn, Protocol=one["Protocol"], Endpoint=one["Endpoint"])
        left = [one for one in old.get("Subscription") or [] if one not in (new.get("Subscription") or [])]
        if left:
            found = await at.call("sns", "ListSubscriptionsByTopic", TopicArn=arn)
            for one in found["Subscriptions"]:
                if {"Protocol": one["Protocol"], "Endpoint": one["Endpoint"]} in left:
                    await at.call("sns", "Unsubscribe", SubscriptionArn=one["SubscriptionArn"])
        return _topic(arn)

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "sns", "DeleteTopic", "NotFound", TopicArn=physical_id)


def _topic(arn: str) -> Made:
    return Made(arn, {"TopicArn": arn, "TopicName": arn.rsplit(":", 1)[1]})


class Subscription:
    type = "AWS::SNS::Subscription"
    properties = frozenset({"TopicArn", "Protocol", "Endpoint", "Region", *SUBSCRIBING})
    replaced_by = frozenset({"TopicArn", "Protocol", "Endpoint"})

    async def create(self, at: Context, properties: Properties) -> Made:
        made = await at.call(
            "sns",
            "Subscribe",
            TopicArn=properties["TopicArn"],
            Protocol=properties["Protocol"],
            Endpoint=properties["Endpoint"],
            Attributes=_attributes(properties, SUBSCRIBING),
            ReturnSubscriptionArn=True,
        )
        arn = made["SubscriptionArn"]
        return Made(arn, {"Arn": arn})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        before, after = _attributes(old, SUBSCRIBING), _attributes(new, SUBSCRIBING)
        await _change(at, "SetSubscriptionAttributes", "SubscriptionArn", made.physical_id, before, after)
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await ignore_missing(at, "sns", "Unsubscribe", "NotFound", SubscriptionArn=physical_id)


class TopicPolicy:
    """One policy on several topics."""

    type = "AWS::SNS::TopicPolicy"
    properties = frozenset({"PolicyDocument", "Topics"})
    replaced_by: frozenset[str] = frozenset()

    async def create(self, at: Context, properties: Properties) -> Made:
        await self._put(at, properties["Topics"], _text(properties["PolicyDocument"]))
        identity = at.name(maximum=128)
        return Made(identity, {"Id": identity})

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        await self._put(at, [topic for topic in old["Topics"] if topic not in new["Topics"]], "")
        await self._put(at, new["Topics"], _text(new["PolicyDocument"]))
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        await self._put(at, properties.get("Topics", []), "")

    async def _put(self, at: Context, topics: list[str], policy: str) -> None:
        for topic in topics:
            params = {"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": policy}
            await ignore_missing(at, "sns", "SetTopicAttributes", *([] if policy else ["NotFound"]), **params)


async def _change(
    at: Context, operation: str, member: str, arn: str, before: dict[str, str], after: dict[str, str]
) -> None:
    """What a template no longer sets is unset."""
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            params = {member: arn, "AttributeName": name, "AttributeValue": after.get(name) or RESET.get(name, "")}
            await at.call("sns", operation, **params)


RESET = {
    "ContentBasedDeduplication": "false",
    "FifoThroughputScope": "Topic",
    "SignatureVersion": "1",
    "TracingConfig": "PassThrough",
    "RawMessageDelivery": "false",
    "FilterPolicyScope": "MessageAttributes",
}


def _attributes(properties: Properties, names: tuple[str, ...]) -> dict[str, str]:
    return {name: _text(properties[name]) for name in names if name in properties}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


TYPES = (Topic(), Subscription(), TopicPolicy())
