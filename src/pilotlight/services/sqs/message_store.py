"""Messages of standard queues, and what both kinds of queue have in common, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.services.sqs.store import Queue
from pilotlight.storage import Transaction

SEQUENCE_BITS = 20
COLUMNS = (
    "queue, sequence, id, body, attributes, system, sent_ms, visible_at_ms, received_ms, first_received_ms, receives, "
    "receipt, group_id, dead_letter_source"
)


@dataclass(frozen=True, slots=True)
class Message:
    queue: int
    sequence: int
    id: str
    body: str
    attributes: str
    system: str
    """JSON: SenderId, AWSTraceHeader, MessageDeduplicationId."""
    sent_ms: int
    visible_at_ms: int
    received_ms: int = 0
    first_received_ms: int = 0
    receives: int = 0
    receipt: str = ""
    """Of the last receive; nothing before the first."""
    group_id: str = ""
    dead_letter_source: str = ""
    """The ARN of the queue that it was moved from."""


def sequence_at(moment_ms: int) -> int:
    """The least sequence of what is sent at a moment."""
    return moment_ms << SEQUENCE_BITS


def insert(tx: Transaction, messages: Sequence[Message]) -> None:
    names = COLUMNS.split(", ")
    tx.many(
        f"insert into sqs_message ({COLUMNS}) values ({', '.join(':' + name for name in names)})",
        [{name: getattr(message, name) for name in names} for message in messages],
    )


def _message(row: Mapping[str, Any]) -> Message:
    return Message(**row)


def find(tx: Transaction, queue: int, sequence: int) -> Message | None:
    row = tx.one(
        f"select {COLUMNS} from sqs_message where queue = :queue and sequence = :sequence",
        queue=queue,
        sequence=sequence,
    )
    return _message(row) if row else None


def delete(tx: Transaction, message: Message) -> None:
    tx.run(
        "delete from sqs_message where queue = :queue and sequence = :sequence",
        queue=message.queue,
        sequence=message.sequence,
    )


def delete_received(tx: Transaction, queue: int, sequence: int, receipt: str) -> bool:
    """Delete a message if this was its last receipt."""
    return (
        tx.run(
            "delete from sqs_message where queue = :queue and sequence = :sequence and receipt = :receipt",
            queue=queue,
            sequence=sequence,
            receipt=receipt,
        )
        > 0
    )


def show_at(tx: Transaction, message: Message, visible_at_ms: int) -> None:
    tx.run(
        "update sqs_message set visible_at_ms = :moment where queue = :queue and sequence = :sequence",
        moment=visible_at_ms,
        queue=message.queue,
        sequence=message.sequence,
    )


def next_visible_ms(tx: Transaction, queue: Queue) -> int | None:
    """When the first message can be received: in the past where one can be now."""
    table, column = ("sqs_group", "available_at_ms") if queue.fifo else ("sqs_message", "visible_at_ms")
    row = tx.one(f"select min({column}) as due from {table} where queue = :queue", queue=queue.id)
    return row["due"] if row else None


def has_in_flight(tx: Transaction, queue: Queue, now_ms: int, count: int) -> bool:
    """Whether as many as `count` messages are hidden."""
    row = tx.one(
        """select 1 as one from sqs_message where queue = :queue and visible_at_ms > :now_ms and receipt <> ''
           limit 1 offset :before""",
        queue=queue.id,
        now_ms=now_ms,
        before=count - 1,
    )
    return row is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive:
    limit: int
    now_ms: int
    until_ms: int
    receipt: str
    attempt: str = ""
    attempt_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    messages: list[Message]
    moved_to: Queue | None = None
    """The dead-letter queue that got something."""


def receive(tx: Transaction, queue: Queue, asked: Receive, dead: tuple[Queue, int] | None) -> Received:
    """Hide the oldest visible messages from everyone else, and hand them out. What was received too often goes to the
    dead-letter queue instead."""
    taken: list[Message] = []
    moved = False
    while len(taken) < asked.limit:
        rows = tx.all(
            f"""with oldest as materialized (
                    select sequence from sqs_message where queue = :queue and visible_at_ms <= :now_ms
                    order by visible_at_ms, sequence limit :limit {tx.skip_locked})
                update sqs_message set visible_at_ms = :until_ms, receives = receives + 1, receipt = :receipt,
                    received_ms = :now_ms,
                    first_received_ms = case when first_received_ms = 0 then :now_ms else first_received_ms end
                where queue = :queue and sequence in (select sequence from oldest) returning {COLUMNS}""",
            queue=queue.id,
            now_ms=asked.now_ms,
            # Hidden for no time at all, it must not be found again by this receive.
            until_ms=max(asked.until_ms, asked.now_ms + 1),
            receipt=asked.receipt,
            limit=asked.limit - len(taken),
        )
        found = sorted((_message(row) for row in rows), key=lambda message: message.sequence)
        spent = [message for message in found if dead is not None and message.receives > dead[1]]
        if dead is not None:
            for message in spent:
                move(tx, message, queue, dead[0], now_ms=asked.now_ms)
        moved = moved or bool(spent)
        gone = {message.sequence for message in spent}
        taken += [message for message in found if message.sequence not in gone]
        if not spent:
            break
    if asked.until_ms <= asked.now_ms:
        for message in taken:
            show_at(tx, message, asked.now_ms)
    return Received(taken, dead[0] if dead is not None and moved else None)


def move(tx: Transaction, message: Message, source: Queue, target: Queue, *, now_ms: int) -> None:
    """Into another standard queue. AWS: its age counts on from when it was first sent."""
    delete(tx, message)
    fresh = replace(
        message,
        queue=target.id,
        visible_at_ms=now_ms,
        receipt="",
        received_ms=0,
        dead_letter_source=source.key.arn,
        receives=max(0, message.receives - 1),
    )
    insert(tx, [fresh])


def expire(tx: Transaction, queue: int, before_ms: int, limit: int) -> list[str]:
    """Delete some messages that were sent before a moment; the groups that they were of, one entry for each message."""
    rows = tx.all(
        """delete from sqs_message where queue = :queue and sequence in (
               select sequence from sqs_message where queue = :queue and sequence < :bound
               order by sequence limit :limit)
           returning group_id""",
        queue=queue,
        bound=sequence_at(before_ms),
        limit=limit,
    )
    return [row["group_id"] for row in rows]


def oldest(tx: Transaction) -> list[tuple[int, int, int]]:
    """For each queue with messages: its id, when its oldest message expires, and its retention. Milliseconds."""
    rows = tx.all(
        """select id, retention_ms, (select min(sequence) from sqs_message where queue = sqs_queue.id) as first
           from sqs_queue"""
    )
    return [
        (row["id"], (row["first"] >> SEQUENCE_BITS) + row["retention_ms"], row["retention_ms"])
        for row in rows
        if row["first"] is not None
    ]
