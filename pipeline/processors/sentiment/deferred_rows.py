"""The rows of table interactions that wait for a label: how many they are, which, their texts; and the versions with labels."""

from __future__ import annotations

from collections.abc import Callable, Collection

import polars as pl

from pipeline.clickhouse.inserter import Inserter, TooMuchError
from pipeline.clickhouse.row_versions import (
    COLUMNS_SQL,
    LABEL_CHANGES,
    ROW_KEY,
    insert_versions,
    label_values,
    minutes,
    numbers,
    quoted,
)  # fmt: skip
from pipeline.processors.alerts.single import JUDGED
from pipeline.processors.sentiment.prepare import LONGEST
from schemas import events
from schemas.labels import DEFERRED
from schemas.times import TIME

_WAITS = f"sentiment_status = '{DEFERRED}'"
_COUNT = "SELECT count() AS n, toUnixTimestamp64Milli(min(ingested_at)) / 1000 AS oldest FROM interactions FINAL WHERE {where}"
_KEYS = (
    "SELECT event_key, created_at, partition FROM interactions FINAL WHERE {where} "
    "ORDER BY toStartOfMinute(created_at) DESC, created_at DESC LIMIT {most}"
)
_RETURNED = ", ".join((*JUDGED, "text_at", "revision", "partition"))
_TEXTS = f"""
SELECT {_RETURNED}, read FROM
(
    SELECT {_RETURNED}, leftUTF8(text, {LONGEST}) AS read, sentiment_status
    FROM interactions WHERE {{minutes}} AND event_key IN {{keys}} ORDER BY version DESC LIMIT 1 BY {ROW_KEY}
)
WHERE is_deleted = 0 AND {_WAITS}
ORDER BY created_at DESC"""


class DeferredRows:
    """Queries and writes of one worker. They block while ClickHouse is away, and raise GivenUp as the inserter does."""

    def __init__(self, inserter: Inserter, topic: str) -> None:
        self._inserter, self._topic = inserter, topic
        self._columns: list[str] = []

    def count(self, partitions: Collection[int]) -> tuple[int, float]:
        """How many rows of these partitions wait, and when the oldest came (Unix seconds)."""
        count, oldest = self._inserter.query(_COUNT.format(where=self._of(partitions))).row(0)
        return count, oldest

    def keys(self, partitions: Collection[int], most: int) -> pl.DataFrame:
        """The newest `most` of them, newest first: event_key, created_at, partition."""
        rows = self._inserter.query(_KEYS.format(where=self._of(partitions), most=most))
        return rows.with_columns(pl.col("created_at").cast(TIME))

    def read(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Those of these rows (event_key, created_at) that still wait: single.JUDGED, text_at, revision, partition, and the
        text as `read`."""
        when = minutes(keys.get_column("created_at"))
        return self._inserter.query(_TEXTS.format(minutes=when, keys=numbers(keys.get_column("event_key"))))

    def write(
        self,
        rows: pl.DataFrame,
        labels: pl.DataFrame,
        generation: int,
        check_ownership: Callable[[], None],
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes the versions with these labels, in one statement if the server can.

        `check_ownership` raises GivenUp when the write must not start; `tell` is called before each try.
        """
        self._columns = self._columns or self._inserter.query(COLUMNS_SQL).get_column("name").to_list()
        when, where = minutes(rows.get_column("created_at")), f"{_WAITS} AND {LABEL_CHANGES}"
        statement = insert_versions(self._columns, rows, label_values(labels), events.LABEL_STEP, when, where)
        try:
            self._inserter.insert_versions(statement, generation, check_ownership, rows.height == 1, tell)
        except TooMuchError:
            half = rows.height // 2
            self.write(rows[:half], labels[:half], generation, check_ownership, tell)
            self.write(rows[half:], labels[half:], generation, check_ownership, tell)

    def _of(self, partitions: Collection[int]) -> str:
        return f"topic = {quoted(self._topic)} AND partition IN ({','.join(map(str, partitions))}) AND {_WAITS}"
