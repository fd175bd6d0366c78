"""Runs functions on this machine: finds an idle instance or starts one, and lets go of those nobody needs.

A version's idle instances are a stack: the one used last is used next, so that the others grow old. An instance
that has been idle for a moment is frozen; a hot loop never pays for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Hashable, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from pilotlight.clock import Clock
from pilotlight.engine.admission import Admission, Starts
from pilotlight.engine.company import programs
from pilotlight.engine.contract import (
    CredentialSource,
    EndpointServer,
    EntrypointInvalid,
    FunctionVersion,
    InstanceIdentity,
    Invocation,
    IsolationUnavailable,
    LogSink,
    Outcome,
    ProvisionStatus,
    RuntimeUnavailable,
)
from pilotlight.engine.instance import INIT_SECONDS_MAX, InitFailed, Instance
from pilotlight.engine.life_cycle import State
from pilotlight.engine.provisioning import Provisioning
from pilotlight.engine.restoring import initialization_type
from pilotlight.engine.returning import Returning
from pilotlight.engine.runtime_api.server import RuntimeApi
from pilotlight.engine.sandbox.contract import Sandbox, SandboxFactory, SandboxSpec
from pilotlight.engine.snapshots import Snapshots
from pilotlight.engine.spares import Process, Spares
from pilotlight.engine.wires import Wires
from pilotlight.ids import Ids

log = logging.getLogger(__name__)

TEND_SECONDS = 0.1
FREEZE_SECONDS = 0.1
RETURN_SECONDS = 0.05
"""How long an invocation waits for an instance that has answered and is nearly done, before it starts another."""
WARM_INSTANCES_MAX = 2000
CREDENTIALS_SPARE_MS = 60_000
"""An instance whose credentials would end sooner than this after its longest invocation is not used any more."""

INSTANCE_LIFE_MS = 12 * 3600 * 1000
"""AWS: an instance lives for hours and not for days, however much it is used; a fresh one has fresh credentials."""


class Runtime(Protocol):
    """A language: what a sandbox needs for it, and how a bootstrap is started in one."""

    restores: bool
    """Whether its bootstrap answers RESTORE, so that it can have SnapStart."""

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        """Raises RuntimeUnavailable."""
        ...

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        """The runtime's version and its digest, for INIT_START."""
        ...

    def sort(self, version: FunctionVersion) -> Hashable | None:
        """What `fork_spare` needs to know; None where a version cannot be forked."""
        ...

    async def fork_spare(self, sort: Hashable, sandbox: Sandbox) -> tuple[Wires, Process] | None:
        """A bootstrap in a reserved sandbox, for any version of that sort. None where it cannot be now."""
        ...

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        """Start the bootstrap in a furnished sandbox. Raises EntrypointInvalid."""
        ...

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> dict[str, Any]: ...

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]: ...


@runtime_checkable
class Prepares(Protocol):
    """A language that makes something of a function's code which its instances start faster with."""

    async def prepare(self, version: FunctionVersion) -> None:
        """Have it made, unless it is there; it may take until long after this returns."""
        ...


class Runtimes(Protocol):
    def of(self, runtime: str) -> Runtime:
        """Raises RuntimeUnavailable."""
        ...

    def warning(self, runtime: str) -> str:
        """Of a runtime that was asked for and that another version serves; else empty."""
        ...


