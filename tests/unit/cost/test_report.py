"""The bill of a month's use: the article's scenarios, corrected where its sums err."""

from __future__ import annotations

import pytest

from pilotlight.clock import Clock
from pilotlight.cost.meter import Meter
from pilotlight.cost.report import lines, total
from pilotlight.storage import Database


@pytest.fixture
def components() -> list[str]:
    return ["pilotlight.cost"]


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        # Scenario 1: everything is free.
        ({"lambda-requests": 500_000, "lambda-arm64": 12_500}, 0.0),
        # Scenario 2.
        ({"lambda-requests": 10_000_000, "lambda-arm64": 1_000_000}, 1.80 + 600_000 * 0.0000133334),
        # Scenario 3: the article has $493.49 for the duration; 29.6 million GB-seconds are $493.33.
        (
            {"lambda-requests": 100_000_000, "lambda-x86_64": 30_000_000, "http-api-requests": 100_000_000},
            19.80 + 29_600_000 * 0.0000166667 + 100,
        ),
        # Provisioned concurrency has no free tier: 50 instances of 512 MB for 30 days.
        ({"lambda-provisioned-x86_64": 50 * 0.5 * 30 * 86_400}, 64_800_000 * 0.0000041667),
        ({}, 0.0),
    ],
)
def test_a_month_costs(usage: dict[str, float], dollars: float) -> None:
    assert total(lines(usage)) == pytest.approx(dollars)


def test_the_free_seconds_are_shared_between_architectures() -> None:
    found = lines({"lambda-arm64": 300_000, "lambda-x86_64": 200_000})
    assert [(line.free, line.dollars) for line in found] == [
        (300_000, 0.0),
        (100_000, pytest.approx(100_000 * 0.0000166667)),
    ]


async def test_the_meter_adds_up(database: Database) -> None:
    clock = Clock()
    meter = Meter(database, clock)
    meter.invocation("1", "arm64", 2048, 500, provisioned=False)
    await meter.flush()
    meter.invocation("1", "arm64", 1024, 1000, provisioned=True)
    meter.s3_request("1", "PutObject")
    meter.s3_request("1", "DeleteObject")
    meter.s3_request("1", "HeadObject")
    assert await meter.usage("1", f"{clock.now():%Y-%m}") == {
        "lambda-requests": 2,
        "lambda-arm64": 1.0,
        "lambda-provisioned-duration-arm64": 1.0,
        "s3-put-requests": 1,
        "s3-get-requests": 1,
    }
    assert await meter.usage("2", f"{clock.now():%Y-%m}") == {}


async def test_provisioned_concurrency_costs_by_cloud_time(database: Database) -> None:
    clock = Clock()
    clock.freeze()
    meter = Meter(database, clock)
    clock.advance_to(clock.now_ms() + 60_000)
    meter.provisioned([("1", "x86_64", 2.0)])
    meter.provisioned([("1", "x86_64", 2.0)])
    assert await meter.usage("1", f"{clock.now():%Y-%m}") == {"lambda-provisioned-x86_64": 120.0}
