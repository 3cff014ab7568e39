"""Pictures of results: whatever the names in them, there is one, and the names are in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from pipeline.queries.plot import LONGEST, draw
from schemas.queries import NamedQuery, named_queries, parse

LINE = parse("q", "-- Q.\n-- column t: time\n-- column n: count\n-- column brand: whose\n-- plot line: t, n, brand\nSELECT 1")
BAR = parse("q", "-- Q.\n-- column name: of what\n-- column n: count\n-- column of: part\n-- plot bar: name, n, of\nSELECT 1")
NAMES = ["", "$x_{$", "_under", "東京 عربي 🙂", "a" * 500, "b" * 500]


def shown(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "x.svg"


def test_bars_have_any_name(path: Path) -> None:
    """Two long names that begin alike are two bars; a blank one is said to be."""
    names = [*NAMES, "a" * 501]
    draw(path, BAR, pl.DataFrame({"name": names, "n": range(len(names)), "of": [""] * len(names)}))
    svg = shown(path)
    assert "(none)" in svg and "$x_{$" in svg and "_under" in svg
    assert svg.count("<!-- " + "a" * (LONGEST - 1)) == 2


def test_a_bar_has_its_parts_and_the_largest_come_first(path: Path) -> None:
    draw(path, BAR, pl.DataFrame({"name": ["Acme"] * 2, "n": [1, 2], "of": ["first", "last"]}))
    svg = shown(path)
    assert 0 < svg.index("<!-- Acme last -->") < svg.index("<!-- Acme first -->")


def test_lines_have_any_name_and_are_named_in_order(path: Path) -> None:
    frame = pl.DataFrame(
        {"t": [1, 2] * len(NAMES), "n": range(2 * len(NAMES)), "brand": [name for name in NAMES for _ in "12"]}
    )
    draw(path, LINE, frame)
    svg = shown(path)
    assert all(f"<!-- {name} -->" in svg for name in ("(none)", "$x_{$", " _under")), svg.count("<!--")
    assert svg.index("<!-- $x_{$ -->") < svg.index("<!-- (none) -->")


def test_what_is_unknown_is_no_point(path: Path) -> None:
    numbers = [None, float("nan"), float("inf"), 1e308, -1e308]
    for several in (numbers, [*numbers, 1]):
        draw(path, LINE, pl.DataFrame({"t": range(len(several)), "n": several, "brand": ["a"] * len(several)}, strict=False))
        assert "<svg" in shown(path)


@pytest.mark.parametrize("query", [LINE, BAR])
def test_characters_that_no_file_may_hold_are_not_in_it(path: Path, query: NamedQuery) -> None:
    """A handle may have any: a browser showed an error instead of the picture."""
    names = ["a\x1b[31m", "a\0", "a\nb", "\ufffe", "b-->"]
    draw(path, query, pl.DataFrame({"t": 1, "n": range(5), "brand": names, "name": names, "of": ""}))
    ElementTree.parse(path)


def test_of_many_the_largest_are_shown_and_it_says_so(path: Path) -> None:
    draw(path, BAR, pl.DataFrame({"name": [f"n{each}" for each in range(20)], "n": range(20), "of": [""] * 20}))
    svg = shown(path)
    assert "the largest 12 of 20" in svg and "<!-- n19 -->" in svg and "<!-- n7 -->" not in svg


def test_what_can_not_be_added_up_is_another_bar_or_line(path: Path) -> None:
    """The same handle on two platforms; a panel that came back in the same period."""
    accounts = {"handle": ["ines"] * 2, "influence": [2.0, 3.0], "platform": ["reddit", "twitter"], "role": [""] * 2}
    draw(path, named_queries()["influence"], pl.DataFrame(accounts))
    assert "<!-- ines reddit -->" in shown(path) and "<!-- ines twitter -->" in shown(path)
    begins = [datetime(2026, 11, 1, tzinfo=UTC)] * 2
    shares = {"begins": begins, "percent": [60.0, 70.0], "brand": ["A"] * 2, "panel": ["A, B"] * 2, "version": [1, 3]}
    draw(path, named_queries()["share_of_voice"], pl.DataFrame(shares))
    assert "<!-- A A, B 1 -->" in shown(path) and "<!-- A A, B 3 -->" in shown(path)
