"""Table quarters equals an independent count, whatever happened to the rows; a difference is found by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from polars.testing import assert_frame_equal

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ, frame
from pipeline.config.settings import Settings
from pipeline.control.rollups import SETTINGS as OF_JOB
from pipeline.rollups.kept import ALL, MARGIN_S, Kept
from pipeline.rollups.quarters import KEY, Quarters
from pipeline.rollups.rollup import QUARTER_S, Span, quarter_of, spans_of, start_of, within
from pipeline.rollups.table import ENDS_S, Table
from pipeline.rollups.versions import Versions
from tests.support.worker import wait_for

START = datetime(2026, 9, 30, 23, 40, tzinfo=UTC)
COLUMNS = (
    "event_key", "version", "is_deleted", "platform", "created_at", "direction", "visibility", "author_kind", "author_id",
    "author_followers", "metrics_likes", "metrics_shares", "metrics_replies", "rating", "brands", "language",
    "sentiment_language", "sentiment_label", "sentiment_negative", "sentiment_positive",
)  # fmt: skip
SUMS = (
    "mentions", "ours", "private", "bots", "negative", "neutral", "positive", "score", "engagement", "reach", "ratings",
    "stars",
)  # fmt: skip
SPANS = [Span(quarter_of(START), quarter_of(START + timedelta(hours=2)))]
SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def row(key: int, version: int = 1, **more: Any) -> dict[str, Any]:
    """A minute apart, over the end of a month; every value comes in every group."""
    label = ("negative", "neutral", "positive", "")[key % 4]
    values = (
        key, version, 0, "xyz"[key % 3], START + timedelta(minutes=key % 100, seconds=key % 60),
        ("inbound", "outbound", "")[key % 7 % 3], ("public", "private")[key % 5 == 0], ("person", "bot")[key % 11 == 0],
        f"author {key % 13}" if key % 6 else "", (None, -5, 10**6)[key % 3], key % 8, (None, -1, 3)[key % 3], 1,
        (None, 4.5)[key % 2], (["Acme"], ["Acme", "Other"], [])[key % 17 % 3], "de", ("", "en")[key % 4 < 2], label,
        0.1 * (key % 7) if label else None, 0.3 if label else None,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True)) | more


def insert(client: Client, *rows: dict[str, Any]) -> None:
    client.insert("interactions", [list(each.values()) for each in rows], COLUMNS)


def rebuild(client: Client, version: int, spans: list[Span] = SPANS) -> None:
    client.command(Quarters().rebuild(spans, version), settings=SETTINGS)


def table_of(client: Client) -> Table:
    """The table as the job has it."""

    def write(statement: str) -> None:
        client.command(statement, settings=OF_JOB)

    return Table(Quarters(), write, lambda sql, more: frame(client, sql, {}, OF_JOB), Versions(1))


def differences(client: Client) -> list[tuple[str, int]]:
    rows = client.query(Quarters().differences(SPANS), settings=SETTINGS).result_rows
    return [(f"{day}", differing) for day, differing in rows]


def stored(client: Client) -> pl.DataFrame:
    sums = ", ".join(f"sum(q.{name}) AS {name}" for name in SUMS)
    sql = (
        f"SELECT brand, toDateTime64(q.quarter, 3, 'UTC') AS quarter, platform, language, {sums}, "
        "uniqExactMerge(q.authors) AS authors FROM quarters AS q FINAL GROUP BY brand, q.quarter, platform, language"
    )
    return frame(client, sql, {}, SETTINGS).sort(KEY)


def parts(client: Client, quarter: int) -> list[int]:
    sql = f"SELECT DISTINCT part FROM quarters FINAL WHERE quarter = toDateTime({quarter * QUARTER_S}, 'UTC') ORDER BY part"
    return [part for (part,) in client.query(sql).result_rows]


def counted(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """The same by Polars, from the newest rows."""
    alive, labelled = pl.col("alive"), pl.col("alive") & (pl.col("sentiment_label") != "")
    platform_author = pl.concat_str("platform", "author_id")
    positive = [pl.col(name).fill_null(0).clip(0) for name in COLUMNS[10:13]]
    return (
        pl.DataFrame(rows, infer_schema_length=None)
        .filter(pl.col("is_deleted") == 0)
        .with_columns(
            brand=pl.when(pl.col("brands").list.len() > 0).then("brands").otherwise([""]),
            quarter=pl.col("created_at").dt.truncate("15m"),
            language=pl.when(pl.col("sentiment_language") != "").then("sentiment_language").otherwise("language"),
            alive=pl.col("direction") != "outbound",
            score=(pl.col("sentiment_positive") - pl.col("sentiment_negative")),
        )
        .explode("brand")
        .group_by(KEY)
        .agg(
            mentions=alive.sum(),
            ours=(~alive).sum(),
            private=(alive & (pl.col("visibility") == "private")).sum(),
            bots=(alive & (pl.col("author_kind") == "bot")).sum(),
            **{label: (alive & (pl.col("sentiment_label") == label)).sum() for label in ("negative", "neutral", "positive")},
            score=pl.col("score").filter(labelled).sum(),
            engagement=pl.sum_horizontal(positive).filter(alive).sum(),
            reach=pl.col("author_followers").fill_null(0).clip(0).filter(alive).sum(),
            ratings=pl.col("rating").filter(alive).count(),
            stars=pl.col("rating").filter(alive).sum(),
            authors=platform_author.filter(alive & (pl.col("author_id") != "")).n_unique(),
        )
        .sort(KEY)
    )


def same(client: Client, rows: list[dict[str, Any]]) -> None:
    """Probabilities are stored as Float32."""
    expected = counted(rows)
    found = stored(client).select(pl.col(name).cast(kind) for name, kind in expected.schema.items())
    assert_frame_equal(found, expected, abs_tol=1e-6)


def test_it_equals_what_is_counted_after_edits_deletes_and_labels(client: Client) -> None:
    rows = {key: row(key) for key in range(600)}
    insert(client, *rows.values())
    rebuild(client, 1)
    same(client, list(rows.values()))
    assert differences(client) == [] and stored(client).height > 50

    changes = [
        *(row(key, 2, brands=["Other"]) for key in range(0, 600, 3)),
        *(row(key, 2, is_deleted=1) for key in range(1, 600, 3)),
        *(row(key, 2, sentiment_label="negative", sentiment_language="fr") for key in range(2, 600, 9)),
    ]
    insert(client, *changes)
    rows |= {each["event_key"]: each for each in changes}
    assert [day for day, _ in differences(client)] == ["2026-09-30", "2026-10-01"]
    rebuild(client, 3, spans_of(range(SPANS[0].first, SPANS[0].last, 2)))
    assert differences(client), "every second quarter is as it was"
    rebuild(client, 2)
    rebuild(client, 4)
    rebuild(client, 4)
    same(client, list(rows.values()))
    assert differences(client) == []

    client.command(
        "INSERT INTO interactions (event_key, version, is_deleted, platform, created_at) "
        "SELECT event_key, 9, 1, platform, created_at FROM interactions FINAL"
    )
    rebuild(client, 5)
    assert stored(client).is_empty() and differences(client) == []


def test_a_running_quarter_is_made_by_minutes_and_at_last_as_a_whole(client: Client) -> None:
    """Rows are counted once, whichever statement ends last."""
    rows = {key: row(key) for key in range(600)}
    insert(client, *rows.values())
    rebuild(client, 1)
    running = SPANS[0].first + 2
    begin = Quarters().rebuild_minutes(range(running * 15, running * 15 + 15), [running], 2)
    for _ in range(2):
        client.command(begin, settings=SETTINGS)
        same(client, list(rows.values()))
        rebuild(client, 1)  # it began before, and ends after
    same(client, list(rows.values()))
    assert parts(client, running) == list(range(1, 16)) and parts(client, running + 1) == [0]

    minutes = [running * 15 + 4, running * 15 + 11]
    inside = [key for key, each in rows.items() if int(each["created_at"].timestamp()) // 60 in minutes]
    changes = [row(key, 2, **({"is_deleted": 1} if key % 2 else {"brands": ["New"]})) for key in inside]
    insert(client, *changes)
    rows |= {each["event_key"]: each for each in changes}
    assert len(inside) == 12 and differences(client)
    for _ in range(2):
        client.command(Quarters().rebuild_minutes(minutes, [], 3), settings=SETTINGS)
    same(client, list(rows.values()))
    assert differences(client) == []

    for version in (4, 5):
        client.command(Quarters().add_up([Span(running, running)], version), settings=SETTINGS)
        same(client, list(rows.values()))
        assert parts(client, running) == [0] and differences(client) == []

    client.command(Quarters().rebuild_minutes(range(running * 15, running * 15 + 15), [running], 6), settings=SETTINGS)
    rebuild(client, 7, [Span(running, running)])
    same(client, list(rows.values()))
    assert parts(client, running) == [0] and differences(client) == []


def test_a_mark_goes_after_what_it_hides(client: Client) -> None:
    """ClickHouse deletes part by part. Of a quarter that was made whole the marks went first, where their part was the smaller
    one: until the other part was done its minutes counted, too."""
    insert(client, *(row(key) for key in range(600)))
    running = SPANS[0].first + 2
    client.command("SYSTEM STOP MERGES quarters")
    client.command(Quarters().rebuild_minutes(range(running * 15, running * 15 + 15), [running], 1), settings=SETTINGS)
    rebuild(client, 2, [Span(running, running)])
    table = table_of(client)

    def left() -> tuple[int, int]:
        """Rows by minutes that count without their marks, and marks; once nothing is deleted any more."""
        client.command("SYSTEM START MERGES quarters")
        busy = "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND NOT is_done"
        wait_for("what is deleted goes", lambda: client.command(busy) == 0)
        client.command("SYSTEM STOP MERGES quarters")
        counts = client.query("SELECT countIf(NOT is_deleted), countIf(is_deleted) FROM quarters WHERE part > 0")
        ((hidden, marks),) = counts.result_rows
        return hidden, marks

    def tidy() -> None:
        table._tidy_at = 0.0
        assert table.tidy([running + 1]) is not None and not table.failure

    before = stored(client)
    tidy()
    hidden, marks = left()
    assert hidden and marks > 50, "it is to be made anew first"
    assert table.older([running + 1]) is not None and not len(table.waiting)
    tidy()
    hidden, marks = left()
    assert hidden == 0 and marks > 50
    tidy()
    assert left() == (0, 0) and not len(table.waiting)
    assert_frame_equal(stored(client), before)
    client.command("SYSTEM START MERGES quarters")


def test_what_a_killed_control_writes_late_does_not_stay(client: Client) -> None:
    """Its statement ran on for a minute at most. The next control had made the quarter whole by then, without the minutes that
    came later: they counted a second time, until the next hour. Of a conversation that was opened anew nothing took the one of
    before away."""
    now, first = [START.timestamp() + 900], SPANS[0].first
    rows = [row(key) for key in range(600)]
    insert(client, *rows)
    rebuild(client, 1, [Span(first + 1, SPANS[0].last)])
    client.command("CREATE TABLE late AS quarters")
    late = Quarters().rebuild_minutes(range(first * 15, first * 15 + 15), [first], 1)
    client.command(late.replace("INSERT INTO quarters", "INSERT INTO late"), settings=SETTINGS)
    table = table_of(client)
    table._clock = lambda: now[0]
    table.others_end_at = now[0] + ENDS_S
    table.waiting.touch(first, 7, now[0] - 20)
    assert table.older(()) is not None and table.waiting.since(lambda _: True) is None
    same(client, rows)
    client.command("INSERT INTO quarters SELECT * FROM late", settings=SETTINGS)
    client.command("DROP TABLE late")
    assert differences(client)

    assert table.older(()) is None and table.waiting.offset() == 7, "another control would make it anew"
    now[0] += ENDS_S
    assert table.older(()) is not None and not len(table.waiting)
    same(client, rows)


@pytest.mark.parametrize(
    "change",
    [
        "(SELECT uniqExactState(toUInt64(number)) FROM numbers(9)) AS authors",
        "score + 0.00001 AS score",
        "mentions + 1 AS mentions",
        "'Gone' AS brand",
    ],
)
def test_what_is_not_as_it_should_be_is_found_and_mended(client: Client, change: str) -> None:
    insert(client, *(row(key, brands=["Acme"]) for key in range(60)))
    rebuild(client, 1)
    wrong = f"SELECT * REPLACE ({change}, 2 AS version, 0 AS is_deleted) FROM quarters FINAL ORDER BY {', '.join(KEY)} LIMIT 1"
    client.command(f"INSERT INTO quarters {wrong}", settings=SETTINGS)
    assert differences(client) == [("2026-09-30", 1)]
    rebuild(client, 3)
    assert differences(client) == []


def test_quarters_become_spans_and_a_condition() -> None:
    assert spans_of([7, 3, 4, 3]) == [Span(3, 4), Span(7, 7)]
    assert start_of(quarter_of(START)) == START.replace(minute=30) and spans_of([]) == []
    assert within("at", [Span(1, 2)]) == "((at >= toDateTime(900, 'UTC') AND at < toDateTime(2700, 'UTC')))"


def test_what_is_gone_by_its_age_stays_counted(client: Client) -> None:
    """A week on, rows of platform x go after three days and others after nine; the table has been told of all."""
    insert(client, *(row(key) for key in range(600)))
    rebuild(client, 1)
    before = stored(client)
    kept = Kept(9, {"x": 3}, lambda: (START + timedelta(days=7)).timestamp())
    client.command("ALTER TABLE interactions DELETE WHERE platform = 'x' AND event_key % 2 = 0 SETTINGS mutations_sync = 1")
    insert(client, *(row(key, 2, brands=["Late"]) for key in range(600)))
    client.command(Quarters().rebuild(SPANS, 2), settings=SETTINGS | kept.settings())
    of_x = pl.col("platform") == "x"
    assert_frame_equal(stored(client).filter(of_x), before.filter(of_x))
    assert stored(client).filter(~of_x).get_column("brand").unique().to_list() == ["Late"]
    differing = Quarters().differences(SPANS)
    assert client.query(differing, settings=SETTINGS | kept.settings()).result_rows == []
    assert client.query(differing, settings=SETTINGS).result_rows, "as they are if nothing is gone"

    older = Kept(6, {}, kept.clock)
    client.command(Quarters().rebuild(SPANS, 3), settings=SETTINGS | older.settings())
    assert_frame_equal(stored(client).filter(of_x), before.filter(of_x))
    assert client.query(differing, settings=SETTINGS | older.settings()).result_rows == []


def test_a_quarter_is_kept_until_its_first_row_may_go() -> None:
    at = START.replace(minute=45)  # a quarter begins
    for seconds, first in ((0, 0), (1, 1), (900, 1)):
        now = (at + timedelta(days=1, seconds=seconds - MARGIN_S)).timestamp()
        kept = Kept(1, {}, partial(float, now))
        assert kept.gone("at") == f"((at < toDateTime({(quarter_of(at) + first) * 900}, 'UTC')))"
    both = Kept(2, {"x": 1, "it's": 3}, lambda: 86_400.0 * 9 - MARGIN_S).gone("at")
    assert both == (
        "((platform = 'it\\'s' AND at < toDateTime(518400, 'UTC')) OR (platform = 'x' AND at < toDateTime(691200, 'UTC')) "
        "OR (platform NOT IN ('it\\'s', 'x') AND at < toDateTime(604800, 'UTC')))"
    )
    assert ALL.gone("at") == "" and ALL.settings() == {}
