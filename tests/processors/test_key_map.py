"""The look-up map says what a dict would say, whatever is put and in which pieces, and takes the bytes that it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.processors import key_map
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import Keys

KEYS = st.one_of(
    st.integers(1, 5),
    st.integers(2**64 - 5, 2**64 - 1),
    st.integers(0, 40).map(lambda n: 2**63 + n),  # they begin alike
    st.integers(0, 15).map(lambda n: n << 60),
)
PIECES = st.lists(st.lists(st.tuples(KEYS, KEYS), max_size=30), max_size=8)


def column(values: list[int]) -> Keys:
    return np.array(values, dtype=np.uint64)


@given(PIECES, st.lists(KEYS))
def test_it_says_what_a_dict_says(pieces: list[list[tuple[int, int]]], others: list[int]) -> None:
    for small in (0, 20, 1 << 14):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(key_map, "SMALL", small)
            known, expected = KeyMap(), dict[int, int]()
            for piece in pieces:
                known.put(column([key for key, _ in piece]), column([value for _, value in piece]))
                expected |= dict(piece)
                asked = [*expected, *others]
                assert known.of(column(asked)).tolist() == [expected.get(key, key) for key in asked]
                assert len(known) == sum(key != value for key, value in expected.items())


def test_a_link_takes_at_most_24_bytes_also_while_links_come() -> None:
    numbers = np.random.default_rng(1)
    for count in (100_000, 131_071, 131_072, 200_000):
        known = KeyMap()
        for keys in np.split(numbers.integers(1, 2**64, count, dtype=np.uint64), [count // 2, count - 5_000]):
            known.put(keys, keys ^ np.uint64(1))
        assert len(known) == count
        assert known.nbytes <= 24 * count


def test_who_asks_while_another_puts_sees_all_of_it_or_nothing() -> None:
    """`of` takes one state: what it reads does not change under it."""
    known = KeyMap()
    known.put(column([1, 2]), column([7, 7]))
    before = known._state
    known.put(column([1, 2]), column([8, 8]))
    values = column([1, 2])
    for part in before:
        part.put_into(values, column([1, 2]))
    assert values.tolist() == [7, 7] and known.of(column([1, 2])).tolist() == [8, 8]
    assert not len(known.of(column([])))
