"""What expressions are parsed into. Names (`#n`) and values (`:v`) are placeholders still."""

from __future__ import annotations

from dataclasses import dataclass

Part = str | int
"""A step of a document path: an attribute's name, an alias that begins with `#`, or a list's index."""


@dataclass(frozen=True, slots=True)
class Path:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Value:
    name: str
    """With its colon."""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    operator: str
    """`+` or `-`."""
    left: Operand
    right: Operand


Operand = Path | Value | Call | Arithmetic


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    operand: Operand
    choices: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class And:
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Or:
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Not:
    inner: Condition


Condition = Comparison | Between | In | Call | And | Or | Not
"""A `Call` is a condition where its function answers yes or no."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action of an update expression."""

    section: str
    """`SET`, `REMOVE`, `ADD` or `DELETE`."""
    path: Path
    operand: Operand | None = None


Update = tuple[Action, ...]
Projection = tuple[Path, ...]
