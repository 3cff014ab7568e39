"""Profiles: whose key it is, and how much is known of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import polars as pl

from pipeline.clickhouse.query import Query
from schemas.identity import CRM


class Profile(NamedTuple):
    """A profile as its newest event, or its record in the CRM, names it."""

    key: int
    platform: str = ""
    id: str = ""
    """Blank: the platform gives none, or only other evidence names the profile."""
    handle: str = ""
    interactions: int = 0
    last_seen: datetime | None = None

    @property
    def name(self) -> str:
        """As people type it, its key where nothing better is known."""
        if self.handle:
            return f"{self.platform}:@{self.handle}"
        return f"{self.platform}:{self.id}" if self.id else f"{self.key:016x}"


def profiles(query: Query, keys: Iterable[int]) -> dict[int, Profile]:
    """What is known of these profiles, by key: from events, records of a CRM, edges. What nothing names is missing."""
    listed = ", ".join(map(str, sorted(set(keys))))
    if not listed:
        return {}
    named = {
        row["profile"]: Profile(row["profile"], row["platform"]) for row in query(_NAMED.format(listed)).iter_rows(named=True)
    }
    records = query(f"SELECT profile, id FROM customers FINAL WHERE profile IN ({listed})").iter_rows(named=True)
    named |= {row["profile"]: Profile(row["profile"], CRM, row["id"]) for row in records}
    return named | _of_events(query, listed)


_NAMED = """
SELECT profile, any(platform) AS platform FROM
(
    SELECT a AS profile, a_platform AS platform FROM identity_edges WHERE a IN ({0})
    UNION ALL
    SELECT b AS profile, b_platform AS platform FROM identity_edges WHERE type = 'login' AND b IN ({0})
)
GROUP BY profile"""


def _of_events(query: Query, listed: str) -> dict[int, Profile]:
    newest = query(f"""
SELECT account_key AS profile, count() AS interactions, max(created_at) AS last_seen,
    toUnixTimestamp(argMax(created_at, (created_at, event_key))) AS second, argMax(event_key, (created_at, event_key)) AS event
FROM account_events FINAL WHERE account_key IN ({listed}) GROUP BY profile""")
    if newest.is_empty():
        return {}
    rows = newest.select(minute=pl.col("second") // 60 * 60, event=pl.col("event")).iter_rows()
    places = ", ".join(f"(toDateTime({minute}, 'UTC'), {event})" for minute, event in rows)
    events = query(f"""
SELECT account_key AS profile, platform, author_id AS id, author_handle AS handle FROM interactions FINAL
WHERE (toStartOfMinute(created_at), event_key) IN ({places})""")
    both = newest.join(events.unique("profile"), on="profile").iter_rows(named=True)
    return {
        row["profile"]: Profile(
            row["profile"],
            row["platform"],
            row["id"],
            row["handle"].removeprefix("@"),
            row["interactions"],
            row["last_seen"],
        )
        for row in both
    }
