"""Makes and updates ClickHouse's tables.

schemas/clickhouse/NNN_*.sql are applied in order, each once, and recorded in table `schema_migrations`: a row before the first
statement, a row after the last. A file that has been applied anywhere is never edited; a change is a new file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import xxhash
from clickhouse_connect.driver.client import Client

import schemas
from pipeline.clickhouse.dictionary import make_dictionary, makes_dictionary, renew_dictionary
from pipeline.clickhouse.pins import unmet
from pipeline.clickhouse.query import one_line
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import MigrationError, UnreachableError

FOLDER = Path(schemas.__file__).parent / "clickhouse"
_MADE = re.compile(r"^CREATE (?:OR REPLACE )?(?:TABLE|DICTIONARY|VIEW|MATERIALIZED VIEW) (?:IF NOT EXISTS )?(\w+)")
RESTORING = "restoring"
"""A table that is there while `earshot restore` writes into a database: no process starts."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
RECORDS = """
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
    """One file of statements."""

    number: int
    name: str
    checksum: int
    statements: tuple[str, ...]
    repeats: bool
    """Its statements may run twice, so a migration that did not finish starts again."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of schema_migrations."""

    number: int
    name: str
    checksum: int
    started_at: datetime
    finished_at: datetime


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


def migrate_tables(client: Client, folder: Path = FOLDER, login: ClickHouseSettings | None = None) -> list[str]:
    """Applies the migrations that are missing. `login`: as whom the server reads the rows of a dictionary where its user
    `default` may not. Raises as `migrate`."""
    login = login or ClickHouseSettings()
    migrations = read_migrations(folder)
    check_server(client)
    with one_line(client, error=MigrationError):
        client.command(RECORDS)
        pending = _pending(migrations, _records(client))
    for migration in pending:
        _apply(client, migration, login)
    lines = [f"ClickHouse: applied {migration.name}" for migration in pending]
    for migration in migrations:
        for statement in filter(makes_dictionary, migration.statements if migration not in pending else ()):
            lines += renew_dictionary(client, statement, login)
    return lines or [f"ClickHouse: up to date ({migrations[-1].name})"]


def check_tables(client: Client, folder: Path = FOLDER, restores: bool = False) -> None:
    """Raises as `check`, and MigrationError where a restore has not ended, unless this is one that `restores`."""
    migrations = read_migrations(folder)
    check_server(client)
    with one_line(client, error=UnreachableError):
        tables = {
            row[0] for row in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
        }
        pending = _pending(migrations, _records(client) if "schema_migrations" in tables else {})
    if RESTORING in tables and not restores:
        raise MigrationError(f"a restore into database {client.database} has not ended: run `earshot restore` again")
    if pending:
        raise MigrationError(f"ClickHouse at {client.uri} lacks migration {pending[0].name}: run `earshot migrate`")
    made = {name for migration in migrations for text in migration.statements for name in _MADE.findall(text)}
    gone = sorted(made - tables)
    if gone:
        raise UnreachableError(f"ClickHouse at {client.uri}: table {', '.join(gone)} is missing, but a migration created it")


def check_server(client: Client) -> None:
    """Raises MigrationError if the server's version or a setting breaks the delivery contract."""
    with one_line(client, error=MigrationError):
        wrong = unmet(client)
    if wrong:
        raise MigrationError(f"ClickHouse at {client.uri}: {wrong}")


def applied(client: Client) -> dict[str, int]:
    """Name -> checksum of the migrations that are applied whole. Raises ClickHouseError."""
    return {each.name: each.checksum for _, each in sorted(_records(client).items()) if each.finished_at != NEVER}


def _records(client: Client) -> dict[int, Record]:
    rows = client.query(
        "SELECT number, name, checksum, started_at, finished_at FROM schema_migrations FINAL", query_tz="UTC", tz_mode="aware"
    )
    return {row[0]: Record(*row) for row in rows.result_rows}


def _pending(migrations: list[Migration], records: dict[int, Record]) -> list[Migration]:
    """The migrations still to apply. Raises MigrationError if this program can't continue from the database's state."""
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
            raise MigrationError(f"migration {record.name} was applied from another version of {record.name}.sql")
    return [migration for migration in migrations if migration.number not in records.keys() - begun]


def _apply(client: Client, migration: Migration, login: ClickHouseSettings) -> None:
    started = datetime.now(UTC)
    _write(client, migration, started, NEVER)
    for number, statement in enumerate(migration.statements, 1):
        if makes_dictionary(statement):
            make_dictionary(client, statement, login)
            continue
        with one_line(client, error=MigrationError, what=f"migration {migration.name}, statement {number}"):
            # What reads all rows of a large table takes as long as it takes.
            client.command(statement, settings={"max_execution_time": 0})
    _write(client, migration, started, datetime.now(UTC))


def _write(client: Client, migration: Migration, started: datetime, finished: datetime) -> None:
    columns = ["number", "name", "checksum", "started_at", "finished_at"]
    row = [migration.number, migration.name, migration.checksum, started, finished]
    with one_line(client, error=MigrationError, what=f"migration {migration.name}, its record"):
        client.insert("schema_migrations", [row], column_names=columns)
