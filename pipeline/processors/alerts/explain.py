"""Explanations of alerts: one line for people, the SQL that shows the events, the words that set them apart, sample posts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, assert_never

import numpy as np

from pipeline.clickhouse.query import Ask
from pipeline.clickhouse.row_versions import quoted
from pipeline.processors.alerts.condition import NO_ANSWER, NO_EVENT
from pipeline.processors.alerts.counts import LANGUAGE
from pipeline.processors.alerts.rule_types import (
    AnyRule,
    CampaignRule,
    EventRule,
    KeywordRule,
    Mentioning,
    NoDataRule,
    OverTimeRule,
    ReachRule,
    SpikeRule,
    ThresholdRule,
    Windowed,
    window_of,
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
"""The weight of the prior, in words."""
SECONDS = 0.4
"""The server's time for one query; its rows up to then are enough."""
_WORDS = re.compile(r"[^\W\d_]{3,}")
_OF = {"platform": "platform", "language": LANGUAGE}


# --- in words ---------------------------------------------------------------------------------------------------------
def summary(condition: Condition) -> str:
    """One line for people."""
    rule, scope = condition.rule, condition.scope
    expected = "" if condition.expected is None else f", {_number(condition.expected)} expected"
    if isinstance(rule, SpikeRule):
        if rule.measure == "volume":
            over = f"; unusual over {length(timedelta(seconds=condition.span_s))}" if condition.span_s else ""
            return f"{scope}: {_number(condition.observed)} mentions in 5 minutes{expected}{over}"
        share = "" if condition.expected is None else f", {condition.expected:.0%} expected"
        return f"{scope}: {condition.observed:.0%} of what is labelled in 5 minutes is negative{share}"
    if isinstance(rule, ThresholdRule):
        limit = rule.above if rule.above is not None else rule.below
        measure = rule.measure.replace("_", " ")
        if rule.measure in ("followers", "likes", "shares", "replies"):
            measure = f"{rule.aggregate} of {measure}"
        side = "above" if rule.above is not None else "below"
        return f"{scope}: {measure} {_number(condition.observed)} in {length(rule.window)}, {side} {_number(limit or 0)}"
    if isinstance(rule, CampaignRule):
        return f"{scope}: the same text from {_number(condition.observed)} accounts within {length(rule.window)}"
    if isinstance(rule, NoDataRule):
        return f"{scope}: {_no_data(condition)}"
    assert_never(rule)


def _no_data(condition: Condition) -> str:
    since, expected = f"since {condition.start:%Y-%m-%d %H:%M} UTC", condition.expected
    if condition.measure == NO_ANSWER:
        return f"no answer {since}; it is asked every {length(timedelta(minutes=expected or 1))}"
    if condition.measure == NO_EVENT:
        usual = "" if expected is None else f"; at this hour the longest gap was {length(timedelta(minutes=expected))}"
        return f"it answers, but no event {since}{usual}"
    return f"nothing {since}"


def event_summary(rule: EventRule, candidate: Candidate) -> str:
    """One line for people: the brand, the event's label and platform, and its words or its reach."""
    event = f"{candidate.sentiment} event" if candidate.sentiment else "an event"
    subject = f"{candidate.brand}: {event} on {candidate.platform}"
    if isinstance(rule, KeywordRule):
        return f"{subject} says {', '.join(candidate.words)}"
    if isinstance(rule, ReachRule):
        return f"{subject} reaches {_number(candidate.observed)}"
    assert_never(rule)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2f}"


def length(window: timedelta) -> str:
    """`15 minutes`, `4 h`."""
    if window < timedelta(minutes=1):
        return f"{window.total_seconds():.0f} s"
    minutes = int(window.total_seconds()) // 60
    return f"{minutes} minute{'s' if minutes > 1 else ''}" if minutes % 60 else f"{minutes // 60} h"


# --- in SQL -----------------------------------------------------------------------------------------------------------
def query(rule: AnyRule, scope: Scope, start: datetime, span_s: int = 0) -> str:
    """SQL that shows the events of the scope from the beginning of the window on: of `span_s`, if a longer one has a spike."""
    window = timedelta(hours=1) if isinstance(rule, NoDataRule) else max(window_of(rule), timedelta(seconds=span_s))
    return _select(where(rule, scope), start - window + timedelta(minutes=1))


