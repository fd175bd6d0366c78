"""Stacks whose process is killed, replaced by a newer operation, or surprised: with resources that the test plays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pilotlight.clock import Clock
from pilotlight.deploy.executor import Deployer
from pilotlight.deploy.resources.base import Context, Made, Properties
from pilotlight.errors import AwsError
from pilotlight.identity.caller import Caller
from pilotlight.ids import Ids
from pilotlight.services.cloudformation import store
from pilotlight.services.cloudformation.requests import keep_caller
from pilotlight.services.cloudformation.store import Operation, Stack
from pilotlight.storage.migrations import schema_files
from pilotlight.storage.sqlite import SqliteDatabase

CALLER = keep_caller(
    Caller(account="000000000000", region="us-east-1", kind="administrator", arn="arn:aws:iam::000000000000:root"), ""
)


class Killed(BaseException):
    """The process is gone."""


class Things:
    """A resource type over a set of names, which others may use, too."""

    type = "Test::Thing::One"
    properties = frozenset({"Name", "Size"})
    replaced_by = frozenset({"Name"})

    def __init__(self) -> None:
        self.there: dict[str, Any] = {}
        self.die_before: str = ""
        self.die_after: str = ""
        self.surprise: Exception | None = None
        self.slow: asyncio.Event | None = None
        self.begun: list[str] = []

    async def find(self, at: Context, properties: Properties) -> str:
        return properties["Name"] if properties["Name"] in self.there else ""

    async def create(self, at: Context, properties: Properties) -> Made:
        name = properties["Name"]
        self.begun.append(name)
        if self.surprise is not None:
            raise self.surprise
        if self.die_before == name:
            raise Killed
        if self.slow is not None:
            await self.slow.wait()
        if name in self.there and not at.again:
            raise AwsError("AlreadyExists", name)
        self.there[name] = properties.get("Size", 0)
        if self.die_after == name:
            raise Killed
        await at.made(name)
        if properties.get("Size") == -1:
            raise AwsError("Invalid", "too small")
        return Made(name)

    async def update(self, at: Context, made: Made, old: Properties, new: Properties) -> Made:
        if old.get("Size") != new.get("Size"):
            self.there[made.physical_id] = new["Size"]
        if new.get("Size") == -1:
            raise AwsError("Invalid", "too small")
        return made

    async def delete(self, at: Context, physical_id: str, properties: Properties) -> None:
        self.there.pop(physical_id, None)


class World:
    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.things = Things()
        self.clock = Clock()
        self.deployer = self.restarted()

    def restarted(self) -> Deployer:
        types = {self.things.type: self.things}
        self.deployer = Deployer(self.database, None, self.clock, Ids(), types)  # type: ignore[arg-type]
        return self.deployer

    async def ask(self, kind: str, status: str, resources: dict[str, Any], **body: Any) -> None:
        template = json.dumps(
            {"Resources": {name: {"Type": self.things.type, "Properties": one} for name, one in resources.items()}}
        )
        stack = await self.stack()
        shown: dict[str, Any] = {"template": template, "parameters": {}, "shown_parameters": [], "tags": []}
        if stack is None:
            kept = {**shown, "outputs": [], "caller": CALLER, "role": "", "on_failure": "ROLLBACK", "reason": ""}
            stack = Stack("id", "000000000000", "us-east-1", "s", 1, status, 0, kept)
        operation = Operation("id", kind, {**shown, "rollback": True, "retain": [], **body}, self.clock.now_ms())
        await self.database.write(store.save_stack, replace(stack, status=status))
        await self.database.write(store.accept, operation)
        self.deployer.wake()

    async def stack(self) -> Stack | None:
        return await self.database.read(store.stack_by_id, "id")

    async def status(self) -> str:
        stack = await self.stack()
        assert stack is not None
        return stack.status

    async def die(self) -> None:
        with pytest.raises(BaseExceptionGroup):
            await self.deployer.work()
        self.things.die_before = self.things.die_after = ""
        self.restarted()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = SqliteDatabase(
        tmp_path / "core.db", schema_files(["pilotlight.storage", "pilotlight.services.cloudformation"])
    )
    yield World(database)
    database.close()


@pytest.mark.parametrize("moment", ["die_before", "die_after"])
async def test_a_killed_creation_is_carried_on(world: World, moment: str) -> None:
    setattr(world.things, moment, "a")
    await world.ask("create", "CREATE_IN_PROGRESS", {"A": {"Name": "a"}, "B": {"Name": "b"}})
    await world.die()
    await world.deployer.work()
    assert await world.status() == "CREATE_COMPLETE"
    assert set(world.things.there) == {"a", "b"}


@pytest.mark.parametrize("moment", ["die_before", "die_after"])
async def test_what_was_being_made_at_the_kill_is_deleted_with_the_stack(world: World, moment: str) -> None:
    setattr(world.things, moment, "a")
    await world.ask("create", "CREATE_IN_PROGRESS", {"A": {"Name": "a"}})
    await world.die()
    await world.ask("delete", "DELETE_IN_PROGRESS", {"A": {"Name": "a"}})
    await world.deployer.work()
    assert await world.status() == "DELETE_COMPLETE"
    assert world.things.there == {}


async def test_a_name_that_is_taken_is_left_alone_through_a_kill(world: World) -> None:
    world.things.there["theirs"] = "precious"
    world.things.die_before = "mine"
    await world.ask("create", "CREATE_IN_PROGRESS", {"A": {"Name": "mine"}, "B": {"Name": "theirs"}})
    await world.die()
    await world.deployer.work()
    assert await world.status() == "ROLLBACK_COMPLETE"
    assert world.things.there == {"theirs": "precious"}


async def test_a_replacement_goes_back_to_the_first_one(world: World) -> None:
    await world.ask("create", "CREATE_IN_PROGRESS", {"A": {"Name": "first"}})
    await world.deployer.work()
    world.things.there["first"] = "precious"
    await world.ask("update", "UPDATE_IN_PROGRESS", {"A": {"Name": "second"}, "B": {"Name": "b", "Size": -1}})
    await world.deployer.work()
    assert await world.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert world.things.there == {"first": "precious"}


async def test_a_change_that_failed_in_the_middle_is_taken_back(world: World) -> None:
    await world.ask("create", "CREATE_IN_PROGRESS", {"A": {"Name": "a", "Size": 1}})
    await world.deployer.work()
    await world.ask("update", "UPDATE_IN_PROGRESS", {"A": {"Name": "a", "Size": -1}})
    await world.deployer.work()
    assert await world.status() == "UPDATE_ROLLBACK_COMPLETE"
    assert world.things.there == {"a": 1}


async def test_a_surprise_fails_the_resource_and_not_the_node(world: World) -> None:
    world.things.surprise = AttributeError("a bug")
    await world.ask("create", "CREATE_IN_PROGRESS", {"A": {"Name": "a"}})
    await world.deployer.work()
    assert await world.status() == "ROLLBACK_COMPLETE"
    assert await world.database.read(store.operation_of, "id") is None


async def test_a_deletion_makes_a_creation_stop(world: World) -> None:
    world.things.slow = asyncio.Event()
    await world.ask("create", "CREATE_IN_PROGRESS", {"A": {"Name": "a"}})
    async with asyncio.TaskGroup() as group:
        work = group.create_task(world.deployer.work())
        while not world.things.begun:
            await asyncio.sleep(0)
        await world.ask("delete", "DELETE_IN_PROGRESS", {"A": {"Name": "a"}})
        for _ in range(100):
            await asyncio.sleep(0)
        world.things.slow.set()
        await work
    assert await world.status() == "DELETE_COMPLETE"
    assert world.things.there == {}
    assert await world.database.read(store.operation_of, "id") is None
