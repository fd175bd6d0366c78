"""One page of a query or scan: rows are read, counted, filtered and cut to what is asked for.

A short page is read where its request is handled; what takes longer goes on in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pilotlight.services.dynamodb import values
from pilotlight.services.dynamodb.expressions.conditions import Predicate
from pilotlight.services.dynamodb.store_ranges import Position, Range, read_range
from pilotlight.services.dynamodb.values import Item
from pilotlight.storage import Database, Transaction

PAGE_BYTES_MAX = 1024 * 1024
ROWS_FIRST = 16
ROWS_MAX = 1000
ROWS_MARGIN = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What to read, and what to make of it."""

    range: Range
    after: Position | None = None
    limit: int | None = None
    predicate: Predicate | None = None
    shape: Callable[[Item], Item] | None = None
    """From an item to what is answered; None for whole items."""
    counting: bool = False


@dataclass(slots=True)
class Page:
    items: list[Item] = field(default_factory=list)
    count: int = 0
    scanned: int = 0
    size: int = 0
    position: Position | None = None
    last: Item | None = None
    """The last item that was read, where there may be more behind it."""
    done: bool = False


async def read_page(database: Database, reading: Reading) -> Page:
    page = Page(position=reading.after)
    step = await database.read(_advance, reading, page, ROWS_FIRST)
    while True:
        page = step
        if page.done:
            return page
        step = await database.scan(_advance, reading, page, _rows_likely(page))


def _rows_likely(page: Page) -> int:
    """How many rows will fill the page, going by those that were read."""
    average = max(1.0, page.size / max(1, page.scanned))
    return int(max(ROWS_FIRST, min(ROWS_MAX, (PAGE_BYTES_MAX - page.size) / average * ROWS_MARGIN)))


def _advance(tx: Transaction, reading: Reading, before: Page, rows_max: int) -> Page:
    """The page with some more rows; the given one stays as it is."""
    page = Page(list(before.items), before.count, before.scanned, before.size, before.position)
    wanted = rows_max if reading.limit is None else min(rows_max, reading.limit - page.scanned)
    rows = read_range(tx, reading.range, page.position, wanted)
    index, table = reading.range.index, reading.range.table
    item: Item | None = None
    for row in rows:
        loaded = values.load(row.body)
        size = row.size if index is None else values.item_size(index.projected(loaded, table))
        if page.scanned and page.size + size > PAGE_BYTES_MAX:
            page.done, page.last = True, item or before.last
            return page
        item = loaded
        page.size += size
        page.scanned += 1
        page.position = row.position
        if reading.predicate is None or reading.predicate(item):
            page.count += 1
            if not reading.counting:
                page.items.append(item if reading.shape is None else reading.shape(item))
    if reading.limit is not None and page.scanned >= reading.limit:
        # AWS: a page that ends at its limit names a key to go on from, also where nothing follows.
        page.done, page.last = True, item or before.last
    elif len(rows) < wanted:
        page.done = True
    else:
        page.last = item
    return page
