"""Schedule expressions: the next moment, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pilotlight.services.events.schedules import InvalidSchedule, parse


def after(expression: str, moment: str) -> str | None:
    start = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    found = parse(expression).after(int(start.timestamp() * 1000))
    return None if found is None else datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("expression", "moment", "following"),
    [
        ("rate(5 minutes)", "2026-01-01 00:00", "2026-01-01 00:05"),
        ("rate(1 hour)", "2026-01-01 00:30", "2026-01-01 01:30"),
        ("rate(7 days)", "2026-01-01 00:00", "2026-01-08 00:00"),
        ("cron(0 12 * * ? *)", "2026-01-01 12:00", "2026-01-02 12:00"),
        ("cron(0/15 * * * ? *)", "2026-01-01 00:01", "2026-01-01 00:15"),
        ("cron(15 10 ? * 6L 2026-2027)", "2026-01-01 00:00", "2026-01-30 10:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-01-02 18:00", "2026-01-05 18:00"),
        ("cron(0 8 1 * ? *)", "2026-01-01 08:00", "2026-02-01 08:00"),
        ("cron(0 0 L * ? *)", "2026-02-01 00:00", "2026-02-28 00:00"),
        ("cron(0 0 ? * 2#1 *)", "2026-01-06 00:00", "2026-02-02 00:00"),
        ("cron(0 0 3W * ? *)", "2026-01-01 00:00", "2026-01-02 00:00"),
        ("cron(0 0 29 2 ? *)", "2026-01-01 00:00", "2028-02-29 00:00"),
        ("cron(0 0 1 JAN ? 2020)", "2026-01-01 00:00", None),
    ],
)
def test_the_next_moment(expression: str, moment: str, following: str | None) -> None:
    assert after(expression, moment) == following


@pytest.mark.parametrize(
    "expression",
    [
        "rate(0 minutes)",
        "rate(1 minutes)",
        "rate(5 minute)",
        "rate(5 seconds)",
        "rate(5minutes)",
        "cron(0 12 * * * *)",
        "cron(0 12 ? * ? *)",
        "cron(0 12 * * ?)",
        "cron(60 12 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(x 0 * * ? *)",
        "at(2026-01-01T00:00:00)",
        "",
    ],
)
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(InvalidSchedule):
        parse(expression)
