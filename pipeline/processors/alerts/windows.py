"""Windowed rules: spikes and thresholds of all scopes, judged as matrices of scopes by rules.

A window of n minutes that is judged at minute m is the minutes m - n + 1 to m: of these the last may still be going on. What is
too much is judged while the minute goes on, so that it is seen at once; what is too little only once the minute is over.
The share of negative ones is taken over what is labelled, once 80 % of the window's are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts import counts
from pipeline.processors.alerts.alert import Scope
from pipeline.processors.alerts.counts import PLACE, Ring, Slice, Table, Values
from pipeline.processors.alerts.rules import SpikeRule, ThresholdRule
from pipeline.processors.alerts.spike import DAYS, DROP, STEP_S, Baseline, Spike, Study, expect, judge, judge_share, study

STEP_MINUTES = STEP_S // counts.MINUTE_S
HISTORY_STEPS = DAYS * 86400 // STEP_S
_HOUR_STEPS, _DAY_STEPS, _WEEK_STEPS = 3600 // STEP_S, 86400 // STEP_S, 7 * 86400 // STEP_S
LATE_MINUTES = 62
"""A minute of the last hour can still be judged."""
COVERED = 0.8
TRUE, STILL, UNKNOWN = 1, 2, -1
"""STILL: not true, but near enough to keep an alert that is open; so a burst that goes up and down is one."""
OFF, OFF_LEAST = 0.02, 10
"""A step of the past in which all scopes together have less than this share of what is usual while Earshot runs is not known,
and no quiet one: it was off, and what there is came later with an old date. With less than OFF_LEAST there is no telling."""
_SPIKE = Spike()
HOLDS = 0.5
"""Of a spike's bar: above it an alert goes on."""

WindowedRule = SpikeRule | ThresholdRule
Truth = npt.NDArray[np.int8]
Authors = Callable[[Slice, Sequence[Scope], int, int], pl.DataFrame]
"""(slice, scopes, first minute, last minute) -> what `counts.authors_sql` asks for."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One slice at one minute. All arrays are scopes by rules; `expected`, `lower` and `upper` are NaN where there is none."""

    minute: int
    scopes: Sequence[Scope]
    rules: Sequence[WindowedRule]
    truth: Truth
    observed: Values
    expected: Values
    lower: Values
    upper: Values
    severity: Values
    windows: Sequence[Values]
    """Of each rule: scopes by `counts.MEASURES`."""


class _Column(NamedTuple):
    """What one rule says of each scope of its slice: the columns of `Verdicts`."""

    truth: npt.NDArray[Any]
    observed: Values
    expected: npt.NDArray[Any]
    lower: npt.NDArray[Any]
    upper: npt.NDArray[Any]
    severity: npt.NDArray[Any]


