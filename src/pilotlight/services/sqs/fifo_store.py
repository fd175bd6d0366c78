"""Messages of FIFO queues, as rows: in order within their group, and one batch of a group at a time.

A group's row says when its head may be received: when the last of what is in flight is deleted or shown again, or when
the head's own delay is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pilotlight.services.sqs.message_store import COLUMNS, Message, Receive, Received, insert, sequence_at, show_at
from pilotlight.services.sqs.message_store import _message as message_of
from pilotlight.services.sqs.store import Queue
from pilotlight.storage import Transaction

DEDUPLICATION_MS = 5 * 60_000
IN_FLIGHT_EACH_MAX = 10
"""A receive hands out as many at most, and a group has one receive in flight."""


def send(tx: Transaction, queue: Queue, message: Message, key: str) -> Message:
    """Append it, or tell of the one that was sent under the same deduplication key within five minutes."""
    row = tx.one(
        "select id, sequence from sqs_deduplication where queue = :queue and key = :key and until_ms > :now_ms",
        queue=queue.id,
        key=key,
        now_ms=message.sent_ms,
    )
    if row is not None:
        return replace(message, id=row["id"], sequence=row["sequence"])
    placed = append(tx, message)
    tx.run(
        """insert into sqs_deduplication (queue, key, id, sequence, until_ms)
           values (:queue, :key, :id, :sequence, :until_ms) on conflict (queue, key) do update set
           id = excluded.id, sequence = excluded.sequence, until_ms = excluded.until_ms""",
        queue=queue.id,
        key=key,
        id=placed.id,
        sequence=placed.sequence,
        until_ms=message.sent_ms + DEDUPLICATION_MS,
    )
    return placed


def append(tx: Transaction, message: Message) -> Message:
    """At the end of its queue and group."""
    row = tx.one(
        """update sqs_queue set last_sequence = case when last_sequence < :least then :least else last_sequence + 1 end
           where id = :queue returning last_sequence""",
        least=sequence_at(message.sent_ms),
        queue=message.queue,
    )
    placed = replace(message, sequence=row["last_sequence"] if row else message.sequence)
    insert(tx, [placed])
    tx.run(
        """insert into sqs_group (queue, group_id, available_at_ms, head)
           values (:queue, :group_id, :available_at_ms, :head) on conflict (queue, group_id) do nothing""",
        queue=placed.queue,
        group_id=placed.group_id,
        available_at_ms=placed.visible_at_ms,
        head=placed.sequence,
    )
    return placed


def receive(tx: Transaction, queue: Queue, asked: Receive, dead: tuple[Queue, int] | None) -> Received:
    again = _again(tx, queue, asked) if asked.attempt else []
    if again:
        return Received(again)
    groups = tx.all(
        """select group_id from sqs_group where queue = :queue and available_at_ms <= :now_ms
           order by available_at_ms, head limit :limit""",
        queue=queue.id,
        now_ms=asked.now_ms,
        limit=asked.limit,
    )
    taken: list[Message] = []
    moved = False
    for row in groups:
        if len(taken) == asked.limit:
            break
        messages, spent = _take(tx, queue, row["group_id"], asked, dead, asked.limit - len(taken))
        taken += messages
        moved = moved or spent
    if asked.attempt and taken:
        tx.run(
            """insert into sqs_attempt (queue, attempt, receipt, until_ms)
               values (:queue, :attempt, :receipt, :until_ms)
               on conflict (queue, attempt) do update set receipt = excluded.receipt, until_ms = excluded.until_ms""",
            queue=queue.id,
            attempt=asked.attempt,
            receipt=asked.receipt,
            until_ms=asked.attempt_until_ms,
        )
    return Received(taken, dead[0] if dead is not None and moved else None)


def _take(
    tx: Transaction, queue: Queue, group: str, asked: Receive, dead: tuple[Queue, int] | None, limit: int
) -> tuple[list[Message], bool]:
    """The group's first messages; True where some went to the dead-letter queue on the way."""
    taken: list[Message] = []
    moved = False
    while len(taken) < limit:
        head = _first(tx, queue.id, group, 1, after=taken[-1].sequence if taken else 0)
        if not head or head[0].visible_at_ms > asked.now_ms:
            break
        message = head[0]
        if dead is not None and message.receives >= dead[1]:
            move(tx, message, queue, dead[0], now_ms=asked.now_ms)
            moved = True
            continue
        taken.append(_hide(tx, message, asked))
    refresh(tx, queue.id, group, asked.now_ms)
    return taken, moved


