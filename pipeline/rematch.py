"""Rematch: the present brands.yaml, applied to what has landed.

A row whose text or mentions say otherwise of the named brands gets a new minor version (schemas/events.py) with other `brands`;
its revision and all else stay. What the source gave is never taken away. Tombstones and deleted rows are left alone, and so is
`direction`.

ClickHouse picks the candidates (the brand is in the row, a part of a term is in the text, the text is not ASCII, it has
mentions); only those travel, a bounded number at a time, to be decided by the same code as in the worker; the new versions are
made inside ClickHouse. Doing it again changes nothing; killed in the middle, doing it again does the rest.

Beside running workers: a change that lands meanwhile has a higher version, so it wins. One that was completed from an older
row, or matched with the brands before, carries the old brands; so what has arrived since the start is looked at again until
nothing changes. Cost: one scan of the columns that are looked at, with FINAL, in time order; what travels and what the client
decides grows with the candidates.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.brands import SAMPLE_BRANDS, Brand, load_brands
from pipeline.connections import clickhouse_client, reason
from pipeline.errors import EarshotError
from pipeline.migrate import check_tables
from pipeline.processors.matching import term_text
from pipeline.processors.mentions import Matching
from pipeline.queries import settings_for
from pipeline.settings import Settings

CHUNK_ROWS = 50_000
WRITTEN_AT_ONCE = 5_000
NEEDLES = 255
"""What multiSearchAny takes."""
CLOCKS = timedelta(seconds=60)
"""How far the workers' clocks may be from ours."""
PASSES, PAUSE_S = 10, 1.0

Told = Callable[[int, int], None]
"""Progress: rows gone through, and rows in all."""


@dataclass
class Rematched:
    """What a rematch did, or with `dry_run` would do: rows that changed, and by brand how many it gained and lost."""

    rows: int = 0
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def rematch(
    settings: Settings, names: Sequence[str], *, since: datetime | None = None, dry_run: bool = False, tell: Told | None = None
) -> Rematched:
    """Applies brands.yaml to the rows created at or after `since`, for the brands `names`, also for one that is not in the file
    any more.

    Raises SettingsError for a broken file, UnreachableError without ClickHouse, EarshotError for a name that is neither in the
    file nor in any row, for what ClickHouse refuses, and when workers keep landing rows that say otherwise.
    """
    brands = load_brands(settings.brands or SAMPLE_BRANDS)
    client = clickhouse_client(settings.clickhouse)
    try:
        check_tables(client)
        with _one_line(client):
            work = _Rematch(client, [brand for brand in brands.brands if brand.name in names], sorted(set(names)))
            work.check_names()
            return work.run(since or datetime(1970, 1, 1, tzinfo=UTC), dry_run, tell or (lambda done, total: None))
    finally:
        client.close()


