"""The two lines between the platform and a bootstrap: frames, and what is written past it to descriptors 1 and 2."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pilotlight.engine.frames import Channel
from pilotlight.engine.pace import Pace

OUTPUT_CHUNK = 65536
EARLY_BYTES_MAX = 65536


class Output:
    """Hands on what arrives on a pipe, until every writer is gone; keeps it while there is nobody to hand it to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._early = b""
        self._sink: Callable[[bytes], None] | None = None
        self._open = True
        self._pace = Pace(self._pause, self._resume)
        os.set_blocking(descriptor, False)
        self._resume()

    def attach(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        if self._early:
            sink(self._early)
            self._early = b""

    def close(self) -> None:
        if self._open:
            self._open = False
            self._pace.close()
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)

    def _pause(self) -> None:
        if self._open:
            asyncio.get_running_loop().remove_reader(self._descriptor)

    def _resume(self) -> None:
        if self._open:
            asyncio.get_running_loop().add_reader(self._descriptor, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, OUTPUT_CHUNK)
        except BlockingIOError:
            return
        if not data:
            self.close()
        elif self._sink is not None:
            self._pace.spend(len(data), data.count(b"\n"))
            self._sink(data)
        elif len(self._early) < EARLY_BYTES_MAX:
            self._early += data


@dataclass(slots=True, eq=False)
class Wires:
    """Our ends."""

    channel: Channel
    output: Output
    http: bool = False
    """The bootstrap speaks the Runtime API, and not by this channel."""

    def close(self) -> None:
        """The output's end is left to its writers: what a dying process wrote still arrives."""
        self.channel.close()


@dataclass(frozen=True, slots=True)
class Ends:
    """The bootstrap's ends, as descriptors of ours."""

    channel: int
    output: int


@asynccontextmanager
async def make_wires() -> AsyncIterator[tuple[Wires, Ends]]:
    """The far ends are open only inside: by then whoever needs them has copies."""
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    wires = Wires(Channel(), Output(reading))
    done = False
    try:
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: wires.channel, sock=ours)
        yield wires, Ends(theirs.fileno(), writing)
        done = True
    finally:
        theirs.close()
        os.close(writing)
        if not done:
            wires.channel.close()
            wires.output.close()


@asynccontextmanager
async def make_output() -> AsyncIterator[tuple[Wires, int]]:
    """For a bootstrap that speaks the Runtime API: only what it writes. Its end is open only inside."""
    reading, writing = os.pipe()
    wires = Wires(Channel(), Output(reading), http=True)
    done = False
    try:
        yield wires, writing
        done = True
    finally:
        os.close(writing)
        if not done:
            wires.output.close()
