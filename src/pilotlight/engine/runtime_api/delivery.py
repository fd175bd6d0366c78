"""From an event to a subscriber's listener inside the sandbox: gathered, then sent over HTTP or TCP.

A listener that does not take what it asked for costs its own events, never the invocation: what is waiting is bounded,
and the subscriber is told how much was dropped.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pilotlight.engine.runtime_api.subscription import Subscription

WAITING_BYTES_MAX = 4 * 1_048_576
"""Of one subscriber; what comes beyond is dropped."""
ANSWER_BYTES_MAX = 65536
ATTEMPTS = 3
AGAIN_SECONDS = 0.05


@dataclass(slots=True)
class Dropped:
    records: int = 0
    size: int = 0


class Delivery:
    """To one subscriber. `run` is its task; `flush` sends what is gathered now."""

    def __init__(
        self,
        subscription: Subscription,
        connect: Callable[[], Awaitable[socket.socket]],
        dropped: Callable[[Dropped], str | None],
    ) -> None:
        self.subscription = subscription
        self._connect = connect
        self._dropped = dropped
        self._gathered: list[str] = []
        self._gathered_bytes = 0
        self._batches: deque[list[str]] = deque()
        self._waiting_bytes = 0
        self._lost = Dropped()
        self._timer: asyncio.TimerHandle | None = None
        self._woken = asyncio.Event()
        self._closed = False
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def add(self, event: str) -> None:
        size = len(event)
        if self._waiting_bytes + self._gathered_bytes + size > WAITING_BYTES_MAX:
            self._lost.records += 1
            self._lost.size += size
            return
        if self._gathered_bytes + size > self.subscription.max_bytes:
            self.flush()
        self._gathered.append(event)
        self._gathered_bytes += size
        if len(self._gathered) >= self.subscription.max_items:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.subscription.timeout_ms / 1000, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            self._batches.append(self._gathered)
            self._waiting_bytes += self._gathered_bytes
            self._gathered, self._gathered_bytes = [], 0
            self._woken.set()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._woken.set()
        self._hang_up()

    async def run(self) -> None:
        while not self._closed:
            if not self._batches:
                self._woken.clear()
                await self._woken.wait()
                continue
            batch = self._batches.popleft()
            await self._deliver(batch)
            self._waiting_bytes -= sum(map(len, batch))
            self._tell_of_losses()

    async def _deliver(self, batch: list[str]) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._send(batch)
                return
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                self._hang_up()
                if self._closed:
                    return
                await asyncio.sleep(AGAIN_SECONDS * (attempt + 1))
        self._lost.records += len(batch)
        self._lost.size += sum(map(len, batch))

    def _tell_of_losses(self) -> None:
        if self._lost.records and self._waiting_bytes < WAITING_BYTES_MAX // 2:
            lost, self._lost = self._lost, Dropped()
            event = self._dropped(lost)
            if event is not None:
                self.add(event)

    async def _send(self, batch: list[str]) -> None:
        reader, writer = self._streams or await self._open()
        subscription = self.subscription
        if subscription.protocol == "TCP":
            writer.write("".join(f"{event}\n" for event in batch).encode())
            await writer.drain()
            return
        body = f"[{','.join(batch)}]".encode()
        head = (
            f"{subscription.method} {subscription.path} HTTP/1.1\r\nHost: sandbox.localdomain:{subscription.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        await self._read_answer(reader)

    async def _read_answer(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lines = head.split("\r\n")
        status = lines[0].split(" ")
        headers: dict[str, Any] = dict(line.partition(":")[::2] for line in lines[1:] if line)
        length = headers.get("content-length", "").strip()
        if length.isdigit() and int(length) <= ANSWER_BYTES_MAX and "close" not in headers.get("connection", ""):
            await reader.readexactly(int(length))
        elif status[1:2] != ["204"]:
            self._hang_up()  # its end is not known, so the next batch gets a connection of its own
        if not status[1:2] or not status[1].startswith("2"):
            raise ValueError("the listener refuses")

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        made = await self._connect()
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", self.subscription.port))
            self._streams = await asyncio.open_connection(sock=made, limit=ANSWER_BYTES_MAX)
        except BaseException:
            made.close()
            raise
        return self._streams

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
