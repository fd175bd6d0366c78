"""Queues' messages become invocations, in batches.

Everything that must survive is SQS's: a message that was received is hidden until it is deleted, so a kill in between
brings it back. What is held here is only what a batch window is being filled with. A function that is throttled keeps
its messages hidden and is tried again: they are not received anew, and so come no nearer to their dead-letter queue.
That goes by wall time: whoever moves the clock does not wait for what cannot run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotlight.arn import Arn
from pilotlight.background import Reconciler
from pilotlight.clock import Clock
from pilotlight.errors import AwsError
from pilotlight.event_patterns import Pattern
from pilotlight.event_sources.queue_records import failed_ids, is_wanted, patterns, record
from pilotlight.identity.caller import Caller
from pilotlight.services.awslambda.mappings import store
from pilotlight.services.awslambda.mappings.running import MappedFunctions
from pilotlight.services.awslambda.mappings.store import Mapping
from pilotlight.services.contract import Cloud
from pilotlight.services.sqs import message_store
from pilotlight.services.sqs import store as queue_store
from pilotlight.services.sqs.names import QueueName
from pilotlight.storage import Database

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How long a busy loop may miss a hint."""
BATCH_BYTES_MAX = 6 * 1024 * 1024 - 64 * 1024
RECEIVE_MAX = 10
CONCURRENT_MIN = 5
CONCURRENT_MAX = 1000
GROWTH_EACH_SECOND = 5
"""AWS: reading begins with five batches at a time, and grows by 300 a minute while messages wait."""
THROTTLED_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
TROUBLE_SECONDS = 10.0
THROTTLES = frozenset({"TooManyRequestsException", "ServiceException", "InvalidRuntimeException"})


@dataclass(eq=False, slots=True)
class _Pump:
    """One mapping at work."""

    mapping: Mapping
    patterns: Sequence[Pattern]
    held: list[dict[str, Any]] = field(default_factory=list)
    """Records that wait for their batch to be full."""
    held_bytes: int = 0
    since_ms: int = 0
    throttled: deque[list[dict[str, Any]]] = field(default_factory=deque)
    """Batches that the function could not take."""
    throttles: int = 0
    """Since it last took one."""
    running: int = 0
    busy_since: float | None = None
    not_before: float = 0.0
    result: str = ""

    @property
    def key(self) -> QueueName:
        arn = Arn.parse(self.mapping.source)
        return QueueName(arn.account, arn.region, arn.resource)

    @property
    def url(self) -> str:
        key = self.key
        return f"https://sqs.{key.region}.amazonaws.com/{key.account}/{key.name}"

    @property
    def batch_size(self) -> int:
        return int(self.mapping.body["BatchSize"])

    @property
    def window_ms(self) -> int:
        return 1000 * int(self.mapping.body.get("MaximumBatchingWindowInSeconds") or 0)

    def allowed(self, now: float) -> int:
        """How many batches may be under way."""
        most = int((self.mapping.body.get("ScalingConfig") or {}).get("MaximumConcurrency") or CONCURRENT_MAX)
        grown = GROWTH_EACH_SECOND * int(now - self.busy_since) if self.busy_since is not None else 0
        return min(most, CONCURRENT_MIN + grown)

    def is_full(self, now_ms: int) -> bool:
        if not self.held:
            return False
        return (
            len(self.held) >= self.batch_size
            or self.held_bytes >= BATCH_BYTES_MAX
            or now_ms >= self.since_ms + self.window_ms
        )

    def take(self) -> list[dict[str, Any]]:
        batch, self.held, self.held_bytes = self.held, [], 0
        return batch


