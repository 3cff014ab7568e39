"""Backtest: what the rules would have raised over a stretch of history.

It goes through the same windows, single-event rules and life of alerts as `earshot control`, a minute at a time, its clock
following the events' time. Nobody is told and nothing is written. It can't know what was late then: it sees each minute whole.

Cost: the counts of the stretch and of four weeks before it are read by days; then about a millisecond a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl

from pipeline.clickhouse.query import Ask
from pipeline.processors.alerts import counts
from pipeline.processors.alerts.campaign_search import Search, campaign_alerts, due_searches, search
from pipeline.processors.alerts.counts import Slice
from pipeline.processors.alerts.explain import explain
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import DAY_MINUTES, MINUTE_S, minute_of, time_of
from pipeline.processors.alerts.no_data import SOURCES, WEEK, judge_sources
from pipeline.processors.alerts.rules import (
    Alerts,
    CampaignRule,
    KeywordRule,
    NoDataRule,
    ReachRule,
    SpikeRule,
    ThresholdRule,
    window_of,
)
from pipeline.processors.alerts.single import JUDGED, SingleEvent, words_of
from pipeline.processors.alerts.windows import Windows
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from schemas.alerts import Alert, State
from schemas.inbound import ABOUT_A_BRAND_SQL
from schemas.signals import Candidate


def backtest(
    ask: Ask, config: Alerts, start: datetime, end: datetime, progress: Callable[[float], None] = lambda share: None
) -> list[Alert]:
    """The alerts that would have notified somebody from `start` to `end` (aware), as they ended, oldest first, explained.

    `progress` is called with the share that is done.
    """
    test = Backtest(ask, config, start, end)
    for share in test.steps():
        progress(share)
    return test.alerts


class Backtest:
    """A backtest whose caller may rest between its minutes. `alerts` holds its result at the end."""

    def __init__(self, ask: Ask, config: Alerts, start: datetime, end: datetime) -> None:
        self.alerts: list[Alert] = []
        self._ask, self._config, self._start, self._end = ask, config, start, end

    def steps(self) -> Iterator[float]:
        """Goes through the minutes; yields the share that is done after each of them."""
        ask, config = self._ask, self._config
        first, last = minute_of(self._start), minute_of(self._end) - 1
        windows = Windows([rule for rule in config.rules if isinstance(rule, (SpikeRule, ThresholdRule))], _authors(ask))
        lifecycle, raised = Lifecycle(config), dict[int, Alert]()
        quiet: set[int] = set()
        """Inhibited for as long as they lasted: nobody would have been notified."""
        windows.learn(lambda sql: ask(sql, {}), first - 1)
        looks = _Campaigns(ask, config)
        talks = _Talks(ask, config, self._start)
        for minute, frame, candidates in _minutes(ask, config, windows, first, last):
            now = time_of(minute + 1)
            changes: list[Alert] = []
            if candidates:
                changes += lifecycle.single(candidates, now)[0]
            if windows.minutes:
                windows.move(minute)
                if frame is not None:
                    windows.put(frame, [minute], None)
                changes += lifecycle.take_verdicts(windows.judge(minute, True, {alert.scope for alert in lifecycle.open}), now)
            changes += looks.look(lifecycle, frame, minute, now)
            changes += talks.listen(lifecycle, minute, now)
            changes += lifecycle.sweep(now, now)
            raised.update((alert.key, alert) for alert in changes if alert.raised_at is not None)
            quiet |= {alert.key for alert in changes if alert.muted and alert.raised_at == alert.changed_at}
            quiet -= {alert.key for alert in changes if alert.state == State.FIRING and not alert.muted}
            yield (minute + 1 - first) / max(1, last + 1 - first)
        raised.update((alert.key, alert) for alert in lifecycle.open if alert.raised_at is not None)
        loud = (alert for key, alert in raised.items() if key not in quiet)
        self.alerts = [_explained(ask, config, alert) for alert in sorted(loud, key=lambda alert: (alert.since, alert.key))]


def _authors(ask: Ask) -> Callable[[Slice, object, int, int], pl.DataFrame]:
    return lambda slice_, scopes, first, last: ask(counts.authors_sql(slice_, scopes, first, last), {})  # type: ignore[arg-type]


def _minutes(
    ask: Ask, config: Alerts, windows: Windows, first: int, last: int
) -> Iterator[tuple[int, pl.DataFrame | None, list[Candidate]]]:
    """Each minute, its counts (None: nothing was said) and the events that single-event rules find in it."""
    finder = _finder(config)
    for begin in range(first, last + 1, DAY_MINUTES):
        end = min(begin + DAY_MINUTES - 1, last)
        by_minute = _by(ask(counts.minutes_sql(windows.dimensions, begin, end), {}), "minute")
        found: dict[int, list[Candidate]] = {}
        for candidate in _candidates(ask, finder, begin, end) if finder else ():
            found.setdefault(minute_of(candidate.created_at), []).append(candidate)
        for minute in range(begin, end + 1):
            yield minute, by_minute.get(minute), found.get(minute, [])


def _by(frame: pl.DataFrame, column: str) -> Mapping[int, pl.DataFrame]:
    return {int(key[0]): part for key, part in frame.partition_by(column, as_dict=True).items()}


# --- single events ----------------------------------------------------------------------------------------------------
def _finder(config: Alerts) -> SingleEvent | None:
    rules = [rule for rule in config.rules if isinstance(rule, (KeywordRule, ReachRule))]
    if not rules:
        return None
    return SingleEvent(config, Mentions(Brands(brands=()), words_of(config)).words_in)


def _candidates(ask: Ask, finder: SingleEvent, first: int, last: int) -> Iterable[Candidate]:
    columns = ", ".join(dict.fromkeys((*JUDGED, "text", "text_at")))
    rows = ask(
        f"SELECT {columns}, text_at AS said_at FROM interactions FINAL "
        f"WHERE toStartOfMinute(created_at) >= toDateTime({first * MINUTE_S}, 'UTC') "
        f"AND toStartOfMinute(created_at) <= toDateTime({last * MINUTE_S}, 'UTC') AND {ABOUT_A_BRAND_SQL}",
        {},
    )
    return finder.judge(rows.with_columns(kafka_ms=pl.lit(None, pl.Int64))) if rows.height else []


# --- campaigns, silence -----------------------------------------------------------------------------------------------
class _Campaigns:
    def __init__(self, ask: Ask, config: Alerts) -> None:
        self._ask = ask
        self._rules = [rule for rule in config.rules if isinstance(rule, CampaignRule)]
        self._recent: dict[int, dict[str, int]] = {}
        self._longest = max((int(rule.window.total_seconds()) // MINUTE_S for rule in self._rules), default=0)

    def look(self, lifecycle: Lifecycle, frame: pl.DataFrame | None, minute: int, now: datetime) -> list[Alert]:
        if not self._rules or frame is None:
            return []
        self._recent[minute] = dict(frame.group_by("brand").agg(pl.col("count").sum()).iter_rows())
        self._recent = {m: brands for m, brands in self._recent.items() if m > minute - self._longest}
        total: dict[str, int] = {}
        for brands in self._recent.values():
            for brand, count in brands.items():
                total[brand] = total.get(brand, 0) + count
        least = min(rule.accounts for rule in self._rules)
        wanted = sorted(brand for brand in self._recent[minute] if total[brand] >= least)

        def query(sql: str) -> pl.DataFrame:
            return self._ask(sql, {})

        found = [each for pair in due_searches(query, Search(self._rules, wanted, now)) for each in search(query, *pair, now)]
        return [alert for rule, each in found for alert in campaign_alerts(lifecycle, rule, each, now)]


class _Talks:
    """Who talked in which minute."""

    def __init__(self, ask: Ask, config: Alerts, start: datetime) -> None:
        self._ask = ask
        self._rules = [rule for rule in config.rules if isinstance(rule, NoDataRule)]
        self._last: dict[tuple[str, str], datetime] = {}
        self._day = -1
        self._talks: dict[int, list[tuple[str, str]]] = {}
        for of in {rule.of for rule in self._rules}:
            before = f"created_at >= '{start - WEEK:%Y-%m-%d %H:%M:%S}' AND created_at < '{start:%Y-%m-%d %H:%M:%S}'"
            for name, last in self._read(
                f"SELECT {SOURCES[of]} AS name, max(created_at) FROM interactions WHERE {before} GROUP BY name"
            ):
                self._last[of, str(name)] = last  # type: ignore[assignment]

    def _read(self, sql: str) -> Iterator[tuple[object, object]]:
        return self._ask(sql, {}).iter_rows()

    def listen(self, lifecycle: Lifecycle, minute: int, now: datetime) -> list[Alert]:
        if not self._rules:
            return []
        if minute // DAY_MINUTES != self._day:
            self._day, self._talks = minute // DAY_MINUTES, {}
            for of in {rule.of for rule in self._rules}:
                begin, end = self._day * DAY_MINUTES * MINUTE_S, (self._day + 1) * DAY_MINUTES * MINUTE_S
                sql = f"""
SELECT DISTINCT {SOURCES[of]} AS name, toInt64(intDiv(toUnixTimestamp(created_at), 60)) FROM interactions
WHERE created_at >= toDateTime({begin}, 'UTC') AND created_at < toDateTime({end}, 'UTC') AND is_deleted = 0"""
                for name, at in self._read(sql):
                    self._talks.setdefault(int(at), []).append((of, str(name)))  # type: ignore[call-overload]
        self._last.update(dict.fromkeys(self._talks.get(minute, ()), now - timedelta(minutes=1)))
        return judge_sources(lifecycle, self._rules, self._last, now, now)


def _explained(ask: Ask, config: Alerts, alert: Alert) -> Alert:
    if alert.type not in ("spike", "threshold", "campaign"):
        return alert
    terms, samples = explain(ask, alert, window_of(config.rule(alert.rule)))
    return replace(alert, terms=terms, samples=alert.samples or samples)
