"""The state of broker, topics and lag, tables, migrations, linked customers, worker, control, customers and listener."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException

from pipeline.api.client import url_of
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables, read_migrations
from pipeline.clickhouse.query import asker, one_line, settings_for
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError, UnreachableError
from pipeline.kafka.client import check_kafka, kafka_reason
from pipeline.kafka.outside import outside
from pipeline.kafka.topics import topic_configs
from pipeline.maintenance.group_offsets import PartitionState, states
from pipeline.maintenance.processes import ask, urls
from pipeline.rollups.marks import read_marks
from pipeline.rollups.rollup import quarter_of, start_of
from pipeline.rollups.tables import load_rollups
from schemas.times import utc_now

_SOURCE = "if(source_name = '', platform, source_name) AS source"
_SECOND_CREATES = f"""
SELECT {_SOURCE}, sum(greatest(length(create_revisions), 1) - 1) AS second, countIf(other_created_at > 0) AS moved
FROM interactions FINAL
WHERE ingested_at >= now() - INTERVAL 1 DAY AND notEmpty(create_revisions)
GROUP BY source HAVING second + moved > 0 ORDER BY second DESC, source LIMIT 20"""
# Without FINAL, which hides the rows that are moved.
_RECONCILED = f"""
SELECT {_SOURCE}, uniqExact(event_key, created_at) AS rows FROM interactions
WHERE ingested_at >= now() - INTERVAL 1 DAY AND moved_to > 0 GROUP BY source ORDER BY rows DESC, source LIMIT 20"""
_LINKED = "SELECT uniqExact(customer), count() FROM assignments FINAL"
_EDGES = "SELECT count() FROM identity_edges FINAL"
_QUEUE = "SELECT reason, count() AS edges FROM identity_queue FINAL GROUP BY reason ORDER BY edges DESC, reason"
_BREAKER = "SELECT count() FROM identity_marks FINAL WHERE name = 'breaker' AND value > 0"
_DEFERRED = "SELECT count() FROM interactions FINAL WHERE sentiment_status = 'deferred'"


class TableState(NamedTuple):
    """The size of a table."""

    name: str
    rows: int
    """Stored rows, including versions that ClickHouse has not merged yet."""
    bytes: int


class SecondCreates(NamedTuple):
    """Second creates of the events that changed within a day, by source: by platform where it names none."""

    source: str
    second: int
    """Creates beyond the first one of their event, 49 of an event at most."""
    moved: int
    """Events for which one of them named another created_at."""
    reconciled: int
    """Rows that were moved to the row of their event within that day."""


class Linked(NamedTuple):
    """What links accounts to customers, and how many customers have several."""

    customers: int
    profiles: int
    """Accounts and CRM records of these."""
    edges: int
    """Evidence, once for each basis."""
    queue: dict[str, int]
    """Edges that link nobody, by reason."""


class KafkaState(NamedTuple):
    """What Kafka holds for the workers."""

    events: list[PartitionState]
    dead_letters: int
    """Records in the dead-letter topic."""
    problems: list[str]
    """Topics that are missing, and offsets that were lost; a line each."""

    @property
    def lag(self) -> int:
        """Records that exist and are unread."""
        return sum(partition.lag for partition in self.events)


@dataclass(slots=True)
class Status:
    """The state of each part; `problems` has a line for each problem."""

    events: list[PartitionState] = field(default_factory=list)
    dead_letters: int = 0
    """Records in the dead-letter topic."""
    deferred: int = 0
    """Rows without a label yet."""
    tables: list[TableState] = field(default_factory=list)
    second_creates: list[SecondCreates] = field(default_factory=list)
    linked: Linked | None = None
    """None: ClickHouse did not say."""
    migration: str = ""
    filling: dict[str, datetime] = field(default_factory=dict)
    """Rollups that control still fills with what was there before: from which time on they have all."""
    health: list[str] = field(default_factory=list)
    """The answers of worker, control, customers and listener that are good."""
    problems: list[str] = field(default_factory=list)


def status(settings: Settings) -> Status:
    """Asks each part on its own, so that one that is down hides none of the others. Never raises for a part that is down."""
    result = Status()
    for part in (_kafka, _clickhouse, _health):
        try:
            part(settings, result)
        except EarshotError as error:
            result.problems.append(str(error))
    return result


def kafka_state(settings: Settings) -> KafkaState:
    """Asks the broker. Raises UnreachableError."""
    kafka = settings.kafka
    try:
        topics = check_kafka(kafka)
        missing = [f"Kafka: no topic {name}: run `earshot migrate`" for name in topic_configs(kafka) if name not in topics]
        with outside(kafka) as consumer:
            names = kafka.topic("events"), kafka.topic("dead-letter")
            events, dead = (states(consumer, name, topics.get(name, 0)) for name in names)
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {kafka.bootstrap}: {kafka_reason(error)}") from None
    lost = [f"{partition.lost}: see `earshot offsets accept-loss --help`" for partition in events if partition.lost]
    return KafkaState(events, sum(partition.end - partition.first for partition in dead), missing + lost)


def _kafka(settings: Settings, result: Status) -> None:
    result.events, result.dead_letters, problems = kafka_state(settings)
    result.problems += problems


def _clickhouse(settings: Settings, result: Status) -> None:
    with closing(clickhouse_client(settings.clickhouse)) as client, one_line(client):
        rows = client.query(
            "SELECT name, ifNull(total_rows, 0), ifNull(total_bytes, 0) FROM system.tables "
            "WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"
        ).result_rows
        result.tables = [TableState(*row) for row in rows]
        check_tables(client)
        result.migration = read_migrations()[-1].name
        creates = client.query(_SECOND_CREATES, settings=settings_for(client)).result_rows
        moved = {str(source): int(rows) for source, rows in client.query(_RECONCILED).result_rows}
        result.second_creates = [SecondCreates(row[0], row[1], row[2], moved.pop(row[0], 0)) for row in creates]
        result.second_creates += [SecondCreates(source, 0, 0, rows) for source, rows in moved.items()]
        result.deferred = int(str(client.command(_DEFERRED, settings=settings_for(client))))
        rollups = load_rollups(settings.roles, settings.brands)
        marks = read_marks(asker(client), rollups)
        filled = {rollup.name: marks.get(rollup.name, quarter_of(utc_now())) for rollup in rollups}
        result.filling = {name: start_of(quarter) for name, quarter in filled.items() if quarter}
        _ask_linked(client, result)


def _ask_linked(client: Client, result: Status) -> None:
    ((customers, profiles),) = client.query(_LINKED).result_rows
    edges, holds = (int(str(client.command(sql))) for sql in (_EDGES, _BREAKER))
    queue = {str(reason): int(edges) for reason, edges in client.query(_QUEUE).result_rows}
    result.linked = Linked(customers, profiles, edges, queue)
    if holds:
        result.problems.append("the breaker holds new evidence: `earshot identity review --reason held`, then `release`")


def _health(settings: Settings, result: Status) -> None:
    for name, url in urls(settings).items():
        for path in ("/live", "/ready"):
            said = ask(url + path)
            (result.health if said.ok else result.problems).append(f"{name} {path}: {said}")
    said = ask(url_of(settings.customers) + "/metrics", most=1 << 20)
    if said.ok:
        result.health.append("customers: leads" if " earshot_customers_leads 1.0 " in str(said) else "customers: stands by")
