"""Small pieces between the parts of a node: each makes one thing fit where another is asked for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pilotlight.background import Reconciler
from pilotlight.cost.meter import Meter
from pilotlight.engine.agent import Agent
from pilotlight.engine.contract import Credentials as SessionCredentials
from pilotlight.engine.contract import FunctionVersion, InstanceIdentity, Invocation, Outcome
from pilotlight.engine.packages import PackageInvalid, Packages, PackageTooLarge
from pilotlight.gateway.journey import Gateway
from pilotlight.gateway.server import Server
from pilotlight.identity.caller import Caller
from pilotlight.identity.credentials import Credentials
from pilotlight.services.awslambda.surroundings import BadPackage, StoredPackage
from pilotlight.services.iam.principals import Principals

FUNCTION_SESSION_SECONDS = 7 * 86_400


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
        self.wake: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self.wake is not None:
            self.wake()
        if self.reconciler is not None:
            self.reconciler.wake()


class Endpoints:
    """`engine.contract.EndpointServer` over the gateway's server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def serve(
        self, listener: socket.socket, identity: Callable[[], InstanceIdentity | None]
    ) -> Callable[[], Awaitable[None]]:
        def key() -> str:
            found = identity()
            # Never empty: a request without an instance would be one from the outside.
            return found.access_key_id if found is not None else "-"

        return await self._server.serve_instance(listener, key)


class FunctionCredentials:
    """`engine.contract.CredentialSource`: a session of the function's role."""

    def __init__(self, credentials: Credentials, principals: Principals) -> None:
        self._credentials = credentials
        self._principals = principals

    async def __call__(self, version: FunctionVersion) -> SessionCredentials:
        role = await self._principals.role(version.role_arn)
        issued = self._credentials.issue(
            account=version.account,
            role_arn=version.role_arn,
            session_name=version.name,
            role_id=role.id if role is not None else "",
            duration_seconds=FUNCTION_SESSION_SECONDS,
        )
        return SessionCredentials(
            access_key_id=issued.access_key_id,
            secret_access_key=issued.secret_access_key,
            session_token=issued.session_token,
            expires_ms=issued.expires_ms,
        )


class MeteredInvoker:
    """The agent, with each invocation on the meter."""

    def __init__(self, agent: Agent, meter: Meter) -> None:
        self._agent = agent
        self._meter = meter
        self.provision = agent.provision
        self.provision_status = agent.provision_status
        self.retire = agent.retire
        self.snapshot = agent.snapshot
        self.prepares, self.prepare = agent.prepares, agent.prepare
        self.running = agent.running

    async def invoke(self, version: FunctionVersion, invocation: Invocation) -> Outcome:
        outcome = await self._agent.invoke(version, invocation)
        self._meter.invocation(
            version.account,
            version.architecture,
            version.memory_mb,
            outcome.billed_ms,
            provisioned=outcome.provisioned,
        )
        return outcome


class PackageShelf:
    """Lambda's `PackageStore` over the engine's packages, in threads."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages

    async def put(self, data: bytes) -> StoredPackage:
        try:
            kept = await asyncio.to_thread(self._packages.put, data)
        except (PackageInvalid, PackageTooLarge) as error:
            raise BadPackage(str(error)) from error
        return StoredPackage(kept.key, kept.sha256, kept.zipped_bytes, kept.unzipped_bytes)

    async def read(self, key: str) -> bytes:
        return await asyncio.to_thread(self._packages.read, key)

    async def directory(self, key: str) -> Path:
        return await asyncio.to_thread(self._packages.directory, key)
