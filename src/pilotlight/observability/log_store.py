"""Log groups, streams and events, in a SQLite file of their own (`logs.db`): logs may lose their last
moment in a power cut, and must not slow down what may not.

Events are ordered by their time, and by arrival where times are equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.storage import Transaction

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Group:
    id: int
    account: str
    region: str
    name: str
    created_ms: int
    retention_days: int | None
    log_class: str
    protected: bool
    tags: dict[str, str]

    @property
    def arn(self) -> str:
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:{self.name}"

    def oldest_ms(self, now_ms: int) -> int:
        """Events before this moment have expired."""
        return now_ms - self.retention_days * DAY_MS if self.retention_days else 0


@dataclass(frozen=True, slots=True)
class Stream:
    id: int
    group_id: int
    name: str
    created_ms: int
    first_ms: int | None
    last_ms: int | None
    ingested_ms: int | None


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    stream: str
    at_ms: int
    ingested_ms: int
    message: str

    @property
    def position(self) -> Position:
        return Position(self.at_ms, self.id)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place among the events of a stream or group, written with 56 digits."""

    at_ms: int
    id: int

    def __str__(self) -> str:
        return f"{self.at_ms:020d}{self.id:036d}"

    @classmethod
    def parse(cls, text: str) -> Position:
        if len(text) != 56 or not text.isdigit():
            raise ValueError(text)
        return cls(int(text[:20]), int(text[20:]))


START = Position(0, 0)
END = Position(10**19, 0)


def _group(row: Mapping[str, Any]) -> Group:
    return Group(
        row["id"],
        row["account"],
        row["region"],
        row["name"],
        row["created_ms"],
        row["retention_days"],
        row["class"],
        bool(row["protected"]),
        json.loads(row["tags"]),
    )


def add_group(
    tx: Transaction,
    account: str,
    region: str,
    name: str,
    *,
    now_ms: int,
    log_class: str = "STANDARD",
    protected: bool = False,
    tags: Mapping[str, str] | None = None,
) -> bool:
    """False where it is there already."""
    added = tx.run(
        """insert into log_group (account, region, name, created_ms, class, protected, tags)
           values (:account, :region, :name, :now_ms, :class, :protected, :tags)
           on conflict (account, region, name) do nothing""",
        account=account,
        region=region,
        name=name,
        now_ms=now_ms,
        **{"class": log_class},
        protected=int(protected),
        tags=json.dumps(dict(tags or {})),
    )
    return added > 0


def find_group(tx: Transaction, account: str, region: str, name: str) -> Group | None:
    row = tx.one(
        "select * from log_group where account = :account and region = :region and name = :name",
        account=account,
        region=region,
        name=name,
    )
    return _group(row) if row else None


def list_groups(tx: Transaction, account: str, region: str) -> list[Group]:
    rows = tx.all(
        "select * from log_group where account = :account and region = :region order by name",
        account=account,
        region=region,
    )
    return [_group(row) for row in rows]


def change_group(tx: Transaction, group: Group) -> None:
    tx.run(
        "update log_group set retention_days = :days, protected = :protected, tags = :tags where id = :id",
        days=group.retention_days,
        protected=int(group.protected),
        tags=json.dumps(group.tags),
        id=group.id,
    )


def delete_group(tx: Transaction, group_id: int) -> None:
    tx.run("delete from log_event where group_id = :id", id=group_id)
    tx.run("delete from log_stream where group_id = :id", id=group_id)
    tx.run("delete from log_group where id = :id", id=group_id)


def stored_bytes(tx: Transaction, group_id: int) -> int:
    row = tx.one("select sum(length(message)) as n from log_event where group_id = :id", id=group_id)
    return int(row["n"] or 0) if row else 0


def add_stream(tx: Transaction, group_id: int, name: str, *, now_ms: int) -> bool:
    added = tx.run(
        """insert into log_stream (group_id, name, created_ms) values (:group_id, :name, :now_ms)
           on conflict (group_id, name) do nothing""",
        group_id=group_id,
        name=name,
        now_ms=now_ms,
    )
    return added > 0


