"""Receiving messages, deleting them, and changing how long they stay hidden."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.sqs import contents, fifo_store, message_store, store
from pilotlight.services.sqs.batches import check_entries, failed
from pilotlight.services.sqs.errors import bad_handle, invalid_value
from pilotlight.services.sqs.message_store import Message, Receive, Received
from pilotlight.services.sqs.names import QueueName, read_arn, read_url
from pilotlight.services.sqs.sending import sequence_number
from pilotlight.services.sqs.store import Queue
from pilotlight.services.sqs.surroundings import Surroundings
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
MESSAGES_MAX = 10
WAIT_SECONDS_MAX = 20
HIDDEN_SECONDS_MAX = 43_200
IN_FLIGHT_MAX = 120_000
IN_FLIGHT_LOOK_SECONDS = 1.0
ATTEMPT_MS = 5 * 60_000


@dataclass(frozen=True, slots=True)
class Handle:
    """A receipt handle: which message of which queue, and the receive that handed it out."""

    queue: int
    sequence: int
    receipt: str

    def __str__(self) -> str:
        text = f"{self.queue}:{self.sequence}:{self.receipt}"
        return base64.urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def read(cls, text: str) -> Handle:
        """Raises AwsError."""
        try:
            queue, sequence, receipt = base64.urlsafe_b64decode(text.encode()).decode().split(":")
            return cls(int(queue), int(sequence), receipt)
        except (binascii.Error, ValueError):
            raise bad_handle(text) from None


class Receiving:
    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._looked: dict[int, float] = {}

    async def receive_message(self, caller: Caller, request: Request) -> dict[str, Any]:
        _check_receive(request)
        key = read_url(request["QueueUrl"], caller)
        queue = await self._around.database.read(store.require, key)
        seconds = request.get("WaitTimeSeconds")
        if seconds is None:
            seconds = int(queue.setting("ReceiveMessageWaitTimeSeconds"))
        until = self._around.clock.monotonic() + seconds
        while True:
            messages = await self._receive(key, queue, request)
            left = until - self._around.clock.monotonic()
            if messages or left <= 0:
                return {"Messages": [_told(queue, message, request) for message in messages]} if messages else {}
            due_ms = await self._around.database.read(message_store.next_visible_ms, queue)
            if due_ms is not None and not self._around.clock.frozen:
                left = min(left, max(0.001, (due_ms - self._around.clock.now_ms()) / 1000))
            await self._around.waiters.wait_for_message(queue.id, left)
            queue = await self._around.database.read(store.require, key)

    async def _receive(self, key: QueueName, queue: Queue, request: Request) -> list[Message]:
        """A look is cheaper than a transaction that finds nothing."""
        now_ms = self._around.clock.now_ms()
        due_ms = await self._around.database.read(message_store.next_visible_ms, queue)
        attempt = request.get("ReceiveRequestAttemptId") or "" if queue.fifo else ""
        if (due_ms is None or due_ms > now_ms) and not attempt:
            return []
        await self._check_in_flight(queue, now_ms)
        hidden = request.get("VisibilityTimeout")
        hidden_ms = 1000 * hidden if hidden is not None else queue.milliseconds("VisibilityTimeout")
        asked = Receive(
            limit=request.get("MaxNumberOfMessages") or 1,
            now_ms=now_ms,
            until_ms=now_ms + hidden_ms,
            receipt=self._around.ids.hex(16),
            attempt=attempt,
            attempt_until_ms=now_ms + ATTEMPT_MS,
        )
        work = self._around.database.write if queue.fifo else self._around.database.claim
        received = await work(_receive, key, asked)
        if received.moved_to is not None:
            self._around.waiters.wake(received.moved_to.id)
        return received.messages

    async def _check_in_flight(self, queue: Queue, now_ms: int) -> None:
        """AWS: 120,000 messages of a queue are in flight at most. Looked at once a second: it is a walk along them."""
        now = self._around.clock.monotonic()
        if now - self._looked.get(queue.id, -IN_FLIGHT_LOOK_SECONDS) < IN_FLIGHT_LOOK_SECONDS:
            return
        if len(self._looked) > 10_000:
            self._looked.clear()
        if await self._around.database.scan(message_store.has_in_flight, queue, now_ms, IN_FLIGHT_MAX):
            raise AwsError("OverLimit", f"Too many messages in flight: the limit is {IN_FLIGHT_MAX}.", status=403)
        self._looked[queue.id] = now

    # Deleting.

    async def delete_message(self, caller: Caller, request: Request) -> None:
        key = read_url(request["QueueUrl"], caller)
        handle = Handle.read(request["ReceiptHandle"])
        await self._around.database.write(_delete, key, handle, request["ReceiptHandle"], self._around.clock.now_ms())
        self._around.waiters.wake(handle.queue)

    async def delete_message_batch(self, caller: Caller, request: Request) -> dict[str, Any]:
        entries = request["Entries"]
        check_entries(entries, "DeleteMessageBatchRequestEntry")
        key, now_ms = read_url(request["QueueUrl"], caller), self._around.clock.now_ms()

        def delete(tx: Transaction) -> dict[str, Any]:
            store.require(tx, key)
            good, bad = [], []
            for entry in entries:
                try:
                    _delete(tx, key, Handle.read(entry["ReceiptHandle"]), entry["ReceiptHandle"], now_ms)
                    good.append({"Id": entry["Id"]})
                except AwsError as error:
                    bad.append(failed(entry["Id"], error))
            return {"Successful": good, "Failed": bad}

        result = await self._around.database.write(delete)
        self._around.waiters.wake_all()
        return result

    # Visibility.

    async def change_message_visibility(self, caller: Caller, request: Request) -> None:
        key, now_ms = read_url(request["QueueUrl"], caller), self._around.clock.now_ms()
        _check_hidden(request["VisibilityTimeout"])
        handle = Handle.read(request["ReceiptHandle"])
        await self._around.database.write(_change, key, handle, request, now_ms)
        self._around.waiters.wake(handle.queue)

    async def change_message_visibility_batch(self, caller: Caller, request: Request) -> dict[str, Any]:
        entries = request["Entries"]
        check_entries(entries, "ChangeMessageVisibilityBatchRequestEntry")
        key, now_ms = read_url(request["QueueUrl"], caller), self._around.clock.now_ms()

        def change(tx: Transaction) -> dict[str, Any]:
            store.require(tx, key)
            good, bad = [], []
            for entry in entries:
                try:
                    _check_hidden(entry.get("VisibilityTimeout") or 0)
                    _change(tx, key, Handle.read(entry["ReceiptHandle"]), entry, now_ms)
                    good.append({"Id": entry["Id"]})
                except AwsError as error:
                    bad.append(failed(entry["Id"], error))
            return {"Successful": good, "Failed": bad}

        result = await self._around.database.write(change)
        self._around.waiters.wake_all()
        return result


def _check_receive(request: Request) -> None:
    limit, wait = request.get("MaxNumberOfMessages"), request.get("WaitTimeSeconds")
    if limit is not None and not 1 <= limit <= MESSAGES_MAX:
        raise invalid_value(limit, "MaxNumberOfMessages", f"Must be between 1 and {MESSAGES_MAX}, if provided.")
    if wait is not None and not 0 <= wait <= WAIT_SECONDS_MAX:
        raise invalid_value(wait, "WaitTimeSeconds", f"Must be >= 0 and <= {WAIT_SECONDS_MAX}, if provided.")
    if request.get("VisibilityTimeout") is not None:
        _check_hidden(request["VisibilityTimeout"])


def _check_hidden(seconds: int) -> None:
    if not 0 <= seconds <= HIDDEN_SECONDS_MAX:
        reason = f"VisibilityTimeout must be an integer between 0 and {HIDDEN_SECONDS_MAX}."
        raise invalid_value(seconds, "VisibilityTimeout", reason)


def _receive(tx: Transaction, key: QueueName, asked: Receive) -> Received:
    queue = store.require(tx, key)
    receive = fifo_store.receive if queue.fifo else message_store.receive
    return receive(tx, queue, asked, _dead_letters(tx, queue))


def _dead_letters(tx: Transaction, queue: Queue) -> tuple[Queue, int] | None:
    """Where messages go that were received too often. A queue that is gone takes none: they stay."""
    if queue.redrive is None:
        return None
    target = store.find(tx, read_arn(queue.redrive[0]))
    return (target, queue.redrive[1]) if target is not None else None


def _delete(tx: Transaction, key: QueueName, handle: Handle, text: str, now_ms: int) -> None:
    queue = store.require(tx, key)
    if handle.queue != queue.id:
        return  # of a queue that was purged, or of another: nothing is left to delete
    message = message_store.find(tx, queue.id, handle.sequence)
    if message is None:
        return
    if queue.fifo and (message.receipt != handle.receipt or message.visible_at_ms <= now_ms):
        raise invalid_value(text, "ReceiptHandle", "The receipt handle has expired.")
    # AWS: an older receipt's delete succeeds, and deletes nothing.
    if message_store.delete_received(tx, queue.id, handle.sequence, handle.receipt) and message.group_id:
        fifo_store.refresh(tx, queue.id, message.group_id, now_ms)


def _change(tx: Transaction, key: QueueName, handle: Handle, request: Request, now_ms: int) -> None:
    queue = store.require(tx, key)
    message = message_store.find(tx, queue.id, handle.sequence) if handle.queue == queue.id else None
    if message is None:
        raise invalid_value(
            request["ReceiptHandle"],
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change.",
        )
    if message.receipt != handle.receipt or message.visible_at_ms <= now_ms:
        raise AwsError("MessageNotInflight", "The specified message isn't in flight.")
    until_ms = now_ms + 1000 * (request.get("VisibilityTimeout") or 0)
    if until_ms > message.received_ms + 1000 * HIDDEN_SECONDS_MAX:
        raise invalid_value(
            request["VisibilityTimeout"],
            "VisibilityTimeout",
            f"Total VisibilityTimeout for the message is beyond the limit [{HIDDEN_SECONDS_MAX} seconds]",
        )
    message_store.show_at(tx, message, until_ms)
    if message.group_id:
        fifo_store.refresh(tx, queue.id, message.group_id, now_ms)


def _told(queue: Queue, message: Message, request: Request) -> dict[str, Any]:
    told: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": str(Handle(message.queue, message.sequence, message.receipt)),
        "MD5OfBody": contents.md5(message.body),
        "Body": message.body,
    }
    names = [*(request.get("AttributeNames") or []), *(request.get("MessageSystemAttributeNames") or [])]
    if names:
        system = _system(queue, message)
        shown = system if "All" in names else {name: system[name] for name in names if name in system}
        if shown:
            told["Attributes"] = shown
    attributes = contents.wanted(
        contents.load_attributes(message.attributes), request.get("MessageAttributeNames") or []
    )
    if attributes:
        told |= {"MessageAttributes": attributes, "MD5OfMessageAttributes": contents.attributes_md5(attributes)}
    return told


def _system(queue: Queue, message: Message) -> dict[str, str]:
    system = json.loads(message.system) | {
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
        "SentTimestamp": str(message.sent_ms),
    }
    if queue.fifo:
        system |= {"MessageGroupId": message.group_id, "SequenceNumber": sequence_number(message.sequence)}
    if message.dead_letter_source:
        system["DeadLetterQueueSourceArn"] = message.dead_letter_source
    return dict(system)
