"""Backtest: the alerts that the rules would have raised over a stretch of history.

It goes through the same windows, single-event rules and life of alerts as `earshot control`, a minute at a time, its clock
following the events' time. It notifies nobody and writes nothing. It can't know which events came late: it sees whole minutes.

Cost: it reads the counts of the stretch by READ_MINUTES, those of four weeks before it by three hours; then about a millisecond
a minute. Memory: the windows of its rules, however long the stretch is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import polars as pl

from pipeline.clickhouse.query import Ask, Query
from pipeline.config.zone import NO_ZONES, Zones
from pipeline.processors.alerts import counts
from pipeline.processors.alerts.audience import Hearing
from pipeline.processors.alerts.backtest.past_events import PastEvents
from pipeline.processors.alerts.campaign_search import CampaignFinder, Search, campaign_alerts, longest
from pipeline.processors.alerts.explain import explain
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import MINUTE_S, minute_of, time_of
from pipeline.processors.alerts.no_data import judge_sources
from pipeline.processors.alerts.rule_types import CampaignRule, EventRule, NoDataRule, OverTimeRule, WindowedRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.single import JUDGED, SingleEvent, words_of
from pipeline.processors.alerts.windows import READ_MINUTES, Windows
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from schemas.alerts import Alert, State
from schemas.inbound import ABOUT_A_BRAND_SQL
from schemas.signals import Candidate

NO_BRANDS = Brands(brands=())


def backtest(
    ask: Ask,
    config: Alerts,
    start: datetime,
    end: datetime,
    progress: Callable[[float], None] = lambda share: None,
    zones: Zones = NO_ZONES,
) -> list[Alert]:
    """The alerts that would have notified somebody from `start` to `end` (aware), as they ended, oldest first, explained.

    `progress` is called with the share that is done; `zones` are those of brands.
    """
    test = Backtest(ask, config, start, end, zones)
    for share in test.steps():
        progress(share)
    return test.alerts


class Minute(NamedTuple):
    """The history of one minute. `frame`: its counts (None: no events); `candidates`: the matches of single-event rules."""

    number: int
    frame: pl.DataFrame | None
    candidates: list[Candidate]

    @property
    def end(self) -> datetime:
        return time_of(self.number + 1)


class Backtest:
    """A backtest whose caller may rest between its minutes. `alerts` holds its result at the end, and `hearing` who would have
    been notified, where nobody acknowledges an alert. `brands` are those of brands.yaml."""

    def __init__(
        self, ask: Ask, config: Alerts, start: datetime, end: datetime, zones: Zones = NO_ZONES, brands: Brands = NO_BRANDS
    ) -> None:
        self.alerts: list[Alert] = []
        self._brands = brands
        self._ask, self._config, self._start, self._end, self._zones = ask, config, start, end, zones
        self.hearing = Hearing(config)
        self._lifecycle = Lifecycle(config)
        self._raised: dict[int, Alert] = {}
        self._muted: set[int] = set()
        """Keys of alerts that were inhibited for as long as they lasted: nobody would have been notified."""

    def steps(self) -> Iterator[float]:
        """Goes through the minutes; yields the share that is done after each of them."""
        first, last = minute_of(self._start), minute_of(self._end) - 1
        windowed = [rule for rule in self._config.rules if isinstance(rule, WindowedRule)]
        windows = Windows(windowed, lambda *which: self._query(counts.authors_sql(*which)), zones=self._zones)
        windows.learn(self._query, first - 1)
        campaigns = _Campaigns(self._query, self._config)
        no_data = [rule for rule in self._config.rules if isinstance(rule, NoDataRule)]
        events = PastEvents(self._query, {rule.of for rule in no_data}, self._start)
        for minute in self._minutes(windows, first, last):
            changes = self._judge(windows, minute)
            changes += campaigns.judge(self._lifecycle, minute)
            changes += judge_sources(self._lifecycle, no_data, events.until(minute.number), minute.end)
            changes += self._lifecycle.sweep(minute.end, minute.end)
            self._note(changes)
            yield (minute.number + 1 - first) / max(1, last + 1 - first)
        self.hearing.finish(self._end)
        self._raised.update((alert.key, alert) for alert in self._lifecycle.open if alert.raised_at is not None)
        notified = (alert for key, alert in self._raised.items() if key not in self._muted)
        self.alerts = [self._explained(alert) for alert in sorted(notified, key=lambda alert: (alert.since, alert.key))]

    def _judge(self, windows: Windows, minute: Minute) -> list[Alert]:
        lifecycle = self._lifecycle
        changes = lifecycle.single(minute.candidates, minute.end)[0] if minute.candidates else []
        if windows.minutes:
            windows.move(minute.number)
            if minute.frame is not None:
                windows.put(minute.frame, [minute.number], None)
            verdicts = windows.judge(minute.number, True, {alert.scope for alert in lifecycle.open})
            changes += lifecycle.take_verdicts(verdicts, minute.end)
        return changes

    def _note(self, changes: Iterable[Alert]) -> None:
        for alert in changes:
            self.hearing.note(alert)
            if alert.raised_at is not None:
                self._raised[alert.key] = alert
            if alert.muted and alert.raised_at == alert.changed_at:
                self._muted.add(alert.key)
        self._muted -= {alert.key for alert in changes if alert.state == State.FIRING and not alert.muted}

    def _minutes(self, windows: Windows, first: int, last: int) -> Iterator[Minute]:
        """Reads the history in blocks: a day of many brands would not fit the memory of control."""
        single = _single_event_rules(self._config, self._brands)
        for begin in range(first, last + 1, READ_MINUTES):
            end = min(begin + READ_MINUTES - 1, last)
            frame = self._query(counts.minutes_sql(windows.dimensions, begin, end))
            frames = {int(key[0]): part for key, part in frame.partition_by("minute", as_dict=True).items()}
            candidates: dict[int, list[Candidate]] = {}
            for candidate in self._candidates(single, begin, end) if single else ():
                candidates.setdefault(minute_of(candidate.created_at), []).append(candidate)
            for number in range(begin, end + 1):
                yield Minute(number, frames.get(number), candidates.get(number, []))

    def _candidates(self, single: SingleEvent, first: int, last: int) -> list[Candidate]:
        columns = ", ".join(dict.fromkeys((*JUDGED, "text", "text_at")))
        rows = self._query(
            f"SELECT {columns}, text_at AS said_at FROM interactions FINAL "
            f"WHERE toStartOfMinute(created_at) >= toDateTime({first * MINUTE_S}, 'UTC') "
            f"AND toStartOfMinute(created_at) <= toDateTime({last * MINUTE_S}, 'UTC') AND {ABOUT_A_BRAND_SQL}"
        )
        if not rows.height:
            return []
        # The rows are as they are now: when each event came to match is not known any more.
        return [replace(each, matched_at=None) for each in single.judge(rows.with_columns(kafka_ms=pl.lit(None, pl.Int64)))]

    def _explained(self, alert: Alert) -> Alert:
        rule = self._config.rule(alert.rule)
        if not isinstance(rule, OverTimeRule):
            return alert
        terms, samples = explain(self._ask, alert, rule)
        return replace(alert, terms=terms, samples=alert.samples or samples)

    def _query(self, sql: str) -> pl.DataFrame:
        return self._ask(sql, {})


def _single_event_rules(config: Alerts, brands: Brands) -> SingleEvent | None:
    """Joined hashtags are read by the terms of the brands, too."""
    if not any(isinstance(rule, EventRule) for rule in config.rules):
        return None
    return SingleEvent(config, Mentions(brands, words_of(config)).words_in)


class _Campaigns:
    """A search each minute in which a brand has as many mentions within the longest window as a rule asks for accounts."""

    def __init__(self, query: Query, config: Alerts) -> None:
        self._query = query
        self._rules = [rule for rule in config.rules if isinstance(rule, CampaignRule)]
        self._longest = longest(self._rules) + 1
        self._finder = CampaignFinder()
        self._least = min((rule.accounts for rule in self._rules), default=0)
        self._recent: dict[int, Counter[str]] = {}
        """Minute -> mentions by brand."""

    def judge(self, lifecycle: Lifecycle, minute: Minute) -> list[Alert]:
        if not self._rules or minute.frame is None:
            return []
        mentions = Counter(dict(minute.frame.group_by("brand").agg(pl.col("count").sum()).iter_rows()))
        self._recent = {m: brands for m, brands in self._recent.items() if m > minute.number - self._longest}
        self._recent[minute.number] = mentions
        totals = Counter[str]()
        for each in self._recent.values():
            totals.update(each)
        if all(totals[brand] < self._least for brand in mentions):
            return []
        due = Search(self._rules, [minute.number], minute.number, minute.number, minute.end)
        return campaign_alerts(lifecycle, self._finder.search(self._query, due), minute.end)
