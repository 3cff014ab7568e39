"""Landing: what a batch has become goes to its tables, in the order that makes a replay harmless.

Dead letters first, changes that wait next, `interactions` last: only that makes a revision landed. Then signals tell of it, and
what waited and need not any more is marked done. Killed anywhere in between, the records are read again, and each write is
absorbed: dead letters and pending changes by their keys, interactions because their revisions are known; what may not have been
told is told again.

Also what the rest asks of `interactions`: the newest row of an event, the revisions that are known.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import polars as pl

from pipeline.batch import Assigned, EventBatch, Rejected
from pipeline.clickhouse.inserter import MONTHS_AN_INSERT, Inserter
from pipeline.kafka.event_producer import record_of
from pipeline.processors.alerts.single import JUDGED
from pipeline.processors.completion import GROUP_TIMES
from pipeline.sinks.pending import done_rows, of_partitions, waiting_rows
from pipeline.sinks.record import event_of
from pipeline.sinks.search import Search
from schemas import events
from schemas.labels import COLUMNS as SENTIMENT

_LISTS = [column for column, f in events.BY_COLUMN.items() if f.kind == "strings"]
_EVENT = list(events.BY_COLUMN)
_OURS = ["event_key", "revision", "version", "is_deleted", *GROUP_TIMES]
_PLACE = ["topic", "partition", "offset"]
_TOLD = ", ".join([*JUDGED, "text", "text_at", "revision", "version"])
_TOGETHER_BYTES = 64 << 20
_BATCHES = 100
"""More than are ever on their way at once."""


class Letters(Protocol):
    """Where dead letters go."""

    def write(self, rejected: Sequence[Rejected], generation: int) -> None:
        """On return they are there."""
        ...


def _nobody(batches: Sequence[EventBatch]) -> None:
    pass


class Landing:
    """Writes batches. Blocks while the database or the broker is down; raises GivenUp when the batch was given up.

    `tell` is called when their rows are in ClickHouse, and before the changes that waited are marked done. `seal` is step
    privacy's: what waited and is refused is a record once more.
    """

    def __init__(
        self,
        inserter: Inserter,
        dead_letters: Letters,
        seal: Callable[[str], str],
        tell: Callable[[Sequence[EventBatch]], None] = _nobody,
    ) -> None:
        self._inserter = inserter
        self._dead_letters = dead_letters
        self._seal, self._tell = seal, tell
        self._not_waiting: dict[int, set[int]] = {}

    def land(self, batches: Sequence[EventBatch]) -> list[int]:
        """On return every row is in ClickHouse, or acknowledged as a dead letter; the revisions of the latter are returned.

        `batches` are of one generation. Their rows go in one insert, unless they are large: ClickHouse's work for a part hardly
        depends on its size, but an insert has to be done within its time limit.
        """
        generation = batches[0].generation
        refused = []
        known = [len(batch.rejected) for batch in batches]
        for batch in batches:
            self._dead_letters.write(batch.rejected, generation)
            self._leave_dead_letters(batch)
            refused += self._wait(batch)
        for group in _together(batches):
            refused += self._insert(group, generation)
        self._tell(batches)
        for batch, before in zip(batches, known, strict=True):
            self._dead_letters.write(batch.rejected[before:], generation)
            if batch.settled is not None:
                self._inserter.insert_all("pending_changes", done_rows(batch.settled), generation)
        return refused

    def _insert(self, batches: Sequence[EventBatch], generation: int) -> list[int]:
        refused = []
        for part in _by_months(pl.concat([_interactions(batch.events) for batch in batches])):
            for row, reason in self._inserter.insert("interactions", part, generation):
                revision = row.get_column("revision")[0]
                for batch in batches:
                    _refuse(batch, revision, reason, self._seal)
                refused.append(revision)
        return refused

    def _wait(self, batch: EventBatch) -> list[int]:
        """Writes the changes that wait; those that ClickHouse refuses become dead letters, and are returned."""
        refused = []
        if batch.waiting is not None:
            for row, reason in self._inserter.insert("pending_changes", waiting_rows(batch.waiting), batch.generation):
                place = row.row(0, named=True)
                mine = batch.waiting.filter(pl.col("revision") == place["revision"])
                batch.reject_record(mine.get_column("row")[0], reason, "clickhouse", *(place[column] for column in _PLACE))
                batch.waiting = batch.waiting.filter(pl.col("revision") != place["revision"])
                refused.append(place["revision"])
        if refused:
            self._not_waiting[batch.id] = set(refused)
        return refused

    def _leave_dead_letters(self, batch: EventBatch) -> None:
        """Takes out the changes of batches before this one that were not let wait: their event came before that was known."""
        for old in [id for id in self._not_waiting if id < batch.id - _BATCHES]:
            del self._not_waiting[old]
        if batch.settled is None or not self._not_waiting:
            return
        places = batch.settled.select("batch", "revision").iter_rows()
        dead = pl.Series([revision in self._not_waiting.get(came, ()) for came, revision in places], dtype=pl.Boolean)
        revisions = batch.settled.filter(dead).get_column("revision").implode()
        batch.settled = batch.settled.filter(~dead)
        leaves = pl.col("row").is_null() & pl.col("revision").is_in(revisions)
        gone = set(batch.events.filter(leaves).select("event_key", "occurred_at").iter_rows())
        batch.events = batch.events.remove(leaves)
        batch.candidates = [each for each in batch.candidates if (each.event_key, each.occurred_at) not in gone]


def _refuse(batch: EventBatch, revision: int, reason: str, seal: Callable[[str], str]) -> None:
    """Makes the row a dead letter; of a change that waited the batch has no bytes, so it is written as a record once more."""
    refused = batch.events.get_column("revision") == revision
    waited = batch.events.filter(refused & pl.col("row").is_null())
    if waited.height and batch.settled is not None:
        change = batch.settled.filter(pl.col("revision") == revision).row(0, named=True)
        topic, partition, offset = (change[column] for column in _PLACE)
        key, raw = record_of(event_of(change, seal))
        batch.rejected.append(Rejected("clickhouse", reason, topic, partition, offset, key, raw))
        batch.events = batch.events.filter(~refused)
    else:
        batch.reject(refused, reason, "clickhouse")


class InteractionsTable:
    """Reads of the base table; they are repeated until answered."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter
        self._search = Search(inserter)

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest stored row of each event (`completion.Stored`); the minutes of created_at, where known, spare a search."""
        dated, undated = keys.filter(pl.col("created_at").is_not_null()), keys.filter(pl.col("created_at").is_null())
        answers = [*self._search.at(dated, self._newest), *self._search.anywhere(undated, self._newest)]
        return pl.concat(answers) if answers else pl.DataFrame()

    def _newest(self, where: str) -> pl.DataFrame:
        columns = ", ".join([*_EVENT, *SENTIMENT, *_OURS])
        return self._inserter.query(
            f"SELECT {columns} FROM interactions WHERE {where} ORDER BY version DESC LIMIT 1 BY event_key"
        )

    def as_landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """The rows of these changes (batch.replayed), as SingleEvent.judge wants them.

        A row that a newer one of its event has replaced by now is that newer one.
        """
        # A change may carry another created_at than its event: what is not found by it is searched by its key alone.
        dated = changes.filter(pl.col("created_at").is_not_null())
        answers = self._search.at(dated, self._versions)
        found = pl.concat(answers).get_column("event_key").implode() if answers else pl.Series([[]], dtype=pl.List(pl.UInt64))
        answers += self._search.anywhere(changes.filter(~pl.col("event_key").is_in(found)), self._versions)
        if not answers:
            return pl.DataFrame()
        rows, asked = pl.concat(answers), changes.select("event_key", "revision", "said_at", "kafka_ms")
        exact = asked.join(rows, on=["event_key", "revision"], how="inner")
        newest = rows.sort("version").unique("event_key", keep="last", maintain_order=True).drop("revision")
        replaced = asked.join(exact, on="revision", how="anti").join(newest, on="event_key", how="inner")
        return pl.concat([exact, replaced.select(exact.columns)])

    def _versions(self, where: str) -> pl.DataFrame:
        return self._inserter.query(
            f"SELECT {_TOLD} FROM interactions WHERE {where} ORDER BY version DESC LIMIT 1 BY event_key, revision"
        )

    def known_revisions(self, assigned: Sequence[Assigned], hours: float, limit: int) -> pl.Series:
        """Revisions of the partitions: (a) at or past the committed offset, (b) the newest of the window, up to `limit`."""
        since = datetime.now(UTC) - timedelta(hours=hours)
        recent = f"ingested_at >= '{since:%Y-%m-%d %H:%M:%S}'"
        topics = _partitions(assigned)
        past = " OR ".join(
            f"(partition = {p.partition} AND offset >= {p.committed})" for p in assigned if p.committed is not None
        )
        where = f"{topics} AND ({recent}" + (f" OR {past})" if past else ")")
        count = self._inserter.query(f"SELECT count() AS n FROM interactions WHERE {where}").get_column("n")[0]
        newest = "" if count <= limit else f" ORDER BY ingested_at DESC LIMIT {limit}"
        parts = [self._inserter.query(f"SELECT revision FROM interactions WHERE {where}{newest}")]
        if past and newest:
            parts.append(self._inserter.query(f"SELECT revision FROM interactions WHERE {topics} AND ({past})"))
        return pl.concat(parts).get_column("revision")

    def untold(self, assigned: Sequence[Assigned], hours: float, limit: int) -> pl.Series:
        """Revisions of the partitions of which nobody may have been told: those at or past the committed offset, where there is
        none all of the window; the newest first, `limit` at most."""
        recent = f"ingested_at >= '{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}'"
        past = [
            f"partition = {p.partition} AND {recent if p.committed is None else f'offset >= {p.committed}'}" for p in assigned
        ]
        where = f"{_partitions(assigned)} AND (({') OR ('.join(past)}))"
        newest = f"ORDER BY ingested_at DESC LIMIT {limit}"
        return self._inserter.query(f"SELECT revision FROM interactions WHERE {where} {newest}").get_column("revision")

    def landed(self, changes: pl.DataFrame) -> pl.DataFrame:
        """Which of these changes (event_key, revision, created_at of its event) have a row (`completion.Stored`)."""
        answers = self._search.at(changes, self._revisions)
        return pl.concat(answers).join(changes, on=["event_key", "revision"], how="semi")

    def _revisions(self, where: str) -> pl.DataFrame:
        return self._inserter.query(f"SELECT DISTINCT event_key, revision FROM interactions WHERE {where}")


def _partitions(assigned: Sequence[Assigned]) -> str:
    return of_partitions(assigned[0].topic, [p.partition for p in assigned])


def _interactions(frame: pl.DataFrame) -> pl.DataFrame:
    """The batch's rows as the table has them; a null is the column's default."""
    lists = [column for column in _LISTS if 0 < frame.get_column(column).null_count() < frame.height]
    return frame.select(*_EVENT, *SENTIMENT, *_OURS, *_PLACE).with_columns(
        *(pl.col(column).fill_null([]) for column in lists), ingested_at=pl.lit(_now())
    )


def _together(batches: Sequence[EventBatch]) -> list[list[EventBatch]]:
    """The batches in groups of _TOGETHER_BYTES at most, or one batch."""
    groups: list[list[EventBatch]] = []
    size = 0
    for batch in batches:
        bytes_ = batch.events.estimated_size()
        if not groups or size + bytes_ > _TOGETHER_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(batch)
        size += int(bytes_)
    return groups


def _by_months(rows: pl.DataFrame) -> list[pl.DataFrame]:
    month = rows.get_column("created_at").dt.strftime("%Y%m") if rows.height else pl.Series(dtype=pl.String)
    months = month.unique().sort()
    if len(months) <= MONTHS_AN_INSERT:
        return [rows]
    slices = [months[start : start + MONTHS_AN_INSERT] for start in range(0, len(months), MONTHS_AN_INSERT)]
    return [rows.filter(month.is_in(part.implode())) for part in slices]


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
