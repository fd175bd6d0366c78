"""The embedded engine: SQLite in WAL mode, one writer thread, group commit.

Whatever arrives while the disk syncs is committed together, each function under a savepoint of its
own, and nobody is answered before the commit. Some failures (a full disk, `insert or rollback`, an
interrupt) roll back the whole transaction and not only the savepoint: then the survivors run again.
Short reads run on the caller's thread, on a connection of their own, and see what is committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from pilotlight.storage.database import Transaction
from pilotlight.storage.migrations import SchemaFile, migrate

P = ParamSpec("P")
T = TypeVar("T")

BATCH_JOBS_MAX = 256
STATEMENTS_CACHED_MAX = 400
NAMES_CACHED_MAX = 2000
CACHE_KIB = 16 * 1024


class SqliteTransaction:
    """Statements over one connection; see `storage.database.Transaction`."""

    skip_locked = ""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._names: dict[str, tuple[str, ...]] = {}

    def all(self, sql: str, /, **parameters: object) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql, parameters)
        names = self._names.get(sql)
        if names is None:
            try:
                names = tuple(column[0] for column in cursor.get_description())
            except apsw.ExecutionCompleteError:  # no row came, so there is nothing to name
                return []
            if len(self._names) >= NAMES_CACHED_MAX:
                self._names.clear()
            self._names[sql] = names
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def one(self, sql: str, /, **parameters: object) -> dict[str, Any] | None:
        rows = self.all(sql, **parameters)
        return rows[0] if rows else None

    def run(self, sql: str, /, **parameters: object) -> int:
        before = self._connection.total_changes()
        self._connection.execute(sql, parameters).fetchall()
        return self._connection.total_changes() - before

    def tables(self) -> list[str]:
        rows = self.all("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
        return [row["name"] for row in rows]

    def many(self, sql: str, rows: Iterable[Mapping[str, object]], /) -> None:
        self._connection.executemany(sql, rows)


@dataclass(slots=True)
class _Job:
    work: Callable[[SqliteTransaction], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class SqliteDatabase:
    """One file. Open it on the event loop's thread; `close` waits for what was accepted."""

    def __init__(
        self,
        path: Path,
        schema: Sequence[SchemaFile] = (),
        *,
        synchronous: str = "FULL",
        cache_kib: int = CACHE_KIB,
    ) -> None:
        self.generation: int | None = 0
        self._path = path
        self._synchronous = synchronous
        self._cache_kib = cache_kib
        self._writer = self._connect()
        with self._writer:
            migrate(SqliteTransaction(self._writer), schema)
        self._reader = self._connect()
        self._reader.pragma("query_only", True)
        self._read_transaction = SqliteTransaction(self._reader)
        self._scanners: queue.SimpleQueue[SqliteTransaction] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever, name=f"writer-{path.name}", daemon=True)
        self._thread.start()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), statementcachesize=STATEMENTS_CACHED_MAX)
        connection.set_busy_timeout(10_000)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", self._synchronous)
        connection.pragma("foreign_keys", True)
        connection.pragma("cache_size", -self._cache_kib)
        return connection

    async def read(self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return _in_read_transaction(self._reader, self._read_transaction, function, *args, **kwargs)

    async def scan(self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(self._scan, function, *args, **kwargs)

    def _scan(self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """On a connection that no other thread uses meanwhile; they are kept for the next."""
        try:
            transaction = self._scanners.get_nowait()
        except queue.Empty:
            connection = self._connect()
            connection.pragma("query_only", True)
            transaction = SqliteTransaction(connection)
        try:
            return _in_read_transaction(transaction._connection, transaction, function, *args, **kwargs)
        finally:
            self._scanners.put(transaction)

    async def write(
        self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        loop = asyncio.get_running_loop()
        job = _Job(lambda tx: function(tx, *args, **kwargs), loop, loop.create_future())
        self._jobs.put(job)
        result: T = await job.future
        return result

    claim = write

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        self._reader.close()
        with contextlib.suppress(queue.Empty):
            while True:
                self._scanners.get_nowait()._connection.close()
        self._writer.close()

    # The writer's thread.

    def _write_forever(self) -> None:
        transaction = SqliteTransaction(self._writer)
        while True:
            jobs, stopping = self._take()
            if jobs:
                self._commit(transaction, jobs)
                self.generation = (self.generation or 0) + 1  # before anyone is answered
                _answer(jobs)
            if stopping:
                return

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for a job, and take along what else is there; True where it is time to stop."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == BATCH_JOBS_MAX:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _commit(self, transaction: SqliteTransaction, jobs: list[_Job]) -> None:
        """Run the jobs in one transaction; a job that fails is left out, and those beside it are not harmed."""
        waiting = jobs
        while waiting:
            try:
                self._writer.execute("begin immediate")
                whole = all(self._run(transaction, job, alone=len(waiting) == 1) for job in waiting)
                if whole and self._writer.in_transaction:
                    self._writer.execute("commit")
                    return
            except Exception as error:  # the commit itself: nobody of this batch has anything
                self._roll_back()
                for job in waiting:
                    job.error = job.error or error
                return
            self._roll_back()
            waiting = [job for job in waiting if job.error is None]

    def _run(self, transaction: SqliteTransaction, job: _Job, *, alone: bool) -> bool:
        """True while the transaction around the job still stands."""
        if alone:
            try:
                job.result = job.work(transaction)
            except BaseException as error:
                job.error = error
                return False
            return True
        self._writer.execute("savepoint job")
        try:
            job.result = job.work(transaction)
        except BaseException as error:
            job.error = error
            if not self._writer.in_transaction:
                return False
            self._writer.execute("rollback to job")
        self._writer.execute("release job")
        return True

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("rollback")


def _in_read_transaction(
    connection: apsw.Connection,
    transaction: SqliteTransaction,
    function: Callable[Concatenate[Transaction, P], T],
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    connection.execute("begin")
    try:
        return function(transaction, *args, **kwargs)
    finally:
        connection.execute("commit")


def _answer(jobs: list[_Job]) -> None:
    """One wake-up per event loop for all that were committed together."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, its_jobs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, its_jobs)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.cancelled():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
