"""ClickHouse's tables and views, and Kafka's topics: `migrate` makes and updates them, `check` raises if one is missing or too
old."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.cluster import Cluster
from pipeline.clickhouse.migrations import check_tables, migrate_tables, read_migrations
from pipeline.clickhouse.query_views import made_by, renew_views
from pipeline.clickhouse.retention import renew_retention
from pipeline.config.settings import Settings
from pipeline.errors import MigrationError
from pipeline.kafka.client import check_kafka
from pipeline.kafka.topics import migrate_topics, topic_configs
from schemas.queries import named_queries

STATEMENT_S = 24 * 3600
"""How long one statement of a migration may take: some read all rows."""


def migrate(settings: Settings) -> list[str]:
    """Brings tables and topics up to date; returns a line for each change. A second run changes nothing.

    Raises MigrationError, before it changes anything, if the server is too old, the user's settings are not as needed
    (clickhouse/pins.py), a migration is half applied or was edited, or the database is newer than this program; and if a
    statement fails. Raises UnreachableError if Kafka or ClickHouse can't be reached.
    """
    check_kafka(settings.kafka)
    client = clickhouse_client(settings.clickhouse, timeout_s=STATEMENT_S)
    try:
        tables = migrate_tables(client, login=settings.clickhouse)
        views, times = renew_views(client, named_queries()), renew_retention(client, settings.retention)
        return [*tables, *views, *times, *migrate_topics(settings.kafka)]
    finally:
        client.close()


def cluster_script(settings: Settings, name: str) -> Iterator[str]:
    """The statements that make all on the cluster of this name (clickhouse/cluster.py). Nothing is asked or changed."""
    cluster = Cluster(name, settings.clickhouse.database, settings.clickhouse.user)
    return cluster.script(read_migrations(), [made_by(query) for query in named_queries().values()])


def check(settings: Settings) -> None:
    """Returns if the server is as needed, the tables are those of this program and the topics exist.

    Raises MigrationError if the server is not as needed (clickhouse/pins.py) or `earshot migrate` has to run first,
    UnreachableError if a table that it made is gone.
    """
    client = clickhouse_client(settings.clickhouse)
    try:
        check_tables(client)
    finally:
        client.close()
    missing = sorted(set(topic_configs(settings.kafka)) - set(check_kafka(settings.kafka)))
    if missing:
        raise MigrationError(f"Kafka at {settings.kafka.bootstrap} has no topic {', '.join(missing)}: run `earshot migrate`")
