"""Rules of type no_data about sources that a listener runs: dead, or only calm."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts.condition import NO_ANSWER, NO_EVENT
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.no_data import judge_sources
from pipeline.processors.alerts.rule_types import NoDataRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.source_life import Source, SourceLife
from pipeline.processors.alerts.usual_gaps import UsualGaps
from schemas.alerts import Alert, State

MONDAY = datetime(2026, 8, 31, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PER_HOUR = (0.2, 0.4, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 120, 600)
"""Events of 20 sources, at the middle of a day."""
DAYS = 44


def config(**keys: Any) -> Alerts:
    return Alerts.model_validate({"rules": [{"name": "quiet", "type": "no_data", "of": "source", **keys}]})


class World:
    """Sources of which a listener says that they answer; what comes of them is what the test says."""

    def __init__(self, rules: Alerts, start: datetime = MONDAY) -> None:
        self.life, self.lifecycle, self.now = SourceLife(), Lifecycle(rules), start
        self.sources: dict[str, Source] = {}
        self.raised: list[Alert] = []
        self.ended: list[Alert] = []

    def answers(self, name: str, **other: Any) -> None:
        row = Source(name, "running", MONDAY, self.now, None, 60.0, self.now)
        self.sources[name] = row._replace(**other)

    def writes(self) -> None:
        """The listener says how all are."""
        self.sources = {name: each._replace(written_at=self.now) for name, each in self.sources.items()}

    def look(self) -> list[Alert]:
        self.life.take(list(self.sources.values()), self.now)
        rules = [rule for rule in self.lifecycle.config.rules if isinstance(rule, NoDataRule)]
        changes = judge_sources(self.lifecycle, rules, {}, self.now, life=self.life)
        self.raised += [alert for alert in changes if alert.raised_at == self.now and alert.version == 1]
        self.ended += [alert for alert in changes if alert.state == State.RESOLVED]
        return changes

    def until(self, end: datetime, *each: Callable[[], None], step: timedelta = MINUTE) -> None:
        """`each` happens before each look."""
        while self.now < end:
            self.now += step
            for happens in each:
                happens()
            self.look()


def of_days(random: np.random.Generator, per_hour: float) -> Any:
    """Minutes with an event: by day most at its middle, at night hardly any, at weekends half as many."""
    minutes = np.arange(DAYS * 1440)
    hour, weekend = minutes / 60 % 24, minutes // 1440 % 7 >= 5
    shape = np.where((hour >= 7) & (hour < 23), 1 - 0.5 * np.cos((hour - 7) / 16 * 2 * np.pi), 0.02)
    rate = per_hour / 1.5 * shape * np.where(weekend, 0.5, 1.0)
    return np.flatnonzero(random.random(len(minutes)) < -np.expm1(-rate / 60))


class Days(World):
    """Six weeks of 20 sources."""

    def __init__(self) -> None:
        super().__init__(config())
        random = np.random.default_rng(21)
        self.came = {f"s{per_hour}": of_days(random, per_hour) for per_hour in PER_HOUR}
        self.next = dict.fromkeys(self.came, 0)
        self.stuck = set[str]()
        self.dead = set[str]()

    def minute(self) -> None:
        passed = int((self.now - MONDAY) / MINUTE)
        for name, minutes in self.came.items():
            end = int(np.searchsorted(minutes, passed))
            if name not in self.stuck | self.dead:
                for minute in minutes[self.next[name] : end]:
                    self.life.gaps.add(name, MONDAY + int(minute) * MINUTE)
            self.next[name] = end
            if name not in self.dead:
                self.answers(name)

    def found(self, name: str) -> Alert:
        return next(alert for alert in self.raised if alert.scope.source == name)


def test_six_weeks_with_quiet_nights_raise_nothing_once_two_are_known() -> None:
    """Then one stream stops, one poll fails, and two answer an old page for ever, on a Monday at ten."""
    world = Days()
    world.until(MONDAY + 42 * DAY, world.minute, step=20 * MINUTE)
    known = MONDAY + 14 * DAY + 15 * HOUR  # each had an event by three in the afternoon of the first day
    assert sum(alert.raised_at is not None and alert.raised_at < known for alert in world.raised) == 810
    ten = MONDAY + 42 * DAY + 10 * HOUR
    world.until(ten, world.minute)
    assert world.raised[810:] == []
    world.dead, world.stuck = {"s600", "s4"}, {"s20", "s6"}
    world.answers("s4", every_s=600.0, state="failing")
    world.until(ten + 4 * HOUR, world.minute, world.writes)
    found = {alert.scope.source: alert for alert in world.raised[810:]}
    times = {name: alert.raised_at and (alert.raised_at - ten) / MINUTE for name, alert in found.items()}
    assert times == {"s600": 5, "s4": 30, "s20": 78, "s6": 153}
    assert [found[name].summary for name in ("s4", "s20")] == [
        "s4: no answer since 2026-10-12 10:00 UTC; it is asked every 10 minutes",
        "s20: it answers, but no event since 2026-10-12 09:57 UTC; at this hour the longest gap was 25 minutes",
    ]


# --- dead -------------------------------------------------------------------------------------------------------------
NOON = MONDAY + 12 * HOUR


def alive(**keys: Any) -> World:
    """A source that answers and sends something each minute, for ten minutes."""
    world = World(config(**keys), NOON)
    world.until(NOON + 10 * MINUTE, lambda: world.answers("feed"), lambda: world.life.gaps.add("feed", world.now))
    return world


def states(world: World) -> list[tuple[str, str, float]]:
    return [(alert.measure, "raised", (alert.changed_at - NOON) / MINUTE) for alert in world.raised] + [
        (alert.measure, alert.comment or "ended", (alert.changed_at - NOON) / MINUTE) for alert in world.ended
    ]


def test_a_source_that_does_not_answer_is_missed_until_it_does() -> None:
    world = alive()
    world.until(NOON + 20 * MINUTE, world.writes)
    world.until(NOON + 21 * MINUTE, lambda: world.answers("feed"))
    assert states(world) == [(NO_ANSWER, "raised", 15), (NO_ANSWER, "ended", 21)]


def test_without_any_listener_each_source_is_missed_and_a_paused_or_removed_one_never() -> None:
    world = alive()
    for name, state in (("held", "paused"), ("old", "gone")):
        world.answers(name, state=state)
    world.until(NOON + 30 * MINUTE, lambda: None)
    assert [(alert.scope.source, alert.measure) for alert in world.raised] == [("feed", NO_ANSWER)]
    world.answers("feed", state="gone")
    world.until(NOON + 31 * MINUTE, lambda: None)
    assert states(world)[1:] == [(NO_ANSWER, "not missed any more", 31)]


def test_a_source_that_never_answered_is_missed_and_one_that_the_platform_asked_to_wait_is_not() -> None:
    world = World(config(), NOON)
    world.answers("new", state="no credentials", since=NOON, last_contact=None)
    world.answers("held", state="waiting", last_contact=NOON, until=NOON + HOUR)
    world.until(NOON + 30 * MINUTE, world.writes)
    assert [(alert.scope.source, alert.measure) for alert in world.raised] == [("new", NO_ANSWER)]


@pytest.mark.parametrize("passes", [20 * MINUTE, -HOUR])
def test_after_clickhouse_was_away_or_the_clock_was_set_back_listeners_have_five_minutes_to_say_that_they_live(
    passes: timedelta,
) -> None:
    world = alive()
    world.now += passes
    begin = world.now
    world.until(begin + 3 * MINUTE, lambda: None)
    world.until(begin + 10 * MINUTE, lambda: world.answers("feed"))
    assert world.raised == []
    world.until(begin + 25 * MINUTE, lambda: None)
    assert [(alert.measure, alert.changed_at - begin) for alert in world.raised] == [(NO_ANSWER, 15 * MINUTE)]


def test_a_listener_whose_clock_is_behind_is_asked_by_its_own() -> None:
    world = World(config(), NOON)
    behind = {"last_contact": NOON, "written_at": NOON}
    world.until(NOON + HOUR, lambda: world.answers("feed", **{key: world.now - HOUR / 3 for key in behind}))
    assert world.raised == []


def test_a_dead_source_that_is_paused_and_resumed_is_missed_once_more() -> None:
    world = alive()
    world.until(NOON + 20 * MINUTE, world.writes)
    world.until(NOON + 25 * MINUTE, lambda: world.answers("feed", state="paused", last_contact=NOON))
    world.until(NOON + 35 * MINUTE, lambda: world.answers("feed", state="failing", last_contact=NOON))
    assert states(world) == [(NO_ANSWER, "raised", 15), (NO_ANSWER, "raised", 30), (NO_ANSWER, "not missed any more", 21)]


def test_a_clock_that_is_set_back_or_a_restart_ends_no_alert() -> None:
    world = alive(after="30m")
    world.answers("calm")
    world.life.gaps.add("calm", world.now)
    world.until(NOON + HOUR, lambda: world.answers("calm"))
    assert {alert.scope.source for alert in world.raised} == {"feed", "calm"}
    world.now -= 2 * HOUR
    world.until(NOON, lambda: world.answers("calm"))
    life, world.life = world.life, SourceLife()
    world.life.gaps = life.gaps
    world.until(NOON + 2 * HOUR, lambda: world.answers("calm"))
    assert len(world.raised) == 2 and world.ended == []


def test_a_source_that_was_paused_while_the_clock_was_ahead_is_missed_all_the_same() -> None:
    world = alive()
    world.now += DAY
    world.until(world.now + 2 * MINUTE, lambda: world.answers("feed", state="paused"))
    world.now -= DAY
    world.until(NOON + HOUR, lambda: world.answers("feed", state="failing", last_contact=NOON))
    assert [alert.measure for alert in world.raised] == [NO_ANSWER]


# --- calm -------------------------------------------------------------------------------------------------------------
def test_until_two_weeks_are_known_an_event_is_missed_after_the_rules_time() -> None:
    world = alive(after="30m")
    world.until(NOON + HOUR, lambda: world.answers("feed"))
    world.until(NOON + HOUR + MINUTE, lambda: world.answers("feed"), lambda: world.life.gaps.add("feed", world.now))
    assert states(world) == [(NO_EVENT, "raised", 40), (NO_EVENT, "ended", 61)]
    assert world.raised[0].summary == "feed: it answers, but no event since 2026-08-31 12:10 UTC"


def test_after_a_pause_the_time_without_an_event_begins_anew() -> None:
    world = alive(after="30m")
    world.until(NOON + 5 * HOUR, lambda: world.answers("feed", state="paused"))
    world.until(NOON + 6 * HOUR, lambda: world.answers("feed"))
    assert states(world) == [(NO_EVENT, "raised", 330)]


def weeks(zone: str = "UTC", first: datetime = MONDAY, every: int = 10) -> UsualGaps:
    """Three weeks with an event every ten minutes from 8 to 20 by the zone's clock."""
    gaps = UsualGaps()
    for minute in range(0, 21 * 1440, every):
        at = first + minute * MINUTE
        if 8 <= at.astimezone(ZoneInfo(zone)).hour < 20:
            gaps.add("feed", at)
    return gaps


