"""What a search for campaigns costs; `python -m benchmarks.campaign [ROWS]`.

One engine in this process, CPU time of the whole process, no merges meanwhile. The texts are words of an invented language in
Zipf's proportions, about 100 characters, each row about one of 20 brands and one of 1,000; among them are five campaigns of ten
accounts with five edits each.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from pipeline.clickhouse.arrow import arrow_stream
from pipeline.clickhouse.migrations import read_migrations
from pipeline.embedded.engine import Engine
from pipeline.embedded.query import Query
from pipeline.embedded.statement import DataInsert
from pipeline.processors.alerts.campaign_search import CampaignFinder, Search
from pipeline.processors.alerts.minutes import minute_of
from pipeline.processors.alerts.rule_types import CampaignRule

SINCE = datetime(2026, 9, 1, 10, tzinfo=UTC)
WINDOW = timedelta(minutes=10)
RULE = CampaignRule(name="copies", type="campaign")
ARROW = {
    "output_format_arrow_low_cardinality_as_dictionary": "0",
    "output_format_arrow_string_as_string": "1",
    "optimize_on_insert": "0",
    "max_query_size": str(64 << 20),
}
WORDS, CHUNK = 20_000, 100_000
CAMPAIGNS, ACCOUNTS, EDITS = 5, 10, 5


class Store:
    """The engine, with databases of our tables."""

    def __init__(self, folder: Path) -> None:
        self._engine = Engine(folder)

    def make(self, database: str) -> None:
        self.run(f"CREATE DATABASE {database}", "default")
        # Migrations change the table of migrations as well.
        self.run("CREATE TABLE schema_migrations (number UInt32) ENGINE = MergeTree ORDER BY number", database)
        for migration in read_migrations():
            for statement in migration.statements:
                self.run(statement.replace("{credentials}", "").replace("{database}", database), database)
        self.run("SYSTEM STOP MERGES interactions", database)

    def run(self, sql: str, database: str, form: str = "TabSeparated") -> bytes:
        return self._engine.query(Query(sql.encode(), "default", "benchmark", database, form, ARROW)).body

    def insert(self, rows: pl.DataFrame, database: str) -> None:
        head, body = f"INSERT INTO interactions ({', '.join(rows.columns)})", memoryview(arrow_stream(rows))
        query = Query(b"", "default", "benchmark", database, settings=ARROW)
        self._engine.insert(query, DataInsert(head.encode(), b"", b"ArrowStream", (body,)))


def main(rows: int) -> None:
    home = os.getcwd()
    with TemporaryDirectory() as folder:
        search(Store(Path(folder)), rows)
        os.chdir(home)


def search(store: Store, rows: int) -> None:
    store.make("search")
    for part in parts(rows, CHUNK):
        store.insert(part, "search")
    store.insert(planted(), "search")

    def query(sql: str) -> pl.DataFrame:
        return pl.read_ipc_stream(store.run(sql, "search", "ArrowStream"))

    first, last = minute_of(SINCE), minute_of(SINCE + WINDOW) - 1
    finder = CampaignFinder()
    whole = Search([RULE], list(range(first, last + 1)), last, first, SINCE)
    # The next one reads the last two minutes again, and has the others in memory.
    for name, due in {"of the whole window": whole, "that follows it": whole._replace(touched=[last - 1, last])}.items():
        started, clock = time.process_time(), time.perf_counter()
        found = finder.search(query, due)
        cpu, wall = time.process_time() - started, time.perf_counter() - clock
        print(f"a search {name}, {rows:,} rows: {cpu:.2f} CPU s, {wall:.2f} s, {len(found)} found")


def parts(rows: int, size: int) -> Iterator[pl.DataFrame]:
    random, numbers = Random(1), np.random.default_rng(1)
    # The words that are used most are short, as in any language.
    words = sorted(("".join(random.choices("etaoinshrdlucmfwyp", k=random.randint(2, 9))) for _ in range(WORDS)), key=len)
    weights = 1 / np.arange(1, WORDS + 1)
    for first in range(0, rows, size):
        count = min(size, rows - first)
        drawn = numbers.choice(WORDS, (count, 21), p=weights / weights.sum())
        texts = [" ".join([words[word] for word in row]) for row in drawn.tolist()]
        key = np.arange(first, first + count, dtype=np.uint64)
        brands = [[f"brand {n % 20}", f"niche {n}"] for n in numbers.integers(0, 1_000, count).tolist()]
        at = pl.Series(key).cast(pl.Int64) * (int(WINDOW.total_seconds()) * 1000) // rows
        yield _frame(key, texts, brands, numbers.integers(0, 1_000_000, count).tolist(), at)


def planted() -> pl.DataFrame:
    random = Random(2)
    texts, brands = [], []
    for number in range(CAMPAIGNS):
        text = "".join(random.choices("etaoinshrdlucmfwyp   ", k=100))
        for _ in range(ACCOUNTS):
            letters = list(text)
            for place in random.sample(range(len(text)), EDITS):
                letters[place] = random.choice("xyz")
            texts.append("".join(letters))
            brands.append([f"brand {number}", "planted"])
    key = np.arange(len(texts), dtype=np.uint64) + np.uint64(1 << 40)
    return _frame(key, texts, brands, range(len(texts)), pl.Series([1000] * len(texts)))


def _frame(key: np.ndarray, texts: list[str], brands: list[list[str]], authors: Sequence[int], at: pl.Series) -> pl.DataFrame:
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    created = (pl.Series([int(SINCE.timestamp() * 1000)]) + at).cast(pl.Datetime("ms", "UTC"))
    frame = pl.DataFrame({"event_key": mixed, "revision": key, "version": key, "text": texts, "brands": brands})
    constant = {"platform": "forum", "kind": "post", "operation": "create", "direction": "inbound", "visibility": "public"}
    return frame.with_columns(
        pl.Series("author_id", [f"author {n}" for n in authors]),
        created.alias("created_at"),
        *(pl.lit(value).alias(name) for name, value in constant.items()),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000)