def event_query(candidate: Candidate) -> str:
    """SQL that shows the event."""
    minute = candidate.created_at.replace(second=0, microsecond=0)
    return (
        "SELECT created_at, platform, author_handle, author_followers, sentiment_label, text FROM interactions FINAL "
        f"WHERE toStartOfMinute(created_at) = '{minute:%Y-%m-%d %H:%M:%S}' AND event_key = {candidate.event_key}"
    )


def where(rule: AnyRule | None, scope: Scope) -> str:
    """The condition of inbound events of this scope that the rule looks at; without a rule of all."""
    parts = [INBOUND_SQL]
    if scope.brand:
        parts.append(f"has(brands, {quoted(scope.brand)})")
    parts += [f"{_OF[name]} = {quoted(getattr(scope, name))}" for name in _OF if getattr(scope, name)]
    listed = {
        "platform": rule.platforms if isinstance(rule, Mentioning) else (),
        "language": rule.languages if isinstance(rule, Windowed) else (),
    }
    parts += [f"{_OF[name]} IN ({', '.join(map(quoted, names))})" for name, names in listed.items() if names]
    if scope.source:
        parts.append(f"source_name = {quoted(scope.source)}")
    return " AND ".join(parts)


def _select(condition: str, start: datetime) -> str:
    return (
        "SELECT created_at, platform, author_handle, sentiment_label, text FROM interactions FINAL "
        f"WHERE toStartOfMinute(created_at) >= '{start:%Y-%m-%d %H:%M:%S}' AND {condition} ORDER BY created_at LIMIT 200"
    )


# --- terms and samples ------------------------------------------------------------------------------------------------
def explain(ask: Ask, alert: Alert, rule: OverTimeRule) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The terms and the samples of a window's alert. Reads at most WINDOW_TEXTS and BASE_TEXTS texts, for about a second."""
    start, end = alert.since - window_of(rule) + timedelta(minutes=1), alert.last_at + timedelta(minutes=1)
    condition = f"{where(rule, alert.scope)} AND text != '' AND visibility != 'private'"
    # A partial answer is enough: a brand's week may be very long.
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
    terms = [term for term in significant_words(seen.get_column("text"), base.get_column("text")) if term not in brand_words]
    return tuple(terms[:TERMS]), tuple(samples.head(SAMPLES))


def _between(start: datetime, end: datetime) -> str:
    minute = "toStartOfMinute(created_at)"
    return f"{minute} >= '{start:%Y-%m-%d %H:%M:00}' AND {minute} < '{end:%Y-%m-%d %H:%M:00}'"


def significant_words(texts: Iterable[str], base: Iterable[str]) -> list[str]:
    """Words that more of `texts` than of `base` contain, by log-odds with an informative Dirichlet prior, the strongest first.

    Monroe, Colaresi and Quinn, "Fightin' Words" (2008): z = delta / sd, the prior being the words of both, scaled to `PRIOR`.
    A word counts once a text; words of a single text, and words with z under 1.96, are left out.
    """
    ours, theirs = _documents(texts), _documents(base)
    words = [word for word, count in ours.items() if count > 1]
    if not words:
        return []
    here, there = (np.array([counts[word] for word in words], float) for counts in (ours, theirs))
    all_here, all_there = sum(ours.values()), sum(theirs.values())
    prior = PRIOR * (here + there) / (all_here + all_there)
    # One more word without any occurrence, so that a vocabulary of one is no division by zero.
    odds_here = (here + prior) / (1 + all_here + PRIOR - here - prior)
    odds_there = (there + prior) / (1 + all_there + PRIOR - there - prior)
    z = (np.log(odds_here) - np.log(odds_there)) / np.sqrt(1 / (here + prior) + 1 / (there + prior))
    return [words[index] for index in np.argsort(-z, kind="stable") if z[index] > 1.96]


def _documents(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in set(_WORDS.findall(_plain(text))))


def _plain(text: str) -> str:
    """In lower case, without addresses and handles: they are no words, and a handle may be somebody's name."""
    return re.sub(r"https?://\S+|@\w+", " ", text.lower())
