"""ClickHouse's tables and Kafka's topics: `migrate` makes them, `check` says what is missing.

schemas/clickhouse/NNN_*.sql are applied in order, each once, and recorded in table `schema_migrations`: a row before the
first statement, a row after the last. A file that has been applied anywhere is never edited; a change is a new file.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import xxhash
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

import schemas
from pipeline.clickhouse.client import check_kafka, clickhouse_client, kafka_admin, kafka_reason, reason
from pipeline.clickhouse.pins import unmet
from pipeline.config.settings import MAX_MESSAGE_BYTES, KafkaSettings, Settings
from pipeline.errors import MigrationError, UnreachableError

FOLDER = Path(schemas.__file__).parent / "clickhouse"
HEADERS_BYTES = 1 << 16
"""A dead letter is its record and some headers, so its topic takes that much more."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_RECORDS = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32,
    name String,
    checksum UInt64 COMMENT 'XXH3-64 of the file',
    started_at DateTime64(3, 'UTC'),
    finished_at DateTime64(3, 'UTC') COMMENT '1970: not finished'
)
ENGINE = ReplacingMergeTree(finished_at)
ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    checksum: int
    statements: tuple[str, ...]
    repeats: bool
    """Its statements may run twice, so one that was not finished is begun again."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the database remembers of a migration."""

    number: int
    name: str
    checksum: int
    started_at: datetime
    finished_at: datetime


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
def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """The migrations in `folder`, in order. A statement ends with `;` at the end of a line; a line `-- Repeatable.` says that
    all of them may run twice."""
    migrations = []
    for path in sorted(folder.glob("[0-9][0-9][0-9]_*.sql")):
        text = path.read_text(encoding="utf-8")
        code = re.sub(r"(?m)^\s*--.*\n", "", text)
        statements = tuple(part.strip() for part in re.split(r"(?m);[ \t]*$", code) if part.strip())
        checksum = xxhash.xxh3_64_intdigest(text.encode())
        migrations.append(Migration(int(path.name[:3]), path.stem, checksum, statements, "-- Repeatable." in text.splitlines()))
    return migrations


def migrate_tables(client: Client, folder: Path = FOLDER) -> list[str]:
    """Applies what is not applied yet. Raises as `migrate`."""
    migrations = read_migrations(folder)
    check_server(client)
    try:
        client.command(_RECORDS)
        pending = _pending(migrations, _records(client))
    except ClickHouseError as error:
        raise MigrationError(f"ClickHouse at {client.uri}: {reason(error)}") from None
    for migration in pending:
        _apply(client, migration)
    if not pending:
        return [f"ClickHouse: up to date ({migrations[-1].name})"]
    return [f"ClickHouse: applied {migration.name}" for migration in pending]


def check_tables(client: Client, folder: Path = FOLDER) -> None:
    """Raises as `check`."""
    migrations = read_migrations(folder)
    check_server(client)
    try:
        tables = {
            row[0] for row in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
        }
        pending = _pending(migrations, _records(client) if "schema_migrations" in tables else {})
    except ClickHouseError as error:
        raise UnreachableError(f"ClickHouse at {client.uri}: {reason(error)}") from None
    if pending:
        raise MigrationError(f"ClickHouse at {client.uri} lacks migration {pending[0].name}: run `earshot migrate`")
    made = {
        name for migration in migrations for text in migration.statements for name in re.findall(r"CREATE TABLE (\w+)", text)
    }
    gone = sorted(made - tables)
    if gone:
        raise UnreachableError(f"ClickHouse at {client.uri}: table {', '.join(gone)} is gone, though a migration made it")


def check_server(client: Client) -> None:
    """Raises MigrationError when the version or a setting is not as the delivery contract needs it."""
    try:
        wrong = unmet(client)
    except ClickHouseError as error:
        wrong = reason(error)
    if wrong:
        raise MigrationError(f"ClickHouse at {client.uri}: {wrong}")


def _records(client: Client) -> dict[int, Record]:
    rows = client.query(
        "SELECT number, name, checksum, started_at, finished_at FROM schema_migrations FINAL", query_tz="UTC", tz_mode="aware"
    )
    return {row[0]: Record(*row) for row in rows.result_rows}