class Agent:
    """Implements `engine.contract.Invoker`. Its tasks belong to the group it is given; `run` is one of them."""

    def __init__(
        self,
        *,
        factory: SandboxFactory,
        runtimes: Runtimes,
        logs: LogSink,
        credentials: CredentialSource,
        endpoints: EndpointServer,
        clock: Clock,
        ids: Ids,
        idle_seconds: float,
        group: asyncio.TaskGroup,
        init_seconds: float = INIT_SECONDS_MAX,
        warm_instances_max: int = WARM_INSTANCES_MAX,
    ) -> None:
        self._factory = factory
        self._runtimes = runtimes
        self._logs = logs
        self._credentials = credentials
        self._endpoints = endpoints
        self._clock = clock
        self._ids = ids
        self._idle_seconds = idle_seconds
        self._group = group
        self._init_seconds = init_seconds
        self._warm_instances_max = warm_instances_max
        self._admission = Admission()
        self._starts = Starts(clock, self._give_back)
        self._idle: dict[str, list[Instance]] = {}
        self._all: set[Instance] = set()
        self._ending: set[Instance] = set()
        self._returning: dict[str, Returning] = {}
        self._provisioning = Provisioning(
            start=self._start_provisioned, end=self._end_later, later=self._later, clock=clock
        )
        self._spares = Spares(factory, self._later)
        self._snapshots = Snapshots(start=self._start_anew, end=self._end_later, later=self._later)
        self._closed = False

    # Invoking.

    def running(self, group: str) -> int:
        return self._admission.running(group)

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        self._admission.enter(invocation.limits)
        try:
            instance = self._take(version, invocation)
            if instance is None and version.key in self._returning:
                instance = await self._returning[version.key].wait(RETURN_SECONDS)
            if instance is None:
                return await self._invoke_cold(version, invocation)
            return await self._invoke_on(instance, invocation)
        finally:
            self._admission.leave(invocation.limits)

    async def _invoke_cold(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        instance = await self._starts.wait_turn(version.arn, version.key)
        if instance is not None:
            return await self._invoke_on(instance, invocation)
        began: float | None = None
        try:
            stream, version = self._stream_name(version), self._as_it_starts(version)
            try:
                if version.snap_start:
                    instance = await self._restored(version, stream)
                else:
                    instance = await self._start(version, stream)
            except InitFailed:
                # AWS: it is tried again within the first invocation, and then has the function's own time.
                began = self._clock.monotonic()
                try:
                    instance = await self._start_again(version, stream, invocation)
                except InitFailed as failed:
                    return failed.instance.fail_first(invocation, failed, began)
        finally:
            self._starts.leave()
        return await self._invoke_on(instance, invocation, began=began)

    async def _start_again(self, version: FunctionVersion, stream: str, invocation: Invocation) -> Instance:
        seconds = float(version.timeout_seconds)
        if invocation.deadline_ms is not None:
            seconds = (invocation.deadline_ms - self._clock.wall_ms()) / 1000
        instance = await self._start(version, stream, again_for=seconds)
        if version.snap_start:
            await self._restore(instance)
        return instance

    def _as_it_starts(self, version: FunctionVersion) -> FunctionVersion:
        """Without SnapStart where its runtime has none here."""
        if version.snap_start and not self._runtimes.of(version.runtime).restores:
            return replace(version, snap_start=False)
        return version

    async def _restored(self, version: FunctionVersion, stream: str) -> Instance:
        """One that was initialised ahead, or else now; its hooks have run. Raises InitFailed or RestoreFailed."""
        instance = self._snapshots.take(version)
        if instance is None:
            instance = await self._start(version, stream)
            instance.note("SnapStart: no snapshot was ready, so this instance was initialised anew.")
        await self._restore(instance)
        return instance

    async def _restore(self, instance: Instance) -> None:
        runtime = self._runtimes.of(instance.version.runtime)
        try:
            await instance.restore(*runtime.describe(instance.version))
        except BaseException:
            self._end_later(instance)
            raise

    async def _invoke_on(self, instance: Instance, invocation: Invocation, began: float | None = None) -> Outcome:
        instance.begin(invocation, began)
        try:
            outcome = await instance.finish()
        except asyncio.CancelledError:
            # AWS: a function runs on when its caller hangs up.
            self._later(self._finish_alone(instance))
            raise
        if instance.settled:
            self._give_back(instance)
        else:
            self._later(self._settle(instance))
        return outcome

    async def _finish_alone(self, instance: Instance) -> None:
        await instance.finish()
        await self._settle(instance)

    async def _settle(self, instance: Instance) -> None:
        """The answer has left, and something inside goes on working."""
        key = instance.version.key
        returning = self._returning.setdefault(key, Returning(self._give_back))
        returning.expected += 1
        try:
            await instance.settle()
        finally:
            returning.expected -= 1
            if not returning.expected:
                del self._returning[key]
        welcome = instance.usable and not instance.retired and not instance.provisioned
        if not welcome or not returning.hand_over(instance):
            self._give_back(instance)

    def _take(self, version: FunctionVersion, invocation: Invocation) -> Instance | None:
        if invocation.provisioned_key:
            instance = self._provisioning.find_idle(invocation.provisioned_key, version)
            if instance is not None:
                return instance
        idle = self._idle.get(version.key)
        while idle:
            instance = idle.pop()
            if instance.usable:
                return instance
            self._end_later(instance)
        return None

    def _give_back(self, instance: Instance) -> None:
        if instance.provisioned:
            return  # `Provisioning.tend` replaces a dead one
        if instance.state is State.DEAD or instance.retired or self._closed:
            self._end_later(instance)
        elif not self._starts.hand_over(instance):
            self._idle.setdefault(instance.version.key, []).append(instance)

    # Starting and ending.

    async def _start_anew(self, version: FunctionVersion) -> Instance:
        return await self._start(version, self._stream_name(version))

    async def _start_provisioned(self, version: FunctionVersion) -> Instance:
        return await self._start(version, self._stream_name(version), provisioned=True)

    async def _start(
        self, version: FunctionVersion, stream: str, *, provisioned: bool = False, again_for: float | None = None
    ) -> Instance:
        """A new instance, initialised. Raises InitFailed where the function's own code does not start."""
        runtime = self._runtimes.of(version.runtime)
        spec = runtime.spec(version)
        sort = runtime.sort(version)
        credentials = await self._credentials(version)
        spare = self._spares.take(sort, runtime) if sort is not None else None
        sandbox = spare.sandbox if spare is not None else await self._factory.reserve()
        instance = Instance(
            version, sandbox, stream=stream, clock=self._clock, logs=self._logs, provisioned=provisioned
        )
        instance.usable_until_ms = min(
            credentials.expires_ms - version.timeout_seconds * 1000 - CREDENTIALS_SPARE_MS,
            self._clock.wall_ms() + INSTANCE_LIFE_MS,
        )
        self._all.add(instance)
        try:
            await self._factory.furnish(sandbox, spec)
            if sandbox.listener is not None:
                await self._serve_endpoint(instance, credentials.access_key_id)
            environment = runtime.environment(version, sandbox) | {
                "AWS_ACCESS_KEY_ID": credentials.access_key_id,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
                "AWS_SESSION_TOKEN": credentials.session_token,
                "AWS_LAMBDA_LOG_STREAM_NAME": stream,
                "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type(version, provisioned=provisioned),
            }
            if version.snap_start:
                # AWS: "not available in Lambda SnapStart functions".
                for name in ("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"):
                    environment.pop(name, None)
            if sandbox.api_listener is not None:
                api = RuntimeApi(version, sandbox, ids=self._ids, later=self._later, wall_ms=self._clock.wall_ms)
                instance.attend(api, self._later)
            instance.initialising(*runtime.describe(version), again=again_for is not None)
            if again_for is None and (warning := self._runtimes.warning(version.runtime)):
                instance.note(warning)
            init_seconds = self._init_seconds if again_for is None else again_for
            if (version.layers or version.image) and (extensions := programs(version, isolated=sandbox.isolated)):
                began = self._clock.monotonic()
                await instance.start_extensions(extensions, environment, init_seconds)
                init_seconds -= self._clock.monotonic() - began
            if spare is not None:
                wires, instance.process = spare.wires, spare.process
            else:
                wires, instance.process = await self._bootstrap(instance, runtime, environment)
            instance.connect(wires)
            if wires.http:
                self._later(instance.watch())
            frame = runtime.start_frame(version, sandbox, environment, stream)
            await instance.initialise(frame, init_seconds)
        except BaseException:
            self._end_later(instance)
            raise
        return instance

    async def _bootstrap(
        self, instance: Instance, runtime: Runtime, environment: dict[str, str]
    ) -> tuple[Wires, Process]:
        try:
            return await runtime.start(instance.version, instance.sandbox, environment)
        except EntrypointInvalid as error:
            raise instance.not_started("Runtime.InvalidEntrypoint", str(error)) from None

    async def _serve_endpoint(self, instance: Instance, access_key_id: str) -> None:
        version, listener = instance.version, instance.sandbox.listener
        assert listener is not None
        identity = InstanceIdentity(
            instance=instance.sandbox.id,
            account=version.account,
            region=version.region,
            function_arn=version.arn,
            access_key_id=access_key_id,
        )
        instance.close_endpoint = await self._endpoints.serve(listener, lambda: identity)

    def _stream_name(self, version: FunctionVersion) -> str:
        """As Lambda's: the day, the version, and an id. Wall time, as all log times are."""
        day = self._clock.wall_date()
        return f"{day:%Y/%m/%d}/[{version.version}]{self._ids.hex(32)}"

    def _end_later(self, instance: Instance) -> None:
        self._all.discard(instance)
        self._ending.add(instance)
        self._later(self._end(instance))

    async def _end(self, instance: Instance) -> None:
        try:
            await instance.end()
        finally:
            self._ending.discard(instance)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        watched = _watched(work)
        try:
            self._group.create_task(watched)
        except RuntimeError:  # the group has ended, and with it the node: the factory removes what is left
            watched.close()
            work.close()

    async def run(self) -> None:
        """Freeze and reap, until cancelled."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            self.tend()

    def tend(self) -> None:
        """Freeze what is idle, end what has been so for long or is too much, replace what died."""
        now = self._clock.monotonic()
        self._spares.tend()
        self._snapshots.tend()
        self._provisioning.tend()
        for instance in self._provisioning.instances():
            self._freeze(instance, now)
        for key, idle in list(self._idle.items()):
            keep = []
            for instance in idle:
                if not instance.usable or now - instance.idle_since >= self._idle_seconds:
                    self._end_later(instance)
                else:
                    self._freeze(instance, now)
                    keep.append(instance)
            if keep:
                self._idle[key] = keep
            else:
                del self._idle[key]
        self._end_surplus()

    def _freeze(self, instance: Instance, now: float) -> None:
        if instance.state is State.IDLE and now - instance.idle_since >= FREEZE_SECONDS:
            try:
                instance.freeze()
            except OSError as error:  # it is going away: the next round finds it dead
                log.debug("an instance of %s cannot be frozen: %s", instance.version.arn, error)

    def _end_surplus(self) -> None:
        surplus = sum(map(len, self._idle.values())) - self._warm_instances_max
        if surplus <= 0:
            return
        oldest = sorted((one for idle in self._idle.values() for one in idle), key=lambda one: one.idle_since)
        for instance in oldest[:surplus]:
            self._idle[instance.version.key].remove(instance)
            self._end_later(instance)

    async def retire(self, arn: str, keep_keys: Sequence[str] = ()) -> None:
        self._snapshots.forget(arn, keep_keys)
        for instance in self._all:
            if instance.version.arn == arn and instance.version.key not in keep_keys:
                instance.retired = True
        for key, idle in list(self._idle.items()):
            gone = [one for one in idle if one.retired]
            if gone:
                self._idle[key] = [one for one in idle if not one.retired]
                for instance in gone:
                    self._end_later(instance)

    async def close(self) -> None:
        """End every instance; nothing is kept any more."""
        self._closed = True
        self._snapshots.close()
        instances, self._all = [*self._all, *self._ending], set()
        await self._spares.close()
        await asyncio.gather(*(instance.end() for instance in instances), return_exceptions=True)

    # When code is published.

    def prepares(self, runtime: str) -> bool:
        try:
            return isinstance(self._runtimes.of(runtime), Prepares)
        except RuntimeUnavailable:
            return False

    def prepare(self, version: FunctionVersion) -> None:
        self._later(self._prepare(version))

    async def _prepare(self, version: FunctionVersion) -> None:
        try:
            runtime = self._runtimes.of(version.runtime)
            if isinstance(runtime, Prepares):
                await runtime.prepare(version)
        except (RuntimeUnavailable, IsolationUnavailable) as error:  # its first invocation will be told
            log.info("nothing was prepared for %s: %s", version.arn, error)

    def snapshot(self, version: FunctionVersion) -> None:
        try:
            version = self._as_it_starts(version)
        except RuntimeUnavailable:  # its first invocation will be told
            return
        if version.snap_start:
            self._snapshots.prepare(version)

    def snapshots(self, key: str) -> int:
        """How many of a version are ready."""
        return self._snapshots.ready(key)

    # Provisioned concurrency.

    async def provision(self, key: str, version: FunctionVersion, count: int) -> None:
        self._provisioning.ask(key, version, count)

    def provision_status(self, key: str) -> ProvisionStatus:
        return self._provisioning.status(key)

    def reserved(self) -> list[tuple[str, str, float]]:
        """Provisioned instances as they stand: account, architecture and GB of each key."""
        return self._provisioning.reserved()

    def spares(self, sort: Hashable) -> int:
        """How many bootstraps of a sort wait for their function."""
        return self._spares.ready(sort)

    def describe(self) -> dict[str, int]:
        """How many instances are in which state, for `pilotlight status`."""
        counts = {state.value: 0 for state in State if state is not State.DEAD}
        for instance in self._all:
            if instance.state is not State.DEAD:
                counts[instance.state.value] += 1
        return counts


async def _watched(work: Coroutine[Any, Any, None]) -> None:
    """What nobody waits for must not take the node down with it."""
    try:
        await work
    except (OSError, RuntimeError, LookupError):
        log.exception("work of the engine failed")
