"""The past of a slice: four weeks of counts in steps of five minutes, the week's negative share, and the expected counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts.counts import Values
from pipeline.processors.alerts.expected import REACH_STEPS, Expected
from pipeline.processors.alerts.minutes import MINUTE_S, STEP_S
from pipeline.processors.alerts.negative_share import NegativeShare
from pipeline.processors.alerts.past import LATE_STEPS, Past
from pipeline.processors.alerts.ring import Ring
from pipeline.processors.alerts.spike import Baseline, reach
from pipeline.processors.alerts.spike_parameters import Bools, Spike
from pipeline.processors.alerts.study import DAYS
from pipeline.processors.alerts.table import NONE, CountTable, Rows

STEP_MINUTES = STEP_S // MINUTE_S
HISTORY_STEPS = REACH_STEPS
REACH_MINUTES = (reach(Spike()) + 1) * STEP_MINUTES
"""Of the longest window of a spike, with the step that goes on."""
_DAY_STEPS = 86400 // STEP_S
OFF, OFF_LEAST = 0.02, 10
"""If all scopes together have less than this share of the usual count in a step of the past, the step is unknown, not quiet:
Earshot was off, and its few events came later with an old date. The rule needs a usual count of OFF_LEAST or more."""
MOST_BYTES = 256 << 20
"""Of the counts of all histories together. Beyond it they reach less far back."""
MANY = 100
"""A scope with mentions in so many steps has a past that is worth keeping."""
_NEVER = np.iinfo(np.int64).max
_NO_ROWS: Rows = np.zeros(0, np.int64)


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
        self._share = NegativeShare()
        self._totals, self._live = np.zeros(HISTORY_STEPS), np.zeros(HISTORY_STEPS)
        """Of all scopes together, by step % HISTORY_STEPS."""
        self._off = np.zeros(HISTORY_STEPS, bool)
        """By step % HISTORY_STEPS: steps whose counts are unknown."""
        self._expected = Expected(table, self.volume)

    @property
    def apart(self) -> int:
        """The first minute that is in the windows of one that can still be judged."""
        return max(self.first, self.step - LATE_STEPS - REACH_MINUTES // STEP_MINUTES) * STEP_MINUTES

    @property
    def days(self) -> float:
        """How far it reaches back, of the days that are looked at."""
        return min(DAYS, (self.step - self.first) / _DAY_STEPS)

    @property
    def nbytes(self) -> int:
        own = (self.peak, self._begun, self._share, self._totals, self._live, self._off)
        return self._past.nbytes + self._expected.nbytes + sum(each.nbytes for each in own)

    # --- from ClickHouse ----------------------------------------------------------------------------------------------
    def begin(self, step: int) -> None:
        """Starts over: `add` gives the counts before `step`, four weeks at most."""
        self.step = self.first = step
        self._share.begin(step)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for older counts; they stay unknown."""
        return self._past.nbytes >= self._most

    def add(self, frame: pl.DataFrame, first: int, end: int) -> None:
        """Takes over the steps from `first` to before `end`: the ones before all steps that were added."""
        self.first = first
        rows, steps, mentions = self._take(frame) if frame.height else (_NO_ROWS, _NO_ROWS, _NO_ROWS)
        self._grow()
        self._past.before(first, end, rows, steps, mentions)

    def _take(self, frame: pl.DataFrame) -> tuple[Rows, Rows, Rows]:
        """Takes over all but the counts of the scopes, which are returned: rows, steps and counts."""
        sliced = self._table.slice.of(frame)
        for step, total, live in sliced.group_by("minute").agg(pl.col("count", "live").sum()).iter_rows():
            self._totals[step % HISTORY_STEPS], self._live[step % HISTORY_STEPS] = total, live
        rows, sums = self._sums(sliced)
        steps, mentions = sums.get_column("minute").to_numpy(), sums.get_column("count").to_numpy()
        self._share.add(rows, steps, sums.select("negative", "labelled").to_numpy())
        return rows, steps, mentions

    def _sums(self, sliced: pl.DataFrame) -> tuple[Rows, pl.DataFrame]:
        """The rows of the scopes, and their sums by step."""
        groups = self._table.wanted(sliced).group_by("brand", "platform", "language", "minute")
        sums = groups.agg(pl.col("count", "negative", "labelled").sum())
        rows = self._table.rows(sums, last_minutes(sums.get_column("minute")))
        self._grow()
        sums, rows = sums.filter(pl.Series(rows != NONE)), rows[rows != NONE]
        steps, mentions = sums.get_column("minute").to_numpy(), sums.get_column("count").to_numpy()
        np.minimum.at(self._begun, rows, steps)
        np.maximum.at(self.peak, rows, mentions)
        return rows, sums

    def finish(self) -> None:
        """All counts were added: finds the steps in which Earshot was off."""
        self._past.part(self.step - LATE_STEPS)
        usual = _usual(self._live)
        if usual >= OFF_LEAST:
            self._off = self._totals < OFF * usual
            self._totals[self._off] = 0

    # --- as time goes on ----------------------------------------------------------------------------------------------
    def advance(self, ring: Ring, step: int) -> None:
        """Goes on to `step`, with the ring's counts of the steps in between."""
        self._grow()
        if not self.step:
            self.begin(step)
        if step <= self.step:
            return
        for each in range(max(self.step, step - HISTORY_STEPS), step):
            self._take_over(ring, each)
        self.first = max(self.first, step - HISTORY_STEPS)
        self._past.forget_before(self.first)
        while self._past.nbytes > self._most:
            self.first = self._past.shorten()
        self._share.move(step)
        self._expected.move(step)
        self.step = step

    def correct(self, ring: Ring, minutes: Iterable[int]) -> None:
        """Takes steps over again whose minutes came late or changed: those that are judged still."""
        for step in sorted({minute // STEP_MINUTES for minute in minutes}):
            if self._past.holds(step) and ring.first <= step * STEP_MINUTES:
                self._grow()
                if self._take_over(ring, step):
                    self._expected.correct(step)

    def replace(self, frame: pl.DataFrame, steps: Sequence[int]) -> None:
        """Takes over steps again that the ring holds no more, with all that ClickHouse has of them: an answer to
        `counts.history_sql`. The week's negative share stays as it was."""
        sliced = self._table.slice.of(frame)
        totals = dict(sliced.group_by("minute").agg(pl.col("count").sum()).iter_rows())
        known = [step for step in steps if self.first <= step < self.step]
        for step in known:
            self._set_total(step, totals.get(step, 0))
        rows, sums = self._sums(sliced)
        self._past.replace(known, rows, sums.get_column("minute").to_numpy(), sums.get_column("count").to_numpy())
        self._expected.correct(min(known, default=self.step))

    def use_zones(self, rows: Rows) -> None:
        """The brands of these rows have other zones."""
        self._expected.forget_zones(rows)

    def _take_over(self, ring: Ring, step: int) -> bool:
        """Returns False if the counts are as they were."""
        last = (step + 1) * STEP_MINUTES - 1
        inside = ring.first + STEP_MINUTES - 1 <= last <= ring.last
        changed = self._set_total(step, ring.total(last, STEP_MINUTES) if inside else None)
        if not inside:
            return True
        window = ring.window(last, STEP_MINUTES)
        count = window.of("count")
        rows = np.flatnonzero(count)
        self._begun[rows] = np.minimum(self._begun[rows], step)
        self.peak[rows] = np.maximum(self.peak[rows], count[rows])
        labelled = np.column_stack([window.of("negative"), window.of("labelled")])[rows]
        self._share.put(step, rows, labelled)
        return self._past.put(step, rows, count[rows]) or changed

    def _set_total(self, step: int, total: float | None) -> bool:
        """The mentions of all scopes; None: unknown. Returns whether it is another now that Earshot was off."""
        index = step % HISTORY_STEPS
        was_off = self._off[index]
        # While it runs, only a step without any mention means that it was off; few mentions are for the rules to judge.
        day = np.arange(step - _DAY_STEPS, step) % HISTORY_STEPS
        self._off[index] = total is None or (not total and _usual(self._totals[day]) >= OFF_LEAST)
        self._totals[index] = 0 if self._off[index] else total
        return bool(was_off != self._off[index])

    def mattered(self, least: int) -> npt.NDArray[np.bool_]:
        """By row: whether a step had `least` mentions, or MANY steps had some."""
        self._grow()
        mattered: npt.NDArray[np.bool_] = (self.peak >= least) | (self._past.sizes(len(self.peak)) >= MANY)
        return mattered

    def forget(self, rows: Rows) -> None:
        """Drops the counts of these rows."""
        self._grow()
        self._past.forget(rows)
        self.peak[rows], self._begun[rows] = 0, _NEVER
        self._share.forget(rows)
        self._expected.forget(rows)

    def _grow(self) -> None:
        """Scopes that are new have no history."""
        if missing := len(self._table) - len(self.peak):
            self.peak = np.append(self.peak, np.zeros(missing))
            self._begun = np.append(self._begun, np.full(missing, _NEVER))
            self._share.grow(len(self._table))

    # --- expected counts ----------------------------------------------------------------------------------------------
    def volume(self, rows: Rows, steps: int = HISTORY_STEPS, until: int | None = None) -> npt.NDArray[np.float32]:
        """The counts of so many steps before `until` (None: `step`); NaN: unknown."""
        end = self.step if until is None else until
        numbers = np.arange(end - steps, end)
        volume = self._past.dense(rows, end - steps, end)
        volume[:, self._off[numbers % HISTORY_STEPS] | (numbers < self.first)] = np.nan
        volume[numbers < self._begun[rows, None]] = np.nan
        return volume

    def baseline(self, spike: Spike, rows: Rows, step: int, zone: str | None = None) -> Baseline:
        """Of `step`, one of the newest LATE_STEPS, for these rows; by the clock of `zone`, or (None) of their brands' zones."""
        self._grow()
        return self._expected.baseline(spike, rows, step, zone)

    def unstudied(self, spike: Spike, rows: Rows, step: int, zone: str | None = None) -> Bools:
        """Of which of these rows `baseline` would have to look at four weeks: the first time in an hour."""
        self._grow()
        return self._expected.unstudied(spike, rows, step, zone)

    def share(self, rows: Rows, step: int) -> Values:
        """The negative share of these rows that is expected in `step`; NaN where no mention was labelled."""
        self._grow()
        return self._share.before(step, rows)


def last_minutes(steps: pl.Series) -> Rows:
    """The last minute of each step: a mention is not older than that."""
    minutes: Rows = (steps.to_numpy() + 1) * STEP_MINUTES - 1
    return minutes


def _usual(totals: npt.NDArray[Any]) -> float:
    ran = totals[totals > 0]
    return float(np.median(ran)) if ran.size else 0.0
