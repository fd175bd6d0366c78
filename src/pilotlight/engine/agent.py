"""Runs functions on this machine: finds an idle instance or starts one, and lets go of those nobody needs.

A version's idle instances are a stack: the one used last is used next, so that the others grow old. An instance
that has been idle for a moment is frozen; a hot loop never pays for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilotlight.clock import Clock
from pilotlight.engine.admission import Admission
from pilotlight.engine.contract import (
    CredentialSource,
    EndpointServer,
    FunctionVersion,
    InstanceIdentity,
    Invocation,
    LogSink,
    Outcome,
    ProvisionStatus,
)
from pilotlight.engine.instance import InitFailed, Instance, Process
from pilotlight.engine.life_cycle import State
from pilotlight.engine.sandbox.contract import Sandbox, SandboxFactory, SandboxSpec
from pilotlight.ids import Ids

log = logging.getLogger(__name__)

FREEZE_SECONDS = 0.1
REAP_SECONDS = 1.0
WARM_INSTANCES_MAX = 2000
PROVISION_AT_ONCE = 4
PROVISION_ATTEMPTS = 3


class Runtime(Protocol):
    """A language: what a sandbox needs for it, and how a bootstrap is started in one."""

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        """Raises RuntimeUnavailable."""
        ...

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        """The runtime's version and its digest, for INIT_START."""
        ...

    async def start(self, version: FunctionVersion, sandbox: Sandbox, instance: Instance) -> Process:
        """Start the bootstrap, with the instance's channel connected to it."""
        ...

    def start_frame(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str], stream: str
    ) -> Any: ...

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]: ...


@dataclass(slots=True)
class _Provisioned:
    """What was asked for under a key, and how far it is."""

    version: FunctionVersion
    requested: int
    instances: list[Instance] = field(default_factory=list)
    failures: int = 0
    reason: str = ""


