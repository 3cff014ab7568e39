"""A spike rule over a window: its column of `Verdicts`.

When an hour begins, the baselines of all scopes are new, at 0.4 ms each: half a minute for 80,000. So a judgement of a minute
that goes on prepares MOST_NEW of them, those with the most mentions first, and the next one a second later prepares more. A
scope without its baseline is UNKNOWN, which neither raises nor ends an alert. When the minute has ended, all are judged.
"""

from __future__ import annotations

import numpy as np

from pipeline.processors.alerts.counts import Values
from pipeline.processors.alerts.history import STEP_MINUTES, History
from pipeline.processors.alerts.rule_types import SpikeRule
from pipeline.processors.alerts.spike import judge, judge_share
from pipeline.processors.alerts.spike_parameters import DROP, Spike
from pipeline.processors.alerts.table import Rows
from pipeline.processors.alerts.verdicts import FALSE, STILL, TRUE, UNDECIDED, UNKNOWN
from pipeline.processors.alerts.window_rules import Column, Mask, Seen, covered, expects_labels, needs_whole_minutes, ratio

HOLDS = 0.5
"""Of a spike's bar: above it an alert goes on."""
MOST_NEW = 1_000
"""Scopes whose baselines a judgement prepares for a rule, while the minute goes on."""
_SPIKE = Spike()


def spike_column(rule: SpikeRule, seen: Seen, history: History) -> Column:
    """The rule's verdict on each of the rows."""
    # The step that was the newest when the minute went on: a minute into the next one it still is.
    step = min(history.step, (seen.minute - 1) // STEP_MINUTES)
    if rule.measure == "volume" and not seen.over:
        if needs_whole_minutes(rule):
            _prepare(rule, history, np.flatnonzero(history.peak >= rule.min_mentions), history.peak, step)
            return _unknown(len(seen.rows))
        mentions = np.zeros(len(seen.table))
        mentions[seen.rows] = seen.of("count")
        ready = _prepare(rule, history, seen.rows, mentions, step)
        if not ready.all():
            return _spread(_column(rule, seen.only(ready), history, step), ready)
    return _column(rule, seen, history, step)


def _prepare(rule: SpikeRule, history: History, rows: Rows, mentions: Values, step: int) -> Mask:
    """Prepares MOST_NEW baselines at most, those of the rows with the most `mentions` (by row). Returns which rows have one."""
    new = history.unstudied(_spike(rule), rows, step, rule.zone)
    places = np.flatnonzero(new)
    first = places[np.argsort(-mentions[rows[places]], kind="stable")][:MOST_NEW]
    if first.size:
        history.baseline(_spike(rule), rows[np.sort(first)], step, rule.zone)
    new[first] = False
    return np.asarray(~new)


def _spike(rule: SpikeRule) -> Spike:
    return _SPIKE if rule.direction == "above" else DROP


def _spread(column: Column, ready: Mask) -> Column:
    """A column of the rows that are ready, as one of all rows."""
    codes, *others = column
    spread = _unknown(len(ready))
    spread.codes[ready] = codes
    for array, values in zip(spread[1:], others, strict=True):
        array[ready] = values
    return spread


def _unknown(scopes: int) -> Column:
    return Column(np.full(scopes, UNKNOWN, np.int8), *(np.zeros(scopes) for _ in Column._fields[1:]))


def _column(rule: SpikeRule, seen: Seen, history: History, step: int) -> Column:
    if not len(seen.values):
        return _unknown(0)
    above = rule.direction == "above"
    if rule.measure == "volume":
        spike = _spike(rule)
        observed, baseline = seen.of("count"), history.baseline(spike, seen.rows, step, rule.zone)
        elapsed = min(1.0, (seen.minute + 1 - step * STEP_MINUTES) / STEP_MINUTES)
        verdict, known = judge(baseline, observed, spike, elapsed), baseline.known
        span_s = np.array([0.0, *spike.windows_s[1:]])[verdict.window_above if above else verdict.window_below]
        enough = (observed if above else verdict.expected) >= rule.min_mentions
        undecided = np.zeros(len(observed), bool)
    else:
        negative, labelled = seen.of("negative"), seen.of("labelled")
        observed, share = ratio(negative, labelled), history.share(seen.rows, step)
        verdict, known = judge_share(share, negative, labelled, _SPIKE), ~np.isnan(share) & covered(seen)
        enough, span_s = labelled >= rule.min_mentions, np.zeros(len(labelled))
        undecided = expects_labels(rule, seen)
    severity = verdict.above if above else verdict.below
    true = enough & (severity >= rule.severity)
    holds = (verdict.score if above else -verdict.lowest) > HOLDS
    codes = np.where(known, np.where(true, TRUE, np.where(holds, STILL, FALSE)), np.where(undecided, UNDECIDED, UNKNOWN))
    expected, lower, upper = (np.asarray(each, np.float64) for each in (verdict.expected, verdict.lower, verdict.upper))
    return Column(codes.astype(np.int8), observed, expected, lower, upper, severity.astype(np.float64), span_s)
