"""The same windows without any bound: a place for each scope, minute and step, and every scope judged by every rule.

What pipeline/processors/alerts/windows.py says is held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipeline.processors.alerts.counts import INDEX, MEASURES, Slice, Values
from pipeline.processors.alerts.history import HISTORY_STEPS, OFF, OFF_LEAST, STEP_MINUTES
from pipeline.processors.alerts.learned import small
from pipeline.processors.alerts.past import LATE_STEPS
from pipeline.processors.alerts.ring import Window
from pipeline.processors.alerts.rule_types import WindowedRule
from pipeline.processors.alerts.spike import Baseline, expect, rates_of, recent_sums
from pipeline.processors.alerts.spike_parameters import Bools, Spike
from pipeline.processors.alerts.study import Study, study
from pipeline.processors.alerts.table import CountTable, Rows, ScopeLimit
from pipeline.processors.alerts.window_rules import Authors
from pipeline.processors.alerts.windows import Windows

DAY, WEEK = 288, 2016


class DenseWindow:
    def __init__(self, sums: Values) -> None:
        self._sums = sums

    def of(self, measure: str) -> Values:
        return self._sums[:, INDEX[measure]]

    def take(self, rows: Rows) -> Values:
        return self._sums[rows]


class DenseRing:
    measures = MEASURES

    def __init__(self, table: CountTable, minutes: int) -> None:
        self.table, self.minutes, self.first = table, minutes, 0
        self.values = np.zeros((0, minutes, len(MEASURES)))
        self.nbytes = 0

    @property
    def last(self) -> int:
        return self.first + self.minutes - 1

    def move(self, last: int) -> None:
        by = min(last - self.last, self.minutes)
        if by > 0:
            self.values = np.roll(self.values, -by, axis=1)
            self.values[:, -by:] = 0
            self.first = last - self.minutes + 1

    def put(self, frame: pl.DataFrame, minutes: Iterable[int], brands: Sequence[str] | None) -> None:
        inside = [minute for minute in minutes if self.first <= minute <= self.last]
        self.grow()
        for row, scope in enumerate(self.table.scopes):
            if brands is None or scope.brand in brands:
                self.values[row, [minute - self.first for minute in inside]] = 0
        sliced = self.table.slice.of(frame).filter(pl.col("minute").is_in(inside))
        rows = self.table.rows(sliced, sliced.get_column("minute").to_numpy())
        self.grow()
        np.add.at(
            self.values, (rows, sliced.get_column("minute").to_numpy() - self.first), sliced.select(MEASURES).to_numpy()
        )  # fmt: skip

    def grow(self) -> None:
        if missing := len(self.table) - len(self.values):
            self.values = np.concatenate([self.values, np.zeros((missing, *self.values.shape[1:]))])

    def window(self, minute: int, length: int, only: object = None) -> DenseWindow:
        self.grow()
        end = minute - self.first + 1
        return DenseWindow(self.values[:, max(0, end - length) : end].sum(axis=1))


class DenseHistory:
    def __init__(self, table: CountTable) -> None:
        self.step, self.table = 0, table
        self.counts = np.full((0, HISTORY_STEPS), np.nan, np.float32)
        self.labelled = np.zeros((0, HISTORY_STEPS, 2))
        self.days, self.nbytes = 28.0, 0
        self.peak = np.zeros(0)

    def load(self, frame: pl.DataFrame, step: int) -> None:
        sums = self.table.slice.of(frame).group_by("brand", "platform", "language", "minute")
        frame = sums.agg(pl.col("count", "negative", "labelled", "live").sum())
        rows = self.table.rows(frame, frame.get_column("minute").to_numpy() * STEP_MINUTES)
        self.step = step
        self.grow()
        self.counts[rows, frame.get_column("minute").to_numpy() - (step - HISTORY_STEPS)] = frame.get_column("count").to_numpy()
        begun = np.maximum.accumulate(~np.isnan(self.counts), axis=1)
        self.counts[begun & np.isnan(self.counts)] = 0
        usual = median(frame.group_by("minute").agg(pl.col("live").sum()).get_column("live").to_numpy())
        if usual >= OFF_LEAST:
            self.counts[:, np.nansum(self.counts, axis=0) < OFF * usual] = np.nan
        at = frame.get_column("minute").to_numpy() - (step - HISTORY_STEPS)
        self.labelled[rows, at] = frame.select("negative", "labelled").to_numpy()

    def advance(self, ring: DenseRing, step: int) -> None:
        self.grow()
        by = min(step - self.step, HISTORY_STEPS)
        if by <= 0:
            return
        self.counts, self.labelled = np.roll(self.counts, -by, axis=1), np.roll(self.labelled, -by, axis=1)
        self.labelled[:, -by:] = 0
        self.step = step
        self.read(ring, range(HISTORY_STEPS - by, HISTORY_STEPS))

    def unstudied(self, spike: Spike, rows: Rows, step: int, zone: str | None = None) -> Bools:
        return np.zeros(len(rows), bool)

    def correct(self, ring: DenseRing, minutes: Iterable[int]) -> None:
        self.grow()
        columns = {minute // STEP_MINUTES - self.step + HISTORY_STEPS for minute in minutes}
        self.read(ring, sorted(column for column in columns if HISTORY_STEPS - LATE_STEPS <= column < HISTORY_STEPS))

    def read(self, ring: DenseRing, columns: Iterable[int]) -> None:
        for column in columns:
            last = (self.step - HISTORY_STEPS + column + 1) * STEP_MINUTES - 1
            if not ring.first + STEP_MINUTES - 1 <= last <= ring.last:
                self.counts[:, column] = np.nan
                continue
            window = ring.window(last, STEP_MINUTES)
            count = window.of("count")
            unknown = np.isnan(self.counts[:, :column]).all(axis=1) & (count == 0)
            day = np.nansum(self.counts[:, max(0, column - DAY) : column], axis=0)
            unknown |= not count.any() and median(day) >= OFF_LEAST
            self.counts[:, column] = np.where(unknown, np.nan, count)
            self.labelled[:, column] = np.column_stack([window.of("negative"), window.of("labelled")])

    def grow(self) -> None:
        if missing := len(self.table) - len(self.counts):
            self.counts = np.concatenate([self.counts, np.full((missing, HISTORY_STEPS), np.nan, np.float32)])
            self.labelled = np.concatenate([self.labelled, np.zeros((missing, HISTORY_STEPS, 2))])

    def baseline(self, spike: Spike, rows: Rows, step: int, zone: str | None) -> Baseline:
        self.grow()
        counts = self.counts[rows, : HISTORY_STEPS - self.step + step]
        studied = Study(*map(_kept, study(counts[:, : counts.shape[1] - step % 12], spike)))
        baseline = Baseline(*map(_kept, expect(studied, counts[:, :0], step, spike)))
        begun, ended = recent_sums(rates_of(studied, step, spike)[:, :-1], counts, spike)
        return baseline._replace(begun=_kept(begun), ended=_kept(ended))

    def share(self, rows: Rows, step: int) -> Values:
        self.grow()
        past = self.labelled[rows, : HISTORY_STEPS - self.step + step]
        weights = (1 - 1 / WEEK) ** np.arange(past.shape[1] - 1, -1, -1)
        negative, labelled = (past * weights[:, None]).sum(axis=1).T
        return np.asarray(negative / np.where(labelled > 0, labelled, np.nan))


def _kept(values: Any) -> Any:
    """In the precision in which control keeps expectations."""
    return small(values).astype(values.dtype)


class Unbounded(Windows):
    def __init__(self, rules: Iterable[WindowedRule], authors: Authors) -> None:
        super().__init__(rules, authors, ScopeLimit(1 << 40))
        tables = {slice_: CountTable(slice_, self.room) for slice_ in self.rings}
        self.rings = {slice_: DenseRing(tables[slice_], self.minutes) for slice_ in self.rings}  # type: ignore[misc]
        self.histories = {slice_: DenseHistory(tables[slice_]) for slice_ in self.histories}  # type: ignore[misc]

    def _tidy(self, minute: int) -> None:
        pass

    def _possible(self, slice_: Slice, rule: WindowedRule, window: Window) -> Rows:
        return self.rings[slice_].table.known()


def median(totals: Values) -> float:
    ran = totals[totals > 0]
    return float(np.median(ran)) if ran.size else 0.0
