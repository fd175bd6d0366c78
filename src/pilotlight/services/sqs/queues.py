"""Operations on queues."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.services.sqs import attributes, store
from pilotlight.services.sqs.attributes import COMPUTED, DEFAULTS, FIFO_DEFAULTS, KNOWN
from pilotlight.services.sqs.errors import invalid, invalid_value
from pilotlight.services.sqs.names import QueueName, check_name, read_arn, read_url
from pilotlight.services.sqs.store import Queue
from pilotlight.services.sqs.surroundings import Surroundings
from pilotlight.storage import Transaction

Request = Mapping[str, Any]
LIST_MAX = 1000
NAME_AGAIN_MS = 60_000
PURGE_AGAIN_MS = 60_000
TAGS_MAX = 50


class Queues:
    def __init__(self, around: Surroundings) -> None:
        self._around = around

    async def create_queue(self, caller: Caller, request: Request) -> dict[str, Any]:
        given = attributes.normalised(request.get("Attributes") or {})
        fifo = given.get("FifoQueue") == "true"
        check_name(request["QueueName"], fifo=fifo)
        attributes.check(given, fifo=fifo)
        tags = request.get("tags") or {}
        check_tags(tags)
        now_ms = self._around.clock.now_ms()
        fresh = Queue(
            account=caller.account,
            region=caller.region,
            name=request["QueueName"],
            id=self._around.queue_id(),
            fifo=fifo,
            attributes={name: value for name, value in given.items() if value},
            tags=dict(tags),
            created_ms=now_ms,
            modified_ms=now_ms,
            purged_ms=0,
            last_sequence=0,
        )
        await self._around.database.write(_create, fresh, given, now_ms)
        return {"QueueUrl": self._around.urls.of(fresh.key, caller)}

    async def get_queue_url(self, caller: Caller, request: Request) -> dict[str, Any]:
        key = QueueName(request.get("QueueOwnerAWSAccountId") or caller.account, caller.region, request["QueueName"])
        queue = await self._around.database.read(store.require, key)
        return {"QueueUrl": self._around.urls.of(queue.key, caller)}

    async def list_queues(self, caller: Caller, request: Request) -> dict[str, Any]:
        limit = request.get("MaxResults")
        if limit is not None and not 1 <= limit <= LIST_MAX:
            raise invalid_value(limit, "MaxResults", f"Must be an integer from 1 to {LIST_MAX}.")
        found = await self._around.database.read(
            store.list_queues,
            caller.account,
            caller.region,
            prefix=request.get("QueueNamePrefix") or "",
            after=_after(request.get("NextToken")),
            limit=(limit or LIST_MAX) + 1,
        )
        shown = found[: limit or LIST_MAX]
        result: dict[str, Any] = {"QueueUrls": [self._around.urls.of(queue.key, caller) for queue in shown]}
        if not shown:
            return {}
        if limit is not None and len(found) > limit:
            result["NextToken"] = base64.urlsafe_b64encode(shown[-1].name.encode()).decode()
        return result

    async def delete_queue(self, caller: Caller, request: Request) -> None:
        key = read_url(request["QueueUrl"], caller)
        again_from_ms = self._around.clock.now_ms() + NAME_AGAIN_MS

        def delete(tx: Transaction) -> None:
            store.delete(tx, store.require(tx, key), again_from_ms=again_from_ms)

        await self._around.database.write(delete)
        self._around.wake()

    async def purge_queue(self, caller: Caller, request: Request) -> None:
        key, now_ms, fresh_id = (
            read_url(request["QueueUrl"], caller),
            self._around.clock.now_ms(),
            self._around.queue_id(),
        )

        def purge(tx: Transaction) -> None:
            queue = store.require(tx, key)
            if queue.purged_ms and now_ms < queue.purged_ms + PURGE_AGAIN_MS:
                message = f"Only one PurgeQueue operation on {queue.name} is allowed every 60 seconds."
                raise AwsError("PurgeQueueInProgress", message, status=403)
            store.sweep_later(tx, queue.id)
            store.save(tx, replace(queue, id=fresh_id, purged_ms=now_ms))

        await self._around.database.write(purge)
        self._around.wake()

    # Attributes.

    async def get_queue_attributes(self, caller: Caller, request: Request) -> dict[str, Any]:
        names = request.get("AttributeNames") or []
        for name in names:
            if name != "All" and name not in KNOWN and name not in COMPUTED:
                raise attributes.unknown(name)
        key, now_ms = read_url(request["QueueUrl"], caller), self._around.clock.now_ms()
        counted = "All" in names or any(name.startswith("Approximate") for name in names)

        def read(tx: Transaction) -> tuple[Queue, tuple[int, int, int]]:
            queue = store.require(tx, key)
            return queue, store.counts(tx, queue, now_ms) if counted else (0, 0, 0)

        database = self._around.database
        queue, (visible, in_flight, waiting) = await (database.scan(read) if counted else database.read(read))
        told = {
            "QueueArn": queue.key.arn,
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(in_flight),
            "ApproximateNumberOfMessagesDelayed": str(waiting),
            "CreatedTimestamp": str(queue.created_ms // 1000),
            "LastModifiedTimestamp": str(queue.modified_ms // 1000),
            **DEFAULTS,
            **(FIFO_DEFAULTS if queue.fifo else {}),
            **queue.attributes,
        }
        shown = told if "All" in names else {name: told[name] for name in names if name in told}
        return {"Attributes": shown} if shown else {}

    async def set_queue_attributes(self, caller: Caller, request: Request) -> None:
        given = attributes.normalised(request["Attributes"])
        key, now_ms = read_url(request["QueueUrl"], caller), self._around.clock.now_ms()

        def change(tx: Transaction) -> None:
            queue = store.require(tx, key)
            if "FifoQueue" in given and (given["FifoQueue"] == "true") != queue.fifo:
                raise attributes.bad("FifoQueue")
            attributes.check(given, fifo=queue.fifo)
            kept = {name: value for name, value in {**queue.attributes, **given}.items() if value}
            fresh = replace(queue, attributes=kept, modified_ms=now_ms)
            if given.get("RedrivePolicy"):
                _check_redrive(tx, fresh)
            store.save(tx, fresh)

        await self._around.database.write(change)
        self._around.wake()

    async def list_dead_letter_source_queues(self, caller: Caller, request: Request) -> dict[str, Any]:
        key, limit, after = (
            read_url(request["QueueUrl"], caller),
            request.get("MaxResults"),
            _after(request.get("NextToken")),
        )
        if limit is not None and not 1 <= limit <= LIST_MAX:
            raise invalid_value(limit, "MaxResults", f"Must be an integer from 1 to {LIST_MAX}.")

        def read(tx: Transaction) -> list[Queue]:
            return [queue for queue in store.sources(tx, store.require(tx, key)) if queue.name > after]

        found = await self._around.database.read(read)
        shown = found[: limit or LIST_MAX]
        result: dict[str, Any] = {"queueUrls": [self._around.urls.of(queue.key, caller) for queue in shown]}
        if limit is not None and len(found) > limit:
            result["NextToken"] = base64.urlsafe_b64encode(shown[-1].name.encode()).decode()
        return result

    # Tags.

    async def list_queue_tags(self, caller: Caller, request: Request) -> dict[str, Any]:
        queue = await self._around.database.read(store.require, read_url(request["QueueUrl"], caller))
        return {"Tags": queue.tags} if queue.tags else {}

    async def tag_queue(self, caller: Caller, request: Request) -> None:
        key, given = read_url(request["QueueUrl"], caller), request["Tags"]
        if not given:
            raise invalid("Tags must not be empty.")

        def change(tx: Transaction) -> None:
            queue = store.require(tx, key)
            tags = {**queue.tags, **given}
            check_tags(tags)
            store.save(tx, replace(queue, tags=tags))

        await self._around.database.write(change)

    async def untag_queue(self, caller: Caller, request: Request) -> None:
        key, gone = read_url(request["QueueUrl"], caller), set(request["TagKeys"])

        def change(tx: Transaction) -> None:
            queue = store.require(tx, key)
            store.save(tx, replace(queue, tags={name: tag for name, tag in queue.tags.items() if name not in gone}))

        await self._around.database.write(change)


def _create(tx: Transaction, fresh: Queue, given: Mapping[str, str], now_ms: int) -> None:
    old = store.find(tx, fresh.key)
    if old is not None:
        for name, value in given.items():
            if old.setting(name) != value:
                message = f"A queue already exists with the same name and a different value for attribute {name}"
                raise AwsError("QueueNameExists", message)
        return
    if store.deleted_until_ms(tx, fresh.key) > now_ms:
        message = "You must wait 60 seconds after deleting a queue before you can create another with the same name."
        raise AwsError("QueueDeletedRecently", message)
    if fresh.attributes.get("RedrivePolicy"):
        _check_redrive(tx, fresh)
    store.save(tx, fresh)


def _check_redrive(tx: Transaction, queue: Queue) -> None:
    """Raises AwsError."""
    text = queue.attributes["RedrivePolicy"]
    target_arn, _ = attributes.redrive(text)
    try:
        key = read_arn(target_arn)
    except AwsError:
        raise invalid_value(text, "RedrivePolicy", "Dead-letter target ARN is invalid.") from None
    target = store.find(tx, key)
    if target is None:
        raise invalid_value(text, "RedrivePolicy", "Dead letter target does not exist.")
    if (target.account, target.region) != (queue.account, queue.region):
        raise invalid_value(text, "RedrivePolicy", "Dead-letter target owned by a different account or region.")
    if target.fifo != queue.fifo:
        raise invalid_value(text, "RedrivePolicy", "Dead-letter queue must be same type of queue as the source.")
    if not attributes.allows(target.attributes.get("RedriveAllowPolicy", ""), queue.key.arn):
        raise invalid_value(
            text, "RedrivePolicy", "Dead-letter queue's redrive allow policy does not allow this queue."
        )


def check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise invalid(f"Too many tags added for queue: the limit is {TAGS_MAX}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:") or len(value) > 256:
            raise invalid("The tag keys or values are invalid: keys have 1 to 128 characters, values up to 256.")


def _after(token: str | None) -> str:
    if not token:
        return ""
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise invalid("Invalid or expired next token.") from None
