"""Memory sizes against each other: what `pilotlight tune` measures, and what it makes of it.

AWS gives CPU in proportion to memory, so more memory may be faster and, up to a point, no dearer.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.advice.copies import Original, Progress, Unsuitable, copied
from pilotlight.cost.prices import PRICES

SIZES = (128, 256, 512, 1024, 1769, 3008)
CHART_WIDTH = 40
BALANCE = 0.5
"""How much latency counts beside cost, for what is called balanced."""


@dataclass(frozen=True, slots=True)
class Point:
    """One memory size. Milliseconds; dollars for a million invocations, warm, without the free tier."""

    memory_mb: int
    p50: float
    p90: float
    billed: float
    init: float | None
    memory_used_mb: float
    dollars: float
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    cheapest: int
    fastest: int
    balanced: int


def measure(
    client: Any, logs: Any, original: Original, payload: bytes, sizes: Sequence[int], runs: int, progress: Progress
) -> list[Point]:
    """A cold and `runs` warm invocations at each size, of a copy."""
    architecture = original.configuration.get("Architectures", ["x86_64"])[0]
    points = []
    for size in sizes:
        progress(f"{size} MB")
        with copied(client, logs, original, "tune", MemorySize=size) as copy:
            cold = copy.invoke(payload)
            if cold.failed:
                points.append(Point(size, 0, 0, 0, cold.init, cold.memory_used, 0, failed=_first_line(cold.answer)))
                continue
            done = [copy.invoke(payload) for _ in range(runs)]
        failed = next((run for run in done if run.failed), None)
        durations = sorted(run.duration for run in done)
        billed = statistics.fmean(run.billed for run in done)
        points.append(
            Point(
                memory_mb=size,
                p50=statistics.median(durations),
                p90=durations[min(len(durations) - 1, int(len(durations) * 0.9))],
                billed=billed,
                init=cold.init,
                memory_used_mb=max(run.memory_used for run in done),
                dollars=dollars(size, billed, architecture),
                failed=_first_line(failed.answer) if failed else "",
            )
        )
    if all(point.failed for point in points):
        raise Unsuitable(f"it failed at every size: {points[-1].failed}")
    return points


def _first_line(answer: bytes) -> str:
    return answer.decode(errors="replace").split("\n")[0][:300]


def dollars(memory_mb: int, billed_ms: float, architecture: str) -> float:
    """For a million invocations at list prices."""
    price = {one.meter: one.dollars for one in PRICES}
    gigabyte_seconds = memory_mb / 1024 * billed_ms / 1000
    return 1_000_000 * (gigabyte_seconds * price[f"lambda-{architecture}"] + price["lambda-requests"])


def choose(points: Sequence[Point]) -> Choice:
    """Among those that worked; a tie goes to the smaller one."""
    good = [point for point in points if not point.failed]
    cheapest = min(good, key=lambda point: (point.dollars, point.memory_mb))
    fastest = min(good, key=lambda point: (point.p50, point.memory_mb))

    def balance(point: Point) -> tuple[float, int]:
        cost = point.dollars / cheapest.dollars
        time = point.p50 / fastest.p50 if fastest.p50 else 1.0
        return (1 - BALANCE) * cost + BALANCE * time, point.memory_mb

    return Choice(cheapest.memory_mb, fastest.memory_mb, min(good, key=balance).memory_mb)


def chart(points: Sequence[Point]) -> list[str]:
    """Cost against latency, a line for each size."""
    good = [point for point in points if not point.failed]
    slowest, dearest = max(point.p50 for point in good), max(point.dollars for point in good)
    lines = [f"{'memory':>9} {'p50':>10} {'p90':>10} {'init':>10} {'used':>8} {'$ per million':>14}"]
    for point in points:
        if point.failed:
            lines.append(f"{point.memory_mb:>6} MB  failed: {point.failed}")
            continue
        init = f"{point.init:.0f} ms" if point.init is not None else "-"
        lines.append(
            f"{point.memory_mb:>6} MB {point.p50:>7.1f} ms {point.p90:>7.1f} ms {init:>10} "
            f"{point.memory_used_mb:>5.0f} MB {point.dollars:>14.2f}"
        )
        lines.append(f"{'time':>9} {_bar(point.p50, slowest, '█')}")
        lines.append(f"{'cost':>9} {_bar(point.dollars, dearest, '░')}")
    return lines


def _bar(value: float, most: float, mark: str) -> str:
    return mark * max(1, round(CHART_WIDTH * value / most)) if most else ""
