"""The life of alerts: what begins one, what ends it, and what never raises a second."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts.changes import historical_key
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.counts import MEASURES
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.rule_types import AnyRule, ConditionRule, SpikeRule, ThresholdRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.verdicts import STILL, TRUE, Verdicts
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Alert, Scope, State, alert_key
from schemas.signals import Candidate
from tests.support.minutes import MINUTE, at, frame, said

ACME = Scope("Acme")
CONFIG = Alerts.model_validate(
    {
        "rules": [
            {"name": "count", "type": "threshold", "measure": "count", "above": 10, "resolve": "5m"},
            {"name": "steady", "type": "threshold", "measure": "count", "above": 10, "persistence": "2m"},
            {"name": "volume", "type": "spike", "resolve": "10m"},
            {"name": "only-x", "type": "spike", "platforms": ["x"]},
            {"name": "by-platform", "type": "spike", "by": ["platform"]},
            {"name": "share", "type": "spike", "measure": "negative_share", "by": ["platform"]},
            {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, "resolve": "10m"},
            {"name": "voice", "type": "reach", "followers": 1000},
            {"name": "quiet", "type": "no_data", "after": "30m"},
        ]
    }
)


def rule(name: str) -> AnyRule:
    found = CONFIG.rule(name)
    assert found is not None
    return found


def truth(name: str, minute: int, scope: Scope = ACME, **fields: Any) -> Condition:
    values: dict[str, Any] = {"severity": 5, "observed": 20.0, "upper": 10.0, **fields}
    made = rule(name)
    assert isinstance(made, ConditionRule)
    return Condition(made, scope, at(minute), at(minute), **values)


def candidate(key: int, created: datetime, name: str = "crisis", brand: str = "Acme", **fields: Any) -> Candidate:
    values: dict[str, Any] = {"platform": "x", "observed": 1.0, "words": ("recall",), "sentiment": "negative", **fields}
    values |= {"created_at": created, "occurred_at": created}
    return Candidate(rule=name, brand=brand, language="en", event_key=key, **values)


def states(alerts: list[Alert]) -> list[str]:
    return [str(alert.state) for alert in alerts]


# --- windows ----------------------------------------------------------------------------------------------------------
def test_an_alert_fires_at_once_goes_on_and_is_over_when_it_was_not_true_for_a_while() -> None:
    life = Lifecycle(CONFIG)
    (fired,) = life.met(truth("count", MINUTE), at(MINUTE, 30))
    assert (fired.state, fired.version, fired.since, fired.raised_at) == (State.FIRING, 1, at(MINUTE), at(MINUTE, 30))
    assert life.met(truth("count", MINUTE + 1, observed=90.0), at(MINUTE + 1)) == []
    assert life.sweep(at(MINUTE + 6), at(MINUTE + 6))[0].state == State.FIRING  # its numbers are saved
    (over,) = life.sweep(at(MINUTE + 7), at(MINUTE + 7))
    assert (over.state, over.ended_at, over.observed, over.key) == (State.RESOLVED, at(MINUTE + 1), 90.0, fired.key)
    assert life.open == []


def test_one_that_needs_to_last_is_pending_first_and_never_was_if_it_does_not() -> None:
    life = Lifecycle(CONFIG)
    assert states(life.met(truth("steady", MINUTE), at(MINUTE))) == ["pending"]
    assert life.met(truth("steady", MINUTE + 1), at(MINUTE + 1)) == []
    (fired,) = life.met(truth("steady", MINUTE + 2), at(MINUTE + 2))
    assert (fired.state, fired.version, fired.raised_at) == (State.FIRING, 2, at(MINUTE + 2))
    other = Lifecycle(CONFIG)
    other.met(truth("steady", MINUTE), at(MINUTE))
    (gone,) = other.not_met("steady", ACME, at(MINUTE + 1))
    assert (gone.state, gone.raised_at) == (State.RESOLVED, None)


def test_the_same_minutes_again_raise_nothing_and_a_later_one_does() -> None:
    life = Lifecycle(CONFIG)
    (first,) = life.met(truth("count", MINUTE), at(MINUTE))
    (over,) = life.sweep(at(MINUTE + 20), at(MINUTE + 20))
    restarted = Lifecycle(CONFIG, [over])
    for lived in (life, restarted):
        assert lived.met(truth("count", MINUTE), at(MINUTE + 21)) == []
        (longer,) = lived.met(truth("count", MINUTE + 4), at(MINUTE + 21))  # late, within its `resolve`
        assert (longer.key, longer.state, longer.ended_at) == (first.key, State.RESOLVED, at(MINUTE + 4))
        (second,) = lived.met(truth("count", MINUTE + 20), at(MINUTE + 21))
        assert second.key != first.key
    assert first.key == alert_key("count", ACME, int(at(MINUTE).timestamp()))


def test_an_open_alert_takes_no_minutes_of_one_that_has_ended() -> None:
    """Minutes of the last hour are judged again, of scopes with an open alert, too: two bursts stay two alerts."""
    life = Lifecycle(CONFIG)
    (first,) = life.met(truth("count", MINUTE), at(MINUTE))
    (over,) = life.sweep(at(MINUTE + 20), at(MINUTE + 20))
    (second,) = life.met(truth("count", MINUTE + 50), at(MINUTE + 50))
    for lived in (life, Lifecycle(CONFIG, [over, second])):
        assert lived.met(truth("count", MINUTE), at(MINUTE + 50, 1)) == []
        (longer,) = lived.met(truth("count", MINUTE + 4, observed=90.0), at(MINUTE + 50, 2))  # late, within its `resolve`
        assert (longer.key, longer.state, longer.last_at) == (first.key, State.RESOLVED, at(MINUTE + 4))
        (still,) = lived.open
        assert (still.key, still.since, still.last_at, still.observed) == (second.key, at(MINUTE + 50), at(MINUTE + 50), 20.0)
        assert lived.met(truth("count", MINUTE + 48), at(MINUTE + 50, 3)) == []  # late, within its own
        assert [(alert.key, alert.since) for alert in lived.open] == [(second.key, at(MINUTE + 48))]


def test_a_condition_that_reaches_into_an_open_alert_belongs_to_it() -> None:
    """A campaign's condition lasts from its first text to its last one: both alerts are near, and one goes on."""
    life = Lifecycle(CONFIG)
    life.met(truth("count", MINUTE), at(MINUTE))
    life.sweep(at(MINUTE + 20), at(MINUTE + 20))
    (second,) = life.met(truth("count", MINUTE + 20), at(MINUTE + 20))
    spanning = truth("count", MINUTE + 3)._replace(end=at(MINUTE + 21))
    assert life.met(spanning, at(MINUTE + 21)) == []
    assert [(alert.key, alert.since, alert.last_at) for alert in life.open] == [(second.key, at(MINUTE + 3), at(MINUTE + 21))]


