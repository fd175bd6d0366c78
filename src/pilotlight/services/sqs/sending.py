"""Sending messages, one by one and in batches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.sqs import contents, fifo_store, message_store, store
from pilotlight.services.sqs.batches import check_entries, failed
from pilotlight.services.sqs.errors import NOT_FOR_THIS_TYPE, invalid, invalid_value, missing
from pilotlight.services.sqs.message_store import Message
from pilotlight.services.sqs.names import QueueName, read_url
from pilotlight.services.sqs.store import Queue
from pilotlight.services.sqs.surroundings import Surroundings
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
DELAY_SECONDS_MAX = 900
BATCH_BYTES_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that was checked, and under which key it counts as the same as another."""

    message: Message
    key: str


class Sending:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def send_message(self, caller: Caller, request: Request) -> dict[str, Any]:
        key = read_url(request["QueueUrl"], caller)
        queue = await self._around.database.read(store.require, key)
        letter = self._letter(queue, caller, request)
        (sent,) = await self._send(queue, key, [letter])
        return _told(queue, sent, request)

    async def send_message_batch(self, caller: Caller, request: Request) -> dict[str, Any]:
        entries = request["Entries"]
        check_entries(entries, "SendMessageBatchRequestEntry")
        key = read_url(request["QueueUrl"], caller)
        queue = await self._around.database.read(store.require, key)
        total = sum(_size(entry) for entry in entries)
        if total > BATCH_BYTES_MAX:
            message = f"Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {total} bytes."
            raise AwsError("BatchRequestTooLong", message)
        letters, good, bad = [], [], []
        for entry in entries:
            try:
                letters.append(self._letter(queue, caller, entry))
                good.append(entry)
            except AwsError as error:
                bad.append(failed(entry["Id"], error))
        sent = await self._send(queue, key, letters) if letters else []
        successful = [
            {"Id": entry["Id"], **_told(queue, message, entry)} for entry, message in zip(good, sent, strict=True)
        ]
        return {"Successful": successful, "Failed": bad}

    async def _send(self, queue: Queue, key: QueueName, letters: Sequence[Letter]) -> list[Message]:
        send = _send_fifo if queue.fifo else _send_standard
        sent = await self._around.database.write(send, key, letters)
        self._around.waiters.wake(queue.id)
        return sent

    def _letter(self, queue: Queue, caller: Caller, request: Request) -> Letter:
        """Raises AwsError."""
        contents.check(request, int(queue.setting("MaximumMessageSize")))
        delay = request.get("DelaySeconds")
        if delay is not None and not 0 <= delay <= DELAY_SECONDS_MAX:
            raise invalid_value(delay, "DelaySeconds", f"DelaySeconds must be >= 0 and <= {DELAY_SECONDS_MAX}.")
        group, deduplication = request.get("MessageGroupId") or "", request.get("MessageDeduplicationId") or ""
        deduplication = self._check_ids(queue, request, group, deduplication)
        if queue.fifo and delay:
            raise invalid_value(delay, "DelaySeconds", NOT_FOR_THIS_TYPE)
        system = {"SenderId": caller.user_id or caller.account}
        if deduplication:
            system["MessageDeduplicationId"] = deduplication
        trace = (request.get("MessageSystemAttributes") or {}).get("AWSTraceHeader")
        if trace:
            system["AWSTraceHeader"] = trace["StringValue"]
        if group and not queue.fifo:
            # AWS: fair queues take a group on standard queues, where it orders nothing.
            system["MessageGroupId"], group = group, ""
        now_ms = self._around.clock.now_ms()
        delay_ms = 1000 * delay if delay is not None else queue.milliseconds("DelaySeconds")
        message = Message(
            queue=queue.id,
            sequence=self._around.sequences.next(),
            id=self._around.ids.uuid(),
            body=request["MessageBody"],
            attributes=contents.dump_attributes(request.get("MessageAttributes") or {}),
            system=json.dumps(system),
            sent_ms=now_ms,
            visible_at_ms=now_ms + delay_ms,
            group_id=group,
        )
        scope = f"{group}\n" if queue.setting("DeduplicationScope") == "messageGroup" else ""
        return Letter(message, scope + deduplication)

    def _check_ids(self, queue: Queue, request: Request, group: str, deduplication: str) -> str:
        """The deduplication id that holds. Raises AwsError."""
        if not queue.fifo:
            if deduplication:
                raise invalid_value(deduplication, "MessageDeduplicationId", NOT_FOR_THIS_TYPE)
            if group:
                contents.check_id(group, "MessageGroupId")
            return ""
        if not group:
            raise missing("MessageGroupId")
        contents.check_id(group, "MessageGroupId")
        if deduplication:
            contents.check_id(deduplication, "MessageDeduplicationId")
            return deduplication
        if queue.setting("ContentBasedDeduplication") != "true":
            raise invalid(
                "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
                "explicitly"
            )
        return contents.content_id(request["MessageBody"])


def _send_standard(tx: Transaction, key: QueueName, letters: Sequence[Letter]) -> list[Message]:
    messages = _addressed(store.require(tx, key), letters)
    message_store.insert(tx, messages)
    return messages


def _send_fifo(tx: Transaction, key: QueueName, letters: Sequence[Letter]) -> list[Message]:
    queue = store.require(tx, key)
    messages = _addressed(queue, letters)
    return [fifo_store.send(tx, queue, message, letter.key) for message, letter in zip(messages, letters, strict=True)]


def _addressed(queue: Queue, letters: Sequence[Letter]) -> list[Message]:
    """The queue may have been purged since they were checked: it has another id then."""
    return [replace(letter.message, queue=queue.id) for letter in letters]


def _told(queue: Queue, message: Message, request: Request) -> dict[str, Any]:
    told: dict[str, Any] = {"MessageId": message.id, "MD5OfMessageBody": contents.md5(request["MessageBody"])}
    if request.get("MessageAttributes"):
        told["MD5OfMessageAttributes"] = contents.attributes_md5(request["MessageAttributes"])
    if request.get("MessageSystemAttributes"):
        told["MD5OfMessageSystemAttributes"] = contents.attributes_md5(request["MessageSystemAttributes"])
    if queue.fifo:
        told["SequenceNumber"] = sequence_number(message.sequence)
    return told


def sequence_number(sequence: int) -> str:
    """AWS: twenty digits that sort."""
    return f"{sequence:020d}"


def _size(entry: Request) -> int:
    size = len(entry["MessageBody"].encode(errors="surrogatepass"))
    for name, value in (entry.get("MessageAttributes") or {}).items():
        content = value.get("BinaryValue") or (value.get("StringValue") or "").encode()
        size += len(name.encode()) + len(value["DataType"].encode()) + len(content)
    return size
