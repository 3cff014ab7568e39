"""How long nothing comes of a source, usually: the longest gap at this hour of the week, of the last four weeks.

An hour's arrivals are the bits of a number, one a minute. Table source_arrivals keeps them; the first looks fill it from table
interactions, a SLICE after the other, the newest first, for AT_ONCE_S a look: the evaluator waits for them. Cost: one scan of
KEPT of three columns at the first start ever, later starts read from the newest hour of the table on; then the arrivals of some
minutes, once a minute. Memory: 50 kB a source at most, in the table 12 kB; a gap is looked up in 0.3 ms, and only of a source
of which nothing came for LEAST and longer than ever until the next event.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
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

SLICE, AT_ONCE_S = timedelta(days=1), 0.3
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

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unread: tuple[datetime, datetime] | None = None
        """The span of table interactions that is to be read."""
        self._waits: dict[str, tuple[datetime, str, int]] = {}
        """The last event, a zone, and how many minutes it may take there until the next one."""
        self._came: dict[str, Hours] = {}
        self._excused: dict[str, Hours] = {}
        self._last: dict[str, int] = {}
        self._times: dict[str, Ints] = {}
        """The minutes of `_came`, ascending."""
        self._lengths: dict[str, Ints] = {}
        """From each of `_times` to the next; 0: the source was paused or dead meanwhile, so the gap is none of its own."""
        self._numbers: Hours = {}
        """One number an hour for all sources: else each takes a third more memory."""
        self._changed = set[tuple[str, int, int]]()
        self._began, self._first = False, 0

    def reset(self) -> None:
        """Forgets all."""
        for known in (self._came, self._excused, self._last, self._times, self._lengths, self._changed, self._waits):
            known.clear()
        self._began, self._first, self._unread = False, 0, None

    @property
    def reads_on(self) -> bool:
        """Whether what came before is still being read: nobody knows yet what is usual."""
        return self._unread is not None

    def read(self, query: Query, since: datetime, now: datetime) -> None:
        """Takes over what came since then; the first times also a part of what is known."""
        if not self._began:
            since, self._began = self._read_table(query, now), True
        self._read_rows(query, since, now)
        started = self._clock()
        while self._unread is not None:
            begin, end = self._unread
            first = max(begin, end - SLICE)
            self._read_rows(query, first, end)
            self._unread = (begin, first) if first > begin else None
            if self._clock() - started > AT_ONCE_S:
                break
        self._forget(int((now - KEPT).timestamp()) // HOUR_S)

    def _read_rows(self, query: Query, since: datetime, until: datetime) -> None:
        rows = query(
            f"SELECT toString(source_name) AS name, intDiv(toUnixTimestamp(ingested_at), {HOUR_S}) AS hour, {_BITS} AS bits "
            f"FROM interactions WHERE ingested_at >= '{since:%Y-%m-%d %H:%M:%S}' "
            f"AND ingested_at <= '{until:%Y-%m-%d %H:%M:%S}' "
            "AND occurred_at >= ingested_at - INTERVAL 7 DAY AND is_deleted = 0 "
            "AND source_name IN (SELECT source FROM source_health) GROUP BY name, hour"
        )
        for name, hour, bits in rows.iter_rows():
            self._take(name, 0, hour, bits)

    def _forget(self, first: int) -> None:
        """What was before this hour."""
        if first <= self._first:
            return
        for known in (self._came, self._excused):
            for hours in known.values():
                for hour in range(self._first, first) if self._first else [hour for hour in hours if hour < first]:
                    hours.pop(hour, None)
        self._first = first
        for source, times in self._times.items():
            gone = int(times.searchsorted(first * 60))
            self._times[source] = times[gone:].copy()
            if source in self._lengths:
                self._lengths[source] = self._lengths[source][gone:].copy()

    def _read_table(self, query: Query, now: datetime) -> datetime:
        """Returns from when on table interactions may know more; what it has of before the oldest hour here is to be read."""
        begin = now - KEPT
        rows = query(
            f"SELECT source, excused, intDiv(toUnixTimestamp(hour), {HOUR_S}) AS number, groupBitOr(minutes) AS bits "
            f"FROM source_arrivals WHERE hour >= '{begin:%Y-%m-%d %H:%M:%S}' AND hour <= '{now:%Y-%m-%d %H:%M:%S}' "
            "GROUP BY source, excused, number"
        )
        for source, excused, hour, bits in rows.iter_rows():
            self._take(source, excused, hour, bits)
        self._changed.clear()
        newest = max((max(hours) for hours in self._came.values()), default=None)
        oldest = min((min(hours) for hours in self._came.values()), default=None)
        since = now - SLICE if newest is None else time_of((newest - 1) * 60)
        self._unread = begin, since if oldest is None else time_of(oldest * 60)
        return since

    def _take(self, source: str, excused: int, hour: int, bits: int) -> None:
        hours = (self._excused if excused else self._came).setdefault(source, {})
        if not (new := bits & ~hours.get(hour, 0)):
            return
        hour = self._numbers.setdefault(hour, hour)
        hours[hour] = hours.get(hour, 0) | new
        self._changed.add((source, hour, excused))
        self._last[source] = max(self._last.get(source, 0), hour * 60 + new.bit_length() - 1)
        self._lengths.pop(source, None)
        self._waits.pop(source, None)
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

    def is_early(self, source: str, last: datetime, now: datetime, zone: str) -> bool:
        """Whether so little time has passed since its last event that the source is not missed, whatever is usual now: so it is
        of most sources of which nothing comes. There may be thousands: of these no more is kept."""
        if (known := self._waits.get(source)) is None or known[:2] != (last, zone):
            if (came := self._times_of(source, now)) is None:
                return False
            known = self._waits[source] = last, zone, _wait(came, self._lengths_of(source, came), last, zone)
        return now - last < timedelta(minutes=known[2]) + LEAST

    def usual(self, source: str, last: datetime, now: datetime, zone: str) -> Usual | None:
        """What is usual of a source that sent its last event then, by the zone's clock; None: two weeks are not known yet."""
        if (came := self._times_of(source, now)) is None:
            return None
        lengths = self._lengths_of(source, came)
        self._times[source], self._lengths[source] = came, lengths
        centers, longest = _same_time(now, zone), 0
        for width in WIDTHS:
            firsts = np.maximum(came.searchsorted(centers - width, "right") - 1, 0).tolist()
            ends = came.searchsorted(centers + width).tolist()
            gaps = np.concatenate([lengths[first:end] for first, end in zip(firsts, ends, strict=True)])
            longest = int(gaps.max(initial=0))
            if longest and gaps.sum() >= SHARE * longest:
                break
        return Usual(timedelta(minutes=longest), timedelta(minutes=_wait(came, lengths, last, zone))) if longest else None

    def _times_of(self, source: str, now: datetime) -> Ints | None:
        """The minutes in which something came; None: two weeks are not known yet."""
        known = minute_of(now) - int(KNOWN.total_seconds()) // MINUTE_S
        if not (hours := self._came.get(source)) or min(hours) * 60 > known:
            return None
        came = self._times[source] if source in self._times else _minutes(hours)
        return came if came[0] <= known else None

    def _lengths_of(self, source: str, came: Ints) -> Ints:
        if (lengths := self._lengths.get(source)) is not None:
            return lengths
        excused = _minutes(self._excused.get(source, {}))
        own: Ints = np.diff(came) * (np.searchsorted(excused, came[1:]) == np.searchsorted(excused, came[:-1]))
        return own


def _wait(came: Ints, lengths: Ints, last: datetime, zone: str) -> int:
    """The longest time until the next event, from this time of the week on."""
    if not len(lengths):
        return 0
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