def test_a_restart_goes_on_with_what_is_open() -> None:
    life = Lifecycle(CONFIG)
    (fired,) = life.met(truth("count", MINUTE), at(MINUTE))
    again = Lifecycle(CONFIG, [fired])
    assert again.met(truth("count", MINUTE), at(MINUTE, 5)) == []
    assert [alert.key for alert in again.open] == [fired.key]
    acknowledged = again.acknowledge(fired, "ines", "on it", at(MINUTE, 9))
    third = Lifecycle(CONFIG, [acknowledged])
    assert third.met(truth("count", MINUTE + 1), at(MINUTE + 1)) == []
    assert (third.open[0].state, third.open[0].actor) == (State.ACKNOWLEDGED, "ines")


def test_a_worse_window_raises_severity_and_keeps_the_key() -> None:
    life = Lifecycle(CONFIG)
    (fired,) = life.met(truth("count", MINUTE, severity=3), at(MINUTE))
    life.met(truth("count", MINUTE + 1, severity=8, observed=70.0), at(MINUTE + 1))
    (saved,) = life.sweep(at(MINUTE + 1, 30), at(MINUTE + 1, 30))
    assert (saved.key, saved.severity, saved.observed, saved.state) == (fired.key, 8, 70.0, State.FIRING)
    life.met(truth("count", MINUTE + 2, severity=2, observed=12.0), at(MINUTE + 2))
    assert life.open[0].severity == 8


