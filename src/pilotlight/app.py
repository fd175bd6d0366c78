"""Builds every part of a node and runs it: the one file that knows them all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvloop

from pilotlight import __version__
from pilotlight.background import Reconciler, travel
from pilotlight.clock import Clock, ClockState
from pilotlight.errors import AwsError
from pilotlight.gateway.journey import Gateway
from pilotlight.gateway.local import LocalPages, Pages
from pilotlight.gateway.registry import Registry
from pilotlight.gateway.server import Server
from pilotlight.gateway.tls import server_context
from pilotlight.identity.authorise import Policies
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import Credentials
from pilotlight.identity.signatures import Signatures
from pilotlight.ids import Ids
from pilotlight.services.apigatewayv2 import service as apigatewayv2
from pilotlight.services.apigatewayv2.data_plane import HttpApis
from pilotlight.services.contract import Service
from pilotlight.services.events import service as events
from pilotlight.services.iam.principals import Principals
from pilotlight.services.iam.service import iam_service
from pilotlight.services.sts.service import sts_service
from pilotlight.settings import REGION, Settings
from pilotlight.storage import node_values
from pilotlight.storage.directory import DataDirectory, DirectoryInUse
from pilotlight.storage.migrations import SchemaMismatch, schema_files
from pilotlight.storage.reset import forget_everything
from pilotlight.storage.sqlite import SqliteDatabase

log = logging.getLogger("pilotlight")

if TYPE_CHECKING:
    from pilotlight.storage.postgres import PostgresDatabase

SCHEMAS = [
    "pilotlight.storage",
    "pilotlight.identity",
    "pilotlight.services.iam",
    "pilotlight.services.apigatewayv2",
    "pilotlight.services.events",
]
ADVANCE_SECONDS_MAX = 100 * 366 * 86_400
LOOPBACK = ("127.0.0.1", "::1", "localhost")
THREAD_SWITCH_SECONDS = 0.0005
"""The writer's thread runs Python, too: the event loop gets the interpreter back sooner than after 5 ms."""


class StartError(Exception):
    """The cloud cannot start; the message says why, and what to do."""


