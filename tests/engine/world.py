"""An agent with real sandboxes and interpreters, and fakes for everything around it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pilotlight.clock import Clock
from pilotlight.engine.agent import Agent
from pilotlight.engine.contract import Credentials, FunctionVersion, InstanceIdentity, Invocation, Outcome
from pilotlight.engine.runtimes.languages import Languages
from pilotlight.engine.runtimes.node import NodeRuntime
from pilotlight.engine.runtimes.preparations import Preparations
from pilotlight.engine.runtimes.python import PythonRuntime, Road
from pilotlight.engine.runtimes.ruby import RubyRuntime
from pilotlight.engine.runtimes.wasm import WasmRuntime
from pilotlight.engine.sandbox.contract import SandboxFactory
from pilotlight.engine.sandbox.factory import NamespaceFactory
from pilotlight.engine.sandbox.plain import PlainFactory
from pilotlight.ids import Ids
from pilotlight.settings import Settings

ACCOUNT, REGION = "123456789012", "eu-west-1"
RUNTIME = "python3.12"
INIT_SECONDS = 0.4
IDLE_SECONDS = 300.0
Isolation = Literal["plain", "namespaces"]


class MovedClock(Clock):
    """A clock whose monotonic and wall time a test may move forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_seconds

    def wall_ms(self) -> int:
        return super().wall_ms() + int(self.ahead_seconds * 1000)


class KeptLogs:
    """A `LogSink` that a test reads."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def write(self, *, account: str, region: str, group: str, stream: str, lines: Sequence[tuple[int, str]]) -> None:
        self.events += [(group, stream, text) for _, text in lines]


class NoEndpoint:
    """An `EndpointServer` that nobody calls, which remembers who was announced."""

    def __init__(self) -> None:
        self.identities: list[Callable[[], InstanceIdentity | None]] = []
        self.open = 0

    async def serve(
        self, listener: socket.socket, identity: Callable[[], InstanceIdentity | None]
    ) -> Callable[[], Awaitable[None]]:
        self.identities.append(identity)
        self.open += 1
        return self._close

    async def _close(self) -> None:
        self.open -= 1


class World:
    """What the contract suite drives. Every version is new, unless it is made from another."""

    def __init__(self, directory: Path, road: Road | None, isolation: Isolation) -> None:
        self.agent: Agent
        self.prepared: dict[str, Preparations]
        self.runtime: PythonRuntime
        self.node: NodeRuntime
        self.ruby: RubyRuntime
        self.wasm: WasmRuntime
        self.road = road
        self.limits: list[str] = []
        self.isolation = isolation
        self.clock = MovedClock()
        self.logs = KeptLogs()
        self.endpoints = NoEndpoint()
        self._directory = directory
        self._numbers = itertools.count()
        self._requests = itertools.count(1)

    def folder(self, files: dict[str, str]) -> Path:
        folder = self._directory / f"package-{next(self._numbers)}"
        folder.mkdir()
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
            path.chmod(0o755)
        return folder

    def version(self, source: str = "", files: dict[str, str] | None = None, **changes: Any) -> FunctionVersion:
        """`source` is `app.py`; its handler is `handler`."""
        number = next(self._numbers)
        name = f"function-{number}"
        settings: dict[str, Any] = {
            "key": f"{name}:1",
            "arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
            "account": ACCOUNT,
            "region": REGION,
            "name": name,
            "version": "$LATEST",
            "runtime": RUNTIME,
            "handler": "app.handler",
            "code": self.folder({**({"app.py": source} if source else {}), **(files or {})}),
            "role_arn": f"arn:aws:iam::{ACCOUNT}:role/one",
            "log_group": f"/aws/lambda/{name}",
            "timeout_seconds": 10,
            "memory_mb": 256,
        }
        return FunctionVersion(**(settings | changes))

    async def invoke(self, version: FunctionVersion, event: Any = None, **changes: Any) -> Outcome:
        payload = changes.pop("payload", None)
        invocation = Invocation(
            request_id=f"00000000-0000-4000-8000-{next(self._requests):012}",
            payload=json.dumps(event).encode() if payload is None else payload,
            invoked_arn=version.arn,
        )
        return await self.agent.invoke(version, replace(invocation, **changes))

    async def answer(self, version: FunctionVersion, event: Any = None, **changes: Any) -> Any:
        """The handler's own answer, where it must not fail."""
        outcome = await self.invoke(version, event, **changes)
        assert not outcome.function_error, outcome.payload
        return json.loads(outcome.payload)

    async def failure(self, version: FunctionVersion, event: Any = None, **changes: Any) -> dict[str, Any]:
        outcome = await self.invoke(version, event, **changes)
        assert outcome.function_error == "Unhandled", outcome.payload
        body = json.loads(outcome.payload)
        assert isinstance(body, dict)
        return body

    def lines(self, version: FunctionVersion) -> list[str]:
        return [text for group, _, text in self.logs.events if group == version.log_group]

    def written(self, version: FunctionVersion) -> list[str]:
        """Lines of the function itself."""
        ours = ("INIT_START ", "START ", "END ", "REPORT ", "INIT_REPORT ", "RESTORE_START ", "RESTORE_REPORT ")
        told = [text for text in self.lines(version) if not text.startswith(ours) and '"type":"platform.' not in text]
        return [text for text in told if not (text.startswith("[PILOTLIGHT] ") and " is not on this host" in text)]

    async def quiet(self) -> None:
        """Every instance is done with what it has answered."""
        await self.settled(lambda: not self.agent.describe()["busy"])

    async def log_line(self, version: FunctionVersion, part: str) -> str:
        """The line with this in it, which may come a moment after the answer."""
        async with asyncio.timeout(5):
            while True:
                for text in self.lines(version):
                    if part in text:
                        return text
                await asyncio.sleep(0.002)

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Wait for what the agent does in the background."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    def later(self, seconds: float) -> None:
        """Time passes, and the agent looks after its instances."""
        self.clock.ahead_seconds += seconds
        self.agent.tend()


@contextlib.asynccontextmanager
async def world(
    directory: Path,
    isolation: Isolation,
    road: Road | None,
    *,
    init_seconds: float = INIT_SECONDS,
    prepared: bool = False,
) -> AsyncIterator[World]:
    directory.chmod(0o755)
    factory: SandboxFactory
    if isolation == "plain":
        factory = PlainFactory(directory / "sandboxes", Ids())
    else:
        factory = NamespaceFactory(directory / "sandboxes", Settings(), Ids(), pool_size=2)
    await factory.start()
    async with asyncio.TaskGroup() as group:
        made = World(directory, road, isolation)
        languages = Languages(
            directory,
            factory,
            group,
            endpoint="http://127.0.0.1:9",
            egress=False,
            strict=False,
            road=road,
            prepared=directory / "prepared" if prepared else None,
        )
        made.runtime, made.node, made.ruby = languages.python, languages.node, languages.ruby
        made.wasm, made.prepared = languages.wasm, languages.prepared
        made.limits = factory.describe()["limits"]
        made.agent = Agent(
            factory=factory,
            runtimes=languages.runtimes,
            logs=made.logs,
            credentials=credentials,
            endpoints=made.endpoints,
            clock=made.clock,
            ids=Ids(),
            idle_seconds=IDLE_SECONDS,
            init_seconds=init_seconds,
            group=group,
        )
        try:
            yield made
        finally:
            await made.agent.close()
            languages.close()
            await factory.close()


async def credentials(version: FunctionVersion) -> Credentials:
    return Credentials(
        access_key_id="ASIAONE", secret_access_key="secret", session_token="token", expires_ms=2_000_000_000_000
    )
