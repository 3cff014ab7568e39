"""What control holds in memory, and that what it leaves out changes nothing that a rule says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts import history
from pipeline.processors.alerts.counts import Slice
from pipeline.processors.alerts.history import HISTORY_STEPS, STEP_MINUTES
from pipeline.processors.alerts.read_past import READ_STEPS
from pipeline.processors.alerts.rule_types import SpikeRule, ThresholdRule
from pipeline.processors.alerts.rules import DEFAULT_RULES, Alerts, load_rules
from pipeline.processors.alerts.study import study
from pipeline.processors.alerts.table import ScopeLimit
from pipeline.processors.alerts.verdicts import STILL, TRUE
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Scope
from tests.support.minutes import MINUTE, frame, load, said
from tests.support.unbounded import DenseHistory, Unbounded

pytestmark = pytest.mark.slow

STEP = (MINUTE - 1) // STEP_MINUTES
RULES: list[dict[str, Any]] = [
    {"type": "spike"},
    {"type": "spike", "by": ["platform"], "min_mentions": 15},
    {"type": "spike", "direction": "below"},
    {"type": "spike", "measure": "negative_share", "min_mentions": 20},
    {"type": "threshold", "measure": "negative_share", "above": 0.6, "window": "2m", "min_mentions": 12},
    {"type": "threshold", "measure": "count", "above": 25, "window": "10m", "by": ["language"]},
    {"type": "threshold", "measure": "count", "below": 5, "window": "15m", "brands": ["Acme", "Bolt"]},
    {"type": "threshold", "measure": "likes", "aggregate": "mean", "above": 40, "platforms": ["x"]},
    {"type": "threshold", "measure": "followers", "above": 900, "window": "30m"},
    {"type": "threshold", "measure": "authors", "above": 12, "window": "5m"},
]


def rules_of(*rules: dict[str, Any]) -> list[Any]:
    return list(Alerts.model_validate({"rules": [{"name": f"rule-{n}", **rule} for n, rule in enumerate(rules)]}).rules)


def authors(slice_: Slice, scopes: Sequence[Scope], first: int, last: int) -> pl.DataFrame:
    """Two thirds as many as there are letters in the name, whatever was said."""
    keys = [{"brand": s.brand, "platform": s.platform, "language": s.language, "authors": 10.0 + len(s.brand)} for s in scopes]
    return pl.DataFrame(keys, schema_overrides={"authors": pl.Float64})


def shipped(room: ScopeLimit | None = None) -> Windows:
    rules = [rule for rule in load_rules(DEFAULT_RULES).rules if isinstance(rule, (SpikeRule, ThresholdRule))]
    return Windows(rules, authors, room)


# --- the same is true ---------------------------------------------------------------------------------------------------
class Stream:
    """Counts as they may come: a brand that falls silent, one that is always there, some that come and go, bursts and tones."""

    def __init__(self, seed: int, brands: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.brands = ["Acme", "Bolt", *(f"name-{n}" for n in range(brands))]
        self._rates = np.append([20.0, 3.0], self._rng.exponential(0.6, brands))
        self._bursts = {int(at): self._rng.integers(len(self.brands)) for at in self._rng.integers(0, 70, 6)}

    def past(self, days: int) -> pl.DataFrame:
        rows = []
        for brand, rate in zip(self.brands, self._rates, strict=True):
            counts = self._rng.poisson(rate * STEP_MINUTES, days * 288)
            for step in np.flatnonzero(counts):
                rows.append(self._said(STEP - len(counts) + int(step), brand, int(counts[step])))
        return pl.DataFrame(rows).with_columns(live=pl.col("count"))

    def minute(self, number: int) -> list[dict[str, Any]]:
        counts = self._rng.poisson(self._rates)
        if number in self._bursts:
            counts[self._bursts[number]] += self._rng.integers(10, 200)
        if number > 12:
            counts[0] = 0
        return [
            self._said(MINUTE + number, brand, int(count)) for brand, count in zip(self.brands, counts, strict=True) if count
        ]

    def _said(self, at: int, brand: str, count: int) -> dict[str, Any]:
        rng = self._rng
        labelled = int(count * rng.choice([0.5, 0.9, 1.0]))
        negative = int(labelled * rng.choice([0.1, 0.3, 0.9]))
        likes = float(rng.integers(0, 60) * count)
        more = {"labelled": labelled, "negative": negative, "waiting": count - labelled, "likes": likes, "likes_known": count}
        platform, language = str(rng.choice(["x", "y"])), str(rng.choice(["en", "de"]))
        return said(at, count, brand, platform, language, followers=float(rng.integers(0, 99) * count), **more)


def what_is_true(
    windows: Windows, minute: int, over: bool, watched: set[Scope], brands: set[str] | None = None
) -> dict[tuple[str, Scope], tuple[Any, ...]]:
    found = {}
    for verdicts in windows.judge(minute, over, watched, brands):
        for (row, scope), (place, rule) in product(enumerate(verdicts.scopes), enumerate(verdicts.rules)):
            says = int(verdicts.codes[row, place])
            if says == TRUE or (says == STILL and scope in watched):
                numbers = (verdicts.observed, verdicts.expected, verdicts.lower, verdicts.upper, verdicts.severity)
                window = verdicts.windows[place][row, :6]
                found[rule.name, scope] = (says, *(round(float(array[row, place]), 6) for array in numbers), *window.tolist())
    return found


@pytest.mark.parametrize(("seed", "brands", "days"), [(1, 10, 23), (2, 4, 3)])
@pytest.mark.slow
def test_what_is_true_is_what_it_is_when_nothing_is_left_out(seed: int, brands: int, days: int) -> None:
    """With late minutes, minutes that are read again in part, and over a change of the hour."""
    stream, watched = Stream(seed, brands), set[Scope]()
    past = stream.past(days)
    both = [Windows(rules_of(*RULES), authors), Unbounded(rules_of(*RULES), authors)]
    for windows in both:
        for each in windows.histories.values():
            each.load(past, STEP) if isinstance(each, DenseHistory) else load(each, past, STEP)
        windows.move(MINUTE - 1)
    hits = set[str]()
    for number in range(70):
        minutes = [stream.minute(number), *([stream.minute(number - 7)] if number in (20, 50) else [])]
        at = [rows[0]["minute"] for rows in minutes if rows] or [MINUTE + number]
        for windows in both:
            windows.move(MINUTE + number)
            for rows, minute in zip(minutes, at, strict=False):
                windows.put(frame(*rows), [minute], None if number % 3 else sorted(stream.brands))
        for minute, over in [
            (MINUTE + number, False),
            (MINUTE + number, True),
            *([(MINUTE + 15, True)] if number == 20 else []),
        ]:
            ours, all_of_them = (what_is_true(windows, minute, over, watched) for windows in both)
            assert sorted(map(repr, ours.items())) == sorted(map(repr, all_of_them.items()))
            some = set(stream.brands[: number % 3])
            theirs = {key: value for key, value in ours.items() if key[1].brand in some or key[1] in watched}
            assert repr(what_is_true(both[0], minute, over, watched, some)) == repr(theirs), "of some brands alone"
            hits |= {name for name, _ in ours}
        watched = {scope for _, scope in ours}
    assert hits == {f"rule-{n}" for n in range(len(RULES))}


def test_a_past_is_the_same_in_chunks_of_any_age() -> None:
    windows = Windows(rules_of({"type": "spike"}), authors)
    (past,), (ring,) = windows.histories.values(), windows.rings.values()
    rng, counts = np.random.default_rng(3), np.zeros(400)
    for number in range(400):
        first = (STEP + number) * STEP_MINUTES
        windows.move(first)
        counts[number] = int(rng.integers(0, 400) * (rng.random() < 0.3))
        acme = [said(first, int(counts[number]))] if counts[number] else []
        windows.put(frame(said(first, 9, "Bolt"), *acme), [first], None)
    windows.move(first + STEP_MINUTES + 1)
    held = past.volume(ring.table.find([Scope("Acme")]))[0]
    begun = np.flatnonzero(counts)[0]
    assert np.isnan(held[: HISTORY_STEPS - 400 + begun]).all()
    assert held[HISTORY_STEPS - 400 + begun :].tolist() == counts[begun:].tolist()


# --- what it costs ------------------------------------------------------------------------------------------------------
def names(count: int, events: int, minutes: Sequence[int]) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(2)
    for n in range(count):
        for minute in rng.choice(minutes, events, replace=False):
            yield said(int(minute), 1, f"name-{n}", f"p{n % 5}", labelled=1, positive=1)


def test_names_that_nobody_says_much_of_cost_little_and_one_that_is_said_often_alerts() -> None:
    windows = shipped()
    past = frame(*names(3_000, 5, range(STEP - 2_000, STEP))).with_columns(live=pl.col("count"))
    for each in windows.histories.values():
        load(each, past, STEP)
    windows.move(MINUTE)
    minutes = range(MINUTE - 60, MINUTE + 1)
    windows.put(frame(*names(3_000, 3, minutes)), minutes, None)
    assert windows.nbytes < 3_000 * 2 * 700  # two slices; a place for each minute and step were 41 kB in each
    windows.put(frame(said(MINUTE, 60, "name-7", "p2")), [MINUTE], ["name-7"])
    found = what_is_true(windows, MINUTE, False, set())
    assert {("rule", *key) for key in found} == {
        ("rule", "volume", Scope("name-7")), ("rule", "platform-volume", Scope("name-7", "p2"))
    }  # fmt: skip


def test_what_was_learned_of_a_scope_stays_when_another_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[int] = []

    def counting(counts: Any, *more: Any) -> Any:
        learned.append(len(counts))
        return study(counts, *more)

    monkeypatch.setattr("pipeline.processors.alerts.expected.study", counting)
    windows = Windows(rules_of({"type": "spike"}), authors)
    windows.move(MINUTE)
    windows.put(frame(*(said(MINUTE, 20, f"brand-{n}") for n in range(50))), [MINUTE], None)
    windows.judge(MINUTE, over=False)
    assert sum(learned) == 50
    windows.put(frame(said(MINUTE, 1, "rare"), said(MINUTE, 30, "new")), [MINUTE], ["rare", "new"])
    windows.judge(MINUTE, over=False)
    assert sum(learned) == 51  # the rare one reaches no rule's min_mentions


def test_brands_that_no_rule_is_about_take_no_place_and_count_as_signs_of_life() -> None:
    windows = Windows(rules_of({"type": "spike", "brands": ["Acme"]}), authors)
    assert windows.wanted(["Acme", "Bolt"]) == {"Acme"}
    step = {"live": 50.0}
    rows = [
        {**said(STEP - n, 50, brand), **step} for n in range(1, 600) for brand in ("Acme", "Bolt") if brand == "Bolt" or n > 30
    ]
    (past,) = windows.histories.values()
    load(past, pl.DataFrame(rows), STEP)
    (ring,) = windows.rings.values()
    assert ring.table.scopes == [Scope("Acme")]
    # That nothing was said of Acme for a while is known, for it was heard what is said of others.
    assert past.volume(np.array([0]))[0, -30:].tolist() == [0.0] * 30


def test_names_beyond_the_bound_are_left_out_until_others_are_quiet() -> None:
    windows = shipped(ScopeLimit(40))
    windows.move(MINUTE)
    windows.put(frame(*(said(MINUTE, 1, f"name-{n}") for n in range(60))), [MINUTE], None)
    assert windows.room.left == 0 and windows.room.left_out == 80
    windows.put(frame(said(MINUTE + 1, 30, "late")), [MINUTE + 1], ["late"])
    windows.move(MINUTE + 100)
    assert windows.room.left > 0
    windows.put(frame(said(MINUTE + 100, 30, "late")), [MINUTE + 100], ["late"])
    assert [ring.table.find([Scope("late")]) >= 0 for ring in windows.rings.values()] == [True, True]
    held = windows.rings[Slice()].window(MINUTE + 100, 5)
    assert held.of("count").sum() == 30


@pytest.mark.slow
def test_names_that_strangers_give_push_out_no_brand_that_has_a_history() -> None:
    """Acme has 20 mentions each five minutes for four weeks, then nothing for a night, in which each minute has other names."""
    windows, rng = shipped(ScopeLimit(1_000)), np.random.default_rng(1)
    past = frame(*(said(step, int(rng.poisson(20)), "Acme", "p0") for step in range(STEP - 8_000, STEP - 20)))
    for each in windows.histories.values():
        load(each, past.with_columns(live=pl.col("count")), STEP)
    for minute in range(MINUTE, MINUTE + 300):
        windows.move(minute)
        windows.put(frame(*(said(minute, 1, f"junk-{minute}-{n}") for n in range(12))), [minute], None)
    assert windows.room.taken > 700 and windows.room.left_out == 0
    for minute in range(MINUTE + 300, MINUTE + 305):
        windows.move(minute)
        windows.put(frame(said(minute, 60, "Acme", "p0")), [minute], None)
    assert what_is_true(windows, minute, False, set()).keys() == {
        ("volume", Scope("Acme")), ("platform-volume", Scope("Acme", "p0"))
    }  # fmt: skip


def test_a_flood_of_names_leaves_new_ones_out_and_says_so_but_keeps_who_was_loud_or_is_named() -> None:
    acme, bolt = Scope("Acme"), Scope("Bolt")
    windows = Windows(
        rules_of(
            {"type": "threshold", "measure": "count", "above": 25, "window": "10m"},
            {"type": "threshold", "measure": "count", "below": 1, "brands": ["Bolt"], "window": "3m"},
        ), authors, ScopeLimit(500),
    )  # fmt: skip
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 30), said(MINUTE, 1, "Bolt"), said(MINUTE, 20, "low")), [MINUTE], None)
    windows.judge(MINUTE, over=False)
    for minute in range(MINUTE + 1, MINUTE + 200):
        windows.move(minute)
        windows.put(frame(*(said(minute, 1, f"junk-{minute}-{n}") for n in range(90))), [minute], None)
    assert windows.room.left_out > 0
    (ring,) = windows.rings.values()
    assert (ring.table.find([acme, bolt, Scope("low")]) >= 0).tolist() == [True, True, False]


def test_brands_that_mattered_go_when_they_are_too_many_and_are_counted() -> None:
    windows = Windows(rules_of({"type": "spike"}), authors, ScopeLimit(100))
    for minute in range(MINUTE, MINUTE + 98):
        windows.move(minute)
        windows.put(frame(said(minute, 30, f"brand-{minute - MINUTE}")), [minute], None)
        windows.judge(minute, over=False)
    windows.move(MINUTE + 98)
    (ring,) = windows.rings.values()
    known = (ring.table.find(Scope(f"brand-{n}") for n in range(98)) >= 0).tolist()
    assert windows.room.left_out == known.count(False) > 0
    assert known == sorted(known)  # the longest silent went


def test_a_scope_that_is_quiet_for_four_weeks_gives_its_row_away() -> None:
    windows = Windows(rules_of({"type": "spike"}), authors)
    (past,), (ring,) = windows.histories.values(), windows.rings.values()
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 30, "gone")), [MINUTE], None)
    for later in (MINUTE + 10, MINUTE + HISTORY_STEPS * STEP_MINUTES - 10):
        windows.move(later)
        assert ring.table.find([Scope("gone")]) == [0]
    windows.move(MINUTE + HISTORY_STEPS * STEP_MINUTES + 60)
    assert ring.table.find([Scope("gone")]) == [-1]
    windows.put(frame(said(ring.last, 5, "next")), [ring.last], None)
    assert ring.table.find([Scope("next")]) == [0]
    assert np.isnan(past.volume(np.array([0]))).all()


def test_a_silent_scope_is_judged_by_a_rule_about_too_little() -> None:
    windows = Windows(rules_of({"type": "threshold", "measure": "count", "below": 5, "window": "3m"}), authors)
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 30)), [MINUTE], None)
    windows.move(MINUTE + 2 * 1440)
    assert what_is_true(windows, MINUTE + 2 * 1440, True, set()).keys() == {("rule-0", Scope("Acme"))}


class Answers:
    """ClickHouse, of which `past` is known and nothing of the newest minutes."""

    def __init__(self, past: pl.DataFrame) -> None:
        self._past = past
        self.asked: list[tuple[int, int]] = []
        """The first step and the one after the last, of each query of the past."""
        self.looked = 0
        """How often the oldest row was asked for."""

    def __call__(self, sql: str) -> pl.DataFrame:
        first, end = (int(second) // 300 for second in re.findall(r"toDateTime\((\d+)", sql))
        if "AS live" not in sql and "LIMIT 1" not in sql:
            return self._past.clear()
        rows = self._past.filter(pl.col("minute").is_between(first, end - 1))
        if "LIMIT 1" in sql:
            self.looked += 1
            return rows.select("minute").sort("minute").head(1)
        self.asked.append((first, end))
        return rows


def test_the_past_is_read_some_hours_at_a_time_until_there_is_no_room_for_more() -> None:
    past = frame(*(said(STEP - n, 1 + n % 200, f"b{brand}") for n in range(1, 1500, 3) for brand in range(8)))
    past = past.with_columns(live=pl.col("count"))
    windows, bounded, whole = (Windows(rules_of({"type": "spike"}), authors) for _ in range(3))
    (read,), (short,), (loaded,) = (each.histories.values() for each in (windows, bounded, whole))
    load(loaded, past, STEP, READ_STEPS)
    answers = Answers(past)
    windows.learn(answers, MINUTE)
    assert {end - first for first, end in answers.asked} == {READ_STEPS}
    assert sum(end - first for first, end in answers.asked) == 1_512 + READ_STEPS  # one query more finds nothing older
    assert answers.looked == 1
    scopes = [Scope(f"b{brand}") for brand in range(8)]
    rows = [each.rings[Slice()].table.find(scopes) for each in (windows, whole)]
    np.testing.assert_array_equal(read.volume(rows[0]), loaded.volume(rows[1]))
    assert read.nbytes == loaded.nbytes and read.days == loaded.days == 28
    short._most = read._past.nbytes // 2
    answers = Answers(past)
    bounded.learn(answers, MINUTE)
    assert short.days == sum(end - first for first, end in answers.asked) / 288 < 4


def test_of_a_past_with_a_gap_all_is_read_and_nothing_before_its_oldest_row() -> None:
    past = frame(*(said(STEP - n, 5) for n in (*range(1, 40), *range(500, 600)))).with_columns(live=pl.col("count"))
    windows, whole = (Windows(rules_of({"type": "spike"}), authors) for _ in range(2))
    (read,), (loaded,) = (each.histories.values() for each in (windows, whole))
    load(loaded, past, STEP, READ_STEPS)
    answers = Answers(past)
    windows.learn(answers, MINUTE)
    assert answers.asked[-1][0] == STEP - 612 and answers.looked == 1
    row = windows.rings[Slice()].table.find([Scope("Acme")])
    np.testing.assert_array_equal(read.volume(row), loaded.volume(row))
    assert read.days == loaded.days == 28


def test_a_history_beyond_the_bound_reaches_less_far_back() -> None:
    rows = [{**said(STEP - n, 1 + n % 200, f"b{brand}"), "live": 1.0} for n in range(1, 1500) for brand in range(8)]
    windows = Windows(rules_of({"type": "spike"}), authors)
    (past,) = windows.histories.values()
    whole = history.History(past._table)
    load(whole, pl.DataFrame(rows), STEP)
    past._most = 12_000
    load(past, pl.DataFrame(rows), STEP)
    assert past._past.nbytes < 12_000 + 144 * 8 * 4 < whole._past.nbytes
    assert past.days == pytest.approx(2.5, abs=1.5)
    kept = STEP - past.first
    volume = past.volume(np.array([3]))[0]
    assert np.isnan(volume[:-kept]).all()
    assert volume[-kept:].tolist() == whole.volume(np.array([3]))[0, -kept:].tolist()
