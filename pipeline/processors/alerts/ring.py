"""The newest minutes of a slice: the measures of each scope in each of them.

A touched minute is replaced as a whole, so a replay, a second worker, a late event, an edit or a delete can't count twice. Only
scopes with mentions are stored: cost is 4 bytes and 8 a measure for each of them and minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts.counts import INDEX, MEASURES, Values
from pipeline.processors.alerts.table import NONE, CountTable, Rows


class Cells(NamedTuple):
    """The measures of a minute, or of several one after the other."""

    rows: npt.NDArray[np.int32]
    values: Values
    """Measures by rows."""

    @classmethod
    def of(cls, parts: Sequence[Cells], measures: int) -> Cells:
        if not parts:
            return cls(np.zeros(0, np.int32), np.zeros((measures, 0)))
        return cls(np.concatenate([part.rows for part in parts]), np.concatenate([part.values for part in parts], axis=1))

    def without(self, rows: Rows) -> Cells:
        return self.kept(~np.isin(self.rows, rows))

    def kept(self, kept: npt.NDArray[np.bool_]) -> Cells:
        return Cells(self.rows[kept], self.values[:, kept])


class Window:
    """The sums of some minutes."""

    def __init__(self, cells: Cells, measures: Sequence[str], size: int) -> None:
        self._cells, self._measures, self._size = cells, measures, size
        self._sums: dict[str, Values] = {}

    def of(self, measure: str) -> Values:
        """By row of the table."""
        if measure not in self._sums:
            values = self._cells.values[self._measures.index(measure)]
            self._sums[measure] = np.bincount(self._cells.rows, values, self._size).astype(np.float64, copy=False)
        return self._sums[measure]

    def take(self, rows: Rows) -> Values:
        """All of MEASURES of these rows, in their order; 0 for measures that the ring does not hold."""
        taken = np.zeros((len(rows), len(MEASURES)))
        for measure in self._measures:
            taken[:, INDEX[measure]] = self.of(measure)[rows]
        return taken


class Ring:
    """These measures of the `minutes` newest minutes (since 1970)."""

    def __init__(self, table: CountTable, minutes: int, measures: Sequence[str] = MEASURES) -> None:
        self.table, self.minutes, self.measures = table, minutes, tuple(measures)
        self.first = 0
        self._cells: dict[int, Cells] = {}
        self._totals: dict[int, float] = {}
        """Mentions in a minute of all scopes, including those that no rule is about."""

    @property
    def last(self) -> int:
        return self.first + self.minutes - 1

    @property
    def nbytes(self) -> int:
        return sum(cells.rows.nbytes + cells.values.nbytes for cells in self._cells.values())

    def move(self, last: int) -> None:
        """Makes `last` the newest minute and drops those that are too old. Never goes back."""
        self.first = max(self.first, last - self.minutes + 1)
        for minute in [minute for minute in self._totals if minute < self.first]:
            self._cells.pop(minute, None)
            del self._totals[minute]

    def put(self, frame: pl.DataFrame, minutes: Iterable[int], brands: Sequence[str] | None) -> None:
        """Takes over the counts of these minutes and brands (None: of all brands): an answer to `counts.read_sql`."""
        inside = [minute for minute in minutes if self.first <= minute <= self.last]
        sliced = self.table.slice.of(frame).filter(pl.col("minute").is_in(inside))
        self._count(sliced, inside, whole=brands is None)
        sliced = self.table.wanted(sliced)
        sums = sliced.group_by("brand", "platform", "language", "minute").agg(pl.col(self.measures).sum())
        said = sums.get_column("minute").to_numpy()
        rows = self.table.rows(sums, said)
        values = sums.select(self.measures).to_numpy().T
        again = None if brands is None else self.table.of_brands(brands)
        for minute in inside:
            here = np.flatnonzero((said == minute) & (rows != NONE))
            new = Cells(rows[here].astype(np.int32), values[:, here].astype(np.float64))
            before = self._cells.get(minute)
            kept = [] if again is None or before is None else [before.without(again)]
            self._cells[minute] = Cells.of([*kept, new], len(self.measures))

    def window(self, minute: int, length: int, only: npt.NDArray[np.bool_] | None = None) -> Window:
        """The sums of the `length` minutes that end with `minute`, which is in the ring; `only`: of these rows (a mask)."""
        parts = [self._cells[m] for m in range(minute - length + 1, minute + 1) if m in self._cells]
        if only is not None:
            parts = [part.kept(only[part.rows]) for part in parts]
        return Window(Cells.of(parts, len(self.measures)), self.measures, len(self.table))

    def total(self, minute: int, length: int) -> float:
        return sum(self._totals.get(m, 0.0) for m in range(minute - length + 1, minute + 1))

    def forget(self, rows: Rows) -> None:
        """Drops the cells of these rows."""
        self._cells = {minute: cells.without(rows) for minute, cells in self._cells.items()}

    def _count(self, sliced: pl.DataFrame, inside: Sequence[int], whole: bool) -> None:
        totals = dict(sliced.group_by("minute").agg(pl.col("count").sum()).iter_rows())
        for minute in inside:
            # Counts of some brands are a part of the total.
            least = 0.0 if whole else self._totals.get(minute, 0.0)
            self._totals[minute] = max(least, totals.get(minute, 0.0))
