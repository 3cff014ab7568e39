"""What is there of a person: per table how many rows, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import asker, settings_for
from pipeline.privacy.place import Place, Sets, named_by_others, where
from pipeline.privacy.register import TABLES


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
    ask, read, found = asker(client), settings_for(client), []
    for place in TABLES.values():
        if place.findable or place.others:
            (row,) = ask(_count(place, sets), read).iter_rows()
            rows, others, first, last = row
            if rows or others:
                found.append(Held(place, rows, first if rows else None, last if rows else None, others))
    return found


def _count(place: Place, sets: Sets) -> str:
    own, others = where(place, sets), named_by_others(place, sets)
    time = f"toDateTime64({place.time}, 3, 'UTC')" if place.time else "CAST(NULL AS Nullable(DateTime64(3, 'UTC')))"
    found = f"({own}) OR ({others})"
    if place.name == "interactions":
        # By their places in the table's order: for the newest versions alone the whole table would be read.
        minute = "toStartOfMinute(created_at)"
        there = f"SELECT {minute}, event_key FROM interactions WHERE {found} SETTINGS final = 0"
        found = f"({minute}, event_key) IN ({there}) AND ({found})"
    return (
        "SELECT countIf(is_own) AS rows, countIf(is_others) AS others, minIf(row_time, is_own) AS first, "
        "maxIf(row_time, is_own) AS last FROM "
        f"(SELECT ({own}) AS is_own, ({others}) AS is_others, {time} AS row_time FROM {place.name} WHERE {found})"
    )


def total(places: Sequence[Held]) -> int:
    """Rows of the person in all of them."""
    return sum(each.rows for each in places)
