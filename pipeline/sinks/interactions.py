"""Table interactions: the newest row of an event, the revisions that are known, those whose signal may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from pipeline.batch import Assigned
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.row_versions import ROW_KEY
from pipeline.processors.alerts.single import JUDGED
from pipeline.processors.completion import THERE
from pipeline.processors.identity import EVIDENT
from pipeline.processors.merge import NEVER, ORIGIN
from pipeline.sinks.landing import COLUMNS
from pipeline.sinks.pending import of_partitions
from pipeline.sinks.search import Search

_MOVED = pl.col("moved_to") > NEVER
_SIGNALLED = ", ".join([*JUDGED, "text", "text_at", "revision", "version"])
_AUTHORS = ", ".join([*EVIDENT, "occurred_at", "revision", "version"])


class InteractionsTable:
    """Reads of the base table; they are repeated until answered."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter
        self._search = Search(inserter)

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest stored row of each event (`completion.Stored`); a known created_at spares a search, if its minute has the
        event."""
        dated = keys.filter(pl.col("created_at").is_not_null())
        answers = self._search.at(dated, self._newest)
        undated = keys.filter(pl.col("created_at").is_null() | (pl.col(THERE) if THERE in keys.columns else False))
        if answers:
            undated = undated.join(pl.concat(answers), on="event_key", how="anti")
        answers += self._search.anywhere(undated, self._newest)
        return self._followed(pl.concat(answers)) if answers else pl.DataFrame()

    def _followed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows; in place of one that `earshot reconcile` moved, the row of its event."""
        moved = rows.filter(_MOVED)
        if moved.height:
            there = self._search.at(moved.select("event_key", created_at="moved_to"), self._newest)
            rows = pl.concat([rows.filter(~_MOVED), *there])
        return rows.drop("moved_to")

    def _newest(self, where: str) -> pl.DataFrame:
        columns = ", ".join((*COLUMNS, *ORIGIN, "moved_to"))
        versions = f"SELECT {columns} FROM interactions WHERE {where} ORDER BY version DESC LIMIT 1 BY {ROW_KEY}"
        return self._inserter.query(f"SELECT * FROM ({versions}) ORDER BY moved_to > 0, version DESC LIMIT 1 BY event_key")

    def as_landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """The rows of these changes (batch.replayed), as SingleEvent.judge wants them.

        A newer row of the event stands in for a row that it has replaced.
        """
        return self._landed(changes, _SIGNALLED)

    def authors(self, changes: pl.DataFrame) -> pl.DataFrame:
        """The rows of these changes as `as_landed` says, with the columns that evidence is made of."""
        return self._landed(changes, _AUTHORS)

    def _landed(self, changes: pl.DataFrame, columns: str) -> pl.DataFrame:
        def versions(where: str) -> pl.DataFrame:
            return self._inserter.query(
                f"SELECT {columns} FROM interactions WHERE {where} ORDER BY version DESC LIMIT 1 BY event_key, revision"
            )

        # A change may carry another created_at than its event: if its minute has no row, it is searched by its key alone.
        dated = changes.filter(pl.col("created_at").is_not_null())
        answers = self._search.at(dated, versions)
        known = pl.concat(answers).get_column("event_key").implode() if answers else pl.Series([[]], dtype=pl.List(pl.UInt64))
        answers += self._search.anywhere(changes.filter(~pl.col("event_key").is_in(known)), versions)
        if not answers:
            return pl.DataFrame()
        rows, asked = pl.concat(answers), changes.select("event_key", "revision", "said_at", "kafka_ms")
        exact = asked.join(rows, on=["event_key", "revision"], how="inner").with_columns(said_at="occurred_at")
        newest = rows.sort("version").unique("event_key", keep="last", maintain_order=True).drop("revision")
        replaced = asked.join(exact, on="revision", how="anti").join(newest, on="event_key", how="inner")
        return pl.concat([exact, replaced.select(exact.columns)])

    def known_revisions(self, assigned: Sequence[Assigned], hours: float, limit: int) -> pl.DataFrame:
        """Columns revision and event_key of rows of the partitions: (a) at or past the committed offset, (b) the newest of the
        window, up to `limit`."""
        since = datetime.now(UTC) - timedelta(hours=hours)
        recent = f"ingested_at >= '{since:%Y-%m-%d %H:%M:%S}'"
        topics = _partitions(assigned)
        past = " OR ".join(
            f"(partition = {p.partition} AND offset >= {p.committed})" for p in assigned if p.committed is not None
        )
        where = f"{topics} AND ({recent}" + (f" OR {past})" if past else ")")
        count = self._inserter.query(f"SELECT count() AS n FROM interactions WHERE {where}").get_column("n")[0]
        newest = "" if count <= limit else f" ORDER BY ingested_at DESC LIMIT {limit}"
        known = "SELECT revision, event_key FROM interactions"
        parts = [self._inserter.query(f"{known} WHERE {where}{newest}")]
        if past and newest:
            parts.append(self._inserter.query(f"{known} WHERE {topics} AND ({past})"))
        return pl.concat(parts)

    def unpublished(self, assigned: Sequence[Assigned], hours: float, limit: int) -> pl.Series:
        """Revisions whose signal may not be published yet: rows from the committed offset on, or the whole window where nothing
        is committed; the newest first, `limit` at most."""
        newest = f"WHERE {_not_committed(assigned, hours)} ORDER BY ingested_at DESC LIMIT {limit}"
        return self._inserter.query(f"SELECT revision FROM interactions {newest}").get_column("revision")

    def complete_account_events(self, assigned: Sequence[Assigned], hours: float) -> None:
        """Writes once more what the view account_events_filled makes of the rows of `unpublished`, however many."""
        columns = "account_key, created_at, event_key, version, is_deleted"
        rows = f"SELECT {columns} FROM interactions WHERE account_key != 0 AND {_not_committed(assigned, hours)}"
        self._inserter.command(f"INSERT INTO account_events ({columns}) {rows}")

    def landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """Which of these changes (event_key, revision, created_at of its event) have a row (`completion.Stored`)."""
        answers = self._search.at(changes, self._revisions)
        return pl.concat(answers).join(changes, on=["event_key", "revision"], how="semi")

    def _revisions(self, where: str) -> pl.DataFrame:
        return self._inserter.query(f"SELECT DISTINCT event_key, revision FROM interactions WHERE {where}")


def _not_committed(assigned: Sequence[Assigned], hours: float) -> str:
    """SQL: rows of the partitions from the committed offset on, or of the whole window where nothing is committed."""
    recent = f"ingested_at >= '{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}'"
    past = [f"partition = {p.partition} AND {recent if p.committed is None else f'offset >= {p.committed}'}" for p in assigned]
    return f"{_partitions(assigned)} AND (({') OR ('.join(past)}))"


def _partitions(assigned: Sequence[Assigned]) -> str:
    return of_partitions(assigned[0].topic, [p.partition for p in assigned])
