"""A month's use at list prices. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilotlight.cost.prices import FREE, PRICES


@dataclass(frozen=True, slots=True)
class Line:
    what: str
    quantity: float
    unit: str
    free: float
    """How much of it the free tier covers."""
    dollars: float


def lines(usage: Mapping[str, float]) -> list[Line]:
    """One for each meter that was used. An allowance is spent in the order of the price list."""
    left = dict(FREE)
    result = []
    for price in PRICES:
        quantity = usage.get(price.meter, 0.0)
        if quantity <= 0:
            continue
        covered = min(quantity, left.get(price.free, 0.0))
        if price.free:
            left[price.free] -= covered
        result.append(Line(price.what, quantity, price.unit, covered, (quantity - covered) * price.dollars))
    return result


def total(found: list[Line]) -> float:
    return sum(line.dollars for line in found)
