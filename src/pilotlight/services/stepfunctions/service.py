"""Step Functions, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pilotlight.clock import Clock
from pilotlight.ids import Ids
from pilotlight.services.contract import Cloud, Service
from pilotlight.services.stepfunctions.executions import Executions
from pilotlight.services.stepfunctions.guard import StatesGuard
from pilotlight.services.stepfunctions.integrations import Integrations
from pilotlight.services.stepfunctions.machines import StateMachines
from pilotlight.services.stepfunctions.runner import Runner
from pilotlight.storage import Database


@dataclass(frozen=True, slots=True)
class Parts:
    service: Service
    runner: Runner


def make_parts(
    database: Database, cloud: Cloud, clock: Clock, ids: Ids, group: asyncio.TaskGroup, wake: Callable[[], None]
) -> Parts:
    """`wake` tells the runner's reconciler that an execution waits for a moment."""
    runner = Runner(database, clock, ids, Integrations(cloud), group, wake)
    nouns = [StateMachines(database, clock, ids), Executions(database, clock, ids, runner)]
    return Parts(Service(name="stepfunctions", nouns=nouns, guard=StatesGuard()), runner)
