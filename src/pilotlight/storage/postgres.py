"""The shared engine: PostgreSQL, for a team's server and for a cluster.

Each thread of an executor of our own keeps one connection (asyncio's default executor has as few as six
threads, and taking a connection from a pool for every query cost more than half the throughput). Writes
are SERIALIZABLE and run again after a conflict; claims are READ COMMITTED and skip locked rows.
"""

from __future__ import annotations

import asyncio
import functools
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.rows import dict_row

from pilotlight.storage.database import Transaction
from pilotlight.storage.migrations import SchemaFile, migrate

P = ParamSpec("P")
T = TypeVar("T")

CONNECTIONS = 16
ATTEMPTS_MAX = 60
BACK_OFF_SECONDS = 0.002
MIGRATION_LOCK = 4_566_001
SERIALIZABLE = "begin isolation level serializable"
SNAPSHOT = "begin isolation level repeatable read read only"
READ_COMMITTED = "begin isolation level read committed"

# A quoted string, a cast, or a parameter; a percent sign is psycopg's own.
_TOKENS = re.compile(r"'(?:[^']|'')*'|::|:([a-z_][a-z0-9_]*)|%", re.IGNORECASE)


@functools.lru_cache(maxsize=4000)
def translate(sql: str) -> str:
    """`:name` → `%(name)s`, as psycopg wants it."""

    def token(match: re.Match[str]) -> str:
        if match[1]:
            return f"%({match[1]})s"
        return match[0].replace("%", "%%")

    return _TOKENS.sub(token, sql)


def is_conflict(error: psycopg.Error) -> bool:
    """Another transaction was in the way; the same function may succeed when it is run again."""
    return error.sqlstate in ("40001", "40P01")


class PostgresTransaction:
    """Statements over one connection; see `storage.database.Transaction`."""

    skip_locked = "for update skip locked"

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection

    def all(self, sql: str, /, **parameters: object) -> list[dict[str, Any]]:
        cursor = self._connection.execute(translate(sql), parameters)
        return cursor.fetchall() if cursor.description else []

    def one(self, sql: str, /, **parameters: object) -> dict[str, Any] | None:
        cursor = self._connection.execute(translate(sql), parameters)
        return cursor.fetchone() if cursor.description else None

    def run(self, sql: str, /, **parameters: object) -> int:
        return self._connection.execute(translate(sql), parameters).rowcount

    def tables(self) -> list[str]:
        rows = self.all("select tablename as name from pg_tables where schemaname = current_schema()")
        return [row["name"] for row in rows]

    def many(self, sql: str, rows: Iterable[Mapping[str, object]], /) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(translate(sql), list(rows))


class PostgresDatabase:
    """One database, reached by a connection string such as `postgresql://user@host/name`."""

    def __init__(self, dsn: str, schema: Sequence[SchemaFile] = (), *, connections: int = CONNECTIONS) -> None:
        self._dsn = dsn
        self._open: list[psycopg.Connection[dict[str, Any]]] = []
        self._mine = threading.local()
        self._executor = ThreadPoolExecutor(connections, thread_name_prefix="postgres")
        self._executor.submit(self._migrate, schema).result()

    def _migrate(self, schema: Sequence[SchemaFile]) -> None:
        def under_lock(tx: Transaction) -> None:
            tx.all("select pg_advisory_xact_lock(:number)", number=MIGRATION_LOCK)
            migrate(tx, schema)

        self._transact(READ_COMMITTED, under_lock)

    generation: int | None = None

    async def read(self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._submit(SNAPSHOT, function, *args, **kwargs)

    scan = read

    async def write(
        self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._submit(SERIALIZABLE, function, *args, **kwargs)

    async def claim(
        self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._submit(READ_COMMITTED, function, *args, **kwargs)

    def close(self) -> None:
        self._executor.shutdown()
        for connection in self._open:
            connection.close()

    async def _submit(
        self, begin: str, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._transact, begin, lambda tx: function(tx, *args, **kwargs)
        )

    # In the executor's threads.

    def _connection(self) -> psycopg.Connection[dict[str, Any]]:
        connection = getattr(self._mine, "connection", None)
        if connection is None or connection.closed:
            connection = psycopg.connect(self._dsn, autocommit=True, row_factory=dict_row)
            self._mine.connection = connection
            self._open.append(connection)
        found: psycopg.Connection[dict[str, Any]] = connection
        return found

    def _transact(self, begin: str, function: Callable[[Transaction], T]) -> T:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            connection = self._connection()
            try:
                connection.execute(begin)
                result = function(PostgresTransaction(connection))
                connection.execute("commit")
                return result
            except BaseException as error:
                if not connection.closed:
                    connection.execute("rollback")
                if not isinstance(error, psycopg.Error) or not is_conflict(error) or attempt == ATTEMPTS_MAX:
                    raise
            time.sleep(BACK_OFF_SECONDS * attempt)
        raise AssertionError("unreachable")
