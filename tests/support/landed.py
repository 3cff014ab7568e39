"""Records in table interactions as a worker lands them, without Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.fence import OpenFence
from pipeline.generate.history import TableLetters
from pipeline.monitoring.health import Vitals
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.step import Step
from pipeline.worker.hot_path import HotPath
from schemas.contacts import DEFAULT
from tests.support.letters import ROWS

BATCH = 10_000
FOREVER_S = 1e12


def land(client: Client, records: Sequence[bytes], brands: Brands | None = None) -> None:
    """All of them; their brands are those of the file, and those that the records give."""
    inserter = Inserter(client, OpenFence(), Vitals(), "test")
    index, privacy = RevisionIndex(KeySet(1 << 40, FOREVER_S)), Pseudonymise(b"key", "", DEFAULT)
    completion = Completion(InteractionsTable(inserter), FOREVER_S)
    steps: list[Step | None] = [Decode(), privacy, Dedup(index), Mentions(brands or Brands(brands=())), completion]
    path = HotPath(steps, Landing(inserter, TableLetters(inserter, ROWS), privacy.seal), [index, completion])
    for number, first in enumerate(range(0, len(records), BATCH), 1):
        path.land([path.process(batch_of(list(records[first : first + BATCH]), first, number))])
