"""Topics, subscriptions and what waits for them, as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotlight.services.sns.errors import no_subscription, no_topic
from pilotlight.services.sns.names import FIFO
from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    arn: str
    account: str
    region: str
    name: str
    attributes: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)
    last_sequence: int = 0

    @property
    def fifo(self) -> bool:
        return self.name.endswith(FIFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    arn: str
    topic: str
    account: str
    region: str
    owner: str
    protocol: str
    endpoint: str
    attributes: dict[str, str]
    token: str
    confirmed: bool
    authenticated: bool
    guest: bool = False
    """A function made it: `services/sns/addresses.py`."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first message of a FIFO line."""

    sequence: int
    payload: str
    failures: int
    due_ms: int


def _topic(row: Mapping[str, Any]) -> Topic:
    return Topic(**{**row, "attributes": json.loads(row["attributes"]), "tags": json.loads(row["tags"])})


def _subscription(row: Mapping[str, Any]) -> Subscription:
    flags = {name: bool(row[name]) for name in ("confirmed", "authenticated", "guest")}
    return Subscription(**{**row, **flags, "attributes": json.loads(row["attributes"])})


def find(tx: Transaction, arn: str) -> Topic | None:
    row = tx.one("select * from sns_topic where arn = :arn", arn=arn)
    return _topic(row) if row else None


def require(tx: Transaction, arn: str) -> Topic:
    """Raises AwsError."""
    topic = find(tx, arn)
    if topic is None:
        raise no_topic()
    return topic


def save(tx: Transaction, topic: Topic) -> None:
    tx.run(
        """insert into sns_topic (arn, account, region, name, attributes, tags, last_sequence)
           values (:arn, :account, :region, :name, :attributes, :tags, :last_sequence)
           on conflict (arn) do update set attributes = excluded.attributes, tags = excluded.tags""",
        arn=topic.arn,
        account=topic.account,
        region=topic.region,
        name=topic.name,
        attributes=json.dumps(topic.attributes),
        tags=json.dumps(topic.tags),
        last_sequence=topic.last_sequence,
    )


def delete(tx: Transaction, arn: str) -> None:
    tx.run("delete from sns_subscription where topic = :arn", arn=arn)
    tx.run("delete from sns_deduplication where topic = :arn", arn=arn)
    tx.run("delete from sns_topic where arn = :arn", arn=arn)


def list_topics(tx: Transaction, account: str, region: str, *, after: str, limit: int) -> list[Topic]:
    rows = tx.all(
        """select * from sns_topic where account = :account and region = :region and arn > :after
           order by arn limit :limit""",
        account=account,
        region=region,
        after=after,
        limit=limit,
    )
    return [_topic(row) for row in rows]


# Subscriptions.


def find_subscription(tx: Transaction, arn: str) -> Subscription | None:
    row = tx.one("select * from sns_subscription where arn = :arn", arn=arn)
    return _subscription(row) if row else None


def require_subscription(tx: Transaction, arn: str) -> Subscription:
    """Raises AwsError."""
    found = find_subscription(tx, arn)
    if found is None:
        raise no_subscription()
    return found


def same_subscription(tx: Transaction, topic: str, protocol: str, endpoint: str) -> Subscription | None:
    row = tx.one(
        "select * from sns_subscription where topic = :topic and protocol = :protocol and endpoint = :endpoint",
        topic=topic,
        protocol=protocol,
        endpoint=endpoint,
    )
    return _subscription(row) if row else None


def save_subscription(tx: Transaction, one: Subscription) -> None:
    tx.run(
        """insert into sns_subscription (arn, topic, account, region, owner, protocol, endpoint, attributes, token,
                                         confirmed, authenticated, guest)
           values (:arn, :topic, :account, :region, :owner, :protocol, :endpoint, :attributes, :token, :confirmed,
                   :authenticated, :guest)
           on conflict (arn) do update set attributes = excluded.attributes, token = excluded.token,
           confirmed = excluded.confirmed, authenticated = excluded.authenticated, guest = excluded.guest""",
        arn=one.arn,
        topic=one.topic,
        account=one.account,
        region=one.region,
        owner=one.owner,
        protocol=one.protocol,
        endpoint=one.endpoint,
        attributes=json.dumps(one.attributes),
        token=one.token,
        confirmed=int(one.confirmed),
        authenticated=int(one.authenticated),
        guest=int(one.guest),
    )


