"""The clients of one worker: for each use one to ClickHouse or Kafka, with a name in /live and /ready and a time limit."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.sinks.dead_letter import DeadLetters
from pipeline.sinks.evidence import EvidencePublisher, Found, LandedAuthors
from pipeline.sinks.letter_rows import LetterRows
from pipeline.sinks.signals import Signals

QUERY_S = 20
SEEDING_S = 300
"""Seeding reads all rows in a partition's window."""


class Connections:
    """Makes clients that share one fence and one set of vitals. Raises UnreachableError without ClickHouse."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.fence, self.vitals = Fence(), Vitals()
        self.events_topic = settings.kafka.topic("events")

    def client(self, timeout_s: int = QUERY_S) -> Client:
        return clickhouse_client(self._settings.clickhouse, timeout_s)

    def inserter(self, name: str, timeout_s: int = QUERY_S) -> Inserter:
        return Inserter(self.client(timeout_s), self.fence, self.vitals, name)

    def signals(self, name: str) -> Signals:
        """Topic signals, for the thread `name`."""
        kafka = self._settings.kafka
        return Signals(kafka.client(), kafka.topic("signals"), self.fence, self.vitals, name)

    def evidence(self, found: Found, table: LandedAuthors) -> EvidencePublisher:
        """Topic identity, for the landing agent."""
        kafka = self._settings.kafka
        return EvidencePublisher(kafka.client(), kafka.topic("identity"), self.fence, self.vitals, found, table)

    def dead_letters(self, inserter: Inserter, rows: LetterRows) -> DeadLetters:
        """Topic dead-letter, and its table over `inserter`."""
        kafka = self._settings.kafka
        return DeadLetters(kafka.client(), kafka.topic("dead-letter"), inserter, self.vitals, rows)
