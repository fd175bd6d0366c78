"""Message move tasks, as rows, and their next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pilotlight.services.sqs import fifo_store, message_store, store
from pilotlight.services.sqs.message_store import COLUMNS, Message
from pilotlight.services.sqs.names import read_arn
from pilotlight.services.sqs.store import Queue
from pilotlight.storage import Transaction

STEP_MESSAGES = 100
SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class Move:
    handle: str
    account: str
    region: str
    source: str
    destination: str
    """Nothing: each message goes back to where it came from."""
    rate: int
    """Messages a second; 0 is as fast as it goes."""
    status: str
    moved: int
    total: int
    started_ms: int
    due_ms: int
    failure: str


NAMES = [field.name for field in fields(Move)]


def save(tx: Transaction, move: Move) -> None:
    tx.run(
        f"insert into sqs_move ({', '.join(NAMES)}) values ({', '.join(':' + name for name in NAMES)})",
        **{name: getattr(move, name) for name in NAMES},
    )


def find(tx: Transaction, handle: str) -> Move | None:
    row = tx.one("select * from sqs_move where handle = :handle", handle=handle)
    return Move(**row) if row else None


def running(tx: Transaction, source: str) -> bool:
    return (
        tx.one("select 1 as one from sqs_move where source = :source and status = 'RUNNING'", source=source) is not None
    )


def list_of(tx: Transaction, source: str, limit: int) -> list[Move]:
    rows = tx.all(
        "select * from sqs_move where source = :source order by started_ms desc, handle limit :limit",
        source=source,
        limit=limit,
    )
    return [Move(**row) for row in rows]


def change(tx: Transaction, move: Move, **given: Any) -> None:
    values: Mapping[str, Any] = {
        "status": move.status,
        "moved": move.moved,
        "due_ms": move.due_ms,
        "failure": move.failure,
    }
    tx.run(
        """update sqs_move set status = :status, moved = :moved, due_ms = :due_ms, failure = :failure
           where handle = :handle""",
        handle=move.handle,
        **{**values, **given},
    )


def next_due(tx: Transaction) -> Move | None:
    row = tx.one("select * from sqs_move where status = 'RUNNING' order by due_ms limit 1")
    return Move(**row) if row else None


def step(tx: Transaction, handle: str, now_ms: int) -> list[int]:
    """Move some messages, once; the ids of the queues that got some."""
    move = find(tx, handle)
    if move is None or move.status != "RUNNING" or move.due_ms > now_ms:
        return []
    source = store.find(tx, read_arn(move.source))
    if source is None:
        change(tx, move, status="FAILED", failure="AWS.SimpleQueueService.NonExistentQueue")
        return []
    limit = min(move.rate, STEP_MESSAGES) if move.rate else STEP_MESSAGES
    messages = _visible(tx, source, now_ms, limit)
    targets: dict[str, Queue | None] = {}
    for done, message in enumerate(messages):
        arn = move.destination or message.dead_letter_source
        if arn not in targets:
            targets[arn] = store.find(tx, read_arn(arn)) if arn else None
        target = targets[arn]
        if target is None:
            failure = "AWS.SimpleQueueService.NonExistentQueue" if arn else "CouldNotDetermineMessageSource"
            change(tx, move, status="FAILED", failure=failure, moved=move.moved + done)
            return []
        _move(tx, message, source, target, now_ms)
    moved = move.moved + len(messages)
    if len(messages) < limit:
        change(tx, move, status="COMPLETED", moved=moved)
    else:
        wait_ms = SECOND_MS * limit // move.rate if move.rate else 0
        change(tx, move, moved=moved, due_ms=now_ms + wait_ms)
    return [target.id for target in targets.values() if target is not None]


def _visible(tx: Transaction, source: Queue, now_ms: int, limit: int) -> list[Message]:
    rows = tx.all(
        f"""select {COLUMNS} from sqs_message where queue = :queue and visible_at_ms <= :now_ms
            order by visible_at_ms, sequence limit :limit""",
        queue=source.id,
        now_ms=now_ms,
        limit=limit,
    )
    return sorted((Message(**row) for row in rows), key=lambda message: message.sequence)


def _move(tx: Transaction, message: Message, source: Queue, target: Queue, now_ms: int) -> None:
    """AWS: what is redriven is a new message there: its receives are counted anew."""
    fresh = {"receives": 0, "first_received_ms": 0, "dead_letter_source": ""}
    message_store.delete(tx, message)
    values = {name: getattr(message, name) for name in COLUMNS.split(", ")}
    values |= {**fresh, "queue": target.id, "visible_at_ms": now_ms, "receipt": "", "received_ms": 0}
    if target.fifo:
        fifo_store.append(tx, Message(**{**values, "sent_ms": now_ms}))
        fifo_store.refresh(tx, source.id, message.group_id, now_ms)
    else:
        message_store.insert(tx, [Message(**values)])