def test_a_rule_that_is_taken_out_ends_its_alerts() -> None:
    life = Lifecycle(CONFIG)
    life.met(truth("count", MINUTE), at(MINUTE))
    life.config = Alerts()
    (over,) = life.sweep(at(MINUTE), at(MINUTE, 10))
    assert (over.state, over.comment) == (State.RESOLVED, "the rule was taken out")


def judged(minute: int, truth: int, name: str = "volume") -> Verdicts:
    """What is said of the rule and Acme."""
    one, windowed = np.ones((1, 1)), rule(name)
    assert isinstance(windowed, SpikeRule | ThresholdRule)
    return Verdicts(
        minute, [ACME], [windowed], np.full((1, 1), truth, np.int8), one * 50, one * 5, one, one * 20, one * 3,
        [np.zeros((1, len(MEASURES)))],
    )  # fmt: skip


def test_a_burst_that_goes_up_and_down_is_one_alert() -> None:
    life = Lifecycle(CONFIG)
    (fired,) = life.take_verdicts([judged(MINUTE, TRUE)], at(MINUTE))
    for minute in range(MINUTE + 1, MINUTE + 30):
        assert life.take_verdicts([judged(minute, STILL)], at(minute)) == []
        assert [c for c in life.sweep(at(minute), at(minute)) if c.state == State.RESOLVED] == []
    life.take_verdicts([judged(MINUTE + 30, 0)], at(MINUTE + 30))
    (over,) = [c for c in life.sweep(at(MINUTE + 41), at(MINUTE + 41)) if c.state == State.RESOLVED]
    assert (over.key, over.last_at) == (fired.key, at(MINUTE + 29))
    assert life.take_verdicts([judged(MINUTE + 45, STILL)], at(MINUTE + 45)) == []
    assert life.open == []


# --- nobody is told ---------------------------------------------------------------------------------------------------
def test_a_brand_wide_spike_silences_its_platforms_and_no_others() -> None:
    life = Lifecycle(CONFIG)
    (whole,) = life.met(truth("volume", MINUTE, expected=5.0, measure="volume"), at(MINUTE))
    (part,) = life.met(truth("by-platform", MINUTE, Scope("Acme", "x"), expected=5.0, measure="volume"), at(MINUTE))
    (other,) = life.met(truth("by-platform", MINUTE, Scope("Bolt", "x"), expected=5.0, measure="volume"), at(MINUTE))
    (share,) = life.met(truth("share", MINUTE, Scope("Acme", "x"), expected=0.2, measure="negative_share"), at(MINUTE))
    assert part.muted == f"inhibited by {whole.hex}"
    assert (whole.muted, other.muted, share.muted) == ("", "", "")
    life.met(truth("by-platform", MINUTE + 30, Scope("Acme", "x"), expected=5.0, measure="volume"), at(MINUTE + 30))
    changes = life.sweep(at(MINUTE + 30), at(MINUTE + 30))
    assert ("by-platform", State.FIRING, "") in [(c.rule, c.state, c.muted) for c in changes if c.scope.brand == "Acme"]


def silence(begin: int, end: int, **fields: str) -> Silence:
    names = {"rule": "", "brand": "", "platform": "", **fields}
    return Silence(7, 1, names["rule"], names["brand"], names["platform"], at(begin), at(end), "ines", "", at(begin))


@pytest.mark.parametrize(
    ("fields", "mutes"),
    [({"brand": "Acme"}, True), ({"rule": "count"}, True), ({"brand": "Bolt"}, False), ({"rule": "quiet"}, False)],
)
def test_a_silence_mutes_what_it_covers_until_it_ends(fields: dict[str, str], mutes: bool) -> None:
    life = Lifecycle(CONFIG, silences=[silence(MINUTE - 5, MINUTE + 2, **fields)])
    (fired,) = life.met(truth("count", MINUTE), at(MINUTE))
    assert fired.muted == ("silence 0000000000000007" if mutes else "")
    life.met(truth("count", MINUTE + 2), at(MINUTE + 2))
    changes = life.sweep(at(MINUTE + 2), at(MINUTE + 2))
    assert [c.muted for c in changes] == ([""] if mutes else [])
    assert life.open[0].muted == ""


