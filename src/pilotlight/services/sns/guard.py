"""SNS's permissions: `sns:Publish` on the topic's ARN, and so on, and the topic's own policy."""

from __future__ import annotations

from collections.abc import Sequence

from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Access, Params
from pilotlight.services.sns import store
from pilotlight.services.sns.names import topic_arn, topic_of
from pilotlight.storage import Database

BY_TOKEN = ("ConfirmSubscription", "Unsubscribe")


class SnsGuard:
    def __init__(self, database: Database) -> None:
        self._database = database

    def accesses(self, operation: str, params: Params, caller: Caller) -> Sequence[Access]:
        if operation in BY_TOKEN and caller.kind == "anonymous":
            # AWS: the addresses in messages work for whoever holds them.
            return []
        # AWS: a batch needs the permission of its single operation.
        action = f"sns:{operation.removesuffix('Batch')}"
        if operation == "Publish" and params.get("PhoneNumber"):
            return [Access(action, "*")]
        resource = self._topic(params, caller) or f"arn:aws:sns:{caller.region}:{caller.account}:*"
        context = {}
        if operation == "Subscribe":
            context = {"sns:Protocol": params.get("Protocol", ""), "sns:Endpoint": params.get("Endpoint", "")}
        accesses = [Access(action, resource, context)]
        if operation == "CreateTopic" and params.get("Tags"):
            tags = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in params["Tags"]}
            accesses.append(Access("sns:TagResource", resource, tags))
        return accesses

    async def resource_policy(self, access: Access, params: Params, caller: Caller) -> str | None:
        arn = self._topic(params, caller)
        topic = await self._database.read(store.find, arn) if arn else None
        return topic.attributes.get("Policy") if topic is not None else None

    def _topic(self, params: Params, caller: Caller) -> str:
        if params.get("SubscriptionArn"):
            return topic_of(str(params["SubscriptionArn"]))
        if "Name" in params:
            return topic_arn(caller.account, caller.region, str(params["Name"]))
        return str(params.get("TopicArn") or params.get("TargetArn") or params.get("ResourceArn") or "")
