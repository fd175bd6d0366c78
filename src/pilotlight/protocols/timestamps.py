"""The three ways AWS writes a moment. Values are aware datetimes, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

Format = Literal["unixTimestamp", "iso8601", "rfc822"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse(value: object, form: str) -> datetime:
    """Raises ValueError for what is no moment."""
    if isinstance(value, bool):
        raise ValueError(value)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    text = str(value).strip()
    if form == "unixTimestamp":
        return datetime.fromtimestamp(float(text), UTC)
    if form == "rfc822":
        return parsedate_to_datetime(text).astimezone(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # Clients are lenient, and AWS with them: a number, or a date of the other kind, is taken too.
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except ValueError:
            return parsedate_to_datetime(text).astimezone(UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def render(moment: datetime, form: str) -> str | int | float:
    """A number for `unixTimestamp`, else text."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if form == "unixTimestamp":
        seconds = moment.timestamp()
        return int(seconds) if seconds == int(seconds) else round(seconds, 3)
    if form == "rfc822":
        return (
            f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} "
            f"{moment:%H:%M:%S} GMT"
        )
    if moment.microsecond:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