class CloudLine:
    """The cloud as services are handed it while the gateway is still being built."""

    def __init__(self) -> None:
        self.gateway: Gateway | None = None

    async def call(self, service: str, operation: str, params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        assert self.gateway is not None
        return await self.gateway.call(service, operation, params, caller)


class Hint:
    """A wake-up that can be handed out before the one who is woken exists."""

    def __init__(self) -> None:
        self.reconciler: Reconciler | None = None

    def __call__(self) -> None:
        if self.reconciler is not None:
            self.reconciler.wake()


class Node:
    """One process's worth of cloud."""

    def __init__(self, settings: Settings, directory: DataDirectory) -> None:
        self.settings = settings
        self.directory = directory
        self.endpoint = f"http://{settings.host if ':' not in settings.host else f'[{settings.host}]'}:{settings.port}"
        self.ids = Ids()
        self.clock = Clock()
        self.warnings: list[str] = []
        self.reconcilers: list[Reconciler] = []
        self.ready_scripts: list[dict[str, str]] = []
        self._databases: list[SqliteDatabase | PostgresDatabase] = []
        self.database = self._open_database()
        self.log_database = SqliteDatabase(
            directory.path / "logs.db", schema_files(["pilotlight.observability"]), synchronous="NORMAL"
        )
        self._databases.append(self.log_database)
        self.cloud = CloudLine()
        self._moving = asyncio.Lock()

    def _open_database(self) -> SqliteDatabase | PostgresDatabase:
        schema = schema_files(SCHEMAS)
        try:
            if self.settings.database:
                from pilotlight.storage.postgres import PostgresDatabase

                database: SqliteDatabase | PostgresDatabase = PostgresDatabase(self.settings.database, schema)
            else:
                database = SqliteDatabase(self.directory.path / "core.db", schema)
        except SchemaMismatch as error:
            raise StartError(str(error)) from None
        self._databases.append(database)
        return database

    async def build(self, stack: contextlib.AsyncExitStack) -> None:
        """Everything that needs the database, from the bottom up."""
        await self.database.write(node_values.begin_epoch, self.ids.uuid())
        kept = await self.database.read(node_values.get, node_values.CLOCK)
        if kept:
            self.clock.restore(ClockState(**json.loads(kept)))
        principals = Principals(self.database)
        self.credentials = Credentials(
            database=self.database, clock=self.clock, ids=self.ids, settings=self.settings, keys=principals
        )
        await self.credentials.start()
        self.policies = Policies(principals=principals, clock=self.clock, settings=self.settings)
        self.services = self._services(principals)
        self.registry = Registry(self.services)
        self.gateway = Gateway(
            registry=self.registry,
            signatures=Signatures(credentials=self.credentials, clock=self.clock),
            policies=self.policies,
            ids=self.ids,
            settings=self.settings,
            local=LocalPages(self._pages()),
        )
        self.cloud.gateway = self.gateway
        self.gateway.http_apis = HttpApis(self.database, self.cloud, self.clock, self.ids)

    def _services(self, principals: Principals) -> list[Service]:
        database, clock, ids = self.database, self.clock, self.ids
        wake_schedules = Hint()
        return [
            iam_service(database=database, principals=principals, credentials=self.credentials, clock=clock, ids=ids),
            sts_service(credentials=self.credentials, policies=self.policies, roles=principals),
            apigatewayv2.make_service(database, clock, ids, self.settings.port),
            events.make_service(database, clock, wake_schedules),
        ]

    def start(self, group: asyncio.TaskGroup, listener: socket.socket) -> None:
        """Listen, and let the reconcilers run."""
        self.server = Server(self.gateway.handle, group, self._tls)
        self.server.listen(listener)
        for reconciler in self.reconcilers:
            group.create_task(reconciler.run())
        # What was built lives as long as the node: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    def _tls(self) -> ssl.SSLContext:
        return server_context(self.directory.path / "tls", datetime.fromtimestamp(self.clock.wall_ms() / 1000, UTC))

    def close_databases(self) -> None:
        for database in self._databases:
            database.close()

    # The node's own pages.

    def _pages(self) -> Pages:
        return Pages(
            health=self._health,
            status=self._status,
            clock=self._clock_page,
            reset=self._reset,
            init=self._init_page,
            costs=self._costs,
        )

    async def _health(self, _: Mapping[str, Any]) -> dict[str, Any]:
        services = dict.fromkeys(sorted(self.registry.entries), "running")
        return {"status": "ready", "version": __version__, "services": services}

    async def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "version": __version__,
            "data": str(self.directory.path),
            "services": sorted(self.registry.entries),
            "warnings": self.warnings,
        }

    async def _costs(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"month": f"{self.clock.now():%Y-%m}", "lines": [], "dollars": 0.0}

    async def _init_page(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """As LocalStack tells of its init scripts."""
        completed = {"BOOT": True, "START": True, "READY": True, "SHUTDOWN": False}
        return {"completed": completed, "scripts": self.ready_scripts}

    async def _clock_page(self, body: Mapping[str, Any]) -> dict[str, Any]:
        match body.get("action"):
            case None:
                pass
            case "freeze":
                self.clock.freeze()
            case "resume":
                self.clock.resume()
            case "advance":
                seconds = float(body["seconds"])
                if not 0 <= seconds <= ADVANCE_SECONDS_MAX:
                    raise AwsError("InvalidParameter", "seconds must be between 0 and a hundred years")
                async with self._moving:
                    await travel(self.clock, self.reconcilers, self.clock.now_ms() + int(seconds * 1000))
            case other:
                raise AwsError("InvalidParameter", f"{other!r} is no action: freeze, advance or resume")
        if body.get("action"):
            await self.database.write(node_values.put, node_values.CLOCK, json.dumps(asdict(self.clock.state)))
        return {
            "cloud_time": self.clock.now().isoformat(timespec="milliseconds"),
            "cloud_ms": self.clock.now_ms(),
            "frozen": self.clock.frozen,
            "ahead_seconds": (self.clock.now_ms() - self.clock.wall_ms()) / 1000,
        }

    async def _reset(self, _: Mapping[str, Any]) -> dict[str, Any]:
        async with self._moving:
            await self.database.write(forget_everything)
            await self.log_database.write(forget_everything)
            self.clock.reset()
            await self.database.write(node_values.put, node_values.CLOCK, json.dumps(asdict(self.clock.state)))
            for reconciler in self.reconcilers:
                await reconciler.settle()
        return {"status": "reset"}

    async def run_ready_scripts(self) -> None:
        """LocalStack's `ready.d`: shell and Python scripts, in the order of their names, once the cloud answers."""
        folder = self.settings.ready_dir
        if folder is None or not folder.is_dir():
            return
        environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            **os.environ,
            "AWS_ENDPOINT_URL": self.endpoint,
        }
        for script in sorted(folder.iterdir()):
            runner = {".sh": "bash", ".py": sys.executable}.get(script.suffix)
            if runner is None:
                continue
            entry = {"stage": "READY", "name": script.name, "state": "RUNNING"}
            self.ready_scripts.append(entry)
            process = await asyncio.create_subprocess_exec(runner, str(script), env=environment)
            entry["state"] = "SUCCESSFUL" if await process.wait() == 0 else "ERROR"
            if entry["state"] == "ERROR":
                log.error("%s ended with %s", script, process.returncode)


def run(settings: Settings) -> None:
    """Start a node and serve until SIGTERM or SIGINT. Raises StartError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    check(settings)
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


def check(settings: Settings) -> None:
    if settings.host not in LOOPBACK and settings.iam != "enforce":
        raise StartError(
            f"listening on {settings.host} lets others in: add --iam=enforce, which refuses unknown credentials"
        )


async def serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with node(settings) as running:
        announce(running)
        await running.run_ready_scripts()
        # Written past `logging`, to standard output: scripts wait for this line.
        sys.stdout.write(f"Pilotlight {__version__} at {running.endpoint}, data in {running.directory.path}. Ready.\n")
        sys.stdout.flush()
        await stop.wait()
        log.info("stopping")


def announce(running: Node) -> None:
    for warning in running.warnings:
        log.warning(warning)


@contextlib.asynccontextmanager
async def node(settings: Settings) -> AsyncIterator[Node]:
    """A running node: listening, and working in the background."""
    listener = bind(settings)
    settings = replace(settings, port=listener.getsockname()[1])
    try:
        directory = DataDirectory(settings.data, ephemeral=settings.ephemeral)
    except DirectoryInUse as error:
        listener.close()
        raise StartError(str(error)) from None
    try:
        async with contextlib.AsyncExitStack() as stack:
            built = Node(settings, directory)
            stack.callback(built.close_databases)
            await built.build(stack)
            group = await stack.enter_async_context(cancelled_at_the_end())
            built.start(group, listener)
            yield built
    finally:
        directory.close()


@contextlib.asynccontextmanager
async def cancelled_at_the_end() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose tasks end with the block."""
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.TaskGroup() as group:
            try:
                yield group
            finally:
                for task in group._tasks:
                    task.cancel()


def bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise StartError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            "Is another cloud running? Give another --port, or 0 for a free one."
        ) from None
    return listener