def delete_subscription(tx: Transaction, arn: str) -> None:
    tx.run("delete from sns_subscription where arn = :arn", arn=arn)
    tx.run("delete from sns_line where subscription = :arn", arn=arn)


def of_topic(tx: Transaction, topic: str, *, after: str = "", limit: int = 1_000_000) -> list[Subscription]:
    rows = tx.all(
        "select * from sns_subscription where topic = :topic and arn > :after order by arn limit :limit",
        topic=topic,
        after=after,
        limit=limit,
    )
    return [_subscription(row) for row in rows]


def of_account(tx: Transaction, account: str, region: str, *, after: str, limit: int) -> list[Subscription]:
    rows = tx.all(
        """select * from sns_subscription where account = :account and region = :region and arn > :after
           order by arn limit :limit""",
        account=account,
        region=region,
        after=after,
        limit=limit,
    )
    return [_subscription(row) for row in rows]


# FIFO.


def published(tx: Transaction, topic: str, key: str, now_ms: int) -> tuple[str, int] | None:
    """The message that was published under this key within the last minutes."""
    tx.run("delete from sns_deduplication where topic = :topic and until_ms <= :now_ms", topic=topic, now_ms=now_ms)
    row = tx.one("select id, sequence from sns_deduplication where topic = :topic and key = :key", topic=topic, key=key)
    return (row["id"], row["sequence"]) if row else None


def remember(tx: Transaction, topic: str, key: str, *, identity: str, sequence: int, until_ms: int) -> None:
    tx.run(
        """insert into sns_deduplication (topic, key, id, sequence, until_ms)
           values (:topic, :key, :id, :sequence, :until_ms)""",
        topic=topic,
        key=key,
        id=identity,
        sequence=sequence,
        until_ms=until_ms,
    )


def next_sequence(tx: Transaction, topic: str) -> int:
    row = tx.one(
        "update sns_topic set last_sequence = last_sequence + 1 where arn = :arn returning last_sequence", arn=topic
    )
    if row is None:
        raise no_topic()
    return int(row["last_sequence"])


def line_up(tx: Transaction, subscription: str, group: str, sequence: int, payload: str) -> None:
    tx.run(
        """insert into sns_line (subscription, group_id, sequence, payload, failures, due_ms)
           values (:subscription, :group_id, :sequence, :payload, 0, 0)""",
        subscription=subscription,
        group_id=group,
        sequence=sequence,
        payload=payload,
    )


def head(tx: Transaction, subscription: str, group: str) -> Head | None:
    row = tx.one(
        """select sequence, payload, failures, due_ms from sns_line
           where subscription = :subscription and group_id = :group_id order by sequence limit 1""",
        subscription=subscription,
        group_id=group,
    )
    return Head(**row) if row else None


def failed(tx: Transaction, subscription: str, group: str, sequence: int, *, failures: int, due_ms: int) -> None:
    tx.run(
        """update sns_line set failures = :failures, due_ms = :due_ms
           where subscription = :subscription and group_id = :group_id and sequence = :sequence""",
        subscription=subscription,
        group_id=group,
        sequence=sequence,
        failures=failures,
        due_ms=due_ms,
    )


def step(tx: Transaction, subscription: str, group: str, sequence: int) -> None:
    tx.run(
        """delete from sns_line where subscription = :subscription and group_id = :group_id
           and sequence = :sequence""",
        subscription=subscription,
        group_id=group,
        sequence=sequence,
    )


# The mailbox.


def put_mail(tx: Transaction, mail: Mapping[str, object]) -> None:
    tx.run(
        """insert into sns_mail (id, account, region, protocol, address, subject, body, sent_ms)
           values (:id, :account, :region, :protocol, :address, :subject, :body, :sent_ms)
           on conflict (id) do nothing""",
        **mail,
    )


def mails(tx: Transaction, limit: int) -> list[dict[str, Any]]:
    """The last ones, oldest first."""
    return tx.all("select * from sns_mail order by sent_ms desc, id desc limit :limit", limit=limit)[::-1]
