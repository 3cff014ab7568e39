"""Whether a peer wrote what the worker wrote: the rows that only one of two tables has."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from schemas import events

COLUMNS = [field.column for field in events.FIELDS]
"""What is compared: every field of the event, and the brands that were found."""


def differences(client: Client, ours: str, theirs: str) -> list[str]:
    """One line for each way in which the tables differ in `COLUMNS`, with a few of the rows; none: they are equal."""
    found = []
    counts = [int(str(client.command(f"SELECT count() FROM {table}"))) for table in (ours, theirs)]
    if counts[0] != counts[1]:
        found.append(f"{ours} has {counts[0]} rows, {theirs} has {counts[1]}")
    for table, other in ((ours, theirs), (theirs, ours)):
        only = client.query(f"SELECT id, brands FROM ({_rows(table)} EXCEPT {_rows(other)}) ORDER BY id LIMIT 3").result_rows
        if only:
            found.append(f"only {table} has {', '.join(f'{identifier} {brands}' for identifier, brands in only)}")
    return found


def _rows(table: str) -> str:
    return f"SELECT {', '.join(COLUMNS)} FROM {table}"
