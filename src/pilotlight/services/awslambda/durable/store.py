"""Durable executions, their operations, and their histories, in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from pilotlight.services.awslambda.durable.state import COLUMNS, Execution, Operation, body_of, operation_body
from pilotlight.storage import Transaction

LIVE = "('RUNNING', 'PAUSING', 'PAUSED')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """All that one step of an execution changed, and the executions that it began."""

    execution: Execution
    due_ms: int
    busy: bool
    operations: list[Operation]
    events: list[dict[str, Any]]
    children: list[Step] = field(default_factory=list)


class Overtaken(Exception):
    """The execution is not as it was when it was read: another has changed it, or it is gone."""


def add(tx: Transaction, step: Step) -> Execution | None:
    """None where it was added, else the one that has its name."""
    one = step.execution
    there = find_named(tx, one)
    if there is not None:
        return there
    columns = (*COLUMNS, "due_ms", "busy", "input", "body")
    tx.run(
        f"insert into lambda_durable_execution ({', '.join(columns)}) "
        f"values ({', '.join(f':{name}' for name in columns)})",
        **_row(step),
        input=one.input,
        account=one.account,
        region=one.region,
        function=one.function,
        version=one.version,
        name=one.name,
        started_ms=one.started_ms,
        revision=one.revision,
    )
    _save_rest(tx, step)
    return None


def commit(tx: Transaction, step: Step) -> None:
    """Compare and set. Raises Overtaken; the caller reads again."""
    changed = tx.run(
        """update lambda_durable_execution set status = :status, due_ms = :due_ms, untold = :untold, busy = :busy,
           body = :body, revision = revision + 1 where arn = :arn and revision = :revision""",
        **_row(step),
        revision=step.execution.revision,
    )
    if not changed:
        raise Overtaken(step.execution.arn)
    _save_rest(tx, step)


def _row(step: Step) -> dict[str, object]:
    one = step.execution
    return {
        "arn": one.arn,
        "status": one.status,
        "due_ms": step.due_ms,
        "untold": int(one.untold),
        "busy": int(step.busy),
        "body": orjson.dumps(body_of(one)).decode(),
    }


def _save_rest(tx: Transaction, step: Step) -> None:
    arn = step.execution.arn
    tx.many(
        """insert into lambda_durable_operation (execution, position, body) values (:execution, :position, :body)
           on conflict (execution, position) do update set body = excluded.body""",
        [
            {"execution": arn, "position": one.position, "body": orjson.dumps(operation_body(one)).decode()}
            for one in step.operations
        ],
    )
    tx.many(
        "insert into lambda_durable_event (execution, id, body) values (:execution, :id, :body)",
        [{"execution": arn, "id": one["EventId"], "body": orjson.dumps(one).decode()} for one in step.events],
    )
    for child in step.children:
        add(tx, child)


def find(tx: Transaction, arn: str) -> Execution | None:
    row = tx.one("select * from lambda_durable_execution where arn = :arn", arn=arn)
    return _execution(row) if row else None


def find_named(tx: Transaction, one: Execution) -> Execution | None:
    """AWS: a name is one execution's within a function, whatever the version."""
    row = tx.one(
        """select * from lambda_durable_execution
           where account = :account and region = :region and function = :function and name = :name""",
        account=one.account,
        region=one.region,
        function=one.function,
        name=one.name,
    )
    return _execution(row) if row else None


def load(tx: Transaction, arn: str) -> tuple[Execution, dict[str, Operation]] | None:
    execution = find(tx, arn)
    if execution is None:
        return None
    rows = tx.all(
        "select body from lambda_durable_operation where execution = :execution order by position", execution=arn
    )
    operations = (Operation(**orjson.loads(row["body"])) for row in rows)
    return execution, {one.id: one for one in operations}


def _execution(row: Mapping[str, Any]) -> Execution:
    columns = {name: row[name] for name in COLUMNS}
    return Execution(**{**columns, "untold": bool(row["untold"])}, input=row["input"], **orjson.loads(row["body"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which executions of a function a list shows."""

    account: str
    region: str
    function: str
    version: str = ""
    name: str = ""
    statuses: Iterable[str] = ()
    after_ms: int = -1
    before_ms: int = 2**62


def list_executions(
    tx: Transaction, wanted: Filter, *, beyond: tuple[int, str] | None, oldest_first: bool, limit: int
) -> list[Execution]:
    """`beyond`: start and ARN of the last one that was shown."""
    order, sign = ("asc", ">") if oldest_first else ("desc", "<")
    start, arn = beyond or ((-1, "") if oldest_first else (2**62, ""))
    statuses = list(wanted.statuses)
    among = " or ".join(f"status = :status{number}" for number in range(len(statuses))) or "true"
    rows = tx.all(
        f"""select * from lambda_durable_execution
            where account = :account and region = :region and function = :function
            and (:version = '' or version = :version) and (:name = '' or name = :name)
            and started_ms > :after_ms and started_ms < :before_ms and ({among})
            and (started_ms {sign} :start or (started_ms = :start and arn {sign} :arn))
            order by started_ms {order}, arn {order} limit :limit""",
        account=wanted.account,
        region=wanted.region,
        function=wanted.function,
        version=wanted.version,
        name=wanted.name,
        after_ms=wanted.after_ms,
        before_ms=wanted.before_ms,
        start=start,
        arn=arn,
        limit=limit,
        **{f"status{number}": status for number, status in enumerate(statuses)},
    )
    return [_execution(row) for row in rows]


def history(tx: Transaction, arn: str, *, beyond: int, reverse: bool, limit: int) -> list[dict[str, Any]]:
    """`beyond`: the id of the last event that was shown; 0 for none."""
    order, sign = ("desc", "<") if reverse else ("asc", ">")
    rows = tx.all(
        f"""select body from lambda_durable_event where execution = :execution and id {sign} :beyond
            order by id {order} limit :limit""",
        execution=arn,
        beyond=beyond or (2**62 if reverse else 0),
        limit=limit,
    )
    return [orjson.loads(row["body"]) for row in rows]


def forget(tx: Transaction, arn: str) -> None:
    tx.run("delete from lambda_durable_execution where arn = :arn", arn=arn)
    for table in ("lambda_durable_operation", "lambda_durable_event"):
        tx.run(f"delete from {table} where execution = :arn", arn=arn)


def told(tx: Transaction, arn: str) -> None:
    """The parent knows of the end of this one."""
    tx.run("update lambda_durable_execution set untold = 0, revision = revision + 1 where arn = :arn", arn=arn)


def due(tx: Transaction, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """ARN and status of what time has come for."""
    rows = tx.all(
        "select arn, status from lambda_durable_execution where due_ms <= :now_ms order by due_ms, arn limit :limit",
        now_ms=now_ms,
        limit=limit,
    )
    return [(row["arn"], row["status"]) for row in rows]


def next_due_ms(tx: Transaction) -> int | None:
    row = tx.one("select min(due_ms) as due from lambda_durable_execution")
    return row["due"] if row else None


def busy(tx: Transaction) -> list[str]:
    """What a process that is gone had in hand."""
    rows = tx.all(
        f"select arn from lambda_durable_execution where busy = 1 and status in {LIVE} order by started_ms, arn"
    )
    return [row["arn"] for row in rows]


def untold(tx: Transaction) -> list[str]:
    rows = tx.all("select arn from lambda_durable_execution where untold = 1 order by arn")
    return [row["arn"] for row in rows]
