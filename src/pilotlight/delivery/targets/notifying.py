"""A topic's message on its way to one subscription.

AWS: what the receiver refuses for good goes to the subscription's dead-letter queue at once, what fails is tried again
as `services/sns/retries.py` says, and goes there then. A FIFO topic's events carry no message: each takes the head of
its subscription's and group's line, so that a message which waits holds up what follows it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from pilotlight.arn import Arn
from pilotlight.clock import Clock
from pilotlight.delivery.contract import Done, Later
from pilotlight.delivery.targets import web
from pilotlight.delivery.targets.lambda_invoke import request_id_of
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.contract import Cloud
from pilotlight.services.sns import contents, delivery_policies, envelope, retries, store
from pilotlight.services.sns.addresses import Addresses
from pilotlight.services.sns.names import FIFO
from pilotlight.services.sns.signing import Signer
from pilotlight.services.sns.store import Subscription, Topic
from pilotlight.storage import Database, Transaction
from pilotlight.storage.outbox import OutboxEvent

log = logging.getLogger(__name__)

PRINCIPAL = "sns.amazonaws.com"
PASSING = ("Throttl", "TooManyRequests", "ServiceUnavailable", "ServiceException", "Internal", "OverLimit")
"""What a refusal's code begins with where it may be over soon: every other is the subscription's fault."""


class Notifying:
    def __init__(self, database: Database, cloud: Cloud, clock: Clock, signer: Signer, addresses: Addresses) -> None:
        self._database = database
        self._cloud = cloud
        self._clock = clock
        self._signer = signer
        self._addresses = addresses
        self._lines: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    async def deliver(self, event: OutboxEvent) -> Done | Later:
        detail = json.loads(event.detail)
        if detail.get("group"):
            lock = self._lines.setdefault((event.target, detail["group"]), asyncio.Lock())
            async with lock:
                return await self._in_line(event, detail["group"])
        failures = int(detail.get("failures", 0)) + 1
        due_ms = await self._attempt(event, json.loads(event.payload), failures)
        if due_ms is None:
            return Done()
        return Later(due_ms=due_ms, detail=json.dumps({**detail, "failures": failures}))

    async def _in_line(self, event: OutboxEvent, group: str) -> Done | Later:
        head = await self._database.read(store.head, event.target, group)
        if head is None:
            return Done()
        due_ms: int | None = head.due_ms
        if head.due_ms <= self._clock.now_ms():
            failures = head.failures + 1
            due_ms = await self._attempt(event, json.loads(head.payload), failures)
            if due_ms is None:
                await self._database.write(store.step, event.target, group, head.sequence)
                return Done()
            await self._database.write(
                store.failed, event.target, group, head.sequence, failures=failures, due_ms=due_ms
            )
        return Later(due_ms=due_ms or 0, detail=event.detail)

    async def _attempt(self, event: OutboxEvent, message: Mapping[str, Any], failures: int) -> int | None:
        """When it is to be tried again; None where it is over."""

        def read(tx: Transaction) -> tuple[Subscription | None, Topic | None]:
            return store.find_subscription(tx, event.target), store.find(tx, event.source)

        one, topic = await self._database.read(read)
        if message.get("asking"):
            return await self._ask(event, one, message, failures)
        if one is None or topic is None:
            return None
        try:
            await self._send(event, one, topic, message)
        except (AwsError, web.Failed) as error:
            policy = delivery_policies.effective(one.attributes, topic.attributes)
            plan = retries.phases(one.protocol, policy.retries)
            lasting = not error.passing if isinstance(error, web.Failed) else not error.code.startswith(PASSING)
            wait = None if lasting else retries.wait_seconds(failures, plan)
            if wait is not None:
                return self._clock.now_ms() + int(1000 * wait)
            return await self._give_up(event, one, topic, message, error)
        return None

    async def _send(self, event: OutboxEvent, one: Subscription, topic: Topic, message: Mapping[str, Any]) -> None:
        if one.protocol in ("sms", "email"):
            await self._mail(event, one, str(message.get("subject") or ""), message["text"])
            return
        raw = one.attributes.get("RawMessageDelivery") == "true"
        told = await self._told(one, topic, message)
        if one.protocol == "sqs":
            body = message["text"] if raw else envelope.rendered(told)
            await self._queue(event, one.endpoint, one, message, body, raw=raw)
        elif one.protocol == "lambda":
            request = {
                "FunctionName": one.endpoint,
                "InvocationType": "Event",
                "Payload": envelope.record(told, one.arn),
            }
            caller = self._caller(event, one, one.endpoint, message)
            await self._cloud.call("lambda", "Invoke", request, caller)
        elif one.protocol == "email-json":
            await self._mail(event, one, str(message.get("subject") or ""), envelope.rendered(told))
        else:
            headers = web.headers("Notification", message["id"], one.topic, one.arn)
            headers |= {"x-amz-sns-rawdelivery": "true"} if raw else {}
            headers["Content-Type"] = delivery_policies.effective(one.attributes, topic.attributes).content_type
            body = message["text"] if raw else envelope.rendered(told)
            await web.post(one.endpoint, headers, body, self._addresses, guest=one.guest)

    async def _told(self, one: Subscription, topic: Topic, message: Mapping[str, Any]) -> dict[str, Any]:
        await self._signer.prepare()
        told = envelope.signed(
            envelope.notification(message, message["text"]),
            version=topic.attributes.get("SignatureVersion", "1"),
            sign=self._signer.sign,
            certificate_url=self._signer.certificate_url,
        )
        leave = f"{self._own}/?{urlencode({'Action': 'Unsubscribe', 'SubscriptionArn': one.arn})}"
        return envelope.finished(told, leave, message["attributes"])

    async def _queue(
        self, event: OutboxEvent, arn: str, one: Subscription, message: Mapping[str, Any], body: str, *, raw: bool
    ) -> None:
        queue = Arn.parse(arn)
        request: dict[str, Any] = {
            "QueueUrl": f"https://sqs.{queue.region}.amazonaws.com/{queue.account}/{queue.resource}",
            "MessageBody": body,
        }
        if raw and message["attributes"]:
            request["MessageAttributes"] = contents.plain(message["attributes"])
        if message["group"]:
            request["MessageGroupId"] = message["group"]
        if queue.resource.endswith(FIFO):
            request["MessageDeduplicationId"] = message["deduplication"]
        await self._cloud.call("sqs", "SendMessage", request, self._caller(event, one, arn, message))

    async def _mail(self, event: OutboxEvent, one: Subscription, subject: str, body: str) -> None:
        mail = {
            "id": event.id,
            "account": one.account,
            "region": one.region,
            "protocol": one.protocol,
            "address": one.endpoint,
            "subject": subject or ("AWS Notification Message" if one.protocol != "sms" else ""),
            "body": body,
            "sent_ms": self._clock.now_ms(),
        }
        await self._database.write(store.put_mail, mail)

    async def _ask(
        self, event: OutboxEvent, one: Subscription | None, message: Mapping[str, Any], failures: int
    ) -> int | None:
        """Whoever subscribed an address that is not theirs gets no further than this."""
        kind = str(message["asking"])
        if one is None and kind == "SubscriptionConfirmation":
            return None
        protocol, endpoint = (one.protocol, one.endpoint) if one else (message["protocol"], message["endpoint"])
        guest = one.guest if one else bool(message["guest"])
        query = urlencode({"Action": "ConfirmSubscription", "TopicArn": event.source, "Token": message["token"]})
        verb = "subscribe to" if kind == "SubscriptionConfirmation" else "deactivate your subscription to"
        told = {
            "Type": kind,
            "MessageId": message["id"],
            "Token": message["token"],
            "TopicArn": event.source,
            "Message": f"You have chosen to {verb} the topic {event.source}.\nTo "
            + ("confirm the subscription" if kind == "SubscriptionConfirmation" else "restore it")
            + ", visit the SubscribeURL included in this message.",
            "SubscribeURL": f"{self._own}/?{query}",
            "Timestamp": envelope.timestamp(event.created_ms),
        }
        await self._signer.prepare()
        told = envelope.signed(told, version="1", sign=self._signer.sign, certificate_url=self._signer.certificate_url)
        if one is not None and protocol.startswith("email"):
            body = envelope.rendered(told) if protocol == "email-json" else f"{told['Message']}\n{told['SubscribeURL']}"
            await self._mail(event, one, "AWS Notification - Subscription Confirmation", body)
            return None
        try:
            headers = web.headers(kind, str(message["id"]), event.source, "")
            await web.post(endpoint, headers, envelope.rendered(told), self._addresses, guest=guest)
        except web.Failed:
            wait = retries.wait_seconds(failures, retries.phases("http", delivery_policies.RETRIES))
            return None if wait is None else self._clock.now_ms() + int(1000 * wait)
        return None

    async def _give_up(
        self, event: OutboxEvent, one: Subscription, topic: Topic, message: Mapping[str, Any], error: Exception
    ) -> int | None:
        """To the dead-letter queue; when to try that again, where it is only busy."""
        policy = json.loads(one.attributes.get("RedrivePolicy") or "{}")
        if not policy:
            log.warning("message %s of %s to %s is dropped: %s", message["id"], topic.arn, one.endpoint, error)
            return None
        raw = one.attributes.get("RawMessageDelivery") == "true"
        body = message["text"] if raw else envelope.rendered(await self._told(one, topic, message))
        try:
            await self._queue(event, policy["deadLetterTargetArn"], one, message, body, raw=raw)
        except AwsError as refused:
            if refused.code.startswith(PASSING):
                return self._clock.now_ms() + 1000 * int(retries.MANAGED.most_seconds)
            log.warning("message %s of %s is lost: its dead-letter queue said %s", message["id"], topic.arn, refused)
        return None

    def _caller(self, event: OutboxEvent, one: Subscription, target: str, message: Mapping[str, Any]) -> Caller:
        return Caller(
            account=one.account,
            region=Arn.parse(target).region,
            kind="service",
            arn=PRINCIPAL,
            service=PRINCIPAL,
            source_arn=one.topic,
            request_id=request_id_of(f"{message['id']}.{one.arn}"),
            trace_id=str(message.get("trace_id") or ""),
        )

    @property
    def _own(self) -> str:
        return self._signer.certificate_url.partition("/_pilotlight")[0]
