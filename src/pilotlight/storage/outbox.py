"""Events on their way, written in the same transaction as their cause.

A row is claimed under a lease token, worked on, and completed or put back with a later due time.
Completing with a stale token changes nothing. `delivery/` does the work; whoever causes an event
only calls `post`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from pilotlight.storage.database import Transaction

SLOTS = 256


def slot_of(account: str, service: str, resource: str) -> int:
    """The partition that a piece of work belongs to, 0 to 255."""
    return zlib.crc32(f"{account}:{service}:{resource}".encode()) % SLOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEvent:
    id: str
    kind: str
    """Which target of `delivery/targets/` takes it: `lambda_invoke`, `lambda_async` …"""
    account: str
    region: str
    target: str
    """ARN of what it is delivered to."""
    source: str = ""
    """ARN of what caused it."""
    payload: bytes
    created_ms: int
    """Cloud time."""
    due_ms: int
    attempts: int = 0
    slot: int = 0
    detail: str = "{}"
    """JSON that the kind understands: settings of the retry, the request id, and so on."""


@dataclass(frozen=True, slots=True)
class Lease:
    event: OutboxEvent
    token: str


COLUMNS = "id, kind, account, region, target, source, payload, created_ms, due_ms, attempts, slot, detail"


def post(tx: Transaction, event: OutboxEvent) -> None:
    """Accept an event. Posting an id twice keeps the first."""
    tx.run(
        f"""insert into outbox ({COLUMNS}, lease_token, lease_until_ms)
            values (:id, :kind, :account, :region, :target, :source, :payload, :created_ms, :due_ms, :attempts,
                    :slot, :detail, '', 0) on conflict (id) do nothing""",
        id=event.id,
        kind=event.kind,
        account=event.account,
        region=event.region,
        target=event.target,
        source=event.source,
        payload=event.payload,
        created_ms=event.created_ms,
        due_ms=event.due_ms,
        attempts=event.attempts,
        slot=slot_of(event.account, event.kind, event.target),
        detail=event.detail,
    )


def claim(tx: Transaction, *, now_ms: int, wall_ms: int, lease_until_ms: int, token: str, limit: int) -> list[Lease]:
    """Lease up to `limit` events that are due. `now_ms` is cloud time; leases are wall time."""
    rows = tx.all(
        f"""with due as materialized (
                select id from outbox where due_ms <= :now_ms and lease_until_ms <= :wall_ms
                order by due_ms, id limit :limit {tx.skip_locked})
            update outbox set lease_token = :token, lease_until_ms = :lease_until_ms, attempts = attempts + 1
            where id in (select id from due) returning {COLUMNS}""",
        now_ms=now_ms,
        wall_ms=wall_ms,
        lease_until_ms=lease_until_ms,
        token=token,
        limit=limit,
    )
    events = sorted((OutboxEvent(**row) for row in rows), key=lambda event: (event.due_ms, event.id))
    return [Lease(event, token) for event in events]


def complete(tx: Transaction, lease: Lease) -> bool:
    """The event is done. False where the lease was lost, and nothing was changed."""
    sql = "delete from outbox where id = :id and lease_token = :token"
    return tx.run(sql, id=lease.event.id, token=lease.token) > 0


def retry(tx: Transaction, lease: Lease, *, due_ms: int, attempts: int, detail: str | None = None) -> bool:
    """Put the event back, due later. `attempts` is what counts against its limit."""
    return (
        tx.run(
            """update outbox set due_ms = :due_ms, attempts = :attempts, detail = coalesce(:detail, detail),
               lease_token = '', lease_until_ms = 0 where id = :id and lease_token = :token""",
            due_ms=due_ms,
            attempts=attempts,
            detail=detail,
            id=lease.event.id,
            token=lease.token,
        )
        > 0
    )


def renew(tx: Transaction, token: str, *, lease_until_ms: int) -> int:
    """Hold on to what was claimed under a token; how many events that still are."""
    return tx.run(
        "update outbox set lease_until_ms = :lease_until_ms where lease_token = :token",
        lease_until_ms=lease_until_ms,
        token=token,
    )


def release_all(tx: Transaction) -> None:
    """At the start of the only node: whoever held leases before is gone."""
    tx.run("update outbox set lease_token = '', lease_until_ms = 0 where lease_until_ms > 0")


def next_due_ms(tx: Transaction) -> int | None:
    """When the next event that nobody works on falls due."""
    row = tx.one("select min(due_ms) as due from outbox where lease_until_ms = 0")
    return row["due"] if row else None
