"""Unmapped rows of any number: in their order, and bounded in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from pipeline.sources.recorded.unmapped_rows import KEPT, UnmappedRow, UnmappedRows


@pytest.mark.slow
def test_many_rows_come_back_in_their_order_and_the_memory_is_bounded() -> None:
    rows = UnmappedRows()
    assert (len(rows), bool(rows), rows == []) == (0, False, True)
    paths = [Path("a.csv"), Path("b\udcff.csv")]
    tracemalloc.start()
    for number in range(20 * KEPT):
        rows.append(UnmappedRow(paths[number % 2], number, f"reason {number}"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    for _ in range(2):
        assert all(row == (paths[number % 2], number, f"reason {number}") for number, row in enumerate(rows))
    rows.append(UnmappedRow(paths[0], 7, "last"))
    assert len(rows) == 20 * KEPT + 1
    assert list(rows)[-1] == (paths[0], 7, "last")
    assert rows.first(2) == [rows[0], rows[1]]
