"""Operations on subscriptions."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.arn import Arn
from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.sns import addresses, attributes, delivery_policies, store
from pilotlight.services.sns.errors import invalid
from pilotlight.services.sns.names import FIFO, check_arn
from pilotlight.services.sns.paging import after, page
from pilotlight.services.sns.publishing import PHONE, event_of
from pilotlight.services.sns.store import Subscription, Topic
from pilotlight.services.sns.surroundings import Surroundings
from pilotlight.storage import Transaction, outbox

Request = Mapping[str, Any]
AT_ONCE = ("sqs", "lambda", "sms")
WEB = ("http", "https")
BY_HAND = (*WEB, "email", "email-json")
REFUSED = {"firehose": "subscriptions of Firehose", "application": "subscriptions of mobile applications"}
MAIL = re.compile(r"^[^@\s]+@[^@\s]+$")
PENDING = "pending confirmation"
LOOKUP_SECONDS = 5


class Subscriptions:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def subscribe(self, caller: Caller, request: Request) -> dict[str, Any]:
        check_arn(request["TopicArn"], "TopicArn")
        protocol, endpoint = request["Protocol"], request.get("Endpoint") or ""
        self._check_endpoint(protocol, endpoint)
        if caller.guest and protocol in WEB:
            await self._check_reach(endpoint)
        given = attributes.normalised(request.get("Attributes") or {})
        topic = await self._around.database.read(store.require, request["TopicArn"])
        _check_fifo(topic, protocol, endpoint)
        attributes.check_subscription(
            given, protocol=protocol, endpoint=topic.arn, region=topic.region, owner=topic.account
        )
        fresh = Subscription(
            arn=f"{topic.arn}:{self._around.ids.uuid()}",
            topic=topic.arn,
            account=topic.account,
            region=topic.region,
            owner=caller.account,
            protocol=protocol,
            endpoint=endpoint,
            attributes={name: value for name, value in given.items() if value},
            token=self._around.ids.hex(128),
            confirmed=protocol in AT_ONCE,
            authenticated=protocol in AT_ONCE,
            guest=caller.guest,
        )
        made = await self._around.database.write(self._subscribe, fresh)
        self._around.wake_delivery()
        shown = made.confirmed or request.get("ReturnSubscriptionArn")
        return {"SubscriptionArn": made.arn if shown else PENDING}

    def _subscribe(self, tx: Transaction, fresh: Subscription) -> Subscription:
        store.require(tx, fresh.topic)
        old = store.same_subscription(tx, fresh.topic, fresh.protocol, fresh.endpoint)
        if old is not None:
            if old.confirmed and any(old.attributes.get(name) != value for name, value in fresh.attributes.items()):
                raise invalid("Attributes Reason: Subscription already exists with different attributes")
            if old.confirmed:
                return old
            fresh = replace(fresh, arn=old.arn)
        store.save_subscription(tx, fresh)
        if not fresh.confirmed:
            now_ms = self._around.clock.now_ms()
            asking = {"id": self._around.ids.uuid(), "group": "", "asking": "SubscriptionConfirmation"}
            outbox.post(tx, event_of(fresh, asking, json.dumps({**asking, "token": fresh.token}), now_ms))
        return fresh

    def _check_endpoint(self, protocol: str, endpoint: str) -> None:
        """Raises AwsError."""
        if protocol in REFUSED:
            raise NotImplementedHere(f"{REFUSED[protocol]} (protocol {protocol})")
        if protocol not in (*AT_ONCE, *BY_HAND):
            raise invalid(f"Amazon SNS does not support this protocol string: {protocol}")
        if protocol in WEB:
            _check_web(protocol, endpoint)
        elif protocol in ("sqs", "lambda"):
            try:
                right = Arn.parse(endpoint).service == protocol
            except ValueError:
                right = False
            if not right:
                raise invalid(f"{'SQS' if protocol == 'sqs' else 'Lambda'} endpoint ARN")
        elif protocol == "sms" and not PHONE.match(endpoint):
            raise invalid(f"Invalid SMS endpoint: {endpoint}")
        elif protocol.startswith("email") and not MAIL.match(endpoint):
            raise invalid("Email address")

    async def _check_reach(self, endpoint: str) -> None:
        """Early, for a clear word: delivery looks again. Raises AwsError."""
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                await self._around.addresses.look_up(addresses.read(endpoint), guest=True)
        except addresses.Refused as error:
            raise invalid(f"Endpoint Reason: {endpoint}: {error}") from None
        except (OSError, ValueError):
            return

    async def confirm_subscription(self, caller: Caller, request: Request) -> dict[str, Any]:
        check_arn(request["TopicArn"], "TopicArn")

        def confirm(tx: Transaction) -> str:
            topic = store.require(tx, request["TopicArn"])
            for one in store.of_topic(tx, topic.arn):
                if one.token == request["Token"]:
                    authenticated = (request.get("AuthenticateOnUnsubscribe") or "").lower() == "true"
                    if not one.confirmed:
                        store.save_subscription(tx, replace(one, confirmed=True, authenticated=authenticated))
                    return one.arn
            raise invalid("Token")

        return {"SubscriptionArn": await self._around.database.write(confirm)}

    async def unsubscribe(self, caller: Caller, request: Request) -> None:
        arn = request["SubscriptionArn"]
        check_arn(arn, "SubscriptionArn", 7)
        now_ms, identity = self._around.clock.now_ms(), self._around.ids.uuid()

        def leave(tx: Transaction) -> None:
            one = store.find_subscription(tx, arn)
            if one is None:
                return
            if caller.kind == "anonymous" and one.authenticated:
                raise AwsError("AuthorizationError", "User is not authorized to perform this action", status=403)
            store.delete_subscription(tx, arn)
            if one.protocol in WEB and one.confirmed:
                # AWS: whoever was there is told, and may come back with the token.
                asking: dict[str, Any] = {"id": identity, "group": "", "asking": "UnsubscribeConfirmation"}
                asking |= {"token": one.token}
                asking |= {"endpoint": one.endpoint, "protocol": one.protocol, "guest": one.guest}
                outbox.post(tx, event_of(one, asking, json.dumps(asking), now_ms))

        await self._around.database.write(leave)
        self._around.wake_delivery()

    async def list_subscriptions(self, caller: Caller, request: Request) -> dict[str, Any]:
        found = await self._around.database.read(
            store.of_account, caller.account, caller.region, after=after(request.get("NextToken")), limit=101
        )
        return _listed(found)

    async def list_subscriptions_by_topic(self, caller: Caller, request: Request) -> dict[str, Any]:
        check_arn(request["TopicArn"], "TopicArn")

        def read(tx: Transaction) -> list[Subscription]:
            topic = store.require(tx, request["TopicArn"])
            return store.of_topic(tx, topic.arn, after=after(request.get("NextToken")), limit=101)

        return _listed(await self._around.database.read(read))

    async def get_subscription_attributes(self, caller: Caller, request: Request) -> dict[str, Any]:
        check_arn(request["SubscriptionArn"], "SubscriptionArn", 7)

        def read(tx: Transaction) -> tuple[Subscription, Topic]:
            one = store.require_subscription(tx, request["SubscriptionArn"])
            return one, store.require(tx, one.topic)

        one, topic = await self._around.database.read(read)
        told = {
            "SubscriptionArn": one.arn,
            "TopicArn": one.topic,
            "Owner": one.owner,
            "Protocol": one.protocol,
            "Endpoint": one.endpoint,
            "PendingConfirmation": str(not one.confirmed).lower(),
            "ConfirmationWasAuthenticated": str(one.authenticated).lower(),
            "RawMessageDelivery": "false",
        }
        if one.attributes.get("FilterPolicy"):
            told["FilterPolicyScope"] = "MessageAttributes"
        if one.protocol in WEB:
            policy = delivery_policies.effective(one.attributes, topic.attributes)
            request = {"headerContentType": policy.content_type}
            told["EffectiveDeliveryPolicy"] = json.dumps(
                {"healthyRetryPolicy": policy.retries, "requestPolicy": request}
            )
        return {"Attributes": {**told, **one.attributes}}

    async def set_subscription_attributes(self, caller: Caller, request: Request) -> None:
        check_arn(request["SubscriptionArn"], "SubscriptionArn", 7)
        name = request["AttributeName"]
        if name not in (*attributes.SUBSCRIPTION, *attributes.REFUSED):
            raise invalid("AttributeName")
        given = attributes.normalised({name: request.get("AttributeValue") or ""})

        def change(tx: Transaction) -> None:
            one = store.require_subscription(tx, request["SubscriptionArn"])
            kept = {key: value for key, value in {**one.attributes, **given}.items() if value and value != "{}"}
            attributes.check_subscription(
                kept | {key: value for key, value in given.items() if value},
                protocol=one.protocol,
                endpoint=one.topic,
                region=one.region,
                owner=one.account,
            )
            store.save_subscription(tx, replace(one, attributes=kept))

        await self._around.database.write(change)


def _check_web(protocol: str, endpoint: str) -> None:
    """Raises AwsError."""
    try:
        address = addresses.read(endpoint)
    except addresses.Credentials:
        raise NotImplementedHere("a name and a password in an endpoint's URL") from None
    except ValueError:
        address = None
    if address is None or address.secure != (protocol == "https"):
        raise invalid("Endpoint must match the specified protocol")
    if address.path.startswith(addresses.OWN_PAGES):
        raise invalid("Endpoint Reason: the cloud's own pages are nobody's endpoint")


def _check_fifo(topic: Topic, protocol: str, endpoint: str) -> None:
    """AWS: FIFO topics speak to queues of either kind, and FIFO queues hear FIFO topics alone."""
    if topic.fifo and protocol != "sqs":
        raise invalid(
            f"Invalid parameter: Endpoint Reason: Please use FIFO SQS queue: {protocol} is not supported by FIFO topics"
        )
    if not topic.fifo and endpoint.endswith(FIFO):
        raise invalid(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
        )


def _listed(found: list[Subscription]) -> dict[str, Any]:
    shown, token = page(found, lambda one: one.arn)
    listed = [
        {
            "SubscriptionArn": one.arn if one.confirmed else "PendingConfirmation",
            "Owner": one.owner,
            "Protocol": one.protocol,
            "Endpoint": one.endpoint,
            "TopicArn": one.topic,
        }
        for one in shown
    ]
    return {"Subscriptions": listed, **token}
