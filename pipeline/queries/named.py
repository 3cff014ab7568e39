"""The named queries of `earshot query`, and the share of voice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import Rows, one_line, settings_for
from pipeline.config.document import hint
from pipeline.errors import EarshotError, UnknownName
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, Brand, load_brands
from schemas.inbound import INBOUND_SQL


class Query(NamedTuple):
    """A named query and one line about its result."""

    meaning: str
    sql: str


NAMED = {
    "brands": Query(
        "mentions per brand and hour, newest first",
        """
SELECT toStartOfHour(created_at) AS hour, arrayJoin(brands) AS brand, count() AS mentions
FROM interactions FINAL
GROUP BY hour, brand
ORDER BY hour DESC, mentions DESC, brand""",
    ),
    "latest": Query(
        "the 20 newest interactions",
        """
SELECT created_at, platform, kind, author_handle AS author, brands, sentiment_label AS sentiment, text
FROM interactions FINAL
ORDER BY toStartOfMinute(created_at) DESC, created_at DESC, event_key
LIMIT 20""",
    ),
    "sentiment": Query(
        "sentiment per brand and day, newest first; score: mean from -1 (negative) to 1 (positive) over labelled events",
        """
SELECT toDate(created_at) AS day, arrayJoin(brands) AS brand, countIf(sentiment_status = 'labelled') AS labelled,
    countIf(sentiment_label = 'negative') AS negative, countIf(sentiment_label = 'neutral') AS neutral,
    countIf(sentiment_label = 'positive') AS positive, round(avg(sentiment_score), 3) AS score,
    countIf(sentiment_status = 'unknown') AS unknown, countIf(sentiment_status = 'deferred') AS deferred
FROM interactions FINAL
WHERE sentiment_status != ''
GROUP BY day, brand
ORDER BY day DESC, labelled DESC, brand""",
    ),
    "rejects": Query(
        "dead letters per step and reason (for operators: user analyst may not read them)",
        """
SELECT step, reason, count() AS records, max(rejected_at) AS newest
FROM dead_letters FINAL
GROUP BY step, reason
ORDER BY records DESC, step, reason""",
    ),
    "alerts": Query(
        "current state of alerts, the last changed first, without historical ones",
        """
SELECT changed_at, rule, brand, platform, state, severity, since, observed, expected, summary, lower(hex(alert_key)) AS key
FROM (SELECT * FROM alerts ORDER BY alert_key, term DESC, version DESC LIMIT 1 BY alert_key)
WHERE NOT historical
ORDER BY changed_at DESC, alert_key""",
    ),
}

TIMELINE = "what the accounts of one customer did, newest first (--customer)"


def sql_of(text: str) -> str:
    """The SQL of a named query, else the text itself. Raises EarshotError for a single word that names no query."""
    if text in NAMED:
        return NAMED[text].sql.strip()
    if not text.strip() or len(text.split()) == 1:
        names = (*NAMED, "timeline")
        raise EarshotError(f"no query is named {text!r}{hint(text, names)}: the names are {', '.join(names)}; or give SQL")
    return text.strip().rstrip(";")


_VOICE = f"""
SELECT brand, count() - 1 AS mentions, round(100 * mentions / greatest(sum(mentions) OVER (), 1), 1) AS percent
FROM
(
    SELECT arrayJoin(arrayIntersect(brands, {{names:Array(String)}})) AS brand
    FROM interactions FINAL
    WHERE created_at >= now() - toIntervalDay({{days:UInt32}}) AND {INBOUND_SQL}
    UNION ALL
    SELECT arrayJoin({{names:Array(String)}}) AS brand
)
GROUP BY brand
ORDER BY mentions DESC, brand"""


def _first_names(brands: Sequence[Brand]) -> str:
    """The first 20 names, of up to ten thousand."""
    return "there are " + ", ".join(brand.name for brand in brands[:20]) + (" ..." if len(brands) > 20 else "")


def share_of_voice(client: Client, file: Path | None, name: str, days: int) -> Rows:
    """Mentions of the brand and of each competitor in the last `days`, and their share in percent; zeros included.

    An event that mentions several of them counts for each. Raises SettingsError for brands.yaml, UnknownName for a brand that
    is not in it, EarshotError with the server's reason.
    """
    brands = load_brands(file or SAMPLE_BRANDS)
    brand = brands.named(name)
    if brand is None:
        near = hint(name, (each.name for each in brands.brands))
        raise UnknownName(f"no brand is named {name!r} in {file or SAMPLE_BRANDS}{near or f': {_first_names(brands.brands)}'}")
    values = {"names": [name, *brand.competitors], "days": days}
    with one_line(client):
        answer = client.query(_VOICE, values, settings=settings_for(client))
    return Rows(answer.column_names, answer.result_rows, cut=False)
