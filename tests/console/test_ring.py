"""The last changes: who comes back gets what came meanwhile, or is told that it is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.console import ring as module
from pipeline.console.ring import Ring

TOPIC = "Vf0Wn2c8Q7uO1m6d9Rk3Xg"


def made(places: dict[int, int], ends: dict[int, int] | None = None) -> Ring:
    return Ring(places, places if ends is None else ends, TOPIC)


def behind(offsets: str) -> str:
    """A place of the topic."""
    return f"{TOPIC}~{offsets}"


def came(ring: Ring, partition: int, offset: int) -> str:
    place = ring.passed(partition, offset)
    ring.keep(partition, offset, b"%d/%d" % (partition, offset))
    return place


def test_who_comes_back_gets_what_came_meanwhile() -> None:
    ring = made({0: 5, 1: 0})
    assert ring.place == behind("5.0")
    assert [came(ring, *each) for each in ((0, 5), (1, 0), (0, 6))] == [*map(behind, ("6.0", "6.1", "7.1"))]
    assert ring.since(behind("6.0")) == [b"1/0", b"0/6"]
    assert ring.since(behind("5.0")) == [b"0/5", b"1/0", b"0/6"]
    assert ring.since(ring.place) == []


@pytest.mark.parametrize("place", ["4.0", "8.0", "7", "7.1.0", "", "x", "7.1\n", "-1.0", "٧.1", "9" * 30 + ".1", "7..1"])
def test_a_place_that_is_too_old_or_none_is_told(place: str) -> None:
    ring = made({0: 5, 1: 0})
    came(ring, 0, 5)
    assert ring.since(behind(place)) is None and ring.since(place) is None


def test_a_place_of_a_topic_that_was_made_anew_is_none() -> None:
    ring = made({0: 5, 1: 0})
    place = came(ring, 0, 5)
    assert ring.since(place) == []
    anew = Ring({0: 0, 1: 0}, {0: 0, 1: 0}, "another")
    for offset in range(9):
        came(anew, 0, offset)
    assert anew.since(place) is None and anew.since(place.partition("~")[2]) is None


def test_the_oldest_go_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    ring = made({0: 0, 1: 0})
    for offset in range(3):
        came(ring, 0, offset)
        came(ring, 1, offset)
    assert ring.since(behind("1.1")) is None
    assert ring.since(behind("2.1")) == [b"1/1", b"0/2", b"1/2"]
    monkeypatch.setattr(module, "MOST_BYTES", 4)
    came(ring, 0, 3)
    assert ring.since(behind("3.3")) == [b"0/3"]
    assert ring.since(behind("3.2")) is None


def test_before_it_has_read_all_its_place_is_behind_what_was_there() -> None:
    ring = made({0: 0}, {0: 2})
    assert ring.place == behind("2")
    came(ring, 0, 0)
    assert ring.place == behind("2")


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)), st.data())
def test_two_processes_that_read_in_another_order_miss_nothing(
    first: list[int], shuffled: list[int], data: st.DataObject
) -> None:
    """A browser sees some of what one process tells, then goes to another one, that read the partitions in another order."""
    order = data.draw(st.permutations(first))
    rings = []
    for sequence in (first, order):
        ring, offsets = made(dict.fromkeys(range(3), 0)), [0, 0, 0]
        for partition in sequence:
            came(ring, partition, offsets[partition])
            offsets[partition] += 1
        rings.append(ring)
    everything = set(rings[0].since(behind("0.0.0")) or [])
    seen, place = set[bytes](), behind("0.0.0")
    for ring in (rings[0], rings[1], rings[0]):
        missed = ring.since(place) or []
        until = data.draw(st.integers(0, len(missed)))
        for event in missed[:until]:
            partition, offset = map(int, event.split(b"/"))
            seen.add(event)
            place = _place_behind(ring, first if ring is rings[0] else order, partition, offset)
    seen |= set(rings[1].since(place) or [])
    assert seen == everything


def _place_behind(ring: Ring, sequence: list[int], partition: int, offset: int) -> str:
    """The id that the process gave the event."""
    offsets = [0, 0, 0]
    for each in sequence:
        offsets[each] += 1
        if (each, offsets[each] - 1) == (partition, offset):
            break
    return behind(".".join(map(str, offsets)))
