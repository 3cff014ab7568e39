"""Evaluator: what signals and the clock make of the rules. One thread, one process at a time; ClickHouse holds the state.

It follows the events' time: the watermark is the newest occurred_at that a signal named, never past the clock, and goes on with
the clock when nothing was heard for `IDLE`. Once a second the touched minutes are read from ClickHouse in one query, and all
windows are judged at the watermark's minute; a minute that is over is judged once more, and so is a late one with the windows
that hold it. Signals are hints: at the start all minutes since the kept watermark are judged, and each minute all brands read.

Restart: `start` finds everything in ClickHouse. Cost: a query a second over the rows of the touched minutes, its answer a row a
brand (platform, language) and minute; one numpy pass over scopes by rules.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from pipeline.processors.alerts import counts
from pipeline.processors.alerts.campaign import Campaign
from pipeline.processors.alerts.campaign_search import Search, campaign_alerts
from pipeline.processors.alerts.changes import historical_key
from pipeline.processors.alerts.counts import Slice
from pipeline.processors.alerts.lifecycle import OLD, Lifecycle, Member
from pipeline.processors.alerts.minutes import DAY_MINUTES, MINUTE_S, minute_of, time_of
from pipeline.processors.alerts.no_data import SOURCES, WEEK, judge_sources
from pipeline.processors.alerts.rules import Alerts, AnyRule, CampaignRule, NoDataRule, SpikeRule, ThresholdRule
from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.spike import STEP_S
from pipeline.processors.alerts.store import AlertStore
from pipeline.processors.alerts.verdicts import Verdicts
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Alert, Scope, State
from schemas.signals import Candidate, Signal

IDLE = timedelta(seconds=5)
CLOSED_AFTER = timedelta(seconds=10)
"""A minute is over so long after its end: what was created in it has landed by then."""
KEEP_EVERY = timedelta(seconds=10)
SWEEP_EVERY = timedelta(minutes=1)
MOST_NEWS = 10_000
MOST_NAMED = 2_000
"""Of more brands that were touched their minutes are read for all brands: that is no more work than naming them."""
OLD_QUIET = timedelta(seconds=10)
DAY = timedelta(days=1)
log = logging.getLogger("earshot.alerts")


class Evaluator:
    """Everything here blocks while ClickHouse is away, and raises GivenUp when another process leads."""

    def __init__(self, tables: AlertStore, config: Alerts) -> None:
        self._tables, self.config = tables, config
        self.lifecycle = Lifecycle(config)
        self._windows = self._make_windows(config)
        self.watermark = self._heard_at = self._kept_at = self._swept_at = datetime.fromtimestamp(0, UTC)
        self._newest = self.watermark
        self._closed = 0
        """The last minute that was judged as being over."""
        self._touched: dict[int, set[str]] = {}
        self._old: dict[int, tuple[int, int]] = {}
        """Day -> first and last of its minutes that were touched when they were older than OLD."""
        self._old_at = self.watermark
        self._generation = 0
        self._started = False
        self._kafka_ms: OrderedDict[str, int] = OrderedDict()
        """Brand -> Kafka's newest time of what was said of it; of the brands that were heard of last."""
        self.news_ms: OrderedDict[int, int] = OrderedDict()
        """Alert key -> Kafka's time of the record that raised it, ms since 1970; the caller takes it out."""
        self._campaign_brands: set[str] = set()
        self._campaigns_from = self.watermark
        self._last: dict[tuple[str, str], datetime] = {}
        """(platform, source or brand; its name) -> when it last talked."""
        self._last_read = datetime.fromtimestamp(0, UTC)

    @property
    def windows(self) -> Windows:
        return self._windows

    # --- the start, other rules ---------------------------------------------------------------------------------------
    def start(self, now: datetime, generation: int) -> list[Alert]:
        """Takes over what ClickHouse holds. Returns the newest change of what is open, and of what ended a while ago."""
        self._generation, self._started = generation, True
        standing = self._tables.standing(now - DAY)
        self.lifecycle = Lifecycle(self.config, standing, self._tables.silences(now))
        kept = self._tables.watermark() or now - OLD
        self.watermark = self._newest = min(max(kept, now - OLD), now)
        self._heard_at = self._kept_at = self._swept_at = now
        self._windows = self._make_windows(self.config)  # other rules may have come while another process led
        self._recall_campaigns()
        self._read_everything()
        return standing

    def stop(self) -> None:
        """Another process leads: from now on `use` reads nothing, `start` will."""
        self._started = False

    def use(self, config: Alerts) -> None:
        """These rules are in force from now on, or from `start` on; an open alert goes on under the rule of the same name."""
        self.config = self.lifecycle.config = config
        if not self._started:
            return
        self._windows = self._make_windows(config)
        self._read_everything()

    def _make_windows(self, config: Alerts) -> Windows:
        rules = [rule for rule in config.rules if isinstance(rule, (SpikeRule, ThresholdRule))]
        return Windows(rules, self._authors)

    def _read_everything(self) -> None:
        windows, minute = self._windows, minute_of(self.watermark)
        self._closed = minute - 1
        self._last.clear()
        self._last_read = self.watermark - WEEK
        windows.learn(self._ask, minute)

    # --- what is heard ------------------------------------------------------------------------------------------------
    def ingest(self, signals: Sequence[Signal], now: datetime) -> list[Alert]:
        """Takes over signals. On return what their candidates raise is in ClickHouse; what they touched waits for `tick`."""
        candidates: list[Candidate] = []
        for signal in signals:
            if signal.newest is not None:
                self._newest, self._heard_at = max(self._newest, signal.newest), now
            for at, brands in signal.touched.items():
                self._touched.setdefault(minute_of(at), set()).update(brands)
                if self.watermark - at > OLD:
                    self._note_old(minute_of(at), now)
                if signal.kafka_ms is not None:
                    self._note_kafka(brands, signal.kafka_ms)
            candidates += signal.candidates
        new = self._tables.new([c for c in candidates if self.config.rule(c.rule) is not None])
        if not new:
            return []
        self.lifecycle.recall(self._tables.by_keys({historical_key(c) for c in new if now - c.created_at > OLD}))
        changes, members = self.lifecycle.single(new, now)
        heard = {(c.rule, c.brand, c.event_key): c.kafka_ms for c in new}
        for member in members:
            kafka_ms = heard[member.rule, member.brand, member.event_key]
            if kafka_ms is not None:
                self._note_news(member.alert_key, kafka_ms)
        return self._write(changes, members)

    def _note_kafka(self, brands: Iterable[str], kafka_ms: int) -> None:
        for brand in brands:
            self._kafka_ms[brand] = kafka_ms
            self._kafka_ms.move_to_end(brand)
        while len(self._kafka_ms) > MOST_NEWS:
            self._kafka_ms.popitem(last=False)

    def _note_old(self, minute: int, now: datetime) -> None:
        first, last = self._old.get(minute // DAY_MINUTES, (minute, minute))
        self._old[minute // DAY_MINUTES] = min(first, minute), max(last, minute)
        self._old_at = now

    def late_span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """What of a day is to be gone through, for its windows were touched too late to tell anybody; once it is quiet."""
        if not self._old or now - self._old_at < OLD_QUIET:
            return None
        first, last = self._old.pop(min(self._old))
        end = min(time_of(last + self._windows.longest), now - OLD)
        return time_of(first), end

    def record(self, alerts: Iterable[Alert], now: datetime) -> list[Alert]:
        """Puts on record what windows of the past would have raised, but for what is on record already, near it in time."""
        found = list(alerts)
        if not found:
            return []
        first, last = min(alert.since for alert in found) - DAY, max(alert.last_at for alert in found) + DAY
        known = self._tables.between(first, last)
        over: dict[str, Any] = {"state": State.RESOLVED, "historical": True, "raised_at": None, "version": 1, "muted": ""}
        new = [alert for alert in found if not any(self._near(alert, other) for other in known)]
        return self._write([replace(alert, **over, changed_at=now, ended_at=alert.last_at) for alert in new], [])

    def _near(self, alert: Alert, other: Alert) -> bool:
        rule = self.config.rule(alert.rule)
        room = rule.resolve if rule else DAY
        same = (alert.rule, alert.scope) == (other.rule, other.scope)
        return same and other.since - room <= alert.last_at and alert.since <= other.last_at + room

    # --- once a second ------------------------------------------------------------------------------------------------
    def tick(self, now: datetime) -> list[Alert]:
        """Judges what was touched since. On return the changes are in ClickHouse, and may be told."""
        before = minute_of(self.watermark)
        self._move_on(now)
        minute = minute_of(self.watermark)
        if minute > before and self._windows.minutes:
            self._enter(range(max(before, minute - self._windows.minutes) + 1, minute + 1))
        sweeps = now - self._swept_at >= SWEEP_EVERY
        self._campaign_brands |= self._for_campaigns(set().union(*(b for m, b in self._touched.items() if m <= minute)))
        recent = {m: self._windows.wanted(brands) for m, brands in self._touched.items() if minute - m < self._windows.minutes}
        touched = {m: brands for m, brands in recent.items() if brands}
        self._touched = {m: brands for m, brands in self._touched.items() if m > minute}  # created after the watermark
        if sweeps:
            self._read(range(max(minute_of(self._swept_at) - 1, minute - self._windows.minutes + 1), minute + 1), None)
        if touched:
            self._read(touched, sorted(set().union(*touched.values())))
        changes = self._judge(touched, minute, now)
        if sweeps:
            self._swept_at = now
            changes += self._silent(now)
        changes += self.lifecycle.sweep(self.watermark, now)
        written = self._write(changes, [])
        if now - self._kept_at >= KEEP_EVERY:
            self._tables.keep_watermark(self.watermark, now, self._generation)
            self._kept_at = now
        return written

    def _move_on(self, now: datetime) -> None:
        newest = now if now - self._heard_at >= IDLE else min(self._newest, now)
        self.watermark = max(self.watermark, newest)

    def _enter(self, minutes: range) -> None:
        """These are new. The leader before may have committed their signals: all is read, before the histories
        go on over it."""
        for ring in self._windows.rings.values():
            ring.move(minutes[-1])
        self._read(minutes, None)
        self._windows.move(minutes[-1])

    def _judge(self, touched: Iterable[int], minute: int, now: datetime) -> list[Alert]:
        windows, changes = self._windows, []
        if not windows.minutes:
            return []
        oldest = max(minute - int(OLD.total_seconds()) // MINUTE_S + 1, windows.first)
        late = {m + n for m in touched for n in range(windows.longest) if oldest <= m + n <= self._closed}
        for each in sorted(late):
            changes += self.lifecycle.take_verdicts(self._verdicts(each, over=True), now, late=True)
        while (self._closed + 2) * MINUTE_S + CLOSED_AFTER.total_seconds() <= self.watermark.timestamp():
            self._closed += 1
            if self._closed >= oldest:
                changes += self.lifecycle.take_verdicts(self._verdicts(self._closed, over=True), now)
        changes += self.lifecycle.take_verdicts(self._verdicts(minute, over=False), now)
        for alert in changes:
            if alert.raised_at == now and alert.scope.brand in self._kafka_ms:
                self._note_news(alert.key, self._kafka_ms[alert.scope.brand])
        return changes

    def _verdicts(self, minute: int, over: bool) -> list[Verdicts]:
        return self._windows.judge(minute, over, {alert.scope for alert in self.lifecycle.open})

    def _read(self, minutes: Iterable[int], brands: Sequence[str] | None) -> None:
        listed = sorted(minutes)
        if self._windows.rings and listed:
            if brands is not None and len(brands) > MOST_NAMED:
                brands = None
            frame = self._ask(counts.read_sql(self._windows.dimensions, listed, brands))
            self._windows.put(frame, listed, brands)

    def _authors(self, slice_: Slice, scopes: Sequence[Scope], first: int, last: int) -> pl.DataFrame:
        return self._ask(counts.authors_sql(slice_, scopes, first, last))

    def _ask(self, sql: str) -> pl.DataFrame:
        return self._tables.ask(sql)

    def _note_news(self, key: int, kafka_ms: int) -> None:
        self.news_ms.setdefault(key, kafka_ms)
        if len(self.news_ms) > MOST_NEWS:  # nobody is told of these
            self.news_ms.popitem(last=False)

    # --- campaigns, silence -------------------------------------------------------------------------------------------
    def campaigns_due(self) -> Search | None:
        """What to look for campaigns in now: the brands that were touched since the last time. It is for another thread."""
        rules = [rule for rule in self.config.rules if isinstance(rule, CampaignRule)]
        if not rules or not self._campaign_brands or self.watermark < self._campaigns_from:
            return None
        brands, self._campaign_brands = sorted(self._campaign_brands), set()
        return Search(rules, brands, self.watermark)

    def _for_campaigns(self, brands: Iterable[str]) -> set[str]:
        """Those of the brands that a rule about campaigns can be about."""
        rules = [rule for rule in self.config.rules if isinstance(rule, CampaignRule)]
        return {brand for brand in brands if any(not rule.brands or brand in rule.brands for rule in rules)}

    def raise_campaigns(self, campaigns: Iterable[tuple[CampaignRule, Campaign]], now: datetime) -> list[Alert]:
        """Takes over what `search` has found."""
        changes = [alert for rule, each in campaigns for alert in campaign_alerts(self.lifecycle, rule, each, now)]
        return self._write(changes, [])

    def _recall_campaigns(self) -> None:
        """The leader before may have committed signals of brands that it has not searched. First the watermark moves on."""
        windows = [rule.window for rule in self.config.rules if isinstance(rule, CampaignRule)]
        if not windows:
            return
        since = f"{self.watermark - max(windows):%Y-%m-%d %H:%M:00}"
        recent = f"toStartOfMinute(created_at) >= '{since}' AND is_deleted = 0"
        brands = self._ask(f"SELECT DISTINCT toString(arrayJoin(brands)) AS brand FROM interactions WHERE {recent}")
        self._campaign_brands |= self._for_campaigns(brands.get_column("brand"))
        self._campaigns_from = self.watermark + timedelta(milliseconds=1)

    def _silent(self, now: datetime) -> list[Alert]:
        rules = [rule for rule in self.config.rules if isinstance(rule, NoDataRule)]
        for of in {rule.of for rule in rules}:
            since = f"toStartOfMinute(created_at) >= '{self._last_read - 2 * SWEEP_EVERY:%Y-%m-%d %H:%M:00}'"
            rows = self._ask(
                f"SELECT {SOURCES[of]} AS name, max(created_at) AS last FROM interactions WHERE {since} "
                "AND is_deleted = 0 GROUP BY name"
            )
            for name, last in rows.iter_rows():
                self._last[of, name] = max(last, self._last.get((of, name), last))
        self._last_read = self.watermark
        # No rule asks for longer: who has not talked since is not missed any more.
        self._last = {key: at for key, at in self._last.items() if self.watermark - at <= 2 * WEEK}
        return judge_sources(self.lifecycle, rules, self._last, self.watermark, now)

    # --- explanations -------------------------------------------------------------------------------------------------
    def unexplained(self, alert: Alert) -> timedelta | None:
        """The window of an alert that has just begun to fire and is to be explained before it is told; None: it says all."""
        begins = alert.state == State.FIRING and alert.raised_at == alert.changed_at and not alert.muted and not alert.test
        rule = self.config.rule(alert.rule)
        return window_of(rule) if begins and isinstance(rule, (SpikeRule, ThresholdRule, CampaignRule)) else None

    def explained(self, key: int, terms: tuple[str, ...], samples: tuple[int, ...], now: datetime) -> list[Alert]:
        """Puts an explanation on record; nothing when the alert is over already."""
        alert = self.lifecycle.by_key(key)
        return [] if alert is None else self._write([self.lifecycle.explained(alert, now, terms, samples)], [])

    # --- people -------------------------------------------------------------------------------------------------------
    def acknowledge(self, alert: Alert, actor: str, comment: str, now: datetime) -> list[Alert]:
        return self._write([self.lifecycle.acknowledge(alert, actor, comment, now)], [])

    def silence(self, silence: Silence, now: datetime) -> list[Alert]:
        """Begins or ends a silence; returns the alerts that it changes."""
        self._tables.write_silence(silence, self._generation)
        self.lifecycle.silences[silence.silence_id] = silence
        return self._write(self.lifecycle.sweep(self.watermark, now), [])

    def test(self, rule: AnyRule, brand: str, actor: str, now: datetime) -> list[Alert]:
        return self._write([self.lifecycle.test(rule, brand, actor, now)], [])

    def _write(self, changes: list[Alert], members: Sequence[Member]) -> list[Alert]:
        self._tables.write(changes, members, self._generation)
        return changes


def window_of(rule: AnyRule | None) -> timedelta:
    return rule.window if isinstance(rule, (ThresholdRule, CampaignRule)) else timedelta(seconds=STEP_S)
