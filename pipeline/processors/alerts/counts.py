"""Counts: how much is said of each scope in each minute, as ClickHouse has it.

A slice is what some rules count alike: by which dimensions, of which platforms and languages. Its counts are one array, scopes
by minutes by `MEASURES`, of the newest minutes only. They are read, never added up: a minute that was touched is read again as
a whole, so a replay, a second worker, a late event, an edit or a delete can't count twice.

Cost: 8 bytes a scope, minute and measure; a query reads the rows of the touched minutes, and answers a row a scope and minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.processors.alerts.alert import Scope
from pipeline.versions import quoted

MINUTE_S = 60
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
PLACE = {name: place for place, name in enumerate(MEASURES)}
LANGUAGE = "if(sentiment_language != '', sentiment_language, language)"
INBOUND = "direction != 'outbound'"

Values = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


class Slice(NamedTuple):
    by: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def dimensions(self) -> set[str]:
        return {*self.by, *(["platform"] if self.platforms else []), *(["language"] if self.languages else [])}

    def of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of the slice, with columns brand, platform and language, blank where the slice does not tell them apart."""
        if self.platforms:
            frame = frame.filter(pl.col("platform").is_in(self.platforms))
        if self.languages:
            frame = frame.filter(pl.col("language").is_in(self.languages))
        return frame.with_columns(pl.lit("").alias(name) for name in ("platform", "language") if name not in self.by)


class Table:
    """The scopes of a slice, each with its row in every array of the slice; rows are never given away again."""

    def __init__(self, slice_: Slice) -> None:
        self.slice = slice_
        self.scopes: list[Scope] = []
        self._known = pl.DataFrame(schema={"brand": pl.String, "platform": pl.String, "language": pl.String, "row": pl.Int64})

    def rows(self, frame: pl.DataFrame) -> Rows:
        """The row of each (brand, platform, language) of the frame; new ones get one."""
        on = ["brand", "platform", "language"]
        found = frame.select(on).join(self._known, on=on, how="left", maintain_order="left")
        new = found.filter(pl.col("row").is_null()).select(on).unique(maintain_order=True)
        if new.height:
            self.scopes += [Scope(*key) for key in new.iter_rows()]
            numbered = new.with_columns(row=pl.arange(self._known.height, len(self.scopes), eager=True, dtype=pl.Int64))
            self._known = pl.concat([self._known, numbered])
            found = frame.select(on).join(self._known, on=on, how="left", maintain_order="left")
        return found.get_column("row").to_numpy()

    def of_brands(self, brands: Sequence[str] | None) -> Rows:
        """The rows of all scopes of these brands; None: of all."""
        if brands is None:
            return np.arange(len(self.scopes))
        return np.flatnonzero(self._known.get_column("brand").is_in(list(brands)).to_numpy())


class Ring:
    """The newest `minutes` minutes of a slice. Column j of `values` is minute `first + j` (minutes since 1970)."""

    def __init__(self, table: Table, minutes: int) -> None:
        self.table = table
        self.first = 0
        self.values: Values = np.zeros((0, minutes, len(MEASURES)))

    @property
    def last(self) -> int:
        return self.first + int(self.values.shape[1]) - 1

    def move(self, last: int) -> None:
        """Makes `last` the newest minute; what is older than the ring is forgotten. Never goes back."""
        by = min(last - self.last, self.values.shape[1])
        if by > 0:
            self.values = np.roll(self.values, -by, axis=1)
            self.values[:, -by:] = 0
            self.first = last - self.values.shape[1] + 1

    def put(self, frame: pl.DataFrame, minutes: Iterable[int], brands: Sequence[str] | None) -> None:
        """Takes over what ClickHouse said of these minutes and brands (None: of all); `frame` as `read_sql` gives it."""
        inside = np.array([minute - self.first for minute in minutes if self.first <= minute <= self.last], np.int64)
        sliced = self.table.slice.of(frame).group_by("brand", "platform", "language", "minute").agg(pl.col(MEASURES).sum())
        rows = self.table.rows(sliced)
        self._grow()
        self.values[np.ix_(self.table.of_brands(brands), inside)] = 0
        columns = sliced.get_column("minute").to_numpy() - self.first
        fits = np.isin(columns, inside)
        self.values[rows[fits], columns[fits]] = sliced.select(MEASURES).to_numpy()[fits]

    def _grow(self) -> None:
        missing = len(self.table.scopes) - len(self.values)
        if missing > 0:
            self.values = np.concatenate([self.values, np.zeros((missing, *self.values.shape[1:]))])

    def window(self, minute: int, length: int) -> Values:
        """Scopes by measures: the sums of the `length` minutes that end with `minute`, which is in the ring."""
        self._grow()
        end = minute - self.first + 1
        total: Values = self.values[:, max(0, end - length) : end].sum(axis=1)
        return total


def read_sql(dimensions: Iterable[str], minutes: Iterable[int], brands: Sequence[str] | None) -> str:
    """The query behind `Ring.put`: brand, platform, language (blank where no rule tells them apart), minute and MEASURES."""
    starts = ",".join(f"toDateTime({minute * MINUTE_S}, 'UTC')" for minute in sorted(minutes))
    return _select(dimensions, MINUTE_S, f"toStartOfMinute(created_at) IN ({starts})", brands, _SQL)


def history_sql(dimensions: Iterable[str], step_s: int, first: int, last: int) -> str:
    """brand, platform, language, minute (here: the number of the step of `step_s`), count, negative, labelled, and `live`: what
    landed within an hour.

    Of the steps `first` to `last`, both included.
    """
    measures = {name: _SQL[name] for name in ("count", "negative", "labelled")}
    measures["live"] = "countIf(ingested_at < created_at + INTERVAL 1 HOUR)"
    return _select(dimensions, step_s, _between(step_s, first, last), None, measures)


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
        f"FROM interactions FINAL WHERE {where} AND {INBOUND}{of}){only} GROUP BY brand, _platform, _language, minute"
    )


def _any_of(brands: Sequence[str]) -> str:
    """What passes over rows early: hasAny compares with each of its brands, so it is for few."""
    return f"hasAny(brands, {_strings(brands)})" if len(brands) <= FEW else "notEmpty(brands)"


def _strings(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def authors_sql(slice_: Slice, scopes: Sequence[Scope], first: int, last: int) -> str:
    """brand, platform, language and `authors`: distinct ones in the minutes `first` to `last`, of these scopes' brands.

    An author is told by id, else by handle, within a platform; those without either are one.
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
        AND {INBOUND} AND {_any_of(brands)}{filters}
)
WHERE brand IN {_strings(brands)} GROUP BY brand, _platform, _language"""
