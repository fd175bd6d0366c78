"""Bodies too large for rows: written once under a fresh name, never changed, collected when no row names them.

The order is what keeps promises. A blob is synced and named first, then the caller commits the row that
mentions it, and only then is it reachable; whatever a crash leaves between the two is an orphan that
`collect` finds. A blob whose row was removed is given to `discard` after that commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from pilotlight.ids import Ids

T = TypeVar("T")

PIECE_BYTES = 1024 * 1024
"""How much is handed to a thread at once."""
LANE_PIECES_MAX = 8
"""How far hashing may lie behind receiving: with it, some 10 MiB per body are in memory at most."""
THREADS_MAX = 8
COLLECT_BATCH = 500
ORPHAN_NS_MIN = 3_600 * 1_000_000_000
"""An unnamed blob of this process younger than this may still have its commit before it."""
PARTIAL = ".part"

Sink = Callable[[bytes], object]
Referenced = Callable[[Sequence[str]], Awaitable[set[str]]]


class BlobGone(Exception):
    """The blob was discarded after its row was read: read the row again."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes `start` to `end` (not included) of a blob, or of `data` where the bytes are already here."""

    start: int
    end: int
    blob: str = ""
    data: bytes = b""


class BlobWriter(Protocol):
    async def append(self, data: bytes) -> None: ...

    async def settle(self) -> None:
        """Return when the sink has seen all that was appended."""
        ...

    async def finish(self) -> str:
        """Durable under the returned name. Commit the row before leaving the writer's context."""
        ...