def test_a_silence_that_begins_mutes_what_is_open_and_a_resolved_one_is_never_muted() -> None:
    life = Lifecycle(CONFIG)
    life.met(truth("count", MINUTE), at(MINUTE))
    life.silences[7] = silence(MINUTE, MINUTE + 60, brand="Acme")
    (muted,) = life.sweep(at(MINUTE), at(MINUTE, 5))
    assert (muted.state, muted.muted) == (State.FIRING, "silence 0000000000000007")
    (over,) = life.sweep(at(MINUTE + 9), at(MINUTE + 9))
    assert (over.state, over.muted) == (State.RESOLVED, "")


def test_a_silence_of_a_platform_mutes_what_is_said_there_and_nothing_that_is_said_elsewhere_too() -> None:
    """A keyword's alert is about a brand as a whole; its events are on platforms."""
    life = Lifecycle(CONFIG, silences=[silence(MINUTE - 5, MINUTE + 60, platform="x")])
    fired, _ = life.single([candidate(1, at(MINUTE))], at(MINUTE))
    assert fired[0].platforms == ("x",) and fired[0].muted.startswith("silence")
    assert fired[0].key == alert_key("crisis", ACME, 1)
    life.single([candidate(2, at(MINUTE), platform="y")], at(MINUTE))
    (told,) = life.sweep(at(MINUTE + 1), at(MINUTE + 1))
    assert (told.platforms, told.muted) == (("x", "y"), "")
    life.silences[8] = silence(MINUTE, MINUTE + 30, platform="y")
    (told,) = life.sweep(at(MINUTE + 2), at(MINUTE + 2))
    assert told.muted.startswith("silence")  # both of them are silenced


@pytest.mark.parametrize(
    ("platforms", "scope", "silent"),
    [((), ACME, False), (("x",), ACME, True), (("x", "y"), ACME, False), (("x",), Scope("Acme", "x"), True)],
)
def test_a_windows_alert_is_muted_where_all_that_it_counts_is_on_the_platform(
    platforms: tuple[str, ...], scope: Scope, silent: bool
) -> None:
    life = Lifecycle(CONFIG, silences=[silence(MINUTE - 5, MINUTE + 60, platform="x")])
    (fired,) = life.met(truth("count", MINUTE, scope, platforms=platforms), at(MINUTE))
    assert bool(fired.muted) == silent


def test_verdicts_name_the_platforms_that_their_rule_counts() -> None:
    for name, platforms in (("only-x", ("x",)), ("volume", ())):
        (fired,) = Lifecycle(CONFIG).take_verdicts([judged(MINUTE, TRUE, name)], at(MINUTE))
        assert fired.platforms == platforms


# --- single events ----------------------------------------------------------------------------------------------------
def test_the_first_event_fires_and_the_next_ones_join_it() -> None:
    life = Lifecycle(CONFIG)
    changes, members = life.single([candidate(1, at(MINUTE)), candidate(2, at(MINUTE, 5))], at(MINUTE, 6))
    (fired,) = changes
    assert (fired.state, fired.scope, fired.terms) == (State.FIRING, ACME, ("recall",))
    assert {m.alert_key for m in members} == {fired.key} and [m.event_key for m in members] == [1, 2]
    assert life.open[0].observed == 2
    assert life.open[0].samples == (1, 2)
    assert life.open[0].negative == 2
    changes, _ = life.single([candidate(3, at(MINUTE + 3), brand="Bolt")], at(MINUTE + 3))
    assert [c.scope for c in changes] == [Scope("Bolt")]


def test_private_events_count_and_are_never_named() -> None:
    life = Lifecycle(CONFIG)
    (fired,), _ = life.single([candidate(1, at(MINUTE), public=False)], at(MINUTE))
    assert fired.samples == ()


