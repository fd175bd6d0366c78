"""Operations on topics and their tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.sns import attributes, delivery_policies, store
from pilotlight.services.sns.errors import invalid
from pilotlight.services.sns.names import check_arn, check_name, topic_arn
from pilotlight.services.sns.paging import after, page
from pilotlight.services.sns.store import Topic
from pilotlight.services.sns.surroundings import Surroundings
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
TAGS_MAX = 50
OWNER_ACTIONS = (
    "GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe",
    "ListSubscriptionsByTopic", "Publish",
)  # fmt: skip


class Topics:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def create_topic(self, caller: Caller, request: Request) -> dict[str, Any]:
        given = attributes.normalised(request.get("Attributes") or {})
        fifo, name = given.get("FifoTopic") == "true", request["Name"]
        check_name(name, fifo=fifo)
        attributes.check_topic(given, fifo=fifo)
        if request.get("DataProtectionPolicy"):
            attributes.check_topic({"DataProtectionPolicy": ""}, fifo=fifo)
        tags = _tags(request.get("Tags") or [])
        topic = Topic(
            arn=topic_arn(caller.account, caller.region, name),
            account=caller.account,
            region=caller.region,
            name=name,
            attributes={key: value for key, value in given.items() if value},
            tags=tags,
        )

        def create(tx: Transaction) -> None:
            old = store.find(tx, topic.arn)
            if old is None:
                store.save(tx, topic)
                return
            if any(_told(old).get(key, "") != value for key, value in given.items()):
                raise invalid("Attributes Reason: Topic already exists with different attributes")
            if tags and tags != old.tags:
                raise invalid("Tags Reason: Topic already exists with different tags")

        await self._around.database.write(create)
        return {"TopicArn": topic.arn}

    async def delete_topic(self, caller: Caller, request: Request) -> None:
        check_arn(request["TopicArn"], "TopicArn")
        await self._around.database.write(store.delete, request["TopicArn"])

    async def list_topics(self, caller: Caller, request: Request) -> dict[str, Any]:
        found = await self._around.database.read(
            store.list_topics, caller.account, caller.region, after=after(request.get("NextToken")), limit=101
        )
        shown, token = page(found, lambda topic: topic.arn)
        return {"Topics": [{"TopicArn": topic.arn} for topic in shown], **token}

    async def get_topic_attributes(self, caller: Caller, request: Request) -> dict[str, Any]:
        check_arn(request["TopicArn"], "TopicArn")

        def read(tx: Transaction) -> tuple[Topic, list[store.Subscription]]:
            topic = store.require(tx, request["TopicArn"])
            return topic, store.of_topic(tx, topic.arn)

        topic, found = await self._around.database.read(read)
        confirmed = sum(one.confirmed for one in found)
        counts = {
            "SubscriptionsConfirmed": str(confirmed),
            "SubscriptionsPending": str(len(found) - confirmed),
            "SubscriptionsDeleted": "0",
        }
        return {"Attributes": {**_told(topic), **counts}}

    async def set_topic_attributes(self, caller: Caller, request: Request) -> None:
        check_arn(request["TopicArn"], "TopicArn")
        name = request["AttributeName"]
        given = attributes.normalised({name: request.get("AttributeValue") or ""})

        def change(tx: Transaction) -> None:
            topic = store.require(tx, request["TopicArn"])
            if name == "FifoTopic":
                raise invalid("AttributeName")
            attributes.check_topic({} if name in CLEARED and not given[name] else given, fifo=topic.fifo,
                                   member="AttributeName")  # fmt: skip
            kept = {key: value for key, value in {**topic.attributes, **given}.items() if value}
            store.save(tx, replace(topic, attributes=kept))

        await self._around.database.write(change)

    # Tags.

    async def list_tags_for_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        topic = await self._around.database.read(_tagged, request["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in topic.tags.items()]}

    async def tag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        given = _tags(request["Tags"])

        def change(tx: Transaction) -> None:
            topic = _tagged(tx, request["ResourceArn"])
            tags = {**topic.tags, **given}
            if len(tags) > TAGS_MAX:
                raise AwsError("TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
            store.save(tx, replace(topic, tags=tags))

        await self._around.database.write(change)
        return {}

    async def untag_resource(self, caller: Caller, request: Request) -> dict[str, Any]:
        gone = set(request["TagKeys"])

        def change(tx: Transaction) -> None:
            topic = _tagged(tx, request["ResourceArn"])
            store.save(tx, replace(topic, tags={key: tag for key, tag in topic.tags.items() if key not in gone}))

        await self._around.database.write(change)
        return {}


CLEARED = ("Policy", "DeliveryPolicy", "KmsMasterKeyId", "DisplayName", "TracingConfig")


def _told(topic: Topic) -> dict[str, str]:
    policy = delivery_policies.effective({}, topic.attributes)
    told = {
        "TopicArn": topic.arn,
        "Owner": topic.account,
        "DisplayName": "",
        "Policy": json.dumps(default_policy(topic)),
        "EffectiveDeliveryPolicy": json.dumps(
            {
                "http": {
                    "defaultHealthyRetryPolicy": policy.retries,
                    "disableSubscriptionOverrides": delivery_policies.overrides_subscriptions(topic.attributes),
                    "defaultRequestPolicy": {"headerContentType": policy.content_type},
                }
            }
        ),
    }
    if topic.fifo:
        told |= {"FifoTopic": "true", "ContentBasedDeduplication": "false", "FifoThroughputScope": "Topic"}
    return {**told, **topic.attributes}


def default_policy(topic: Topic) -> dict[str, Any]:
    """AWS: everything is the owner's."""
    return {
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [
            {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [f"SNS:{action}" for action in OWNER_ACTIONS],
                "Resource": topic.arn,
                "Condition": {"StringEquals": {"AWS:SourceOwner": topic.account}},
            }
        ],
    }


def _tagged(tx: Transaction, arn: str) -> Topic:
    topic = store.find(tx, arn)
    if topic is None:
        raise AwsError("ResourceNotFound", "Resource does not exist", status=404)
    return topic


def _tags(given: Any) -> dict[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len(tags) != len(given):
        raise invalid("Duplicated keys are not allowed.")
    if len(tags) > TAGS_MAX:
        raise AwsError("TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
    if any(not key or key.lower().startswith("aws:") for key in tags):
        raise invalid("Tags Reason: A tag key must not be empty or begin with aws:")
    return tags
