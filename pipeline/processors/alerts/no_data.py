"""Rules of type no_data: platforms, sources and brands that nothing has come from for too long.

Arrivals count, by the clock, so a poller that brings posts of some minutes ago lives, and so does a source after a lag. An
update counts as well. New labels and brands of stored rows don't: such a version keeps the time at which its event came.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.changes import Subject, subject_of
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import MINUTE_S, floor
from pipeline.processors.alerts.rule_types import NoDataRule
from pipeline.processors.alerts.source_life import SourceLife
from pipeline.processors.alerts.store import AlertStore
from pipeline.processors.alerts.touched import SWEEP_EVERY
from schemas.alerts import Alert, Scope

WEEK = timedelta(days=7)
OVERLAP = timedelta(minutes=2)
"""By how much the clocks of workers may differ, and how long an insert may take."""
AHEAD = timedelta(hours=1)
"""By how much control's clock may be ahead of the workers'."""
LOOKS = 3
"""An outage of ClickHouse delays the rows of batches in flight, which keep the time of before: they land within LOOKS - 1 looks
after the one that saw its end."""
NOT_MISSED = "not missed any more"
NO_LISTENERS = SourceLife()
SOURCES = {"platform": "toString(platform)", "source": "toString(source_name)", "brand": "toString(arrayJoin(brands))"}
MOST_NAMES = {"platform": 1_000, "source": 1_000, "brand": 10_000}
"""Events decide how many names there are, and each could raise an alert. Of names that no rule lists, those with most events
are known. The limit of brands is that of brands.yaml."""
log = logging.getLogger("earshot.control")
Named = tuple[str, str]
"""Platform, source or brand (a key of SOURCES), and its name."""


class LastArrivals:
    """When something last came from each platform, source and about each brand; of MOST_NAMES, besides those that rules list.
    Restart: `reset`, then `read`."""

    def __init__(self) -> None:
        self.at: dict[Named, datetime] = {}
        self.left_out = 0
        """How often there was no room for a name. The reader sets it back to 0."""
        self._events: dict[Named, int] = {}
        """How many came, since two weeks before the start."""
        self._newest: dict[Named, datetime] = {}
        """Their newest time by the workers' clocks, which may be ahead."""
        self._full = frozenset[str]()
        """Kinds of names of which some were left out at the last look."""
        self._looks: deque[datetime] = deque(maxlen=LOOKS)
        self.life = SourceLife()

    def reset(self) -> None:
        """Forgets all; `read` asks for all that rules may miss."""
        self.at.clear()
        self._events.clear()
        self._newest.clear()
        self._looks.clear()
        self.life.reset()

    def judge(self, tables: AlertStore, lifecycle: Lifecycle, now: datetime, led_at: datetime, generation: int) -> list[Alert]:
        """One look at the rules of `lifecycle`; this process leads since `led_at`."""
        rules = [rule for rule in lifecycle.config.rules if isinstance(rule, NoDataRule)]
        self.read(tables.ask, rules, now)
        changes = judge_sources(lifecycle, rules, self.at, now, self.may_miss(led_at, now), self.life)
        if rows := self.life.gaps.changed():
            tables.write_arrivals(rows, generation)
        return changes

    def read(self, query: Query, rules: Sequence[NoDataRule], now: datetime) -> None:
        """Asks for the arrivals since those of the last looks, of the kinds of sources that the rules are about.

        Changes of more than a week ago are an archive that somebody replays: nobody misses it afterwards.
        """
        since = self._looks[0] - OVERLAP if self._looks else now - 2 * WEEK
        news = self._looks[-1] if self._looks else since
        if any(rule.of == "source" for rule in rules):
            self.life.read(query, since, now)
        for of in {rule.of for rule in rules}:
            rows = query(
                f"SELECT {SOURCES[of]} AS name, maxIf(ingested_at, ingested_at <= '{now:%Y-%m-%d %H:%M:%S}') AS last, "
                f"countIf(ingested_at >= '{news:%Y-%m-%d %H:%M:%S}') AS events, max(ingested_at) AS newest FROM interactions "
                f"WHERE ingested_at >= '{since:%Y-%m-%d %H:%M:%S}' AND occurred_at >= ingested_at - INTERVAL 7 DAY "
                "AND is_deleted = 0 GROUP BY name"
            )
            for name, last, events, newest in rows.iter_rows():
                # A worker whose clock is ahead: its row is an arrival of now, at the first look that finds it.
                came = last if newest == self._newest.get((of, name)) else min(newest, now)
                self._newest[of, name] = newest
                self.at[of, name] = max(came, self.at.get((of, name), came))
                self._events[of, name] = self._events.get((of, name), 0) + events
            listed = {name for rule in rules if rule.of == of for name in rule.names}
            self._make_room(of, listed.union(self.life.sources if of == "source" else ()))
        # Rows have the workers' clock: what has come says how late it is there.
        self._looks.append(max(min(now, max(self.at.values(), default=since)), now - AHEAD))
        # No rule asks for longer: a source that sent nothing since is not missed any more.
        self.at = {named: at for named, at in self.at.items() if now - at <= 2 * WEEK}
        self._events = {named: events for named, events in self._events.items() if named in self.at}
        self._newest = {named: newest for named, newest in self._newest.items() if named in self.at}

    def _make_room(self, of: str, listed: set[str]) -> None:
        """Forgets the names with the fewest events."""
        others = [named for named in self.at if named[0] == of and named[1] not in listed]
        gone = sorted(others, key=lambda named: (-self._events[named], named))[MOST_NAMES[of] :]
        if gone and of not in self._full:
            log.warning("no_data: more than %d names of type %s: those with the fewest events are ignored", MOST_NAMES[of], of)
        self._full = self._full | {of} if gone else self._full - {of}
        self.left_out += len(gone)
        for named in gone:
            del self.at[named], self._events[named]

    def may_miss(self, led_at: datetime, now: datetime) -> bool:
        """Whether a source that sends nothing may be at fault. After an outage of all, the workers have a moment to start.
        If only control, which leads since `led_at`, was away, something has come lately."""
        return now - led_at >= SWEEP_EVERY or any(now - at <= OVERLAP for at in self.at.values())


