"""Builds every part of a node and runs it: the one file that knows them all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import platform
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import uvloop

from pilotlight import __version__
from pilotlight.administration import Administration
from pilotlight.background import Reconciler
from pilotlight.clock import Clock, ClockState
from pilotlight.cost.meter import Meter
from pilotlight.delivery.contract import Target
from pilotlight.delivery.dispatcher import Dispatcher
from pilotlight.delivery.targets.lambda_async import LambdaAsync
from pilotlight.delivery.targets.lambda_invoke import LambdaInvoke
from pilotlight.delivery.targets.notifying import Notifying
from pilotlight.delivery.targets.publishing import Publishing
from pilotlight.delivery.targets.storing import Storing
from pilotlight.deploy.executor import Deployer
from pilotlight.deploy.layers import KlayersSource
from pilotlight.deploy.resources.registry import resource_types
from pilotlight.engine.agent import Agent
from pilotlight.engine.contract import IsolationUnavailable
from pilotlight.engine.images.cache import ImageCache
from pilotlight.engine.packages import Packages
from pilotlight.engine.runtimes.languages import Languages
from pilotlight.engine.sandbox.choose import make_factory
from pilotlight.event_sources.queues import QueueMappings
from pilotlight.event_sources.schedule import Schedules
from pilotlight.gateway.journey import Gateway
from pilotlight.gateway.local import LocalPages
from pilotlight.gateway.registry import Registry
from pilotlight.gateway.server import Server
from pilotlight.gateway.tls import server_context
from pilotlight.identity.authorise import Policies
from pilotlight.identity.credentials import Credentials
from pilotlight.identity.signatures import Signatures
from pilotlight.ids import Ids
from pilotlight.image_shelf import KEPT_SECONDS, ImageShelf
from pilotlight.observability.logs import LogBuffer, Retention
from pilotlight.services import awslambda, logs
from pilotlight.services.apigatewayv2 import service as apigatewayv2
from pilotlight.services.apigatewayv2.data_plane import HttpApis
from pilotlight.services.awslambda.images import used as images_used
from pilotlight.services.awslambda.links import PackageLinks
from pilotlight.services.awslambda.log_gate import LogGate
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.services.awslambda.trust import RoleTrust
from pilotlight.services.cloudformation import service as cloudformation
from pilotlight.services.contract import Service
from pilotlight.services.dynamodb import service as dynamodb
from pilotlight.services.ecr import service as ecr
from pilotlight.services.events import service as events
from pilotlight.services.iam.principals import Principals
from pilotlight.services.iam.service import iam_service
from pilotlight.services.s3 import service as s3
from pilotlight.services.s3.cors import CrossOrigin
from pilotlight.services.s3.service import collect_orphans
from pilotlight.services.s3.websites import Websites
from pilotlight.services.sns import service as sns
from pilotlight.services.sqs import service as sqs
from pilotlight.services.stepfunctions import service as stepfunctions
from pilotlight.services.sts.service import sts_service
from pilotlight.settings import REGION, Settings
from pilotlight.storage import node_values
from pilotlight.storage.blobs import LocalBlobs
from pilotlight.storage.directory import DataDirectory, DirectoryInUse
from pilotlight.storage.migrations import SchemaMismatch, schema_files
from pilotlight.storage.sqlite import SqliteDatabase
from pilotlight.wiring import CloudLine, Endpoints, FunctionCredentials, Hint, MeteredInvoker, PackageShelf

log = logging.getLogger("pilotlight")

if TYPE_CHECKING:
    from pilotlight.storage.postgres import PostgresDatabase

SCHEMAS = [
    "pilotlight.storage",
    "pilotlight.identity",
    "pilotlight.services.iam",
    "pilotlight.services.awslambda",
    "pilotlight.services.awslambda.durable",
    "pilotlight.services.s3",
    "pilotlight.services.dynamodb",
    "pilotlight.services.cloudformation",
    "pilotlight.services.apigatewayv2",
    "pilotlight.services.events",
    "pilotlight.services.sqs",
    "pilotlight.services.sns",
    "pilotlight.services.stepfunctions",
    "pilotlight.services.ecr",
]
LOOPBACK = ("127.0.0.1", "::1", "localhost")
THREAD_SWITCH_SECONDS = 0.0005
"""The writer's thread runs Python, too: the event loop gets the interpreter back sooner than after 5 ms."""


