"""Windowed rules: spikes and thresholds of all scopes, judged as matrices of scopes by rules.

A window of n minutes that is judged at minute m is the minutes m - n + 1 to m: of these the last may still be going on. Rules
that ask for too much are judged while the minute goes on, so that they fire at once; rules that ask for too little only once
the minute has ended. The negative share is taken over labelled texts, once 80 % of the window's are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.clickhouse.query import Query
from pipeline.config.zone import NO_ZONES, Zones
from pipeline.processors.alerts import counts
from pipeline.processors.alerts.counts import Slice
from pipeline.processors.alerts.history import HISTORY_STEPS, MOST_BYTES, REACH_MINUTES, STEP_MINUTES, History
from pipeline.processors.alerts.read_past import WEEK_STEPS, read_past
from pipeline.processors.alerts.ring import Ring, Window
from pipeline.processors.alerts.rule_types import SpikeRule, WindowedRule
from pipeline.processors.alerts.spike_column import spike_column
from pipeline.processors.alerts.table import FOR_GOOD, NONE, CountTable, Rows, ScopeLimit, longest_silent
from pipeline.processors.alerts.verdicts import UNKNOWN, Verdicts
from pipeline.processors.alerts.window_rules import (
    Authors,
    Column,
    Mask,
    Seen,
    asks_for_little,
    brands_of,
    mattering,
    measures_of,
    minutes_of,
    named_scopes,
    needs_whole_minutes,
    possible,
    slice_of,
    threshold_column,
)
from schemas.alerts import Scope

LATE_MINUTES = 62
"""A minute of the last hour can still be judged."""
READ_MINUTES = 15  # at a time
Brands = Collection[str] | None  # None: all
MOST_NAMED = 2_000
"""The counts of more brands are read as those of all brands: that is no more work than naming them."""


class Windows:
    """All spike and threshold rules. `learn` or fill `rings` and `histories` first, then `judge` a minute."""

    def __init__(
        self, rules: Iterable[WindowedRule], authors: Authors, room: ScopeLimit | None = None, zones: Zones = NO_ZONES
    ) -> None:
        self._authors = authors
        self._rules: dict[Slice, list[WindowedRule]] = {}
        for rule in rules:
            self._rules.setdefault(slice_of(rule), []).append(rule)
        self.room = room or ScopeLimit()
        named = {brand for rule in self.rules for brand in rule.brands}
        tables = {s: CountTable(s, self.room, brands_of(group), named, zones) for s, group in self._rules.items()}
        for slice_, group in self._rules.items():
            tables[slice_].take_in(named_scopes(group), FOR_GOOD)
        self.minutes = max((minutes_of(rule) for rule in self.rules), default=-LATE_MINUTES) + LATE_MINUTES
        """How many minutes the rings hold; 0: there are no rules."""
        self.rings = {slice_: Ring(table, self.minutes, measures_of(self._rules[slice_])) for slice_, table in tables.items()}
        spiky = [slice_ for slice_, group in self._rules.items() if any(isinstance(rule, SpikeRule) for rule in group)]
        self.histories = {slice_: History(tables[slice_], MOST_BYTES // len(spiky)) for slice_ in spiky}
        self.reach = REACH_MINUTES if spiky else self.longest
        """For so many minutes the counts of a minute are in the windows of later ones."""
        self._tidied = 0
        self.watched: Collection[Scope] = ()
        """With an open alert, as `judge` heard of them last: they keep their rows while room is short."""

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
        return sum(ring.nbytes for ring in self.rings.values()) + sum(each.nbytes for each in self.histories.values())

    def wanted(self, brands: Iterable[str]) -> set[str]:
        """Those of the brands that a rule can be about."""
        return set(brands) if (named := brands_of(self.rules)) is None else set(brands) & named

    # --- counts -------------------------------------------------------------------------------------------------------
    def learn(self, query: Query, minute: int) -> None:
        """Reads all that is known at `minute`, the newest one from now on; the newest first, if there is no room for all."""
        if not self.minutes:
            return
        for ring in self.rings.values():
            ring.move(minute)
        for first in range(minute - self.minutes + 1, minute + 1, READ_MINUTES):
            minutes = range(first, min(first + READ_MINUTES, minute + 1))
            self.put(query(counts.minutes_sql(self.dimensions, minutes[0], minutes[-1])), minutes, None)
        # A scope without a mention in the rings may meet these rules; a history knows it anyway.
        little = [slice_ for slice_, group in self._rules.items() if any(map(asks_for_little, group))]
        tables = [self.rings[slice_].table for slice_ in little if slice_ not in self.histories]
        read_past(query, self.dimensions, list(self.histories.values()), (minute - 1) // STEP_MINUTES, tables)

    def move(self, minute: int) -> None:
        """`minute` is the newest one from now on. A step is closed a minute after its end: events come a little late."""
        for ring in self.rings.values():
            ring.move(minute)
        for slice_, history in self.histories.items():
            history.advance(self.rings[slice_], (minute - 1) // STEP_MINUTES)
        if minute - self._tidied >= (1 if self.room.is_short else 60):
            self._tidy(minute)

    def read(self, query: Query, minutes: Iterable[int], brands: Sequence[str] | None) -> None:
        """Reads the counts of these minutes, of these brands or (None) of all."""
        listed = sorted(minutes)
        if not self.rings or not listed:
            return
        if brands is not None and len(brands) > MOST_NAMED:
            brands = None
        self.put(query(counts.read_sql(self.dimensions, listed, brands)), listed, brands)

    def put(self, frame: pl.DataFrame, minutes: Sequence[int], brands: Sequence[str] | None) -> None:
        for slice_, ring in self.rings.items():
            ring.put(frame, minutes, brands)
            if slice_ in self.histories:
                self.histories[slice_].correct(ring, minutes)

    def use_zones(self, zones: Zones) -> None:
        """The time zones of brands are these from now on."""
        for slice_, ring in self.rings.items():
            changed = ring.table.use_zones(zones)
            if slice_ in self.histories:
                self.histories[slice_].use_zones(changed)

    def _tidy(self, minute: int) -> None:
        self._tidied = minute  # scopes of which nothing has been said for long; while room is short, sooner
        for slice_, group in self._rules.items():
            self._forget(slice_, self.rings[slice_].table.quiet(minute - self._remembered(slice_, group)))
        if self.room.is_short:
            self._make_room(minute)

    def _make_room(self, minute: int) -> None:
        """Scopes that never mattered go as soon as no rule's window holds them; those that did only if they alone are too many,
        and they are counted. Of both the longest silent go first."""
        mattered = {slice_: self._mattered(slice_, group) for slice_, group in self._rules.items()}
        most = self.room.most
        many = sum(int(those[self.rings[slice_].table.known()].sum()) for slice_, those in mattered.items())
        self._forget_silent(minute - self.longest, {slice_: ~those for slice_, those in mattered.items()}, most // 5)
        if many > most - most // 20:
            self.room.left_out += self._forget_silent(minute - self.minutes, mattered, many - (most - most // 10))

    def _mattered(self, slice_: Slice, rules: Sequence[WindowedRule]) -> npt.NDArray[np.bool_]:
        """By row: whether it ever mattered to a rule, as `judge` saw it or, after a restart, by its history."""
        mattered = self.rings[slice_].table.mattered
        if slice_ not in self.histories:
            return mattered
        return mattered | self.histories[slice_].mattered(min(r.min_mentions for r in rules if isinstance(r, SpikeRule)))

    def _forget_silent(self, before: int, which: dict[Slice, npt.NDArray[np.bool_]], most: int) -> int:
        """Forgets up to `most` of these (by row), of which nothing has been said since `before`; returns how many."""
        tables = [self.rings[slice_].table for slice_ in which]
        quiet = [
            (rows := table.quiet(before, self.watched))[those[rows]]
            for table, those in zip(tables, which.values(), strict=True)
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
        return max(self.minutes, WEEK_STEPS * STEP_MINUTES if any(map(asks_for_little, rules)) else 0)

    # --- verdicts -----------------------------------------------------------------------------------------------------
    def judge(self, minute: int, over: bool, watched: Collection[Scope] = (), brands: Brands = None) -> list[Verdicts]:
        """The verdicts of each slice at this minute of the ring; `over`: all of the minute has been read.

        They are about scopes that a rule may be true of, of these `brands`, and the `watched` ones: those with an open alert.
        """
        self.watched = watched
        return [self._judge(slice_, group, minute, over, brands) for slice_, group in self._rules.items()]

    def _judge(self, slice_: Slice, rules: list[WindowedRule], minute: int, over: bool, brands: Brands) -> Verdicts:
        table, ring = self.rings[slice_].table, self.rings[slice_]
        only = None if brands is None else table.mask(brands, self.watched)
        windows = {length: ring.window(minute, length, only) for length in set(map(minutes_of, rules))}
        for rule in (rule for rule in rules if not rule.brands):
            window = windows[minutes_of(rule)]
            table.mattered[mattering(rule, window, self._possible(slice_, rule, window))] = True
        rows = self._to_judge(slice_, [rule for rule in rules if over or not needs_whole_minutes(rule)], windows, only)
        scopes = [table.scopes[row] for row in rows]
        taken = {length: window.take(rows) for length, window in windows.items()}
        columns = []
        for rule in rules:
            column = self._column(rule, Seen(slice_, table, rows, taken[minutes_of(rule)], minute, ring.measures, over))
            theirs = np.isin([scope.brand for scope in scopes], rule.brands) if rule.brands and scopes else True
            judged = theirs & np.full(len(scopes), over or not needs_whole_minutes(rule))
            columns.append(column._replace(codes=np.where(judged, column.codes, UNKNOWN).astype(np.int8)))
        codes = np.stack([column.codes for column in columns], axis=1)
        observed, expected, lower, upper, severity, span_s = (
            np.stack(arrays, axis=1) for arrays in zip(*(column[1:] for column in columns), strict=True)
        )
        of_rules = [taken[minutes_of(rule)] for rule in rules]
        return Verdicts(minute, scopes, rules, codes, observed, expected, lower, upper, severity, of_rules, span_s)

    def _column(self, rule: WindowedRule, seen: Seen) -> Column:
        if isinstance(rule, SpikeRule):
            return spike_column(rule, seen, self.histories[seen.slice])
        return threshold_column(rule, seen, self._authors)

    def _to_judge(self, slice_: Slice, rules: Sequence[WindowedRule], windows: dict[int, Window], only: Mask | None) -> Rows:
        """The rows that one of the rules may be true of, and those of watched scopes; of these those of the mask."""
        rows = [self._possible(slice_, rule, windows[minutes_of(rule)]) for rule in rules]
        known = self.rings[slice_].table.find(self.watched)
        judged = np.unique(np.concatenate([*rows, known[known != NONE]]))
        return judged if only is None else judged[only[judged]]

    def _possible(self, slice_: Slice, rule: WindowedRule, window: Window) -> Rows:
        return possible(rule, window, self.rings[slice_].table, self.histories.get(slice_))