class Blobs(Protocol):
    def write(self, sink: Sink | None = None) -> contextlib.AbstractAsyncContextManager[BlobWriter]:
        """A fresh blob. `sink` is called with each piece, in order, in a thread: hash there. Without
        `finish`, nothing is left behind."""
        ...

    def link(self, blob: str) -> contextlib.AbstractAsyncContextManager[str]:
        """A second name with a life of its own for the same bytes. Commit its row inside the context."""
        ...

    async def read(self, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        """The segments one after the other. They stay readable until the iteration ends, or the iterator is
        dropped. Raises BlobGone."""
        ...

    async def discard(self, blobs: Iterable[str]) -> None:
        """Delete what no committed row names any more; what is being read goes afterwards."""
        ...

    async def collect(self, referenced: Referenced) -> int:
        """Delete orphans; `referenced` tells which of the given names rows mention. Returns how many went."""
        ...


class LocalBlobs:
    """Blobs as files: `DIRECTORY/ab/abcdef…`. One process owns the directory."""

    def __init__(self, directory: Path, ids: Ids) -> None:
        self._directory = directory
        self._ids = ids
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="blobs")
        self._pending: set[str] = set()
        self._pins: dict[str, int] = {}
        self._doomed: set[str] = set()
        for number in range(256):
            (directory / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        _sync_directory(directory)
        self._opened_ns = self._file_time_ns()

    def close(self) -> None:
        """Wait for what the threads are doing."""
        self._threads.shutdown()

    @contextlib.asynccontextmanager
    async def write(self, sink: Sink | None = None) -> AsyncIterator[BlobWriter]:
        name = self._fresh()
        writer = _FileWriter(self, name, sink)
        try:
            yield writer
        finally:
            try:
                await writer.release()
            finally:
                self._pending.discard(name)

    @contextlib.asynccontextmanager
    async def link(self, blob: str) -> AsyncIterator[str]:
        name = self._fresh()
        try:
            try:
                await self.in_thread(_link, self.path(blob), self.path(name))
            except FileNotFoundError as error:
                raise BlobGone(blob) from error
            yield name
        finally:
            self._pending.discard(name)

    async def read(self, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        names = {segment.blob for segment in segments if segment.blob}
        if names & self._doomed:
            raise BlobGone
        for name in names:
            self._pins[name] = self._pins.get(name, 0) + 1
        reader = _FileReader(self, segments)
        reader.release = weakref.finalize(reader, self._unpin, names)
        try:
            await reader.open_first()
        except FileNotFoundError as error:
            reader.release()
            raise BlobGone from error
        return aiter(reader)

    async def discard(self, blobs: Iterable[str]) -> None:
        names = set(blobs)
        self._doomed |= names
        await self._delete([name for name in names if name not in self._pins])

    async def collect(self, referenced: Referenced) -> int:
        now_ns = await self.in_thread(self._file_time_ns)
        count = 0
        for number in range(256):
            found = await self.in_thread(self._aged, self._directory / f"{number:02x}", now_ns)
            candidates = [name for name in found if name.removesuffix(PARTIAL) not in self._pending]
            for start in range(0, len(candidates), COLLECT_BATCH):
                batch = candidates[start : start + COLLECT_BATCH]
                named = await referenced([name for name in batch if not name.endswith(PARTIAL)])
                orphans = [name for name in batch if name not in named and name not in self._pins]
                await self._delete(orphans)
                count += len(orphans)
        return count

    def path(self, name: str) -> Path:
        return self._directory / name[:2] / name

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def submit(self, function: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _fresh(self) -> str:
        name = self._ids.hex(32)
        self._pending.add(name)
        return name

    def _file_time_ns(self) -> int:
        """Now, by the clock that stamps the files: no other may be compared with them."""
        marker = self._directory / "opened"
        marker.touch()
        os.utime(marker)
        return marker.stat().st_mtime_ns

    def _aged(self, folder: Path, now_ns: int) -> list[str]:
        """Files of an earlier process, and old ones: a younger one's row may not be committed yet."""
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    # A link's own age is when its name changed, not when its bytes were written.
                    changed_ns = max(entry.stat().st_ctime_ns, entry.stat().st_mtime_ns)
                    if changed_ns < self._opened_ns or changed_ns < now_ns - ORPHAN_NS_MIN:
                        names.append(entry.name)
        return names

    async def _delete(self, names: Sequence[str]) -> None:
        if names:
            await self.in_thread(_unlink_all, [self.path(name) for name in names])
            self._doomed.difference_update(names)

    def _unpin(self, names: Iterable[str]) -> None:
        for name in names:
            self._pins[name] -= 1
            if self._pins[name]:
                continue
            del self._pins[name]
            if name in self._doomed:
                self._doomed.discard(name)
                with contextlib.suppress(RuntimeError):  # closed: the next start collects it
                    self._threads.submit(_unlink_all, [self.path(name)])


class _Lane:
    """Work on a body's pieces in their order, in a thread, while the loop receives the next ones."""

    def __init__(self, blobs: LocalBlobs, work: Callable[[Sequence[bytes]], object]) -> None:
        self._blobs = blobs
        self._work = work
        self._waiting: deque[Sequence[bytes]] = deque()
        self._running: asyncio.Future[None] | None = None

    async def put(self, pieces: Sequence[bytes]) -> None:
        if len(self._waiting) >= LANE_PIECES_MAX:
            await self.settle()
        self._waiting.append(pieces)
        if self._running is None or self._running.done():
            await self._start()

    async def settle(self) -> None:
        """Return when all is done; raises what the work raised."""
        while self._running is not None or self._waiting:
            await self._start()

    async def stop(self) -> None:
        """Return when the thread is out of the work; what waits is dropped."""
        self._waiting.clear()
        if self._running is not None:
            with contextlib.suppress(OSError):
                await asyncio.shield(self._running)

    async def _start(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                self._running = running
                raise
        if self._waiting:
            self._running = self._blobs.submit(self._drain)

    def _drain(self) -> None:
        while self._waiting:
            self._work(self._waiting.popleft())


class _FileWriter:
    """Writes in one lane and hashes in another: the disk syncs while the slower hash catches up."""

    def __init__(self, blobs: LocalBlobs, name: str, sink: Sink | None) -> None:
        self._blobs = blobs
        self._name = name
        self._pieces: list[bytes] = []
        self._size = 0
        self._descriptor = -1
        self._synced = False
        self._syncing: asyncio.Future[None] | None = None
        self._finished = False
        self._writing = _Lane(blobs, self._write)
        self._hashing = _Lane(blobs, lambda pieces: [sink(piece) for piece in pieces]) if sink else None

    async def append(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= PIECE_BYTES:
            await self._flush()

    async def settle(self) -> None:
        await self._flush()
        await self._writing.settle()
        self._syncing = self._blobs.submit(self._sync)
        if self._hashing is not None:
            await self._hashing.settle()
        await asyncio.shield(self._syncing)

    async def finish(self) -> str:
        await self.settle()
        await self._blobs.in_thread(self._publish)
        self._finished = True
        return self._name

    async def release(self) -> None:
        """Close, and leave nothing of what was not finished; also when cancelled between two pieces."""
        if self._finished:
            return
        await self._writing.stop()
        if self._hashing is not None:
            await self._hashing.stop()
        if self._syncing is not None:
            with contextlib.suppress(OSError):
                await asyncio.shield(self._syncing)
        await asyncio.shield(self._blobs.submit(self._abandon))

    async def _flush(self) -> None:
        if not self._pieces:
            return
        pieces, self._pieces, self._size = self._pieces, [], 0
        await self._writing.put(pieces)
        if self._hashing is not None:
            await self._hashing.put(pieces)

    # In a thread.

    @property
    def _partial(self) -> Path:
        path = self._blobs.path(self._name)
        return path.with_name(path.name + PARTIAL)

    def _open(self) -> int:
        if self._descriptor < 0:
            self._descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._synced = False
        return self._descriptor

    def _write(self, pieces: Sequence[bytes]) -> None:
        descriptor = self._open()
        self._synced = False
        for data in pieces:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

    def _sync(self) -> None:
        descriptor = self._open()
        if not self._synced:
            os.fsync(descriptor)
            self._synced = True

    def _publish(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        path = self._blobs.path(self._name)
        self._partial.rename(path)
        _sync_directory(path.parent)

    def _abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._partial.unlink(missing_ok=True)


class _FileReader:
    """Reads one piece ahead of whoever iterates."""

    release: Callable[[], object]

    def __init__(self, blobs: LocalBlobs, segments: Sequence[Segment]) -> None:
        self._blobs = blobs
        self._segments = segments
        self._opened: _OpenFile | None = None

    async def open_first(self) -> None:
        first = next((segment for segment in self._segments if segment.blob), None)
        if first is not None:
            self._opened = await self._blobs.in_thread(_OpenFile, self._blobs.path(first.blob))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for segment in self._segments:
                if segment.blob:
                    async for piece in self._file_pieces(segment):
                        yield piece
                else:
                    yield segment.data[segment.start : segment.end]
        finally:
            self.release()

    async def _file_pieces(self, segment: Segment) -> AsyncIterator[bytes]:
        opened, self._opened = self._opened, None
        if opened is None:
            opened = await self._blobs.in_thread(_OpenFile, self._blobs.path(segment.blob))
        offsets = range(segment.start, segment.end, PIECE_BYTES)
        ahead: asyncio.Future[bytes] | None = None
        for offset in offsets:
            reading = ahead or self._blobs.submit(opened.read, offset, min(PIECE_BYTES, segment.end - offset))
            piece = await reading
            following = offset + PIECE_BYTES
            ahead = None
            if following < segment.end:
                ahead = self._blobs.submit(opened.read, following, min(PIECE_BYTES, segment.end - following))
            yield piece


class _OpenFile:
    """Closed when nobody holds it any more, a reading thread included."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - lives as long as its reader
        weakref.finalize(self, self._file.close)

    def read(self, offset: int, size: int) -> bytes:
        data = os.pread(self._file.fileno(), size, offset)
        while len(data) < size:
            more = os.pread(self._file.fileno(), size - len(data), offset + len(data))
            if not more:
                raise OSError(f"the blob ends at {offset + len(data)}, before its row says so")
            data += more
        return data


def _link(source: Path, target: Path) -> None:
    os.link(source, target)
    _sync_directory(target.parent)


def _unlink_all(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
