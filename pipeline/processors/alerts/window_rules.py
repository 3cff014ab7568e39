"""One windowed rule over a window: which scopes it may be true of, and its column of `Verdicts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts.counts import INDEX, MEASURES, Slice, Values
from pipeline.processors.alerts.history import STEP_MINUTES, History
from pipeline.processors.alerts.minutes import MINUTE_S
from pipeline.processors.alerts.ring import Window
from pipeline.processors.alerts.rule_types import SpikeRule, ThresholdRule, WindowedRule
from pipeline.processors.alerts.table import CountTable, Rows
from pipeline.processors.alerts.verdicts import FALSE, TRUE, UNDECIDED, UNKNOWN, Codes
from schemas.alerts import Scope

COVERED = 0.8
"""The share of a window's texts that must be labelled before their tone counts."""
_ALWAYS = ("count", "labelled", "waiting", "negative", "neutral", "positive")
"""Counted whatever the rules ask."""
Mask = npt.NDArray[np.bool_]
Authors = Callable[[Slice, Sequence[Scope], int, int], pl.DataFrame]
"""(slice, scopes, first minute, last minute) -> the answer to `counts.authors_sql`."""


class Column(NamedTuple):
    """One rule's verdict on each scope of its slice: a column of `Verdicts`."""

    codes: Codes
    observed: Values
    expected: Values
    lower: Values
    upper: Values
    severity: Values
    span_s: Values
    """Of a spike that only a longer window than the shortest has: that window; else 0."""


class Seen(NamedTuple):
    """The window of a rule that ends with `minute`: `values` are MEASURES of `rows` of the table."""

    slice: Slice
    table: CountTable
    rows: Rows
    values: Values
    minute: int
    measures: Sequence[str]
    """Those that were read."""
    over: bool = True
    """Whether the minute has ended; else the next second judges it again."""

    def of(self, measure: str) -> Values:
        """Scopes by nothing: one measure. Raises LookupError for a measure that was not read."""
        if measure not in self.measures:
            raise LookupError(f"{measure} was not read: measures_of does not name it for these rules")
        column: Values = self.values[:, INDEX[measure]]
        return column

    def only(self, mask: Mask) -> Seen:
        """Some of the rows."""
        return self._replace(rows=self.rows[mask], values=self.values[mask])


# --- of the rules -----------------------------------------------------------------------------------------------------
def brands_of(rules: Sequence[WindowedRule]) -> set[str] | None:
    """The brands that the rules name; None: they are about all brands."""
    return None if any(not rule.brands for rule in rules) else {brand for rule in rules for brand in rule.brands}


def slice_of(rule: WindowedRule) -> Slice:
    """The slice in which the rule's mentions are counted."""
    return Slice(rule.by, rule.platforms, rule.languages)


def measures_of(rules: Sequence[WindowedRule]) -> list[str]:
    """The part of `counts.MEASURES` that the rules look at."""
    asked = {rule.measure for rule in rules}
    return [name for name in MEASURES if name in _ALWAYS or name.removesuffix("_known") in asked]


def minutes_of(rule: WindowedRule) -> int:
    """The length of the rule's window."""
    return STEP_MINUTES if isinstance(rule, SpikeRule) else int(rule.window.total_seconds()) // MINUTE_S


def asks_for_little(rule: WindowedRule) -> bool:
    """Whether a scope without any mention meets the rule."""
    return isinstance(rule, ThresholdRule) and rule.below is not None and not rule.asks_least


def named_scopes(rules: Sequence[WindowedRule]) -> list[Scope]:
    """The scopes of which a rule may be true although nobody ever mentioned them: it asks for little, and names them."""
    scopes = []
    for rule in filter(asks_for_little, rules):
        platforms = rule.platforms if "platform" in rule.by else ("",)
        languages = rule.languages if "language" in rule.by else ("",)
        scopes += [Scope(*parts) for parts in product(rule.brands, platforms, languages)]
    return scopes


def needs_whole_minutes(rule: WindowedRule) -> bool:
    """Whether the rule asks for too little, which is not known before the minute has ended."""
    return rule.direction == "below" if isinstance(rule, SpikeRule) else rule.below is not None


# --- which scopes -----------------------------------------------------------------------------------------------------
def possible(rule: WindowedRule, window: Window, table: CountTable, history: History | None) -> Rows:
    """The rows of which the rule may be true: all others lack its least number of mentions, whatever the past was."""
    if isinstance(rule, SpikeRule) and rule.measure == "volume" and rule.direction == "below" and history is not None:
        # No more is expected than a step of the past had.
        return np.flatnonzero(history.peak >= rule.min_mentions)
    if isinstance(rule, ThresholdRule) and not rule.asks_least:
        if rule.above is None:
            return table.known()
        return np.flatnonzero(window.of(_at_most(rule)) > rule.above)
    return np.flatnonzero(window.of("count") >= rule.min_mentions)


