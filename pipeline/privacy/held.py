"""What is there of a person: per table how many rows, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import Query, asker, settings_for
from pipeline.privacy.place import Place, Sets, named_by_others, where
from pipeline.privacy.register import TABLES
from pipeline.privacy.subject import reader


class Held(NamedTuple):
    """Of one table."""

    place: Place
    rows: int
    """The person's own."""
    first: datetime | None
    """The time of the first of them; None: there are none, or they have no time."""
    last: datetime | None
    others: int
    """Rows of others that name an account of the person."""


def held(client: Client, sets: Sets) -> list[Held]:
    """Of each table that holds something, in the order of the register. Raises EarshotError with the server's reason."""
    ask, read, found, query = asker(client), settings_for(client), [], reader(client)
    for place in TABLES.values():
        if place.findable or place.others:
            (row,) = ask(_count(place, sets, query), read).iter_rows()
            rows, others, first, last = row
            if rows or others:
                found.append(Held(place, rows, first if rows else None, last if rows else None, others))
    return found


def narrowed(query: Query, place: Place, condition: str) -> str:
    """SQL of the same rows. Of table interactions it names their places in the table's order: whoever asks for the newest
    versions alone reads the whole table otherwise. `query` sees every version."""
    if place.name != "interactions":
        return condition
    minute = "formatDateTime(toStartOfMinute(created_at), '%F %T', 'UTC')"
    rows = query(f"SELECT DISTINCT {minute} AS minute, event_key FROM interactions WHERE {condition}")
    pairs = ", ".join(f"('{minute}', {key})" for minute, key in rows.iter_rows())
    return f"(toStartOfMinute(created_at), event_key) IN ({pairs}) AND ({condition})" if pairs else "0"


def _count(place: Place, sets: Sets, query: Query) -> str:
    own, others = where(place, sets), named_by_others(place, sets)
    time = f"toDateTime64({place.time}, 3, 'UTC')" if place.time else "CAST(NULL AS Nullable(DateTime64(3, 'UTC')))"
    return (
        f"SELECT countIf({own}) AS rows, countIf({others}) AS others, minIf({time}, {own}) AS first, "
        f"maxIf({time}, {own}) AS last "
        f"FROM {place.name} WHERE {narrowed(query, place, f'({own}) OR ({others})')}"
    )


def total(places: Sequence[Held]) -> int:
    """Rows of the person in all of them."""
    return sum(each.rows for each in places)
