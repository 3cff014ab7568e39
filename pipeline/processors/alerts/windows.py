"""Windowed rules: spikes and thresholds of all scopes, judged as matrices of scopes by rules.

A window of n minutes that is judged at minute m is the minutes m - n + 1 to m: of these the last may still be going on. What is
too much is judged while the minute goes on, so that it is seen at once; what is too little only once the minute is over.
The share of negative ones is taken over what is labelled, once 80 % of the window's are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts import counts
from pipeline.processors.alerts.counts import PLACE, Slice, Values
from pipeline.processors.alerts.history import HISTORY_STEPS, MOST_BYTES, STEP_MINUTES, History
from pipeline.processors.alerts.minutes import MINUTE_S
from pipeline.processors.alerts.ring import Ring, Window
from pipeline.processors.alerts.rules import SpikeRule, ThresholdRule
from pipeline.processors.alerts.spike import DROP, STEP_S, Spike, judge, judge_share
from pipeline.processors.alerts.table import NONE, CountTable, Rows, ScopeLimit, longest_silent
from schemas.alerts import Scope

LATE_MINUTES = 62
"""A minute of the last hour can still be judged."""
READ_MINUTES, READ_STEPS = 15, 36
"""So many are read at a time. A chunk of the past is a multiple of READ_STEPS."""
WEEK_MINUTES = 7 * 1440
COVERED = 0.8
TRUE, STILL, UNKNOWN = 1, 2, -1
"""STILL: not true, but near enough to keep an alert that is open; so a burst that goes up and down is one."""
_SPIKE = Spike()
HOLDS = 0.5
"""Of a spike's bar: above it an alert goes on."""
_TOLD = ("count", "labelled", "waiting", "negative", "neutral", "positive")
"""What is counted whatever the rules ask."""

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


