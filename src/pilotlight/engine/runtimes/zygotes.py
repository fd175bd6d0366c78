"""Warm interpreters outside the sandboxes, which fork into them: one for each account, interpreter and kind.

Forks share layout and hash seed, so accounts do not share a zygote. A zygote that dies is started anew when the next
instance is wanted.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import logging
import os
import socket
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotlight.engine.runtimes.interpreters import Interpreter
from pilotlight.engine.sandbox import enter
from pilotlight.engine.sandbox.contract import Entry

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""To start a zygote of one kind, before its functions stay on the road of exec."""
ZYGOTES_MAX = 16
MESSAGE_MAX = 256 * 1024
READY_SECONDS = 30.0
FORK_SECONDS = 10.0
RUNTIME_PLACE = "/var/runtime"
"""AWS: where boto3 is."""
BOOTSTRAP_PLACE = "/var/lang/bootstrap"
LIBRARY_PATH = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
"""AWS's own `LD_LIBRARY_PATH`. The dynamic loader reads it once, so the zygote must be started with it."""


class ZygoteGone(RuntimeError):
    """It died, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What tells zygotes apart."""

    account: str
    interpreter: Interpreter
    boto3: bool
    isolated: bool
    """Whether its children find bootstrap and boto3 at a sandbox's places. So must it, since modules know theirs."""
    joins: tuple[str, ...] = ()
    """Namespaces that it must be in to come into its children's sandboxes."""


class ForkedProcess:
    """A zygote's child."""

    def __init__(self, pid: int, ended: asyncio.Future[int], baseline_mb: int) -> None:
        self.pid = pid
        self.baseline_mb = baseline_mb
        self._ended = ended

    async def wait(self) -> int | None:
        try:
            return await asyncio.shield(self._ended)
        except ZygoteGone:
            return None


