"""Blobs: whole or not there, and gone only when nobody needs them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pilotlight.ids import Ids
from pilotlight.storage.blobs import BlobGone, LocalBlobs, Segment

DATA = os.urandom(1024) * 2500


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[LocalBlobs]:
    blobs = LocalBlobs(tmp_path, Ids())
    yield blobs
    blobs.close()


def files(blobs: LocalBlobs) -> list[str]:
    return sorted(path.name for path in blobs._directory.glob("??/*"))


async def keep(blobs: LocalBlobs, data: bytes = DATA) -> str:
    async with blobs.write() as writer:
        for start in range(0, len(data), 65536):
            await writer.append(data[start : start + 65536])
        return await writer.finish()


async def read(blobs: LocalBlobs, *segments: Segment) -> bytes:
    return b"".join([piece async for piece in await blobs.read(segments)])


async def nothing(names: Sequence[str]) -> set[str]:
    return set()


async def test_blob_comes_back_and_so_do_its_ranges(blobs: LocalBlobs) -> None:
    name = await keep(blobs)
    assert await read(blobs, Segment(0, len(DATA), name)) == DATA
    assert await read(blobs, Segment(5, 1_500_000, name), Segment(1, 3, data=b"abcd")) == DATA[5:1_500_000] + b"bc"


async def test_sink_sees_every_byte_in_order(blobs: LocalBlobs) -> None:
    seen = bytearray()
    async with blobs.write(seen.extend) as writer:
        await writer.append(DATA)
        await writer.append(b"tail")
        await writer.settle()
        assert bytes(seen) == DATA + b"tail"
        await writer.finish()


async def test_unfinished_blob_leaves_nothing(blobs: LocalBlobs) -> None:
    async with blobs.write() as writer:
        await writer.append(DATA)
        await writer.settle()
        assert len(files(blobs)) == 1
    assert files(blobs) == []


async def test_cancelled_writer_leaves_nothing(blobs: LocalBlobs) -> None:
    async def write() -> None:
        async with blobs.write() as writer:
            await writer.append(DATA)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await write()
    assert files(blobs) == []


async def test_discarded_blob_is_read_to_its_end_by_who_began(blobs: LocalBlobs) -> None:
    name = await keep(blobs)
    reading = await blobs.read([Segment(0, len(DATA), name)])
    await blobs.discard([name])
    with pytest.raises(BlobGone):
        await blobs.read([Segment(0, 1, name)])
    assert b"".join([piece async for piece in reading]) == DATA
    del reading
    await blobs.in_thread(lambda: None)
    assert not blobs._pins


async def test_reader_that_never_reads_holds_nothing(blobs: LocalBlobs) -> None:
    name = await keep(blobs)
    reading = await blobs.read([Segment(0, 10, name)])
    del reading
    assert not blobs._pins


async def test_link_outlives_its_source(blobs: LocalBlobs) -> None:
    name = await keep(blobs)
    async with blobs.link(name) as copy:
        pass
    await blobs.discard([name])
    assert await read(blobs, Segment(0, len(DATA), copy)) == DATA
    with pytest.raises(BlobGone):
        async with blobs.link(name):
            pass


async def test_orphans_of_an_earlier_process_are_collected(blobs: LocalBlobs, tmp_path: Path) -> None:
    kept, orphan = await keep(blobs), await keep(blobs)
    (tmp_path / "ab" / "abc.part").write_bytes(b"torn")
    later = LocalBlobs(tmp_path, Ids())
    later._opened_ns += 10**9

    async def referenced(names: Sequence[str]) -> set[str]:
        return {kept} & set(names)

    assert await later.collect(referenced) == 2
    assert files(later) == [kept]
    assert orphan != kept
    later.close()


async def test_young_blob_is_not_collected_before_its_row_is_committed(blobs: LocalBlobs) -> None:
    async with blobs.write() as writer:
        await writer.append(DATA)
        assert await blobs.collect(nothing) == 0
        await writer.finish()
        assert await blobs.collect(nothing) == 0
    assert await blobs.collect(nothing) == 0
    assert len(files(blobs)) == 1
