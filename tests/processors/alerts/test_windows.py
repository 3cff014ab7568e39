"""Windowed rules: what is true of which scope at which minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.processors.alerts.counts import INDEX, MEASURES, Slice
from pipeline.processors.alerts.history import HISTORY_STEPS, STEP_MINUTES
from pipeline.processors.alerts.ring import Ring, Window
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.table import CountTable
from pipeline.processors.alerts.verdicts import STILL, TRUE, UNDECIDED, UNKNOWN
from pipeline.processors.alerts.window_rules import Seen
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Scope
from tests.support.minutes import MINUTE, frame, history, load, said


def windows_of(*rules: dict[str, object], authors: pl.DataFrame | None = None) -> Windows:
    config = Alerts.model_validate({"rules": [{"name": f"rule-{n}", **rule} for n, rule in enumerate(rules)]})

    def ask(slice_: Slice, scopes: Sequence[Scope], first: int, last: int) -> pl.DataFrame:
        assert authors is not None, "no rule of this test asks for authors"
        return authors

    return Windows(config.rules, ask)  # type: ignore[arg-type]  # only windowed ones here


def truth(windows: Windows, minute: int, scope: Scope, over: bool = True) -> int:
    (verdicts,) = windows.judge(minute, over, [scope])
    return int(verdicts.codes[list(verdicts.scopes).index(scope), 0]) if scope in verdicts.scopes else UNKNOWN


ACME = Scope("Acme")
THRESHOLD = {"type": "threshold", "window": "3m"}


def test_a_count_over_a_window_is_the_sum_of_its_minutes() -> None:
    windows = windows_of({**THRESHOLD, "measure": "count", "above": 10})
    windows.move(MINUTE + 3)
    windows.put(frame(*(said(MINUTE + n, 4) for n in range(3))), range(MINUTE, MINUTE + 3), None)
    assert truth(windows, MINUTE + 2, ACME) == TRUE  # 12
    assert truth(windows, MINUTE + 3, ACME) == 0  # 8


def test_a_minute_that_is_read_again_is_not_added_up_and_what_vanished_is_gone() -> None:
    windows = windows_of({**THRESHOLD, "measure": "count", "above": 10})
    windows.move(MINUTE)
    for _ in range(3):
        windows.put(frame(said(MINUTE, 6)), [MINUTE], ["Acme"])
    assert truth(windows, MINUTE, ACME) == 0
    windows.put(frame(said(MINUTE, 11), said(MINUTE, 20, "Bolt")), [MINUTE], None)
    assert truth(windows, MINUTE, ACME) == TRUE
    windows.put(frame(), [MINUTE], ["Acme"])
    assert truth(windows, MINUTE, ACME) == 0
    assert truth(windows, MINUTE, Scope("Bolt")) == TRUE


@pytest.mark.parametrize(
    ("rule", "measures", "expected"),
    [
        ({"measure": "negative_share", "above": 0.6}, {"labelled": 20, "negative": 13}, TRUE),
        ({"measure": "negative_share", "above": 0.6}, {"labelled": 20, "negative": 12}, 0),
        ({"measure": "negative_share", "above": 0.6}, {"labelled": 9, "negative": 9}, UNKNOWN),  # too few
        ({"measure": "negative_share", "above": 0.6}, {"labelled": 20, "negative": 20, "waiting": 6}, UNDECIDED),
        ({"measure": "negative_share", "above": 0.6}, {"labelled": 2, "negative": 2, "waiting": 7}, UNKNOWN),  # too few
        ({"measure": "score", "below": -0.5}, {"labelled": 4, "score": -4, "waiting": 6}, UNDECIDED),
        ({"measure": "negative_share", "above": 0.6}, {"labelled": 20, "negative": 20, "waiting": 5}, TRUE),
        ({"measure": "score", "below": -0.5}, {"labelled": 20, "score": -11}, TRUE),
        ({"measure": "score", "below": -0.5}, {"labelled": 20, "score": -9}, 0),
        ({"measure": "followers", "above": 1000}, {"followers": 1001, "followers_known": 1}, TRUE),
        ({"measure": "likes", "above": 50, "aggregate": "mean"}, {"likes": 600, "likes_known": 10}, TRUE),
        ({"measure": "likes", "above": 50, "aggregate": "mean"}, {"likes": 500, "likes_known": 10}, 0),
        ({"measure": "likes", "above": 50, "aggregate": "mean"}, {"likes": 500, "likes_known": 9}, UNKNOWN),
        ({"measure": "shares", "above": 5}, {"shares": 5}, 0),
        ({"measure": "replies", "above": 5}, {"replies": 6}, TRUE),
    ],
)
def test_what_is_measured(rule: dict[str, object], measures: dict[str, Any], expected: int) -> None:
    windows = windows_of({**THRESHOLD, **rule})
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 25, **measures)), [MINUTE], None)
    assert truth(windows, MINUTE, ACME) == expected


def test_a_count_that_was_not_read_is_an_error_and_not_0() -> None:
    none, slice_ = np.zeros(0, np.int64), Slice()
    window = Seen(slice_, CountTable(slice_), none, np.zeros((0, len(MEASURES))), MINUTE, ["count"])
    assert window.of("count").tolist() == []
    with pytest.raises(LookupError, match="likes was not read: measures_of"):
        window.of("likes")


def test_authors_are_asked_for_where_there_may_be_enough() -> None:
    authors = pl.DataFrame({"brand": ["Acme"], "platform": [""], "language": [""], "authors": [7.0]})
    windows = windows_of({**THRESHOLD, "measure": "authors", "above": 10}, authors=authors)
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 40), said(MINUTE, 9, "Bolt")), [MINUTE], None)
    assert truth(windows, MINUTE, ACME) == 0  # 40 mentions, 7 authors
    assert truth(windows, MINUTE, Scope("Bolt")) == 0


def test_too_little_is_known_once_the_minute_is_over() -> None:
    windows = windows_of({**THRESHOLD, "measure": "count", "below": 5})
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 2)), [MINUTE], None)
    assert truth(windows, MINUTE, ACME, over=False) == UNKNOWN
    assert truth(windows, MINUTE, ACME, over=True) == TRUE


def test_scopes_platforms_languages_and_brands() -> None:
    rows = [said(MINUTE, 8, platform="x", language="en"), said(MINUTE, 5, platform="y", language="de")]
    both = frame(*rows, said(MINUTE, 8, "Bolt", platform="x", language="en"))
    by = windows_of({**THRESHOLD, "measure": "count", "above": 6, "by": ["platform"], "brands": ["Acme"]})
    by.move(MINUTE)
    by.put(both, [MINUTE], None)
    assert truth(by, MINUTE, Scope("Acme", "x")) == TRUE
    assert truth(by, MINUTE, Scope("Acme", "y")) == 0
    assert truth(by, MINUTE, Scope("Bolt", "x")) == UNKNOWN  # no brand of the rule's
    only = windows_of({**THRESHOLD, "measure": "count", "above": 6, "languages": ["de"]})
    only.move(MINUTE)
    only.put(both, [MINUTE], None)
    assert truth(only, MINUTE, ACME) == 0  # 5 of its 13 are in German


@pytest.mark.parametrize(("per_minute", "expected"), [(6, 0), (28, STILL), (60, TRUE)])
def test_a_spike_is_far_above_what_history_expects(per_minute: int, expected: int) -> None:
    windows = windows_of({"type": "spike"})
    windows.move(MINUTE - 1)
    (learned,) = windows.histories.values()
    load(learned, history(30), (MINUTE - 1) // STEP_MINUTES)
    for n in range(5):
        windows.move(MINUTE + n)
        windows.put(frame(said(MINUTE + n, per_minute)), [MINUTE + n], None)
    assert truth(windows, MINUTE + 4, ACME, over=False) == expected


@pytest.mark.parametrize(("per_minute", "expected"), [(60, 0), (1, TRUE)])
def test_a_drop_is_far_below_it(per_minute: int, expected: int) -> None:
    windows = windows_of({"type": "spike", "direction": "below"})
    windows.move(MINUTE - 1)
    (learned,) = windows.histories.values()
    load(learned, history(300), (MINUTE - 1) // STEP_MINUTES)
    for n in range(50):
        windows.move(MINUTE + n)
        windows.put(frame(said(MINUTE + n, per_minute)), [MINUTE + n], None)
    assert truth(windows, MINUTE + 49, ACME, over=False) == UNKNOWN
    assert truth(windows, MINUTE + 49, ACME) == expected


@pytest.mark.parametrize(("negative", "expected"), [(10, 0), (45, TRUE)])
def test_a_share_of_negative_ones_is_held_against_the_weeks(negative: int, expected: int) -> None:
    windows = windows_of({"type": "spike", "measure": "negative_share"})
    windows.move(MINUTE - 1)
    (learned,) = windows.histories.values()
    load(learned, history(30), (MINUTE - 1) // STEP_MINUTES)
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 50, labelled=50, negative=negative)), [MINUTE], None)
    assert truth(windows, MINUTE, ACME, over=False) == expected


def test_a_scope_that_nobody_has_heard_of_has_no_history() -> None:
    windows = windows_of({"type": "spike"}, {"type": "spike", "measure": "negative_share"})
    windows.move(MINUTE)
    windows.put(frame(said(MINUTE, 500, labelled=500, negative=500)), [MINUTE], None)
    (verdicts,) = windows.judge(MINUTE, over=False)
    assert verdicts.codes.tolist() == [[UNKNOWN, UNKNOWN]]


def test_what_came_before_the_first_start_with_a_wrong_date_is_no_history() -> None:
    """One event in some steps of the last day, and then the stream begins: it is no spike over nearly nothing."""
    step = (MINUTE - 1) // STEP_MINUTES
    trickle = [{**said(step - n, 1), "live": 0.0} for n in range(3, 280, 7)]
    begun = [{**said(step - n, 400), "live": 400.0} for n in (1, 2)]
    windows = windows_of({"type": "spike"})
    windows.move(MINUTE - 1)
    (learned,) = windows.histories.values()
    load(learned, pl.DataFrame([*trickle, *begun]), step)
    windows.move(MINUTE)
    windows.put(frame(*(said(MINUTE - n, 80) for n in range(5))), range(MINUTE - 4, MINUTE + 1), None)
    assert truth(windows, MINUTE, ACME, over=False) == UNKNOWN


def test_a_night_without_the_stream_is_not_known_and_no_quiet_night() -> None:
    step = (MINUTE - 1) // STEP_MINUTES
    ran = [{**said(step - n, 300), "live": 300.0} for n in (*range(1, 12), *range(150, 1500))]
    windows = windows_of({"type": "spike"})
    windows.move(MINUTE - 1)
    (learned,) = windows.histories.values()
    load(learned, pl.DataFrame(ran), step)
    assert np.isnan(learned.volume(np.array([0]))[0, -140:-20]).all()
    windows.move(MINUTE)
    windows.put(frame(*(said(MINUTE - n, 60) for n in range(5))), range(MINUTE - 4, MINUTE + 1), None)
    assert truth(windows, MINUTE, ACME, over=False) == 0


def test_a_quiet_brand_in_a_busy_system_has_a_history_of_nothing() -> None:
    step = (MINUTE - 1) // STEP_MINUTES
    busy = [{**said(step - n, 300, "Bolt"), "live": 300.0} for n in range(1, 600)]
    quiet = [{**said(step - n, 1), "live": 1.0} for n in (550, 300, 90)]
    windows = windows_of({"type": "spike"})
    windows.move(MINUTE - 1)
    (learned,) = windows.histories.values()
    load(learned, pl.DataFrame([*busy, *quiet]), step)
    windows.move(MINUTE)
    windows.put(frame(*(said(MINUTE - n, 20) for n in range(5))), range(MINUTE - 4, MINUTE + 1), None)
    assert truth(windows, MINUTE, ACME, over=False) == TRUE


def test_history_goes_on_with_what_the_ring_holds() -> None:
    windows = windows_of({"type": "spike"})
    (learned,) = windows.histories.values()
    step = (MINUTE - 1) // STEP_MINUTES
    load(learned, history(30), step)
    windows.move(MINUTE)
    first = (step + 1) * STEP_MINUTES
    for minute in range(first, first + 3 * STEP_MINUTES + 1):
        windows.move(minute)
        windows.put(frame(said(minute, 7)), [minute], None)
    assert learned.step == step + 3
    assert learned.volume(np.array([0]))[0, -2:].tolist() == [35.0, 35.0]
    assert learned.volume(np.array([0])).shape == (1, HISTORY_STEPS)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["Acme", "Bolt", "Coil"]), st.integers(0, 9)), max_size=40),
    st.integers(1, 8),
)
def test_a_ring_holds_what_was_last_said_of_each_minute(reads: list[tuple[int, str, int]], size: int) -> None:
    """Against a dictionary: minutes come in any order, brands at any time, and old minutes are forgotten."""
    ring, known = Ring(CountTable(Slice()), size), dict[tuple[str, int], int]()
    ring.move(MINUTE)
    newest = MINUTE
    for minute, brand, count in ((MINUTE + n, brand, count) for n, brand, count in reads):
        newest = max(newest, minute)
        ring.move(newest)
        ring.put(frame(*([said(minute, count, brand)] if count else [])), [minute], [brand])
        known[brand, minute] = count
    for row, scope in enumerate(ring.table.scopes):
        for minute in range(newest - size + 1, newest + 1):
            held = ring.window(minute, 1).take(np.array([row]))
            assert held[0, INDEX["count"]] == known.get((scope.brand, minute), 0)
            assert held.shape == (1, len(MEASURES))


def test_rules_of_one_length_share_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    window = Ring.window

    def counted(self: Ring, minute: int, length: int, only: npt.NDArray[np.bool_] | None) -> Window:
        lengths.append(length)
        return window(self, minute, length, only)

    windows = windows_of(*({**THRESHOLD, "measure": "count", "above": 10 + n} for n in range(20)))
    windows.move(MINUTE)
    monkeypatch.setattr(Ring, "window", counted)
    windows.judge(MINUTE, True)
    assert lengths == [3]
