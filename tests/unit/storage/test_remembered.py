"""Reads that are kept until something is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotlight.storage.database import Transaction
from pilotlight.storage.remembered import Remembered
from pilotlight.storage.sqlite import SqliteDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    made = SqliteDatabase(tmp_path / "core.db")
    yield made
    made.close()


def make(tx: Transaction) -> None:
    tx.run("create table number (value bigint)")
    tx.run("insert into number values (1)")


def add(tx: Transaction) -> None:
    tx.run("update number set value = value + 1")


def value(tx: Transaction) -> int:
    row = tx.one("select value from number")
    assert row is not None
    return int(row["value"])


class Reader:
    def __init__(self, database: SqliteDatabase, limit: int = 10) -> None:
        self.database = database
        self.kept: Remembered[str, int] = Remembered(database, limit)
        self.reads = 0

    async def read(self) -> int:
        self.reads += 1
        return await self.database.read(value)

    async def get(self, key: str = "a") -> int:
        return await self.kept.get(key, self.read)


async def test_it_is_read_again_after_every_commit_and_not_before(database: SqliteDatabase) -> None:
    reader = Reader(database)
    await database.write(make)
    assert [await reader.get(), await reader.get()] == [1, 1]
    assert reader.reads == 1
    await database.write(add)
    assert [await reader.get(), await reader.get()] == [2, 2]
    assert reader.reads == 2


async def test_what_was_read_before_a_commit_is_not_kept_after_it(database: SqliteDatabase) -> None:
    reader = Reader(database)
    await database.write(make)
    read, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> int:
        found = await database.read(value)
        read.set()
        await go_on.wait()
        return found

    old = asyncio.ensure_future(reader.kept.get("a", slowly))
    await read.wait()
    await database.write(add)
    assert await reader.get("b") == 2
    go_on.set()
    assert await old == 1
    assert await reader.get("a") == 2


async def test_there_is_a_limit(database: SqliteDatabase) -> None:
    reader = Reader(database, limit=2)
    await database.write(make)
    for key in ("a", "b", "c", "a"):
        await reader.get(key)
    assert reader.reads == 4


async def test_where_nobody_knows_of_commits_nothing_is_kept(database: SqliteDatabase) -> None:
    reader = Reader(database)
    await database.write(make)
    database.generation = None
    await reader.get()
    await reader.get()
    assert reader.reads == 2
