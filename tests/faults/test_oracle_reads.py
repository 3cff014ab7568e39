"""The oracle against the real tables and topics: what it reads is what lies there."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from confluent_kafka import Producer

from pipeline.config.settings import KafkaSettings
from tests.support.harness import Run
from tests.support.load import BRAND
from tests.support.oracle import Found, Truth, check, connect
from tests.support.reference import faultless
from tests.support.topics import positions


def test_a_lost_row_and_a_doubled_row_are_found_in_the_tables(run: Run) -> None:
    run.produce(3_000)
    topic = positions(run.settings.kafka, run.produced)
    truth, found = Truth.of(topic), faultless(topic)
    with connect(run.settings) as client:
        _write(run, found)
        assert (report := check(run.settings, truth)).ok, report

        once = found.rows.filter(~pl.col("event_key").is_duplicated())["event_key"]
        client.command(f"INSERT INTO interactions SELECT * FROM interactions WHERE event_key = {once[500]}")
        report = check(run.settings, truth)
        assert len(report.doubled) == 1 and not report.lost and not report.wrong, report

        client.command(f"ALTER TABLE interactions DELETE WHERE event_key = {once[700]}", settings={"mutations_sync": 1})
        report = check(run.settings, truth)
        assert [line.partition(") ")[2] for line in report.lost] == ["is in no table"], report
        client.command("ALTER TABLE interactions RESET SETTING max_bytes_to_merge_at_max_space_in_pool")
        client.command("OPTIMIZE TABLE interactions FINAL")
        report = check(run.settings, truth)
        assert not report.doubled and any("merged" in line for line in report.wrong), report


def _write(run: Run, found: Found) -> None:
    """Everything into its table or topic, `interactions` in several inserts."""
    rows = found.rows.rename({"row_text": "text", "row_likes": "metrics_likes"})
    rows = rows.with_columns(
        brands=pl.when(pl.col("is_deleted") == 0).then(pl.lit([BRAND])).otherwise(pl.lit([], pl.List(pl.String)))
    )
    now = pl.lit(datetime.now(UTC))  # what is old is not kept
    waiting = found.waiting.with_columns(revision=pl.row_index().cast(pl.UInt64), arrived_at=now)
    with connect(run.settings) as client:
        for part in rows.iter_slices(1_000):
            client.insert_df_arrow("interactions", part)
        client.insert_df_arrow("pending_changes", waiting)
        client.insert_df_arrow("dead_letters", found.dead_rows.with_columns(rejected_at=now))
    _write_dead_letters(run.settings.kafka, found)


def _write_dead_letters(kafka: KafkaSettings, found: Found) -> None:
    producer = Producer(kafka.client())
    for topic, partition, offset in found.dead_messages.iter_rows():
        headers = {"topic": topic, "partition": str(partition), "offset": str(offset)}
        producer.produce(kafka.topic("dead-letter"), b"", headers=headers)
    assert producer.flush(30) == 0
