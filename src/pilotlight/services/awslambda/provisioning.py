"""Brings the engine in line with the rows of provisioned concurrency: after a start, a change, a moved alias."""

from __future__ import annotations

from pilotlight.engine.contract import FunctionVersion
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.names import Reference
from pilotlight.services.awslambda.resolver import engine_version, find_qualified, provisioned_key
from pilotlight.services.awslambda.store import Part, Version
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.storage import Transaction


def _wanted(tx: Transaction) -> list[tuple[Part, Version]]:
    wanted = []
    for part in store.every_part(tx, "provisioned"):
        version = find_qualified(tx, Reference(part.function, part.id))
        if version is not None:
            wanted.append((part, version))
    return wanted


class Provisioning:
    """`work` is for a Reconciler. What it asked for before is remembered, so that the engine hears of changes only."""

    def __init__(self, parts: Surroundings) -> None:
        self._parts = parts
        self._asked: dict[str, tuple[str, int]] = {}
        self._versions: dict[str, FunctionVersion] = {}

    async def work(self) -> int | None:
        rows = await self._parts.database.scan(_wanted)
        wanted: dict[str, tuple[str, int]] = {}
        for part, version in rows:
            key = provisioned_key(part.function, part.id)
            engine = await engine_version(self._parts.packages, self._parts.images, version)
            wanted[key] = (engine.key, int(part.body["count"]))
            if self._asked.get(key) != wanted[key]:
                await self._parts.invoker.provision(key, engine, wanted[key][1])
                self._asked[key] = wanted[key]
                self._versions[key] = engine
        for key in [key for key in self._asked if key not in wanted]:
            await self._parts.invoker.provision(key, self._versions.pop(key), 0)
            del self._asked[key]
        return None