class StartError(Exception):
    """The cloud cannot start; the message says why, and what to do."""


class Node:
    """One process's worth of cloud."""

    gateway: Gateway

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
            directory.path / "logs.db",
            schema_files(["pilotlight.observability", "pilotlight.cost"]),
            synchronous="NORMAL",
        )
        self._databases.append(self.log_database)
        self.cloud = CloudLine()

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

    async def build(self, group: asyncio.TaskGroup, stack: contextlib.AsyncExitStack) -> None:
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
        if self.settings.iam == "enforce":
            self._hand_over_root_key()
        if self.settings.isolation == "none":
            self.warnings.append("functions run WITHOUT isolation: as plain processes of this user (--isolation=none)")
        self.policies = Policies(principals=principals, clock=self.clock, settings=self.settings)
        self.logs = LogBuffer(self.log_database, self.clock, gate=LogGate(self.database, self.policies, self.clock))
        self.meter = Meter(self.log_database, self.clock)
        self.server = Server(lambda request: self.gateway.handle(request), group, self._tls)
        self.agent = await self._engine(principals, group, stack)
        self.registry = Registry(await self._services(principals, group, stack))
        self.gateway = Gateway(
            registry=self.registry,
            signatures=Signatures(credentials=self.credentials, clock=self.clock),
            policies=self.policies,
            ids=self.ids,
            settings=self.settings,
            observe=self._observe,
            local=LocalPages(Administration(self).pages(), self.links.open, self.topics.signer.certificate),
        )
        self.cloud.gateway = self.gateway
        self.gateway.forms = self.forms
        self.gateway.websites = Websites(self.database)
        self.gateway.images = self.images.registry
        self.gateway.cross_origin = CrossOrigin(self.database)
        self.gateway.http_apis = HttpApis(self.database, self.cloud, self.clock, self.ids)
        self.gateway.function_urls = self.lambda_parts.url_data_plane(self.policies, self.gateway.admit_to_url)

    def _hand_over_root_key(self) -> None:
        """The first way in where unknown credentials are refused: in a file that only its owner reads, not in a log."""
        key, secret = self.credentials.root_key()
        path = self.directory.path / "root-credentials"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n")
        self.warnings.append(f"unknown credentials are refused; the root user's are in {path}")

    async def _engine(
        self, principals: Principals, group: asyncio.TaskGroup, stack: contextlib.AsyncExitStack
    ) -> Agent:
        self.factory = make_factory(self.settings, self.directory.path / "sandboxes", self.ids)
        # Beside one another: the first makes a sandbox, the second links some thousand files of boto3.
        _, self.languages = await asyncio.gather(
            self._start_factory(stack),
            asyncio.to_thread(
                Languages,
                self.directory.path / "runtime",
                self.factory,
                group,
                endpoint=self.endpoint,
                egress=self.settings.egress,
                strict=self.settings.strict_runtimes,
                prepared=self.directory.path / "prepared",
            ),
        )
        self.warnings += self.factory.describe()["losses"]
        self.interpreters = self.languages.interpreters
        stack.callback(self.languages.close)
        agent = Agent(
            factory=self.factory,
            runtimes=self.languages.runtimes,
            logs=self.logs,
            credentials=FunctionCredentials(self.credentials, principals),
            endpoints=Endpoints(self.server),
            clock=self.clock,
            ids=self.ids,
            idle_seconds=self.settings.idle_seconds,
            group=group,
        )
        stack.push_async_callback(agent.close)
        return agent

    async def _start_factory(self, stack: contextlib.AsyncExitStack) -> None:
        try:
            await self.factory.start()
        except IsolationUnavailable as error:
            raise StartError(str(error)) from None
        stack.push_async_callback(self.factory.close)

    async def _services(
        self, principals: Principals, group: asyncio.TaskGroup, stack: contextlib.AsyncExitStack
    ) -> list[Service]:
        database, clock, ids = self.database, self.clock, self.ids
        self.blobs = LocalBlobs(self.directory.path / "blobs" / "s3", ids)
        stack.callback(self.blobs.close)
        wake_delivery, wake_provisioning, wake_schedules, wake_stacks = Hint(), Hint(), Hint(), Hint()
        wake_durable = Hint()
        packages = PackageShelf(Packages(self.directory.path / "packages", ids))
        await self._image_registry(stack)
        secret = await database.write(node_values.get_or_put, node_values.LINK_SECRET, ids.secret(32).hex())
        self.links = PackageLinks(packages, clock, secret=bytes.fromhex(secret), base_url=lambda: self.endpoint)
        self.lambda_parts = awslambda.make_service(
            Surroundings(
                database=database,
                cloud=self.cloud,
                clock=clock,
                ids=ids,
                packages=packages,
                images=self.shelf,
                wake_mappings=self.wake_mappings,
                wake_pulls=self.wake_pulls,
                invoker=MeteredInvoker(self.agent, self.meter),
                roles=RoleTrust(principals, self.policies, REGION),
                runtimes=self.languages,
                links=self.links,
                layer_source=self._klayers(),
                account_concurrency=self.settings.account_concurrency,
                port=self.settings.port,
                wake_delivery=wake_delivery,
                wake_durable=wake_durable,
                wake_provisioning=wake_provisioning,
                spawn=group.create_task,
            )
        )
        wake_durable.reconciler = Reconciler("durable executions", self.lambda_parts.durable.work, clock)
        self.wake_pulls.reconciler = Reconciler("pulls", self.lambda_parts.pulls.work, clock)
        self.reconcilers += [wake_durable.reconciler, self.wake_pulls.reconciler]
        wake_lifecycle = Hint()
        buckets = s3.make_parts(
            database, self.blobs, clock, ids, self.cloud, wake=wake_delivery, wake_lifecycle=wake_lifecycle
        )
        self.forms = buckets.forms
        wake_lifecycle.reconciler = Reconciler("lifecycle", buckets.lifecycle, clock)
        self.reconcilers.append(wake_lifecycle.reconciler)
        types = resource_types()
        deployer = Deployer(database, self.cloud, clock, ids, types)
        wake_stacks.wake = deployer.wake
        wake_stacks.reconciler = Reconciler("stacks", deployer.work, clock)
        self.reconcilers.append(wake_stacks.reconciler)
        wake_executions = Hint()
        states = stepfunctions.make_parts(database, self.cloud, clock, ids, group, wake_executions)
        wake_executions.reconciler = Reconciler("executions", states.runner.work, clock)
        self.reconcilers.append(wake_executions.reconciler)
        self._background(wake_delivery, wake_provisioning, wake_schedules)
        return [
            iam_service(database=database, principals=principals, credentials=self.credentials, clock=clock, ids=ids),
            sts_service(credentials=self.credentials, policies=self.policies, roles=principals),
            self.lambda_parts.service,
            logs.make_service(self.log_database, clock, self.logs),
            buckets.service,
            apigatewayv2.make_service(database, clock, ids, self.settings.port),
            self._items(),
            self._queues(),
            self.topics.service,
            events.make_service(database, clock, wake_schedules),
            states.service,
            self.images.service,
            cloudformation.make_service(database, self.cloud, clock, ids, known_types=types, wake=wake_stacks),
        ]

    def _items(self) -> Service:
        parts = dynamodb.make_parts(self.database, self.clock, self.ids, self.settings)
        self.reconcilers += [Reconciler(name, work, self.clock) for name, work in parts.reconcilers.items()]
        return parts.service

    def _queues(self) -> Service:
        wake = Hint()
        parts = sqs.make_parts(self.database, self.clock, self.ids, endpoint=lambda: self.endpoint, wake=wake)
        wake.reconciler = Reconciler("queues", parts.work, self.clock)
        mappings = QueueMappings(self.database, self.cloud, self.clock, self.lambda_parts.mapped)
        self.wake_mappings.wake = mappings.wake
        parts.waiters.on_wake(mappings.wake)
        self.reconcilers += [wake.reconciler, mappings.reconciler]
        return parts.service

    def _klayers(self) -> KlayersSource:
        def minor(runtime: str) -> int:
            return self.interpreters.for_runtime(runtime).minor

        return KlayersSource(self.directory.path / "layers", self.ids, minor, platform.machine())

    async def _image_registry(self, stack: contextlib.AsyncExitStack) -> None:
        """ECR, whose blobs are its own, and the images that functions are made of."""
        kept = LocalBlobs(self.directory.path / "blobs" / "ecr", self.ids)
        stack.callback(kept.close)
        fresh = self.ids.secret(32).hex()
        secret = await self.database.write(node_values.get_or_put, node_values.REGISTRY_SECRET, fresh)
        wake = Hint()
        self.images = ecr.make_parts(
            self.database, kept, self.clock, self.ids, self.settings, self.policies,
            secret=bytes.fromhex(secret), wake=wake,
        )  # fmt: skip
        wake.reconciler = Reconciler("images", self.images.lifecycle, self.clock)
        self.reconcilers.append(wake.reconciler)
        cache = ImageCache(self.directory.path / "images", self.ids)
        self.shelf = ImageShelf(cache, self.cloud, self.images.shared, self.clock, self.settings)
        self.wake_pulls = Hint()
        self.wake_mappings = Hint()

    def _background(self, wake_delivery: Hint, wake_provisioning: Hint, wake_schedules: Hint) -> None:
        """The reconcilers, in the order in which one hands work to the next."""
        self.topics = sns.make_parts(
            self.database,
            self.cloud,
            self.clock,
            self.ids,
            endpoint=lambda: self.endpoint,
            egress=self.settings.egress,
            wake_delivery=wake_delivery,
        )
        targets: dict[str, Target] = {
            "lambda_async": LambdaAsync(self.lambda_parts.asynchronous),
            "lambda_invoke": LambdaInvoke(self.cloud, self.clock),
            "publish": Publishing(self.cloud, self.clock),
            "sns": Notifying(self.database, self.cloud, self.clock, self.topics.signer, self.topics.addresses),
            "put_object": Storing(self.cloud, self.clock),
        }
        dispatcher = Dispatcher(self.database, targets, self.clock, self.ids)
        schedules = Schedules(self.database, self.clock, dispatcher.wake)
        wake_schedules.reconciler = Reconciler("schedules", schedules.work, self.clock)
        wake_provisioning.reconciler = Reconciler("provisioning", self.lambda_parts.provisioning.work, self.clock)
        wake_delivery.wake = dispatcher.wake
        self.reconcilers += [
            wake_provisioning.reconciler,
            wake_schedules.reconciler,
            dispatcher.reconciler,
            Reconciler("retention", Retention(self.log_database, self.clock).work, self.clock),
        ]

    def start(self, group: asyncio.TaskGroup, listener: socket.socket) -> None:
        """Listen, and let the background run."""
        self.server.listen(listener)
        group.create_task(self.logs.run())
        group.create_task(self.agent.run())
        group.create_task(self.meter.run(self.agent.reserved))
        for reconciler in self.reconcilers:
            group.create_task(reconciler.run())
        group.create_task(collect_orphans(self.database, self.blobs))
        group.create_task(self.images.shared.content.collect())
        group.create_task(self._forget_images())
        # What was built lives as long as the node: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.enable()

    async def _forget_images(self) -> None:
        """Now and every hour."""
        while True:
            await self.shelf.collect(await self.database.scan(images_used))
            await asyncio.sleep(KEPT_SECONDS)

    def _tls(self) -> ssl.SSLContext:
        return server_context(self.directory.path / "tls", datetime.fromtimestamp(self.clock.wall_ms() / 1000, UTC))

    def _observe(self, account: str, service: str, operation: str) -> None:
        if service == "s3":
            self.meter.s3_request(account, operation)
        elif service == "execute-api":
            self.meter.add(account, "http-api-requests", 1)

    def close_databases(self) -> None:
        for database in self._databases:
            database.close()

    async def tell_of_runtimes(self) -> None:
        """Whether this machine has what the functions of an earlier run are written for."""
        for runtime in sorted(await self.lambda_parts.runtimes_in_use()):
            await self.languages.look_for(runtime)
            if warning := self.languages.warning(runtime):
                log.warning(warning)

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
        await running.tell_of_runtimes()
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
            group = await stack.enter_async_context(cancelled_at_the_end())
            await built.build(group, stack)
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
