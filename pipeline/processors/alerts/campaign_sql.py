"""SQL of campaigns: which rows share values of their sketch (schemas/clickhouse/006_campaign.sql), and their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import combinations

import polars as pl

from pipeline.clickhouse.row_versions import numbers, quoted
from pipeline.processors.alerts.rule_types import CampaignRule

COPIES = ("repost", "reaction", "like", "follow", "vote")
"""Kinds whose text is the platform's own copy, or none: many reposts of one text are no campaign."""
LONGEST = 400
"""Characters of a text that are compared."""
LOWEST = 5
"""Values of a sketch, the lowest, of which a first search looks at each three."""
MOST_THREES, MOST_ROWS, MOST_TEXTS = 50_000, 200_000, 20_000
"""The limits of one search; beyond them it takes the rows that are most alike."""


def enough_sql(rule: CampaignRule, since: datetime, until: datetime, brands: Sequence[str]) -> str:
    """`brand`: those of `brands` that have as many texts as the rule asks for accounts, those with fewest first."""
    listed = f"[{', '.join(map(quoted, brands))}]"
    return (
        "SELECT brand FROM (SELECT toString(arrayJoin(brands)) AS brand FROM interactions "
        f"WHERE {rows_of(rule, since, until, None)}) WHERE brand IN {listed} "
        f"GROUP BY brand HAVING count() >= {rule.accounts} ORDER BY count(), brand"
    )


def period_of(since: datetime, until: datetime) -> str:
    first, end = (f"toDateTime64('{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}', 3, 'UTC')" for at in (since, until))
    minutes = f"toStartOfMinute(created_at) BETWEEN toStartOfMinute({first}) AND toStartOfMinute({end})"
    return f"{minutes} AND created_at >= {first} AND created_at < {end}"


def rows_of(rule: CampaignRule, since: datetime, until: datetime, names: Sequence[str] | None) -> str:
    """The condition of candidate rows, in any version: old versions match too, so it selects too many rows, never too few."""
    where = f"{period_of(since, until)} AND notEmpty(text_sketch) AND kind NOT IN ({', '.join(map(quoted, COPIES))})"
    if rule.platforms:
        where += f" AND platform IN ({', '.join(map(quoted, rule.platforms))})"
    return where if names is None else f"{where} AND hasAny(brands, [{', '.join(map(quoted, names))}])"


def _joined(where: str, columns: str) -> str:
    """A row for each three of the sketch's lowest values: all texts with one common word share single values, and pairs."""
    # A sketch of fewer values ends in zeros.
    threes = (
        f"if(s[{c}] = 0, 0, intHash64(toUInt64(s[{a}]) * 4294967296 + s[{b}]) + s[{c}])"
        for a, b, c in combinations(range(1, LOWEST + 1), 3)
    )
    return f"""
(SELECT {columns}arrayJoin([{", ".join(threes)}]) AS three FROM
    (SELECT {columns}arrayDistinct(text_sketch) AS s FROM interactions WHERE {where}))"""


def threes_sql(where: str) -> str:
    # Versions of one event share all.
    return f"""
SELECT three FROM {_joined(where, "event_key, ")} WHERE three != 0
GROUP BY three HAVING min(event_key) != max(event_key) ORDER BY count() DESC, three LIMIT {MOST_THREES}"""


def sharing_sql(where: str, threes: pl.Series) -> str:
    return f"""
SELECT DISTINCT event_key, text_sketch FROM {_joined(where, "event_key, text_sketch, ")} WHERE three IN ({listed(threes)})
ORDER BY event_key LIMIT {MOST_ROWS}"""


def extended_sql(where: str, values: Iterable[int]) -> str:
    shared = f"arrayCount(x -> x IN ({listed(values)}), arrayDistinct(text_sketch))"
    return f"""
SELECT event_key FROM interactions WHERE {where} AND {shared} >= 2
ORDER BY {shared} DESC, event_key LIMIT {MOST_TEXTS}"""


def texts_sql(keys: str, period: str) -> str:
    author = "if(author_id != '', author_id, author_handle)"
    return f"""
SELECT event_key, created_at, toString(platform) AS platform, brands, substringUTF8(text, 1, {LONGEST}) AS text,
    visibility = 'private' AS private, text_sketch,
    if({author} = '', 0, cityHash64(platform, author_id != '', {author})) AS account
FROM (
    SELECT *, text_sketch FROM interactions WHERE {period} AND event_key IN ({keys}) ORDER BY version DESC LIMIT 1 BY event_key)
WHERE is_deleted = 0 AND notEmpty(text_sketch) AND account != 0
ORDER BY created_at, event_key"""


def listed(values: Iterable[int]) -> str:
    return numbers(values).removesuffix("::Array(UInt64)").strip("[]")