class _Rematch:
    def __init__(self, client: Client, brands: list[Brand], names: list[str]) -> None:
        self._client = client
        self._brands = brands
        self._names = names
        self._matching = Matching(brands)
        self._candidates, self._values = _candidates(brands, names)
        self._columns = [column for (column,) in client.query(_COLUMNS).result_rows]
        self.done = Rematched()

    def check_names(self) -> None:
        for name in sorted(set(self._names) - {brand.name for brand in self._brands}):
            if not self._client.query(_IS_KNOWN, {"name": name}).result_rows:
                raise EarshotError(f"no brand is named {name!r}: neither in brands.yaml nor in what has landed")

    def run(self, since: datetime, dry_run: bool, tell: Told) -> Rematched:
        arrived = datetime(1970, 1, 1, tzinfo=UTC)
        for _ in range(PASSES):
            begun, before = datetime.now(UTC), self.done.rows
            first = arrived.year == 1970
            self._pass(since, arrived, dry_run, tell if first else lambda done, total: None)
            if dry_run or not (first or self.done.rows > before):
                return self.done
            arrived = begun - CLOCKS
            time.sleep(PAUSE_S)
        raise EarshotError("rows keep landing that this brands.yaml would match otherwise: does a worker run with another one?")

    def _pass(self, since: datetime, arrived: datetime, dry_run: bool, tell: Told) -> None:
        values = {"since": int(since.timestamp() * 1000), "arrived": int(arrived.timestamp() * 1000)}
        days = self._client.query(_DAYS, values).result_rows
        total, gone = sum(count for _, count in days), 0
        tell(gone, total)
        for day, _ in days:
            for chunk in _chunks(self._client.query(_MINUTES, values | {"day": day}).result_rows):
                first, last, count = chunk
                self._chunk(values | {"first": first, "last": last}, dry_run)
                gone += count
                tell(gone, total)

    def _chunk(self, values: dict[str, Any], dry_run: bool) -> None:
        rows = _frame(self._client, f"{_ROWS} AND ({self._candidates})", values | self._values)
        changed = self._changed(rows)
        for name in self._names:
            now, then = (changed.get_column(c).list.contains(name) for c in ("now", "brands"))
            self.done.gained[name] += int((now & ~then).sum())
            self.done.lost[name] += int((then & ~now).sum())
        self.done.rows += changed.height
        for part in [] if dry_run else changed.iter_slices(WRITTEN_AT_ONCE):
            self._write(part, values)

    def _write(self, rows: pl.DataFrame, values: dict[str, Any]) -> None:
        """Inserts the rows' next versions. Those that were replaced meanwhile get one, too: it is below that of the change."""
        lists = sorted({tuple(now) for now in rows.get_column("now").to_list()})
        place = {now: number for number, now in enumerate(lists, 1)}
        places = [place[tuple(now)] for now in rows.get_column("now").to_list()]
        keys, versions = _numbers(rows.get_column("event_key")), _numbers(rows.get_column("version"))
        new = {column: column for column in self._columns}
        # transform is a look-up in a hash map. A join with the values' table function took ten times as long.
        new["brands"] = f"{{lists:Array(Array(String))}}[transform(event_key, {keys}, {_numbers(places)}, 0)]"
        new["version"] = "version + 1"
        self._client.command(
            f"INSERT INTO interactions ({', '.join(new)}) SELECT {', '.join(new.values())} FROM interactions "
            f"WHERE {_IN_CHUNK} AND event_key IN {keys} AND version = transform(event_key, {keys}, {versions}, 0) "
            "LIMIT 1 BY event_key",
            values | {"lists": [list(names) for names in lists]},
            settings={"insert_deduplicate": 0, "max_query_size": 16 << 20},
        )

    def _changed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that say otherwise of the brands, and what they should say: column `now`."""
        should = self._matching.brands(rows.select("text", "mentions", brands="brands_given")).alias("should")
        names = pl.lit(pl.Series([self._names], dtype=pl.List(pl.String)).first(), pl.List(pl.String))
        rows = rows.with_columns(should).with_columns(
            now=pl.col("brands")
            .list.set_difference(names)
            .list.set_union(pl.col("should").list.set_intersection(names))
            .list.sort()
        )
        return rows.filter(pl.col("now") != pl.col("brands").list.sort())


def _candidates(brands: Sequence[Brand], names: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """What a row must meet for a rematch to possibly change it, and the values in it."""
    conditions, values = ["hasAny(brands, {names:Array(String)})"], {"names": list(names)}
    needles = sorted({needle for brand in brands for needle in _needles(brand)})
    for start in range(0, len(needles), NEEDLES):
        conditions.append(f"multiSearchAnyCaseInsensitive(text, {{needles{start}:Array(String)}})")
        values[f"needles{start}"] = needles[start : start + NEEDLES]
    if brands:
        conditions += ["length(text) != lengthUTF8(text)", "notEmpty(mentions)"]
    return " OR ".join(conditions), values


def _needles(brand: Brand) -> Iterator[str]:
    """A part of each term, as an ASCII text holds it: of several words the longest, for what is between them varies."""
    for word in (*brand.keywords, *brand.phrases, *("@" + handle for handle in brand.handles)):
        folded = term_text(word)
        if folded.isascii():
            yield max(folded.split(" "), key=len)


def _chunks(minutes: Sequence[Sequence[Any]]) -> Iterator[tuple[int, int, int]]:
    """Ranges of minutes (first, last) with about CHUNK_ROWS rows each, and how many."""
    start, count = 0, 0
    for place, (minute, rows) in enumerate(minutes):
        count += rows
        if count >= CHUNK_ROWS or place == len(minutes) - 1:
            yield minutes[start][0], minute, count
            start, count = place + 1, 0


def _numbers(values: Iterable[int]) -> str:
    return f"[{','.join(map(str, values))}]::Array(UInt64)"


def _frame(client: Client, sql: str, values: dict[str, Any]) -> pl.DataFrame:
    settings = settings_for(client) | {"output_format_arrow_low_cardinality_as_dictionary": 0}
    frame = pl.from_arrow(client.query_arrow(sql, values, settings=settings, use_strings=True))
    assert isinstance(frame, pl.DataFrame)
    return frame


@contextmanager
def _one_line(client: Client) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        raise EarshotError(f"ClickHouse at {client.uri}: {reason(error)}; what is done is done, do it again") from None


_COLUMNS = """
SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'interactions' AND default_kind != 'ALIAS'
ORDER BY position"""
_IS_KNOWN = "SELECT 1 FROM interactions WHERE has(brands, {name:String}) LIMIT 1"
_WHERE = """created_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND ingested_at >= fromUnixTimestamp64Milli({arrived:Int64}, 'UTC')"""
_DAYS = f"SELECT toString(toDate(created_at)) AS day, count() FROM interactions WHERE {_WHERE} GROUP BY day ORDER BY day"
_MINUTES = f"""
SELECT toUnixTimestamp(toStartOfMinute(created_at)) AS minute, count() FROM interactions
WHERE {_WHERE} AND toDate(created_at) = {{day:Date}}
GROUP BY minute ORDER BY minute"""
_IN_CHUNK = "toStartOfMinute(created_at) BETWEEN toDateTime({first:UInt32}, 'UTC') AND toDateTime({last:UInt32}, 'UTC')"
_ROWS = f"""
SELECT event_key, version, text, mentions, brands, brands_given FROM interactions FINAL
WHERE {_IN_CHUNK} AND {_WHERE}"""
