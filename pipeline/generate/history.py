"""A stream straight into ClickHouse: months of history in minutes, as if a worker had landed it then.

The records take the worker's hot path, under a topic of their own that Kafka does not have (`generated-<stream>`): no worker's
offsets, seeds or lag know of them. Their evidence goes to topic identity, as a worker's does, and their minutes to topic
signals. Each event of the stream is there once: a second run of the same stream, or the rest of one that was killed, skips the
revisions that are there, and ReplacingMergeTree absorbs the older versions that merges had removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

import polars as pl

from pipeline.batch import Assigned, EventBatch, Rejected
from pipeline.clickhouse import fingerprints
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import check_tables
from pipeline.config.settings import KafkaSettings, Settings
from pipeline.embedded.privacy_keys import data_keys, hash_keys
from pipeline.fence import OpenFence
from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import Advance, write_truth
from pipeline.kafka.client import check_kafka
from pipeline.monitoring.health import Vitals
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.changes import Changes
from pipeline.sinks.evidence import EvidencePublisher
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.worker.customers import Following
from pipeline.worker.hot_path import HotPath
from schemas.contacts import DEFAULT

TOPIC = "generated"
FOREVER_S = 1e12


@dataclass(slots=True)
class Landed:
    """The outcomes of the records."""

    read: int = 0
    landed: int = 0
    rejected: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class TableLetters:
    """Dead letters of a topic that does not exist: into their table alone."""

    def __init__(self, inserter: Inserter, rows: LetterRows) -> None:
        self._inserter, self._rows = inserter, rows

    def write(self, rejected: Sequence[Rejected], generation: int) -> None:
        if rejected:
            self._inserter.insert_all("dead_letters", self._rows.of(rejected), generation)


def to_clickhouse(plan: Plan, settings: Settings, truth: BinaryIO, advance: Advance) -> Landed:
    """Lands the stream, and waits until ClickHouse has it all.

    Raises SettingsError without one of the two keys or with another one than before, MigrationError when `earshot migrate`
    has to run first, UnreachableError without ClickHouse or Kafka; one that goes away in between is waited for.
    """
    hashing, encrypting = hash_keys(settings), data_keys(settings)
    privacy = Pseudonymise(hashing, settings.privacy.region, DEFAULT)
    letters = LetterRows(LetterEncryption(encrypting), privacy)
    topic, rows, report = f"{TOPIC}-{plan.id}", settings.worker.batch_rows, Landed()
    check_kafka(settings.kafka)
    with clickhouse_client(settings.clickhouse) as client:
        check_tables(client)
        fingerprints.check_keys(settings.clickhouse, hashing, encrypting)
        inserter = Inserter(client, OpenFence(), Vitals(), "generate")
        table = InteractionsTable(inserter)
        index, completion, identity = _seeded(table, topic, rows), Completion(table, FOREVER_S), Identity(KeyMap())
        Following(client, inserter.vitals, identity, privacy).load()
        evidence = _evidence(settings.kafka, inserter, identity, table)
        changes = Changes(settings.kafka, "generate")
        hot_path = HotPath(
            [Decode(), privacy, Dedup(index), Mentions(plan.brands), completion, identity],
            Landing(inserter, TableLetters(inserter, letters), privacy.seal, evidence.publish, partial(_tell, changes, table)),
            [index, completion, identity],
        )
        for batch, lines in _batches(plan, topic, rows):
            batch = hot_path.process(batch)
            hot_path.land([batch])
            write_truth(truth, lines)
            report.read += batch.read
            report.landed += batch.events.height
            report.rejected += len(batch.rejected)
            report.dropped += batch.dropped
            advance(batch.read)
    return report


def _seeded(table: InteractionsTable, topic: str, rows: int) -> RevisionIndex:
    """What is there of the stream; the last batch may have landed without its evidence."""
    index, all_of_it = RevisionIndex(KeySet(1 << 40, FOREVER_S)), [Assigned(topic, 0, 0)]
    known = table.known_revisions(all_of_it, 0, 1 << 40)
    index.seed(known.get_column("revision").to_numpy(), known.get_column("event_key").to_numpy())
    index.mark_unpublished(table.unpublished(all_of_it, 0, rows).to_numpy())
    return index


def _evidence(kafka: KafkaSettings, inserter: Inserter, found: Identity, table: InteractionsTable) -> EvidencePublisher:
    return EvidencePublisher(kafka.client(), kafka.topic("identity"), inserter.fence, inserter.vitals, found, table)


def _tell(changes: Changes, table: InteractionsTable, batches: Sequence[EventBatch]) -> None:
    """The rollups hear of the rows; nobody is alerted of history."""
    for batch in batches:
        again = [] if batch.replayed is None else [table.as_landed(batch.replayed)]
        rows = [frame.select("created_at") for frame in (batch.events, *again) if frame.height]
        if rows:
            changes.changed(pl.concat(rows))


def _batches(plan: Plan, topic: str, rows: int) -> Iterator[tuple[EventBatch, list[str]]]:
    """The stream as batches of one partition, each with its truth; record n has offset n."""
    first = 0
    for number, block in enumerate(Stream(plan).blocks(rows), 1):
        batch = batch_of(block.values, first, number, topic)
        batch.keys = block.keys
        first += len(block.values)
        yield batch, block.truth