def test_a_clock_that_was_forty_days_ahead_forgets_nothing() -> None:
    known, now = weeks(), MONDAY + 21 * DAY
    table = pl.DataFrame(known.changed(), ["source", "hour", "excused", "minutes"], orient="row")
    health = pl.DataFrame([Source("feed", "running", MONDAY, now, None, 60.0, now)], Source._fields, orient="row")

    def ask(sql: str) -> pl.DataFrame:
        if "FROM source_arrivals" in sql:
            return table.select("source", "excused", pl.col("hour") // 3_600, "minutes")
        return health if "FROM source_health FINAL" in sql else pl.DataFrame()

    life = SourceLife()
    for passed in timedelta(0), 40 * DAY, timedelta(0):
        life.read(ask, now, now + passed)
    assert life.gaps.usual("feed", now - 4 * HOUR, now, "UTC") is not None


def limit(gaps: UsualGaps, last: datetime, now: datetime, zone: str = "UTC") -> timedelta:
    usual = gaps.usual("feed", last, now, zone)
    assert usual is not None
    return usual.limit


def test_by_day_three_gaps_are_missed_and_at_night_the_morning_is_waited_for() -> None:
    gaps, day = weeks(), MONDAY + 21 * DAY
    assert limit(gaps, day + 10 * HOUR, day + 11 * HOUR) == 40 * MINUTE  # the next one comes within ten, then three times ten
    evening = day - 4 * HOUR - 10 * MINUTE
    assert limit(gaps, evening, day + 9.5 * HOUR) == 12 * HOUR + 40 * MINUTE
    assert limit(gaps, evening, day + 3 * HOUR) > 24 * HOUR


def test_the_hours_are_those_of_the_zone() -> None:
    """Clocks went back on October 25th: from then on nine in the morning is an hour later."""
    berlin, day = "Europe/Berlin", datetime(2026, 10, 26, 8, 30, tzinfo=UTC)
    gaps = weeks(berlin, datetime(2026, 10, 4, 22, tzinfo=UTC))
    last = datetime(2026, 10, 25, 18, 50, tzinfo=UTC)
    assert limit(gaps, last, day, berlin) == 12 * HOUR + 40 * MINUTE
    assert gaps.usual("feed", last, datetime(2026, 10, 18, tzinfo=UTC), berlin) is None, "two weeks are not known"


def test_a_gap_in_which_the_source_was_paused_is_none_of_its_own() -> None:
    gaps, noon = UsualGaps(), MONDAY + 22 * DAY + 12 * HOUR
    for minute in range(0, 22 * 1440, 10):
        if not 15 * 1440 <= minute < 16 * 1440:
            gaps.add("feed", MONDAY + minute * MINUTE)
    assert limit(gaps, noon - HOUR, noon) > 24 * HOUR
    gaps.add("feed", MONDAY + 15.5 * DAY, excused=True)
    assert limit(gaps, noon - HOUR, noon) == 40 * MINUTE


def test_the_past_is_read_a_slice_a_look_and_until_then_no_source_is_missed_for_its_events() -> None:
    asked, seconds, now = list[str](), count(), MONDAY + 40 * DAY
    gaps = UsualGaps(lambda: float(next(seconds)))
    looks = 0
    while looks == 0 or gaps.reads_on:
        looks += 1
        gaps.read(lambda sql: asked.append(sql) or pl.DataFrame(), now, now)  # type: ignore[func-returns-value]
        assert len(asked) <= 1 + 2 * looks
    spans = [re.findall(r"ingested_at .= '([^']+)'", sql) for sql in asked[2::2]]
    assert looks == len(spans) == 31 and spans[-1][0] == str(now - 32 * DAY)[:19]
    assert [begin for begin, _ in spans[:-1]] == [end for _, end in spans[1:]] and spans[0][1] == str(now - DAY)[:19]
    world = World(config(after="30m"), now)
    world.life.gaps = UsualGaps(lambda: float(next(seconds)))
    world.life.gaps.read(lambda sql: pl.DataFrame(), now, now)
    world.life.gaps.add("feed", now)
    world.until(now + HOUR, lambda: world.answers("feed"))
    assert world.raised == []


def test_of_calm_sources_nobody_asks_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be thousands, and the evaluator waits."""
    world, asked, usual = World(config(), MONDAY + 21 * DAY + 7 * HOUR), list[str](), UsualGaps.usual
    world.life.gaps = weeks()
    monkeypatch.setattr(UsualGaps, "usual", lambda gaps, *of: asked.append(of[0]) or usual(gaps, *of))  # type: ignore[func-returns-value]
    world.until(MONDAY + 21 * DAY + 8 * HOUR, lambda: world.answers("feed"))
    assert asked == [], "after the last event of a day the next one takes until the morning"
    world.until(MONDAY + 21 * DAY + 9 * HOUR, lambda: world.answers("feed"))
    assert asked and [alert.measure for alert in world.raised] == [NO_EVENT]


def test_what_was_long_ago_is_forgotten_with_the_gaps_after_it() -> None:
    gaps, others, now = weeks(), weeks(), MONDAY + 40 * DAY
    before = limit(gaps, MONDAY + 20 * DAY + 10 * HOUR, MONDAY + 20 * DAY + 11 * HOUR)
    for each in (gaps, others):
        each.read(lambda sql: pl.DataFrame(), now, now)
        each.add("feed", now - HOUR)
    assert before == 40 * MINUTE
    assert limit(gaps, now - HOUR, now) == limit(others, now - HOUR, now) > 24 * HOUR


def test_what_is_missed_by_day_stays_missed_at_night() -> None:
    world = World(config(), MONDAY + 21 * DAY + 9 * HOUR)
    world.life.gaps = weeks()
    world.until(MONDAY + 22 * DAY + 7 * HOUR, lambda: world.answers("feed"), step=2 * MINUTE)
    assert [alert.measure for alert in world.raised] == [NO_EVENT] and world.ended == []