def test_it_is_over_when_no_event_came_for_a_while_and_the_next_one_fires_anew() -> None:
    life = Lifecycle(CONFIG)
    (fired,), _ = life.single([candidate(1, at(MINUTE))], at(MINUTE))
    assert [c for c in life.sweep(at(MINUTE + 9), at(MINUTE + 9)) if c.state == State.RESOLVED] == []
    (over,) = life.sweep(at(MINUTE + 10), at(MINUTE + 10))
    assert over.state == State.RESOLVED
    (again,), _ = life.single([candidate(2, at(MINUTE + 11))], at(MINUTE + 11))
    assert again.key != fired.key


def test_an_event_that_comes_late_is_told_and_one_older_than_an_hour_is_only_on_record() -> None:
    life = Lifecycle(CONFIG)
    now = at(MINUTE)
    changes, members = life.single(
        [
            candidate(1, now - timedelta(minutes=59)),
            candidate(2, now - timedelta(minutes=61)),
            candidate(3, now - timedelta(days=9)),
        ],
        now,
    )
    assert [(c.historical, str(c.state)) for c in changes if c.historical] == [(True, "resolved"), (True, "resolved")]
    assert [str(c.state) for c in changes if not c.historical] == ["firing"]
    assert len({m.alert_key for m in members}) == 3
    assert all(c.raised_at is None for c in changes if c.historical)
    # It does not vanish before anybody has seen it.
    assert life.sweep(now, now + timedelta(seconds=30)) == []
    assert states(life.sweep(now, now + timedelta(seconds=61))) == ["resolved"]


def test_an_old_event_that_came_to_match_now_is_notified_and_lasts_as_long_as_any_other() -> None:
    life, now = Lifecycle(CONFIG), at(MINUTE)
    matched = now - timedelta(minutes=1)
    (fired,), (member,) = life.single([candidate(1, now - timedelta(days=400), "voice", matched_at=matched)], now)
    assert (fired.state, fired.since, fired.last_at, fired.raised_at) == (State.FIRING, matched, matched, now)
    assert member.created_at == now - timedelta(days=400)
    assert life.sweep(now + timedelta(minutes=8), now + timedelta(minutes=8)) == []
    assert states(life.sweep(now + timedelta(minutes=9), now + timedelta(minutes=9))) == ["resolved"]


def test_an_event_that_came_to_match_long_ago_is_on_record_in_that_hour() -> None:
    life, now = Lifecycle(CONFIG), at(MINUTE)
    created, matched = now - timedelta(days=9), now - timedelta(hours=5)
    (old,), _ = life.single([candidate(1, created, "voice", matched_at=matched)], now)
    assert (old.historical, old.since, old.ended_at) == (True, matched, matched)
    assert old.key == historical_key(candidate(2, matched, "voice")) != historical_key(candidate(1, created, "voice"))


