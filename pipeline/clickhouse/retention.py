"""Times to live by setting retention: `migrate` gives them, and takes them away when the setting goes.

Table retention says which TTL came from the settings: one that somebody set by ALTER TABLE stays while no setting names its
table. A run that was killed is made good by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import one_line
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.document import hint
from pipeline.config.retention import TABLES, UNREADABLE_DAYS, RetentionSettings
from pipeline.errors import MigrationError

TOMBSTONE_DAYS = 31
"""A tombstone outlives its event by so much, or an older version of the event would be back until all its parts are merged."""
_TTL = re.compile(r" TTL (.+?)(?: SETTINGS |$)")
_THERE = "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()"
_GIVEN = "SELECT toString(name), ttl FROM retention FINAL"
_PLATFORMS = "SELECT DISTINCT toString(platform) FROM quarters"


def renew_retention(client: Client, settings: RetentionSettings) -> list[str]:
    """Gives each table the TTL of the settings; returns a line for each change. ClickHouse takes the rows in the background.
    Raises MigrationError if it refuses."""
    with one_line(client, error=MigrationError, what="setting retention"):
        return [*_changes(client, settings), *_unknown(client, settings.platforms)]


def _changes(client: Client, settings: RetentionSettings) -> Iterator[str]:
    there, given = _pairs(client, _THERE), _pairs(client, _GIVEN)
    for table in TABLES:
        before, has = given.get(table, ""), found[1] if (found := _TTL.search(there[table])) else ""
        if wanted := _as_written(client, ttl_of(table, settings)):
            if wanted != before:  # first: it is ours, if this run is killed now
                _note(client, table, wanted)
            yield from _alter(client, table, has, wanted)
        elif before:
            if has == before:  # else somebody has changed it since
                yield from _alter(client, table, has, _as_written(client, default_of(table)))
            _note(client, table, "")


def _alter(client: Client, table: str, has: str, ttl: str) -> Iterator[str]:
    if has != ttl:
        client.command(f"ALTER TABLE {table} " + (f"MODIFY TTL {ttl}" if ttl else "REMOVE TTL"), settings={"mutations_sync": 0})
        yield f"ClickHouse: {table}: " + (f"TTL {ttl}" if ttl else "no TTL any more")


def _pairs(client: Client, sql: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in client.query(sql).result_rows}


def default_of(table: str) -> str:
    """The TTL without a setting; blank: none."""
    days = TABLES[table].days
    return _of_table(table, days) if days else ""


def ttl_of(table: str, settings: RetentionSettings) -> str:
    """The TTL that the settings say; blank: they say none. A platform's own days go before those of the table."""
    days, time = settings.tables.get(table), TABLES[table].time
    if table != "interactions":
        return _of_table(table, days) if days else ""
    more = f" + {TOMBSTONE_DAYS} * is_deleted"
    platforms = sorted(settings.platforms.items())
    parts = [f"{_days(time, each, more)} DELETE WHERE platform = {quoted(name)}" for name, each in platforms]
    if days and platforms:
        others = ", ".join(quoted(name) for name, _ in platforms)
        parts.append(f"{_days(time, days, more)} DELETE WHERE platform NOT IN ({others})")
    elif days:
        parts.append(_days(time, days, more))
    return ", ".join(parts)


def _of_table(table: str, days: int) -> str:
    time, _, sooner = TABLES[table]
    if not sooner or days <= UNREADABLE_DAYS:
        return _days(time, days)
    return f"toDateTime({time}) + toIntervalDay(if({sooner} = 1, {UNREADABLE_DAYS}, {days}))"


def _days(time: str, days: int, more: str = "") -> str:
    return f"toDateTime({time}) + toIntervalDay({days}{more})"


def _as_written(client: Client, ttl: str) -> str:
    """As the server writes it in a table's definition."""
    if not ttl:
        return ""
    head = "ALTER TABLE t MODIFY TTL "
    whole = str(client.query(f"SELECT formatQuerySingleLine({quoted(head + ttl)})").result_rows[0][0])
    found = re.fullmatch(r"ALTER TABLE t (\()?MODIFY TTL (.+)(?(1)\))", whole)
    return found[2] if found else ttl


def _note(client: Client, table: str, ttl: str) -> None:
    client.command(f"INSERT INTO retention SELECT {quoted(table)}, {quoted(ttl)}, now64(3)")


def _unknown(client: Client, platforms: Mapping[str, int]) -> Iterator[str]:
    """A line for each platform of which no quarter-hour has rows: a slip would keep what should go."""
    known = [name for (name,) in client.query(_PLATFORMS).result_rows] if platforms else []
    for name in sorted(platforms.keys() - set(known)):
        yield f"setting retention.platforms: nothing is stored of {name!r} so far{hint(name, known)}"