class History:
    """What is expected of each scope: the counts of four weeks in steps of five minutes, and the week's share of negative ones.

    Memory: 32 kB a scope. Restart: empty, `load` brings it back from ClickHouse.
    """

    def __init__(self, table: Table) -> None:
        self.step = 0
        """The step that is judged next: all before are known."""
        self._table = table
        self._volume = np.full((0, HISTORY_STEPS), np.nan, np.float32)
        self._share = np.zeros((0, 2))
        self._studies: dict[Spike, Study] = {}
        self._baselines: dict[Spike, Baseline] = {}

    def load(self, frame: pl.DataFrame, step: int) -> None:
        """Takes over the counts before `step`, as `counts.history_sql` gives them; the share is that of the week before."""
        sliced = self._table.slice.of(frame).group_by("brand", "platform", "language", "minute")
        sums = sliced.agg(pl.col("count", "negative", "labelled", "live").sum())
        rows = self._table.rows(sums)
        self.step = step
        self._volume = np.full((len(self._table.scopes), HISTORY_STEPS), np.nan, np.float32)
        columns = sums.get_column("minute").to_numpy() - (step - HISTORY_STEPS)
        fits = (columns >= 0) & (columns < HISTORY_STEPS)
        self._volume[rows[fits], columns[fits]] = sums.get_column("count").to_numpy()[fits]
        # Nothing between two steps with something is nothing; before the first one it is not known.
        begun = np.maximum.accumulate(~np.isnan(self._volume), axis=1)
        self._volume[begun & np.isnan(self._volume)] = 0
        live = sums.group_by("minute").agg(pl.col("live").sum()).get_column("live").to_numpy()
        usual = _usual(live)
        if usual >= OFF_LEAST:
            self._volume[:, np.nansum(self._volume, axis=0) < OFF * usual] = np.nan
        self._forget()
        self._learn_share(frame.filter(pl.col("minute") >= step - _WEEK_STEPS))

    def _learn_share(self, week: pl.DataFrame) -> None:
        sliced = self._table.slice.of(week).group_by("brand", "platform", "language")
        sums = sliced.agg(pl.col("negative", "labelled").sum())
        self._share = np.zeros((len(self._table.scopes), 2))
        self._share[self._table.rows(sums)] = sums.select("negative", "labelled").to_numpy()

    def advance(self, ring: Ring, step: int) -> None:
        """Goes on to `step`, with what the ring holds of the steps in between."""
        self._grow()
        by = min(step - self.step, HISTORY_STEPS)
        if by <= 0:
            return
        self._volume = np.roll(self._volume, -by, axis=1)
        for column in range(HISTORY_STEPS - by, HISTORY_STEPS):
            last = (step - HISTORY_STEPS + column + 1) * STEP_MINUTES - 1
            if not ring.first + STEP_MINUTES - 1 <= last <= ring.last:
                self._volume[:, column] = np.nan
                continue
            count = ring.window(last, STEP_MINUTES)[:, PLACE["count"]]
            unknown = np.isnan(self._volume[:, :column]).all(axis=1) & (count == 0)
            day = np.nansum(self._volume[:, max(0, column - _DAY_STEPS) : column], axis=0)
            # While it runs only nothing at all means that it was off; less is for the rules to judge.
            unknown |= not count.any() and _usual(day) >= OFF_LEAST
            self._volume[:, column] = np.where(unknown, np.nan, count)
            labelled = ring.window(last, STEP_MINUTES)[:, [PLACE["negative"], PLACE["labelled"]]]
            # A week's memory: what is a week old weighs 1/e.
            self._share = self._share * (1 - 1 / _WEEK_STEPS) + labelled
        if step // _HOUR_STEPS != self.step // _HOUR_STEPS:
            self._studies.clear()
        self._baselines.clear()
        self.step = step

    def _grow(self) -> None:
        """Scopes that are new have no history."""
        missing = len(self._table.scopes) - len(self._volume)
        if missing > 0:
            self._volume = np.concatenate([self._volume, np.full((missing, HISTORY_STEPS), np.nan, np.float32)])
            self._share = np.concatenate([self._share, np.zeros((missing, 2))])
            self._forget()

    def _forget(self) -> None:
        self._studies.clear()
        self._baselines.clear()

    def baseline(self, spike: Spike) -> Baseline:
        """Of the step; what is slow to learn is learned once an hour."""
        self._grow()
        if spike not in self._studies:
            self._studies[spike] = study(self._volume[:, : HISTORY_STEPS - self.step % _HOUR_STEPS], spike)
        if spike not in self._baselines:
            self._baselines[spike] = expect(self._studies[spike], self._volume, self.step, spike)
        return self._baselines[spike]

    def share(self) -> Values:
        """The share of negative ones that is expected; NaN where nothing was labelled."""
        self._grow()
        with np.errstate(invalid="ignore"):
            share: Values = self._share[:, 0] / np.where(self._share[:, 1] > 0, self._share[:, 1], np.nan)
        return share