def judge_sources(
    lifecycle: Lifecycle,
    rules: Sequence[NoDataRule],
    last: Mapping[Named, datetime],
    now: datetime,
    begins: bool = True,
    life: SourceLife = NO_LISTENERS,
) -> list[Alert]:
    """Compares the times of the last arrivals with the rules; `begins`: an alert may begin. A source that sent nothing for
    `after` and a week more, or that its rule does not name any more, is not missed any more: its alert resolves. Those that a
    listener runs are judged by `life`."""
    changes, missed, open_ = [], set[Subject](), {subject_of(alert) for alert in lifecycle.open}
    for rule in rules:
        if rule.of == "source" and life.sources:
            came = {name: at for (of, name), at in last.items() if of == "source"}
            more, expected = life.judge(lifecycle, rule, came, now, begins)
            changes += more
            missed |= {(rule.name, Scope(source=name)) for name in expected}
        for (of, name), at in last.items():
            if of != rule.of or not name or now - at > WEEK + rule.after or (rule.names and name not in rule.names):
                continue
            if of == "source" and name in life.sources:
                continue
            scope = Scope(**{of: name})
            missed.add((rule.name, scope))
            if now - at < rule.after:
                changes += lifecycle.not_met(rule.name, scope, now)
            elif begins or (rule.name, scope) in open_:
                missing = (now - at).total_seconds() / MINUTE_S
                condition = Condition(rule, scope, floor(at), floor(now), rule.severity, missing, "minutes")
                changes += lifecycle.met(condition, now)
    names = {rule.name for rule in rules}
    gone = [alert for alert in lifecycle.open if alert.is_no_data and alert.rule in names and subject_of(alert) not in missed]
    return changes + [lifecycle.resolve(alert, now, NOT_MISSED) for alert in gone if not alert.test]
