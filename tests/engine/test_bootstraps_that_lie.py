"""Whatever a bootstrap says, it harms its own instance only: a conversation with one that a test plays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pilotlight.engine import frames
from pilotlight.engine.agent import Agent
from pilotlight.engine.contract import FunctionVersion, Invocation, Outcome
from pilotlight.engine.sandbox.contract import Sandbox, SandboxSpec
from pilotlight.engine.sandbox.plain import PlainFactory
from pilotlight.engine.wires import Wires, make_wires
from pilotlight.ids import Ids
from tests.engine.world import KeptLogs, MovedClock, NoEndpoint, credentials

START_SIZE = frames.HEAD.size


class Played:
    """A process and a runtime: `play` is what the bootstrap does with its socket."""

    baseline_mb = 0

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []
        self.code: int | None = 0

    def of(self, runtime: str) -> Played:
        return self

    def warning(self, runtime: str) -> str:
        return ""

    def spec(self, version: FunctionVersion) -> SandboxSpec:
        return SandboxSpec(code=version.code)

    def describe(self, version: FunctionVersion) -> tuple[str, str]:
        return "played", "0" * 64

    def environment(self, version: FunctionVersion, sandbox: Sandbox) -> dict[str, str]:
        return {}

    def start_frame(self, *_: Any) -> dict[str, Any]:
        return {}

    def sort(self, version: FunctionVersion) -> None:
        return None

    async def fork_spare(self, sort: object, sandbox: Sandbox) -> None:
        return None

    async def start(
        self, version: FunctionVersion, sandbox: Sandbox, environment: dict[str, str]
    ) -> tuple[Wires, Played]:
        async with make_wires() as (wires, ends):
            theirs = socket.socket(fileno=os.dup(ends.channel))
        theirs.setblocking(False)
        self.ends.append(theirs)
        await self.say(frames.READY, b"")
        return wires, self

    async def wait(self) -> int | None:
        return self.code

    async def say(self, kind: int, body: bytes) -> None:
        await self.send(frames.HEAD.pack(len(body), kind) + body)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.ends[-1], data)

    async def heard(self, part: bytes) -> None:
        """Read until the platform has said this."""
        data = b""
        async with asyncio.timeout(5):
            while part not in data:
                chunk = await asyncio.get_running_loop().sock_recv(self.ends[-1], 65536)
                assert chunk, "the platform hung up"
                data += chunk

    def hang_up(self) -> None:
        self.ends.pop().close()


class Stage:
    def __init__(self, agent: Agent, played: Played, logs: KeptLogs, version: FunctionVersion) -> None:
        self.agent, self.played, self.logs, self.version = agent, played, logs, version
        self.group: asyncio.TaskGroup
        self._number = 0

    async def invoked(self) -> asyncio.Task[Outcome]:
        """An invocation that has reached the bootstrap."""
        self._number += 1
        request = f"request-{self._number}"
        invocation = Invocation(request_id=request, payload=b"{}", invoked_arn=self.version.arn)
        task = self.group.create_task(self.agent.invoke(self.version, invocation))
        while not self.played.ends:
            assert not task.done(), task
            await asyncio.sleep(0)
        await self.played.heard(request.encode())
        return task


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    played, logs, clock = Played(), KeptLogs(), MovedClock()
    factory = PlainFactory(tmp_path / "sandboxes", Ids())
    await factory.start()
    version = FunctionVersion(
        key="k",
        arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
        account="123456789012",
        region="eu-west-1",
        name="f",
        version="1",
        runtime="played",
        handler="app.handler",
        code=tmp_path,
        log_group="/aws/lambda/f",
    )
    async with asyncio.TaskGroup() as group:
        agent = Agent(
            factory=factory,
            runtimes=played,
            logs=logs,
            credentials=credentials,
            endpoints=NoEndpoint(),
            clock=clock,
            ids=Ids(),
            idle_seconds=300,
            group=group,
        )
        made = Stage(agent, played, logs, version)
        made.group = group
        yield made
        await agent.close()
    for end in played.ends:
        with contextlib.suppress(OSError):
            end.close()


async def test_an_answer(stage: Stage) -> None:
    task = await stage.invoked()
    await stage.played.say(frames.RESPONSE, b'"yes"')
    assert (await task).payload == b'"yes"'


async def test_the_second_of_two_answers_is_not_the_next_invocations(stage: Stage) -> None:
    task = await stage.invoked()
    await stage.played.say(frames.RESPONSE, b"1")
    await stage.played.say(frames.RESPONSE, b"2")
    assert (await task).payload == b"1"
    await asyncio.sleep(0.01)
    task = await stage.invoked()
    await stage.played.say(frames.RESPONSE, b"3")
    assert (await task).payload == b"3"


async def test_ready_twice_changes_nothing(stage: Stage) -> None:
    task = await stage.invoked()
    await stage.played.say(frames.READY, b"")
    await stage.played.say(frames.INIT_FAILED, b"{}")
    await stage.played.say(frames.RESPONSE, b"1")
    assert (await task).payload == b"1"


@pytest.mark.parametrize(
    "data",
    [
        frames.HEAD.pack(0xFFFFFFFF, frames.RESPONSE),
        frames.HEAD.pack(1, 0) + b"x",
        frames.HEAD.pack(1, frames.INVOKE) + b"x",
    ],
    ids=["length", "kind", "ours"],
)
async def test_nonsense_ends_the_instance(stage: Stage, data: bytes) -> None:
    task = await stage.invoked()
    await stage.played.send(data)
    outcome = await task
    assert json.loads(outcome.payload)["errorType"] == "Runtime.ExitError"
    stage.played.hang_up()
    task = await stage.invoked()
    await stage.played.say(frames.RESPONSE, b"1")
    assert (await task).payload == b"1"


async def test_hanging_up_in_the_middle_of_an_answer(stage: Stage) -> None:
    task = await stage.invoked()
    await stage.played.send(frames.HEAD.pack(100, frames.RESPONSE) + b"half")
    stage.played.hang_up()
    assert json.loads((await task).payload)["errorType"] == "Runtime.ExitError"


async def test_answering_and_hanging_up_is_an_answer_and_the_end(stage: Stage) -> None:
    task = await stage.invoked()
    await stage.played.say(frames.RESPONSE, b"1")
    stage.played.hang_up()
    assert (await task).payload == b"1"
    await asyncio.sleep(0.01)
    task = await stage.invoked()
    await stage.played.say(frames.RESPONSE, b"2")
    assert (await task).payload == b"2"


async def test_a_failure_need_not_be_json(stage: Stage) -> None:
    task = await stage.invoked()
    await stage.played.say(frames.FAILURE, b"\xff not json")
    outcome = await task
    assert (outcome.payload, outcome.function_error) == (b"\xff not json", "Unhandled")


async def test_log_lines_need_not_be_text(stage: Stage) -> None:
    task = await stage.invoked()
    await stage.played.say(frames.LOG, b"\xff\xfe\x00 bytes")
    await stage.played.say(frames.LOG, b"")
    await stage.played.say(frames.RESPONSE, b"1")
    await task
    assert any("bytes" in text for _, _, text in stage.logs.events)
