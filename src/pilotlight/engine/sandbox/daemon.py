"""The platform's end of `sandboxd`: orders with their answers, and news of what ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pilotlight.engine.contract import IsolationUnavailable
from pilotlight.engine.sandbox import channel
from pilotlight.engine.sandbox.userns import Maps

_SANDBOXD = Path(__file__).with_name("sandboxd.py")
CLOSE_SECONDS = 5.0
Reply = tuple[dict[str, Any], list[int]]
Answer = asyncio.Future[Reply]


class OrderFailed(Exception):
    """`sandboxd` could not do what it was asked to; the message is the kernel's."""


class DaemonClient:
    """Starts `sandboxd` and talks to it. `heard` is called with each message that is no answer."""

    def __init__(self, heard: Callable[[dict[str, Any], list[int]], None]) -> None:
        self._heard = heard
        self._waiting: dict[int, Answer] = {}
        self._unsent: deque[tuple[dict[str, Any], list[int]]] = deque()
        self._number = 0
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._socket is not None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self, maps: Maps | None = None) -> None:
        """With `maps`, in a user namespace of its own."""
        ours, theirs = channel.pair()
        ours.setblocking(False)
        command = [sys.executable, "-I", "-S", str(_SANDBOXD), str(theirs.fileno())]
        if maps is not None:
            command.append(json.dumps(asdict(maps)))
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={"PATH": os.defpath},
        )
        theirs.close()
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)

    def post(self, do: str, descriptors: Sequence[int] = (), **parameters: Any) -> Answer:
        """Send an order now; the future is its answer, or OrderFailed, or IsolationUnavailable where it is gone."""
        answer: Answer = asyncio.get_running_loop().create_future()
        if self._socket is None:
            answer.set_exception(IsolationUnavailable("the process that makes sandboxes is gone; restart Pilotlight"))
            return answer
        self._number += 1
        self._waiting[self._number] = answer
        self._unsent.append(({"do": do, "number": self._number, **parameters}, [os.dup(fd) for fd in descriptors]))
        self._flush()
        return answer

    def tell(self, do: str, **parameters: Any) -> None:
        """An order whose answer nobody waits for."""
        self.post(do, **parameters).add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    async def order(self, do: str, descriptors: Sequence[int] = (), **parameters: Any) -> Reply:
        return await self.post(do, descriptors, **parameters)

    def _flush(self) -> None:
        """Send what is waiting; where the socket is full, the rest goes once it can be written to."""
        loop = asyncio.get_running_loop()
        while self._socket is not None and self._unsent:
            message, descriptors = self._unsent[0]
            try:
                channel.send(self._socket, message, descriptors)
            except BlockingIOError:
                loop.add_writer(self._socket.fileno(), self._flush)
                return
            except ValueError as error:
                self._waiting.pop(message["number"]).set_exception(OrderFailed(str(error)))
            except (BrokenPipeError, ConnectionResetError):
                self._hang_up()
                return
            self._unsent.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        if self._socket is not None:
            loop.remove_writer(self._socket.fileno())

    async def close(self) -> None:
        """Hang up: `sandboxd` then ends every sandbox and itself."""
        self._hang_up()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, CLOSE_SECONDS)
                return
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _read(self) -> None:
        while self._socket is not None:
            try:
                message, descriptors = channel.receive(self._socket)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message, descriptors = None, []
            if message is None:
                self._hang_up()
                self._heard({"hung_up": True}, [])
                return
            self._pass_on(message, descriptors)

    def _pass_on(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "answer" not in message:
            self._heard(message, descriptors)
            return
        future = self._waiting.pop(message["answer"], None)
        if future is None or future.done():
            for descriptor in descriptors:
                os.close(descriptor)
        elif "error" in message:
            future.set_exception(OrderFailed(message["error"]))
        else:
            future.set_result((message, descriptors))

    def _hang_up(self) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        asyncio.get_running_loop().remove_writer(self._socket.fileno())
        while self._unsent:
            for descriptor in self._unsent.popleft()[1]:
                os.close(descriptor)
        self._socket.close()
        self._socket = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(IsolationUnavailable("the process that makes sandboxes ended unexpectedly"))
        self._waiting.clear()