def loud(rule: WindowedRule, window: Window) -> Rows | None:
    """Of a rule that asks for too little: the rows of which it is not true. None: any other rule, whose `possible` rows are."""
    if isinstance(rule, ThresholdRule) and rule.below is not None and not rule.asks_least:
        return np.flatnonzero(window.of(_at_most(rule)) >= rule.below)
    return None


def mattering(rule: WindowedRule, window: Window, possible_rows: Rows) -> Rows:
    """The rows with as many mentions as the rule asks for; if it asks for too little: of which it is not true."""
    rows = loud(rule, window)
    return possible_rows if rows is None else rows


def _at_most(rule: ThresholdRule) -> str:
    """A measure that is never smaller than the rule's and is in the ring: authors are not more than mentions."""
    return "count" if rule.measure == "authors" else rule.measure


# --- thresholds -------------------------------------------------------------------------------------------------------
def threshold_column(rule: ThresholdRule, seen: Seen, authors: Authors) -> Column:
    """The rule's verdict on each of the rows."""
    observed, known = _measured(rule, seen, authors)
    if asks_for_little(rule):
        known &= seen.table.begun[seen.rows] <= seen.minute
    none = np.full(len(observed), np.nan)
    if rule.above is not None:
        true, lower, upper = observed > rule.above, none, np.full(len(observed), rule.above)
    else:
        limit = rule.below or 0.0
        true, lower, upper = observed < limit, np.full(len(observed), limit), none
    undecided = expects_labels(rule, seen) if rule.measure in ("negative_share", "score") else np.zeros(len(observed), bool)
    codes = np.where(known, np.where(true, TRUE, FALSE), np.where(undecided, UNDECIDED, UNKNOWN)).astype(np.int8)
    return Column(codes, observed, none, lower, upper, np.full(len(observed), float(rule.severity)), np.zeros(len(observed)))


def _measured(rule: ThresholdRule, seen: Seen, authors: Authors) -> tuple[Values, Mask]:
    """The rule's measure, and where it is known."""
    count = seen.of("count")
    everywhere = np.ones(len(count), bool)
    if rule.measure == "count":
        return count, everywhere
    if rule.measure == "authors":
        return _distinct(rule, seen, authors), everywhere
    if rule.measure in ("negative_share", "score"):
        labelled, value = seen.of("labelled"), seen.of("negative" if rule.measure == "negative_share" else "score")
        return ratio(value, labelled), (labelled >= rule.min_mentions) & covered(seen)
    total = seen.of(rule.measure)
    if rule.aggregate == "sum":
        return total, everywhere
    known = seen.of(f"{rule.measure}_known")
    return ratio(total, known), known >= rule.min_mentions


def _distinct(rule: ThresholdRule, seen: Seen, authors: Authors) -> Values:
    """Distinct authors, where there can be enough; elsewhere the mentions, which are not fewer."""
    count, rows, scopes = seen.of("count"), seen.rows.tolist(), seen.table.scopes
    asked = count > rule.above if rule.above is not None else count > 0
    if rule.brands and len(count):
        asked &= np.isin([scopes[row].brand for row in rows], rule.brands)
    if not asked.any():
        return count.copy()
    first = seen.minute - minutes_of(rule) + 1
    answer = authors(seen.slice, [scopes[row] for row in seen.rows[asked]], first, seen.minute)
    answered = seen.table.find(Scope(*key) for key in answer.select("brand", "platform", "language").iter_rows())
    by_row = dict(zip(answered.tolist(), answer.get_column("authors"), strict=True))
    return np.array([by_row.get(row, mentions) for row, mentions in zip(rows, count, strict=True)])


def expects_labels(rule: WindowedRule, seen: Seen) -> Mask:
    """Where there are enough mentions for the rule once those that wait for a label have one."""
    waiting = seen.of("waiting")
    enough: Mask = (waiting > 0) & (seen.of("labelled") + waiting >= rule.min_mentions)
    return enough


def covered(seen: Seen) -> Mask:
    labelled, waiting = seen.of("labelled"), seen.of("waiting")
    covered: Mask = labelled >= COVERED * (labelled + waiting)
    return covered


def ratio(value: Values, of: Values) -> Values:
    ratio: Values = np.divide(value, of, out=np.zeros_like(value), where=of > 0)
    return ratio
