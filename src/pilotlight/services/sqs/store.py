"""Queues, as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.services.sqs.attributes import DEFAULTS, FIFO_DEFAULTS, redrive
from pilotlight.services.sqs.errors import no_queue
from pilotlight.services.sqs.names import QueueName
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class Queue:
    account: str
    region: str
    name: str
    id: int
    """Changes when the queue is purged: whatever belongs to an id that no queue has is swept away."""
    fifo: bool
    attributes: dict[str, str]
    """What was set; see `setting` for what holds."""
    tags: dict[str, str]
    created_ms: int
    modified_ms: int
    purged_ms: int
    last_sequence: int

    @property
    def key(self) -> QueueName:
        return QueueName(self.account, self.region, self.name)

    def setting(self, name: str) -> str:
        return self.attributes.get(name) or DEFAULTS.get(name) or (FIFO_DEFAULTS.get(name, "") if self.fifo else "")

    def milliseconds(self, name: str) -> int:
        return 1000 * int(self.setting(name))

    @property
    def redrive(self) -> tuple[str, int] | None:
        """The dead-letter queue's ARN, and after how many receives."""
        text = self.attributes.get("RedrivePolicy", "")
        return redrive(text) if text else None


def _queue(row: Mapping[str, Any]) -> Queue:
    values = {key: value for key, value in row.items() if key != "retention_ms"}
    values |= {"fifo": bool(row["fifo"]), "attributes": json.loads(row["attributes"]), "tags": json.loads(row["tags"])}
    return Queue(**values)


def find(tx: Transaction, key: QueueName) -> Queue | None:
    row = tx.one(
        "select * from sqs_queue where account = :account and region = :region and name = :name",
        account=key.account,
        region=key.region,
        name=key.name,
    )
    return _queue(row) if row else None


def require(tx: Transaction, key: QueueName) -> Queue:
    """Raises AwsError."""
    queue = find(tx, key)
    if queue is None:
        raise no_queue()
    return queue


def save(tx: Transaction, queue: Queue) -> None:
    tx.run(
        """insert into sqs_queue (account, region, name, id, fifo, attributes, tags, retention_ms, created_ms,
                                  modified_ms, purged_ms, last_sequence)
           values (:account, :region, :name, :id, :fifo, :attributes, :tags, :retention_ms, :created_ms, :modified_ms,
                   :purged_ms, :last_sequence)
           on conflict (account, region, name) do update set id = excluded.id, attributes = excluded.attributes,
           tags = excluded.tags, retention_ms = excluded.retention_ms, modified_ms = excluded.modified_ms,
           purged_ms = excluded.purged_ms""",
        account=queue.account,
        region=queue.region,
        name=queue.name,
        id=queue.id,
        fifo=int(queue.fifo),
        attributes=json.dumps(queue.attributes),
        tags=json.dumps(queue.tags),
        retention_ms=queue.milliseconds("MessageRetentionPeriod"),
        created_ms=queue.created_ms,
        modified_ms=queue.modified_ms,
        purged_ms=queue.purged_ms,
        last_sequence=queue.last_sequence,
    )


def delete(tx: Transaction, queue: Queue, *, again_from_ms: int) -> None:
    """The queue is gone at once; its messages are swept."""
    tx.run("delete from sqs_queue where id = :id", id=queue.id)
    sweep_later(tx, queue.id)
    tx.run(
        """insert into sqs_deleted (account, region, name, until_ms) values (:account, :region, :name, :until_ms)
           on conflict (account, region, name) do update set until_ms = excluded.until_ms""",
        account=queue.account,
        region=queue.region,
        name=queue.name,
        until_ms=again_from_ms,
    )


def deleted_until_ms(tx: Transaction, key: QueueName) -> int:
    row = tx.one(
        "select until_ms from sqs_deleted where account = :account and region = :region and name = :name",
        account=key.account,
        region=key.region,
        name=key.name,
    )
    return int(row["until_ms"]) if row else 0


def list_queues(tx: Transaction, account: str, region: str, *, prefix: str, after: str, limit: int) -> list[Queue]:
    rows = tx.all(
        """select * from sqs_queue where account = :account and region = :region and name > :after
           and substr(name, 1, :length) = :prefix order by name limit :limit""",
        account=account,
        region=region,
        after=after,
        prefix=prefix,
        length=len(prefix),
        limit=limit,
    )
    return [_queue(row) for row in rows]


def sources(tx: Transaction, target: Queue) -> list[Queue]:
    """Queues whose dead-letter queue this is, by name."""
    rows = tx.all(
        """select * from sqs_queue where account = :account and region = :region and attributes like :mark
           order by name""",
        account=target.account,
        region=target.region,
        mark=f"%{target.name}%",
    )
    found = [_queue(row) for row in rows]
    return [queue for queue in found if queue.redrive and queue.redrive[0] == target.key.arn]


def counts(tx: Transaction, queue: Queue, now_ms: int) -> tuple[int, int, int]:
    """Messages that are visible, in flight, and delayed."""
    row = tx.one(
        """select count(case when visible_at_ms <= :now_ms then 1 end) as visible,
                  count(case when visible_at_ms > :now_ms and receipt <> '' then 1 end) as in_flight,
                  count(case when visible_at_ms > :now_ms and receipt = '' then 1 end) as waiting
           from sqs_message where queue = :queue""",
        now_ms=now_ms,
        queue=queue.id,
    )
    assert row is not None
    return row["visible"], row["in_flight"], row["waiting"]


# What is left of queues.


def sweep_later(tx: Transaction, queue: int) -> None:
    tx.run("insert into sqs_sweep (queue) values (:queue) on conflict (queue) do nothing", queue=queue)


def sweep(tx: Transaction, limit: int) -> bool:
    """Delete some rows of a queue that is gone; False where there is none."""
    row = tx.one("select queue from sqs_sweep order by queue limit 1")
    if row is None:
        return False
    gone = tx.run(
        """delete from sqs_message where queue = :queue and sequence in
           (select sequence from sqs_message where queue = :queue order by sequence limit :limit)""",
        queue=row["queue"],
        limit=limit,
    )
    if gone < limit:
        for table in ("sqs_group", "sqs_deduplication", "sqs_attempt"):
            tx.run(f"delete from {table} where queue = :queue", queue=row["queue"])
        tx.run("delete from sqs_sweep where queue = :queue", queue=row["queue"])
    return True


def has_sweep(tx: Transaction) -> bool:
    return tx.one("select 1 as one from sqs_sweep limit 1") is not None


def forget(tx: Transaction, now_ms: int) -> int | None:
    """Deduplication ids, attempts and names whose time is over; when the next one's is."""
    for table in ("sqs_deduplication", "sqs_attempt", "sqs_deleted"):
        tx.run(f"delete from {table} where until_ms <= :now_ms", now_ms=now_ms)
    return next_forget_ms(tx)


def next_forget_ms(tx: Transaction) -> int | None:
    moments = []
    for table in ("sqs_deduplication", "sqs_attempt", "sqs_deleted"):
        row = tx.one(f"select min(until_ms) as due from {table}")
        if row and row["due"] is not None:
            moments.append(row["due"])
    return min(moments, default=None)
