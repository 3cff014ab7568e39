"""Posts about a brand in a time, the newest first: what a point of a chart is made of.

What its authors hid, or what was erased, is not there; private messages are counted in charts and never listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.clickhouse.query import conditions
from pipeline.console.reads import Reads
from pipeline.console.spans import LONGEST_LIST, moment
from pipeline.errors import SettingsError
from pipeline.processors.alerts.counts import LANGUAGE
from schemas.inbound import INBOUND_SQL
from schemas.times import to_ms

SHOWN = 50
"""Posts of a page."""
TONES = ("negative", "neutral", "positive")
_COLUMNS = (
    "created_at, platform, kind, if(author_handle = '', author_name, author_handle) AS author, author_followers, "
    "sentiment_label AS sentiment, text, event_key"
)


@dataclass(frozen=True, slots=True)
class Which:
    """The posts of a page; blank: any. `after`: those behind this post, of its time in ms and its key."""

    brand: str
    begin: datetime
    end: datetime
    platform: str = ""
    language: str = ""
    tone: str = ""
    after: tuple[int, int] | None = None

    def question(self) -> tuple[str, dict[str, object]]:
        """The statement and its parameters."""
        where, values = conditions(
            {
                "brand": ("has(brands, {brand:String})", self.brand),
                "platform": ("platform = {platform:String}", self.platform or None),
                "language": (f"{LANGUAGE} = {{language:String}}", self.language or None),
                "tone": ("sentiment_label = {tone:String}", self.tone or None),
            }
        )
        if self.after:
            values |= {"at": self.after[0], "key": self.after[1]}
            where += " AND (created_at, event_key) < (fromUnixTimestamp64Milli({at:Int64}), {key:UInt64})"
        order = "ORDER BY toStartOfMinute(created_at) DESC, created_at DESC, event_key DESC"
        found = (  # by the key first: no text is read but those of the page
            "SELECT toStartOfMinute(created_at), event_key FROM interactions FINAL "
            "WHERE toStartOfMinute(created_at) >= toStartOfMinute(fromUnixTimestamp64Milli({begin:Int64})) "
            "AND created_at >= fromUnixTimestamp64Milli({begin:Int64}) AND created_at < fromUnixTimestamp64Milli({end:Int64}) "
            f"AND toStartOfMinute(created_at) <= fromUnixTimestamp64Milli({{end:Int64}}) AND {INBOUND_SQL} "
            f"AND visibility != 'private' AND {where} "
            f"{order} LIMIT {SHOWN + 1:d}"
        )
        sql = f"SELECT {_COLUMNS} FROM interactions FINAL WHERE (toStartOfMinute(created_at), event_key) IN ({found}) {order}"
        return sql, values | {"begin": to_ms(self.begin), "end": to_ms(self.end)}


@dataclass(frozen=True, slots=True)
class Posts:
    """A page of them. `after`: where the next page begins, as an address names it; blank: there is none."""

    rows: list[dict[str, object]]
    sql: str
    after: str


def which(typed: Mapping[str, str], now: datetime) -> Which:
    """What the address names. Raises SettingsError that says what is wrong."""
    brand = typed.get("brand", "")
    if not brand or "\0" in brand:
        raise SettingsError("brand: name one.")
    begin, end = (moment(typed.get(name, ""), name) for name in ("from", "to"))
    if begin >= end:
        raise SettingsError("from: it is not before to.")
    if begin > now:
        raise SettingsError("from: it has still to come.")
    if end - begin > LONGEST_LIST:
        raise SettingsError(f"A list of posts is of {LONGEST_LIST.days} days at most: choose a shorter time.")
    tone = typed.get("tone", "")
    if tone and tone not in TONES:
        raise SettingsError(f"tone: {tone[:40]!r} is none of {', '.join(TONES)}.")
    found = re.fullmatch(r"(\d{1,14})-(\d{1,20})", after, re.ASCII) if (after := typed.get("after", "")) else None
    if after and (found is None or int(found[2]) >= 2**64):
        raise SettingsError(f"after: {after[:40]!r} is no place in the list.")
    place = (int(found[1]), int(found[2])) if found else None
    return Which(brand, begin, end, typed.get("platform", "")[:64], typed.get("language", "")[:64], tone, place)


async def posts(reads: Reads, asked: Which) -> Posts:
    """A page of the posts. Raises ReadFailed."""
    answer = await reads.ask(*asked.question(), most=SHOWN + 1)
    rows, after = answer.rows[:SHOWN], ""
    if len(answer.rows) > SHOWN:
        last = rows[-1]["created_at"]
        assert isinstance(last, datetime)
        after = f"{to_ms(last.astimezone(UTC))}-{rows[-1]['event_key']}"
    return Posts(rows, answer.sql, after)
