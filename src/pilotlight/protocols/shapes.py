"""The shapes of a service's model, without its prose: what the codecs are compiled from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a structure, or the element of a list or map: a shape, and how it is written here."""

    shape: Shape
    traits: Mapping[str, Any]

    def trait(self, name: str) -> Any:
        """A trait of the reference wins over the same trait of the shape."""
        return self.traits.get(name, self.shape.traits.get(name))

    @property
    def wire_name(self) -> str:
        return str(self.traits.get("locationName", ""))

    @property
    def location(self) -> str:
        """Where it travels at the top of a REST message: `uri`, `querystring`, `header`, `headers`, `statusCode`."""
        return str(self.trait("location") or "")


@dataclass(slots=True, eq=False)
class Shape:
    """One shape. References are resolved on first use, since shapes may hold themselves."""

    name: str
    traits: Mapping[str, Any]
    _all: Shapes = field(repr=False)
    _members: dict[str, Member] | None = None

    @property
    def type(self) -> str:
        return str(self.traits["type"])

    @property
    def members(self) -> Mapping[str, Member]:
        if self._members is None:
            given = self.traits.get("members", {})
            self._members = {name: self._all.member(reference) for name, reference in given.items()}
        return self._members

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.traits.get("required", ()))

    @property
    def element(self) -> Member:
        return self._all.member(self.traits["member"])

    @property
    def key(self) -> Member:
        return self._all.member(self.traits["key"])

    @property
    def value(self) -> Member:
        return self._all.member(self.traits["value"])


class Shapes:
    """All shapes of a model, by name."""

    def __init__(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        self._given = given
        self._made: dict[str, Shape] = {}

    def get(self, name: str) -> Shape:
        shape = self._made.get(name)
        if shape is None:
            shape = self._made[name] = Shape(name, self._given[name], self)
        return shape

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def names(self) -> list[str]:
        return list(self._given)

    def member(self, reference: Mapping[str, Any]) -> Member:
        return Member(self.get(reference["shape"]), reference)

    def top(self, reference: Mapping[str, Any] | None) -> Shape | None:
        """An operation's input or output, with what its reference adds, such as the root element's name."""
        if reference is None:
            return None
        shape = self.get(reference["shape"])
        more = {key: value for key, value in reference.items() if key not in ("shape", "resultWrapper")}
        return Shape(shape.name, {**shape.traits, **more}, self) if more else shape
