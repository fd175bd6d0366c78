"""After how long a failed delivery is tried again. Pure.

AWS: "Amazon SNS message delivery retries": 100,015 tries over 23 days for queues and functions, 50 over six hours for
mail and text messages, and for http what the delivery policy says, else three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Phases:
    no_delay: int
    min_delay: int
    backoff: int
    max_delay: int
    least_seconds: float
    most_seconds: float
    function: str


MANAGED = Phases(3, 2, 10, 100_000, 1, 20, "exponential")


def phases(protocol: str, policy: Mapping[str, Any]) -> Phases:
    if protocol not in ("http", "https"):
        return MANAGED
    none, least, most = (int(policy.get(f"num{name}Retries", 0)) for name in ("NoDelay", "MinDelay", "MaxDelay"))
    backoff = max(0, int(policy["numRetries"]) - none - least - most)
    return Phases(
        none, least, backoff, most, policy["minDelayTarget"], policy["maxDelayTarget"], policy["backoffFunction"]
    )


def wait_seconds(failures: int, plan: Phases) -> float | None:
    """How long to wait after the failure of this number, from 1; None where it is given up."""
    index = failures - 1
    if index < plan.no_delay:
        return 0
    index -= plan.no_delay
    if index < plan.min_delay:
        return plan.least_seconds
    index -= plan.min_delay
    if index < plan.backoff:
        return _between(plan, (index + 1) / plan.backoff)
    return plan.most_seconds if index - plan.backoff < plan.max_delay else None


def _between(plan: Phases, share: float) -> float:
    span = plan.most_seconds - plan.least_seconds
    if plan.function in ("linear",):
        return plan.least_seconds + span * share
    if plan.function == "arithmetic":
        return plan.least_seconds + span * share**2
    ratio: float = plan.most_seconds / plan.least_seconds
    return float(plan.least_seconds * ratio**share)
