"""An event as patterns see it: its leaves by path, each with its place in the arrays around it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Places = Mapping[str, int]
"""For each array on the way to a leaf, by path: which of its elements."""
Event = Mapping[str, list[tuple[Any, Places]]]


def flatten(event: Any) -> Event:
    leaves: dict[str, list[tuple[Any, Places]]] = {}
    _walk(event, "", {}, leaves)
    return leaves


def _walk(value: Any, path: str, places: Places, leaves: dict[str, list[tuple[Any, Places]]]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _walk(inner, f"{path}.{key}" if path else key, places, leaves)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            # Elements of one array that are no objects are all of one place: a pattern may match any of them.
            nested = {**places, path: index} if isinstance(inner, dict | list) else places
            _walk(inner, path, nested, leaves)
    else:
        leaf = Decimal(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else value
        leaves.setdefault(path, []).append((leaf, places))
