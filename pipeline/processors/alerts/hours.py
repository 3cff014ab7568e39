"""Hours of a receiver: weekdays and times of day, by the wall clock of a zone.

    when: {days: [mon-fri], hours: "08:00-18:00", zone: Europe/Berlin}
    when:
      - {hours: "18:00-08:00", zone: Europe/Berlin}    # over midnight: of the day on which they begin
      - {days: [sat, sun], zone: Europe/Berlin}

The wall clock counts, also when it changes: an hour that a change skips does not exist, an hour that comes twice counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.config import zone as zones
from pipeline.config.document import StrictModel
from pipeline.config.week import DAY, WEEK, span, weekdays
from pipeline.config.zone import Zone

MINUTE = timedelta(minutes=1)


def _days(text: str) -> str:
    weekdays(text)
    return text


def _hours(text: object) -> str:
    if isinstance(text, list | tuple):
        raise ValueError('it is one text, as "08:00-18:00"; for several write a list of `when`')
    span(str(text))
    return str(text)


class When(StrictModel):
    """Some hours of some days."""

    days: Annotated[tuple[Annotated[str, AfterValidator(_days)], ...], Field(min_length=1)] = ("mon-sun",)
    hours: Annotated[str, BeforeValidator(_hours)] = "00:00-24:00"
    """Those that end past midnight belong to the day on which they begin."""
    zone: Zone = zones.UTC

    def holds(self, at: datetime) -> bool:
        """Whether this moment (aware) is in these hours."""
        local = at.astimezone(ZoneInfo(self.zone))
        return bool(self.week[local.weekday() * DAY + local.hour * 60 + local.minute])

    @cached_property
    def week(self) -> npt.NDArray[np.bool_]:
        """Of each minute of a week that begins on Monday, by the wall clock: whether it is in these hours."""
        week = np.zeros(WEEK, bool)
        start, end = span(self.hours)
        for text in self.days:
            for day in weekdays(text):
                week[np.arange(day * DAY + start, day * DAY + end) % WEEK] = True
        return week

    @cached_property
    def _wait(self) -> npt.NDArray[np.int64]:
        """Of each minute of the week: how many minutes until one in these hours; 0: it is."""
        minutes = np.flatnonzero(self.week)
        following = np.append(minutes, minutes[0] + WEEK)
        return np.asarray(following[np.searchsorted(minutes, np.arange(WEEK))] - np.arange(WEEK), np.int64)

    def next(self, at: datetime) -> datetime:
        """The first moment from this one on (aware) that is in these hours, to the minute. Of hours that begin within an hour
        that the clock skips, some minutes may be missed."""
        zone = ZoneInfo(self.zone)
        while not self.holds(at):
            local = at.astimezone(zone).replace(second=0, microsecond=0)
            wait = int(self._wait[local.weekday() * DAY + local.hour * 60 + local.minute])
            begin = (local.replace(tzinfo=None) + wait * MINUTE).replace(tzinfo=zone).astimezone(UTC)
            at = max(begin, at + MINUTE)
        return at

    def __str__(self) -> str:
        days = "" if len(_weekdays_of(self.days)) == 7 else f"{', '.join(self.days)} "
        return f"{days}{self.hours} {self.zone}"


def _weekdays_of(days: Sequence[str]) -> set[int]:
    return {day for text in days for day in weekdays(text)}


def _listed(value: object) -> object:
    return [value] if isinstance(value, dict) else value


Hours = Annotated[
    tuple[When, ...],
    BeforeValidator(_listed),
    Field(json_schema_extra={"as": '{days: [mon-fri], hours: "08:00-18:00"}'}),
]
"""One mapping, or a list of them; none: always."""


def in_hours(hours: Sequence[When], at: datetime) -> bool:
    """Whether this moment is in any of these hours."""
    return not hours or any(when.holds(at) for when in hours)


def next_in_hours(hours: Sequence[When], at: datetime) -> datetime:
    """The first moment from this one on that is in any of these hours."""
    return min((when.next(at) for when in hours), default=at)


def text_of(hours: Sequence[When]) -> str:
    """The hours as people write them; blank: always."""
    return " and ".join(map(str, hours))
