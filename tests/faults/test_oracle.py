"""The oracle itself: it is content with what a faultless pipeline writes, and names each fault that is planted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
import xxhash

from tests.support.load import Generator, Message
from tests.support.oracle import AT, Found, Truth, judge
from tests.support.reference import faultless
from tests.support.topics import Position

TOPIC = "t.events"


@pytest.fixture(scope="module")
def topic() -> dict[Position, Message]:
    """4,000 messages as they would lie in a topic of four partitions."""
    found: dict[Position, Message] = {}
    ends = [0] * 4
    for message in Generator(7, 1_700_000_000_000, 4_000).take(4_000):
        partition = xxhash.xxh3_64_intdigest(message.key) % 4
        found[TOPIC, partition, ends[partition]] = message
        ends[partition] += 1
    return found


@pytest.fixture(scope="module")
def truth(topic: dict[Position, Message]) -> Truth:
    return Truth.of(topic)


@pytest.fixture(scope="module")
def found(topic: dict[Position, Message]) -> Found:
    return faultless(topic)


def test_what_a_faultless_pipeline_writes_is_right(truth: Truth, found: Found) -> None:
    report = judge(truth, found)
    assert report.ok, report
    assert min(truth.deliveries.group_by("fate").len().get_column("len")) > 5
    assert report.landed > 3_000


def test_rows_that_an_insert_or_a_late_arrival_absorbed_are_not_lost(truth: Truth, found: Found) -> None:
    newest = found.rows.sort("version").group_by("event_key").last()
    assert newest.height < found.rows.height
    report = judge(truth, replace(found, rows=newest))
    assert report.ok, report


def _without(frame: pl.DataFrame, place: int) -> pl.DataFrame:
    return pl.concat([frame.head(place), frame.slice(place + 1)])


def _again(frame: pl.DataFrame, place: int) -> pl.DataFrame:
    return pl.concat([frame, frame.slice(place, 1)])


def _redelivered(frame: pl.DataFrame, truth: Truth) -> pl.DataFrame:
    """A record that was delivered twice has landed from both positions, as if its revision had been forgotten."""
    twice = truth.deliveries.filter(pl.col("record").is_duplicated() & (pl.col("fate") == "lands"))
    later = twice.group_by("record", maintain_order=True).last().join(frame.drop(AT), on="event_key").head(1)
    return pl.concat([frame, later.select(frame.columns)])


FAULTS: dict[str, tuple[str, Callable[[Found, Truth], Found]]] = {
    "a row is missing": ("lost", lambda f, _: replace(f, rows=f.rows.filter(pl.col("event_key") != f.rows["event_key"][50]))),
    "an update is missing": ("wrong", lambda f, _: replace(f, rows=_without_newest(f.rows))),
    "a row is there twice": ("doubled", lambda f, _: replace(f, rows=_again(f.rows, 50))),
    "a redelivery landed": ("doubled", lambda f, t: replace(f, rows=_redelivered(f.rows, t))),
    "an event is there twice with FINAL": ("doubled", lambda f, _: replace(f, final=_again(f.final, 50))),
    "a row has another record's offset": ("wrong", lambda f, _: replace(f, rows=_shifted(f.rows))),
    "a waiting change is gone": ("lost", lambda f, _: replace(f, waiting=_without(f.waiting, 0))),
    "a dead letter is missing in the table": ("lost", lambda f, _: replace(f, dead_rows=_without(f.dead_rows, 0))),
    "a dead letter is missing in the topic": ("lost", lambda f, _: replace(f, dead_messages=_without(f.dead_messages, 0))),
    "a good record is refused": ("wrong", lambda f, _: replace(f, dead_rows=f.rows.select(AT).head(1).vstack(f.dead_rows))),
    "a row has old content": ("wrong", lambda f, _: replace(f, rows=f.rows.with_columns(row_likes=pl.lit(-1, pl.Int64)))),
    "a tombstone keeps its text": ("wrong", lambda f, _: replace(f, rows=f.rows.with_columns(row_text=pl.lit("still here")))),
    "a named query counts one too many": ("wrong", lambda f, _: replace(f, mentions=f.mentions + 1)),
    "parts were merged": ("wrong", lambda f, _: replace(f, merged=True)),
}  # fmt: skip


def _without_newest(rows: pl.DataFrame) -> pl.DataFrame:
    """The event with most rows has lost its newest one, an update that an older row can't stand for."""
    edited = rows.filter(pl.col("event_key").is_duplicated() & (pl.col("is_deleted") == 0)).sort("version")
    key = edited.group_by("event_key", maintain_order=True).len().sort("len")["event_key"][-1]
    return rows.filter(pl.col("version") != edited.filter(pl.col("event_key") == key)["version"][-1])


def _shifted(rows: pl.DataFrame) -> pl.DataFrame:
    partition = rows["partition"][0]
    return rows.with_columns(
        offset=pl.when(pl.col("partition") == partition).then(pl.col("offset") + 1).otherwise(pl.col("offset"))
    )


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name: str, truth: Truth, found: Found) -> None:
    where, plant = FAULTS[name]
    report = judge(truth, plant(found, truth))
    assert getattr(report, where), f"not noticed: {report}"
    assert not report.ok


def test_zombie_rows_are_allowed_by_number_and_never_with_final(truth: Truth, found: Found) -> None:
    doubled = replace(found, rows=pl.concat([found.rows, found.rows.slice(100, 5)]))
    assert judge(truth, doubled, allow_zombie_rows=5).ok
    assert judge(truth, doubled, allow_zombie_rows=5).zombie_rows == 5
    assert len(judge(truth, doubled, allow_zombie_rows=4).doubled) == 5
    twice = replace(doubled, final=_again(found.final, 3))
    assert judge(truth, twice, allow_zombie_rows=5).doubled


def test_an_expected_drop_may_be_nowhere(truth: Truth, found: Found) -> None:
    key = random.Random(1).choice(found.final["event_key"].to_list())
    gone = replace(found, rows=found.rows.filter(pl.col("event_key") != key), mentions=found.mentions - 1)
    drops = truth.deliveries.filter(pl.col("event_key") == key).select(AT).rows()
    assert judge(truth, gone).lost
    assert judge(truth, gone, expected_drops=drops).ok


def test_the_report_names_the_first_ten(truth: Truth, found: Found) -> None:
    report = judge(truth, replace(found, rows=found.rows.clear()))
    lines = str(report).splitlines()
    assert len(lines) == 12
    assert "t.events[" in lines[1] and "is in no table" in lines[1]
    assert lines[-1] == f"  lost: and {len(report.lost) - 10} more"
