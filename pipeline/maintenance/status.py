"""How things stand: broker, topics and lag, tables, migrations, worker, control."""

from __future__ import annotations

import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables, read_migrations
from pipeline.clickhouse.query import settings_for
from pipeline.config.settings import Settings
from pipeline.control.client import url_of
from pipeline.errors import EarshotError, reason
from pipeline.kafka.client import check_kafka, kafka_reason
from pipeline.kafka.topics import topic_configs
from pipeline.maintenance.group_offsets import PartitionState, outside, states

_DEFERRED = "SELECT count() FROM interactions FINAL WHERE sentiment_status = 'deferred'"


class TableState(NamedTuple):
    name: str
    rows: int
    """Stored, versions that are still to be merged included."""
    bytes: int


@dataclass(slots=True)
class Status:
    """`problems` is empty when all is fine, else a line each."""

    events: list[PartitionState] = field(default_factory=list)
    dead_letters: int = 0
    """Records in the dead-letter topic."""
    deferred: int = 0
    """Rows that wait for their label."""
    tables: list[TableState] = field(default_factory=list)
    migration: str = ""
    health: list[str] = field(default_factory=list)
    """What the worker and control say of themselves, where it is good."""
    problems: list[str] = field(default_factory=list)


def status(settings: Settings) -> Status:
    """Asks each part by itself: one that is down hides none of the others. Never raises for what it finds."""
    found = Status()
    for ask in (_kafka, _clickhouse, _health):
        try:
            ask(settings, found)
        except EarshotError as error:
            found.problems.append(str(error))
        except KafkaException as error:
            found.problems.append(f"Kafka at {settings.kafka.bootstrap}: {kafka_reason(error)}")
        except ClickHouseError as error:
            found.problems.append(f"ClickHouse at {settings.clickhouse.url}: {reason(error)}")
    return found


def _kafka(settings: Settings, found: Status) -> None:
    kafka = settings.kafka
    topics = check_kafka(kafka)
    found.problems += [f"Kafka: no topic {name}: run `earshot migrate`" for name in topic_configs(kafka) if name not in topics]
    with outside(kafka) as consumer:
        events, dead = kafka.topic("events"), kafka.topic("dead-letter")
        found.events = states(consumer, events, topics.get(events, 0))
        found.dead_letters = sum(place.end - place.first for place in states(consumer, dead, topics.get(dead, 0)))
    found.problems += [f"{place.lost}: see `earshot offsets accept-loss --help`" for place in found.events if place.lost]


def _clickhouse(settings: Settings, found: Status) -> None:
    client = clickhouse_client(settings.clickhouse)
    try:
        rows = client.query(
            "SELECT name, ifNull(total_rows, 0), ifNull(total_bytes, 0) FROM system.tables "
            "WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"
        ).result_rows
        found.tables = [TableState(*row) for row in rows]
        check_tables(client)
        found.migration = read_migrations()[-1].name
        found.deferred = int(str(client.command(_DEFERRED, settings=settings_for(client))))
    finally:
        client.close()


def _health(settings: Settings, found: Status) -> None:
    worker = f"http://{settings.worker.health_host}:{settings.worker.health_port}"
    for name, url in (("worker", worker), ("control", url_of(settings.control))):
        for path in ("/live", "/ready"):
            ok, said = _ask(url + path)
            (found.health if ok else found.problems).append(f"{name} {path}: {said}")


def _ask(url: str) -> tuple[bool, str]:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return True, _line(answer.read(2000))
    except urllib.error.HTTPError as error:
        return False, f"{url} says {error.code} {_line(error.read(2000))}"
    except (OSError, ValueError) as error:
        return False, f"{url}: {reason(error)}"


def _line(body: bytes) -> str:
    return " ".join(body.decode(errors="replace").split())
