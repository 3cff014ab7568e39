"""ClickHouse's tables and Kafka's topics: `migrate` makes them, `check` says what is missing.

schemas/clickhouse/NNN_*.sql are applied in order, each once, and recorded in table `schema_migrations`: a row before the
first statement, a row after the last. A file that has been applied anywhere is never edited; a change is a new file.
"""

from __future__ import annotations

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables, migrate_tables
from pipeline.config.settings import Settings
from pipeline.errors import MigrationError
from pipeline.kafka.client import check_kafka
from pipeline.kafka.topics import migrate_topics, topic_configs


def migrate(settings: Settings) -> list[str]:
    """Brings tables and topics up to date and says what it did, a line each. Doing it again changes nothing.

    Raises MigrationError, before it changes anything, over a server that is too old or a user's settings that are not as needed
    (clickhouse/pins.py), over a half-applied or edited migration and over a database that is newer than this program; and for
    a statement that fails. Raises UnreachableError when either side can't be reached.
    """
    check_kafka(settings.kafka)
    client = clickhouse_client(settings.clickhouse)
    try:
        return [*migrate_tables(client), *migrate_topics(settings.kafka)]
    finally:
        client.close()


def check(settings: Settings) -> None:
    """Returns when the server is as needed, the tables are those of this program and the topics exist.

    Raises MigrationError when something is not as needed (pipeline/clickhouse/pins.py) or `earshot migrate` has to run first,
    UnreachableError when a table that it made is gone.
    """
    client = clickhouse_client(settings.clickhouse)
    try:
        check_tables(client)
    finally:
        client.close()
    missing = sorted(set(topic_configs(settings.kafka)) - set(check_kafka(settings.kafka)))
    if missing:
        raise MigrationError(f"Kafka at {settings.kafka.bootstrap} has no topic {', '.join(missing)}: run `earshot migrate`")


# --- tables ---------------------------------------------------------------------------------------------------------


# --- topics ---------------------------------------------------------------------------------------------------------
