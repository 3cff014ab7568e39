"""Which quarters wait, whose turn it is, and from which signal on they are not dealt with; how much one statement takes."""

from __future__ import annotations

from pipeline.rollups.rollup import QUARTER_S, Span
from pipeline.rollups.sweep import LARGEST, Size, Sweep
from pipeline.rollups.versions import Versions
from pipeline.rollups.waiting import DAY, SETTLE_S, Waiting


def test_what_changes_again_and_again_is_one_piece_of_work() -> None:
    waiting = Waiting()
    for offset, at in ((7, 100.0), (8, 101.0), (9, 99.5)):
        waiting.touch(3, offset, at)
    assert waiting.offset() == 7 and waiting.since(lambda _: True) == 99.5
    assert waiting.among([3, 4], 99.5) == [3] and waiting.older([3], 9, 1e9) == []
    assert waiting.older([], 9, 99.4 + SETTLE_S) == [] and waiting.older([], 9, 99.5 + SETTLE_S) == [3]
    waiting.done([3], 105.0)
    assert (waiting.offset(), waiting.since(lambda _: True), len(waiting)) == (None, None, 0)


def test_what_is_about_to_change_is_made_anew_once_it_has() -> None:
    """Its sender may have been killed in between; until then its signal is not dealt with."""
    waiting = Waiting()
    waiting.upcoming(3, 5, 100.0)
    assert waiting.among([3], 100.0) == [] and waiting.since(lambda _: True) is None
    waiting.touch(3, 6, 101.0)
    waiting.done([3], 102.0)
    assert waiting.offset() == 5 and waiting.since(lambda _: True) is None, "nothing is known to be missing"
    assert waiting.among([3], 109.9) == [] and waiting.among([3], 110.0) == [3] == waiting.older([], 1, 110.0)
    waiting.done([3], 110.0)
    assert waiting.offset() is None


def test_a_signal_about_a_quarter_that_waits_without_one_is_not_dealt_with_before_it() -> None:
    """As when its minutes are to be made whole: the signal was committed, and lost with a control that was killed."""
    waiting = Waiting()
    waiting.touch(3, None, 100.0)
    assert waiting.offset() is None
    for offset in (5, 6):
        waiting.touch(3, offset, 101.0)
    assert waiting.offset() == 5


def test_older_quarters_go_by_days_the_day_that_waits_longest_first() -> None:
    waiting = Waiting()
    for quarter, at in ((DAY + 1, 50.0), (5, 20.0), (DAY + 2, 10.0), (6, 30.0), (3 * DAY, 90.0)):
        waiting.touch(quarter, 0, at)
    assert waiting.older([], 96, 70.0) == [DAY + 2, DAY + 1] and waiting.older([], 1, 70.0) == [DAY + 2]
    waiting.failed([DAY + 2], 1_000.0)
    assert waiting.older([], 96, 70.0) == [5, 6], "what failed does not hold the others"
    assert waiting.since(lambda quarter: quarter != 5) == 10.0
    now = 2 * DAY * QUARTER_S
    assert waiting.older([], 96, now, newest=True) == [DAY + 1, DAY + 2], "3 * DAY is tomorrow"
    waiting.touch(9, None, 50.0)
    waiting.clear()
    assert len(waiting) == 1 and 9 in waiting and waiting.offset() is None, "no signal speaks of it"


def test_the_minutes_of_a_running_quarter_wait_until_they_have_settled() -> None:
    waiting = Waiting()
    waiting.touch(5, 0, 10.0, {3})
    waiting.upcoming(5, 1, 12.0, {4})
    assert waiting.minutes(5) == [3, 4] and waiting.minutes(6) == []
    waiting.done([5], 15.0)
    assert waiting.minutes(5) == [4], "its rows may come later than the statement read"
    waiting.upcoming(5, 2, 16.0, {7})
    waiting.done([5], 22.5)
    assert waiting.minutes(5) == [7]
    waiting.touch(5, 3, 30.0)
    assert waiting.minutes(5) == list(range(15)), "nobody knows which"
    waiting.done([5], 25.0)
    waiting.done([5], 31.0)
    assert not len(waiting)
    waiting.touch(5, None, 40.0)
    assert waiting.offset() is None and waiting.since(lambda quarter: True) == 40.0, "no signal is held back for it"


def test_a_range_is_done_from_its_end_by_statements_of_some_seconds() -> None:
    sweep, size = Sweep(10, 300), Size()
    assert sweep.take(size.quarters) == Span(205, 300) == sweep.take(size.quarters)
    sweep.done(Span(205, 300))
    size.took(96, 0.1)
    assert size.quarters == 384 and sweep.take(size.quarters) == Span(10, 204)
    size.took(195, 5.0)
    assert size.quarters == 97
    size.failed()
    size.took(3, 5.0)
    assert size.quarters == 1, "three quarters were too much"
    size.failed()
    assert size.quarters == 1
    for _ in range(20):
        size.took(size.quarters, 0.01)
    assert size.quarters == LARGEST
    sweep.done(Span(10, 204))
    assert not len(sweep) and not sweep


def test_smaller_statements_that_take_as_long_are_larger_again() -> None:
    """Where a statement takes 6 s to plan, as on a busy machine, a quarter each would never end."""
    for each in (0.5, 1.5, 2.5, 3.5, 6.0):
        size, quarters, statements = Size(), 0, 0
        while quarters < LARGEST:
            statements, quarters = statements + 1, quarters + size.quarters
            size.took(size.quarters, each + 0.0001 * size.quarters)
        assert statements < 15, each
        assert size.quarters > 1_000

    for each in (0.3, 1.5, 2.5):
        size, seconds = Size(), list[float]()
        for _ in range(50):
            seconds.append(each + 0.1 * size.quarters)
            size.took(size.quarters, seconds[-1])
        assert max(seconds[6:]) <= 4.0, "where smaller ones are shorter, they stay small"


def test_a_later_version_is_higher_in_each_term() -> None:
    old, new = Versions(3), Versions(4)
    versions = [old.next(), old.next(), new.next(), new.next()]
    assert versions == sorted(set(versions)) and versions[0] == (3 << 32) + 1
