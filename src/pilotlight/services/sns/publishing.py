"""Publish and PublishBatch: one event for each subscription, written with the message's acceptance."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pilotlight.errors import AwsError, NotImplementedHere
from pilotlight.identity.caller import Caller
from pilotlight.services.sns import contents, envelope, filters, store
from pilotlight.services.sns.errors import invalid
from pilotlight.services.sns.names import check_arn
from pilotlight.services.sns.store import Subscription, Topic
from pilotlight.services.sns.surroundings import Surroundings
from pilotlight.storage import Transaction, outbox
from pilotlight.storage.outbox import OutboxEvent

Request = Mapping[str, Any]
ENTRIES_MAX = 10
ENTRY_ID = re.compile(r"^[A-Za-z0-9_-]{1,80}$")
PHONE = re.compile(r"^\+[1-9]\d{1,14}$")
SAME_MS = 5 * 60_000
KIND = "sns"


class Publishing:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def publish(self, caller: Caller, request: Request) -> dict[str, Any]:
        phone = request.get("PhoneNumber")
        target = request.get("TopicArn") or request.get("TargetArn")
        if sum(bool(request.get(name)) for name in ("TopicArn", "TargetArn", "PhoneNumber")) != 1:
            raise invalid("TopicArn or TargetArn Reason: no value for required parameter")
        if phone:
            return await self._text(caller, str(phone), request)
        if check_arn(str(target), "TopicArn" if request.get("TopicArn") else "TargetArn").resource.startswith(
            "endpoint/"
        ):
            raise NotImplementedHere("mobile applications of SNS (TargetArn)")
        topic = await self._around.database.read(store.require, str(target))
        contents.check(request)
        (told,) = await self._accept(caller, topic, [request])
        return told

    async def publish_batch(self, caller: Caller, request: Request) -> dict[str, Any]:
        check_arn(request["TopicArn"], "TopicArn")
        entries = request["PublishBatchRequestEntries"]
        _check_entries(entries)
        topic = await self._around.database.read(store.require, request["TopicArn"])
        if sum(_size(entry) for entry in entries) > contents.BYTES_MAX:
            message = "The length of all the messages put together is more than the limit."
            raise AwsError("BatchRequestTooLong", message)
        good, bad = [], []
        for entry in entries:
            try:
                contents.check(entry)
                _ids(topic, entry)
                good.append(entry)
            except AwsError as error:
                bad.append({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": True})
        told = await self._accept(caller, topic, good) if good else []
        successful = [{"Id": entry["Id"], **one} for entry, one in zip(good, told, strict=True)]
        return {"Successful": successful, "Failed": bad}

    async def _accept(self, caller: Caller, topic: Topic, requests: Sequence[Request]) -> list[dict[str, Any]]:
        now_ms = self._around.clock.now_ms()
        letters = [(self._around.ids.uuid(), _ids(topic, request), request) for request in requests]

        def accept(tx: Transaction) -> list[dict[str, Any]]:
            current = store.require(tx, topic.arn)
            subscriptions = [one for one in store.of_topic(tx, topic.arn) if one.confirmed]
            return [
                _accept(tx, current, subscriptions, _message(current, identity, ids, request, caller, now_ms), now_ms)
                for identity, ids, request in letters
            ]

        told = await self._around.database.write(accept)
        self._around.wake_delivery()
        return told

    async def _text(self, caller: Caller, phone: str, request: Request) -> dict[str, Any]:
        """A text message to a number, without a topic."""
        if not PHONE.match(phone):
            raise invalid(f"PhoneNumber Reason: {phone} is not valid to publish to")
        contents.check(request)
        identity, message = self._around.ids.uuid(), str(request["Message"])
        if request.get("MessageStructure") == "json":
            given = contents.by_protocol(message)
            message = given.get("sms", given["default"])
        mail = {
            "id": identity,
            "account": caller.account,
            "region": caller.region,
            "protocol": "sms",
            "address": phone,
            "subject": request.get("Subject") or "",
            "body": message,
            "sent_ms": self._around.clock.now_ms(),
        }
        await self._around.database.write(store.put_mail, mail)
        return {"MessageId": identity}


def _message(
    topic: Topic, identity: str, ids: tuple[str, str], request: Request, caller: Caller, now_ms: int
) -> dict[str, Any]:
    return {
        "id": identity,
        "topic": topic.arn,
        "group": ids[0],
        "deduplication": ids[1],
        "subject": request.get("Subject"),
        "text": request["Message"],
        "structure": request.get("MessageStructure") or "",
        "attributes": contents.shown(request.get("MessageAttributes") or {}),
        "timestamp": envelope.timestamp(now_ms),
        "trace_id": caller.trace_id,
    }


def _accept(
    tx: Transaction, topic: Topic, subscriptions: Sequence[Subscription], message: dict[str, Any], now_ms: int
) -> dict[str, Any]:
    told = {"MessageId": message["id"]}
    if topic.fifo:
        scope = message["group"] + "\n" if topic.attributes.get("FifoThroughputScope") == "MessageGroup" else ""
        key = scope + message["deduplication"]
        before = store.published(tx, topic.arn, key, now_ms)
        if before is not None:
            return {"MessageId": before[0], "SequenceNumber": f"{before[1]:020d}"}
        sequence = store.next_sequence(tx, topic.arn)
        store.remember(tx, topic.arn, key, identity=message["id"], sequence=sequence, until_ms=now_ms + SAME_MS)
        message["sequence"] = told["SequenceNumber"] = f"{sequence:020d}"
    attributes = contents.plain(message["attributes"])
    for one in subscriptions:
        said = spoken(message, one.protocol)
        if filters.wants(one.attributes, said, attributes):
            payload = json.dumps({**message, "text": said})
            if topic.fifo:
                store.line_up(tx, one.arn, message["group"], int(message["sequence"]), payload)
                payload = "{}"
            outbox.post(tx, event_of(one, message, payload, now_ms))
    return told


def event_of(one: Subscription, message: Mapping[str, Any], payload: str, now_ms: int) -> OutboxEvent:
    return OutboxEvent(
        id=f"{message['id']}.{one.arn.rpartition(':')[2]}",
        kind=KIND,
        account=one.account,
        region=one.region,
        target=one.arn,
        source=one.topic,
        payload=payload.encode(),
        created_ms=now_ms,
        due_ms=now_ms,
        detail=json.dumps({"group": message["group"]} if message.get("sequence") else {}),
    )


def spoken(message: Mapping[str, Any], protocol: str) -> str:
    """What it says to this protocol."""
    if message["structure"] != "json":
        return str(message["text"])
    given = contents.by_protocol(message["text"])
    return given.get(protocol, given["default"])


def _ids(topic: Topic, request: Request) -> tuple[str, str]:
    """The group and the deduplication id that hold. Raises AwsError."""
    group, deduplication = request.get("MessageGroupId") or "", request.get("MessageDeduplicationId") or ""
    if not topic.fifo:
        if deduplication:
            raise invalid("The request includes MessageDeduplicationId parameter that is not valid for this topic type")
        if group and not contents.ID.match(group):
            raise invalid("The MessageGroupId parameter is invalid")
        # AWS: a group on a standard topic is handed to queues, where it makes them fair.
        return group, ""
    if not group:
        raise invalid("The MessageGroupId parameter is required for FIFO topics")
    if not contents.ID.match(group):
        raise invalid("The MessageGroupId parameter is invalid")
    if deduplication:
        if not contents.ID.match(deduplication):
            raise invalid("The MessageDeduplicationId parameter is invalid")
        return group, deduplication
    if topic.attributes.get("ContentBasedDeduplication") != "true":
        raise invalid(
            "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
    return group, hashlib.sha256(str(request["Message"]).encode(errors="surrogatepass")).hexdigest()


def _check_entries(entries: Sequence[Request]) -> None:
    if not entries:
        raise AwsError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > ENTRIES_MAX:
        message = "The batch request contains more entries than permissible."
        raise AwsError("TooManyEntriesInBatchRequest", message)
    if len({entry["Id"] for entry in entries}) != len(entries):
        message = "Two or more batch entries in the request have the same Id."
        raise AwsError("BatchEntryIdsNotDistinct", message)
    if not all(ENTRY_ID.match(entry["Id"]) for entry in entries):
        message = "The Id of a batch entry in a batch request doesn't abide by the specification."
        raise AwsError("InvalidBatchEntryId", message)


def _size(entry: Request) -> int:
    size = len(str(entry.get("Message") or "").encode(errors="surrogatepass"))
    for name, value in (entry.get("MessageAttributes") or {}).items():
        content = value.get("BinaryValue") or (value.get("StringValue") or "").encode()
        size += len(name.encode()) + len(value.get("DataType") or "") + len(content)
    return size
