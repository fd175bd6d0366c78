"""Bootstraps that were forked ahead: who gets one, and what becomes of the others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Hashable
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine import spares
from pilotlight.engine.frames import Channel
from pilotlight.engine.sandbox.contract import Launch, Sandbox
from pilotlight.engine.sandbox.ground import RootGround
from pilotlight.engine.sandbox.namespaced import NamespaceSandbox
from pilotlight.engine.sandbox.plain import PlainFactory, PlainSandbox
from pilotlight.engine.spares import SORTS_MAX, SPARES_EACH, Spares
from pilotlight.engine.wires import Wires, make_wires
from pilotlight.ids import Ids


class Process:
    baseline_mb = 0

    async def wait(self) -> int | None:
        return 0


class Forks:
    """A runtime whose bootstraps are sockets that the test holds."""

    def __init__(self) -> None:
        self.sandboxes: list[PlainSandbox] = []
        self.fails = False
        self.held: list[asyncio.Task[None]] = []
        self.release = asyncio.Event()

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, spares.Process] | None:
        assert isinstance(sandbox, PlainSandbox)
        self.sandboxes.append(sandbox)
        if self.fails:
            return None
        ready: asyncio.Future[Wires] = asyncio.get_running_loop().create_future()
        self.held.append(asyncio.ensure_future(self._hold(ready)))
        return await ready, Process()

    async def _hold(self, ready: asyncio.Future[Wires]) -> None:
        async with make_wires() as (wires, _):
            ready.set_result(wires)
            await self.release.wait()


class Made:
    def __init__(self, group: asyncio.TaskGroup, directory: Path) -> None:
        self.group = group
        self.tasks: list[asyncio.Task[None]] = []
        self.factory = PlainFactory(directory, Ids())
        self.forks = Forks()
        self.spares = Spares(self.factory, self.later)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(self.group.create_task(work))

    async def settle(self) -> None:
        while self.tasks:
            await self.tasks.pop()


@pytest.fixture
async def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Made]:
    monkeypatch.setattr(spares, "DELAY_SECONDS", 0)
    monkeypatch.setattr(spares, "BURST_DELAY_SECONDS", 0)
    async with asyncio.TaskGroup() as group:
        made = Made(group, tmp_path / "sandboxes")
        await made.factory.start()
        yield made
        await made.spares.close()
        made.forks.release.set()
        await asyncio.gather(*made.forks.held)
        await made.settle()
    await made.factory.close()


async def test_the_first_of_a_sort_finds_none_and_the_next_ones_do(made):
    assert made.spares.take("sort", made.forks) is None
    await made.settle()
    taken = [made.spares.take("sort", made.forks) for _ in range(SPARES_EACH)]
    assert [spare.sandbox for spare in taken] == made.forks.sandboxes[:SPARES_EACH]
    assert made.spares.take("sort", made.forks) is None
    await made.settle()
    for spare in taken:
        await spare.end()


async def test_a_spare_serves_its_own_sort_only(made):
    made.spares.take("one", made.forks)
    await made.settle()
    assert made.spares.take("other", made.forks) is None


async def test_one_that_died_is_passed_over_and_its_sandbox_removed(made):
    made.spares.take("sort", made.forks)
    await made.settle()
    scratch = made.forks.sandboxes[0].scratch
    assert scratch.exists()
    made.forks.release.set()  # the far ends close: all of them are dead
    await asyncio.gather(*made.forks.held)
    await asyncio.sleep(0)
    assert made.spares.take("sort", made.forks) is None
    made.forks.release.clear()
    await made.settle()
    assert not scratch.exists()


async def test_a_sandbox_is_not_kept_where_nothing_can_be_forked(made):
    made.forks.fails = True
    made.spares.take("sort", made.forks)
    await made.settle()
    assert len(made.forks.sandboxes) == 1
    assert not made.forks.sandboxes[0].scratch.exists()


async def test_sorts_that_were_not_used_for_long_lose_theirs(made):
    for number in range(SORTS_MAX + 1):
        made.spares.take(number, made.forks)
        await made.settle()
    alive = [sandbox for sandbox in made.forks.sandboxes if sandbox.scratch.exists()]
    assert alive == made.forks.sandboxes[SPARES_EACH:]


async def test_closing_ends_all_and_makes_no_more(made):
    made.spares.take("sort", made.forks)
    await made.settle()
    await made.spares.close()
    assert not any(sandbox.scratch.exists() for sandbox in made.forks.sandboxes)
    assert made.spares.take("sort", made.forks) is None
    await made.settle()
    assert len(made.forks.sandboxes) == SPARES_EACH


async def test_a_channel_that_was_lost_before_says_so_to_whoever_comes():
    lost = []
    Channel().attach(lambda kind, body, size: None, lambda: lost.append(True))
    assert lost == [True]


async def test_output_that_came_early_is_kept_for_the_instance():
    async with make_wires() as (wires, ends):
        os.write(ends.output, b"early\n")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        got: list[bytes] = []
        wires.output.attach(got.append)
        os.write(ends.output, b"late\n")
        while b"".join(got) != b"early\nlate\n":
            await asyncio.sleep(0)
        wires.close()
    while wires.channel.connected:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_the_news_of_an_end_may_overtake_the_answer_that_names_the_program(tmp_path: Path):
    class Daemon:
        pid = 1

        async def order(self, do: str, descriptors: Any = (), **parameters: Any) -> tuple[dict[str, Any], list[int]]:
            sandbox.ended(17, 3)
            return {"pid": 17}, []

    class Cgroup:
        def join_descriptors(self) -> list[int]:
            return []

    sandbox = NamespaceSandbox(
        "one",
        slot=1,
        ground=RootGround(tmp_path, 1, egress=False),
        cgroup=Cgroup(),  # type: ignore[arg-type]
        daemon=Daemon(),  # type: ignore[arg-type]
        seccomp=b"",
    )
    assert await sandbox.spawn(Launch(argv=["x"], environment={})) == 17
    assert await sandbox.wait_exit(17) == 3


async def test_after_a_burst_there_are_more_and_when_it_is_calm_as_many_as_ever(made: Made) -> None:
    for _ in range(20):
        made.spares.take("sort", made.forks)
    await made.settle()
    assert made.spares.ready("sort") == spares.SPARES_MAX
    for _ in range(spares.CALM_ROUNDS):
        made.spares.tend()
    await made.settle()
    assert made.spares.ready("sort") == SPARES_EACH
