"""The seam between stores and engines: what a store may ask of a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

Row = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")


class Transaction(Protocol):
    """One transaction, on either engine. Statements name their parameters `:like_this`.

    Write SQL that both engines understand: types `text`, `bigint`, `double precision`, `bytea`;
    `insert … on conflict … do update`, `returning`. Text sorts by its UTF-8 bytes on both.
    """

    skip_locked: str
    """`for update skip locked` where rows are claimed by several at once; nothing on SQLite."""

    def all(self, sql: str, /, **parameters: object) -> list[dict[str, Any]]: ...

    def one(self, sql: str, /, **parameters: object) -> dict[str, Any] | None:
        """The first row, or None."""
        ...

    def run(self, sql: str, /, **parameters: object) -> int:
        """Execute; the number of rows that were changed."""
        ...

    def tables(self) -> list[str]:
        """The names of all tables."""
        ...

    def many(self, sql: str, rows: Iterable[Mapping[str, object]], /) -> None:
        """Execute once for each mapping of parameters."""
        ...


class Database(Protocol):
    """Runs plain functions over transactions. A function may be run again after a conflict or a crash
    of the batch it was in: it must not have effects but through `tx`, and gets ids and times as arguments."""

    @property
    def generation(self) -> int | None:
        """Another number after each commit: what was read at this one is what would be read again. None where
        others write to the same database, and nobody can tell."""
        ...

    async def read(self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A short, keyed read of what is committed. On SQLite it runs on the event loop's own thread."""
        ...

    async def scan(self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A read that may take longer than a millisecond; it runs in a thread."""
        ...

    async def write(
        self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A serialisable transaction. Returns after the commit is durable; an exception rolls it back."""
        ...

    async def claim(
        self, function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A writing transaction that picks work with `skip_locked`: READ COMMITTED on PostgreSQL."""
        ...
