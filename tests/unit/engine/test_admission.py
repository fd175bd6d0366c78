"""Whose instance is started next, and who is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pilotlight.clock import Clock
from pilotlight.engine import admission
from pilotlight.engine.admission import BURST_SECONDS, BURST_STARTS_MAX, STARTS_AT_ONCE, Admission, Starts
from pilotlight.engine.contract import Limits, Throttled
from pilotlight.engine.instance import Instance


class MovedClock(Clock):
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Made:
    clock: MovedClock = field(default_factory=MovedClock)
    unwanted: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.starts = Starts(self.clock, self.unwanted.append)

    async def full(self) -> None:
        for number in range(STARTS_AT_ONCE):
            assert await self.starts.wait_turn(f"other-{number}", "key") is None

    def wait(self, arn: str, key: str = "key") -> asyncio.Task[Instance | None]:
        return asyncio.ensure_future(self.starts.wait_turn(arn, key))


def instance(arn: str, key: str = "key", *, usable: bool = True) -> Instance:
    return cast(Instance, SimpleNamespace(version=SimpleNamespace(arn=arn, key=key), usable=usable))


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_functions_burst_does_not_stand_before_anothers_call() -> None:
    made, order = Made(), []
    await made.full()

    async def start(arn: str) -> None:
        await made.starts.wait_turn(arn, "key")
        order.append(arn)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(start("busy"))
        await turns()
        group.create_task(start("single"))
        await turns()
        for _ in range(6):
            made.starts.leave()
        await turns()
    assert order == ["busy", "single", "busy", "busy", "busy", "busy"]


async def test_who_waits_is_served_by_an_instance_that_becomes_free() -> None:
    made = Made()
    await made.full()
    waiting = made.wait("f")
    await turns()
    free = instance("f")
    assert not made.starts.hand_over(instance("g"))
    assert not made.starts.hand_over(instance("f", "older"))
    assert not made.starts.hand_over(instance("f", usable=False))
    assert made.starts.hand_over(free)
    assert await waiting is free
    assert not made.starts.hand_over(free)


async def test_a_turn_of_one_who_left_is_the_next_ones() -> None:
    made = Made()
    await made.full()
    leaving, staying = made.wait("f"), made.wait("g")
    await turns()
    made.starts.leave()
    leaving.cancel()
    await turns()
    assert await staying is None


async def test_an_instance_of_one_who_left_is_given_back() -> None:
    made = Made()
    await made.full()
    leaving = made.wait("f")
    await turns()
    free = instance("f")
    assert made.starts.hand_over(free)
    leaving.cancel()
    await turns()
    assert made.unwanted == [free]


async def test_a_full_machine_refuses_instead_of_standing_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAITING_MAX", 1)
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.01)
    made = Made()
    await made.full()
    waiting = made.wait("f")
    await turns()
    for refused in (made.wait("g"), waiting):
        with pytest.raises(Throttled) as throttled:
            await refused
        assert throttled.value.reason == "ConcurrentInvocationLimitExceeded"
    made.starts.leave()
    assert await made.starts.wait_turn("f", "key") is None


async def test_a_function_grows_by_a_thousand_instances_in_ten_seconds_and_others_are_not_held_up() -> None:
    made = Made()
    for _ in range(BURST_STARTS_MAX):
        await made.starts.wait_turn("f", "key")
        made.starts.leave()
    with pytest.raises(Throttled):
        await made.starts.wait_turn("f", "key")
    assert await made.starts.wait_turn("g", "key") is None
    made.clock.now += BURST_SECONDS
    assert await made.starts.wait_turn("f", "key") is None


async def test_who_grows_too_fast_in_the_queue_leaves_the_turn_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "BURST_STARTS_MAX", 1)
    made = Made()
    await made.full()
    first, second, other = made.wait("f"), made.wait("f"), made.wait("g")
    await turns()
    for _ in range(3):
        made.starts.leave()
    assert await first is None
    with pytest.raises(Throttled):
        await second
    assert await other is None


def test_a_group_is_counted_and_refused_with_its_reason() -> None:
    counted = Admission()
    limits = Limits(group="g", concurrent=1, reason="ReservedFunctionConcurrentInvocationLimitExceeded")
    counted.enter(limits)
    with pytest.raises(Throttled) as throttled:
        counted.enter(limits)
    assert throttled.value.reason == limits.reason
    counted.leave(limits)
    assert counted.running("g") == 0
