"""Recorded data through a real worker: what became of every row of every file, by positions and not by counters.

The files hold real people's words and names. A failure prints what it compares, so records are known here by their hashes, and
by the brands and hours of their events.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import xxhash

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.migrate import migrate
from pipeline.sources.recorded.replay import replay
from pipeline.sources.recorded.report import ReplayReport
from tests.sources.recorded.test_recorded_data import EXPECTED
from tests.support.letters import read_letters
from tests.support.oracle import stop_merges
from tests.support.topics import Position, end_offsets, lag, read_topic
from tests.support.worker import Worker, wait_for

TABLES = (".csv", ".tsv", ".json")
CAPTURES = {"mastodon_stream.jsonl": 48, "mastodon_stream_with_broken_line.jsonl": 50, "bluesky_jetstream.jsonl": 152}
"""Lines as a platform sent them: no mapping makes events of these, so that each is a dead letter."""
AIRLINES = {"United", "US Airways", "American Airlines"}


Mention = tuple[datetime, str]
"""The hour and the brand."""


class Replayed(NamedTuple):
    report: ReplayReport
    positions: set[Position]


class Outcome(NamedTuple):
    """Where each record of the topic is now. `landed` has a position as often as it has rows."""

    records: dict[Position, int]
    """The hash of the bytes."""
    mentions: dict[Position, list[Mention]]
    landed: Counter[Position]
    dead: dict[Position, tuple[str, int]]
    """The reason, and the hash of the bytes."""
    waiting: set[Position]

    def duplicates(self, positions: set[Position]) -> set[Position]:
        """Those that are nowhere else, each with the very bytes of a record that landed. Any other is lost."""
        rest = positions - self.landed.keys() - self.dead.keys() - self.waiting
        known = {self.records[position] for position in self.landed}
        assert {position for position in rest if self.records[position] not in known} == set()
        return rest


@pytest.fixture
def stream(recorded: Path) -> Path:
    if not (recorded / "stream").is_dir():
        pytest.skip(f"no recorded stream at {recorded} (EARSHOT_DATA)")
    return recorded / "stream"


@pytest.fixture
def worker(stream: Path, settings: Settings, tmp_path: Path) -> Iterator[Worker]:
    migrate(settings)
    stop_merges(settings)  # a merge would hide what landed twice
    worker = Worker(settings, tmp_path / "worker.log")
    try:
        worker.wait_ready()
        yield worker
    finally:
        worker.close()


def test_every_recorded_row_is_accounted_for(stream: Path, settings: Settings, worker: Worker) -> None:
    tables = sorted(path for path in stream.iterdir() if path.suffix in TABLES)
    assert {path.name for path in tables} == EXPECTED.keys()
    replayed = {path.name: send(settings, path) for path in (*tables, *(stream / name for name in CAPTURES))}
    wait_for("all is read", lambda: not lag(settings.kafka))
    outcome = ask(settings)

    for path in tables:
        accounted(path.name, replayed[path.name], outcome)
    for name, lines in CAPTURES.items():
        refused(name, lines, replayed[name], outcome)
    reports = [done.report for done in replayed.values()]
    total = outcome.landed.total() + len(outcome.duplicates(set(outcome.records))) + len(outcome.dead) + len(outcome.waiting)
    assert sum(report.events for report in reports) == total + sum(len(report.unmapped) for report in reports)
    brands_by_hour(settings, worker, outcome)
    lands_once(settings, stream / "airline_tweets.csv", outcome)
    assert worker.status("/live") == worker.status("/ready") == 200


def accounted(name: str, replayed: Replayed, outcome: Outcome) -> None:
    """Events = landed + duplicates + dead letters + waiting + unmapped, each record in one of these alone."""
    report, here = replayed
    rows, mapped, distinct = EXPECTED[name]
    assert (report.rows, report.produced, report.failed.total()) == (rows, mapped, 0), name
    landed, dead, waiting = here & outcome.landed.keys(), here & outcome.dead.keys(), here & outcome.waiting
    duplicates = outcome.duplicates(here)
    assert (len(landed), len(duplicates), dead, waiting) == (distinct, mapped - distinct, set(), set()), name
    assert {position for position in landed if outcome.landed[position] != 1} == set(), name
    assert {outcome.records[position] for position in duplicates} <= {outcome.records[position] for position in landed}, name
    assert report.events == len(landed) + len(duplicates) + len(dead) + len(waiting) + len(report.unmapped), name
    assert [row.line for row in report.unmapped] == [], name


def refused(name: str, lines: int, replayed: Replayed, outcome: Outcome) -> None:
    """Every line is a dead letter that says why, and holds the line as it was."""
    report, here = replayed
    assert (report.rows, report.events, report.produced, list(report.unmapped)) == (lines, lines, lines, []), name
    assert here <= outcome.dead.keys() and not here & outcome.landed.keys(), name
    assert {position for position in here if not outcome.dead[position][0].strip()} == set(), name
    assert {position for position in here if outcome.dead[position][1] != outcome.records[position]} == set(), name


def brands_by_hour(settings: Settings, worker: Worker, outcome: Outcome) -> None:
    """`earshot query brands` counts each landed event once an hour and brand that its source named."""
    expected = Counter(mention for position in outcome.landed for mention in outcome.mentions[position])
    shown = query_brands(settings, worker)
    assert {brand for _, brand in expected} >= AIRLINES
    named = {brand for _, brand in expected}
    assert {key: count for key, count in shown.items() if key[1] in named} == dict(expected)
    assert sum(count for (_, brand), count in shown.items() if brand in AIRLINES) == EXPECTED["airline_tweets.csv"][2]


def query_brands(settings: Settings, worker: Worker) -> dict[Mention, int]:
    command = [sys.executable, "-m", "pipeline.cli", "query", "brands", "--from", "2006-01-01", "--format", "json"]
    done = subprocess.run(command, env=child_environment(settings), capture_output=True, check=True)
    rows: list[dict[str, Any]] = [orjson.loads(line) for line in done.stdout.splitlines()]
    return {(datetime.fromisoformat(row["hour"]), row["brand"]): row["mentions"] for row in rows}


def lands_once(settings: Settings, path: Path, before: Outcome) -> None:
    """A file that is replayed again lands nothing: each of its records is a duplicate."""
    report, here = send(settings, path)
    wait_for("all is read again", lambda: not lag(settings.kafka))
    after = ask(settings)
    assert len(here) == report.produced == EXPECTED[path.name][1]
    assert after.duplicates(here) == here
    assert (after.landed, after.dead.keys(), after.waiting) == (before.landed, before.dead.keys(), before.waiting)


# --- the topic and the tables ---------------------------------------------------------------------------------------
def send(settings: Settings, path: Path) -> Replayed:
    """Replays a file; its positions are those by which the partitions grew, for nothing else is producing."""
    topic = settings.kafka.topic("events")
    before = end_offsets(settings.kafka, topic)
    report = replay(settings, [path])
    after = end_offsets(settings.kafka, topic)
    places = {(topic, number, offset) for number in after for offset in range(before[number][1], after[number][1])}
    assert len(places) == report.produced, path.name
    return Replayed(report, places)


def ask(settings: Settings) -> Outcome:
    """Raw rows are read, not FINAL: what landed twice would show."""
    records, mentions = {}, {}
    for record in read_topic(settings.kafka, settings.kafka.topic("events")):
        position, value = (str(record.topic()), int(record.partition() or 0), int(record.offset() or 0)), record.value() or b""
        records[position] = xxhash.xxh3_64_intdigest(value)
        mentions[position] = mentions_of(value)
    with clickhouse_client(settings.clickhouse) as client:
        landed = client.query("SELECT topic, partition, offset FROM interactions").result_rows
        dead = read_letters(client)
        waiting = client.query("SELECT topic, partition, offset FROM pending_changes FINAL WHERE done = 0").result_rows
    letters = {each[:3]: (each.reason, xxhash.xxh3_64_intdigest(each.raw)) for each in dead}
    assert len(letters) == len(dead)
    positions = Counter((row[0], row[1], row[2]) for row in landed)
    return Outcome(records, mentions, positions, letters, {(row[0], row[1], row[2]) for row in waiting})


def mentions_of(record: bytes) -> list[Mention]:
    try:
        event = orjson.loads(record)
        hour = datetime.fromisoformat(event["created_at"]).replace(minute=0, second=0, microsecond=0, tzinfo=None)
        return [(hour, brand) for brand in event.get("brands", ())]
    except (orjson.JSONDecodeError, KeyError):
        return []
