"""Page Record: every act, narrowed down, as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from schemas.acts import COLUMNS, Act
from tests.support.console import Browser
from tests.support.console_rows import asked_again, now

EVIL = "<script>alert(1)</script>\u202e"


def acts(settings: Settings, *rows: Act) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        client.command("TRUNCATE TABLE acts")
        client.insert("acts", [each.row() for each in rows], column_names=COLUMNS)


@pytest.fixture
def filled(ines: Browser, emptied: Settings) -> Iterator[Browser]:
    """Ines logged in; three acts are on record, the oldest first."""
    at = now()
    acts(
        emptied,
        Act("lars", "api", "silence", "Acme", "=1+1", at=at - timedelta(days=3), id=1),
        Act(
            "root", "command line", "replay dead letters", EVIL, outcome="ClickHouse is away", at=at - timedelta(hours=2), id=2
        ),
        Act("ines", "console", "acknowledge", "00aa", EVIL, {"state": "firing"}, {"state": "acknowledged"}, at=at, id=3),
    )
    yield ines


def shown(page: str) -> list[str]:
    """What was done, row by row."""
    body = re.search(r'<table class="acts-table">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    known = ("silence", "replay dead letters", "acknowledge")
    return [next(act for act in known if f">{act}<" in row) for row in body[1].split("<tr>")[1:]] if body else []


def test_the_last_act_comes_first_with_what_came_of_it(filled: Browser) -> None:
    page = filled.get("/record").text
    assert shown(page) == ["acknowledge", "replay dead letters", "silence"]
    assert "away" in page and "not done" in page and "&#34;acknowledged&#34;" in page
    assert "<script>alert" not in page and "\u202e" not in page


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("actor=lars", ["silence"]),
        ("act=acknowledge", ["acknowledge"]),
        ("way=command+line", ["replay dead letters"]),
        ("subject=cm", ["silence"]),
        ("from=1d", ["acknowledge", "replay dead letters"]),
        ("from=4h&to=1h", ["replay dead letters"]),
        ("actor=nobody", []),
        ("actor=lars&way=console", []),
    ],
)
def test_it_is_narrowed_down_by_person_act_way_subject_and_time(filled: Browser, query: str, left: list[str]) -> None:
    assert shown(filled.get(f"/record?{query}").text) == left


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("from=0001-01-01", "should look like 2026-11-01"),
        ("to=9999-12-31T23:59:59-23:00", "should look like"),
        ("from=yesterday", "should look like"),
        ("way=fax", "it is one of console, api, command line"),
        ("from=1h&to=2h", "from is not before to"),
        ("from=2099-01-01", "from has still to come"),
        ("from=" + "9" * 1_000 + "d", "should look like"),
    ],
)
def test_a_filter_that_is_none_is_said_and_kept(filled: Browser, query: str, problem: str) -> None:
    answer = filled.get(f"/record?{query}")
    assert answer.status_code == 400 and problem in answer.text
    assert shown(answer.text) == [] and "Nobody has done anything" not in answer.text
    assert filled.get(f"/record.csv?{query}").status_code == 400
    if query == "from=yesterday":
        assert 'name="from" maxlength="40" value="yesterday"' in answer.text


def test_the_query_that_it_shows_gives_what_it_shows(filled: Browser, emptied: Settings) -> None:
    (rows,) = asked_again(emptied, filled.get("/record?from=1d").text, "console")
    assert [row[3] for row in rows] == ["acknowledge", "replay dead letters"]


def test_as_csv_no_cell_is_a_formula(filled: Browser) -> None:
    answer = filled.get("/record.csv?actor=lars")
    assert answer.headers["content-disposition"] == 'attachment; filename="acts.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["actor"], row["way"], row["comment"], row["outcome"]) == ("lars", "api", "'=1+1", "done")
    assert len(list(csv.DictReader(io.StringIO(filled.get("/record.csv").text)))) == 3


def test_older_acts_are_a_page_away(ines: Browser, emptied: Settings) -> None:
    at = now()
    acts(emptied, *(Act("ines", "api", "acknowledge", f"n{n}.", at=at - timedelta(minutes=n), id=n + 1) for n in range(130)))
    page = ines.get("/record").text
    assert "n0." in page and "n99." in page and "n100." not in page
    older = re.search(r'href="(/record\?to=[^"]+)">Before these', page)
    assert older
    second = ines.get(older[1].replace("&amp;", "&")).text
    assert "n129." in second and "n98." not in second and "Before these" not in second


def test_an_empty_record_says_so(ines: Browser, emptied: Settings) -> None:
    acts(emptied)
    assert "Nobody has done anything yet." in ines.get("/record").text
