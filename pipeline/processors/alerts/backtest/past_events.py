"""When each platform, source and brand had its newest event, minute by minute through history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.minutes import DAY_MINUTES, MINUTE_S, time_of
from pipeline.processors.alerts.no_data import SOURCES, WEEK, Named


class PastEvents:
    """`of`: the kinds of sources (keys of SOURCES) that rules are about. Reads the week before `start`, then day by day."""

    def __init__(self, query: Query, of: Collection[str], start: datetime) -> None:
        self._query, self._of = query, of
        self._last: dict[Named, datetime] = {}
        self._day = -1
        self._in_minute: dict[int, list[Named]] = {}
        """Of this day."""
        for kind in of:
            before = f"created_at >= '{start - WEEK:%Y-%m-%d %H:%M:%S}' AND created_at < '{start:%Y-%m-%d %H:%M:%S}'"
            sql = f"SELECT {SOURCES[kind]} AS name, max(created_at) FROM interactions WHERE {before} GROUP BY name"
            self._last.update(((kind, name), last) for name, last in query(sql).iter_rows())

    def until(self, minute: int) -> Mapping[Named, datetime]:
        """The newest events up to the end of this minute; minutes ascend. An event counts as at the minute's beginning."""
        if minute // DAY_MINUTES != self._day:
            self._day, self._in_minute = minute // DAY_MINUTES, {}
            for at, named in self._read_day():
                self._in_minute.setdefault(at, []).append(named)
        self._last.update(dict.fromkeys(self._in_minute.get(minute, ()), time_of(minute)))
        return self._last

    def _read_day(self) -> Iterator[tuple[int, Named]]:
        begin, end = self._day * DAY_MINUTES * MINUTE_S, (self._day + 1) * DAY_MINUTES * MINUTE_S
        for kind in self._of:
            sql = f"""
SELECT DISTINCT {SOURCES[kind]} AS name, toInt64(intDiv(toUnixTimestamp(created_at), 60)) FROM interactions
WHERE created_at >= toDateTime({begin}, 'UTC') AND created_at < toDateTime({end}, 'UTC') AND is_deleted = 0"""
            for name, at in self._query(sql).iter_rows():
                yield at, (kind, name)
