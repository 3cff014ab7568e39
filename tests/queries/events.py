"""Rows of `interactions` for the named queries' tests: many, with old versions and deleted ones, over both days on which clocks
change; and what counts of them, by Polars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.dictionary import reload_sql
from pipeline.clickhouse.query import READ
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import Span, quarter_of
from schemas.identity import account_key
from schemas.times import TIME

START, END = datetime(2025, 3, 27, tzinfo=UTC), datetime(2025, 11, 5, tzinfo=UTC)
MIDDLE = datetime(2025, 10, 26, tzinfo=UTC)
KINDS = (
    "post",
    "post",
    "comment",
    "review",
    "visit",
    "follow",
    "like",
    "repost",
    "reply",
    "answer",
    "message",
    "order",
    "idea",
)
SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}


@cache
def events(count: int, seed: int = 7) -> pl.DataFrame:
    """`count` rows of as many events less a tenth: the others are a second version or a deletion. Half of them lie within two
    days of a change of clocks."""
    random = np.random.default_rng(seed)
    span_ms = int((END - START) / timedelta(milliseconds=1))
    near = np.array(["2025-03-29", "2025-10-25"], dtype="datetime64[ms]")
    anywhere = np.datetime64(START.replace(tzinfo=None), "ms") + random.integers(0, span_ms, count)
    changing = near[random.integers(0, 2, count)] + random.integers(0, 2 * 86_400_000, count)
    created = np.where(random.random(count) < 0.5, anywhere, changing)
    labels = np.array(["negative", "neutral", "positive", ""])[random.integers(0, 4, count)]
    lists = [[], ["Acme"], ["Acme"], ["Bé's"], ["Acme", 'Co "x"'], ["Dune", "Bé's"], ["Dune"]]
    share = random.random((count, 2)) / 2
    texts = _texts(random, created >= np.datetime64(MIDDLE.replace(tzinfo=None), "ms"))
    frame = pl.DataFrame(
        {
            "event_key": np.arange(1, count + 1, dtype=np.uint64),
            "version": np.ones(count, dtype=np.uint64),
            "is_deleted": np.zeros(count, dtype=np.uint8),
            "id": np.arange(count).astype(str),
            "platform": np.array(["twitter", "forum", "reviews"])[random.integers(0, 3, count)],
            "kind": np.array(KINDS)[random.integers(0, len(KINDS), count)],
            "text": texts,
            "hashtags": [[f"Tag{each}"] if each < 5 else [] for each in random.integers(0, 9, count)],
            "urls": [[f"https://x.example/{each}?a=1"] if each < 3 else [] for each in random.integers(0, 9, count)],
            "in_reply_to": np.where(random.random(count) < 0.4, (random.zipf(1.4, count) % 2_000).astype(str), ""),
            "source_name": np.array(["one", "two"])[random.integers(0, 2, count)],
            "direction": np.array(["inbound", "outbound", ""])[random.integers(0, 3, count)],
            "visibility": np.array(["public", "private"])[random.integers(0, 2, count)],
            "created_at": created,
            "author_id": (random.zipf(1.6, count) % 3000).astype(str),
            "author_kind": np.array(["person", "bot", "staff"])[
                np.minimum(random.integers(0, 12, count) // 10 * random.integers(0, 3, count), 2)
            ],
            "author_followers": random.integers(-5, 100_000, count),
            "metrics_likes": random.integers(-1, 50, count),
            "metrics_shares": random.integers(0, 9, count),
            "metrics_replies": random.integers(0, 5, count),
            "rating": np.where(random.random(count) < 0.3, random.integers(1, 6, count).astype(float), np.nan),
            "brands": [lists[each] for each in random.integers(0, len(lists), count)],
            "language": np.array(["de", "en", ""])[random.integers(0, 3, count)],
            "sentiment_language": np.array(["de", ""])[random.integers(0, 2, count)],
            "sentiment_label": labels,
            "sentiment_negative": np.where(labels == "", np.nan, share[:, 0]),
            "sentiment_positive": np.where(labels == "", np.nan, share[:, 1]),
            "sentiment_status": np.where(labels == "", "", "labelled"),
        }
    ).with_columns(
        pl.col("created_at").cast(TIME),
        pl.col("rating").fill_nan(None),
        pl.col("sentiment_negative", "sentiment_positive").fill_nan(None).cast(pl.Float32),
    )
    again = frame.slice(0, count // 10).with_columns(
        version=pl.lit(2, pl.UInt64),
        is_deleted=(pl.col("event_key") % 3 == 0).cast(pl.UInt8),
        sentiment_label=pl.lit("neutral"),
        metrics_likes=pl.col("metrics_likes") + 7,
    )
    return pl.concat([frame.slice(0, count - count // 10), again])


def _texts(random: np.random.Generator, late: npt.NDArray[np.bool_]) -> list[str]:
    """Words by Zipf; from MIDDLE on others are said more often, too."""
    words = [f"{'Wort' if n % 3 else 'ÖRTER'}{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}" for n in range(400)]
    picked = random.zipf(1.3, (len(late), 6)) % 400
    shifted = np.where((random.random(picked.shape) < 0.2) & late[:, None], picked % 40 + 300, picked)
    return [" ".join(words[each] for each in row) + " @name https://x.example/wortaa acme" for row in shifted]


def link(client: Client, rows: pl.DataFrame) -> pl.DataFrame:
    """Makes accounts of different platforms with one number below 500 one customer; the rows with profile and customer."""
    accounts = rows.select("platform", "author_id").unique()
    keys = [account_key(*each) for each in accounts.iter_rows()]
    linked = accounts.with_columns(profile=pl.Series(keys, dtype=pl.UInt64)).with_columns(
        customer=pl.when(pl.col("author_id").cast(pl.Int64) < 500)
        .then(pl.col("profile").min().over("author_id"))
        .otherwise("profile")
    )
    moved = linked.filter(pl.col("profile") != pl.col("customer")).select("profile", "customer", sequence=pl.lit(1, pl.UInt64))
    client.insert_arrow("assignments", moved.to_arrow())
    client.command(reload_sql("customer_of"))
    return rows.join(linked, on=["platform", "author_id"])


def land(client: Client, rows: pl.DataFrame) -> None:
    """Into `interactions`, and from there into `quarters`."""
    client.insert_arrow("interactions", rows.to_arrow())
    quarters = Quarters().rebuild([Span(quarter_of(START), quarter_of(END))], 1)
    client.command(quarters, settings=SETTINGS)


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """The newest version of each event that is not deleted."""
    return rows.sort("version").unique("event_key", keep="last").filter(pl.col("is_deleted") == 0)


def counted(rows: pl.DataFrame) -> pl.DataFrame:
    """The same, once for each of its brands."""
    return (
        newest(rows)
        .filter(pl.col("brands").list.len() > 0)
        .explode("brands")
        .rename({"brands": "brand"})
        .with_columns(
            inbound=pl.col("direction") != "outbound",
            language=pl.when(pl.col("sentiment_language") != "").then("sentiment_language").otherwise("language"),
        )
    )


def begins(zone: str, period: str, start: datetime) -> pl.Expr:
    """The beginning of the period in which the event was created, UTC."""
    if period == "all":
        return pl.lit(start).cast(TIME).alias("begins")
    every = {"quarter-hour": "15m", "hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}[period]
    local = pl.col("created_at").dt.convert_time_zone(zone).dt.truncate(every)
    return local.dt.convert_time_zone("UTC").alias("begins")
