"""Explanations: what an alert is about, in a line; the SQL that shows it; the words that set it apart; posts to look at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pipeline.clickhouse.query import Ask
from pipeline.clickhouse.row_versions import quoted
from pipeline.processors.alerts.counts import LANGUAGE
from pipeline.processors.alerts.rules import (
    AnyRule,
    CampaignRule,
    KeywordRule,
    NoDataRule,
    ReachRule,
    SpikeRule,
    ThresholdRule,
)
from schemas.alerts import Alert, Scope
from schemas.inbound import INBOUND_SQL

if TYPE_CHECKING:
    from pipeline.processors.alerts.condition import Condition
    from schemas.signals import Candidate

TERMS = 8
SAMPLES = 3
WINDOW_TEXTS, BASE_TEXTS = 1_000, 3_000
PRIOR = 500.0
"""Words that a term's frequency is worth before anything is counted."""
SECONDS = 0.4
"""The server's time for one look; what it has found by then is enough."""
_WORDS = re.compile(r"[^\W\d_]{3,}")
_OF = {"platform": "platform", "language": LANGUAGE}


# --- in words ---------------------------------------------------------------------------------------------------------
def summary(truth: Condition) -> str:
    """One line for people."""
    rule, scope = truth.rule, truth.scope
    expected = "" if truth.expected is None else f", {_number(truth.expected)} expected"
    if isinstance(rule, SpikeRule):
        if rule.measure == "volume":
            return f"{scope}: {_number(truth.observed)} mentions in 5 minutes{expected}"
        share = "" if truth.expected is None else f", {truth.expected:.0%} expected"
        return f"{scope}: {truth.observed:.0%} of labelled mentions in 5 minutes are negative{share}"
    if isinstance(rule, ThresholdRule):
        limit = rule.above if rule.above is not None else rule.below
        what = rule.measure.replace("_", " ")
        if rule.measure in ("followers", "likes", "shares", "replies"):
            what = f"{rule.aggregate} of {what}"
        side = "above" if rule.above is not None else "below"
        return f"{scope}: {what} {_number(truth.observed)} in {_length(rule.window)}, {side} {_number(limit or 0)}"
    if isinstance(rule, CampaignRule):
        return f"{scope}: the same text from {_number(truth.observed)} accounts within {_length(rule.window)}"
    return f"{scope}: nothing since {truth.start:%Y-%m-%d %H:%M} UTC"


def event_summary(rule: KeywordRule | ReachRule, candidate: Candidate) -> str:
    where = f"{candidate.brand}: {candidate.sentiment or 'a'} {'event' if candidate.sentiment else 'n event'}"
    where = where.replace("a n event", "an event") + f" on {candidate.platform}"
    if isinstance(rule, KeywordRule):
        return f"{where} says {', '.join(candidate.words)}"
    return f"{where} reaches {_number(candidate.observed)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2f}"


def _length(window: timedelta) -> str:
    minutes = int(window.total_seconds()) // 60
    return f"{minutes} minute{'s' if minutes > 1 else ''}" if minutes % 60 else f"{minutes // 60} h"


# --- in SQL -----------------------------------------------------------------------------------------------------------
def query(rule: AnyRule, scope: Scope, start: datetime) -> str:
    """What shows it: the events of the scope from the beginning of the window on."""
    window = rule.window if isinstance(rule, (ThresholdRule, CampaignRule)) else timedelta(minutes=5)
    if isinstance(rule, NoDataRule):
        window = timedelta(hours=1)
    return _select(where(scope), start - window + timedelta(minutes=1))


def event_query(rule: KeywordRule | ReachRule, candidate: Candidate) -> str:
    minute = candidate.created_at.replace(second=0, microsecond=0)
    return (
        "SELECT created_at, platform, author_handle, author_followers, sentiment_label, text FROM interactions FINAL "
        f"WHERE toStartOfMinute(created_at) = '{minute:%Y-%m-%d %H:%M:%S}' AND event_key = {candidate.event_key}"
    )


