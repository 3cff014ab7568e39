"""The time that a page about a brand shows: a span that ends at a moment, in periods, and as long a time before it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pipeline.config.document import hint
from pipeline.config.zone import check_zone
from pipeline.errors import SettingsError
from schemas.times import rfc3339

QUARTER = timedelta(minutes=15)
LONGEST_LIST = timedelta(days=8)
"""The longest time whose posts are listed: a week, and an hour of its clocks."""
YEARS = range(1980, 2100)


class Span(NamedTuple):
    """A choice of the page."""

    length: timedelta
    period: str
    """How long a point of a chart is: of query volume."""
    label: str


SPANS = {
    "1h": Span(timedelta(hours=1), "quarter-hour", "an hour"),
    "6h": Span(timedelta(hours=6), "quarter-hour", "6 hours"),
    "24h": Span(timedelta(hours=24), "quarter-hour", "24 hours"),
    "7d": Span(timedelta(days=7), "hour", "7 days"),
    "30d": Span(timedelta(days=30), "day", "30 days"),
    "90d": Span(timedelta(days=90), "day", "90 days"),
    "1y": Span(timedelta(days=365), "week", "a year"),
    "2y": Span(timedelta(days=730), "week", "2 years"),
}
DEFAULT = "24h"
_DAYS = {"day": 1, "week": 7}


class Window(NamedTuple):
    """Quarter-hours from `start` on, before `end`, and as many before them: the n-th period of `before` compares with the n-th.
    All times are UTC."""

    span: str
    zone: str
    begins: Sequence[datetime]
    """When each period begins."""
    end: datetime
    before: Sequence[datetime]
    """When each period of the time before begins."""
    before_end: datetime
    """As far into its last period as `end` is into its own."""

    @property
    def start(self) -> datetime:
        return self.begins[0]

    @property
    def period(self) -> str:
        return SPANS[self.span].period

    @property
    def listed(self) -> bool:
        """Whether the posts of the whole time may be listed."""
        return self.end - self.start <= LONGEST_LIST

    def given(self, **more: str | Sequence[str]) -> dict[str, str | Sequence[str]]:
        """Parameters of a named query, for this time in its periods."""
        return {"from": rfc3339(self.start), "to": rfc3339(self.end), "zone": self.zone, "period": self.period, **more}

    def given_before(self, **more: str | Sequence[str]) -> dict[str, str | Sequence[str]]:
        """The same for the time before."""
        times = {"from": rfc3339(self.before[0]), "to": rfc3339(self.before_end)}
        return {**self.given(), **times, **more}

    def end_of(self, index: int) -> datetime:
        """When a period ends: the last one with the span."""
        return self.begins[index + 1] if index + 1 < len(self.begins) else self.end


def window(span: str, to: str, zone: str, now: datetime) -> Window:
    """What `span`, `to` (ISO 8601; blank: now) and `zone` (blank: UTC) name. The first period is whole; the last one ends with
    the quarter-hour of `to`. Raises SettingsError that says what is wrong with one of them, or that `to` has still to come."""
    if span not in SPANS:
        raise SettingsError(f"There is no span {span[:40]!r}: it is one of {', '.join(SPANS)}{hint(span[:40], SPANS)}.")
    try:
        place = ZoneInfo(check_zone(zone[:80] or "UTC"))
    except ValueError as error:
        raise SettingsError(f"zone: {error}.") from None
    end = _ceiling(moment(to, "to") if to else now)
    if end > _ceiling(now):
        raise SettingsError(f"to: {to[:40]} UTC has still to come: leave it blank for all up to now.")
    length, period, _ = SPANS[span]
    if days := _DAYS.get(period):
        first = (end - length).astimezone(place).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        first -= timedelta(days=first.weekday() if period == "week" else 0)
        begins = _days(first, end, days, place)
        shift = timedelta(days=days * len(begins))
        before_end = _instant(end.astimezone(place).replace(tzinfo=None) - shift, place)
        before = _days(first - shift, before_end, days, place)
    else:
        step = QUARTER if period == "quarter-hour" else timedelta(hours=1)
        first = _floor((end - length).astimezone(place), step).astimezone(UTC)
        count = math.ceil((end - first) / step)
        begins = [first + n * step for n in range(count)]
        before, before_end = [each - count * step for each in begins], end - count * step
    return Window(span, zone or "UTC", begins, end, before, before_end)


def last_quarter(now: datetime) -> datetime:
    """When the quarter-hour began that runs: what ends there stays as it is."""
    return _floor(now, QUARTER)


def moment(text: str, name: str) -> datetime:
    """The time that a query parameter names, UTC. Raises SettingsError."""
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise SettingsError(f"{name}: {text[:40]!r} is no time: it should look like 2026-11-30T10:15:00Z.") from None
    if at.year not in YEARS:
        raise SettingsError(f"{name}: the years are {YEARS[0]} to {YEARS[-1]}, and not {at.year}.")
    return at


def _ceiling(at: datetime) -> datetime:
    """The end of the quarter-hour that the moment is in; at its very beginning: that."""
    floored = _floor(at, QUARTER)
    return (floored if floored == at else floored + QUARTER).astimezone(UTC)


def _floor(at: datetime, step: timedelta) -> datetime:
    minutes = step // timedelta(minutes=1)
    return at.replace(minute=at.minute - at.minute % minutes, second=0, microsecond=0)


def _days(first: datetime, end: datetime, days: int, place: ZoneInfo) -> list[datetime]:
    """The beginnings of days, or weeks, before `end`, from a local midnight on."""
    begins, local = list[datetime](), first
    while (at := _instant(local, place)) < end:
        begins.append(at)
        local += timedelta(days=days)
    return begins


def _instant(local: datetime, place: ZoneInfo) -> datetime:
    return local.replace(tzinfo=place).astimezone(UTC)
