"""Writing logs: a buffer that never makes anyone wait, and the end of what is too old.

Lines are kept in memory for a moment and written together. Where more come than can be written, the newest are
dropped, counted, and said so in our own log. Lambda's log groups and streams come into being with their first line,
as AWS's do. AWS writes a function's logs only where its role permits; `gate` is asked once in a while per log group.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import apsw

from pilotlight.clock import Clock
from pilotlight.observability import log_store
from pilotlight.storage import Database, Transaction

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.05
BACK_OFF_SECONDS = 1.0
LINES_MAX = 100_000
BYTES_MAX = 64 * 1024 * 1024
"""Of text that waits to be written. Lines are as long as their function likes."""
LINES_AT_ONCE = 5_000
BYTES_AT_ONCE = 8 * 1024 * 1024
EXPIRE_AT_ONCE = 1_000

Gate = Callable[[str, str, str], Awaitable[bool]]
"""(account, region, log group) → whether its functions may write there."""


@dataclass(frozen=True, slots=True)
class _Entry:
    account: str
    region: str
    group: str
    stream: str
    lines: list[tuple[int, str]]
    size: int


class LogBuffer:
    """The engine's `LogSink`. `run` belongs to a task group; `flush` brings out what is there at once."""

    def __init__(self, database: Database, clock: Clock, *, gate: Gate | None = None) -> None:
        self._database = database
        self._clock = clock
        self._gate = gate
        self._entries: list[_Entry] = []
        self._count = 0
        self._bytes = 0
        self.dropped = 0
        self._woken = asyncio.Event()
        self._busy = asyncio.Lock()

    def write(self, *, account: str, region: str, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        # AWS: the messages of Lambda's text logs end in a newline.
        ended = [(at_ms, text if text.endswith("\n") else text + "\n") for at_ms, text in lines]
        size = sum([len(text) for _, text in ended])
        if self._count + len(lines) > LINES_MAX or self._bytes + size > BYTES_MAX:
            self.dropped += len(lines)
            return
        self._entries.append(_Entry(account, region, group, stream, ended, size))
        self._count += len(lines)
        self._bytes += size
        self._woken.set()

    async def run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except apsw.Error:  # a full disk must not stop the cloud: the lines stay in memory, up to their limit
                log.exception("logs cannot be written")
                await asyncio.sleep(BACK_OFF_SECONDS)
                self._woken.set()

    async def flush(self) -> None:
        """Return when all that was written before is in the database."""
        async with self._busy:
            while self._entries:
                batch: list[_Entry] = []
                count = size = 0
                while count < LINES_AT_ONCE and size < BYTES_AT_ONCE and len(batch) < len(self._entries):
                    entry = self._entries[len(batch)]
                    batch.append(entry)
                    count += len(entry.lines)
                    size += entry.size
                wanted = [entry for entry in batch if entry.lines and await self._permitted(entry)]
                await self._database.write(_append_all, wanted, self._clock.wall_ms(), self._clock.now_ms())
                del self._entries[: len(batch)]
                self._count -= count
                self._bytes -= size
            if self.dropped:
                log.warning("%d log lines were dropped: they came faster than they could be written", self.dropped)
                self.dropped = 0

    async def _permitted(self, entry: _Entry) -> bool:
        return self._gate is None or await self._gate(entry.account, entry.region, entry.group)


def _append_all(tx: Transaction, entries: Sequence[_Entry], wall_ms: int, now_ms: int) -> None:
    gathered: dict[tuple[str, str, str, str], list[tuple[int, str]]] = {}
    for entry in entries:
        key = (entry.account, entry.region, entry.group, entry.stream)
        gathered.setdefault(key, []).extend(entry.lines)
    for (account, region, group_name, stream_name), lines in gathered.items():
        group = log_store.find_group(tx, account, region, group_name)
        if group is None:
            log_store.add_group(tx, account, region, group_name, now_ms=now_ms)
            group = log_store.find_group(tx, account, region, group_name)
            assert group is not None
        stream = log_store.find_stream(tx, group.id, stream_name)
        if stream is None:
            log_store.add_stream(tx, group.id, stream_name, now_ms=now_ms)
            stream = log_store.find_stream(tx, group.id, stream_name)
            assert stream is not None
        log_store.append(tx, stream, lines, ingested_ms=wall_ms)


class Retention:
    """`work` is for a Reconciler: deletes events that have outlived their group's retention, by cloud time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def work(self) -> int | None:
        while await self._database.write(log_store.expire, self._clock.now_ms(), EXPIRE_AT_ONCE) == EXPIRE_AT_ONCE:
            pass
        due_ms = await self._database.scan(log_store.next_expiry_ms)
        return due_ms + 1 if due_ms is not None else None
