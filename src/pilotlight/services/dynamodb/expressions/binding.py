"""A request's names and values: put in the place of placeholders, and struck off as they are used.

What DynamoDB checks of operands before it looks at any item is checked here: that placeholders are defined,
functions have their number of operands, and literal operands have types that can be right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotlight.errors import AwsError
from pilotlight.services.dynamodb.errors import invalid
from pilotlight.services.dynamodb.expressions import tree
from pilotlight.services.dynamodb.values import AttributeValue, Item

Path = tuple[tree.Part, ...]
"""A document path without aliases."""
Getter = Callable[[Item], AttributeValue | None]

# In a condition, DynamoDB tells the first fault of a kind that stands earlier here.
UNDEFINED, OPERAND_COUNT, NOT_DISTINCT, OPERAND_TYPE = range(4)


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand whose placeholders are gone."""

    get: Getter
    path: Path | None = None
    literal: AttributeValue | None = None
    call: str = ""
    """The function that gives the value, or nothing."""

    @property
    def type(self) -> str | None:
        """Of a literal."""
        return next(iter(self.literal)) if self.literal is not None else None


@dataclass(slots=True)
class Binding:
    """The names and values of one request, over all of its expressions."""

    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, AttributeValue] = field(default_factory=dict)
    used_names: set[str] = field(default_factory=set)
    used_values: set[str] = field(default_factory=set)
    paths: list[Path] = field(default_factory=list)
    """Every path that was bound since the list was last emptied."""

    def path(self, path: tree.Path) -> Path:
        """Raises Fault."""
        parts: list[tree.Part] = []
        for part in path.parts:
            if isinstance(part, str) and part[0] == "#":
                name = self.names.get(part)
                if name is None:
                    raise Fault(
                        UNDEFINED,
                        "An expression attribute name used in the document path is not defined; "
                        f"attribute name: {part}",
                    )
                self.used_names.add(part)
                parts.append(name)
            else:
                parts.append(part)
        bound = tuple(parts)
        self.paths.append(bound)
        return bound

    def value(self, value: tree.Value) -> AttributeValue:
        """Raises Fault."""
        found = self.values.get(value.name)
        if found is None:
            raise Fault(
                UNDEFINED,
                f"An expression attribute value used in expression is not defined; attribute value: {value.name}",
            )
        self.used_values.add(value.name)
        return found

    def check_all_used(self) -> None:
        """AWS: what is defined and in no expression is refused; names first."""
        for kind, given, used in (
            ("Names", self.names, self.used_names),
            ("Values", self.values, self.used_values),
        ):
            unused = [key for key in given if key not in used]
            if unused:
                raise invalid(
                    f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{', '.join(unused)}}}"
                )


class Fault(Exception):
    """Something wrong with an operand, by its kind; not yet an answer."""

    def __init__(self, rank: int, message: str) -> None:
        super().__init__(message)
        self.rank = rank
        self.message = message

    def answer(self, kind: str) -> AwsError:
        return invalid(f"Invalid {kind}: {self.message}")


def first_fault(faults: Sequence[Fault]) -> Fault | None:
    return min(faults, key=lambda fault: fault.rank) if faults else None


def shown_path(path: Path) -> str:
    return "[" + ", ".join(f"[{part}]" if isinstance(part, int) else part for part in path) + "]"


def shown_value(value: Mapping[str, Any]) -> str:
    kind, content = next(iter(value.items()))
    return f"AttributeValue: {{{kind}:{content}}}"


def getter(path: Path) -> Getter:
    if len(path) == 1:
        name = str(path[0])
        return lambda item: item.get(name)
    return lambda item: lookup(item, path)


def lookup(item: Item, path: Path) -> AttributeValue | None:
    """What stands at the path, or None."""
    found = item.get(str(path[0]))
    for part in path[1:]:
        if found is None:
            return None
        if isinstance(part, int):
            elements = found.get("L")
            found = elements[part] if elements is not None and part < len(elements) else None
        else:
            members = found.get("M")
            found = members.get(part) if members is not None else None
    return found


def overlap(paths: Sequence[Path]) -> Fault | None:
    """AWS: two paths of an update or projection must neither be one another's beginning, nor differ in kind."""
    conflict: Fault | None = None
    for later, second in enumerate(paths):
        for first in paths[:later]:
            relation = _relation(first, second)
            if relation:
                fault = Fault(
                    UNDEFINED,
                    f"Two document paths {relation} with each other; must remove or rewrite one of these paths; "
                    f"path one: {shown_path(first)}, path two: {shown_path(second)}",
                )
                if relation == "overlap":
                    return fault
                conflict = conflict or fault
    return conflict


def _relation(first: Path, second: Path) -> str:
    for mine, other in zip(first, second, strict=False):
        if isinstance(mine, int) != isinstance(other, int):
            return "conflict"
        if mine != other:
            return ""
    return "overlap"
