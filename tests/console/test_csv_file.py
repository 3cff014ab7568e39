"""CSV for spreadsheets: no cell runs as a formula, and what was written comes back."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.csv_file import csv_cell, csv_of

TEXTS = st.text(st.characters(codec="utf-8")) | st.text("=+-@\t\r\n ,\"';|＝a")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\ufeff=cmd|' /c calc'!A1", "＝1", "\r=1", "\n=1"]
)
def test_what_begins_a_formula_is_quoted(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("x;=cmd|' /C calc'!A0;", "x;'=cmd|' /C calc'!A0;"),
        ("a\n=1+1", "a\n'=1+1"),
        ("a; \t@b", "a; \t'@b"),
        ("a;b", "a;b"),
        ("1-2", "1-2"),
        ("a\n ;\t=b;c", "a\n ;\t'=b;c"),
        ("a" + "\n" * 1_000_000 + "b", "a" + "\n" * 1_000_000 + "b"),
    ],
)
def test_a_spreadsheet_that_splits_at_other_characters_sees_no_formula_either(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-1, "-1"), (-1.5, "-1.5"), ("1-1", "1-1"), (None, ""), (True, "true"), (["=a", "b"], "'=a, b"), (b"\xff=", "\\xff="),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
    ],
)  # fmt: skip
def test_values_are_what_they_are(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


@given(st.lists(st.tuples(TEXTS, TEXTS)))
def test_rows_come_back(rows: list[tuple[str, str]]) -> None:
    text = b"".join(csv_of(["=a", "b"], ({"=a": one, "b": other} for one, other in rows))).decode()
    first, *read = csv.reader(io.StringIO(text, newline=""))
    assert first == ["'=a", "b"]
    assert read == [[csv_cell(one), csv_cell(other)] for one, other in rows]
    assert all(cell[:1] not in tuple("=+-@\t\r\n＝＋－＠") for row in read for cell in row if cell)


def test_what_is_no_unicode_is_escaped() -> None:
    assert b"".join(csv_of(["a"], [{"a": "\ud800"}])) == b"a\r\n\\ud800\r\n"
