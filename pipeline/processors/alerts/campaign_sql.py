"""SQL of campaigns: the texts of a minute, those that came late, and the newest versions of the few that may be a campaign."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from pipeline.clickhouse.row_versions import ROW_KEY, numbers, quoted
from pipeline.processors.alerts.minutes import MINUTE_S
from pipeline.processors.alerts.similarity import SHORTEST
from pipeline.processors.alerts.text_groups import LOWEST

COPIES = ("repost", "reaction", "like", "follow", "vote")
"""Kinds whose text is the platform's own copy, or none: many reposts of one text are no campaign."""
LONGEST = 400
"""Characters of a text that are compared."""
_ACCOUNT = """if(author_id = '' AND author_handle = '', 0,
    cityHash64(platform, author_id != '', if(author_id != '', author_id, author_handle))) AS account"""
_TEXT = f"substringUTF8(text, 1, {LONGEST}) AS text"


def minute_sql(minute: int, names: Collection[str] | None, values: Iterable[int] | None, most: int) -> str:
    """event_key, brands, sketch (its LOWEST values), text, account: of each event, its newest version that may be like others.

    `names`: of these brands alone; `values`: of sketches with at least two of them alone; the `most` newest versions.
    """
    near = "" if values is None else f" AND arrayCount(x -> x IN ({listed(values)}), arrayDistinct(text_sketch)) >= 2"
    return f"""
SELECT event_key, brands, arrayResize(arraySlice(arrayDistinct(text_sketch), 1, {LOWEST}), {LOWEST}) AS sketch, text, account
FROM (
    SELECT event_key, brands, text_sketch, {_TEXT}, {_ACCOUNT}
    FROM interactions WHERE toStartOfMinute(created_at) = toDateTime({minute * MINUTE_S}, 'UTC') AND {_wanted(names)}{near}
        AND account != 0
    ORDER BY version DESC LIMIT 1 BY event_key LIMIT {most})
WHERE notEmpty(text_sketch)"""


def late_sql(minutes: Sequence[int], since: datetime, names: Collection[str] | None, most: int) -> str:
    """minute, text_sketch: of the rows of these minutes that arrived after `since`."""
    return f"""
SELECT toInt64(intDiv(toUnixTimestamp(created_at), {MINUTE_S})) AS minute, text_sketch FROM interactions
WHERE toStartOfMinute(created_at) IN ({_times(minutes)}) AND {_wanted(names)}
    AND ingested_at >= '{since.astimezone(UTC):%Y-%m-%d %H:%M:%S}' LIMIT {most}"""


def texts_sql(keys: Iterable[int], minutes: Sequence[int]) -> str:
    """The newest versions of these events of these minutes, in the order of their time."""
    return f"""
SELECT event_key, created_at, toString(platform) AS platform, brands, {_TEXT}, visibility = 'private' AS private, text_sketch,
    {_ACCOUNT}
FROM (
    SELECT *, text_sketch FROM interactions
    WHERE toStartOfMinute(created_at) IN ({_times(minutes)}) AND event_key IN ({listed(keys)})
    ORDER BY version DESC LIMIT 1 BY {ROW_KEY})
WHERE is_deleted = 0 AND notEmpty(text_sketch) AND account != 0
ORDER BY created_at, event_key"""


def listed(values: Iterable[int]) -> str:
    return numbers(values).removesuffix("::Array(UInt64)").strip("[]")


def _wanted(names: Collection[str] | None) -> str:
    """The rows that are compared. A sketch is computed when it is read: so it is read of these alone."""
    kinds = ", ".join(map(quoted, COPIES))
    about = "notEmpty(brands)" if names is None else f"hasAny(brands, [{', '.join(map(quoted, sorted(names)))}])"
    return f"{about} AND direction != 'outbound' AND kind NOT IN ({kinds}) AND length(interactions.text) >= {SHORTEST}"


def _times(minutes: Iterable[int]) -> str:
    return ", ".join(f"toDateTime({minute * MINUTE_S}, 'UTC')" for minute in minutes)
