"""The oracle of the delivery contract: it compares identities, never counters.

Truth is what lies in the topic: each (topic, partition, offset) is a delivery of a record that the load generator named. The
oracle reads back everything that the pipeline wrote (tables `interactions`, `pending_changes`, `dead_letters`, the dead-letter
topic) and says which deliveries are lost, which records landed twice, and what is there that shouldn't be.

A record landed when a row carries one of its positions, or when its event has a row at least as new: a change that came too
late changes nothing, and changes that met in one batch may become one row. What such a row hides, the content shows: each
event's newest row has to hold the newest text, the newest counts, and whether it was deleted.

Each dead letter stands for one delivery: no load has a batch that Kafka's client can't unpack, whose one letter stands for a
range of offsets (tests/integration/test_unreadable.py); the oracle's own client could not read it either.

Merges are off for `interactions` (`stop_merges`: a setting of the table, so it outlives the engine), so that a double insert
stays two rows. The oracle objects when a part was merged all the same (it covers more than one insert): then doubles may have
been absorbed. With `optimize_on_insert` two equal rows inside one insert would be absorbed, too: the worker inserts without.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from schemas.events import OFFSET_SHIFT
from schemas.queries import named_queries
from tests.support.load import BRAND, Message
from tests.support.queries import asked
from tests.support.topics import Position, read_topic

MINOR_MASK = (1 << OFFSET_SHIFT) - 1
AT = ["topic", "partition", "offset"]
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Truth:
    """`deliveries`: a row a position in the topic. `events`: a row an event, how it has to look in the end."""

    deliveries: pl.DataFrame
    events: pl.DataFrame

    @classmethod
    def of(cls, messages: Mapping[Position, Message]) -> Truth:
        created = {m.event for m in messages.values() if m.operation == "create"}

        def fate(message: Message) -> str:
            if message.event < 0:
                return "dead"
            return "lands" if message.event in created else "waits"

        deliveries = pl.DataFrame(
            [(*at, m.record, m.event_key, fate(m), m.operation, m.occurred_ms) for at, m in messages.items()],
            {
                **{"topic": pl.String, "partition": pl.Int32, "offset": pl.Int64, "record": pl.Int64},
                **{"event_key": pl.UInt64, "fate": pl.String, "operation": pl.String, "occurred_ms": pl.UInt64},
            },
            orient="row",
        )
        changes = pl.DataFrame(
            [
                (m.event_key, m.occurred_ms, m.text, m.likes, m.operation == "delete")
                for m in messages.values()
                if m.event in created
            ],
            {"event_key": pl.UInt64, "at": pl.UInt64, "text": pl.String, "likes": pl.Int64, "deleted": pl.Boolean},
            orient="row",
        )
        newest = [pl.col(name).sort_by("at").drop_nulls().last() for name in ("text", "likes")]
        return cls(deliveries, changes.group_by("event_key").agg(*newest, pl.col("deleted").any()))


@dataclass(frozen=True, slots=True)
class Found:
    """What the pipeline wrote."""

    rows: pl.DataFrame
    """Table `interactions`, without FINAL."""
    final: pl.DataFrame
    """Column `event_key` of the same with FINAL: a row a row."""
    waiting: pl.DataFrame
    dead_rows: pl.DataFrame
    dead_messages: pl.DataFrame
    mentions: int
    """What the named query `brands` counts for the brand of the load."""
    merged: bool


@dataclass(slots=True)
class Report:
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    zombie_rows: int = 0
    """Rows of `interactions` that are there twice without FINAL, whether they were allowed or not."""
    landed: int = 0
    """Rows of `interactions`."""

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        lines = [f"{self.landed} rows landed; lost {len(self.lost)}, doubled {len(self.doubled)}, wrong {len(self.wrong)}"]
        for name in ("lost", "doubled", "wrong"):
            found: list[str] = getattr(self, name)
            lines += [f"  {name}: {line}" for line in found[:SHOWN]]
            if len(found) > SHOWN:
                lines.append(f"  {name}: and {len(found) - SHOWN} more")
        return "\n".join(lines)


def check(settings: Settings, truth: Truth, *, expected_drops: Collection[Position] = (), allow_zombie_rows: int = 0) -> Report:
    """Reads everything and judges it.

    `expected_drops` may be nowhere. `allow_zombie_rows` rows may be there twice, though never with FINAL.
    """
    return judge(truth, read(settings), expected_drops=expected_drops, allow_zombie_rows=allow_zombie_rows)


def judge(truth: Truth, found: Found, *, expected_drops: Collection[Position] = (), allow_zombie_rows: int = 0) -> Report:
    drops = pl.DataFrame(list(expected_drops), {name: truth.deliveries.schema[name] for name in AT}, orient="row")
    expected = truth.deliveries.join(drops, on=AT, how="anti")
    report = Report(landed=found.rows.height)
    _find_lost(expected, found, report)
    _find_doubled(truth.deliveries, found, allow_zombie_rows, report)
    _find_strangers(truth.deliveries, found, report)
    events = truth.events.join(expected, on="event_key", how="semi")
    _compare_content(events, found.rows, report)
    there = events.filter(~pl.col("deleted")).height
    if found.mentions != there:
        report.wrong.append(f"query brands counts {found.mentions} mentions, there are {there} events")
    if found.merged:
        report.wrong.append("parts of interactions were merged: doubles may have been absorbed")
    return report


def _find_lost(expected: pl.DataFrame, found: Found, report: Report) -> None:
    """Events by record (one delivery is enough); dead letters by delivery, in the table and in the topic."""
    # Not by version: a tombstone's is above all.
    times = found.rows.select(*AT, "event_key").join(expected.select(*AT, "occurred_ms"), on=AT)
    newest = times.group_by("event_key").agg(newest=pl.col("occurred_ms").max())
    lands = expected.filter(pl.col("fate") == "lands").join(newest, on="event_key", how="left")
    there = lands.join(found.rows, on=AT, how="semi").get_column("record").implode()
    passed = (pl.col("newest") >= pl.col("occurred_ms")).fill_null(False)
    lost = lands.filter(~pl.col("record").is_in(there) & ~passed).unique("record", keep="first", maintain_order=True)
    waits_still = lost.join(found.waiting, on="event_key", how="semi").get_column("record").to_list()
    report.lost += [
        _say(row) + (" still waits for its create, which landed" if row["record"] in waits_still else " is in no table")
        for row in lost.iter_rows(named=True)
    ]
    waits = expected.filter(pl.col("fate") == "waits")
    waiting = waits.join(found.waiting, on=AT, how="semi").get_column("record").implode()
    gone = waits.filter(~pl.col("record").is_in(waiting)).unique("record", keep="first", maintain_order=True)
    report.lost += [f"{_say(row)} does not wait in pending_changes" for row in gone.iter_rows(named=True)]
    dead = expected.filter(pl.col("fate") == "dead")
    for place, letters in (("table", found.dead_rows), ("topic", found.dead_messages)):
        missing = dead.join(letters, on=AT, how="anti")
        report.lost += [f"{_say(row)} is not in the dead-letter {place}" for row in missing.iter_rows(named=True)]


def _find_doubled(deliveries: pl.DataFrame, found: Found, allowed: int, report: Report) -> None:
    """By the record that a row's position belongs to, and by the revision that the pipeline gave it: each once a minor."""
    rows = found.rows.join(deliveries.select(*AT, "record"), on=AT, how="left").with_columns(
        minor=pl.col("version") & MINOR_MASK
    )
    twice = rows.filter(pl.struct("record", "minor").is_duplicated() | pl.struct("revision", "minor").is_duplicated())
    groups = twice.sort(AT).group_by("record", "minor", maintain_order=True).agg("event_key", "revision", "partition", "offset")
    report.zombie_rows = twice.height - groups.height
    if report.zombie_rows > allowed:
        for record, minor, keys, revisions, partitions, offsets in groups.iter_rows():
            places = ", ".join(f"[{partition}]:{offset}" for partition, offset in zip(partitions, offsets, strict=True))
            named = f"record {record}, event_key {keys[0]}, revision {revisions[0]}, minor {minor}"
            report.doubled.append(f"{named}: rows from {places}")
    final = found.final.filter(pl.col("event_key").is_duplicated()).unique(maintain_order=True)
    report.doubled += [f"event_key {key} twice with FINAL" for key in final.get_column("event_key")]


