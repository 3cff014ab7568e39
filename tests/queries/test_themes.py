"""Query themes equals the log-odds of the words that explain alerts, over the same texts; of many it reads a sample."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ, frame
from pipeline.config.settings import ClickHouseSettings
from pipeline.processors.alerts.explain import PRIOR, significant_words
from schemas.queries import named_queries
from tests.queries.events import END, MIDDLE, events, land, newest
from tests.support.queries import asked, called

COUNT = 60_000


@cache
def read_rows() -> pl.DataFrame:
    return newest(events(COUNT)).filter(
        pl.col("direction") != "outbound",
        pl.col("visibility") != "private",
        pl.col("kind") != "message",
        pl.col("brands").list.len() > 0,
        pl.col("created_at") >= MIDDLE - (END - MIDDLE),
        pl.col("created_at") < END,
    )


@pytest.fixture(scope="module")
def client(module_database: ClickHouseSettings) -> Iterator[Client]:
    with clickhouse_client(module_database) as client:
        land(client, events(COUNT))
        yield client


def themes(client: Client, **given: str | list[str]) -> pl.DataFrame:
    query = named_queries()["themes"]
    span: dict[str, str | list[str]] = {"from": f"{MIDDLE:%Y-%m-%d}", "to": f"{END:%Y-%m-%d}", "limit": "1000"}
    return frame(client, f"SELECT * FROM {called(query, asked(query, **(span | given)))}", {}, {})


def test_terms_rise_as_in_the_explanation_of_an_alert(client: Client) -> None:
    rows = read_rows().filter(pl.col("brands").list.contains("Acme"))
    late, early = (rows.filter((pl.col("created_at") >= MIDDLE) == side).get_column("text") for side in (True, False))
    words = significant_words(late, early)
    found = themes(client, brand=["Acme"])
    assert set(found.get_column("sample")) == {1}
    assert sorted(found.get_column("theme")) == sorted(words) and len(words) > 5
    here, there = (Counter(word for text in texts for word in _words(text)) for texts in (late, early))
    for theme, mentions, before, z, _ in found.iter_rows():
        assert (mentions, before) == (here[theme], there[theme])
        assert math.isclose(z, _z(mentions, before, here.total(), there.total()), rel_tol=1e-9)
    assert found.get_column("z").is_sorted(descending=True)
    assert themes(client, brand=["Acme", words[0]]).height == len(words) - 1, "a brand's own name is no theme"


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{3,}", re.sub(r"https?://\S+|@\w+", " ", text.lower())))


def _z(here: int, there: int, all_here: int, all_there: int) -> float:
    prior = PRIOR * (here + there) / (all_here + all_there)
    odds = [(n + prior) / (1 + all_ + PRIOR - n - prior) for n, all_ in ((here, all_here), (there, all_there))]
    return (math.log(odds[0]) - math.log(odds[1])) / math.sqrt(1 / (here + prior) + 1 / (there + prior))


@pytest.mark.parametrize(("of", "column"), [("hashtag", "hashtags"), ("link", "urls")])
def test_hashtags_and_links(client: Client, of: str, column: str) -> None:
    found = themes(client, brand=["Acme"], of=of)
    late = read_rows().filter(pl.col("brands").list.contains("Acme"), pl.col("created_at") >= MIDDLE)
    counts = Counter(each.lower().partition("?")[0] for each in late.explode(column).get_column(column).drop_nulls())
    assert all(mentions == counts[theme] for theme, mentions, *_ in found.iter_rows())


def test_of_many_a_sample_by_the_hash_is_read(client: Client) -> None:
    """Table quarters says how many there are: here more than there are rows."""
    whole = themes(client, brand=["Dune"])
    client.command(
        "INSERT INTO quarters (brand, quarter, platform, mentions, version) "
        f"VALUES ('Dune', toDateTime('{MIDDLE:%Y-%m-%d} 10:00:00', 'UTC'), 'elsewhere', 50000, 2)"
    )
    found = themes(client, brand=["Dune"])
    assert (set(whole.get_column("sample")), set(found.get_column("sample"))) == ({1}, {2})
    rows = read_rows().filter(pl.col("brands").list.contains("Dune"), pl.col("event_key") % 2 == 0)
    here = Counter(word for text in rows.filter(pl.col("created_at") >= MIDDLE).get_column("text") for word in _words(text))
    assert found.height > 0 and all(mentions == here[theme] for theme, mentions, *_ in found.iter_rows())


def test_of_very_many_some_hours_are_read(client: Client) -> None:
    """The query with another number for very many."""
    query = named_queries()["themes"]
    span: dict[str, str | list[str]] = {"from": f"{MIDDLE:%Y-%m-%d}", "to": f"{END:%Y-%m-%d}", "limit": "1000"}
    found = frame(client, query.sql.replace("1000000", "4000"), asked(query, brand=["Acme"], **span), READ)
    (sample,) = set(found.get_column("sample"))
    hour = pl.col("created_at").dt.epoch("s") // 3600
    numbers = read_rows().select(hour.unique()).to_series().to_list()
    chosen = f"SELECT number FROM (SELECT toUInt32(arrayJoin({numbers})) AS number) WHERE sipHash64(number) % {sample} = 0"
    hours = [row[0] for row in client.query(chosen).result_rows]
    rows = read_rows().filter(pl.col("brands").list.contains("Acme"), hour.is_in(hours))
    assert sample > 2 and 0 < len(hours) < len(numbers) / 2
    here = Counter(word for text in rows.filter(pl.col("created_at") >= MIDDLE).get_column("text") for word in _words(text))
    assert found.height > 0 and all(mentions == here[theme] for theme, mentions, *_ in found.iter_rows())
