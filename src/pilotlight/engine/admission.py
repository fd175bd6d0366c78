"""How many invocations may run, and whose instance is started next; refused with Lambda's reasons.

A machine starts only so many instances at once. Whoever has to wait for a turn stands in a queue of its function's,
and the functions take turns, so that one's burst is not in the way of another's single call. An instance that becomes
free meanwhile is handed to whoever waits for one of its version: that is sooner than a start. AWS does the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.engine.contract import Limits, Throttled
from pilotlight.engine.instance import Instance

STARTS_AT_ONCE = 16
WAITING_MAX = 2000
WAIT_SECONDS = 20.0
"""Longer than this nobody waits for a turn: the machine is full, and says so."""
BURST_STARTS_MAX = 1000
BURST_SECONDS = 10.0
"""AWS: "each function can scale by 1,000 execution environments every 10 seconds"."""
BURSTS_KEPT_MAX = 1000


class Admission:
    def __init__(self) -> None:
        self._running: dict[str, int] = {}

    def running(self, group: str) -> int:
        return self._running.get(group, 0)

    def enter(self, limits: Limits | None) -> None:
        """Raises Throttled. Every `enter` that returns is followed by one `leave`."""
        if limits is None:
            return
        running = self._running.get(limits.group, 0)
        if running >= limits.concurrent:
            raise Throttled(limits.reason)
        self._running[limits.group] = running + 1

    def leave(self, limits: Limits | None) -> None:
        if limits is None:
            return
        running = self._running[limits.group] - 1
        if running:
            self._running[limits.group] = running
        else:
            del self._running[limits.group]


@dataclass(slots=True, eq=False)
class _Waiter:
    key: str
    turn: asyncio.Future[Instance | None]


class Starts:
    """`wait_turn`, and then `leave` when the start is over."""

    def __init__(self, clock: Clock, unwanted: Callable[[Instance], None]) -> None:
        """`unwanted` takes back an instance that was handed to someone who had just left."""
        self._clock = clock
        self._unwanted = unwanted
        self._under_way = 0
        self._waiting = 0
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        """By function; the one whose turn is next comes first."""
        self._bursts: dict[str, tuple[float, int]] = {}

    async def wait_turn(self, arn: str, key: str) -> Instance | None:
        """Returns when an instance may be started, or with one that became free. Raises Throttled."""
        if self._under_way < STARTS_AT_ONCE and not self._queues:
            self._count(arn)
            self._under_way += 1
            return None
        if self._waiting >= WAITING_MAX:
            raise Throttled("ConcurrentInvocationLimitExceeded")
        waiter = _Waiter(key, asyncio.get_running_loop().create_future())
        self._queues.setdefault(arn, deque()).append(waiter)
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                instance = await waiter.turn
            if instance is None:
                self._count(arn)
        except TimeoutError:
            self._withdraw(arn, waiter)
            raise Throttled("ConcurrentInvocationLimitExceeded") from None
        except BaseException:
            self._withdraw(arn, waiter)
            raise
        return instance

    def leave(self) -> None:
        self._under_way -= 1
        self._call_next()

    def hand_over(self, instance: Instance) -> bool:
        """True where somebody waited for just this."""
        queue = self._queues.get(instance.version.arn)
        if queue is None or not instance.usable:
            return False
        for waiter in queue:
            if waiter.key == instance.version.key and not waiter.turn.done():
                self._take_out(instance.version.arn, waiter)
                waiter.turn.set_result(instance)
                return True
        return False

    def _call_next(self) -> None:
        while self._queues and self._under_way < STARTS_AT_ONCE:
            arn, queue = next(iter(self._queues.items()))
            waiter = queue[0]
            self._queues.move_to_end(arn)
            self._take_out(arn, waiter)
            self._under_way += 1
            waiter.turn.set_result(None)

    def _take_out(self, arn: str, waiter: _Waiter) -> None:
        queue = self._queues[arn]
        queue.remove(waiter)
        self._waiting -= 1
        if not queue:
            del self._queues[arn]

    def _withdraw(self, arn: str, waiter: _Waiter) -> None:
        """Whoever waited does so no more; what came all the same is for the next."""
        if not waiter.turn.done() or waiter.turn.cancelled():
            if waiter in self._queues.get(arn, ()):
                self._take_out(arn, waiter)
            return
        instance = waiter.turn.result()
        if instance is None:
            self.leave()
        else:
            self._unwanted(instance)

    def _count(self, arn: str) -> None:
        """One more instance of a function; raises Throttled where it grows too fast."""
        now = self._clock.monotonic()
        began, count = self._bursts.get(arn, (now, 0))
        if now - began >= BURST_SECONDS:
            began, count = now, 0
        if count >= BURST_STARTS_MAX:
            raise Throttled("ConcurrentInvocationLimitExceeded")
        if len(self._bursts) >= BURSTS_KEPT_MAX:
            self._bursts = {name: one for name, one in self._bursts.items() if now - one[0] < BURST_SECONDS}
        self._bursts[arn] = began, count + 1