def _find_strangers(deliveries: pl.DataFrame, found: Found, report: Report) -> None:
    """Rows that belong to no delivery, or to another than they say; good records among the dead letters."""
    good = deliveries.filter(pl.col("fate") != "dead")
    strange = found.rows.join(good, on=[*AT, "event_key"], how="anti")
    report.wrong += [f"{_say(row)} is no delivery of event_key {row['event_key']}" for row in strange.iter_rows(named=True)]
    dead = deliveries.filter(pl.col("fate") == "dead")
    for place, letters in (("table", found.dead_rows), ("topic", found.dead_messages)):
        refused = letters.unique(AT).join(dead, on=AT, how="anti")
        report.wrong += [f"{_say(row)} is in the dead-letter {place}" for row in refused.iter_rows(named=True)]
    landed = found.rows.join(deliveries.select(*AT, "record"), on=AT).select("record", "revision").unique()
    for name, other in (("record", "revision"), ("revision", "record")):
        mixed = landed.group_by(name).agg(other).filter(pl.col(other).list.len() > 1)
        report.wrong += [f"{name} {value} has {other}s {others}" for value, others in mixed.iter_rows()]


def _compare_content(events: pl.DataFrame, rows: pl.DataFrame, report: Report) -> None:
    """The newest row of each event says what its records say; of a deleted one only that it is deleted."""
    newest = (
        rows.sort("version").group_by("event_key").last().select("event_key", "offset", "is_deleted", "row_text", "row_likes")
    )
    both = events.join(newest, on="event_key")
    deleted = pl.col("is_deleted") == 1
    differs = pl.col("text").ne_missing(pl.col("row_text")) | pl.col("likes").ne_missing(pl.col("row_likes"))
    blank = (pl.col("row_text") == "") & pl.col("row_likes").is_null()
    other = both.filter((deleted != pl.col("deleted")) | (~pl.col("deleted") & differs) | (pl.col("deleted") & ~blank))
    for row in other.iter_rows(named=True):
        wanted = "deleted" if row["deleted"] else f"{row['text']!r}, {row['likes']} likes"
        is_there = f"{row['row_text']!r}, {row['row_likes']} likes{', deleted' if row['is_deleted'] else ''}"
        report.wrong.append(f"event_key {row['event_key']} (offset {row['offset']}) is {is_there}, not {wanted}")


