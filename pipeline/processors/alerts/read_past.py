"""Reads the past of all slices from ClickHouse: at a start, for other rules, and steps to which events came late.

Cost: a query of some milliseconds for three hours of four weeks, and more where they hold rows; a young table is asked for the
hours that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts import counts
from pipeline.processors.alerts.history import HISTORY_STEPS, History, last_minutes
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.table import CountTable

READ_STEPS = 36
"""So many are read at a time. A chunk of the past is a multiple of it."""
WEEK_STEPS = 7 * 86400 // STEP_S


def read_past(
    query: Query, dimensions: Iterable[str], histories: Sequence[History], step: int, tables: Sequence[CountTable] = ()
) -> None:
    """Fills the histories with all that is known before `step`; the newest first, if there is no room for all. `tables` take
    in the scopes of a week: no mention in the rings may be the very thing that a rule asks for."""
    for history in histories:
        history.begin(step)
    reader = _Reader(query, dimensions, step - HISTORY_STEPS)
    for first in range(step - READ_STEPS, step - HISTORY_STEPS - 1, -READ_STEPS):
        wanting = [history for history in histories if not history.is_full]
        of_week = tables if step - first <= WEEK_STEPS else ()
        if not wanting and not of_week:
            break
        frame = reader.read(first)
        for history in wanting:
            history.add(frame, first, first + READ_STEPS)
        for table in of_week if frame.height else ():
            mentions = table.wanted(table.slice.of(frame))
            table.rows(mentions, last_minutes(mentions.get_column("minute")))
    for history in histories:
        history.finish()


def read_again(query: Query, dimensions: Iterable[str], histories: Iterable[History], steps: Sequence[int]) -> None:
    """Reads steps again whose events came when no ring held them any more: they are in the longer windows of a spike."""
    if steps:
        frame = pl.concat(query(counts.history_sql(dimensions, STEP_S, step, step)) for step in steps)
        for history in histories:
            history.replace(frame, steps)


class _Reader:
    """Reads READ_STEPS steps at a time, the newest first, back to step `last`. After the first that are empty it asks for the
    oldest row, and for no steps before it."""

    def __init__(self, query: Query, dimensions: Iterable[str], last: int) -> None:
        self._query, self._dimensions, self._last = query, dimensions, last
        self._empty: pl.DataFrame | None = None
        self._oldest = 0
        """The step of the oldest row, once some steps were empty."""

    def read(self, first: int) -> pl.DataFrame:
        """The counts of the steps from `first` on."""
        if self._empty is not None and first + READ_STEPS <= self._oldest:
            return self._empty
        frame = self._query(counts.history_sql(self._dimensions, STEP_S, first, first + READ_STEPS - 1))
        if self._empty is None and frame.is_empty():
            older = self._query(counts.oldest_sql(STEP_S, self._last, first - 1))
            self._empty, self._oldest = frame, older.get_column("minute")[0] if older.height else first
        return frame
