"""Counts of mentions, by scope and minute, from ClickHouse.

Rules that count alike share a slice: its dimensions, platforms and languages. Counts are read, never added up: a touched minute
is read again as a whole (ring.py).

Cost: a query reads the rows of the touched minutes, and answers a row a scope and minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.clickhouse.row_versions import quoted
from pipeline.processors.alerts.minutes import MINUTE_S
from schemas.alerts import Scope
from schemas.inbound import INBOUND_SQL

FEW = 20
_NUMBERS = {"followers": "author_followers", "likes": "metrics_likes", "shares": "metrics_shares", "replies": "metrics_replies"}
_SQL = {
    "count": "count()",
    "labelled": "countIf(sentiment_status = 'labelled')",
    "waiting": "countIf(sentiment_status = 'deferred')",
    "negative": "countIf(sentiment_label = 'negative')",
    "neutral": "countIf(sentiment_label = 'neutral')",
    "positive": "countIf(sentiment_label = 'positive')",
    "score": "sum(ifNull(sentiment_positive - sentiment_negative, 0))",
    **{name: f"sum(ifNull({column}, 0))" for name, column in _NUMBERS.items()},
    **{f"{name}_known": f"count({column})" for name, column in _NUMBERS.items()},
}
MEASURES = tuple(_SQL)
INDEX = {name: index for index, name in enumerate(MEASURES)}
LANGUAGE = "if(sentiment_language != '', sentiment_language, language)"

Values = npt.NDArray[np.float64]


class Slice(NamedTuple):
    """The dimensions of its counts, and the platforms and languages that it is limited to (none: all)."""

    by: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def dimensions(self) -> set[str]:
        return {*self.by, *(["platform"] if self.platforms else []), *(["language"] if self.languages else [])}

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of the slice, with columns brand, platform and language, blank where the slice does not distinguish them."""
        if self.platforms:
            frame = frame.filter(pl.col("platform").is_in(self.platforms))
        if self.languages:
            frame = frame.filter(pl.col("language").is_in(self.languages))
        return frame.with_columns(pl.lit("").alias(name) for name in ("platform", "language") if name not in self.by)


def read_sql(dimensions: Iterable[str], minutes: Iterable[int], brands: Sequence[str] | None) -> str:
    """Rows for `Ring.put`: brand, platform, language (blank where no rule distinguishes them), minute and MEASURES."""
    starts = ",".join(f"toDateTime({minute * MINUTE_S}, 'UTC')" for minute in sorted(minutes))
    return _select(dimensions, MINUTE_S, f"toStartOfMinute(created_at) IN ({starts})", brands, _SQL)


def history_sql(dimensions: Iterable[str], step_s: int, first: int, last: int) -> str:
    """Of the steps `first` to `last`, both included: brand, platform, language, minute (here: the number of the step of
    `step_s`), count, negative, labelled, and `live`: the events that landed within an hour."""
    measures = {name: _SQL[name] for name in ("count", "negative", "labelled")}
    measures["live"] = "countIf(ingested_at < created_at + INTERVAL 1 HOUR)"
    return _select(dimensions, step_s, _between(step_s, first, last), None, measures)


def oldest_sql(step_s: int, first: int, last: int) -> str:
    """minute: the step of the oldest row in the steps `first` to `last`, both included; no row if there is none. ClickHouse
    reads the beginnings of parts alone."""
    return (
        f"SELECT toInt64(intDiv(toUnixTimestamp(created_at), {step_s})) AS minute FROM interactions "
        f"WHERE {_between(step_s, first, last)} ORDER BY toStartOfMinute(created_at) LIMIT 1"
    )


def minutes_sql(dimensions: Iterable[str], first: int, last: int) -> str:
    """As `read_sql`, of all brands in the minutes `first` to `last`, both included."""
    return _select(dimensions, MINUTE_S, _between(MINUTE_S, first, last), None, _SQL)


def _between(step_s: int, first: int, last: int) -> str:
    return (
        f"toStartOfMinute(created_at) >= toDateTime({first * step_s}, 'UTC') "
        f"AND toStartOfMinute(created_at) < toDateTime({(last + 1) * step_s}, 'UTC')"
    )


def _select(dimensions: Iterable[str], step_s: int, where: str, brands: Sequence[str] | None, measures: dict[str, str]) -> str:
    named = {"platform": "toString(platform)", "language": f"toString({LANGUAGE})"}
    columns = ", ".join(f"{sql if name in dimensions else quoted('')} AS {name}" for name, sql in named.items())
    of = "" if brands is None else f" AND {_any_of(brands)}"
    only = "" if brands is None else f" WHERE brand IN {_strings(brands)}"
    # Without the alias's own name in the sub-query: `platform` there has to be the column.
    inner = columns.replace(" AS platform", " AS _platform").replace(" AS language", " AS _language")
    sums = ", ".join(f"{sql} AS {name}" for name, sql in measures.items())
    used = (
        "sentiment_status, sentiment_label, sentiment_positive, sentiment_negative, author_followers, metrics_likes, "
        "metrics_shares, metrics_replies, created_at, ingested_at"
    )
    return (
        f"SELECT brand, _platform AS platform, _language AS language, minute, {sums} FROM "
        f"(SELECT toString(arrayJoin(brands)) AS brand, {inner}, "
        f"toInt64(intDiv(toUnixTimestamp(created_at), {step_s})) AS minute, {used} "
        f"FROM interactions FINAL WHERE {where} AND {INBOUND_SQL}{of}){only} GROUP BY brand, _platform, _language, minute"
    )


def _any_of(brands: Sequence[str]) -> str:
    """Skips rows early: hasAny compares with each of its brands, so it pays for few brands only."""
    return f"hasAny(brands, {_strings(brands)})" if len(brands) <= FEW else "notEmpty(brands)"


def _strings(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def authors_sql(slice_: Slice, scopes: Sequence[Scope], first: int, last: int) -> str:
    """brand, platform, language and `authors`: distinct authors in the minutes `first` to `last`, of these scopes' brands.

    An author is an id, else a handle, within a platform; all authors without either are one.
    """
    brands = sorted({scope.brand for scope in scopes})
    named = {"platform": "platform", "language": LANGUAGE}
    columns = ", ".join(f"{f'toString({sql})' if name in slice_.by else quoted('')} AS _{name}" for name, sql in named.items())
    filters = "".join(
        f" AND {named[name]} IN ({', '.join(map(quoted, values))})"
        for name, values in (("platform", slice_.platforms), ("language", slice_.languages))
        if values
    )
    return f"""
SELECT brand, _platform AS platform, _language AS language, toFloat64(uniqExact(on, who)) AS authors FROM
(
    SELECT toString(arrayJoin(brands)) AS brand, {columns}, platform AS on, if(author_id != '', author_id, author_handle) AS who
    FROM interactions FINAL
    WHERE toStartOfMinute(created_at) >= toDateTime({first * MINUTE_S}, 'UTC')
        AND toStartOfMinute(created_at) <= toDateTime({last * MINUTE_S}, 'UTC')
        AND {INBOUND_SQL} AND {_any_of(brands)}{filters}
)
WHERE brand IN {_strings(brands)} GROUP BY brand, _platform, _language"""
