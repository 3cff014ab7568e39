"""Sources that a listener runs (table source_health): whether one is dead, or only calm. For rules of type no_data.

A source is missed when nothing answered for SILENT intervals; else when no event came for longer than is usual at this hour of
the week (usual_gaps.py), or for the rule's `after` until that is known. A source that is paused or was taken out of
sources.yaml is not missed. Without any listener no source answers.

Restart: after it, after ClickHouse was away, and after the clock was set back no alert of a source that doesn't answer begins
for PATIENCE: its listener may have been unable to say that it lives. Cost: a row a source, once a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.condition import NO_ANSWER, NO_EVENT, Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import MINUTE_S, floor, time_of
from pipeline.processors.alerts.rule_types import NoDataRule
from pipeline.processors.alerts.usual_gaps import LEAST, UsualGaps
from schemas.alerts import Alert, Scope

SILENT, PATIENCE = 3, timedelta(minutes=5)
LOOKS_APART = timedelta(minutes=3)
FORGOTTEN = timedelta(days=7)
"""A source of which no listener has written for so long, and for `after`, is not missed any more."""
MOST_SOURCES = 10_000
NOT_EXPECTED = ("paused", "gone")
_COLUMNS = "source, state, since, last_contact, until, every_s, written_at"


class Source(NamedTuple):
    """A row of table source_health."""

    source: str
    state: str
    since: datetime
    last_contact: datetime | None
    until: datetime | None
    every_s: float
    written_at: datetime

    @property
    def heard_at(self) -> datetime:
        """When it last answered; if it never did, since when it is as it is."""
        return self.last_contact or self.since

    @property
    def patience(self) -> timedelta:
        """For how long it may not answer."""
        return max(LEAST, SILENT * timedelta(seconds=self.every_s))

    def is_told_to_wait(self, now: datetime) -> bool:
        """Whether the platform asked for it."""
        return self.state == "waiting" and self.until is not None and self.until > now


class SourceLife:
    """What is known of the listeners' sources at the last look."""

    def __init__(self) -> None:
        self.sources: dict[str, Source] = {}
        self.gaps = UsualGaps()
        self._written: dict[str, datetime] = {}
        """When each row was written, at the look before."""
        self._looked: datetime | None = None
        self._steady = time_of(0)
        """Looks followed each other since then."""
        self._resumed: dict[str, datetime] = {}
        """When sources were last seen as paused, gone, or told to wait by their platform, which is an answer."""

    def reset(self) -> None:
        """Forgets what is usual; the table has it."""
        self.gaps.reset()

    def read(self, query: Query, since: datetime, now: datetime) -> None:
        """Takes over how sources are, and what came since then."""
        if self._looked is not None and now < self._looked:  # a clock that was ahead forgot what it took for old
            self.gaps.reset()
        rows = query(f"SELECT {_COLUMNS} FROM source_health FINAL ORDER BY source LIMIT {MOST_SOURCES}")
        self.take([Source(*row) for row in rows.iter_rows()], now)
        if self.sources:
            self.gaps.read(query, since, now)

    def take(self, sources: list[Source], now: datetime) -> None:
        """Takes over how sources are."""
        self._written = {name: each.written_at for name, each in self.sources.items()}
        self.sources = {each.source: each for each in sources}
        if self._looked is None or not timedelta(0) <= now - self._looked <= LOOKS_APART:
            self._steady = now
            self._resumed = {name: min(at, now) for name, at in self._resumed.items()}
        self._looked = now
        for each in sources:
            if each.state in NOT_EXPECTED:
                self.gaps.add(each.source, now, excused=True)
            if each.state in NOT_EXPECTED or each.is_told_to_wait(now):
                self._resumed[each.source] = now

    def judge(
        self, lifecycle: Lifecycle, rule: NoDataRule, came: Mapping[str, datetime], now: datetime, begins: bool
    ) -> tuple[list[Alert], set[str]]:
        """Compares the sources that the rule is about with it: the changes, and which of them may be missed. `came`: the last
        arrivals that LastArrivals knows."""
        changes, missed = list[Alert](), set[str]()
        open_ = {alert.scope.source: alert for alert in lifecycle.open if alert.rule == rule.name and not alert.test}
        for name, source in self.sources.items():
            stale = now - source.written_at > FORGOTTEN + rule.after
            if stale or source.state in NOT_EXPECTED or (rule.names and name not in rule.names):
                continue
            alert, last = open_.get(name), self._last(name, came.get(name))
            heard_at, silent = self._heard(source, now)
            # By its beginning: the clock may have been set back since.
            goes_on = alert is not None and alert.measure == NO_ANSWER and floor(heard_at) <= alert.since
            if not goes_on and (silent < timedelta(0) or (silent >= source.patience and now - self._steady < PATIENCE)):
                missed.add(name)  # not known yet
                continue
            if goes_on or silent >= source.patience:
                condition: Condition | None = self._no_answer(rule, source, heard_at, silent, now)
            else:
                condition = self._no_event(rule, name, last, alert, now)
            if condition is None and (last is None or now - last > FORGOTTEN + rule.after):
                continue
            missed.add(name)
            if alert is not None and (condition is None or _is_another(condition, alert)):
                changes += lifecycle.not_met(rule.name, alert.scope, now)
            if condition is not None and (alert is not None or condition.measure == NO_ANSWER or begins):
                changes += lifecycle.met(condition, now)
        return changes, missed

    def _heard(self, source: Source, now: datetime) -> tuple[datetime, timedelta]:
        """When the source last answered, and how long ago."""
        heard_at = max(source.heard_at, self._resumed.get(source.source, source.heard_at))
        # Its listener's clock may be behind: one that writes is asked by its own.
        before = self._written.get(source.source)
        lives = now - self._steady >= PATIENCE if before is None else before != source.written_at
        return heard_at, (max(source.written_at, heard_at) if lives else now) - heard_at

    def _no_answer(self, rule: NoDataRule, source: Source, heard_at: datetime, silent: timedelta, now: datetime) -> Condition:
        self.gaps.add(source.source, now, excused=True)
        minutes, every = silent.total_seconds() / MINUTE_S, source.every_s / MINUTE_S
        scope = Scope(source=source.source)
        return Condition(rule, scope, floor(heard_at), floor(now), rule.severity, minutes, NO_ANSWER, every)

    def _no_event(
        self, rule: NoDataRule, name: str, last: datetime | None, alert: Alert | None, now: datetime
    ) -> Condition | None:
        if last is None:
            return None
        # At a quieter hour the limit is longer: what is missed stays missed until something comes.
        goes_on = alert is not None and alert.measure != NO_ANSWER and floor(last) <= alert.since
        silent = now - last
        if silent < min(LEAST, rule.after) and not goes_on:
            return None
        if not goes_on and (self.gaps.reads_on or self.gaps.is_early(name, last, now, rule.zone)):
            return None
        usual = self.gaps.usual(name, last, now, rule.zone)
        if usual is None and silent > FORGOTTEN + rule.after:
            return None
        if silent < (rule.after if usual is None else usual.limit) and not goes_on:
            return None
        longest = None if usual is None else usual.longest.total_seconds() / MINUTE_S
        minutes = silent.total_seconds() / MINUTE_S
        return Condition(rule, Scope(source=name), floor(last), floor(now), rule.severity, minutes, NO_EVENT, longest)

    def _last(self, name: str, came: datetime | None) -> datetime | None:
        return max((at for at in (came, self.gaps.last(name)) if at is not None), default=None)


def _is_another(condition: Condition, alert: Alert) -> bool:
    """Whether the condition begins an alert of its own, beside this one. An alert has its key by its beginning."""
    return (condition.measure == NO_ANSWER) != (alert.measure == NO_ANSWER) and condition.start != alert.since
