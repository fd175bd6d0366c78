"""Projection expressions: the parts of an item that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.expressions.binding import Binding, Fault, Path, overlap
from pilotlight.services.dynamodb.values import AttributeValue, Item

_Wanted = dict[tree.Part, Any]
"""A tree of steps; a leaf is None and means all that is there."""


def bind_projection(projection: tree.Projection, binding: Binding, kind: str = "ProjectionExpression") -> list[Path]:
    """Raises AwsError."""
    try:
        paths = [binding.path(path) for path in projection]
        fault = overlap(paths)
        if fault is not None:
            raise fault
    except Fault as fault:
        raise fault.answer(kind) from None
    return paths


def project(item: Item, paths: Sequence[Path]) -> Item:
    """AWS: maps keep their place, and elements of lists move together, in the list's order."""
    if all(len(path) == 1 for path in paths):
        return {name: item[name] for name in (str(path[0]) for path in paths) if name in item}
    wanted: _Wanted = {}
    for path in paths:
        level = wanted
        for part in path[:-1]:
            level = level.setdefault(part, {})
        level[path[-1]] = None
    return _members(item, wanted)


def _members(members: dict[str, AttributeValue], wanted: _Wanted) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {}
    for name, below in wanted.items():
        value = members.get(name) if isinstance(name, str) else None
        kept = _part(value, below) if value is not None else None
        if kept is not None:
            found[str(name)] = kept
    return found


def _part(value: AttributeValue, wanted: _Wanted | None) -> AttributeValue | None:
    """The wanted parts of a value, or None where it has none of them."""
    if wanted is None:
        return value
    if "M" in value:
        members = _members(value["M"], wanted)
        return {"M": members} if members else None
    if "L" in value:
        elements: list[AttributeValue] = []
        for index in sorted(part for part in wanted if isinstance(part, int)):
            kept = _part(value["L"][index], wanted[index]) if index < len(value["L"]) else None
            if kept is not None:
                elements.append(kept)
        return {"L": elements} if elements else None
    return None
