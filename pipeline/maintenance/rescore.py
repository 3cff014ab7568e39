"""Rescore: the models in force, applied to what has landed.

A row gets a new minor version where its label, its model or its status changes; all else stays. Looked at is what a worker
would label, whether it has a label or not. The new versions are made inside ClickHouse, from the newest of the revision that
was read, so an edit or a rematch meanwhile loses nothing. Doing it again changes nothing; killed in the middle, doing it again
does the rest: with one model in force, what has its label is not read again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import frame, one_line, settings_for
from pipeline.clickhouse.row_versions import COLUMNS_SQL, LABEL_CHANGES, SETTINGS, insert_versions, label_values
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import EarshotError
from pipeline.maintenance.scan import AGAIN, EVER, IN_CHUNK, WHERE, Progress, chunks
from pipeline.processors.sentiment.labels import Labeller
from pipeline.processors.sentiment.prepare import LONGEST
from schemas import events
from schemas.inbound import TO_LABEL_SQL

AT_ONCE = 2_000
"""Texts between two writes; the model sorts that many by length."""


@dataclass
class Rescored:
    """What a rescore did, or with `dry_run` would do: rows that changed, and how many of them said what before and after.

    What has no label counts as its status; what was never looked at as "none".
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
    tell: Progress = lambda done, total: None,
) -> Rescored:
    """Labels the rows created at or after `since` that mention `brand`, or any.

    Raises UnreachableError without ClickHouse, EarshotError for a brand that no row mentions and for what ClickHouse refuses.
    """
    client = clickhouse_client(clickhouse)
    try:
        check_tables(client)
        with one_line(client, AGAIN):
            return _Rescore(client, labeller, brand).run(since or EVER, dry_run, tell)
    finally:
        client.close()


class _Rescore:
    def __init__(self, client: Client, labeller: Labeller, brand: str | None) -> None:
        self._client, self._labeller = client, labeller
        self._columns = [column for (column,) in client.query(COLUMNS_SQL).result_rows]
        self._values: dict[str, Any] = {"brand": brand or "", "model": next(iter(labeller.models), "")}
        self._wanted = TO_LABEL_SQL
        if brand is not None:
            if not client.query(_IS_KNOWN, self._values).result_rows:
                raise EarshotError(f"no row mentions a brand named {brand!r}")
            self._wanted += " AND has(brands, {brand:String})"
        if len(labeller.models) == 1:
            self._wanted += " AND sentiment_model != {model:String}"
        self.done = Rescored()

    def run(self, since: datetime, dry_run: bool, tell: Progress) -> Rescored:
        values = self._values | {"since": int(since.timestamp() * 1000), "arrived": 0}
        count = f"SELECT count() FROM interactions FINAL WHERE {WHERE} AND {self._wanted}"
        total, gone = self._client.query(count, values, settings=settings_for(self._client)).result_rows[0][0], 0
        tell(gone, total)
        for chunk in chunks(self._client, since, EVER, lambda done, all_: None):
            for rows in self._rows(chunk | self._values).iter_slices(AT_ONCE):
                self._relabel(rows, chunk, dry_run)
                gone += rows.height
                tell(gone, max(gone, total))
        return self.done

    def _rows(self, values: dict[str, Any]) -> pl.DataFrame:
        return frame(self._client, f"{_ROWS} AND {self._wanted}", values, settings_for(self._client))

    def _relabel(self, rows: pl.DataFrame, values: dict[str, Any], dry_run: bool) -> None:
        labels = self._labeller.label(rows.get_column("read"), rows.get_column("language"))
        changes = pl.any_horizontal(
            labels.get_column(column).fill_null("") != rows.get_column(column)
            for column in ("sentiment_status", "sentiment_label", "sentiment_model")
        )
        changed = pl.select(changes).to_series()
        rows, labels = rows.filter(changed), labels.filter(changed)
        self.done.rows += rows.height
        self.done.before.update(_said(rows))
        self.done.after.update(_said(labels))
        if rows.height and not dry_run:
            new = label_values(labels)
            statement = insert_versions(self._columns, rows, new, events.LABEL_STEP, IN_CHUNK, LABEL_CHANGES)
            self._client.command(statement, values, settings=SETTINGS)


def _said(rows: pl.DataFrame) -> list[str]:
    said = pl.coalesce(pl.col(column).replace("", None) for column in ("sentiment_label", "sentiment_status")).fill_null("none")
    return rows.select(said).to_series().to_list()


_IS_KNOWN = "SELECT 1 FROM interactions WHERE has(brands, {brand:String}) LIMIT 1"
_ROWS = f"""
SELECT event_key, revision, leftUTF8(text, {LONGEST}) AS read, language, sentiment_status, sentiment_label, sentiment_model
FROM interactions FINAL WHERE {IN_CHUNK} AND {WHERE}"""
