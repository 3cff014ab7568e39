"""Rows: whatever is added and taken out, they are those of a plain frame."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from itertools import count
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.identity import rows as module
from pipeline.identity.rows import Rows

SCHEMA = {"number": pl.Int64(), "one": pl.UInt64(), "other": pl.UInt64()}
keys = st.lists(st.integers(1, 6), max_size=4)
pairs = st.lists(st.tuples(st.integers(1, 6), st.one_of(st.none(), st.integers(1, 6))), max_size=6)
step = st.one_of(pairs, st.tuples(st.sampled_from(["one", "other"]), keys))


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """What is added lately is copied at once, as in a large table now and then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW", 4)
        yield


def numbers(frame: pl.DataFrame) -> list[int]:
    return sorted(frame.get_column("number").to_list())


@settings(deadline=None)
@given(st.lists(step, max_size=12), keys)
def test_they_are_found_as_in_a_plain_frame(steps: list[Any], wanted: list[int]) -> None:
    rows, plain, number = Rows(pl.DataFrame(schema=SCHEMA), ("one", "other")), pl.DataFrame(schema=SCHEMA), count()
    for each in steps:
        before, known = copy(rows), numbers(plain)
        if isinstance(each, list):
            added = pl.DataFrame([(next(number), *pair) for pair in each], schema=SCHEMA, orient="row")
            rows.add(added)
            plain = pl.concat([plain, added])
        else:
            column, gone = each
            among = pl.col(column).is_in(gone).fill_null(False)
            assert numbers(rows.pop(column, pl.Series(gone, dtype=pl.UInt64))) == numbers(plain.filter(among))
            plain = plain.filter(~among)
        assert numbers(before.all()) == known and rows.height == plain.height
    assert numbers(rows.all()) == numbers(plain)
    assert numbers(rows.where(pl.col("one") > 3)) == numbers(plain.filter(pl.col("one") > 3))
    for column in "one", "other":
        among = pl.col(column).is_in(wanted)
        assert numbers(rows.having(column, pl.Series(wanted, dtype=pl.UInt64))) == numbers(plain.filter(among))