class QueueMappings:
    """`work` returns when no message can be received and none is under way: whoever moves the clock may wait for it."""

    def __init__(self, database: Database, cloud: Cloud, clock: Clock, functions: MappedFunctions) -> None:
        self._database = database
        self._cloud = cloud
        self._clock = clock
        self._functions = functions
        self._pumps: dict[str, _Pump] = {}
        self._hint = asyncio.Event()
        self.reconciler = Reconciler("queue mappings", self.work, clock)
        clock.on_move(self._hint.set)

    def wake(self) -> None:
        """A message may have come, or a mapping was changed."""
        self._hint.set()
        self.reconciler.wake()

    async def work(self) -> int | None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._hint.clear()
                await self._refresh()
                due = [await self._pump(pump, group) for pump in list(self._pumps.values())]
                if not any(pump.running for pump in self._pumps.values()):
                    return min((moment for moment in due if moment is not None), default=None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._hint.wait()

    async def _refresh(self) -> None:
        """Mappings as they stand. What is held for one that is gone, or off, comes back to its queue by itself."""
        mappings = {mapping.uuid: mapping for mapping in await self._database.read(store.enabled)}
        for uuid in [uuid for uuid, pump in self._pumps.items() if uuid not in mappings and not pump.running]:
            del self._pumps[uuid]
        for uuid, mapping in mappings.items():
            pump = self._pumps.get(uuid)
            if pump is None:
                self._pumps[uuid] = _Pump(mapping, patterns(mapping.body.get("FilterCriteria")))
            elif pump.mapping.modified_ms != mapping.modified_ms or pump.mapping.body != mapping.body:
                pump.mapping, pump.patterns = mapping, patterns(mapping.body.get("FilterCriteria"))

    async def _pump(self, pump: _Pump, group: asyncio.TaskGroup) -> int | None:
        """Start what can be started; when there is more to do, in cloud milliseconds."""
        now = self._clock.monotonic()
        if now < pump.not_before:
            return None  # `_later` wakes us
        try:
            waiting = await self._fill(pump, group)
        except AwsError as error:
            self._later(pump, TROUBLE_SECONDS)
            await self._tell(pump, f"PROBLEM: {error.message}")
            return None
        if not waiting:
            pump.busy_since = None
        elif pump.busy_since is None:
            pump.busy_since = now
        moments = [pump.since_ms + pump.window_ms] if pump.held else []
        queue = await self._database.read(queue_store.find, pump.key)
        visible_ms = await self._database.read(message_store.next_visible_ms, queue) if queue is not None else None
        if visible_ms is not None and not waiting:
            moments.append(max(visible_ms, self._clock.now_ms() + 1))
        return min(moments, default=None)

    async def _fill(self, pump: _Pump, group: asyncio.TaskGroup) -> bool:
        """True where there may be more messages than may be under way now."""
        while pump.throttled and pump.running < pump.allowed(self._clock.monotonic()):
            batch = await self._still_hidden(pump, pump.throttled.popleft())
            if batch:
                pump.running += 1
                group.create_task(self._run(pump, batch))
        while pump.running < pump.allowed(self._clock.monotonic()):
            found = 0
            if not pump.is_full(self._clock.now_ms()):
                found = await self._receive(pump)
            if pump.is_full(self._clock.now_ms()) and (
                found == 0 or len(pump.held) >= pump.batch_size or not pump.window_ms
            ):
                pump.running += 1
                group.create_task(self._run(pump, pump.take()))
            elif found == 0:
                return False
        return True

    async def _receive(self, pump: _Pump) -> int:
        """How many messages were received, wanted or not."""
        caller = await self._functions.role(pump.mapping)
        asked = {
            "QueueUrl": pump.url,
            "MaxNumberOfMessages": min(RECEIVE_MAX, pump.batch_size - len(pump.held)),
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
            "WaitTimeSeconds": 0,
        }
        messages = (await self._cloud.call("sqs", "ReceiveMessage", asked, caller)).get("Messages", [])
        records = [record(message, pump.mapping.source) for message in messages]
        unwanted = [one for one in records if not is_wanted(one, pump.patterns)]
        if unwanted:
            # AWS: what no filter wants is deleted.
            await self._delete(pump, caller, unwanted)
        gone = {one["messageId"] for one in unwanted}
        for one in records:
            if one["messageId"] not in gone:
                if not pump.held:
                    pump.since_ms = self._clock.now_ms()
                pump.held.append(one)
                pump.held_bytes += len(one["body"]) + 1024
        return len(messages)

    async def _run(self, pump: _Pump, batch: list[dict[str, Any]]) -> None:
        try:
            caller = await self._functions.role(pump.mapping)
            payload = json.dumps({"Records": batch}, separators=(",", ":")).encode()
            fifo = pump.key.name.endswith(".fifo")
            partial = "ReportBatchItemFailures" in (pump.mapping.body.get("FunctionResponseTypes") or [])
            answer = await self._invoke(pump, batch, payload)
            if answer is None:
                return
            failed = failed_ids(answer, batch, partial=partial, fifo=fifo)
            await self._delete(pump, caller, [one for one in batch if one["messageId"] not in failed])
            await self._tell(pump, "OK" if not failed else "PROBLEM: Function call reported failed items")
        except AwsError as error:
            await self._tell(pump, f"PROBLEM: {error.message}")
        finally:
            pump.running -= 1
            self._hint.set()

    async def _invoke(self, pump: _Pump, batch: list[dict[str, Any]], payload: bytes) -> bytes | None:
        """The function's answer, or None where it failed: then the messages stay hidden for the rest of their time."""
        trace = batch[0]["attributes"].get("AWSTraceHeader", "") if len(batch) == 1 else ""
        try:
            ran = await self._functions.invoke(pump.mapping, payload, trace)
        except AwsError as error:
            if error.code not in THROTTLES:
                raise
            pump.throttled.append(batch)
            self._later(pump, THROTTLED_SECONDS[min(pump.throttles, len(THROTTLED_SECONDS) - 1)])
            pump.throttles += 1
            return None
        pump.throttles = 0
        if not ran.failed:
            return ran.payload
        await self._tell(pump, "PROBLEM: Function call failed")
        return None

    def _later(self, pump: _Pump, seconds: float) -> None:
        """Leave the mapping alone for a while of wall time."""
        pump.not_before = self._clock.monotonic() + seconds
        asyncio.get_running_loop().call_later(seconds, self.wake)

    async def _still_hidden(self, pump: _Pump, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Hide a throttled batch anew: it is not the messages' fault. What is in the queue again meanwhile is no longer
        ours."""
        queue = await self._database.read(queue_store.find, pump.key)
        if queue is None:
            return []
        seconds, ours = int(queue.setting("VisibilityTimeout")), []
        for some in _chunks(batch):
            entries = [
                {"Id": str(index), "ReceiptHandle": one["receiptHandle"], "VisibilityTimeout": seconds}
                for index, one in enumerate(some)
            ]
            params = {"QueueUrl": pump.url, "Entries": entries}
            told = await self._cloud.call("sqs", "ChangeMessageVisibilityBatch", params, self._account(pump))
            ours += [some[int(entry["Id"])] for entry in told["Successful"]]
        return ours

    def _account(self, pump: _Pump) -> Caller:
        """AWS: roles need no ChangeMessageVisibility for their mappings; Lambda does this by itself."""
        return Caller(
            account=pump.key.account,
            region=pump.key.region,
            kind="administrator",
            arn=f"arn:aws:iam::{pump.key.account}:root",
        )

    async def _delete(self, pump: _Pump, caller: Caller, records: Sequence[dict[str, Any]]) -> None:
        for some in _chunks(records):
            entries = [{"Id": str(index), "ReceiptHandle": one["receiptHandle"]} for index, one in enumerate(some)]
            await self._cloud.call("sqs", "DeleteMessageBatch", {"QueueUrl": pump.url, "Entries": entries}, caller)

    async def _tell(self, pump: _Pump, result: str) -> None:
        """`LastProcessingResult`; written where it is another than the last."""
        if result == pump.result:
            return
        pump.result = result
        if result.startswith("PROBLEM"):
            log.info("mapping %s of %s: %s", pump.mapping.uuid, pump.mapping.source, result)
        await self._database.write(store.tell, pump.mapping.uuid, result)


def _chunks(records: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    return [records[start : start + RECEIVE_MAX] for start in range(0, len(records), RECEIVE_MAX)]