def _say(row: dict[str, object]) -> str:
    return f"{row['topic']}[{row['partition']}]:{row['offset']} ({row.get('operation', 'dead letter')})"


# --- reading --------------------------------------------------------------------------------------------------------
def stop_merges(settings: Settings) -> None:
    """Merges of `interactions` are off from here on, also after the engine's restart (SYSTEM STOP MERGES is not)."""
    with connect(settings) as client:
        names = ("max_bytes_to_merge_at_max_space_in_pool", "max_bytes_to_merge_at_min_space_in_pool")
        client.command(f"ALTER TABLE interactions MODIFY SETTING {', '.join(f'{name} = 1' for name in names)}")


def connect(settings: Settings) -> Client:
    return clickhouse_client(settings.clickhouse)


def read(settings: Settings) -> Found:
    """Everything that the pipeline wrote under these settings."""
    with connect(settings) as client:
        rows = _frame(
            client,
            "SELECT topic, partition, offset, event_key, revision, version, is_deleted, text AS row_text, "
            "metrics_likes AS row_likes FROM interactions",
        )
        final = _frame(client, "SELECT event_key FROM interactions FINAL")
        waiting = _frame(client, "SELECT topic, partition, offset, event_key FROM pending_changes FINAL WHERE done = 0")
        dead = _frame(client, "SELECT topic, partition, offset FROM dead_letters")
        brands = named_queries()["brands"]
        always = asked(brands, **{"from": "1970-01-01", "to": "2090-01-01"})
        mentions = client.command(f"SELECT sum(mentions) FROM ({brands.sql}) WHERE brand = '{BRAND}'", parameters=always)
        merged = client.command(
            "SELECT countIf(min_block_number < max_block_number) FROM system.parts "
            "WHERE active AND table = 'interactions' AND database = currentDatabase()"
        )
    letters = dead_letter_positions(settings)
    return Found(rows, final, waiting, dead, letters, int(str(mentions)), merged=str(merged) != "0")


def _frame(client: Client, sql: str) -> pl.DataFrame:
    table = client.query_arrow(sql, settings={"output_format_arrow_low_cardinality_as_dictionary": 0})
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def dead_letter_positions(settings: Settings) -> pl.DataFrame:
    """Where the messages of the dead-letter topic came from, by their headers."""
    found = []
    for message in read_topic(settings.kafka, settings.kafka.topic("dead-letter")):
        headers = dict(cast(list[tuple[str, bytes]], message.headers()))
        found.append((headers["topic"].decode(), int(headers["partition"]), int(headers["offset"])))
    return pl.DataFrame(found, {"topic": pl.String, "partition": pl.Int32, "offset": pl.Int64}, orient="row")
