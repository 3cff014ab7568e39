"""`earshot query timeline`: what the accounts of one customer did, the newest first.

Who belongs together is read from table assignments itself, so a link counts at once. The events' keys come from account_events,
by account and time; then their rows, by the key of interactions. An event that was deleted, or has another author by now, may
still have its key there: only what its row says is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, frame, one_line, settings_for
from pipeline.clickhouse.row_versions import ROW_KEY
from pipeline.errors import UnknownName
from schemas.times import TIME, to_ms

COLUMNS: dict[str, pl.DataType] = {
    "account_key": pl.UInt64(),
    "event_key": pl.UInt64(),
    "created_at": TIME,
    **dict.fromkeys(("platform", "kind", "direction", "author_handle", "author_name", "sentiment_label"), pl.String()),
    "brands": pl.List(pl.String()),
    "id": pl.String(),
    "text": pl.String(),
}
"""Of a timeline's events."""
EVER = datetime(2299, 12, 31, tzinfo=UTC)
_CUSTOMER = "SELECT customer FROM assignments FINAL WHERE profile = {profile:UInt64}"
# The table's key is the profile: what ever had the customer is found without FINAL, by one narrow column.
_PROFILES = """
SELECT profile FROM assignments FINAL
WHERE profile IN (SELECT profile FROM assignments WHERE customer = {customer:UInt64}) AND customer = {customer:UInt64}"""
_CHANGES = "assignment_changes WHERE changed_at <= fromUnixTimestamp64Milli({at:Int64}, 'UTC')"
_CUSTOMER_AT = f"SELECT argMax(after, sequence) AS customer FROM {_CHANGES} AND profile = {{profile:UInt64}} HAVING count() > 0"
_PROFILES_AT = f"""
SELECT profile FROM {_CHANGES}
AND profile IN (SELECT profile FROM {_CHANGES} AND after = {{customer:UInt64}})
GROUP BY profile HAVING argMax(after, sequence) = {{customer:UInt64}}"""
_KEYS = """
SELECT created_at, event_key FROM
(
    SELECT account_key, created_at, event_key, is_deleted FROM account_events
    WHERE account_key IN ({profiles})
        AND (created_at, event_key) < (fromUnixTimestamp64Milli({{at:Int64}}, 'UTC'), {{key:UInt64}})
    ORDER BY created_at DESC, event_key DESC, version DESC LIMIT 1 BY account_key, created_at, event_key
)
WHERE is_deleted = 0 ORDER BY created_at DESC, event_key DESC LIMIT {{most:UInt32}}"""
_ROWS = f"""
SELECT {", ".join(COLUMNS)}, is_deleted FROM interactions
WHERE (toStartOfMinute(created_at), event_key) IN ({{keys}}) AND created_at BETWEEN {{first}} AND {{last}}
ORDER BY version DESC LIMIT 1 BY {ROW_KEY}"""


class Timeline(NamedTuple):
    """Events of one customer."""

    customer: int
    profiles: list[int]
    events: pl.DataFrame
    """COLUMNS; the newest first."""


def timeline(client: Client, profile: int, most: int, as_of: datetime | None = None) -> Timeline:
    """The newest `most` events of the customer to whom the profile belongs; `as_of`: belonged at that time, and events until
    then, in their present form.

    Raises UnknownName if there is neither a link nor an event of the profile, EarshotError with the server's reason.
    """
    with one_line(client):
        customer, profiles = members(client, profile, as_of)
        events = _events(client, profiles, most, as_of or EVER)
    if events.is_empty() and profiles == [profile]:
        until = f" of {as_of:%Y-%m-%dT%H:%M:%SZ} or before" if as_of else ""
        raise UnknownName(f"no event of account {profile:016x}{until} is stored")
    return Timeline(customer, profiles, events)


def members(client: Client, profile: int, as_of: datetime | None) -> tuple[int, list[int]]:
    """The customer of the profile, and all profiles of that customer; `as_of`: at that time."""
    values = {"profile": profile} | ({"at": to_ms(as_of)} if as_of else {})
    found = client.query(_CUSTOMER_AT if as_of else _CUSTOMER, values).result_rows
    customer = int(found[0][0]) if found else profile
    rows = client.query(_PROFILES_AT if as_of else _PROFILES, values | {"customer": customer}).result_rows
    # The one that gave the id need not have moved.
    return customer, sorted({customer, *(int(key) for (key,) in rows)})


def _events(client: Client, profiles: Sequence[int], most: int, until: datetime) -> pl.DataFrame:
    """The rows of keys, and of further ones while some keys' rows are not the profiles' any more."""
    events = pl.DataFrame(schema=COLUMNS)
    for keys in _pages(client, profiles, most, until):
        rows = _rows(client, keys, profiles)
        events = pl.concat([events, keys.join(rows, on=["event_key", "created_at"], how="inner").select(list(COLUMNS))])
        if len(events) >= most:
            break
    return events.sort("created_at", "event_key", descending=True).head(most)


def _pages(client: Client, profiles: Sequence[int], most: int, until: datetime) -> Iterator[pl.DataFrame]:
    """created_at and event_key of the profiles' events, the newest first: pages of up to `most`."""
    at, key = to_ms(until), 2**64 - 1
    sql = _KEYS.format(profiles=", ".join(map(str, profiles)))
    while True:
        page = frame(client, sql, {"at": at, "key": key, "most": most}, _settings(client))
        page = page.with_columns(pl.col("created_at").cast(TIME))
        if page.height:
            yield page.unique(maintain_order=True)
        if page.height < most:
            return
        at, key = page.select(pl.col("created_at").to_physical(), "event_key").row(-1)


def _rows(client: Client, keys: pl.DataFrame, profiles: Sequence[int]) -> pl.DataFrame:
    """The newest row of each key, if it is there and one of the profiles wrote it: COLUMNS."""
    times = keys.get_column("created_at")
    minutes = times.dt.strftime("'%Y-%m-%d %H:%M:00'")
    pairs = ", ".join(f"({minute}, {key})" for minute, key in zip(minutes, keys.get_column("event_key"), strict=True))
    # Months without any of them are not looked at.
    first, last = times.sort().dt.strftime("'%Y-%m-%d %H:%M:%S%.3f'").gather([0, -1])
    rows = frame(client, _ROWS.format(keys=pairs, first=first, last=last), {}, _settings(client))
    rows = rows.filter((pl.col("is_deleted") == 0) & pl.col("account_key").is_in(list(profiles)))
    return rows.select(pl.col(name).cast(type_) for name, type_ in COLUMNS.items())


def _settings(client: Client) -> dict[str, object]:
    """Nothing is written. Without FINAL where the user may choose: the SQL takes the newest version of the few rows itself."""
    return LONG_SQL | {name: value for name, value in settings_for(client).items() if name == "readonly"}