class Windows:
    """All spike and threshold rules. Fill `rings` and `histories` first, then `judge` a minute."""

    def __init__(self, rules: Iterable[WindowedRule], authors: Authors) -> None:
        self._authors = authors
        self._rules: dict[Slice, list[WindowedRule]] = {}
        for rule in rules:
            self._rules.setdefault(Slice(rule.by, rule.platforms, rule.languages), []).append(rule)
        tables = {slice_: Table(slice_) for slice_ in self._rules}
        minutes = max((_length(rule) for rule in self.rules), default=STEP_MINUTES) + LATE_MINUTES
        self.rings = {slice_: Ring(table, minutes) for slice_, table in tables.items()}
        self.histories = {
            slice_: History(tables[slice_])
            for slice_, group in self._rules.items()
            if any(isinstance(rule, SpikeRule) for rule in group)
        }

    @property
    def rules(self) -> list[WindowedRule]:
        return [rule for group in self._rules.values() for rule in group]

    @property
    def dimensions(self) -> set[str]:
        return {name for slice_ in self._rules for name in slice_.dimensions}

    @property
    def minutes(self) -> int:
        """How many minutes the rings hold; 0: there are no rules."""
        return max((ring.values.shape[1] for ring in self.rings.values()), default=0)

    @property
    def first(self) -> int:
        """The oldest minute that can be judged with all of its windows."""
        return max((ring.first + self.minutes - LATE_MINUTES for ring in self.rings.values()), default=0)

    @property
    def longest(self) -> int:
        """Minutes of the longest window."""
        return self.minutes - LATE_MINUTES

    def move(self, minute: int) -> None:
        """`minute` is the newest one from now on."""
        for ring in self.rings.values():
            ring.move(minute)
        for slice_, history in self.histories.items():
            # The step before is closed a minute after its end, so that what comes a little late is in it.
            history.advance(self.rings[slice_], (minute - 1) // STEP_MINUTES)

    def put(self, frame: pl.DataFrame, minutes: Sequence[int], brands: Sequence[str] | None) -> None:
        for ring in self.rings.values():
            ring.put(frame, minutes, brands)

    def judge(self, minute: int, over: bool) -> list[Verdicts]:
        """The verdicts of each slice at this minute of the ring; `over`: all of the minute has been read."""
        return [self._judge(slice_, group, minute, over) for slice_, group in self._rules.items()]

    def _judge(self, slice_: Slice, rules: list[WindowedRule], minute: int, over: bool) -> Verdicts:
        ring = self.rings[slice_]
        scopes = ring.table.scopes
        windows = {length: ring.window(minute, length) for length in {_length(rule) for rule in rules}}
        columns = []
        for rule in rules:
            window = windows[_length(rule)]
            column = (
                self._spike_of(slice_, rule, window, minute)
                if isinstance(rule, SpikeRule)
                else self._threshold(slice_, rule, window, minute)
            )
            theirs = np.isin([scope.brand for scope in scopes], rule.brands) if rule.brands and scopes else True
            judged = theirs & (over | np.full(len(scopes), not _waits(rule)))
            columns.append(column._replace(truth=np.where(judged, column.truth, UNKNOWN).astype(np.int8)))
        truth, observed, expected, lower, upper, severity = (np.stack(arrays, axis=1) for arrays in zip(*columns, strict=True))
        found = [windows[_length(rule)] for rule in rules]
        return Verdicts(minute, scopes, rules, truth, observed, expected, lower, upper, severity, found)

    def _spike_of(self, slice_: Slice, rule: SpikeRule, window: Values, minute: int) -> _Column:
        history = self.histories[slice_]
        if not len(window):
            return _Column(np.zeros(0, np.int8), *(np.zeros(0) for _ in range(5)))
        if rule.measure == "volume":
            spike = DROP if rule.direction == "below" else _SPIKE
            observed, baseline = window[:, PLACE["count"]], history.baseline(spike)
            # A minute into the next step this one is still the newest that is known; a late minute lies before it.
            elapsed = min(1.0, max(0.0, (minute + 1 - history.step * STEP_MINUTES) / STEP_MINUTES))
            verdict, known = judge(baseline, observed, spike, elapsed), baseline.known
            enough = (observed if rule.direction == "above" else verdict.expected) >= rule.min_mentions
        else:
            negative, labelled = window[:, PLACE["negative"]], window[:, PLACE["labelled"]]
            observed, share = _ratio(negative, labelled), history.share()
            verdict, known = judge_share(share, negative, labelled, _SPIKE), ~np.isnan(share) & _covered(window)
            enough = labelled >= rule.min_mentions
        severity = verdict.above if rule.direction == "above" else verdict.below
        true = enough & (severity >= rule.severity)
        holds = (verdict.score if rule.direction == "above" else -verdict.score) > HOLDS
        truth = np.where(known, np.where(true, TRUE, np.where(holds, STILL, 0)), UNKNOWN)
        return _Column(truth, observed, verdict.expected, verdict.lower, verdict.upper, severity)

    def _threshold(self, slice_: Slice, rule: ThresholdRule, window: Values, minute: int) -> _Column:
        observed, known = self._number(slice_, rule, window, minute)
        none = np.full(len(observed), np.nan)
        if rule.above is not None:
            hit, lower, upper = observed > rule.above, none, np.full(len(observed), rule.above)
        else:
            limit = rule.below or 0.0
            hit, lower, upper = observed < limit, np.full(len(observed), limit), none
        return _Column(
            np.where(known, hit, UNKNOWN), observed, none, lower, upper, np.full(len(observed), float(rule.severity))
        )

    def _number(self, slice_: Slice, rule: ThresholdRule, window: Values, minute: int) -> tuple[Values, npt.NDArray[np.bool_]]:
        """What the rule measures, and where it is known."""
        count = window[:, PLACE["count"]]
        if rule.measure == "count":
            return count, np.ones(len(count), bool)
        if rule.measure == "authors":
            return self._distinct(slice_, rule, count, minute), np.ones(len(count), bool)
        if rule.measure in ("negative_share", "score"):
            labelled = window[:, PLACE["labelled"]]
            value = window[:, PLACE["negative" if rule.measure == "negative_share" else "score"]]
            return _ratio(value, labelled), (labelled >= rule.min_mentions) & _covered(window)
        total = window[:, PLACE[rule.measure]]
        if rule.aggregate == "sum":
            return total, np.ones(len(count), bool)
        known = window[:, PLACE[f"{rule.measure}_known"]]
        return _ratio(total, known), known >= rule.min_mentions

    def _distinct(self, slice_: Slice, rule: ThresholdRule, count: Values, minute: int) -> Values:
        """Distinct authors, where there can be enough; elsewhere as many as there are mentions, which are not more."""
        table = self.rings[slice_].table
        asked = count > rule.above if rule.above is not None else count > 0
        if rule.brands and len(count):
            asked &= np.isin([scope.brand for scope in table.scopes], rule.brands)
        authors = count.copy()
        if asked.any():
            scopes = [table.scopes[row] for row in np.flatnonzero(asked)]
            answer = self._authors(slice_, scopes, minute - _length(rule) + 1, minute)
            rows = table.rows(answer)
            fits = rows < len(authors)
            authors[rows[fits]] = answer.get_column("authors").to_numpy()[fits]
        return authors


def _usual(totals: npt.NDArray[Any]) -> float:
    ran = totals[totals > 0]
    return float(np.median(ran)) if ran.size else 0.0


def _length(rule: WindowedRule) -> int:
    return STEP_MINUTES if isinstance(rule, SpikeRule) else int(rule.window.total_seconds()) // counts.MINUTE_S


def _waits(rule: WindowedRule) -> bool:
    """What is too little is not known before the minute is over."""
    return rule.direction == "below" if isinstance(rule, SpikeRule) else rule.below is not None


def _covered(window: Values) -> npt.NDArray[np.bool_]:
    labelled, waiting = window[:, PLACE["labelled"]], window[:, PLACE["waiting"]]
    covered: npt.NDArray[np.bool_] = labelled >= COVERED * (labelled + waiting)
    return covered


def _ratio(value: Values, of: Values) -> Values:
    ratio: Values = np.divide(value, of, out=np.zeros_like(value), where=of > 0)
    return ratio
