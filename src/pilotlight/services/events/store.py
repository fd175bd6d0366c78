"""Rules and their targets, and which of them are due."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class Rule:
    account: str
    region: str
    name: str
    schedule: str
    state: str
    description: str
    tags: dict[str, str]
    next_due_ms: int | None

    @property
    def arn(self) -> str:
        return f"arn:aws:events:{self.region}:{self.account}:rule/{self.name}"


def _rule(row: Mapping[str, Any]) -> Rule:
    return Rule(**{**row, "tags": json.loads(row["tags"])})


def save(tx: Transaction, rule: Rule) -> None:
    tx.run(
        """insert into events_rule (account, region, name, schedule, state, description, tags, next_due_ms)
           values (:account, :region, :name, :schedule, :state, :description, :tags, :next_due_ms)
           on conflict (account, region, name) do update set schedule = excluded.schedule, state = excluded.state,
           description = excluded.description, tags = excluded.tags, next_due_ms = excluded.next_due_ms""",
        account=rule.account,
        region=rule.region,
        name=rule.name,
        schedule=rule.schedule,
        state=rule.state,
        description=rule.description,
        tags=json.dumps(rule.tags),
        next_due_ms=rule.next_due_ms,
    )


def find(tx: Transaction, name: str, *, account: str, region: str) -> Rule | None:
    row = tx.one(
        "select * from events_rule where account = :account and region = :region and name = :name",
        account=account,
        region=region,
        name=name,
    )
    return _rule(row) if row else None


def list_rules(tx: Transaction, *, account: str, region: str, prefix: str, after: str, limit: int) -> list[Rule]:
    rows = tx.all(
        """select * from events_rule where account = :account and region = :region and name > :after
           and substr(name, 1, :length) = :prefix order by name limit :limit""",
        account=account,
        region=region,
        after=after,
        prefix=prefix,
        length=len(prefix),
        limit=limit,
    )
    return [_rule(row) for row in rows]


def delete(tx: Transaction, rule: Rule) -> None:
    tx.run(
        "delete from events_rule where account = :account and region = :region and name = :name",
        account=rule.account,
        region=rule.region,
        name=rule.name,
    )


def targets(tx: Transaction, rule: Rule) -> list[dict[str, Any]]:
    rows = tx.all(
        "select body from events_target where account = :account and region = :region and rule = :rule order by id",
        account=rule.account,
        region=rule.region,
        rule=rule.name,
    )
    return [json.loads(row["body"]) for row in rows]


def save_target(tx: Transaction, rule: Rule, target: Mapping[str, Any]) -> None:
    tx.run(
        """insert into events_target (account, region, rule, id, body)
           values (:account, :region, :rule, :id, :body)
           on conflict (account, region, rule, id) do update set body = excluded.body""",
        account=rule.account,
        region=rule.region,
        rule=rule.name,
        id=target["Id"],
        body=json.dumps(target),
    )


def delete_target(tx: Transaction, rule: Rule, identity: str) -> bool:
    return (
        tx.run(
            """delete from events_target
               where account = :account and region = :region and rule = :rule and id = :id""",
            account=rule.account,
            region=rule.region,
            rule=rule.name,
            id=identity,
        )
        > 0
    )


def due(tx: Transaction, now_ms: int, limit: int) -> list[Rule]:
    rows = tx.all(
        f"""select * from events_rule where next_due_ms <= :now_ms order by next_due_ms, name limit :limit
            {tx.skip_locked}""",
        now_ms=now_ms,
        limit=limit,
    )
    return [_rule(row) for row in rows]


def next_due_ms(tx: Transaction) -> int | None:
    row = tx.one("select min(next_due_ms) as due from events_rule")
    return row["due"] if row else None