def _hide(tx: Transaction, message: Message, asked: Receive) -> Message:
    hidden = replace(
        message,
        visible_at_ms=asked.until_ms,
        receives=message.receives + 1,
        receipt=asked.receipt,
        received_ms=asked.now_ms,
        first_received_ms=message.first_received_ms or asked.now_ms,
    )
    tx.run(
        """update sqs_message set visible_at_ms = :visible_at_ms, receives = :receives, receipt = :receipt,
           received_ms = :received_ms, first_received_ms = :first_received_ms
           where queue = :queue and sequence = :sequence""",
        visible_at_ms=hidden.visible_at_ms,
        receives=hidden.receives,
        receipt=hidden.receipt,
        received_ms=hidden.received_ms,
        first_received_ms=hidden.first_received_ms,
        queue=hidden.queue,
        sequence=hidden.sequence,
    )
    return hidden


def _again(tx: Transaction, queue: Queue, asked: Receive) -> list[Message]:
    """AWS: a receive that is repeated with its attempt id gets the same messages again, hidden anew, where nothing has
    happened to them since."""
    row = tx.one(
        "select receipt from sqs_attempt where queue = :queue and attempt = :attempt and until_ms > :now_ms",
        queue=queue.id,
        attempt=asked.attempt,
        now_ms=asked.now_ms,
    )
    if row is None:
        return []
    rows = tx.all(
        f"""select {COLUMNS} from sqs_message where queue = :queue and receipt = :receipt and visible_at_ms > :now_ms
            order by sequence""",
        queue=queue.id,
        receipt=row["receipt"],
        now_ms=asked.now_ms,
    )
    messages = [message_of(found) for found in rows]
    for message in messages:
        show_at(tx, message, asked.until_ms)
    refresh_all(tx, queue.id, {message.group_id for message in messages}, asked.now_ms)
    return [replace(message, visible_at_ms=asked.until_ms) for message in messages]


def _first(tx: Transaction, queue: int, group: str, limit: int, *, after: int = 0) -> list[Message]:
    rows = tx.all(
        f"""select {COLUMNS} from sqs_message where queue = :queue and group_id = :group_id and group_id <> ''
            and sequence > :after order by sequence limit :limit""",
        queue=queue,
        group_id=group,
        after=after,
        limit=limit,
    )
    return [message_of(row) for row in rows]


def refresh(tx: Transaction, queue: int, group: str, now_ms: int) -> None:
    """Say anew when the group's head may be received."""
    first = _first(tx, queue, group, IN_FLIGHT_EACH_MAX)
    if not first:
        tx.run("delete from sqs_group where queue = :queue and group_id = :group_id", queue=queue, group_id=group)
        return
    hidden = [one.visible_at_ms for one in first if one.receipt and one.visible_at_ms > now_ms]
    tx.run(
        """update sqs_group set available_at_ms = :available_at_ms, head = :head
           where queue = :queue and group_id = :group_id""",
        available_at_ms=max(hidden, default=first[0].visible_at_ms),
        head=first[0].sequence,
        queue=queue,
        group_id=group,
    )


def refresh_all(tx: Transaction, queue: int, groups: Iterable[str], now_ms: int) -> None:
    for group in groups:
        refresh(tx, queue, group, now_ms)


def move(tx: Transaction, message: Message, source: Queue, target: Queue, *, now_ms: int) -> None:
    """Into another FIFO queue, behind what is there. AWS: its age begins anew. The caller refreshes the old group."""
    tx.run(
        "delete from sqs_message where queue = :queue and sequence = :sequence",
        queue=message.queue,
        sequence=message.sequence,
    )
    fresh = replace(message, queue=target.id, visible_at_ms=now_ms, sent_ms=now_ms, receipt="", received_ms=0)
    append(tx, replace(fresh, dead_letter_source=source.key.arn))
