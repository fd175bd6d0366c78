"""Stacks, their resources and events, change sets, operations under way, exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True)
class Stack:
    id: str
    account: str
    region: str
    name: str
    live: int
    """1 until the stack is deleted; then its name is free again."""
    status: str
    created_ms: int
    body: dict[str, Any]

    def changed(self, **body: Any) -> Stack:
        return replace(self, body={**self.body, **body})


@dataclass(frozen=True, slots=True)
class StackResource:
    stack: str
    logical_id: str
    generation: int
    """A replacement has the next one; the old one goes in the clean-up."""
    type: str
    physical_id: str
    status: str
    changed_ms: int
    body: dict[str, Any]

    @property
    def properties(self) -> Mapping[str, Any]:
        return dict(self.body.get("properties", {}))

    @property
    def attributes(self) -> Mapping[str, Any]:
        return dict(self.body.get("attributes", {}))


@dataclass(frozen=True, slots=True)
class ChangeSet:
    id: str
    stack: str
    name: str
    created_ms: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is to be done with a stack. At most one at a time."""

    stack: str
    kind: str
    body: dict[str, Any]
    created_ms: int
    lease_token: str = ""


def _stack(row: Mapping[str, Any]) -> Stack:
    return Stack(**{**row, "body": json.loads(row["body"])})


def save_stack(tx: Transaction, stack: Stack) -> None:
    tx.run(
        """insert into cloudformation_stack (id, account, region, name, live, status, created_ms, body)
           values (:id, :account, :region, :name, :live, :status, :created_ms, :body)
           on conflict (id) do update set live = excluded.live, status = excluded.status, body = excluded.body""",
        id=stack.id,
        account=stack.account,
        region=stack.region,
        name=stack.name,
        live=stack.live,
        status=stack.status,
        created_ms=stack.created_ms,
        body=json.dumps(stack.body),
    )


def find_stack(tx: Transaction, name: str, *, account: str, region: str) -> Stack | None:
    """By name, among the living; by id, also when it is deleted."""
    if name.startswith("arn:"):
        row = tx.one(
            "select * from cloudformation_stack where id = :id and account = :account", id=name, account=account
        )
    else:
        row = tx.one(
            """select * from cloudformation_stack
               where account = :account and region = :region and name = :name and live = 1""",
            account=account,
            region=region,
            name=name,
        )
    return _stack(row) if row else None


def stack_by_id(tx: Transaction, identity: str) -> Stack | None:
    row = tx.one("select * from cloudformation_stack where id = :id", id=identity)
    return _stack(row) if row else None


def list_stacks(tx: Transaction, *, account: str, region: str, live_only: bool) -> list[Stack]:
    condition = "and live = 1" if live_only else ""
    rows = tx.all(
        f"""select * from cloudformation_stack where account = :account and region = :region {condition}
            order by created_ms desc, id""",
        account=account,
        region=region,
    )
    return [_stack(row) for row in rows]


def save_resource(tx: Transaction, one: StackResource) -> None:
    tx.run(
        """insert into cloudformation_resource
             (stack, logical_id, generation, type, physical_id, status, changed_ms, body)
           values (:stack, :logical_id, :generation, :type, :physical_id, :status, :changed_ms, :body)
           on conflict (stack, logical_id, generation) do update set type = excluded.type,
             physical_id = excluded.physical_id, status = excluded.status, changed_ms = excluded.changed_ms,
             body = excluded.body""",
        stack=one.stack,
        logical_id=one.logical_id,
        generation=one.generation,
        type=one.type,
        physical_id=one.physical_id,
        status=one.status,
        changed_ms=one.changed_ms,
        body=json.dumps(one.body),
    )


def resources(tx: Transaction, stack: str) -> list[StackResource]:
    rows = tx.all(
        "select * from cloudformation_resource where stack = :stack order by logical_id, generation", stack=stack
    )
    return [StackResource(**{**row, "body": json.loads(row["body"])}) for row in rows]


def delete_resource(tx: Transaction, one: StackResource) -> None:
    tx.run(
        """delete from cloudformation_resource
           where stack = :stack and logical_id = :logical_id and generation = :generation""",
        stack=one.stack,
        logical_id=one.logical_id,
        generation=one.generation,
    )


def add_event(tx: Transaction, stack: str, body: Mapping[str, Any]) -> None:
    tx.run(
        """insert into cloudformation_event (stack, number, body)
           values (:stack,
             (select coalesce(max(number), 0) + 1 from cloudformation_event where stack = :stack), :body)""",
        stack=stack,
        body=json.dumps(body),
    )