class Agent:
    """Implements `engine.contract.Invoker`. Its tasks belong to the group it is given."""

    def __init__(
        self,
        *,
        factory: SandboxFactory,
        runtimes: Any,
        logs: LogSink,
        credentials: CredentialSource,
        endpoints: EndpointServer,
        clock: Clock,
        ids: Ids,
        idle_seconds: float,
        group: asyncio.TaskGroup,
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
        self._admission = Admission()
        self._idle: dict[str, list[Instance]] = {}
        self._all: set[Instance] = set()
        self._retired: dict[str, frozenset[str]] = {}
        self._provisioned: dict[str, _Provisioned] = {}
        self._provision_lock = asyncio.Lock()
        self._closed = False

    # Invoking.

    def running(self, group: str) -> int:
        return self._admission.running(group)

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        self._admission.enter(invocation.limits)
        try:
            instance = self._take(version, invocation)
            if instance is None:
                try:
                    instance = await self._start(version, provisioned=False)
                except _Failed as failed:
                    self._end_later(failed.instance)
                    return failed.instance.fail_first(invocation, failed.cause)
            outcome = await instance.invoke(invocation)
            self._give_back(instance)
            return outcome
        finally:
            self._admission.leave(invocation.limits)

    def _take(self, version: FunctionVersion, invocation: Invocation) -> Instance | None:
        if invocation.provisioned_key:
            provisioned = self._provisioned.get(invocation.provisioned_key)
            for instance in reversed(provisioned.instances if provisioned else ()):
                if instance.state in (State.IDLE, State.FROZEN) and instance.version.key == version.key:
                    return instance
        idle = self._idle.get(version.key)
        while idle:
            instance = idle.pop()
            if instance.state in (State.IDLE, State.FROZEN):
                return instance
        return None

    def _give_back(self, instance: Instance) -> None:
        kept = self._retired.get(instance.version.arn)
        gone = kept is not None and instance.version.key not in kept
        if instance.state is State.DEAD or gone or self._closed:
            self._end_later(instance)
            return
        if instance.provisioned:
            return
        self._idle.setdefault(instance.version.key, []).append(instance)

    # Starting and ending.

    async def _start(self, version: FunctionVersion, *, provisioned: bool) -> Instance:
        """A new instance, initialised. Raises _Failed where the function's own init fails."""
        started_at = self._clock.monotonic()
        runtime: Runtime = self._runtimes.of(version.runtime)
        credentials = await self._credentials(version)
        sandbox = await self._factory.take(runtime.spec(version))
        instance = Instance(
            version,
            sandbox,
            stream=self._stream_name(version),
            clock=self._clock,
            logs=self._logs,
            provisioned=provisioned,
        )
        self._all.add(instance)
        try:
            if sandbox.listener is not None:
                identity = InstanceIdentity(
                    instance=sandbox.id,
                    account=version.account,
                    region=version.region,
                    function_arn=version.arn,
                    access_key_id=credentials.access_key_id,
                )
                instance.close_endpoint = await self._endpoints.serve(sandbox.listener, lambda: identity)
            environment = runtime.environment(version, sandbox)
            environment |= {
                "AWS_ACCESS_KEY_ID": credentials.access_key_id,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
                "AWS_SESSION_TOKEN": credentials.session_token,
                "AWS_LAMBDA_LOG_STREAM_NAME": instance.stream,
                "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency" if provisioned else "on-demand",
            }
            instance.initialising(*runtime.describe(version))
            instance.process = await runtime.start(version, sandbox, instance)
            frame = runtime.start_frame(version, sandbox, environment, instance.stream)
            await instance.initialise(frame, started_at)
        except InitFailed as failed:
            raise _Failed(instance, failed) from None
        except BaseException:
            self._end_later(instance)
            raise
        self._retired.pop(version.arn, None)
        return instance

    def _stream_name(self, version: FunctionVersion) -> str:
        """As Lambda's: the day, the version, and an id. Wall time, as all log times are."""
        day = self._clock.wall_date()
        return f"{day:%Y/%m/%d}/[{version.version}]{self._ids.hex(32)}"

    def _end_later(self, instance: Instance) -> None:
        self._all.discard(instance)
        self._group.create_task(instance.end())

    async def run(self) -> None:
        """Freeze and reap, until cancelled."""
        while True:
            await asyncio.sleep(FREEZE_SECONDS)
            self._freeze_and_reap()

    def _freeze_and_reap(self) -> None:
        now = self._clock.monotonic()
        for key, idle in list(self._idle.items()):
            keep = []
            for instance in idle:
                age = now - instance.idle_since
                if age >= self._idle_seconds or instance.state is State.DEAD:
                    self._end_later(instance)
                    continue
                if age >= FREEZE_SECONDS:
                    instance.freeze()
                keep.append(instance)
            if keep:
                self._idle[key] = keep
            else:
                del self._idle[key]
        for provisioned in self._provisioned.values():
            for instance in provisioned.instances:
                if instance.state is State.IDLE and now - instance.idle_since >= FREEZE_SECONDS:
                    instance.freeze()
            dead = [one for one in provisioned.instances if one.state is State.DEAD]
            if dead:
                provisioned.instances = [one for one in provisioned.instances if one not in dead]
                self._group.create_task(self._fill(provisioned))

    async def retire(self, arn: str, keep_keys: Sequence[str] = ()) -> None:
        kept = frozenset(keep_keys)
        self._retired[arn] = kept
        for key, idle in list(self._idle.items()):
            gone = [one for one in idle if one.version.arn == arn and key not in kept]
            if gone:
                self._idle[key] = [one for one in idle if one not in gone]
                for instance in gone:
                    self._end_later(instance)

    async def close(self) -> None:
        """End every instance; nothing is started any more."""
        self._closed = True
        instances, self._all = list(self._all), set()
        await asyncio.gather(*(instance.end() for instance in instances), return_exceptions=True)

    # Provisioned concurrency.

    async def provision(self, key: str, version: FunctionVersion, count: int) -> None:
        old = self._provisioned.get(key)
        if old is not None and (count == 0 or old.version.key != version.key):
            del self._provisioned[key]
            for instance in old.instances:
                if instance.state is not State.BUSY:
                    self._end_later(instance)
                else:
                    instance.provisioned = False  # it ends its days as any other
            old = None
        if count == 0:
            return
        if old is None:
            old = self._provisioned[key] = _Provisioned(version, count)
        old.requested, old.failures, old.reason = count, 0, ""
        while len(old.instances) > count:
            self._end_later(old.instances.pop())
        self._group.create_task(self._fill(old))

    async def _fill(self, provisioned: _Provisioned) -> None:
        async with self._provision_lock:
            while (
                len(provisioned.instances) < provisioned.requested
                and provisioned in self._provisioned.values()
                and provisioned.failures < PROVISION_ATTEMPTS
                and not self._closed
            ):
                missing = min(PROVISION_AT_ONCE, provisioned.requested - len(provisioned.instances))
                started = await asyncio.gather(
                    *(self._start(provisioned.version, provisioned=True) for _ in range(missing)),
                    return_exceptions=True,
                )
                for result in started:
                    self._provisioned_started(provisioned, result)

    def _provisioned_started(self, provisioned: _Provisioned, result: Instance | BaseException) -> None:
        if isinstance(result, Instance):
            result.idle_since = self._clock.monotonic()
            if provisioned in self._provisioned.values():
                provisioned.instances.append(result)
            else:
                self._end_later(result)
            return
        provisioned.failures += 1
        provisioned.reason = str(result)
        if isinstance(result, _Failed):
            provisioned.reason = result.cause.failure.error_type
            self._end_later(result.instance)
        else:
            log.warning("provisioned concurrency of %s: %s", provisioned.version.arn, result)

    def provision_status(self, key: str) -> ProvisionStatus:
        provisioned = self._provisioned.get(key)
        if provisioned is None:
            return ProvisionStatus(requested=0, available=0, allocated=0, status="IN_PROGRESS")
        have = len(provisioned.instances)
        free = sum(1 for one in provisioned.instances if one.state is not State.BUSY)
        if have >= provisioned.requested:
            status = "READY"
        else:
            status = "FAILED" if provisioned.failures >= PROVISION_ATTEMPTS else "IN_PROGRESS"
        return ProvisionStatus(
            requested=provisioned.requested,
            available=free,
            allocated=have,
            status=status,  # type: ignore[arg-type]
            reason=provisioned.reason,
        )

    def describe(self) -> dict[str, int]:
        """How many instances are in which state, for `pilotlight status`."""
        counts = {state.value: 0 for state in State if state is not State.DEAD}
        for instance in self._all:
            if instance.state is not State.DEAD:
                counts[instance.state.value] += 1
        return counts


class _Failed(Exception):
    """An instance whose init failed, and why."""

    def __init__(self, instance: Instance, cause: InitFailed) -> None:
        super().__init__(str(cause))
        self.instance = instance
        self.cause = cause
