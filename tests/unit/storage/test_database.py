"""What any engine promises to a store."""

from __future__ import annotations

import asyncio

import pytest

from pilotlight.storage import Database, Transaction, outbox
from pilotlight.storage.outbox import OutboxEvent


def put(tx: Transaction, name: str, value: str) -> None:
    tx.run("insert into node_value (name, value) values (:name, :value)", name=name, value=value)


def names(tx: Transaction) -> list[str]:
    return [row["name"] for row in tx.all("select name from node_value order by name")]


async def test_a_write_is_seen_by_the_next_read(database: Database) -> None:
    await database.write(put, "a", "1")
    assert await database.read(names) == ["a"]
    assert await database.scan(names) == ["a"]


async def test_a_write_that_raises_leaves_nothing_and_harms_no_neighbour(database: Database) -> None:
    def half(tx: Transaction) -> None:
        put(tx, "half", "")
        raise ValueError("no")

    results = await asyncio.gather(
        database.write(put, "a", "1"), database.write(half), database.write(put, "b", "2"), return_exceptions=True
    )
    assert isinstance(results[1], ValueError)
    assert await database.read(names) == ["a", "b"]


async def test_a_statement_that_rolls_back_the_whole_batch_loses_no_neighbour(database: Database) -> None:
    if type(database).__name__ != "SqliteDatabase":
        pytest.skip("insert or rollback is SQLite's")
    await database.write(put, "taken", "1")

    def rolls_back(tx: Transaction) -> None:
        tx.run("insert or rollback into node_value (name, value) values ('taken', '')")

    results = await asyncio.gather(
        *(database.write(put, f"n{i}", "") for i in range(5)),
        database.write(rolls_back),
        *(database.write(put, f"m{i}", "") for i in range(5)),
        return_exceptions=True,
    )
    assert [type(r).__name__ for r in results if r is not None] == ["ConstraintError"]
    assert len(await database.read(names)) == 11


async def test_run_counts_the_rows_it_changed(database: Database) -> None:
    await database.write(put, "a", "1")
    await database.write(put, "b", "1")

    def change(tx: Transaction) -> tuple[int, int]:
        return tx.run("update node_value set value = '2'"), tx.run("update node_value set value = '3' where name = 'x'")

    assert await database.write(change) == (2, 0)


async def test_a_hundred_writers_each_get_their_own_answer(database: Database) -> None:
    def echo(tx: Transaction, number: int) -> int:
        put(tx, str(number), "")
        return number

    assert await asyncio.gather(*(database.write(echo, i) for i in range(100))) == list(range(100))


def event(identity: str, due_ms: int = 0) -> OutboxEvent:
    return OutboxEvent(
        id=identity, kind="k", account="0", region="r", target="t", payload=b"{}", created_ms=0, due_ms=due_ms
    )


async def claim(database: Database, token: str, now_ms: int = 10, wall_ms: int = 10) -> list[outbox.Lease]:
    def work(tx: Transaction) -> list[outbox.Lease]:
        return outbox.claim(tx, now_ms=now_ms, wall_ms=wall_ms, lease_until_ms=wall_ms + 100, token=token, limit=10)

    return await database.claim(work)


async def test_an_event_is_claimed_once_while_its_lease_lasts(database: Database) -> None:
    await database.write(outbox.post, event("e"))
    assert [lease.event.id for lease in await claim(database, "one")] == ["e"]
    assert await claim(database, "two", wall_ms=50) == []
    assert [lease.event.attempts for lease in await claim(database, "three", wall_ms=200)] == [2]


async def test_completing_with_a_stale_token_changes_nothing(database: Database) -> None:
    await database.write(outbox.post, event("e"))
    (stale,) = await claim(database, "one")
    (fresh,) = await claim(database, "two", wall_ms=200)
    assert not await database.write(outbox.complete, stale)
    assert not await database.write(lambda tx: outbox.retry(tx, stale, due_ms=5, attempts=1))
    assert await database.write(outbox.complete, fresh)


async def test_an_event_waits_for_its_due_time_and_posting_twice_keeps_one(database: Database) -> None:
    await database.write(outbox.post, event("e", due_ms=1000))
    await database.write(outbox.post, event("e", due_ms=0))
    assert await claim(database, "one", now_ms=999) == []
    assert await database.read(outbox.next_due_ms) == 1000
    assert len(await claim(database, "one", now_ms=1000)) == 1
