"""What one instance may say in a while."""

from __future__ import annotations

import asyncio
import os

import pytest

from pilotlight.engine import pace
from pilotlight.engine.wires import Output


async def test_a_flood_is_read_no_faster_than_the_allowance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "BURST_BYTES", 200_000)
    monkeypatch.setattr(pace, "BYTES_PER_PERIOD", 100_000)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got = 0

    def sink(data: bytes) -> None:
        nonlocal got
        got += len(data)

    output = Output(reading)
    output.attach(sink)
    loop = asyncio.get_running_loop()
    ends = loop.time() + 0.35
    while loop.time() < ends:
        try:
            os.write(writing, bytes(65536))
        except BlockingIOError:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
    assert 200_000 < got <= 200_000 + 4 * 100_000 + 65536
    os.close(writing)
    async with asyncio.timeout(5):
        while output._open:
            await asyncio.sleep(0.01)


async def test_short_lines_cost_more_than_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[bool] = []
    one = pace.Pace(lambda: paused.append(True), lambda: None)
    one.spend(10, pace.BURST_BYTES // pace.LINE_BYTES + 1)
    assert paused == [True]
    one.close()
