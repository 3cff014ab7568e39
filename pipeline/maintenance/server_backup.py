"""ClickHouse's own BACKUP and RESTORE of the tables that `earshot backup` does not write, where the server has a disk."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.clickhouse.row_versions import quoted
from pipeline.errors import EarshotError
from pipeline.privacy.register import TABLES

DISK = "backups"
"""Of the server's storage_configuration, named in backups.allowed_disk."""
LOOK_S = 0.5
HAS_DISK = f"SELECT count() FROM system.disks WHERE name = '{DISK}'"
_STATE = "SELECT status, total_size, concat('-', splitByString(', Stack trace', error)[1]) FROM system.backups WHERE id = {}"
Command = Callable[[str], object]
"""Runs a statement; its answer is a value, or those of a row."""


def server_tables() -> list[str]:
    """The tables that ClickHouse backs up itself: large ones, which follow from events."""
    return [place.name for place in TABLES.values() if place.backup == "server"]


def backup_statement(database: str, name: str) -> str:
    """SQL of the backup of this name."""
    tables = ", ".join(f"TABLE {_identifier(database)}.{table}" for table in server_tables())
    return f"BACKUP {tables} TO Disk('{DISK}', {quoted(name)})"


def restore_statement(database: str, name: str, into: str) -> str:
    """SQL of its restore into the empty tables of database `into`. A time to live may be another one by now."""
    there, here = _identifier(database), _identifier(into)
    tables = ", ".join(f"TABLE {there}.{table} AS {here}.{table}" for table in server_tables())
    return f"RESTORE {tables} FROM Disk('{DISK}', {quoted(name)}) SETTINGS allow_different_table_def = 1"


def back_up_there(command: Command, database: str, name: str, advance: Callable[[int, int | None], None]) -> None:
    """Returns when the server has the backup; `advance` hears of its bytes. It goes on there if this is stopped. Raises
    EarshotError if it failed, and what `command` raises."""
    began = command(f"{backup_statement(database, name)} ASYNC")
    id_ = str(began[0] if isinstance(began, (list, tuple)) else began)
    while True:
        state = command(_STATE.format(quoted(id_)))
        status, size, error = map(str, state) if isinstance(state, (list, tuple)) else ("", "0", "-the server forgot it")
        if status == "BACKUP_CREATED":
            advance(int(size), int(size))
            return
        if status != "CREATING_BACKUP":
            raise EarshotError(f"ClickHouse's own backup {name}: {error[1:].split('DB::Exception: ')[-1][:300]}")
        advance(int(size), None)
        time.sleep(LOOK_S)


def _identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
