"""Statements with their parameters filled in: what a value holds is never a piece of the statement."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.filled import filled, plain
from pipeline.embedded.statement import _TOKEN as TOKENS


def test_values_are_literals_of_their_types() -> None:
    sql = "SELECT {a:String}, {b:UInt64}, {c:Array(String)}, {d:DateTime64(3, 'UTC')}, {e:Nullable(Int8)} FROM {t:Identifier}"
    values = {"a": "it's", "b": 7, "c": ["x", "\\"], "d": datetime(2026, 1, 2, 3, 4, 5, 600, UTC), "e": None, "t": "a`b"}
    assert filled(sql, plain(values, sql)) == (
        "SELECT 'it\\'s', CAST('7' AS UInt64), CAST(['x', '\\\\'] AS Array(String)), "
        "CAST('2026-01-02 03:04:05.000600' AS DateTime64(3, 'UTC')), CAST(NULL AS Nullable(Int8)) FROM `a\\`b`"
    )


def test_what_looks_like_a_parameter_in_a_text_or_a_comment_is_none() -> None:
    sql = "SELECT '{a:String}', \"{a:String}\", `{a:String}` /* {a:String} */ -- {a:String}"
    assert filled(sql, {"a": "x"}) == sql


def test_a_value_that_looks_like_a_parameter_is_no_place_for_another() -> None:
    assert filled("SELECT {a:String}, {b:String}", {"a": "{b:String}", "b": "'"}) == "SELECT '{b:String}', '\\''"


def test_times_without_fractions_fit_a_time_of_seconds() -> None:
    sql = "SELECT {a:DateTime('UTC')}, {b:Date}"
    assert plain({"a": datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "b": date(1, 1, 1)}, sql) == {
        "a": "2026-01-02 03:04:05",
        "b": "0001-01-01",
    }


def test_what_nobody_sees_is_an_escape() -> None:
    assert filled("SELECT {a:String}", {"a": "a\u202e\0"}) == "SELECT 'a\\xe2\\x80\\xae\\x00'"


@given(st.text(st.characters(codec=None, exclude_categories=())) | st.text("'\\`\"-*/{}a:"))
def test_any_text_is_one_literal(text: str) -> None:
    sql = filled("{a:String}", {"a": text}).encode()
    found = TOKENS.match(sql)
    assert found and found.lastgroup == "quoted" and found.end() == len(sql)
