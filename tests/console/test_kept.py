"""What is kept: for its seconds, within its bytes."""

from __future__ import annotations

from pipeline.console.kept import Kept


def test_a_value_is_given_while_it_is_young_enough_for_who_asks() -> None:
    kept = Kept[str](100)
    kept.put("a", "x", 10.0, 15.0, 1)
    assert kept.get("a", 14.0, 5.0) == "x"
    assert kept.get("a", 14.0, 3.0) is None
    assert kept.get("a", 15.0, 60.0) is None
    assert kept.get("b", 14.0, 5.0) is None


def test_a_clock_that_goes_back_keeps_nothing_longer() -> None:
    kept = Kept[str](100)
    kept.put("a", "x", 3_600.0, 3_605.0, 1)
    assert kept.get("a", 10.0, 5.0) is None
    assert kept.expire(10.0) is None and kept.size == 0


def test_what_is_over_is_forgotten_though_nobody_asks() -> None:
    kept = Kept[str](100)
    kept.put("a", "x", 10.0, 15.0, 40)
    kept.put("b", "y", 10.0, 20.0, 40)
    assert kept.expire(15.0) == 20.0
    assert kept.size == 40
    assert kept.expire(20.0) is None
    assert kept.size == 0


def test_it_stays_within_its_bytes() -> None:
    kept = Kept[str](100)
    for name in "abc":
        kept.put(name, name, 0.0, 9.0, 40)
        kept.get("a", 1.0, 9.0)
    assert [kept.get(name, 1.0, 9.0) for name in "abc"] == ["a", None, "c"]
    kept.put("a", "larger", 0.0, 9.0, 101)
    assert kept.get("a", 1.0, 9.0) is None
    assert kept.size == 40
