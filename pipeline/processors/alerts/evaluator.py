"""Evaluator: signals and the clock against the rules. One thread, one process at a time; the state is in ClickHouse.

It follows the events' time: the watermark is the newest occurred_at that a signal named, never past the clock, and goes on with
the clock when no signal came for `IDLE`. Once a second it reads the touched minutes from ClickHouse in one query and judges all
windows at the watermark's minute; a minute that has ended once more, and windows that hold a late one, for its brands. Signals
are hints: at the start it judges all minutes since the kept watermark, and touched.Sweep reads all brands again.

Restart: `start` reads everything from ClickHouse. Cost: a query a second over the rows of the touched minutes, its answer a row
a brand (platform, language) and minute; touched.Sweep; one numpy pass over scopes by rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pipeline.config.zone import NO_ZONES, Zones
from pipeline.processors.alerts import counts
from pipeline.processors.alerts.campaign import Match
from pipeline.processors.alerts.campaign_queue import CampaignQueue
from pipeline.processors.alerts.campaign_search import Search, campaign_alerts
from pipeline.processors.alerts.changes import CLOSED_AFTER, historical_key
from pipeline.processors.alerts.history import STEP_MINUTES
from pipeline.processors.alerts.late_days import DAY, historical
from pipeline.processors.alerts.lifecycle import OLD, Lifecycle
from pipeline.processors.alerts.minutes import MINUTE_S, minute_of, time_of
from pipeline.processors.alerts.news import News
from pipeline.processors.alerts.no_data import LastArrivals
from pipeline.processors.alerts.open_alerts import OpenAlerts
from pipeline.processors.alerts.read_past import read_again
from pipeline.processors.alerts.receiver import remembered
from pipeline.processors.alerts.rule_types import CampaignRule, WindowedRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.store import AlertStore
from pipeline.processors.alerts.touched import SWEEP_EVERY, Sweep, Touched
from pipeline.processors.alerts.unknown_rules import UnknownRules, split
from pipeline.processors.alerts.verdicts import Verdicts
from pipeline.processors.alerts.windows import Brands, Windows
from schemas.alerts import Alert
from schemas.signals import Candidate, Signal

IDLE = timedelta(seconds=5)
KEEP_EVERY = timedelta(seconds=10)
RESUMES = timedelta(minutes=3)
"""The first minutes that are judged after more than an hour without a leader."""
SETTLED_AFTER = timedelta(seconds=7)
"""So long after the start no alert escalates: signals of before are still read, and the watermark is not at the clock yet."""


class Evaluator(OpenAlerts):
    """Every method that reads or writes blocks while ClickHouse is away, and raises GivenUp when another process leads."""

    def __init__(self, tables: AlertStore, config: Alerts, zones: Zones = NO_ZONES) -> None:
        super().__init__(tables, config)
        self.zones = zones
        self.windows = self._make_windows(config)
        self._heard_at = self._kept_at = self._swept_at = self._led_at = self._newest = time_of(0)
        self._closed = 0
        """The last minute that was judged as ended."""
        self._again = set[int]()
        """Minutes that were judged under another leader or by other rules: again, before an open alert may end."""
        self._started, self.campaigns, self.arrivals = False, CampaignQueue(), LastArrivals()
        self._touched, self._sweep, self.news, self.unknown = Touched(), Sweep(time_of(0)), News(), UnknownRules()

    # --- the start, other rules ---------------------------------------------------------------------------------------
    def start(self, now: datetime, generation: int) -> list[Alert]:
        """Takes over the state in ClickHouse. Returns the newest change of open alerts, and of those that ended lately."""
        self._generation, self._started = generation, True
        standing = self._tables.standing(now - remembered(self.config.receivers))
        self.lifecycle = Lifecycle(self.config, standing, self._tables.silences(now))
        kept = self._tables.watermark() or now - OLD
        self.watermark = self._newest = min(max(kept, now - OLD), now)
        if kept < self.watermark:
            self.lifecycle.resumed = self.watermark + RESUMES
        self._heard_at = self._kept_at = self._led_at = now
        self._swept_at = now - SWEEP_EVERY  # a source may have gone silent while nobody led
        self._sweep = Sweep(now)
        self.unknown.read(self._tables, now)
        self._touched.late.read(self._tables, now)
        self.campaigns.recall(self._campaign_rules, self.watermark, now)
        self._read_everything()
        return standing

    def stop(self) -> None:
        """Another process leads: from now on `use` reads nothing, `start` will."""
        self._started = False

    def use(self, config: Alerts) -> None:
        """These rules are in force from now on, or from `start` on; an open alert goes on under the rule of the same name."""
        self.config = self.lifecycle.config = config
        if self._started:
            self._read_everything()

    def use_zones(self, zones: Zones) -> None:
        self.zones = zones
        self.windows.use_zones(zones)

    def _make_windows(self, config: Alerts) -> Windows:
        windowed = (rule for rule in config.rules if isinstance(rule, WindowedRule))
        return Windows(windowed, lambda *which: self._tables.ask(counts.authors_sql(*which)), zones=self.zones)

    def _read_everything(self) -> None:
        self._closed = minute_of(self.watermark - CLOSED_AFTER) - 1
        self._again = {self._closed - 1, self._closed}
        self.arrivals.reset()
        self._learn(minute_of(self.watermark))

    def _learn(self, minute: int) -> None:
        """All that the windows of these rules need."""
        self.windows = self._make_windows(self.config)
        self._take_in_open(self.windows)
        self.windows.learn(self._tables.ask, minute)

    @property
    def _campaign_rules(self) -> list[CampaignRule]:
        return [rule for rule in self.config.rules if isinstance(rule, CampaignRule)]

    # --- signals ------------------------------------------------------------------------------------------------------
    def ingest(self, signals: Sequence[Signal], now: datetime) -> list[Alert]:
        """Takes over signals. On return the alerts of candidates are in ClickHouse; the touched minutes wait for `tick`."""
        candidates: list[Candidate] = []
        for signal in signals:
            if signal.newest is not None:
                self._newest, self._heard_at = max(self._newest, signal.newest), now
            self._touched.add(signal, self.watermark, now)
            self.news.add(signal)
            candidates += signal.candidates
        known, unknown = split(candidates, self.config)
        self.unknown.add(self._tables, unknown, now, self._generation)
        return self._single(known, now)

    def _single(self, candidates: Sequence[Candidate], now: datetime) -> list[Alert]:
        """Takes over candidates of known rules."""
        if not (new := self._tables.new(candidates)):
            return []
        self.lifecycle.old_events.recall(self._tables.by_keys({historical_key(c) for c in new if now - c.at > OLD}))
        changes, members = self.lifecycle.single(new, now)
        kafka_ms = {(c.rule, c.brand, c.event_key): c.kafka_ms for c in new}
        for member in members:
            self.news.raised(member.alert_key, kafka_ms[member.rule, member.brand, member.event_key])
        return self._write(changes, members)

    # --- once a second ------------------------------------------------------------------------------------------------
    def tick(self, now: datetime) -> list[Alert]:
        """Judges the touched minutes. On return the changes are in ClickHouse, and may be published."""
        before = minute_of(self.watermark)
        times = self._heard_at, self._kept_at, self._swept_at, self._led_at
        self._heard_at, self._kept_at, self._swept_at, self._led_at = (min(at, now) for at in times)  # the clock was set back
        self._move_on(now)
        minute = minute_of(self.watermark)
        if minute > before and self.windows.minutes:
            self._enter(before, minute)
        touched = self._take_touched(minute, now)
        self._read(self._sweep.take(minute, self.windows.longest, now), None)
        self._read(touched, sorted(set().union(*touched.values())))
        changes = self._judge(touched, minute, now)
        if now - self._swept_at >= SWEEP_EVERY:
            self._swept_at = now
            changes += self._judge_sources(now)
            self.unknown.forget(now)
        changes += self.lifecycle.sweep(self.watermark, now, settled=now - self._led_at >= SETTLED_AFTER)
        written = self._write(changes, []) + self._look_again(now)
        self._touched.late.save(self._tables, now, self._generation)
        if now - self._kept_at >= KEEP_EVERY:
            self._tables.keep_watermark(self.watermark, now, self._generation)
            self._kept_at = now
        return written

    def _look_again(self, now: datetime) -> list[Alert]:
        """Takes over candidates whose rule has become known."""
        if not (candidates := self.unknown.known(self.config)):
            return []
        changes = self._single(candidates, now)
        self.unknown.done(self._tables, self.config, self._generation)
        return changes

    def _move_on(self, now: datetime) -> None:
        self.watermark = max(self.watermark, now if now - self._heard_at >= IDLE else min(self._newest, now))

    def _enter(self, before: int, minute: int) -> None:
        """Moves on to new minutes. The process that led before may have committed signals of them: all brands are read, before
        the histories take the minutes over. After a pause about as long as the rings, all is read as at a start."""
        if minute - before > self.windows.minutes - STEP_MINUTES - 1:
            self._learn(minute)
        for ring in self.windows.rings.values():
            ring.move(minute)
        self._read(range(max(before, minute - self.windows.minutes) + 1, minute + 1), None)
        self.windows.move(minute)
        histories = self.windows.histories.values()
        read_again(self._tables.ask, self.windows.dimensions, histories, self._touched.take_past(histories))

    def _take_touched(self, minute: int, now: datetime) -> dict[int, set[str]]:
        """Minutes up to this one that a ring holds, and their brands that a windowed rule can be about."""
        due = self._touched.take(minute)
        self.campaigns.add(self._campaign_rules, due, now)
        asked = {m: wanted for m, brands in due.items() if (wanted := self.windows.wanted(brands))}
        return self._touched.recent(asked, minute, self.windows.minutes)

    def _judge(self, touched: Mapping[int, set[str]], minute: int, now: datetime) -> list[Alert]:
        windows, changes = self.windows, []
        if not windows.minutes:
            return []
        oldest = max(minute - int(OLD.total_seconds()) // MINUTE_S + 1, windows.first)
        late: dict[int, set[str] | None] = {**self._touched.to_judge(touched, range(oldest, self._closed + 1), windows)}
        late |= {each: None for each in self._again if oldest <= each <= self._closed}
        self._again = set()
        for each in sorted(late):
            changes += self.lifecycle.take_verdicts(self._verdicts(each, True, late[each]), now, late=True)
        while (self._closed + 2) * MINUTE_S + CLOSED_AFTER.total_seconds() <= self.watermark.timestamp():
            self._closed += 1
            if self._closed >= oldest:
                changes += self.lifecycle.take_verdicts(self._verdicts(self._closed, over=True), now)
        changes += self.lifecycle.take_verdicts(self._verdicts(minute, over=False), now)
        for alert in (alert for alert in changes if alert.raised_at == now):
            self.news.raised_by_brand(alert.key, alert.scope.brand)
        return changes

    def _verdicts(self, minute: int, over: bool, brands: Brands = None) -> list[Verdicts]:
        return self.windows.judge(minute, over, {alert.scope for alert in self.lifecycle.open}, brands)

    def _read(self, minutes: Iterable[int], brands: Sequence[str] | None) -> None:
        self.windows.read(self._tables.ask, minutes, brands)

    def _judge_sources(self, now: datetime) -> list[Alert]:
        return self.arrivals.judge(self._tables, self.lifecycle, now, self._led_at, self._generation)

    # --- campaigns ----------------------------------------------------------------------------------------------------
    def campaigns_due(self) -> Search | None:
        """Touched minutes, for a search on another thread; `raise_campaigns` follows, or `campaigns.failed`."""
        return self.campaigns.take(self._campaign_rules, self.watermark)

    def raise_campaigns(self, matches: Iterable[Match], now: datetime) -> list[Alert]:
        """Takes over the matches of the search."""
        self.campaigns.done()
        return self._write(campaign_alerts(self.lifecycle, matches, now), [])

    # --- late windows -------------------------------------------------------------------------------------------------
    def late_span(self, now: datetime) -> tuple[datetime, datetime] | None:
        """The span of a day whose windows were touched too late for a notification; `record` its alerts, if any."""
        return self._touched.late.take(now, self.windows.reach)

    def record(self, alerts: Iterable[Alert], now: datetime) -> list[Alert]:
        """Stores alerts of a backtest as historical, except those near a stored alert of their rule and scope."""
        self._touched.late.done()
        if not (late := list(alerts)):
            return []
        known = self._tables.between(min(alert.since for alert in late) - DAY, max(alert.last_at for alert in late) + DAY)
        return self._write(historical(late, known, self.config, now), [])
