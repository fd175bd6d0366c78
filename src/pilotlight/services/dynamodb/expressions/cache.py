"""Parsed expressions, kept by their text: programs send the same few again and again."""

from __future__ import annotations

from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.parser import parse_condition, parse_projection, parse_update

EXPRESSIONS_CACHED_MAX = 2000


class ParseCache:
    """Forgets the oldest first. Trees are immutable, so any thread may use them."""

    def __init__(self, size: int = EXPRESSIONS_CACHED_MAX) -> None:
        self._size = size
        self._conditions: dict[tuple[str, str], tree.Condition] = {}
        self._updates: dict[str, tree.Update] = {}
        self._projections: dict[str, tree.Projection] = {}

    def condition(self, text: str, kind: str) -> tree.Condition:
        found = self._conditions.get((text, kind))
        if found is None:
            found = parse_condition(text, kind)
            _make_room(self._conditions, self._size)
            self._conditions[text, kind] = found
        return found

    def update(self, text: str) -> tree.Update:
        found = self._updates.get(text)
        if found is None:
            found = parse_update(text)
            _make_room(self._updates, self._size)
            self._updates[text] = found
        return found

    def projection(self, text: str) -> tree.Projection:
        found = self._projections.get(text)
        if found is None:
            found = parse_projection(text)
            _make_room(self._projections, self._size)
            self._projections[text] = found
        return found


def _make_room(kept: dict, size: int) -> None:  # type: ignore[type-arg]
    while len(kept) >= size:
        kept.pop(next(iter(kept)), None)