def events(tx: Transaction, stack: str, *, before: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
    rows = tx.all(
        """select number, body from cloudformation_event where stack = :stack and number < :before
           order by number desc limit :limit""",
        stack=stack,
        before=before,
        limit=limit,
    )
    return [(row["number"], json.loads(row["body"])) for row in rows]


def save_change_set(tx: Transaction, one: ChangeSet) -> None:
    tx.run(
        """insert into cloudformation_change_set (id, stack, name, created_ms, body)
           values (:id, :stack, :name, :created_ms, :body)
           on conflict (id) do update set body = excluded.body""",
        id=one.id,
        stack=one.stack,
        name=one.name,
        created_ms=one.created_ms,
        body=json.dumps(one.body),
    )


def change_sets(tx: Transaction, stack: str) -> list[ChangeSet]:
    rows = tx.all("select * from cloudformation_change_set where stack = :stack order by created_ms, id", stack=stack)
    return [ChangeSet(**{**row, "body": json.loads(row["body"])}) for row in rows]


def change_set_by_id(tx: Transaction, identity: str) -> ChangeSet | None:
    row = tx.one("select * from cloudformation_change_set where id = :id", id=identity)
    return ChangeSet(**{**row, "body": json.loads(row["body"])}) if row else None


def delete_change_set(tx: Transaction, identity: str) -> None:
    tx.run("delete from cloudformation_change_set where id = :id", id=identity)


def accept(tx: Transaction, operation: Operation) -> None:
    tx.run(
        """insert into cloudformation_operation (stack, kind, body, created_ms, lease_token, lease_until_ms)
           values (:stack, :kind, :body, :created_ms, '', 0)
           on conflict (stack) do update set kind = excluded.kind, body = excluded.body,
             created_ms = excluded.created_ms, lease_token = '', lease_until_ms = 0""",
        stack=operation.stack,
        kind=operation.kind,
        body=json.dumps(operation.body),
        created_ms=operation.created_ms,
    )


def claim_operation(tx: Transaction, *, wall_ms: int, until_ms: int, token: str) -> Operation | None:
    row = tx.one(
        f"""select stack, kind, body, created_ms from cloudformation_operation where lease_until_ms <= :wall_ms
            order by created_ms, stack limit 1 {tx.skip_locked}""",
        wall_ms=wall_ms,
    )
    if row is None:
        return None
    tx.run(
        "update cloudformation_operation set lease_token = :token, lease_until_ms = :until_ms where stack = :stack",
        token=token,
        until_ms=until_ms,
        stack=row["stack"],
    )
    return Operation(**{**row, "body": json.loads(row["body"]), "lease_token": token})


def release_operations(tx: Transaction) -> None:
    """What a process that is gone had claimed is free again; for where no other node shares the database."""
    tx.run("update cloudformation_operation set lease_until_ms = 0 where lease_until_ms > 0")


def finish_operation(tx: Transaction, operation: Operation) -> None:
    """A newer one that was accepted meanwhile stays."""
    tx.run(
        "delete from cloudformation_operation where stack = :stack and lease_token = :token",
        stack=operation.stack,
        token=operation.lease_token,
    )


def operation_of(tx: Transaction, stack: str) -> Operation | None:
    row = tx.one("select stack, kind, body, created_ms from cloudformation_operation where stack = :stack", stack=stack)
    return Operation(**{**row, "body": json.loads(row["body"])}) if row else None


def exports(tx: Transaction, *, account: str, region: str) -> dict[str, tuple[str, str]]:
    """Name → (stack id, value)."""
    rows = tx.all(
        "select * from cloudformation_export where account = :account and region = :region order by name",
        account=account,
        region=region,
    )
    return {row["name"]: (row["stack"], row["value"]) for row in rows}


def set_exports(tx: Transaction, stack: Stack, values: Mapping[str, str]) -> None:
    tx.run("delete from cloudformation_export where stack = :stack", stack=stack.id)
    for name, value in values.items():
        tx.run(
            """insert into cloudformation_export (account, region, name, stack, value)
               values (:account, :region, :name, :stack, :value)""",
            account=stack.account,
            region=stack.region,
            name=name,
            stack=stack.id,
            value=value,
        )


def set_imports(tx: Transaction, stack: Stack, names: set[str]) -> None:
    tx.run("delete from cloudformation_import where stack = :stack", stack=stack.id)
    for name in sorted(names):
        tx.run(
            """insert into cloudformation_import (account, region, name, stack)
               values (:account, :region, :name, :stack)""",
            account=stack.account,
            region=stack.region,
            name=name,
            stack=stack.id,
        )


def importers(tx: Transaction, name: str, *, account: str, region: str) -> list[str]:
    """Names of the stacks that import an export."""
    rows = tx.all(
        """select s.name from cloudformation_import i join cloudformation_stack s on s.id = i.stack
           where i.account = :account and i.region = :region and i.name = :name order by s.name""",
        account=account,
        region=region,
        name=name,
    )
    return [row["name"] for row in rows]
