"""Landing: what a batch has become goes to its tables, in the order that makes a replay harmless.

Dead letters first, changes that wait next, `interactions` last: only that makes a revision landed. Then signals tell of it, and
what waited and need not any more is marked done. Killed anywhere in between, the records are read again, and each write is
absorbed: dead letters and pending changes by their keys, interactions because their revisions are known; what may not have been
told is told again.

Also what the rest asks of these tables: the newest row of an event, the revisions that are known, the changes that wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import polars as pl

from pipeline.batch import EventBatch, Rejected
from pipeline.processors.alerts.single import JUDGED
from pipeline.processors.completion import GROUP_TIMES, TIME
from pipeline.processors.sentiment.labels import COLUMNS as SENTIMENT
from pipeline.produce import record_of
from pipeline.sinks.clickhouse import MONTHS_AN_INSERT, Inserter
from pipeline.sinks.search import Search
from pipeline.sources.record import event_of
from schemas import events

_LISTS = [column for column, f in events.BY_COLUMN.items() if f.kind == "strings"]
_EVENT = list(events.BY_COLUMN)
_OURS = ["event_key", "revision", "version", "is_deleted", *GROUP_TIMES]
_PLACE = ["topic", "partition", "offset"]
_TIMES = [*events.TIMES, *GROUP_TIMES]
_CHANGE = [*_EVENT, *GROUP_TIMES, "version", "is_deleted"]
_WAITING = ["event_key", "revision", *_PLACE]
_TOLD = ", ".join([*JUDGED, "text", "text_at", "revision", "version"])
_TOGETHER_BYTES = 64 << 20


def _change_type(column: str) -> pl.DataType:
    if column in _TIMES:
        return pl.Int64()
    if column in ("version", "is_deleted"):
        return pl.UInt64() if column == "version" else pl.UInt8()
    return pl.List(pl.String()) if column == events.GIVEN.column else events.polars_schema()[column]


_CHANGE_TYPE = pl.Struct({column: _change_type(column) for column in _CHANGE})


class Assigned(NamedTuple):
    """A partition that this worker just got, and its committed offset (None: there is none)."""

    topic: str
    partition: int
    committed: int | None


class Letters(Protocol):
    """Where dead letters go."""

    def write(self, rejected: Sequence[Rejected], generation: int) -> None:
        """On return they are there."""
        ...


def _nobody(batches: Sequence[EventBatch]) -> None:
    pass


class Landing:
    """Writes batches. Blocks while the database or the broker is down; raises GivenUp when the batch was given up.

    `tell` is called when their rows are in ClickHouse, and before the changes that waited are marked done.
    """

    def __init__(
        self, inserter: Inserter, dead_letters: Letters, tell: Callable[[Sequence[EventBatch]], None] = _nobody
    ) -> None:
        self._inserter = inserter
        self._dead_letters = dead_letters
        self._tell = tell

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
            refused += self._wait(batch)
        for group in _together(batches):
            refused += self._insert(group, generation)
        self._tell(batches)
        for batch, before in zip(batches, known, strict=True):
            self._dead_letters.write(batch.rejected[before:], generation)
            if batch.settled is not None:
                self._inserter.insert_all("pending_changes", _done(batch.settled), generation)
        return refused

    def _insert(self, batches: Sequence[EventBatch], generation: int) -> list[int]:
        refused = []
        for part in _by_months(pl.concat([_interactions(batch.events) for batch in batches])):
            for row, reason in self._inserter.insert("interactions", part, generation):
                revision = row.get_column("revision")[0]
                for batch in batches:
                    _refuse(batch, revision, reason)
                refused.append(revision)
        return refused

    def _wait(self, batch: EventBatch) -> list[int]:
        """Writes the changes that wait; those that ClickHouse refuses become dead letters, and are returned."""
        refused = []
        if batch.waiting is not None:
            for row, reason in self._inserter.insert("pending_changes", _pending(batch.waiting), batch.generation):
                place = row.row(0, named=True)
                mine = batch.waiting.filter(pl.col("revision") == place["revision"])
                batch.reject_record(mine.get_column("row")[0], reason, "clickhouse", *(place[column] for column in _PLACE))
                batch.waiting = batch.waiting.filter(pl.col("revision") != place["revision"])
                refused.append(place["revision"])
        return refused


def _refuse(batch: EventBatch, revision: int, reason: str) -> None:
    """Makes the row a dead letter; of a change that waited the batch has no bytes, so it is written as a record once more."""
    refused = batch.events.get_column("revision") == revision
    waited = batch.events.filter(refused & pl.col("row").is_null())
    if waited.height and batch.settled is not None:
        change = batch.settled.filter(pl.col("revision") == revision).row(0, named=True)
        topic, partition, offset = (change[column] for column in _PLACE)
        key, raw = record_of(event_of(change))
        batch.rejected.append(Rejected("clickhouse", reason, topic, partition, offset, key, raw))
        batch.events = batch.events.filter(~refused)
    else:
        batch.reject(refused, reason, "clickhouse")


class InteractionsTable:
    """Reads of the base table and of pending_changes; they are repeated until answered."""

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

    def found(self, assigned: Sequence[Assigned]) -> pl.DataFrame:
        """The changes of the partitions that waited and whose row is in interactions, but that are not marked done: a worker
        was killed in between, and nobody may have been told."""
        waits = f"{_partitions(assigned)} AND done = 0"
        return self._inserter.query(
            f"SELECT {', '.join(_WAITING)}, occurred_at, {_ARRIVED} FROM pending_changes FINAL "
            f"WHERE {waits} AND revision IN ({_LANDED.format(waits=waits)})"
        ).with_columns(pl.col("occurred_at").cast(TIME))

    def waiting(self, assigned: Sequence[Assigned]) -> pl.DataFrame:
        """The changes of the partitions that still wait, as completion keeps them."""
        waits = f"{_partitions(assigned)} AND done = 0"
        rows = self._inserter.query(
            f"SELECT {', '.join(_WAITING)}, {_ARRIVED}, change FROM pending_changes FINAL "
            f"WHERE {waits} AND revision NOT IN ({_LANDED.format(waits=waits)})"
        )
        changes = rows.select(pl.col("change").str.json_decode(_CHANGE_TYPE)).unnest("change")
        changes = changes.with_columns(pl.col(column).cast(TIME) for column in _TIMES)
        return pl.concat([rows.drop("change"), changes], how="horizontal").with_columns(
            row=pl.lit(None, pl.UInt32), check_at=pl.lit(0.0)
        )


_ARRIVED = "toUnixTimestamp64Milli(arrived_at) / 1000 AS arrived_at"
# What waited has landed after it had begun to wait, by clocks that differ by less than an hour: older arrivals are not read.
_LANDED = """
SELECT revision FROM interactions WHERE event_key IN (SELECT event_key FROM pending_changes WHERE {waits})
AND ingested_at >= (SELECT min(arrived_at) - INTERVAL 1 HOUR FROM pending_changes WHERE {waits})"""


def _partitions(assigned: Sequence[Assigned]) -> str:
    numbers = ",".join(str(p.partition) for p in assigned)
    return f"topic = '{assigned[0].topic}' AND partition IN ({numbers})"


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


def _pending(waiting: pl.DataFrame) -> pl.DataFrame:
    change = pl.struct(pl.col(c).dt.epoch("ms") if c in _TIMES else pl.col(c) for c in _CHANGE)
    return waiting.select(
        *_WAITING,
        "platform",
        "id",
        "operation",
        "occurred_at",
        _arrived(),
        change.struct.json_encode().alias("change"),
        pl.lit(0, pl.UInt8).alias("done"),
    )


def _done(settled: pl.DataFrame) -> pl.DataFrame:
    return settled.select(*_WAITING, "occurred_at", _arrived(), pl.lit(1, pl.UInt8).alias("done"))


def _arrived() -> pl.Expr:
    return (pl.col("arrived_at") * 1000).cast(pl.Int64).cast(TIME).alias("arrived_at")


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
