"""Handlers that try to deny the service to others: the platform stays small, the others go on, and nothing is left."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import pytest
import pytest_asyncio

from pilotlight.engine.sandbox.factory import POOL_SIZE_MAX
from tests.engine.sandbox.conftest import needs_linux
from tests.engine.world import World, world

pytestmark = [pytest.mark.linux, pytest.mark.slow, needs_linux, pytest.mark.asyncio(loop_scope="module")]

HONEST = "def handler(event, context):\n    return 'fine'\n"
GREW_BYTES_MAX = 64 << 20
ATTACKS = {
    "a log flood through the runtime": "import sys\ndef handler(e, c):\n    while True: print('x' * 65536)",
    "a log flood past the runtime": "import os\ndef handler(e, c):\n    while True: os.write(1, b'x\\n' * 500000)",
    "a line without an end": "import os\ndef handler(e, c):\n    while True: os.write(2, b'x' * 1000000)",
    "an answer of half a gigabyte": "def handler(e, c):\n    return 'x' * (500 << 20)",
    "an answer that nests without an end": (
        "def handler(e, c):\n    x = []\n    for _ in range(900): x = [x]\n    return x"
    ),
    "a fork bomb": (
        "import os\ndef handler(e, c):\n    while True:\n        try:\n            if os.fork() == 0: continue\n"
        "        except OSError: pass"
    ),
    "threads without number": (
        "import threading, time\ndef handler(e, c):\n"
        "    while True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()"
    ),
    "memory without an end": "def handler(e, c):\n    x = []\n    while True: x.append(bytearray(1 << 22))",
    "a full /tmp": "def handler(e, c):\n    f = open('/tmp/x', 'wb', 0)\n    while True: f.write(bytes(1 << 22))",
    "inodes without number": "def handler(e, c):\n    n = 0\n    while True: open(f'/tmp/{n}', 'w').close(); n += 1",
    "descriptors without number": "import os\ndef handler(e, c):\n    while True: os.dup(1)",
    "sockets without number": (
        "import socket\nkept = []\ndef handler(e, c):\n    while True: kept.append(socket.socketpair())"
    ),
    "connections to its cloud without number": (
        "import socket\nkept = []\ndef handler(e, c):\n"
        "    while True: kept.append(socket.create_connection(('127.0.0.1', 4566), 1))"
    ),
    "signals ignored and no end": (
        "import signal\nfor n in (15, 2, 1): signal.signal(n, signal.SIG_IGN)\ndef handler(e, c):\n    while True: pass"
    ),
    "its own bootstrap's socket, with lengths that lie": (
        "import os\ndef handler(e, c):\n    for fd in range(3, 64):\n"
        "        try: os.write(fd, b'\\xff\\xff\\xff\\x7fR' + bytes(100000))\n        except OSError: pass"
    ),
    "its own bootstrap's socket, with answers without number": (
        "import os\ndef handler(e, c):\n    while True:\n        for fd in range(3, 64):\n"
        "            try: os.write(fd, b'\\x00\\x00\\x00\\x00R' * 1000)\n            except OSError: pass"
    ),
    "all descriptors closed": "import os\ndef handler(e, c):\n    os.closerange(0, 1024)\n    while True: pass",
    "an exception larger than memory allows": "def handler(e, c):\n    raise ValueError('x' * (90 << 20))",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("floods"), "namespaces", "bare") as made:
        yield made


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def cgroups(cloud: World) -> set[str]:
    return cloud.agent._factory.ground.parent.children()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ATTACKS)
async def test_others_go_on_while_one_does(cloud: World, name: str) -> None:
    bad = cloud.version(ATTACKS[name], timeout_seconds=1, memory_mb=256)
    good = cloud.version(HONEST)
    assert await cloud.answer(good) == "fine"
    kept = cloud.logs.events
    cloud.logs.events = _Forgetful()  # type: ignore[assignment]
    before = memory_bytes()
    try:
        async with asyncio.timeout(40), asyncio.TaskGroup() as group:
            attack = group.create_task(cloud.invoke(bad))
            while not attack.done():
                assert await cloud.answer(good) == "fine"
                assert memory_bytes() - before < GREW_BYTES_MAX
                await asyncio.sleep(0.02)
    finally:
        cloud.logs.events = kept
    assert attack.result().function_error == "Unhandled" or name in HARMLESS, attack.result().payload[:500]
    assert await cloud.answer(good) == "fine"


HARMLESS = {"an answer that nests without an end"}


class _Forgetful(list[tuple[str, str, str]]):
    """A log that a test does not keep: it is the platform's memory that is looked at."""

    def __iadd__(self, _lines: object) -> _Forgetful:  # type: ignore[misc, override]
        return self


async def test_nothing_of_them_is_left(cloud: World) -> None:
    """No instance, and no cgroup but those of sandboxes that wait, of which there are more after a burst."""
    cloud.later(10_000)
    waiting = cloud.agent._factory._sandboxes  # type: ignore[attr-defined]
    await cloud.settled(
        lambda: not sum(cloud.agent.describe().values()) and len(cgroups(cloud)) <= len(waiting) <= 2 * POOL_SIZE_MAX
    )


async def test_a_flooding_neighbour_costs_no_more_than_a_busy_one(cloud: World) -> None:
    """The same use of CPU, once honest and once as a flood of log."""
    good = cloud.version(HONEST)
    busy = await _beside(cloud, good, "import time\ndef handler(e, c):\n    while True: pass")
    flooded = await _beside(cloud, good, ATTACKS["a log flood past the runtime"])
    assert flooded <= 3 * busy, (flooded, busy)


async def _beside(cloud: World, good: object, source: str) -> float:
    loop = asyncio.get_running_loop()
    neighbour = cloud.version(source, timeout_seconds=2, memory_mb=1769)
    kept, cloud.logs.events = cloud.logs.events, _Forgetful()  # type: ignore[assignment]
    times = []
    async with asyncio.TaskGroup() as group:
        attack = group.create_task(cloud.invoke(neighbour))
        await asyncio.sleep(0.5)
        while not attack.done():
            began = loop.time()
            await cloud.answer(good)  # type: ignore[arg-type]
            times.append(loop.time() - began)
    cloud.logs.events = kept
    return median(times)