def where(scope: Scope) -> str:
    """The condition that an event is of this scope, and written by others."""
    parts = [INBOUND_SQL]
    if scope.brand:
        parts.append(f"has(brands, {quoted(scope.brand)})")
    parts += [f"{_OF[name]} = {quoted(getattr(scope, name))}" for name in _OF if getattr(scope, name)]
    if scope.source:
        parts.append(f"source_name = {quoted(scope.source)}")
    return " AND ".join(parts)


def _select(condition: str, start: datetime) -> str:
    return (
        "SELECT created_at, platform, author_handle, sentiment_label, text FROM interactions FINAL "
        f"WHERE toStartOfMinute(created_at) >= '{start:%Y-%m-%d %H:%M:%S}' AND {condition} ORDER BY created_at LIMIT 200"
    )


# --- what sets it apart -----------------------------------------------------------------------------------------------
def explain(ask: Ask, alert: Alert, window: timedelta) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The terms and the samples of a window's alert. Reads at most WINDOW_TEXTS and BASE_TEXTS texts, for about a second."""
    start, end = alert.since - window + timedelta(minutes=1), alert.last_at + timedelta(minutes=1)
    condition = f"{where(alert.scope)} AND text != '' AND visibility != 'private'"
    # Partial answers are welcome: a brand's week may be very long.
    settings = {"max_execution_time": SECONDS, "timeout_overflow_mode": "break", "max_threads": 1}
    seen = ask(
        f"SELECT event_key, text, ifNull(metrics_likes, 0) + ifNull(metrics_shares, 0) + ifNull(author_followers, 0) AS weight "
        f"FROM interactions FINAL WHERE {_between(start, end)} AND {condition} ORDER BY created_at DESC LIMIT {WINDOW_TEXTS}",
        settings,
    )
    base = ask(
        f"SELECT text FROM interactions WHERE {_between(start - timedelta(days=7), start)} AND {condition} LIMIT {BASE_TEXTS}",
        settings,
    )
    if not seen.height:
        return (), ()
    samples = seen.sort("weight", descending=True).unique("text", keep="first", maintain_order=True).get_column("event_key")
    brand_words = set(_WORDS.findall(alert.scope.brand.lower()))
    terms = [term for term in telling(seen.get_column("text"), base.get_column("text")) if term not in brand_words]
    return tuple(terms[:TERMS]), tuple(samples.head(SAMPLES))


def _between(start: datetime, end: datetime) -> str:
    minute = "toStartOfMinute(created_at)"
    return f"{minute} >= '{start:%Y-%m-%d %H:%M:00}' AND {minute} < '{end:%Y-%m-%d %H:%M:00}'"


def telling(texts: Iterable[str], base: Iterable[str]) -> list[str]:
    """Words that more of `texts` than of `base` hold, by log-odds with an informative Dirichlet prior, the most telling first.

    Monroe, Colaresi and Quinn, "Fightin' Words" (2008): z = delta / sd, the prior being the words of both, scaled to `PRIOR`.
    A word counts once a text; one that stands in a single text tells nothing, and z under 1.96 neither.
    """
    ours, theirs = _documents(texts), _documents(base)
    words = [word for word, count in ours.items() if count > 1]
    if not words:
        return []
    here, there = (np.array([counts[word] for word in words], float) for counts in (ours, theirs))
    all_here, all_there = sum(ours.values()), sum(theirs.values())
    prior = PRIOR * (here + there) / (all_here + all_there)
    # One more word that nobody said, so that a vocabulary of one is no division by zero.
    odds_here = (here + prior) / (1 + all_here + PRIOR - here - prior)
    odds_there = (there + prior) / (1 + all_there + PRIOR - there - prior)
    z = (np.log(odds_here) - np.log(odds_there)) / np.sqrt(1 / (here + prior) + 1 / (there + prior))
    return [words[place] for place in np.argsort(-z, kind="stable") if z[place] > 1.96]


def _documents(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in set(_WORDS.findall(_plain(text))))


def _plain(text: str) -> str:
    """In lower case, less addresses and handles: they are nobody's words, and may be somebody's name."""
    return re.sub(r"https?://\S+|@\w+", " ", text.lower())
