"""What was read, kept until anything is committed: short keyed reads that every request would do again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from pilotlight.storage.database import Database

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Where nobody knows of all commits (`Database.generation` is None), nothing is kept."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._generation: int | None = None
        self._values: dict[K, V] = {}

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """As it was read since the last commit, or read now."""
        generation = self._database.generation
        if generation is None:
            return await read()
        if generation != self._generation or len(self._values) >= self._limit:
            self._values.clear()
            self._generation = generation
        elif key in self._values:
            return self._values[key]
        value = await read()
        if generation == self._generation:  # else another has begun anew meanwhile
            self._values[key] = value
        return value
