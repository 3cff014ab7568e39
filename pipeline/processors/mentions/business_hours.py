"""Business hours of a brand: weekdays and times of day by the wall clock of its zone, without holidays.

    hours: {mon-fri: "09:00-18:00", sat: ["09:00-12:00", "14:00-16:00"], holidays: DE}

Hours that end past midnight belong to the day on which they begin. Where the clock changes, the wall clock counts: an hour that
it skips does not exist, one that comes twice counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.config.document import hint
from pipeline.config.week import DAY, span, weekdays

HOLIDAYS = "holidays"
QUARTER_S, QUARTER_MIN = 900, 15
FIRST_YEAR = 1995
"""No event is older (schemas/events.py: EARLIEST)."""
_FORM = '{mon-fri: "09:00-18:00", holidays: DE}'


class Opening(NamedTuple):
    """Minutes of a weekday (0: Monday); `end` may lie in the next day."""

    day: int
    start: int
    end: int


def _listed(value: object) -> object:
    """Each entry as a list. YAML reads the country NO as false."""
    if not isinstance(value, Mapping):
        return value
    entries = {key: entry if isinstance(entry, list | tuple) else (entry,) for key, entry in value.items()}
    countries = ["NO" if country is False else country for country in entries.pop(HOLIDAYS, ())]
    return entries | ({HOLIDAYS: countries} if countries else {})


def _checked(hours: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    if not openings(hours):
        raise ValueError(f"name a day and its hours, as {_FORM}")
    for country in hours.get(HOLIDAYS, ()):
        _check_country(country)
    return hours


BusinessHours = Annotated[
    Mapping[str, tuple[str, ...]],
    BeforeValidator(_listed),
    AfterValidator(_checked),
    Field(json_schema_extra={"as": _FORM, "misnamed": ["business_hours", "opening_hours", "open"]}),
]


def openings(hours: Mapping[str, tuple[str, ...]]) -> list[Opening]:
    """The hours of a week, in order. Raises ValueError for a day or hours that are none, are named twice or overlap."""
    found: list[Opening] = []
    named: dict[int, str] = {}
    for days, spans in hours.items():
        if days == HOLIDAYS:
            continue
        for day in _days(days):
            if day in named:
                raise ValueError(f"{days}: it names a day that {named[day]} names, too")
            named[day] = days
            found += (Opening(day, *_span(days, text)) for text in spans)
    found.sort()
    for one, other in pairwise([*found, *(each._replace(day=each.day + 7) for each in found[:1])]):
        if len(found) > 1 and one.day * DAY + one.end > other.day * DAY + other.start:
            raise ValueError(f"{named[one.day]}: its hours overlap with others")
    return found


def _days(text: str) -> list[int]:
    try:
        return weekdays(text)
    except ValueError as error:
        near = hint(text, [HOLIDAYS])
        raise ValueError(f"unknown key {text!r}{near}" if near else str(error)) from None


def _span(days: str, text: str) -> tuple[int, int]:
    try:
        start, end = span(text)
    except ValueError as error:
        raise ValueError(f"{days}: {error}") from None
    if start % QUARTER_MIN or end % QUARTER_MIN:
        raise ValueError(f"{days}: {text!r}: business hours begin and end at :00, :15, :30 or :45")
    return start, end


@cache
def _countries() -> dict[str, list[str]]:
    from holidays import list_supported_countries  # it takes a while, and most have no holidays here

    return list_supported_countries(include_aliases=False)


def _check_country(name: str) -> None:
    country, _, part = name.partition("-")
    known = _countries()
    if country not in known:
        raise ValueError(f"{HOLIDAYS}: there is no country {country!r}{_country_hint(country)}")
    if part and part not in known[country]:
        near = hint(part, known[country]) or f": {_some(known[country])}"
        raise ValueError(f"{HOLIDAYS}: {country} has no part {part!r}{near}")


def _country_hint(name: str) -> str:
    """By its name in English, too, and by codes of three letters."""
    from holidays.registry import COUNTRIES

    codes = {other.replace("_", " "): entry[1] for key, entry in COUNTRIES.items() for other in (key, *entry[1:])}
    spelt = {other.casefold(): code for other, code in codes.items()}
    if name.casefold() in spelt:
        return f", did you mean {spelt[name.casefold()]!r}?"
    return hint(name, codes) or ": it is a code of ISO 3166, as DE, or of a part of a country, as DE-BY"


def _some(parts: list[str]) -> str:
    return (", ".join(parts[:20]) + (" ..." if len(parts) > 20 else "")) or "it has none"


MOST_CALENDARS = 63
"""Dictionary business_seconds has room for 127, and at New Year each is there twice: for this year and for the next."""


class Calendar(NamedTuple):
    """Business hours as they are computed: equal ones are one calendar."""

    week: tuple[Opening, ...]
    zone: str
    holidays: tuple[str, ...]
    package: str
    """The version of package holidays: another one may know other holidays."""
    last_year: int

    @classmethod
    def of(cls, hours: Mapping[str, tuple[str, ...]], zone: str, last_year: int) -> Calendar:
        """The calendar of a brand, from 1995 to the end of this year."""
        countries = tuple(sorted(hours.get(HOLIDAYS, ())))
        return cls(tuple(openings(hours)), zone, countries, _version() if countries else "", last_year)

    def spans(self) -> pl.DataFrame:
        """Columns opens, closes, until (the next opening, or the end), all UTC, and seconds (UInt32, before `opens`): each
        stretch of open quarters, and first the time before them all."""
        begin, end = date(FIRST_YEAR, 1, 1), date(self.last_year + 1, 1, 1)
        quarter = pl.datetime_range(begin, end, "15m", time_zone="UTC", eager=True, closed="left").dt.cast_time_unit("ms")
        edges = np.flatnonzero(np.diff(self._is_open(quarter), prepend=False, append=False))
        first, last = np.concatenate([[0, 0], edges]).reshape(-1, 2).T
        seconds = np.cumsum((last - first) * QUARTER_S) - (last - first) * QUARTER_S
        after = np.append(first[1:], len(quarter))
        bounds = pl.concat([quarter, pl.Series([end], dtype=pl.Date).cast(quarter.dtype)])
        spans = pl.DataFrame(
            {"opens": bounds[first], "closes": bounds[last], "until": bounds[after], "seconds": seconds.astype(np.uint32)}
        )
        return spans.filter(pl.col("until") > pl.col("opens"))

    def _is_open(self, quarter: pl.Series) -> npt.NDArray[np.bool_]:
        """Whether each quarter (UTC) is open, by the wall clock at its beginning."""
        local = quarter.dt.convert_time_zone(self.zone).dt.replace_time_zone(None).dt.epoch("s").to_numpy() // 60
        day, minute = np.divmod(local, DAY)
        free, found = self._holidays(), np.zeros(len(quarter), bool)
        for opening in self.week:
            for later, start, end in ((0, opening.start, min(opening.end, DAY)), (1, 0, opening.end - DAY)):
                if start < end:  # the part in the day itself, and that in the next one
                    begun = day - later
                    weekday = (begun + 3) % 7  # 1970 began on a Thursday
                    found |= (weekday == opening.day) & (minute >= start) & (minute < end) & ~np.isin(begun, free)
        return found

    def _holidays(self) -> list[int]:
        """Days since 1970."""
        from holidays import country_holidays

        years, days = range(FIRST_YEAR - 1, self.last_year + 2), set[date]()
        for name in self.holidays:
            country, _, part = name.partition("-")
            days |= country_holidays(country, subdiv=part or None, years=years).keys()
        return [(day - date(1970, 1, 1)).days for day in days]


def _version() -> str:
    from importlib.metadata import version

    return version("holidays")
