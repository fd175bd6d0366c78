"""Which memory size is called cheapest, fastest and balanced, and what it costs."""

from __future__ import annotations

import pytest

from pilotlight.advice.copies import read_run
from pilotlight.advice.tuning import Point, chart, choose, dollars


def point(memory_mb: int, p50: float, cost: float, failed: str = "") -> Point:
    return Point(memory_mb, p50, p50 * 2, p50, 10.0, 50.0, cost, failed)


def test_cheapest_fastest_and_between() -> None:
    choice = choose([point(128, 800.0, 1.0), point(512, 200.0, 1.1), point(1024, 190.0, 3.0)])
    assert (choice.cheapest, choice.fastest, choice.balanced) == (128, 1024, 512)


def test_a_tie_goes_to_less_memory() -> None:
    assert choose([point(256, 5.0, 1.0), point(512, 5.0, 1.0)]).fastest == 256


def test_a_size_that_failed_is_never_chosen() -> None:
    points = [point(128, 0.0, 0.0, failed="out of memory"), point(512, 200.0, 1.1)]
    assert choose(points).cheapest == 512
    assert any("failed: out of memory" in line for line in chart(points))


@pytest.mark.parametrize(
    ("memory_mb", "billed_ms", "architecture", "expected"),
    # AWS: $0.0000166667 a GB-second on x86_64, $0.0000133334 on arm64, $0.20 a million requests.
    [(1024, 100.0, "x86_64", 1.66667 + 0.2), (1024, 100.0, "arm64", 1.33334 + 0.2), (128, 1.0, "x86_64", 0.2020833)],
)
def test_what_a_million_invocations_cost(memory_mb: int, billed_ms: float, architecture: str, expected: float) -> None:
    assert dollars(memory_mb, billed_ms, architecture) == pytest.approx(expected, rel=1e-4)


def test_a_report_is_read() -> None:
    run = read_run(
        b"1",
        False,
        "START\nREPORT RequestId: x\tDuration: 6.86 ms\tBilled Duration: 268 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 36 MB\tInit Duration: 260.48 ms\t\n",
    )
    assert (run.duration, run.billed, run.memory_used, run.init, run.restore) == (6.86, 268, 36, 260.48, None)


def test_no_report_is_no_figures() -> None:
    assert read_run(b"", True, "").duration == 0