def test_old_events_of_an_hour_are_one_alert_also_after_a_restart() -> None:
    now = at(MINUTE)
    begin = at(MINUTE // 60 * 60) - timedelta(hours=5)
    first, second = candidate(1, begin + timedelta(minutes=3)), candidate(2, begin + timedelta(minutes=50))
    life = Lifecycle(CONFIG)
    (one,), _ = life.single([first], now)
    again = Lifecycle(CONFIG)
    assert historical_key(second) == one.key
    again.old_events.recall([one])
    (two,), _ = again.single([second], now)
    assert (two.key, two.version, two.observed, two.last_at) == (one.key, 2, 2.0, second.created_at)
    assert again.open == []


def test_events_of_the_future_count_as_of_now_and_end_or_replace_no_alert() -> None:
    life, now = Lifecycle(CONFIG), at(MINUTE, 5)
    ((fired,), _) = life.single([candidate(1, at(MINUTE))], at(MINUTE))
    life.acknowledge(fired, "ann", "on it", at(MINUTE))
    ahead = [candidate(1 + n, now + timedelta(minutes=11 * n)) for n in range(1, 131)]
    changes, members = life.single(ahead, now)
    assert changes == [] and {member.alert_key for member in members} == {fired.key}
    (alert,) = life.open
    assert (alert.state, alert.observed, alert.last_at) == (State.ACKNOWLEDGED, 131, now)


def test_a_source_whose_clock_is_ahead_raises_one_alert() -> None:
    life, news = Lifecycle(CONFIG), list[str]()
    for second in range(0, 3600, 10):
        now = at(MINUTE, second)
        found = [candidate(second + 1, now)]
        found += [candidate(second + 2, now + timedelta(minutes=15))] if second % 600 == 10 else []
        news += states([alert for alert in life.single(found, now)[0] + life.sweep(now, now) if _is_news(alert)])
    assert news == ["firing"]


def test_an_edit_dated_ahead_fires_now_and_ends_in_time() -> None:
    life, now = Lifecycle(CONFIG), at(MINUTE)
    edited = candidate(1, now - timedelta(days=3), matched_at=now + timedelta(hours=23, minutes=59))
    ((fired,), _) = life.single([edited], now)
    assert (fired.since, fired.last_at) == (now, now)
    assert states(life.sweep(at(MINUTE + 10), at(MINUTE + 10))) == ["resolved"]
    assert states(life.single([candidate(2, at(MINUTE + 11))], at(MINUTE + 11))[0]) == ["firing"]


def test_a_rule_that_is_not_there_any_more_raises_nothing() -> None:
    assert Lifecycle(Alerts()).single([candidate(1, at(MINUTE))], at(MINUTE)) == ([], [])


def test_whatever_the_order_of_events_the_same_brands_are_raised_once() -> None:
    events = [candidate(n, at(MINUTE, n), brand=f"brand-{n % 4}") for n in range(40)]
    for seed in range(20):
        random.Random(seed).shuffle(events)
        life, fired = Lifecycle(CONFIG), []
        for start in range(0, 40, 7):
            fired += life.single(events[start : start + 7], at(MINUTE + 1))[0]
        assert sorted(alert.scope.brand for alert in fired) == [f"brand-{n}" for n in range(4)]
        assert sum(alert.observed for alert in life.open) == 40


# --- no data, tests ---------------------------------------------------------------------------------------------------
def test_a_source_that_talks_again_ends_its_silence_at_once() -> None:
    life = Lifecycle(CONFIG)
    x = Scope(platform="x")
    (fired,) = life.met(truth("quiet", MINUTE, x), at(MINUTE + 31))
    assert fired.state == State.FIRING
    assert [c for c in life.sweep(at(MINUTE + 90), at(MINUTE + 90)) if c.state == State.RESOLVED] == []
    assert states(life.not_met("quiet", x, at(MINUTE + 91))) == ["resolved"]


def test_an_alert_that_was_open_when_its_type_was_named_silence_goes_on_as_it_is() -> None:
    x = Scope(platform="x")
    (fired,) = Lifecycle(CONFIG).met(truth("quiet", MINUTE, x), at(MINUTE + 31))
    assert (fired.type, fired.key) == ("no_data", alert_key("quiet", x, int(at(MINUTE).timestamp())))
    old = replace(fired, type="silence")
    upgraded = Lifecycle(CONFIG, [old])
    assert upgraded.met(truth("quiet", MINUTE, x), at(MINUTE + 40)) == []
    assert [c for c in upgraded.sweep(at(MINUTE + 90), at(MINUTE + 90)) if c.state == State.RESOLVED] == []
    (over,) = upgraded.not_met("quiet", x, at(MINUTE + 91))
    assert (over.key, over.type, over.state) == (fired.key, "silence", State.RESOLVED)
    assert upgraded.met(truth("quiet", MINUTE, x), at(MINUTE + 92)) == []
    (again,) = upgraded.met(truth("quiet", MINUTE + 95, x), at(MINUTE + 130))
    assert again.type == "no_data" and again.key != fired.key


def test_a_test_alert_is_marked_resolves_and_is_in_nobodys_way() -> None:
    life = Lifecycle(CONFIG)
    test = life.test(rule("count"), "Acme", "ines", at(MINUTE))
    assert test.test and test.state == State.FIRING
    assert states(life.met(truth("count", MINUTE), at(MINUTE))) == ["firing"]
    over = [c for c in life.sweep(at(MINUTE + 2), at(MINUTE + 2)) if c.test]
    assert states(over) == ["resolved"]


# --- late labels ------------------------------------------------------------------------------------------------------
ANGER = Alerts.model_validate({"rules": [{"name": "anger", "type": "threshold", "measure": "negative_share", "above": 0.75,
                                          "window": "2m", "min_mentions": 40, "resolve": "2m"}]})  # fmt: skip


class Anger:
    """300 angry posts a minute, of which the model labels a share in time."""

    def __init__(self) -> None:
        self.windows = Windows([each for each in ANGER.rules if isinstance(each, ThresholdRule)], _no_authors)
        self.life = Lifecycle(ANGER)

    def minute(self, minute: int, labelled: int, of: int = 300) -> list[str]:
        self.windows.move(minute)
        self.label(minute, labelled, of)
        changes = self.life.take_verdicts(self._judge(minute), at(minute, 59))
        return states([each for each in (*changes, *self.life.sweep(at(minute, 59), at(minute, 59))) if _is_news(each)])

    def label(self, minute: int, labelled: int, of: int = 300, negative: int | None = None) -> None:
        negative = labelled if negative is None else negative
        row = said(minute, of, labelled=labelled, negative=negative, waiting=of - labelled)
        self.windows.put(frame(row), [minute], None)

    def judge_again(self, minute: int, now: int) -> list[str]:
        changes = self.life.take_verdicts(self._judge(minute), at(now, 59), late=True)
        return states([each for each in changes if _is_news(each)])

    def _judge(self, minute: int) -> list[Verdicts]:
        return self.windows.judge(minute, True, {alert.scope for alert in self.life.open})


def _is_news(alert: Alert) -> bool:
    return alert.state != State.FIRING or alert.raised_at == alert.changed_at


def _no_authors(*_: object) -> pl.DataFrame:
    raise AssertionError("no rule asks for authors")


def test_an_alert_goes_on_while_the_labels_are_late_and_labels_that_come_raise_no_second_one() -> None:
    anger = Anger()
    assert anger.minute(MINUTE, 300) == ["firing"]
    for minute in range(MINUTE + 1, MINUTE + 40):
        assert anger.minute(minute, 150) == [], minute
    for minute in range(MINUTE + 1, MINUTE + 40):
        anger.label(minute, 300)
        assert anger.judge_again(minute, MINUTE + 40) == []
    (alert,) = anger.life.open
    assert alert.last_at == at(MINUTE + 39)
    assert anger.minute(MINUTE + 40, 0, 0) == []
    assert [anger.minute(MINUTE + 41 + n, 0, 0) for n in range(3)] == [[], [], ["resolved"]]


def test_labels_that_say_otherwise_end_it_and_so_does_calm() -> None:
    """Calm: too few mentions to be held by."""
    anger = Anger()
    anger.minute(MINUTE, 300)
    assert [anger.minute(MINUTE + n, 0, 10) for n in range(1, 6)] == [[], [], [], ["resolved"], []]
    anger.minute(MINUTE + 10, 300)
    anger.minute(MINUTE + 11, 100)
    for minute in (MINUTE + 10, MINUTE + 11):
        anger.label(minute, 300, negative=30)
        anger.judge_again(minute, MINUTE + 12)
    assert [anger.minute(MINUTE + 12 + n, 0, 0) for n in range(3)] == [[], [], ["resolved"]]


def test_no_alert_is_held_by_missing_labels_for_longer_than_an_hour() -> None:
    anger = Anger()
    assert anger.minute(MINUTE, 300) == ["firing"]
    ends = {minute: news for minute in range(MINUTE + 1, MINUTE + 90) if (news := anger.minute(minute, 100))}
    assert ends == {MINUTE + 63: ["resolved"]}
    (over,) = anger.life._ended["anger", ACME]
    assert over.ended_at == at(MINUTE)


def test_a_restart_holds_on() -> None:
    anger = Anger()
    anger.minute(MINUTE, 300)
    for minute in range(MINUTE + 1, MINUTE + 20):
        anger.minute(minute, 150)
    anger.life = Lifecycle(ANGER, anger.life.open)
    assert anger.minute(MINUTE + 20, 150) == []


def test_nothing_begins_and_nothing_that_needs_to_last_is_dropped_by_missing_labels() -> None:
    steady = ANGER.rules[0].model_copy(update={"persistence": timedelta(minutes=3)})
    anger = Anger()
    anger.life.config = Alerts(rules=(steady,))
    anger.windows = Windows([steady], _no_authors)  # type: ignore[list-item]
    assert anger.minute(MINUTE, 150) == []
    assert anger.minute(MINUTE + 1, 300) == [] and anger.minute(MINUTE + 2, 300) == ["pending"]
    assert anger.minute(MINUTE + 3, 100) == []
    anger.label(MINUTE + 3, 300)
    assert anger.minute(MINUTE + 4, 300) == []
    assert anger.minute(MINUTE + 5, 300) == ["firing"]


# --- after a restart much comes at once -------------------------------------------------------------------------------
def test_two_events_that_are_read_at_once_are_two_alerts_if_the_first_one_was_over() -> None:
    """Control was away for the ten minutes in which the first alert would have ended."""
    life = Lifecycle(CONFIG)
    changes, members = life.single([candidate(1, at(MINUTE)), candidate(2, at(MINUTE + 12))], at(MINUTE + 13))
    assert [(alert.state, alert.since) for alert in changes] == [
        (State.FIRING, at(MINUTE)),
        (State.RESOLVED, at(MINUTE)),
        (State.FIRING, at(MINUTE + 12)),
    ]
    assert len({member.alert_key for member in members}) == 2
    (raised,), _ = Lifecycle(CONFIG).single([candidate(1, at(MINUTE)), candidate(2, at(MINUTE + 9))], at(MINUTE + 13))
    assert raised.state == State.FIRING


def test_two_windows_that_are_judged_at_once_are_two_alerts_if_the_first_one_was_over() -> None:
    life = Lifecycle(CONFIG)
    (first,) = life.met(truth("count", MINUTE), at(MINUTE + 20))
    assert life.met(truth("count", MINUTE + 5), at(MINUTE + 20)) == []
    over, second = life.met(truth("count", MINUTE + 11), at(MINUTE + 20))
    assert (over.key, over.state, over.ended_at) == (first.key, State.RESOLVED, at(MINUTE + 5))
    assert (second.state, second.since) == (State.FIRING, at(MINUTE + 11)) and second.key != first.key


def test_late_labels_of_an_alert_that_has_ended_belong_to_it_minute_after_minute() -> None:
    life = Lifecycle(CONFIG)
    life.met(truth("count", MINUTE), at(MINUTE))
    (over,) = life.sweep(at(MINUTE + 7), at(MINUTE + 7))
    assert over.state == State.RESOLVED and life.met(truth("count", MINUTE), at(MINUTE + 20)) == []
    changes = [change for minute in range(1, 8) for change in life.met(truth("count", MINUTE + minute), at(MINUTE + 20))]
    assert {(change.key, change.state) for change in changes} == {(over.key, State.RESOLVED)}
    assert changes[-1].ended_at == changes[-1].last_at == at(MINUTE + 7) and changes[-1].version == over.version + 7
    again = Lifecycle(CONFIG, changes[-1:])  # killed
    assert states(again.met(truth("count", MINUTE + 12), at(MINUTE + 21))) == ["resolved"]
    assert states(again.met(truth("count", MINUTE + 18), at(MINUTE + 21))) == ["firing"]


def test_what_is_judged_late_is_saved_by_the_next_sweep_because_a_restart_does_not_judge_it_again() -> None:
    life = Lifecycle(CONFIG)
    for minute in range(15):
        life.met(truth("count", MINUTE + minute), at(MINUTE + 18))
    (saved,) = life.sweep(at(MINUTE + 18), at(MINUTE + 18))
    assert (saved.state, saved.last_at) == (State.FIRING, at(MINUTE + 14))
