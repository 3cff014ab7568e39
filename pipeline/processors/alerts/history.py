"""The past of a slice: four weeks of counts in steps of five minutes, the week's negative share, and the expected counts.

The slow part of a baseline is computed only for scopes that a rule asks for, once an hour each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts.counts import Values
from pipeline.processors.alerts.minutes import MINUTE_S, STEP_S
from pipeline.processors.alerts.past import CHUNK_STEPS, Past
from pipeline.processors.alerts.ring import Ring
from pipeline.processors.alerts.spike import Baseline, expect
from pipeline.processors.alerts.spike_parameters import Spike
from pipeline.processors.alerts.study import DAYS, Study, study
from pipeline.processors.alerts.table import NONE, CountTable, Rows

STEP_MINUTES = STEP_S // MINUTE_S
HISTORY_STEPS = DAYS * 86400 // STEP_S
_HOUR_STEPS, _DAY_STEPS, _WEEK_STEPS = 3600 // STEP_S, 86400 // STEP_S, 7 * 86400 // STEP_S
OFF, OFF_LEAST = 0.02, 10
"""If all scopes together have less than this share of the usual count in a step of the past, the step is unknown, not quiet:
Earshot was off, and its few events came later with an old date. The rule needs a usual count of OFF_LEAST or more."""
MOST_BYTES = 256 << 20
"""Of the counts of all histories together. Beyond it they reach less far back."""
MANY = 100
"""A scope with mentions in so many steps has a past that is worth keeping."""
_NEVER = np.iinfo(np.int64).max
_BLOCK = 256  # scopes whose counts are laid out at a time
L = TypeVar("L", Study, Baseline)


class _Learned(Generic[L]):
    """Studies or baselines of some rows, computed once each."""

    def __init__(self, kind: type[L]) -> None:
        self._kind: type[L] = kind
        self._rows = np.zeros(0, np.int64)
        self._arrays: list[npt.NDArray[Any]] = []
        """Of `kind`, with a value for each row."""

    def of(self, rows: Rows, learn: Callable[[Rows], L]) -> L:
        """Of these rows; calls `learn` for the rows that are not known yet."""
        new = np.setdiff1d(rows, self._rows)
        if new.size or not self._arrays:
            both, learned = np.append(self._rows, new), learn(new)
            order = np.argsort(both)
            pairs = zip(self._arrays, learned, strict=True) if self._arrays else ((array,) for array in learned)
            self._rows, self._arrays = both[order], [np.concatenate(pair)[order] for pair in pairs]
        indices = np.searchsorted(self._rows, rows)
        taken: L = self._kind(*(array[indices] for array in self._arrays))
        return taken

    def forget(self, rows: Rows) -> None:
        kept = ~np.isin(self._rows, rows)
        self._rows, self._arrays = self._rows[kept], [array[kept] for array in self._arrays]


class History:
    """Memory: that of pipeline/processors/alerts/past.py, at most `most` bytes, and 40 bytes a scope.

    Restart: empty; `begin`, `add` and `finish` bring it back from ClickHouse.
    """

    def __init__(self, table: CountTable, most: int = MOST_BYTES) -> None:
        self.step = 0
        """The step that is judged next: all before are known."""
        self.first = 0
        """The oldest step that is known."""
        self._table, self._most = table, most
        self._past = Past()
        self.peak: Values = np.zeros(0)
        """By row: no step of the past has more."""
        self._begun: Rows = np.zeros(0, np.int64)
        """By row: the first step with a mention. After it, a step without any counts as 0."""
        self._share = np.zeros((0, 2))
        self._totals, self._live = np.zeros(HISTORY_STEPS), np.zeros(HISTORY_STEPS)
        """Of all scopes together, by step % HISTORY_STEPS."""
        self._off = np.zeros(HISTORY_STEPS, bool)
        """By step % HISTORY_STEPS: steps whose counts are unknown."""
        self._studies: dict[Spike, _Learned[Study]] = {}
        self._baselines: dict[Spike, _Learned[Baseline]] = {}

    @property
    def days(self) -> float:
        """How far it reaches back."""
        return (self.step - self.first) / _DAY_STEPS

    @property
    def nbytes(self) -> int:
        own = (self.peak, self._begun, self._share, self._totals, self._live, self._off)
        return self._past.nbytes + sum(array.nbytes for array in own)

    # --- from ClickHouse ----------------------------------------------------------------------------------------------
    def load(self, frame: pl.DataFrame, step: int) -> None:
        """Takes over the counts before `step`, as `counts.history_sql` gives them; the share is that of the week before."""
        self.begin(step)
        for first in range(step - CHUNK_STEPS, step - HISTORY_STEPS - 1, -CHUNK_STEPS):
            if not self.is_full:
                self.add(frame.filter(pl.col("minute").is_between(first, first + CHUNK_STEPS - 1)), first, first + CHUNK_STEPS)
        self.finish()

    def begin(self, step: int) -> None:
        """Starts over: `add` gives the counts before `step`, four weeks at most."""
        self.step = self.first = step

    @property
    def is_full(self) -> bool:
        """Whether there is no room for older counts; they stay unknown."""
        return self._past.nbytes >= self._most

    def add(self, frame: pl.DataFrame, first: int, end: int) -> None:
        """Takes over the steps from `first` to before `end`: the ones before all steps that were added."""
        self.first = first
        sliced = self._table.slice.of(frame)
        for step, total, live in sliced.group_by("minute").agg(pl.col("count", "live").sum()).iter_rows():
            self._totals[step % HISTORY_STEPS], self._live[step % HISTORY_STEPS] = total, live
        groups = self._table.wanted(sliced).group_by("brand", "platform", "language", "minute")
        sums = groups.agg(pl.col("count", "negative", "labelled").sum())
        rows = self._table.rows(sums, sums.get_column("minute").to_numpy() * STEP_MINUTES)
        self._grow()
        sums, rows = sums.filter(pl.Series(rows != NONE)), rows[rows != NONE]
        steps, counts = sums.get_column("minute").to_numpy(), sums.get_column("count").to_numpy()
        np.minimum.at(self._begun, rows, steps)
        np.maximum.at(self.peak, rows, counts)
        week = steps >= self.step - _WEEK_STEPS
        np.add.at(self._share, rows[week], sums.select("negative", "labelled").to_numpy()[week])
        self._past.before(first, end, rows, steps, counts)

    def finish(self) -> None:
        """All counts were added: finds the steps in which Earshot was off."""
        usual = _usual(self._live)
        if usual >= OFF_LEAST:
            self._off = self._totals < OFF * usual
            self._totals[self._off] = 0

    # --- as time goes on ----------------------------------------------------------------------------------------------
    def advance(self, ring: Ring, step: int) -> None:
        """Goes on to `step`, with the ring's counts of the steps in between."""
        self._grow()
        if not self.step:
            self.step = self.first = step
        if step <= self.step:
            return
        for each in range(max(self.step, step - HISTORY_STEPS), step):
            self._take_over(ring, each)
        self.first = max(self.first, step - HISTORY_STEPS)
        self._past.forget_before(self.first)
        while self._past.nbytes > self._most:
            self.first = self._past.shorten()
        if step // _HOUR_STEPS != self.step // _HOUR_STEPS:
            self._studies.clear()
        self._baselines.clear()
        self.step = step

    def _take_over(self, ring: Ring, step: int) -> None:
        index, last = step % HISTORY_STEPS, (step + 1) * STEP_MINUTES - 1
        total = ring.total(last, STEP_MINUTES)
        # While it runs, only a step without any mention means that it was off; few mentions are for the rules to judge.
        self._off[index] = not ring.first + STEP_MINUTES - 1 <= last <= ring.last or (
            not total and _usual(self._totals[np.arange(step - _DAY_STEPS, step) % HISTORY_STEPS]) >= OFF_LEAST
        )
        self._totals[index] = 0 if self._off[index] else total
        if not ring.first + STEP_MINUTES - 1 <= last <= ring.last:
            return
        window = ring.window(last, STEP_MINUTES)
        count = window.of("count")
        rows = np.flatnonzero(count)
        self._begun[rows] = np.minimum(self._begun[rows], step)
        self.peak[rows] = np.maximum(self.peak[rows], count[rows])
        self._past.add(step, rows, count[rows])
        # A week's memory: counts of a week ago weigh 1/e.
        labelled = np.column_stack([window.of("negative"), window.of("labelled")])
        self._share = self._share * (1 - 1 / _WEEK_STEPS) + labelled

    def mattered(self, least: int) -> npt.NDArray[np.bool_]:
        """By row: whether a step had `least` mentions, or MANY steps had some."""
        self._grow()
        mattered: npt.NDArray[np.bool_] = (self.peak >= least) | (self._past.sizes(len(self.peak)) >= MANY)
        return mattered

    def forget(self, rows: Rows) -> None:
        """Drops the counts of these rows."""
        self._grow()
        self._past.forget(rows)
        self.peak[rows], self._begun[rows], self._share[rows] = 0, _NEVER, 0
        for studies in self._studies.values():
            studies.forget(rows)
        for baselines in self._baselines.values():
            baselines.forget(rows)

    def _grow(self) -> None:
        """Scopes that are new have no history."""
        if missing := len(self._table) - len(self.peak):
            self.peak = np.append(self.peak, np.zeros(missing))
            self._begun = np.append(self._begun, np.full(missing, _NEVER))
            self._share = np.concatenate([self._share, np.zeros((missing, 2))])

    # --- expected counts ----------------------------------------------------------------------------------------------
    def volume(self, rows: Rows, steps: int = HISTORY_STEPS, until: int | None = None) -> npt.NDArray[np.float32]:
        """The counts of so many steps before `until` (None: `step`); NaN: unknown."""
        end = self.step if until is None else until
        numbers = np.arange(end - steps, end)
        volume = self._past.dense(rows, end - steps, end)
        volume[:, self._off[numbers % HISTORY_STEPS] | (numbers < self.first)] = np.nan
        volume[numbers < self._begun[rows, None]] = np.nan
        return volume

    def baseline(self, spike: Spike, rows: Rows) -> Baseline:
        """Of the step, for these rows."""
        self._grow()
        return self._baselines.setdefault(spike, _Learned(Baseline)).of(rows, lambda new: self._expect(spike, new))

    def _expect(self, spike: Spike, rows: Rows) -> Baseline:
        studied = self._studies.setdefault(spike, _Learned(Study)).of(rows, lambda new: self._study(spike, new))
        return expect(studied, self.volume(rows, _HOUR_STEPS), self.step, spike)

    def _study(self, spike: Spike, rows: Rows) -> Study:
        hour = self.step - self.step % _HOUR_STEPS
        steps = HISTORY_STEPS - self.step % _HOUR_STEPS
        blocks = [rows[n : n + _BLOCK] for n in range(0, max(len(rows), 1), _BLOCK)]
        parts = [study(self.volume(block, steps, hour), spike) for block in blocks]
        return Study(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def share(self, rows: Rows) -> Values:
        """The expected negative share of these rows; NaN where no mention was labelled."""
        self._grow()
        negative, labelled = self._share[rows].T
        with np.errstate(invalid="ignore"):
            share: Values = negative / np.where(labelled > 0, labelled, np.nan)
        return share


def _usual(totals: npt.NDArray[Any]) -> float:
    ran = totals[totals > 0]
    return float(np.median(ran)) if ran.size else 0.0
