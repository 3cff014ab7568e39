"""Table pending_changes: waiting changes, as rows of the table and as completion keeps them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from pipeline.batch import Assigned, Partition
from pipeline.clickhouse.inserter import Inserter
from pipeline.processors.merge import GROUP_TIMES
from pipeline.processors.waiting import Loaded
from pipeline.processors.waiting_table import KEYS, SAME
from schemas import events
from schemas.times import TIME

_TIMES = [*events.TIMES, *GROUP_TIMES]
_CHANGE = [*events.BY_COLUMN, *GROUP_TIMES, "version", "is_deleted"]
_WAITING = [*SAME, "topic", "partition", "offset"]
_ARRIVED = "toUnixTimestamp64Milli(arrived_at) / 1000 AS arrived_at"


def _change_type(column: str) -> pl.DataType:
    if column in _TIMES:
        return pl.Int64()
    if column in ("version", "is_deleted"):
        return pl.UInt64() if column == "version" else pl.UInt8()
    return pl.List(pl.String()) if events.BY_COLUMN[column].kind == "strings" else events.polars_schema()[column]


_CHANGE_TYPE = pl.Struct({column: _change_type(column) for column in _CHANGE})


def of_partitions(topic: str, partitions: Collection[int]) -> str:
    """SQL: the rows that came from these partitions."""
    return f"topic = '{topic}' AND partition IN ({','.join(map(str, partitions))})"


class PendingTable:
    """Reads of pending_changes (`waiting_table.Pending`); they are repeated until answered."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter

    def waiting(self, assigned: Sequence[Assigned], limit: int) -> Loaded:
        """The waiting changes of these partitions: the newest `limit` whole, and the keys of the newest KEYS."""
        where = f"done = 0 AND {of_partitions(assigned[0].topic, [p.partition for p in assigned])}"
        keys = self._inserter.query(
            f"SELECT event_key, revision, topic, partition FROM pending_changes FINAL WHERE {where} "
            f"ORDER BY arrived_at DESC LIMIT {KEYS}"
        )
        return Loaded(self._changes(f"{where} ORDER BY arrived_at DESC LIMIT {limit}"), keys)

    def of(self, keys: pl.Series, last: tuple[int, int], count: int) -> pl.DataFrame:
        """The first `count` waiting changes of these events after change `last`, by event_key and revision."""
        beyond = f"(event_key > {last[0]} OR revision > {last[1]})"
        events_ = f"event_key IN ({','.join(map(str, keys))})"
        return self._changes(f"done = 0 AND {events_} AND {beyond} ORDER BY event_key, revision LIMIT {count}")

    def after(self, last: tuple[int, int], partitions: Collection[Partition], count: int) -> pl.DataFrame:
        """The first `count` waiting changes of these partitions after change `last`, by event_key and revision."""
        topics: dict[str, list[int]] = {}
        for topic, partition in partitions:
            topics.setdefault(topic, []).append(partition)
        ours = " OR ".join(of_partitions(*each) for each in topics.items()) or "0"
        beyond = f"event_key >= {last[0]} AND (event_key, revision) > ({last[0]}, {last[1]})"
        return self._changes(f"done = 0 AND {beyond} AND ({ours}) ORDER BY event_key, revision LIMIT {count}")

    def _changes(self, where: str) -> pl.DataFrame:
        rows = self._inserter.query(
            f"SELECT {', '.join(_WAITING)}, {_ARRIVED}, change FROM pending_changes FINAL WHERE {where}"
        )
        changes = rows.select(pl.col("change").str.json_decode(_CHANGE_TYPE)).unnest("change")
        changes = changes.with_columns(pl.col(column).cast(TIME) for column in _TIMES)
        return pl.concat([rows.drop("change"), changes], how="horizontal").with_columns(
            row=pl.lit(None, pl.UInt32), batch=pl.lit(None, pl.Int64), check_at=pl.lit(0.0)
        )


def waiting_rows(waiting: pl.DataFrame) -> pl.DataFrame:
    """Changes that wait from now on, as rows of the table."""
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


def done_rows(changes: pl.DataFrame) -> pl.DataFrame:
    """Changes that need not wait any more, as rows that replace those of `waiting_rows`."""
    return changes.select(*_WAITING, "occurred_at", _arrived(), pl.lit(1, pl.UInt8).alias("done"))


def _arrived() -> pl.Expr:
    return (pl.col("arrived_at") * 1000).cast(pl.Int64).cast(TIME).alias("arrived_at")
