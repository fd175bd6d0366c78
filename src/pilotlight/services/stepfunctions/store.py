"""State machines, executions, what each thread of an execution remembers, and the histories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pilotlight.storage import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachine:
    arn: str
    account: str
    region: str
    name: str
    type: str
    """`STANDARD` or `EXPRESS`."""
    definition: str
    role_arn: str
    settings: dict[str, Any]
    """What is kept and given back: logging, tracing and encryption."""
    tags: dict[str, str]
    created_ms: int
    updated_ms: int
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    arn: str
    machine_arn: str
    machine_name: str
    name: str
    type: str
    status: str
    definition: str
    """As it was when the execution began: a new definition does not disturb it."""
    role_arn: str
    secret: str
    input: str
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    started_ms: int
    stopped_ms: int | None = None
    event_count: int = 0
    thread_count: int = 0
    deadline_ms: int | None = None
    next_due_ms: int | None = None


_MACHINE = "arn, account, region, name, type, definition, role_arn, settings, tags, created_ms, updated_ms, revision"
_EXECUTION = (
    "arn, machine_arn, machine_name, name, type, status, definition, role_arn, secret, input, output, error, cause, "
    "started_ms, stopped_ms, event_count, thread_count, deadline_ms, next_due_ms"
)


def _values(columns: str) -> str:
    return ", ".join(f":{name}" for name in columns.split(", "))


def _row(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


# State machines.


def save_machine(tx: Transaction, machine: StateMachine) -> None:
    changes = ", ".join(f"{name} = excluded.{name}" for name in _MACHINE.split(", ")[5:])
    tx.run(
        f"""insert into stepfunctions_machine ({_MACHINE}) values ({_values(_MACHINE)})
            on conflict (arn) do update set {changes}""",
        **(_row(machine) | {"settings": json.dumps(machine.settings), "tags": json.dumps(machine.tags)}),
    )


def find_machine(tx: Transaction, arn: str) -> StateMachine | None:
    row = tx.one(f"select {_MACHINE} from stepfunctions_machine where arn = :arn", arn=arn)
    return _machine(row) if row else None


def list_machines(tx: Transaction, *, account: str, region: str, after: str, limit: int) -> list[StateMachine]:
    rows = tx.all(
        f"""select {_MACHINE} from stepfunctions_machine
            where account = :account and region = :region and name > :after order by name limit :limit""",
        account=account,
        region=region,
        after=after,
        limit=limit,
    )
    return [_machine(row) for row in rows]


def delete_machine(tx: Transaction, arn: str) -> None:
    tx.run("delete from stepfunctions_machine where arn = :arn", arn=arn)


def _machine(row: Mapping[str, Any]) -> StateMachine:
    return StateMachine(**{**row, "settings": json.loads(row["settings"]), "tags": json.loads(row["tags"])})


# Executions.


def add_execution(tx: Transaction, execution: Execution) -> Execution | None:
    """None where it was added, else the one that has its name."""
    there = find_execution(tx, execution.arn)
    if there is not None:
        return there
    tx.run(f"insert into stepfunctions_execution ({_EXECUTION}) values ({_values(_EXECUTION)})", **_row(execution))
    return None


def find_execution(tx: Transaction, arn: str) -> Execution | None:
    row = tx.one(f"select {_EXECUTION} from stepfunctions_execution where arn = :arn", arn=arn)
    return Execution(**row) if row else None


def list_executions(
    tx: Transaction, machine_arn: str, *, status: str, before: tuple[int, str] | None, limit: int
) -> list[Execution]:
    """Newest first. `before`: start and ARN of the last one that was shown."""
    start, arn = before or (2**62, "")
    rows = tx.all(
        f"""select {_EXECUTION} from stepfunctions_execution where machine_arn = :machine_arn
            and (status = :status or :status = '')
            and (started_ms < :start or (started_ms = :start and arn > :arn))
            order by started_ms desc, arn limit :limit""",
        machine_arn=machine_arn,
        status=status,
        start=start,
        arn=arn,
        limit=limit,
    )
    return [Execution(**row) for row in rows]


def threads(tx: Transaction, execution: str) -> list[dict[str, Any]]:
    rows = tx.all("select body from stepfunctions_thread where execution = :execution order by id", execution=execution)
    return [json.loads(row["body"]) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """All that one step of an execution changed."""

    execution: Execution
    events: list[dict[str, Any]]
    threads: dict[int, dict[str, Any]]
    gone: Iterable[int]


def commit(tx: Transaction, step: Step) -> None:
    """Raises LookupError where the execution is gone, or has ended without us."""
    execution = step.execution
    changed = tx.run(
        """update stepfunctions_execution set status = :status, output = :output, error = :error, cause = :cause,
           stopped_ms = :stopped_ms, event_count = :event_count, thread_count = :thread_count,
           deadline_ms = :deadline_ms, next_due_ms = :next_due_ms where arn = :arn and status = 'RUNNING'""",
        status=execution.status,
        output=execution.output,
        error=execution.error,
        cause=execution.cause,
        stopped_ms=execution.stopped_ms,
        event_count=execution.event_count,
        thread_count=execution.thread_count,
        deadline_ms=execution.deadline_ms,
        next_due_ms=execution.next_due_ms,
        arn=execution.arn,
    )
    if not changed:
        raise LookupError(execution.arn)
    tx.many(
        "insert into stepfunctions_event (execution, id, body) values (:execution, :id, :body)",
        [{"execution": execution.arn, "id": one["id"], "body": json.dumps(one)} for one in step.events],
    )
    tx.many(
        """insert into stepfunctions_thread (execution, id, body) values (:execution, :id, :body)
           on conflict (execution, id) do update set body = excluded.body""",
        [{"execution": execution.arn, "id": one, "body": json.dumps(body)} for one, body in step.threads.items()],
    )
    if execution.status != "RUNNING":
        tx.run("delete from stepfunctions_thread where execution = :execution", execution=execution.arn)
    else:
        tx.many(
            "delete from stepfunctions_thread where execution = :execution and id = :id",
            [{"execution": execution.arn, "id": one} for one in step.gone],
        )


def forget(tx: Transaction, execution: str) -> None:
    for table, column in (("execution", "arn"), ("thread", "execution"), ("event", "execution")):
        tx.run(f"delete from stepfunctions_{table} where {column} = :execution", execution=execution)


def history(tx: Transaction, execution: str, *, after: int, limit: int, reverse: bool) -> list[dict[str, Any]]:
    """`after`: the id of the last event that was shown; 0 for none."""
    order, beyond = ("desc", "<") if reverse else ("asc", ">")
    rows = tx.all(
        f"""select body from stepfunctions_event where execution = :execution and id {beyond} :after
            order by id {order} limit :limit""",
        execution=execution,
        after=after or (2**62 if reverse else 0),
        limit=limit,
    )
    return [json.loads(row["body"]) for row in rows]


def due(tx: Transaction, now_ms: int, limit: int) -> list[str]:
    rows = tx.all(
        """select arn from stepfunctions_execution where next_due_ms <= :now_ms
           order by next_due_ms, arn limit :limit""",
        now_ms=now_ms,
        limit=limit,
    )
    return [row["arn"] for row in rows]


def next_due_ms(tx: Transaction) -> int | None:
    row = tx.one("select min(next_due_ms) as due from stepfunctions_execution")
    return row["due"] if row else None


def running(tx: Transaction) -> list[str]:
    rows = tx.all("select arn from stepfunctions_execution where status = 'RUNNING' order by started_ms, arn")
    return [row["arn"] for row in rows]
