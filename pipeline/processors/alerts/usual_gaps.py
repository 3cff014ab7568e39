"""How long nothing comes of a source, usually: the longest gap at this hour of the week, of the last four weeks.

An hour's arrivals are the bits of a number, one a minute. Table source_arrivals keeps them; the first look fills it from table
interactions. Cost: one scan of KEPT of three columns at the first start ever, later starts read from the newest hour of the
table on; then the arrivals of some minutes, once a minute. Memory: 70 kB a source at most, in the table 12 kB; a
gap is looked up in 0.3 ms, and only of a source of which nothing came for LEAST.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.minutes import DAY_MINUTES, MINUTE_S, minute_of, time_of
from pipeline.processors.alerts.spike_parameters import Ints

WEEKS, WEEK_MINUTES, HOUR_S = 4, 7 * DAY_MINUTES, 3_600
KEPT, KNOWN = timedelta(days=32), timedelta(days=14)
"""How far back arrivals are known, at most and at least."""
TIMES, LEAST = 3, timedelta(minutes=5)
WIDTHS = (60, 120, 240, 480, WEEK_MINUTES // 2)
SHARE = 10
"""Gaps within so many minutes of this time of the week count. Of few gaps the longest is chance: the next width counts while
the longest is more than a SHARE-th of all of them together."""

Hours = dict[int, int]


class Usual(NamedTuple):
    """What is usual of a source."""

    longest: timedelta
    """The longest gap around this time of the week."""
    wait: timedelta
    """The longest time until the next event, from the time of the week on at which the last one came: over a night, until the
    morning."""

    @property
    def limit(self) -> timedelta:
        """After how long without an event the source is missed."""
        return self.wait + max(LEAST, TIMES * self.longest)


Row = tuple[str, int, int, int]
"""Of table source_arrivals: source, hour (s since 1970), excused, minutes."""
_BITS = "groupBitOr(bitShiftLeft(toUInt64(1), toMinute(ingested_at)))"


class UsualGaps:
    """Of the sources in table source_health. Restart: `reset`, then `read`."""

    def __init__(self) -> None:
        self._came: dict[str, Hours] = {}
        self._excused: dict[str, Hours] = {}
        self._last: dict[str, int] = {}
        self._times: dict[str, Ints] = {}
        """The minutes of `_came`, ascending."""
        self._lengths: dict[str, Ints] = {}
        """From each of `_times` to the next; 0: the source was paused or dead meanwhile, so the gap is none of its own."""
        self._changed = set[tuple[str, int, int]]()
        self._began, self._first = False, 0

    def reset(self) -> None:
        """Forgets all."""
        for known in (self._came, self._excused, self._last, self._times, self._lengths, self._changed):
            known.clear()
        self._began, self._first = False, 0

    def read(self, query: Query, since: datetime, now: datetime) -> None:
        """Takes over what came since then; the first time all that is known."""
        if not self._began:
            since, self._began = self._read_table(query, now), True
        rows = query(
            f"SELECT toString(source_name) AS name, intDiv(toUnixTimestamp(ingested_at), {HOUR_S}) AS hour, {_BITS} AS bits "
            f"FROM interactions WHERE ingested_at >= '{since:%Y-%m-%d %H:%M:%S}' AND ingested_at <= '{now:%Y-%m-%d %H:%M:%S}' "
            "AND occurred_at >= ingested_at - INTERVAL 7 DAY AND is_deleted = 0 "
            "AND source_name IN (SELECT source FROM source_health) GROUP BY name, hour"
        )
        for name, hour, bits in rows.iter_rows():
            self._take(name, 0, hour, bits)
        self._forget(int((now - KEPT).timestamp()) // HOUR_S)

    def _forget(self, first: int) -> None:
        """What was before this hour."""
        if first <= self._first:
            return
        self._first = first
        for known in (self._came, self._excused):
            for hours in known.values():
                for hour in [hour for hour in hours if hour < first]:
                    del hours[hour]
        self._times.clear()
        self._lengths.clear()

    def _read_table(self, query: Query, now: datetime) -> datetime:
        """Returns from when on table interactions may know more."""
        begin = now - KEPT
        rows = query(
            f"SELECT source, excused, intDiv(toUnixTimestamp(hour), {HOUR_S}) AS number, groupBitOr(minutes) AS bits "
            f"FROM source_arrivals WHERE hour >= '{begin:%Y-%m-%d %H:%M:%S}' AND hour <= '{now:%Y-%m-%d %H:%M:%S}' "
            "GROUP BY source, excused, number"
        )
        for source, excused, hour, bits in rows.iter_rows():
            self._take(source, excused, hour, bits)
        self._changed.clear()
        newest = max((hour for hours in self._came.values() for hour in hours), default=None)
        return begin if newest is None else time_of((newest - 1) * 60)

    def _take(self, source: str, excused: int, hour: int, bits: int) -> None:
        hours = (self._excused if excused else self._came).setdefault(source, {})
        if not (new := bits & ~hours.get(hour, 0)):
            return
        hours[hour] = hours.get(hour, 0) | new
        self._changed.add((source, hour, excused))
        self._last[source] = max(self._last.get(source, 0), hour * 60 + new.bit_length() - 1)
        self._lengths.pop(source, None)
        times = self._times.pop(source, None) if not excused else None
        if times is not None and len(times) and hour * 60 > times[-1] - 60:
            added = _minutes({hour: new})
            if added[0] > times[-1]:
                self._times[source] = np.append(times, added)

    def add(self, source: str, at: datetime, excused: bool = False) -> None:
        """Something came at that time; `excused`: nothing was to be expected then."""
        minute = minute_of(at)
        self._take(source, int(excused), minute // 60, 1 << minute % 60)

    def changed(self) -> list[Row]:
        """The rows that the table lacks, once."""
        rows = [
            (source, hour * HOUR_S, excused, (self._excused if excused else self._came)[source][hour])
            for source, hour, excused in self._changed
            if hour in (self._excused if excused else self._came).get(source, {})
        ]
        self._changed.clear()
        return rows

    def last(self, source: str) -> datetime | None:
        """The newest minute in which something came, or was not to be expected."""
        return time_of(self._last[source]) if source in self._last else None

    def usual(self, source: str, last: datetime, now: datetime, zone: str) -> Usual | None:
        """What is usual of a source that sent its last event then, by the zone's clock; None: two weeks are not known yet."""
        if (came := self._times.get(source)) is None:
            came = self._times[source] = _minutes(self._came.get(source, {}))
        if not len(came) or minute_of(now) - came[0] < KNOWN.total_seconds() // MINUTE_S:
            return None
        if (lengths := self._lengths.get(source)) is None:
            excused = _minutes(self._excused.get(source, {}))
            own = np.searchsorted(excused, came[1:]) == np.searchsorted(excused, came[:-1])
            lengths = self._lengths[source] = np.diff(came) * own
        centers, longest = _same_time(now, zone), 0
        for width in WIDTHS:
            firsts = np.maximum(came.searchsorted(centers - width, "right") - 1, 0).tolist()
            ends = came.searchsorted(centers + width).tolist()
            gaps = np.concatenate([lengths[first:end] for first, end in zip(firsts, ends, strict=True)])
            longest = int(gaps.max(initial=0))
            if longest and gaps.sum() >= SHARE * longest:
                break
        return Usual(timedelta(minutes=longest), timedelta(minutes=_wait(came, lengths, last, zone))) if longest else None


def _wait(came: Ints, lengths: Ints, last: datetime, zone: str) -> int:
    """The longest time until the next event, from this time of the week on."""
    begins = _same_time(last, zone)
    following = came.searchsorted(begins, "right")
    known = (following > 0) & (following < len(came))
    own = known & (lengths[np.clip(following - 1, 0, len(lengths) - 1)] > 0)
    return int((came[following[own]] - begins[own]).max(initial=0))


def _minutes(hours: Mapping[int, int]) -> Ints:
    """The minutes (since 1970), ascending."""
    order = sorted(hours)
    bits = np.array([hours[hour] for hour in order], "<u8").view(np.uint8).reshape(-1, 8)
    rows, columns = np.nonzero(np.unpackbits(bits, axis=1, bitorder="little"))
    return np.asarray(np.array(order, np.int64)[rows] * 60 + columns, np.int64)


def _same_time(now: datetime, zone: str) -> Ints:
    """The minutes of this time of the week, of each week before."""
    local = now.astimezone(ZoneInfo(zone))
    return np.array([minute_of((local - timedelta(weeks=weeks)).astimezone(UTC)) for weeks in range(1, WEEKS + 1)], np.int64)
