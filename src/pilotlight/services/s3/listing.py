"""Pages of keys with prefix and delimiter. Whole common prefixes are skipped, so that a page costs what it
shows and not what the bucket holds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pilotlight.services.s3 import errors

PAGE_MAX = 1000
SKIP_BATCH_MIN = 2
_SURROGATES = range(0xD800, 0xE000)


class Keyed(Protocol):
    @property
    def key(self) -> str: ...


T = TypeVar("T", bound=Keyed)
T_co = TypeVar("T_co", bound=Keyed, covariant=True)


class Fetch(Protocol[T_co]):
    """Rows in the order of their keys; of a key that is begun, all rows (or more than a page of them)."""

    def __call__(self, *, after: str, inclusive: bool, before: str | None, limit: int) -> Sequence[T_co]: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    prefixes: list[str]
    truncated: bool
    last: str
    """The last key or common prefix of the page: where the next one goes on."""


def successor(prefix: str) -> str | None:
    """The least text that is greater than everything which starts with `prefix`; None where there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        prefix = prefix[:-1]
        if code in _SURROGATES:
            code = _SURROGATES.stop
        if code <= 0x10FFFF:
            return prefix + chr(code)
    return None


def rolled_up(key: str, prefix: str, delimiter: str) -> str:
    """The common prefix that stands for this key, or nothing."""
    if not delimiter:
        return ""
    position = key.find(delimiter, len(prefix))
    return key[: position + len(delimiter)] if position >= 0 else ""


def list_page(
    fetch: Fetch[T], *, prefix: str, delimiter: str, after: str, limit: int, first: Sequence[T] = ()
) -> Page[T]:
    """`first` are rows that come before those that `fetch` finds after the key `after`."""
    page: Page[T] = Page([], [], False, "")
    if limit <= 0:
        return page
    builder: _Builder[T] = _Builder(prefix=prefix, delimiter=delimiter, limit=limit)
    builder.take(first)
    cursor, inclusive = (prefix, True) if after < prefix else (after, False)
    before = successor(prefix)
    passed = rolled_up(after, prefix, delimiter) if after.startswith(prefix) and not first else ""
    if passed:
        # AWS: a marker inside a common prefix (or the prefix itself, as NextMarker has it) has passed all of it.
        cursor, inclusive = successor(passed) or "", True
        if not cursor:
            return builder.page()
    batch = min(limit + 1, PAGE_MAX + 1)
    while not builder.full:
        rows = fetch(after=cursor, inclusive=inclusive, before=before, limit=batch)
        builder.take(rows)
        if builder.skipping:
            following = successor(builder.skipping)
            if following is None:
                break
            cursor, inclusive, batch = following, True, SKIP_BATCH_MIN
        elif len(rows) < batch:
            break
        else:
            cursor, inclusive, batch = rows[-1].key, False, min(batch * 2, PAGE_MAX + 1)
    return builder.page()


class _Builder(Generic[T]):
    def __init__(self, *, prefix: str, delimiter: str, limit: int) -> None:
        self._prefix = prefix
        self._delimiter = delimiter
        self._limit = limit
        self._items: list[T] = []
        self._prefixes: list[str] = []
        self._last = ""
        self.full = False
        self.skipping = ""
        """The common prefix inside which the last batch was left."""

    def take(self, rows: Sequence[T]) -> None:
        self.skipping = ""
        for row in rows:
            rolled = rolled_up(row.key, self._prefix, self._delimiter)
            if rolled and self._prefixes and rolled == self._prefixes[-1]:
                self.skipping = rolled
                return
            if len(self._items) + len(self._prefixes) == self._limit:
                self.full = True
                return
            if rolled:
                self._prefixes.append(rolled)
            else:
                self._items.append(row)
            self._last = rolled or row.key

    def page(self) -> Page[T]:
        return Page(self._items, self._prefixes, self.full, self._last if self.full else "")


def page_size(given: int | None, name: str = "max-keys") -> int:
    if given is None:
        return PAGE_MAX
    if not 0 <= given < 2**31:
        message = "Argument maxKeys must be an integer between 0 and 2147483647"
        raise errors.invalid_argument(message, name, given)
    return min(given, PAGE_MAX)


def token_of(last: str) -> str:
    """An opaque continuation token."""
    return base64.urlsafe_b64encode(b"\x01" + last.encode()).decode()


def read_token(token: str) -> str:
    try:
        data = base64.urlsafe_b64decode(token)
        if data[:1] == b"\x01":
            return data[1:].decode()
    except (binascii.Error, ValueError):
        pass
    raise errors.invalid_argument("The continuation token provided is incorrect", "continuation-token", token)


def completing(fetch: Callable[..., Sequence[T]], rest_of: Callable[[T], Sequence[T]]) -> Fetch[T]:
    """A `Fetch` from one that may cut the last key's rows short."""

    def whole(*, after: str, inclusive: bool, before: str | None, limit: int) -> Sequence[T]:
        rows = list(fetch(after=after, inclusive=inclusive, before=before, limit=limit))
        return [*rows, *rest_of(rows[-1])] if len(rows) == limit else rows

    return whole