class Zygote:
    """One warm interpreter, and the conversation with it."""

    def __init__(self, kind: Kind, bootstrap: Path, boto3: Path) -> None:
        self.kind = kind
        self._bootstrap = bootstrap
        self._boto3 = boto3
        self._socket: socket.socket | None = None
        self._pid = 0
        self._orders: dict[int, asyncio.Future[int]] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._early: dict[int, int] = {}
        self._number = 0
        self._ready: asyncio.Future[None] | None = None
        self.alive = False
        self.shared_mb = 0

    async def start(self) -> None:
        """Returns when it is warm. Raises ZygoteGone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = [self.kind.interpreter.executable, "-s", "-S", "-E", str(self._bootstrap / "zygote.py"), "3"]
        places = {"boto3": str(self._boto3), "bootstrap": str(self._bootstrap)}
        mounts = {RUNTIME_PLACE: str(self._boto3), BOOTSTRAP_PLACE: str(self._bootstrap)}
        if self.kind.isolated:
            places = {"boto3": RUNTIME_PLACE, "bootstrap": BOOTSTRAP_PLACE}
            if self.kind.interpreter.prefix.startswith("/var/"):
                mounts[self.kind.interpreter.prefix] = self.kind.interpreter.prefix
        plan = {
            "enter": str(Path(enter.__file__)),
            "joins": list(self.kind.joins),
            "mounts": mounts if self.kind.isolated else {},
            "bootstrap": places["bootstrap"],
            "boto3": places["boto3"] if self.kind.boto3 else "",
        }
        arguments.append(json.dumps(plan))
        environment = {"LD_LIBRARY_PATH": LIBRARY_PATH, "LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": os.defpath}
        with theirs:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
            ]
            self._pid = os.posix_spawn(arguments[0], arguments, environment, file_actions=actions, setsid=True)
        ours.setblocking(False)
        self._socket = ours
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        loop.add_reader(ours, self._readable)
        warm = False
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._ready
            warm = self.alive = True
        except TimeoutError:
            raise ZygoteGone("a zygote did not become ready") from None
        finally:
            if not warm:
                self.close()

    async def fork(self, entry: Entry, channel: int, output: int) -> ForkedProcess:
        """A child inside the sandbox of `entry`, with a bootstrap on `channel`. Raises ZygoteGone."""
        if self._socket is None or not self.alive:
            raise ZygoteGone("the zygote is gone")
        self._number += 1
        number = self._number
        answer = self._orders[number] = asyncio.get_running_loop().create_future()
        message = json.dumps({"order": number, "plan": entry.plan}).encode()
        descriptors = array.array("i", [channel, output, *entry.descriptors])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors.tobytes())]
        try:
            self._socket.sendmsg([message], rights)
            async with asyncio.timeout(FORK_SECONDS):
                pid = await answer
        except (OSError, TimeoutError) as error:
            raise ZygoteGone(str(error) or "the zygote did not answer") from None
        finally:
            self._orders.pop(number, None)
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if pid in self._early:
            ended.set_result(self._early.pop(pid))
        else:
            self._ended[pid] = ended
        return ForkedProcess(pid, ended, self.shared_mb)

    def close(self) -> None:
        """Its children live on: each is its sandbox's to end."""
        self.alive = False
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, 9)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        gone = ZygoteGone("the zygote is gone")
        waiting: list[asyncio.Future[Any]] = [*self._orders.values(), *self._ended.values()]
        if self._ready is not None:
            waiting.append(self._ready)
        for future in waiting:
            if not future.done():
                future.set_exception(gone)
                future.exception()
        self._ended.clear()

    def _readable(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data = self._socket.recv(MESSAGE_MAX)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                log.warning("a zygote of %s ended", self.kind.interpreter.version)
                self.close()
                return
            self._heard(json.loads(data))

    def _heard(self, message: dict[str, object]) -> None:
        if "ready" in message:
            self.shared_mb = int(str(message["shared_kb"])) // 1024
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
        elif "ended" in message:
            pid, status = int(str(message["ended"])), int(str(message["status"]))
            future = self._ended.pop(pid, None)
            if future is None:
                self._early[pid] = status
            elif not future.done():
                future.set_result(status)
        else:
            answer = self._orders.get(int(str(message["order"])))
            if answer is None or answer.done():
                return
            if "pid" in message:
                answer.set_result(int(str(message["pid"])))
            else:
                answer.set_exception(ZygoteGone(str(message["failed"])))


class Zygotes:
    """Starts them in the background: whoever comes first takes the road of exec meanwhile.

    There are `ZYGOTES_MAX` at most; the one that was used least recently makes room.
    """

    def __init__(self, bootstrap: Path, boto3: Path, group: asyncio.TaskGroup) -> None:
        self._bootstrap = bootstrap
        self._boto3 = boto3
        self._group = group
        self._zygotes: OrderedDict[Kind, Zygote] = OrderedDict()
        self._starting: dict[Kind, asyncio.Event] = {}
        self._failures: dict[Kind, int] = {}
        self._closed = False

    def ready(self, kind: Kind) -> Zygote | None:
        """A warm zygote, or None while one is being started."""
        zygote = self._zygotes.get(kind)
        if zygote is not None and zygote.alive:
            self._zygotes.move_to_end(kind)
            return zygote
        if kind not in self._starting and self._failures.get(kind, 0) < ATTEMPTS and not self._closed:
            self._starting[kind] = asyncio.Event()
            self._group.create_task(self._start(kind))
        return None

    async def wait_ready(self, kind: Kind) -> Zygote | None:
        """For who has the time."""
        zygote = self.ready(kind)
        if zygote is None and kind in self._starting:
            await self._starting[kind].wait()
            zygote = self.ready(kind)
        return zygote

    async def _start(self, kind: Kind) -> None:
        zygote = Zygote(kind, self._bootstrap, self._boto3)
        try:
            await zygote.start()
        except (ZygoteGone, OSError) as error:
            self._failures[kind] = self._failures.get(kind, 0) + 1
            log.warning("a zygote of Python %s could not be started: %s", kind.interpreter.version, error)
        else:
            if self._closed:
                zygote.close()
                return
            self._zygotes[kind] = zygote
            self._failures.pop(kind, None)
            while len(self._zygotes) > ZYGOTES_MAX:
                self._zygotes.popitem(last=False)[1].close()
        finally:
            self._starting.pop(kind).set()

    def close(self) -> None:
        self._closed = True
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()
