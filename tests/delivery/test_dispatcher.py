"""The dispatcher: once, in time, and after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pilotlight.clock import Clock, ClockState
from pilotlight.delivery.contract import Done, Later
from pilotlight.delivery.dispatcher import Dispatcher
from pilotlight.ids import Ids
from pilotlight.storage import Database, Transaction, outbox
from pilotlight.storage.outbox import OutboxEvent

NOW = 1_800_000_000_000


class Scripted:
    """Keeps what was delivered, and answers by a function."""

    def __init__(self, answer: Callable[[OutboxEvent], Awaitable[Done | Later]]) -> None:
        self.delivered: list[str] = []
        self._answer = answer

    async def deliver(self, event: OutboxEvent) -> Done | Later:
        self.delivered.append(event.id)
        return await self._answer(event)


async def done(_: OutboxEvent) -> Done:
    return Done()


def event(identity: str, due_ms: int = NOW, kind: str = "k") -> OutboxEvent:
    return OutboxEvent(
        id=identity, kind=kind, account="0", region="r", target="t", payload=b"", created_ms=NOW, due_ms=due_ms
    )


def make(database: Database, target: Scripted, clock: Clock | None = None) -> tuple[Dispatcher, Clock]:
    clock = clock or Clock(ClockState(frozen_at_ms=NOW))
    return Dispatcher(database, {"k": target}, clock, Ids()), clock


async def left(database: Database) -> int:
    def count(tx: Transaction) -> int:
        return len(tx.all("select id from outbox"))

    return await database.read(count)


async def test_what_is_due_is_delivered_once_and_what_is_not_waits(database: Database) -> None:
    target = Scripted(done)
    dispatcher, clock = make(database, target)
    for number in range(5):
        await database.write(outbox.post, event(f"e{number}", NOW + 1000 * number))
    assert await dispatcher.work() == NOW + 1000
    assert target.delivered == ["e0"]
    clock.advance_to(NOW + 2000)
    assert await dispatcher.work() == NOW + 3000
    assert target.delivered == ["e0", "e1", "e2"]


async def test_an_event_put_back_returns_when_the_clock_says_so(database: Database) -> None:
    async def answer(e: OutboxEvent) -> Done | Later:
        return Later(due_ms=clock.now_ms() + 60_000, detail='{"n":1}') if e.detail == "{}" else Done()

    target = Scripted(answer)
    dispatcher, clock = make(database, target)
    await database.write(outbox.post, event("e"))
    assert await dispatcher.work() == NOW + 60_000
    clock.advance_to(NOW + 60_000)
    assert await dispatcher.work() is None
    assert target.delivered == ["e", "e"]
    assert await left(database) == 0


async def test_what_follows_is_delivered_in_the_same_go(database: Database) -> None:
    async def answer(e: OutboxEvent) -> Done:
        return Done(follow_ups=(event("second"),)) if e.id == "first" else Done()

    target = Scripted(answer)
    dispatcher, _ = make(database, target)
    await database.write(outbox.post, event("first"))
    await dispatcher.work()
    assert target.delivered == ["first", "second"]


async def test_a_lost_lease_ends_in_nothing(database: Database) -> None:
    async def answer(e: OutboxEvent) -> Done:
        def steal(tx: Transaction) -> None:
            tx.run("update outbox set lease_token = 'other'")

        await database.write(steal)
        return Done(follow_ups=(event("follow"),))

    dispatcher, _ = make(database, Scripted(answer))
    await database.write(outbox.post, event("e"))
    await dispatcher.work()
    assert await left(database) == 1


async def test_a_killed_nodes_events_are_taken_up_at_once(database: Database) -> None:
    await database.write(outbox.post, event("e"))

    def claim(tx: Transaction) -> None:
        outbox.claim(tx, now_ms=NOW, wall_ms=0, lease_until_ms=2**60, token="dead", limit=1)

    await database.claim(claim)
    target = Scripted(done)
    dispatcher, _ = make(database, target)
    await dispatcher.work()
    assert target.delivered == ["e"]


async def test_a_bug_in_one_target_stops_no_other(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async def answer(e: OutboxEvent) -> Done:
        if e.id == "bad":
            raise ValueError("a bug")
        return Done()

    target = Scripted(answer)
    dispatcher, _ = make(database, target)
    for identity in ("bad", "good"):
        await database.write(outbox.post, event(identity))
    await database.write(outbox.post, event("strange", kind="unknown"))
    assert await dispatcher.work() == NOW + 60_000
    assert await left(database) == 2
    assert "a bug" in caplog.text


async def test_an_event_posted_while_others_run_does_not_wait_for_them(database: Database) -> None:
    second = asyncio.Event()

    async def answer(e: OutboxEvent) -> Done:
        if e.id == "slow":
            await database.write(outbox.post, event("quick"))
            dispatcher.wake()
            await second.wait()
        second.set()
        return Done()

    target = Scripted(answer)
    dispatcher, _ = make(database, target)
    await database.write(outbox.post, event("slow"))
    async with asyncio.timeout(5):
        await dispatcher.work()
    assert target.delivered == ["slow", "quick"]
