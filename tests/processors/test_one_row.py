"""Any history of an event ends in the row that a reference, written apart from the code, says: whatever the batches are, what
is read again, when workers are killed, and what merges leave of the table."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.processors.completion import Completion
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.waiting_table import Bounds
from pipeline.sinks.memory import MemoryLanding, MemoryPending, MemoryTable
from schemas.events import LABEL_STEP
from tests.support.hot_path import PathRun, new_index
from tests.support.one_row import end_of

History = list[dict[str, Any]]
START_S = 1_790_000_000
BRANDS = Brands.model_validate({"brands": [{"name": "Acme", "keywords": ["acme"]}]})
PARTITIONS = {("events", 0), ("events", 1)}


def kafka_s(offset: int) -> float:
    """Kafka's time of a record: the times of changes lie before and after it."""
    return START_S + 10 * offset


class Workers(PathRun):
    """Workers, one after the other, over tables in memory. Late labels are written beside them."""

    def __init__(self, records: History, partitions: int, table: MemoryTable | None = None) -> None:
        self.partitions = partitions
        self.records, self.table, self.pending = records, table or MemoryTable(), MemoryPending()
        completion = Completion(self.table, 1e12, self.pending, Bounds(), clock=lambda: float(START_S))
        super().__init__(MemoryLanding(self.table, self.pending), completion, Mentions(BRANDS), clock=lambda: float(START_S))

    def stamp(self, batch: EventBatch) -> None:
        # Record n comes from partition n, modulo their number, whose offsets have nothing to do with those of the others.
        partition = (pl.col("offset") % self.partitions).cast(pl.Int32)
        batch.events = batch.events.with_columns(partition=partition, offset=pl.col("offset") + 500 * (1 - partition))
        batch.timestamps = np.array([1_000 * kafka_s(self.offset - batch.read + n) for n in range(batch.read)], np.int64)

    def read(self, count: int) -> None:
        """The next records come as a batch."""
        self.feed(*self.records[self.offset : self.offset + count])

    def kill(self, committed: int, merged: bool) -> None:
        """What flies is lost; the next worker is seeded, and reads on from offset `committed`, at most from what has landed."""
        landed = min([self.offset, *(batch.origins[0].first for batch in self.flying if batch.origins)])
        if merged and self.table.rows.height:
            self.table.rows = self.table.final()
        self.give_up()
        self.use(new_index())
        waiting = self.pending.waiting(100) if self.pending.rows.height else None
        if waiting is not None:
            self.held.load(waiting, PARTITIONS)
            self.index.seed(waiting.keys.get_column("revision").to_numpy(), np.zeros(0, np.uint64))
        if self.table.rows.height:
            self.index.seed(*(self.table.rows.get_column(name).to_numpy() for name in ("revision", "event_key")))
        self.offset = min(committed, landed)

    def label(self) -> None:
        """Each row that has none gets the label of its text, as a version of its own."""
        if self.table.rows.height:
            rows = self.table.final().filter((pl.col("is_deleted") == 0) & pl.col("sentiment_label").is_null())
            label = pl.lit("label of ") + pl.col("text").fill_null("")
            self.table.insert(rows.with_columns(version=pl.col("version") + LABEL_STEP, sentiment_label=label))

    def row(self) -> dict[str, Any] | None:
        if not self.table.rows.height:
            return None
        rows = self.table.final()
        assert rows.height == 1 and self.table.rows.get_column("created_at").n_unique() == 1, "one event is one row"
        return self.seen(rows.row(0, named=True))

    @staticmethod
    def seen(row: dict[str, Any]) -> dict[str, Any]:
        """The columns that the reference has."""
        label = row["sentiment_label"]
        assert label in (None, f"label of {row['text'] or ''}"), "a label goes with its text"
        names = {
            "likes": "metrics_likes",
            "shares": "metrics_shares",
            "handle": "author_handle",
            "followers": "author_followers",
        }
        same = ("text", "language", "conversation_id")
        columns = {name: row[column] for name, column in (names | dict(zip(same, same, strict=True))).items()}
        deleted = row["is_deleted"] == 1
        created_at = row["created_at"].strftime("%Y-%m-%dT%H:%M:%SZ")
        return columns | {"brands": None if deleted else row["brands"], "created_at": created_at, "deleted": deleted}


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(START_S + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def contents(rng: Random, least: int) -> dict[str, Any]:
    """Some of the groups, with few values, so that creates say the same again."""
    carried: dict[str, Any] = {}
    for group in rng.choice(
        (("metrics",), ("text",), ("text", "metrics"), ("author", "metrics"), () if not least else ("author",))
    ):
        if group == "text":
            carried |= {"text": rng.choice(("acme", "other"))} | rng.choice(({}, {"language": "en"}))
        elif group == "metrics":
            carried["metrics"] = {"likes": rng.randint(5, 6)} | rng.choice(({}, {"shares": 1}))
        else:
            carried["author"] = {"handle": rng.choice("ab")}
    return carried


def history(rng: Random, tied: bool) -> History:
    """Creates, second creates under the same and other times, partial updates, deletes, and redeliveries of all of them."""
    timed = rng.choice((0.1, 0.1, 0.5, 0.9))
    # Times of one history: few, which may be those of Kafka, or all distinct.
    moments = [10 * n for n in range(4)] if tied else rng.sample([10 * n + 5 for n in range(-3, 10)], 13)
    records: History = []
    for number in range(rng.randint(2, 10)):
        operation = rng.choices(("create", "update", "delete", "again"), (5, 3, 0.3, 4))[0]
        # Of records of one time, a redelivery after dedup has forgotten the first one counts as new: it has a new offset.
        if operation == "again" and records and not tied:
            records.append(rng.choice(records))
            continue
        record: dict[str, Any] = {"id": "1", "platform": "x"}
        if operation != "delete":
            record |= contents(rng, operation == "update")
        at = moment(rng.choice(moments) if tied else moments[number])
        if operation in ("update", "delete"):
            record |= {"operation": operation, "occurred_at": at}
        else:
            record |= {"kind": "post", "created_at": moment(rng.choice((-2_000, -2_000, -5_600))), "conversation_id": "c"}
            record |= {"occurred_at": at} if rng.random() < timed else {}
        records.append(record)
    return records


def check(seed: int) -> None:
    """A history, its batches, landings, late labels and kills, all by this seed."""
    rng = Random(seed)
    tied = rng.random() < 0.35
    records = history(rng, tied)
    # Of one time, records of two partitions go by arrival.
    run, kills = Workers(records, 1 if tied else rng.randint(1, 2)), rng.randint(0, 4)
    while run.offset < len(records):
        run.read(rng.randint(1, rng.choice((1, 1, 2, len(records) - run.offset))))
        if rng.random() < 0.8:
            run.land()
        if rng.random() < 0.2:
            run.label()
        if kills and rng.random() < 0.5:
            kills -= 1
            run.kill(rng.choice((run.offset, rng.randint(0, run.offset))), rng.random() < 0.9)
    run.land()
    for _ in range(2):  # changes that waited in the table
        run.landed()
    expected = end_of(records, [kafka_s(offset) for offset in range(len(records))]).row()
    assert run.row() == expected, (seed, records)


PARTS, QUICK, LONG = 4, 80, 580


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_any_history_ends_as_the_reference_says(part: int) -> None:
    for seed in range(part, QUICK, PARTS):
        check(seed)


@pytest.mark.faults
@pytest.mark.parametrize("part", range(PARTS))
def test_many_histories_end_as_the_reference_says(part: int) -> None:
    for seed in range(QUICK + part, QUICK + LONG, PARTS):
        check(seed)
