"""Rescore: applies the current models to the stored rows.

A row gets a new minor version if its label, its model or its status changes; nothing else changes. Rescore reads the rows that
a worker would label, with a label or without. ClickHouse makes each new version from the newest one of the revision that was
read, so an edit or a rematch in between loses nothing. A second run changes nothing; after a kill it does the rest. With a
single model it does not read rows again that have that model's label.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import LONG_SQL, frame, one_line, settings_for
from pipeline.clickhouse.row_versions import COLUMNS_SQL, LABEL_CHANGES, insert_versions, label_values
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import EarshotError
from pipeline.maintenance.scan import AGAIN, EVER, IN_CHUNK, WHERE, Progress, chunks
from pipeline.processors.sentiment.labels import Labeller
from pipeline.processors.sentiment.prepare import LONGEST
from pipeline.queries.counted_names import is_named_sql
from pipeline.sinks.changes import Changing, unheard
from schemas import events
from schemas.inbound import TO_LABEL_SQL
from schemas.times import to_ms

AT_ONCE = 2_000
"""Texts between two writes; the model sorts them by length."""


@dataclass
class Rescored:
    """The changes of a rescore, or with `dry_run` those it would make: changed rows, and how many had each label before and
    after.

    A row without a label counts under its status, a row that no model has read under "none".
    """

    rows: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)


def rescore(
    clickhouse: ClickHouseSettings,
    labeller: Labeller,
    *,
    since: datetime | None = None,
    brand: str | None = None,
    dry_run: bool = False,
    progress: Progress = lambda done, total: None,
    changing: Changing = unheard,
) -> Rescored:
    """Labels the rows created at or after `since` that mention `brand`, or any. `changing` hears of the rows that change.

    Raises UnreachableError without ClickHouse, EarshotError if no row mentions the brand or ClickHouse refuses a query.
    """
    client = clickhouse_client(clickhouse)
    try:
        check_tables(client)
        with one_line(client, AGAIN):
            return _Rescore(client, labeller, brand, changing).run(since or EVER, dry_run, progress)
    finally:
        client.close()


class _Rescore:
    def __init__(self, client: Client, labeller: Labeller, brand: str | None, changing: Changing) -> None:
        self._client, self._labeller, self._changing = client, labeller, changing
        self._columns = [column for (column,) in client.query(COLUMNS_SQL).result_rows]
        self._values: dict[str, object] = {"brand": brand or "", "model": next(iter(labeller.models), "")}
        self._wanted = TO_LABEL_SQL
        if brand is not None:
            if not client.query(is_named_sql("brand", brand)).result_rows:
                raise EarshotError(f"no row mentions a brand named {brand!r}")
            self._wanted += " AND has(brands, {brand:String})"
        if len(labeller.models) == 1:
            self._wanted += " AND sentiment_model != {model:String}"
        self.done = Rescored()

    def run(self, since: datetime, dry_run: bool, progress: Progress) -> Rescored:
        values = self._values | {"since": to_ms(since), "arrived": 0}
        count = f"SELECT count() FROM interactions FINAL WHERE {WHERE} AND {self._wanted}"
        total, done = self._client.query(count, values, settings=settings_for(self._client)).result_rows[0][0], 0
        progress(done, total)
        for chunk in chunks(self._client, since, EVER, lambda scanned, total: None):
            for rows in self._rows(chunk | self._values).iter_slices(AT_ONCE):
                self._relabel(rows, chunk, dry_run)
                done += rows.height
                progress(done, max(done, total))
        return self.done

    def _rows(self, values: dict[str, object]) -> pl.DataFrame:
        return frame(self._client, f"{_ROWS} AND {self._wanted}", values, settings_for(self._client))

    def _relabel(self, rows: pl.DataFrame, values: dict[str, object], dry_run: bool) -> None:
        labels = self._labeller.label(rows.get_column("read"), rows.get_column("language"))
        changes = pl.any_horizontal(
            labels.get_column(column).fill_null("") != rows.get_column(column)
            for column in ("sentiment_status", "sentiment_label", "sentiment_model")
        )
        changed = pl.select(changes).to_series()
        rows, labels = rows.filter(changed), labels.filter(changed)
        self.done.rows += rows.height
        self.done.before.update(_outcomes(rows))
        self.done.after.update(_outcomes(labels))
        if rows.height and not dry_run:
            new = label_values(labels)
            statement = insert_versions(self._columns, rows, new, events.LABEL_STEP, IN_CHUNK, LABEL_CHANGES)
            with self._changing(rows):
                self._client.command(statement, values, settings=LONG_SQL)


def _outcomes(rows: pl.DataFrame) -> list[str]:
    outcome = pl.coalesce(pl.col(column).replace("", None) for column in ("sentiment_label", "sentiment_status")).fill_null(
        "none"
    )
    return rows.select(outcome).to_series().to_list()


_ROWS = f"""
SELECT event_key, revision, created_at, leftUTF8(text, {LONGEST}) AS read, language,
    sentiment_status, sentiment_label, sentiment_model
FROM interactions FINAL WHERE {IN_CHUNK} AND {WHERE}"""
