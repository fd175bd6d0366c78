"""`rate(…)` and `cron(…)` as EventBridge reads them: pure, in UTC.

AWS: "Schedule expressions" of the EventBridge user guide. A cron has six fields (minutes, hours, day of month,
month, day of week, year); one of the two days must be `?`; Sunday is 1.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_RATE = re.compile(r"^rate\((\d+) (minute|minutes|hour|hours|day|days)\)$")
_CRON = re.compile(r"^cron\((.+)\)$")
_MONTHS = {name.upper(): index for index, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: index for index, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], 1)}
_UNIT_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
YEAR_FIRST, YEAR_LAST = 1970, 2199


class InvalidSchedule(Exception):
    """The expression is neither a rate nor a cron."""


@dataclass(frozen=True, slots=True)
class Rate:
    period_ms: int

    def after(self, moment_ms: int) -> int | None:
        return moment_ms + self.period_ms


@dataclass(frozen=True, slots=True)
class Cron:
    minutes: frozenset[int]
    hours: frozenset[int]
    month_days: str
    months: frozenset[int]
    week_days: str
    years: frozenset[int]

    def after(self, moment_ms: int) -> int | None:
        """The first match later than `moment_ms`, or None where there is none any more."""
        start = datetime.fromtimestamp(moment_ms // 60_000 * 60, UTC) + timedelta(minutes=1)
        for year in sorted(year for year in self.years if year >= start.year):
            for month in sorted(self.months):
                if (year, month) >= (start.year, start.month):
                    found = self._in_month(year, month, start)
                    if found is not None:
                        return int(found.timestamp() * 1000)
        return None

    def _in_month(self, year: int, month: int, start: datetime) -> datetime | None:
        for day in self._days(year, month):
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    moment = datetime(year, month, day, hour, minute, tzinfo=UTC)
                    if moment >= start:
                        return moment
        return None

    def _days(self, year: int, month: int) -> list[int]:
        last = calendar.monthrange(year, month)[1]
        every = range(1, last + 1)
        if self.month_days == "?":
            return _by_week_day(self.week_days, year, month, last)
        if self.month_days == "L":
            return [last]
        if self.month_days.endswith("W"):
            return [_nearest_week_day(year, month, min(int(self.month_days[:-1]), last), last)]
        allowed = _values(self.month_days, 1, 31)
        return [day for day in every if day in allowed]


def parse(expression: str) -> Rate | Cron:
    """Raises InvalidSchedule."""
    if rate := _RATE.match(expression):
        count, unit = int(rate[1]), rate[2]
        # AWS: one is singular, more are plural, and nothing else is taken.
        if count < 1 or (count == 1) == unit.endswith("s"):
            raise InvalidSchedule(expression)
        return Rate(count * _UNIT_MS[unit.removesuffix("s")])
    cron = _CRON.match(expression)
    fields = cron[1].split() if cron else []
    if len(fields) != 6 or (fields[2] == "?") == (fields[4] == "?"):
        raise InvalidSchedule(expression)
    try:
        return _cron(fields)
    except ValueError:
        raise InvalidSchedule(expression) from None


def _cron(fields: list[str]) -> Cron:
    minutes, hours, month_days, months, week_days, years = fields
    if month_days not in ("?", "L"):
        if re.fullmatch(r"\d+W", month_days):
            _check(int(month_days[:-1]), 1, 31)
        else:
            _values(month_days, 1, 31)
    if week_days != "?" and not re.fullmatch(r"L|([1-7]|[A-Z]{3})L|([1-7]|[A-Z]{3})#[1-5]", week_days):
        _values(week_days, 1, 7, _DAYS)
    return Cron(
        minutes=_values(minutes, 0, 59),
        hours=_values(hours, 0, 23),
        month_days=month_days,
        months=_values(months, 1, 12, _MONTHS),
        week_days=week_days,
        years=_values(years, YEAR_FIRST, YEAR_LAST),
    )


def _values(field: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        base, slash, step = part.partition("/")
        if slash and (not step.isdigit() or int(step) < 1):
            raise ValueError(field)
        if base == "*":
            first, final = low, high
        elif "-" in base:
            left, _, right = base.partition("-")
            first, final = _number(left, names), _number(right, names)
        else:
            first = _number(base, names)
            final = high if slash else first
        _check(first, low, high)
        _check(final, low, high)
        if first > final:
            found |= set(range(first, high + 1, int(step or 1))) | set(range(low, final + 1, int(step or 1)))
        else:
            found |= set(range(first, final + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text.upper() in names:
        return names[text.upper()]
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


def _check(value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(value)


def _week_day(year: int, month: int, day: int) -> int:
    """1 is Sunday."""
    return (calendar.weekday(year, month, day) + 1) % 7 + 1


def _by_week_day(field: str, year: int, month: int, last: int) -> list[int]:
    days = range(1, last + 1)
    if field == "L":
        return [day for day in days if _week_day(year, month, day) == 7]
    if field.endswith("L"):
        wanted = _number(field[:-1], _DAYS)
        return [max(day for day in days if _week_day(year, month, day) == wanted)]
    if "#" in field:
        name, _, nth = field.partition("#")
        matching = [day for day in days if _week_day(year, month, day) == _number(name, _DAYS)]
        return matching[int(nth) - 1 : int(nth)]
    allowed = _values(field, 1, 7, _DAYS)
    return [day for day in days if _week_day(year, month, day) in allowed]


def _nearest_week_day(year: int, month: int, day: int, last: int) -> int:
    """The working day nearest to a date, without leaving the month."""
    kind = _week_day(year, month, day)
    if kind == 7:
        return day - 1 if day > 1 else day + 2
    if kind == 1:
        return day + 1 if day < last else day - 2
    return day
