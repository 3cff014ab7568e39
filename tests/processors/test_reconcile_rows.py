"""Rows of one event that landed beyond the dedup window become the row that the reference of test_one_row says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pytest

from pipeline.processors.merge import NEVER, ORIGIN
from pipeline.processors.one_row import OneRow, one_row
from pipeline.sinks.landing import COLUMNS
from pipeline.sinks.memory import MemoryTable
from schemas.times import TIME
from tests.processors.test_one_row import START_S, History, Workers, contents, history, kafka_s, moment
from tests.support.hot_path import new_index
from tests.support.one_row import end_of


class Table(MemoryTable):
    """Rows that know when they landed; a merge keeps one of each minute."""

    def insert(self, rows: pl.DataFrame) -> None:
        if "ingested_at" not in rows.columns:
            # Each record landed at its own time, as Workers.stamp has moved the offsets.
            place = pl.col("offset") - 500 * (1 - pl.col("partition"))
            at = (1_000 * (START_S + 10 * place)).cast(TIME)
            rows = rows.with_columns(ingested_at=at, landed_at=pl.col("landed_at").fill_null(at), moved_to=NEVER)
        super().insert(rows)

    def merged(self) -> pl.DataFrame:
        """The newest version of each row."""
        rows = self.rows.with_columns(minute=pl.col("created_at").dt.truncate("1m")).sort("version", maintain_order=True)
        return rows.unique(["event_key", "minute"], keep="last", maintain_order=True).drop("minute")

    def final(self) -> pl.DataFrame:
        """The newest row of each event: that which is not moved."""
        return self.merged().sort(pl.col("moved_to") == NEVER, "version", maintain_order=True).unique("event_key", keep="last")

    def reconcile(self, settled: bool = True) -> OneRow:
        rows = self.rows.sort("version", maintain_order=True)
        rows = rows.unique(["event_key", "created_at", "topic", "partition"], keep="last", maintain_order=True)
        rows = rows.select(*COLUMNS, *ORIGIN, "ingested_at", "moved_to")
        rows = rows.with_columns(pl.col("other_created_at", "text_at", "metrics_at", "author_at").fill_null(NEVER))
        now = datetime.fromtimestamp(START_S, UTC) + timedelta(days=9)
        answer = one_row(rows, now, now + timedelta(1 if settled else -1))
        for each in answer:
            self.insert(each)
        return answer


def later(rng: Random, epoch: int, number: int) -> dict[str, Any]:
    """A record from after the window: each create says something new, unless it gives its time."""
    operation = rng.choices(("create", "update", "delete"), (5, 3, 0.3))[0]
    at = moment(10 * number + rng.choice((5, -45, -95)))
    record: dict[str, Any] = {"id": "1", "platform": "x"}
    if operation != "delete":
        record |= contents(rng, operation == "update")
    if operation != "create":
        return record | {"operation": operation, "occurred_at": at}
    record |= {"metrics": {"likes": 100 + number}} | ({"occurred_at": at} if rng.random() < 0.4 else {})
    return record | {"kind": "post", "created_at": moment(-9_000 - 3_600 * epoch), "conversation_id": f"c{epoch}"}


def again(rng: Random, epoch: int, records: History) -> dict[str, Any]:
    """The event's first create under another time, if it gave no time of its own. (No row says what a create said that changed
    nothing, as a later one may.)"""
    first = next((each for each in records if each.get("operation", "create") == "create"), {"occurred_at": ""})
    if "occurred_at" in first:
        return later(rng, epoch, len(records))
    return first | {"created_at": moment(-9_000 - 3_600 * epoch)}


def check(seed: int) -> None:
    """A history of three dedup windows, with merges, reconciled now and then, by this seed."""
    rng = Random(seed)
    records: History = history(rng, False)
    ends = [len(records)]
    for epoch in range(2):
        if rng.random() < 0.4:
            records.append(again(rng, epoch, records))
        else:
            records += [later(rng, epoch, len(records) + number) for number in range(rng.randint(1, 4))]
        ends.append(len(records))
    table = Table()
    run = Workers(records, rng.randint(1, 2), table)
    for end in ends:
        while run.offset < end:
            run.read(1)
            run.land()
        for _ in range(2):
            run.landed()
        run.use(new_index())
        if table.rows.height and rng.random() < 0.5:
            table.rows = table.merged()
        if table.rows.height and rng.random() < 0.5:
            table.reconcile(rng.random() < 0.5)
    expected = end_of(records, [kafka_s(offset) for offset in range(len(records))]).row()
    if not table.rows.height:
        assert expected is None
        return
    for _ in range(3):
        table.reconcile()
    live = table.merged().filter(pl.col("moved_to") == NEVER)
    assert live.height == 1, (seed, records)
    assert run.seen(live.row(0, named=True)) == expected, (seed, records)
    assert not any(part.height for part in table.reconcile()), "a second run changes nothing"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_any_history_of_several_windows_ends_as_the_reference_says(part: int) -> None:
    for seed in range(part, 60, 2):
        check(seed)