def _pending(migrations: list[Migration], records: dict[int, Record]) -> list[Migration]:
    """What is to be applied. Raises MigrationError when the database is in a state that this program can't go on from."""
    known = {migration.number: migration for migration in migrations}
    begun = {number for number, record in records.items() if record.finished_at == NEVER}
    for record in records.values():
        if record.number in begun and not (record.number in known and known[record.number].repeats):
            began = f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC"
            raise MigrationError(
                f"migration {record.name} was begun at {began} and not finished: undo what it did, then "
                f"DELETE FROM schema_migrations WHERE number = {record.number} (the embedded stack: `earshot reset`)"
            )
    for record in sorted(records.values(), key=lambda record: -record.number):
        if record.number not in known:
            raise MigrationError(f"the database is at migration {record.name}, newer than this program: use a newer Earshot")
        if record.number not in begun and record.checksum != known[record.number].checksum:
            raise MigrationError(f"migration {record.name} was applied from another text than this program's {record.name}.sql")
    return [migration for migration in migrations if migration.number not in records.keys() - begun]


def _apply(client: Client, migration: Migration) -> None:
    started = datetime.now(UTC)
    _write(client, migration, started, NEVER)
    for place, statement in enumerate(migration.statements, 1):
        try:
            client.command(statement)
        except ClickHouseError as error:
            raise MigrationError(f"migration {migration.name}, statement {place}: {reason(error)}") from None
    _write(client, migration, started, datetime.now(UTC))


def _write(client: Client, migration: Migration, started: datetime, finished: datetime) -> None:
    columns = ["number", "name", "checksum", "started_at", "finished_at"]
    row = [migration.number, migration.name, migration.checksum, started, finished]
    try:
        client.insert("schema_migrations", [row], column_names=columns)
    except ClickHouseError as error:
        raise MigrationError(f"migration {migration.name}, its record: {reason(error)}") from None


# --- topics ---------------------------------------------------------------------------------------------------------
def topic_configs(kafka: KafkaSettings) -> dict[str, dict[str, str]]:
    """Each topic's configuration."""
    per_partition = kafka.retention_bytes // kafka.partitions if kafka.retention_bytes > 0 else kafka.retention_bytes
    common = {"retention.ms": str(kafka.retention_ms), "retention.bytes": str(per_partition)}
    if kafka.replication > 2:
        common["min.insync.replicas"] = "2"  # else `acks=all` may mean one broker
    return {
        kafka.topic("events"): {**common, "max.message.bytes": str(MAX_MESSAGE_BYTES)},
        kafka.topic("dead-letter"): {**common, "max.message.bytes": str(MAX_MESSAGE_BYTES + HEADERS_BYTES)},
        kafka.topic("signals"): common,
        kafka.topic("alerts"): common,
    }


def topic_partitions(kafka: KafkaSettings, name: str) -> int:
    """How many partitions the topic has. Signals have one: who reads it is the one that evaluates."""
    return 1 if name == kafka.topic("signals") else kafka.partitions


def migrate_topics(kafka: KafkaSettings) -> list[str]:
    """Creates the topics that are missing; of those that exist it only says what differs from the settings."""
    existing = check_kafka(kafka)
    admin = kafka_admin(kafka)
    lines = []
    for name, config in topic_configs(kafka).items():
        try:
            if name not in existing:
                lines.append(_create(admin, kafka, name, config))
            else:
                lines += _differences(admin, name, existing[name], topic_partitions(kafka, name), config)
        except KafkaException as error:
            raise UnreachableError(f"Kafka at {kafka.bootstrap}, topic {name}: {kafka_reason(error)}") from None
    _wait_until_known(kafka)
    return lines or ["Kafka: up to date"]


def _wait_until_known(kafka: KafkaSettings) -> None:
    """A broker says `created` a moment before it knows the topic itself; a worker that starts then would miss it."""
    end = time.monotonic() + 10
    while missing := set(topic_configs(kafka)) - set(check_kafka(kafka)):
        if time.monotonic() > end:
            raise UnreachableError(f"Kafka at {kafka.bootstrap}: created {', '.join(missing)}, but does not know it after 10 s")
        time.sleep(0.05)


def _create(admin: AdminClient, kafka: KafkaSettings, name: str, config: dict[str, str]) -> str:
    partitions = topic_partitions(kafka, name)
    topic = NewTopic(name, partitions, kafka.replication, config=config)
    try:
        admin.create_topics([topic], operation_timeout=10)[name].result(20)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
        return f"Kafka: topic {name} was just made by somebody else"
    return f"Kafka: created topic {name}, partitions {partitions}, replication {kafka.replication}"


def _differences(admin: AdminClient, name: str, partitions: int, wanted: int, config: dict[str, str]) -> list[str]:
    resource = ConfigResource(ResourceType.TOPIC, name)
    entries = admin.describe_configs([resource])[resource].result(10)
    found = {key: entries[key].value for key in config if key in entries}
    lines = [f"{key} is {found[key]}, the settings say {config[key]}" for key in found if found[key] != config[key]]
    if partitions != wanted:
        lines.insert(0, f"it has {partitions} partitions, the settings say {wanted}")
    return [f"Kafka: topic {name} is left as it is: {line}" for line in lines]