class Windows:
    """All spike and threshold rules. `learn` or fill `rings` and `histories` first, then `judge` a minute."""

    def __init__(self, rules: Iterable[WindowedRule], authors: Authors, room: ScopeLimit | None = None) -> None:
        self._authors = authors
        self._rules: dict[Slice, list[WindowedRule]] = {}
        for rule in rules:
            self._rules.setdefault(Slice(rule.by, rule.platforms, rule.languages), []).append(rule)
        self.room = room or ScopeLimit()
        named = {brand for rule in self.rules for brand in rule.brands}
        tables = {slice_: CountTable(slice_, self.room, _brands(group), named) for slice_, group in self._rules.items()}
        self.minutes = max((_length(rule) for rule in self.rules), default=-LATE_MINUTES) + LATE_MINUTES
        """How many minutes the rings hold; 0: there are no rules."""
        self.rings = {slice_: Ring(table, self.minutes, _measures(self._rules[slice_])) for slice_, table in tables.items()}
        spiky = [slice_ for slice_, group in self._rules.items() if any(isinstance(rule, SpikeRule) for rule in group)]
        self.histories = {slice_: History(tables[slice_], MOST_BYTES // len(spiky)) for slice_ in spiky}
        self._tidied = 0

    @property
    def rules(self) -> list[WindowedRule]:
        return [rule for group in self._rules.values() for rule in group]

    @property
    def dimensions(self) -> set[str]:
        return {name for slice_ in self._rules for name in slice_.dimensions}

    @property
    def first(self) -> int:
        """The oldest minute that can be judged with all of its windows."""
        return max((ring.first + self.longest for ring in self.rings.values()), default=0)

    @property
    def longest(self) -> int:
        """Minutes of the longest window."""
        return self.minutes - LATE_MINUTES

    @property
    def days(self) -> float:
        """How far the history that is shortest reaches back."""
        return min((history.days for history in self.histories.values()), default=0.0)

    @property
    def nbytes(self) -> int:
        rings = sum(ring.nbytes for ring in self.rings.values())
        return rings + sum(history.nbytes for history in self.histories.values())

    def wanted(self, brands: Iterable[str]) -> set[str]:
        """Those of the brands that a rule can be about."""
        named = _brands(self.rules)
        return set(brands) if named is None else set(brands) & named

    # --- what is known ------------------------------------------------------------------------------------------------
    def learn(self, ask: Callable[[str], pl.DataFrame], minute: int) -> None:
        """Reads all that is known at `minute`, the newest one from now on; the newest first, if there is no room for all."""
        if not self.minutes:
            return
        for ring in self.rings.values():
            ring.move(minute)
        for first in range(minute - self.minutes + 1, minute + 1, READ_MINUTES):
            minutes = range(first, min(first + READ_MINUTES, minute + 1))
            self.put(ask(counts.minutes_sql(self.dimensions, minutes[0], minutes[-1])), minutes, None)
        step = (minute - 1) // STEP_MINUTES
        for history in self.histories.values():
            history.begin(step)
        for first in range(step - READ_STEPS, step - HISTORY_STEPS - 1, -READ_STEPS):
            histories = [history for history in self.histories.values() if not history.is_full]
            if not histories:
                break
            frame = ask(counts.history_sql(self.dimensions, STEP_S, first, first + READ_STEPS - 1))
            for history in histories:
                history.add(frame, first, first + READ_STEPS)
        for history in self.histories.values():
            history.settle()

    def move(self, minute: int) -> None:
        """`minute` is the newest one from now on."""
        for ring in self.rings.values():
            ring.move(minute)
        for slice_, history in self.histories.items():
            # The step before is closed a minute after its end, so that what comes a little late is in it.
            history.advance(self.rings[slice_], (minute - 1) // STEP_MINUTES)
        if minute - self._tidied >= (1 if self.room.is_short else 60):
            self._tidy(minute)

    def put(self, frame: pl.DataFrame, minutes: Sequence[int], brands: Sequence[str] | None) -> None:
        for ring in self.rings.values():
            ring.put(frame, minutes, brands)

    def _tidy(self, minute: int) -> None:
        """Forgets scopes of which nothing has been said for long; while room is short, sooner."""
        self._tidied = minute
        for slice_, group in self._rules.items():
            self._forget(slice_, self.rings[slice_].table.quiet(minute - self._remembered(slice_, group)))
        if self.room.is_short:
            self._make_room(minute)

    def _make_room(self, minute: int) -> None:
        """Scopes that never mattered go as soon as no rule's window holds them; those that did only if they alone are too many,
        and they are counted. Of both the longest silent go first."""
        mattered = {slice_: self._mattered(slice_, group) for slice_, group in self._rules.items()}
        most, many = (
            self.room.most,
            sum(int(those[self.rings[slice_].table.known()].sum()) for slice_, those in mattered.items()),
        )
        self._forget_silent(minute - self.longest, {slice_: ~those for slice_, those in mattered.items()}, most // 5)
        if many > most - most // 20:
            self.room.left_out += self._forget_silent(minute - self.minutes, mattered, many - (most - most // 10))

    def _mattered(self, slice_: Slice, rules: Sequence[WindowedRule]) -> npt.NDArray[np.bool_]:
        """By row. What `judge` saw, and what of it the history still tells after a restart."""
        mattered = self.rings[slice_].table.mattered
        if slice_ not in self.histories:
            return mattered
        return mattered | self.histories[slice_].mattered(min(r.min_mentions for r in rules if isinstance(r, SpikeRule)))

    def _forget_silent(self, before: int, which: dict[Slice, npt.NDArray[np.bool_]], most: int) -> int:
        """Forgets up to `most` of these (by row), of which nothing has been said since `before`; returns how many."""
        tables = [self.rings[slice_].table for slice_ in which]
        quiet = [
            rows[those[rows]] for those, rows in zip(which.values(), (table.quiet(before) for table in tables), strict=True)
        ]
        gone = longest_silent(tables, quiet, most)
        for slice_, rows in zip(which, gone, strict=True):
            self._forget(slice_, rows)
        return sum(map(len, gone))

    def _forget(self, slice_: Slice, rows: Rows) -> None:
        if rows.size:
            self.rings[slice_].forget(rows)
            if slice_ in self.histories:
                self.histories[slice_].forget(rows)
            self.rings[slice_].table.release(rows)

    def _remembered(self, slice_: Slice, rules: Sequence[WindowedRule]) -> int:
        """For how many minutes after something was said of it a scope may still matter."""
        if slice_ in self.histories:
            return HISTORY_STEPS * STEP_MINUTES
        return max(self.minutes, WEEK_MINUTES if any(map(_asks_the_silent, rules)) else 0)

    # --- what is true -------------------------------------------------------------------------------------------------
    def judge(self, minute: int, over: bool, watched: Collection[Scope] = ()) -> list[Verdicts]:
        """The verdicts of each slice at this minute of the ring; `over`: all of the minute has been read.

        They are about the scopes that a rule may be true of, and about those that are watched for an alert of theirs is open.
        """
        return [self._judge(slice_, group, minute, over, watched) for slice_, group in self._rules.items()]

    def _judge(self, slice_: Slice, rules: list[WindowedRule], minute: int, over: bool, watched: Collection[Scope]) -> Verdicts:
        table = self.rings[slice_].table
        windows = {length: self.rings[slice_].window(minute, length) for length in {_length(rule) for rule in rules}}
        found = [self._possible(slice_, rule, windows[_length(rule)]) for rule in rules if over or not _waits(rule)]
        for rule in rules:
            if not rule.brands:
                table.mattered[self._loud(slice_, rule, windows[_length(rule)])] = True
        known = table.find(watched)
        rows = np.unique(np.concatenate([*found, known[known != NONE]]))
        scopes = [table.scopes[row] for row in rows]
        taken = {length: window.take(rows) for length, window in windows.items()}
        columns = []
        for rule in rules:
            window = taken[_length(rule)]
            column = (
                self._spike_of(slice_, rule, rows, window, minute)
                if isinstance(rule, SpikeRule)
                else self._threshold(slice_, rule, rows, window, minute)
            )
            theirs = np.isin([scope.brand for scope in scopes], rule.brands) if rule.brands and scopes else True
            judged = theirs & (over | np.full(len(scopes), not _waits(rule)))
            columns.append(column._replace(truth=np.where(judged, column.truth, UNKNOWN).astype(np.int8)))
        truth, observed, expected, lower, upper, severity = (np.stack(arrays, axis=1) for arrays in zip(*columns, strict=True))
        return Verdicts(
            minute, scopes, rules, truth, observed, expected, lower, upper, severity, [taken[_length(rule)] for rule in rules]
        )

    def _possible(self, slice_: Slice, rule: WindowedRule, window: Window) -> Rows:
        """The rows of which the rule may be true: all others lack what it asks for, whatever was before."""
        if isinstance(rule, SpikeRule) and rule.measure == "volume" and rule.direction == "below":
            # No more is expected than a step of the past had.
            peak = self.histories[slice_].peak
            return np.flatnonzero(peak >= rule.min_mentions)
        if isinstance(rule, ThresholdRule) and not rule.asks_least:
            if rule.above is None:
                return self.rings[slice_].table.known()
            # Authors are not more than mentions.
            return np.flatnonzero(window.of("count" if rule.measure == "authors" else rule.measure) > rule.above)
        return np.flatnonzero(window.of("count") >= rule.min_mentions)

    def _loud(self, slice_: Slice, rule: WindowedRule, window: Window) -> Rows:
        """The rows of which as much is said as the rule asks for; where it asks for too little: of which it is not true."""
        if isinstance(rule, ThresholdRule) and rule.below is not None and not rule.asks_least:
            return np.flatnonzero(window.of("count" if rule.measure == "authors" else rule.measure) >= rule.below)
        return self._possible(slice_, rule, window)

    def _spike_of(self, slice_: Slice, rule: SpikeRule, rows: Rows, window: Values, minute: int) -> _Column:
        history = self.histories[slice_]
        if not len(window):
            return _Column(np.zeros(0, np.int8), *(np.zeros(0) for _ in range(5)))
        if rule.measure == "volume":
            spike = DROP if rule.direction == "below" else _SPIKE
            observed, baseline = window[:, PLACE["count"]], history.baseline(spike, rows)
            # A minute into the next step this one is still the newest that is known; a late minute lies before it.
            elapsed = min(1.0, max(0.0, (minute + 1 - history.step * STEP_MINUTES) / STEP_MINUTES))
            verdict, known = judge(baseline, observed, spike, elapsed), baseline.known
            enough = (observed if rule.direction == "above" else verdict.expected) >= rule.min_mentions
        else:
            negative, labelled = window[:, PLACE["negative"]], window[:, PLACE["labelled"]]
            observed, share = _ratio(negative, labelled), history.share(rows)
            verdict, known = judge_share(share, negative, labelled, _SPIKE), ~np.isnan(share) & _covered(window)
            enough = labelled >= rule.min_mentions
        severity = verdict.above if rule.direction == "above" else verdict.below
        true = enough & (severity >= rule.severity)
        holds = (verdict.score if rule.direction == "above" else -verdict.score) > HOLDS
        truth = np.where(known, np.where(true, TRUE, np.where(holds, STILL, 0)), UNKNOWN)
        return _Column(truth, observed, verdict.expected, verdict.lower, verdict.upper, severity)

    def _threshold(self, slice_: Slice, rule: ThresholdRule, rows: Rows, window: Values, minute: int) -> _Column:
        observed, known = self._number(slice_, rule, rows, window, minute)
        none = np.full(len(observed), np.nan)
        if rule.above is not None:
            hit, lower, upper = observed > rule.above, none, np.full(len(observed), rule.above)
        else:
            limit = rule.below or 0.0
            hit, lower, upper = observed < limit, np.full(len(observed), limit), none
        return _Column(
            np.where(known, hit, UNKNOWN), observed, none, lower, upper, np.full(len(observed), float(rule.severity))
        )

    def _number(
        self, slice_: Slice, rule: ThresholdRule, rows: Rows, window: Values, minute: int
    ) -> tuple[Values, npt.NDArray[np.bool_]]:
        """What the rule measures, and where it is known."""
        count = window[:, PLACE["count"]]
        if rule.measure == "count":
            return count, np.ones(len(count), bool)
        if rule.measure == "authors":
            return self._distinct(slice_, rule, rows, count, minute), np.ones(len(count), bool)
        if rule.measure in ("negative_share", "score"):
            labelled = window[:, PLACE["labelled"]]
            value = window[:, PLACE["negative" if rule.measure == "negative_share" else "score"]]
            return _ratio(value, labelled), (labelled >= rule.min_mentions) & _covered(window)
        total = window[:, PLACE[rule.measure]]
        if rule.aggregate == "sum":
            return total, np.ones(len(count), bool)
        known = window[:, PLACE[f"{rule.measure}_known"]]
        return _ratio(total, known), known >= rule.min_mentions

    def _distinct(self, slice_: Slice, rule: ThresholdRule, rows: Rows, count: Values, minute: int) -> Values:
        """Distinct authors, where there can be enough; elsewhere as many as there are mentions, which are not more."""
        table = self.rings[slice_].table
        asked = count > rule.above if rule.above is not None else count > 0
        if rule.brands and len(count):
            asked &= np.isin([table.scopes[row].brand for row in rows], rule.brands)
        authors = count.copy()
        if asked.any():
            scopes = [table.scopes[row] for row in rows[asked]]
            answer = self._authors(slice_, scopes, minute - _length(rule) + 1, minute)
            found = table.find(Scope(*key) for key in answer.select("brand", "platform", "language").iter_rows())
            said = dict(zip(found.tolist(), answer.get_column("authors"), strict=True))
            authors = np.array([said.get(row, count[place]) for place, row in enumerate(rows.tolist())])
        return authors


def _brands(rules: Sequence[WindowedRule]) -> set[str] | None:
    """Those that the rules are about; None: all."""
    return None if any(not rule.brands for rule in rules) else {brand for rule in rules for brand in rule.brands}


def _measures(rules: Sequence[WindowedRule]) -> list[str]:
    """What of `counts.MEASURES` they look at."""
    asked = {rule.measure for rule in rules}
    return [name for name in counts.MEASURES if name in _TOLD or name.removesuffix("_known") in asked]


def _asks_the_silent(rule: WindowedRule) -> bool:
    return isinstance(rule, ThresholdRule) and rule.below is not None and not rule.asks_least


def _length(rule: WindowedRule) -> int:
    return STEP_MINUTES if isinstance(rule, SpikeRule) else int(rule.window.total_seconds()) // MINUTE_S


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