def find_stream(tx: Transaction, group_id: int, name: str) -> Stream | None:
    row = tx.one("select * from log_stream where group_id = :id and name = :name", id=group_id, name=name)
    return Stream(**row) if row else None


def list_streams(tx: Transaction, group_id: int) -> list[Stream]:
    return [Stream(**row) for row in tx.all("select * from log_stream where group_id = :id", id=group_id)]


def delete_stream(tx: Transaction, stream_id: int) -> None:
    tx.run("delete from log_event where stream_id = :id", id=stream_id)
    tx.run("delete from log_stream where id = :id", id=stream_id)


def append(tx: Transaction, stream: Stream, lines: Sequence[tuple[int, str]], *, ingested_ms: int) -> None:
    rows = [
        {"g": stream.group_id, "s": stream.id, "at": at_ms, "now": ingested_ms, "message": message}
        for at_ms, message in lines
    ]
    tx.many(
        """insert into log_event (group_id, stream_id, at_ms, ingested_ms, message)
           values (:g, :s, :at, :now, :message)""",
        rows,
    )
    times = [at_ms for at_ms, _ in lines]
    tx.run(
        """update log_stream set first_ms = min(coalesce(first_ms, :first), :first),
           last_ms = max(coalesce(last_ms, :last), :last), ingested_ms = :now where id = :id""",
        first=min(times),
        last=max(times),
        now=ingested_ms,
        id=stream.id,
    )


EVENT = "select e.id, s.name as stream, e.at_ms, e.ingested_ms, e.message from log_event e"
BETWEEN = "e.at_ms >= :from_ms and e.at_ms < :until_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Events from a moment on, and before another; after a position, or before it."""

    from_ms: int
    until_ms: int
    after: Position = START
    before: Position = END


def read_stream(tx: Transaction, stream_id: int, span: Span, *, limit: int, newest: bool) -> list[Event]:
    """The oldest of them, or the newest; in order either way."""
    direction = "desc" if newest else "asc"
    rows = tx.all(
        f"""{EVENT} join log_stream s on s.id = e.stream_id where e.stream_id = :id and {BETWEEN}
            and (e.at_ms, e.id) > (:after_ms, :after_id) and (e.at_ms, e.id) < (:before_ms, :before_id)
            order by e.at_ms {direction}, e.id {direction} limit :limit""",
        id=stream_id,
        limit=limit,
        **_span(span),
    )
    events = [Event(**row) for row in rows]
    return events[::-1] if newest else events


def read_group(tx: Transaction, group_id: int, span: Span, *, limit: int) -> list[Event]:
    rows = tx.all(
        f"""{EVENT} join log_stream s on s.id = e.stream_id where e.group_id = :id and {BETWEEN}
            and (e.at_ms, e.id) > (:after_ms, :after_id) and (e.at_ms, e.id) < (:before_ms, :before_id)
            order by e.at_ms, e.id limit :limit""",
        id=group_id,
        limit=limit,
        **_span(span),
    )
    return [Event(**row) for row in rows]


def _span(span: Span) -> dict[str, int]:
    return {
        "from_ms": span.from_ms,
        "until_ms": min(span.until_ms, 2**62),
        "after_ms": span.after.at_ms,
        "after_id": span.after.id,
        "before_ms": min(span.before.at_ms, 2**62),
        "before_id": span.before.id,
    }


def expire(tx: Transaction, now_ms: int, limit: int) -> int:
    """Delete some of what has outlived its group's retention; how many events that were."""
    return tx.run(
        f"""delete from log_event where id in (
              select e.id from log_event e join log_group g on g.id = e.group_id
              where g.retention_days is not null and e.at_ms < :now_ms - g.retention_days * {DAY_MS} limit :limit)""",
        now_ms=now_ms,
        limit=limit,
    )


def next_expiry_ms(tx: Transaction) -> int | None:
    row = tx.one(
        f"""select min(oldest + days * {DAY_MS}) as due from (
              select min(e.at_ms) as oldest, g.retention_days as days from log_group g
              join log_event e on e.group_id = g.id where g.retention_days is not null group by g.id)"""
    )
    return row["due"] if row else None
