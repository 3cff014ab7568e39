"""What the page of a brand shows: answers of the named queries over a window and over the time before it."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from pipeline.clickhouse.row_versions import quoted
from pipeline.clock import Clock
from pipeline.config.document import hint
from pipeline.config.settings import Settings
from pipeline.console.part import Part, part
from pipeline.console.reads import Answer, Reads
from pipeline.console.spans import Window
from pipeline.errors import UnknownName
from pipeline.queries.alerts import listed, overlapping_sql
from pipeline.queries.counted_names import is_named_sql
from pipeline.queries.names import brand_names
from schemas.alerts import Alert
from schemas.times import rfc3339

KEEP_S = 5.0
"""As old as numbers may be."""
MOST_ALERTS = 100
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in ("mentions", "private", "bots", "ours", "engagement", "reach"))
BOTH = f"""SELECT
    grouping(begins) AS whole, -- 0: by period; 1: over the whole time, by platform and language
    begins, brand, platform, language, {_SUMS}
FROM (QUERY) AS counted
GROUP BY GROUPING SETS ((begins, brand), (brand, platform, language))
ORDER BY whole, begins, platform, language"""
"""Around query volume by platform and language: what is stored is read once for both kinds of rows."""
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query over the window, and over the time before it."""

    now: Answer
    before: Answer


@dataclass(frozen=True, slots=True)
class Happened:
    """The alerts about a brand in a window, the last begun first."""

    alerts: list[Alert]
    sql: str
    cut: bool


@dataclass(frozen=True, slots=True)
class Shares:
    """Share of voice by period, and over the whole time before. Of a panel that changed only the newest version is compared."""

    by_period: Answer
    before: Answer


@dataclass(frozen=True, slots=True)
class Brand:
    """All that the page shows; each part can fail by itself."""

    name: str
    volume: Part[Pair]
    tone: Part[Pair]
    shares: Part[Shares]
    split: Part[Pair]
    """Query volume over all, by platform and language."""
    alerts: Part[Happened]

    @property
    def away(self) -> Part[Pair] | None:
        """The reason why nothing can be had, if all parts have the same one."""
        parts = (self.volume, self.tone, self.shares, self.split, self.alerts)
        return self.volume if self.volume.failed and len({each.failed for each in parts}) == 1 else None


async def check_brand(reads: Reads, settings: Settings, name: str) -> None:
    """Raises UnknownName for a brand that neither the files nor stored rows nor alerts name, and ReadFailed."""
    known = await asyncio.to_thread(brand_names, settings)
    if name in known:
        return
    alerted = f"SELECT 1 FROM alerts_now WHERE brand = {quoted(name)} AND brand != '' LIMIT 1"
    answers = await asyncio.gather(reads.ask(alerted), reads.ask(is_named_sql("brand", name))) if name else ()
    if not any(answer.rows for answer in answers):
        near = await asyncio.to_thread(hint, name[:100], known)  # of ten thousand
        raise UnknownName(f"There is no brand {name[:100]!r}, neither in the files nor in stored events{near}.")


async def brand(reads: Reads, name: str, window: Window, clock: Clock) -> Brand:
    """Asks for all parts at once."""
    volume, tone, shares, split, alerts = await asyncio.gather(
        part(volume_of(reads, name, window), clock),
        part(tone_of(reads, name, window), clock),
        part(shares_of(reads, name, window), clock),
        part(split_of(reads, name, window), clock),
        part(alerts_of(reads, name, window), clock),
    )
    return Brand(name, volume, tone, shares, split, alerts)


async def volume_of(reads: Reads, name: str, window: Window) -> Pair:
    """Query volume by period. Raises ReadFailed, as all below."""
    return await _counted(reads, name, window, 0)


async def split_of(reads: Reads, name: str, window: Window) -> Pair:
    """Query volume by platform and language, over the whole time."""
    return await _counted(reads, name, window, 1)


async def tone_of(reads: Reads, name: str, window: Window) -> Pair:
    """Query sentiment by period."""
    now, before = await asyncio.gather(
        reads.named("sentiment", window.given(brand=name), KEEP_S),
        reads.named("sentiment", window.given_before(brand=name), KEEP_S),
    )
    return Pair(now, before)


async def shares_of(reads: Reads, name: str, window: Window) -> Shares:
    """Query share_of_voice: with the competitors of brands.yaml."""
    period = "hour" if window.period == "quarter-hour" else window.period
    by_period, before = await asyncio.gather(
        reads.named("share_of_voice", window.given(brand=name, period=period), KEEP_S),
        reads.named("share_of_voice", window.given_before(brand=name, period="all"), KEEP_S),
    )
    return Shares(by_period, before)


async def alerts_of(reads: Reads, name: str, window: Window) -> Happened:
    """The alerts about the brand that were open in the window, tests and those that never fired left out."""
    answer = await reads.ask(*overlapping_sql(name, window.start, window.end, MOST_ALERTS + 1), KEEP_S, MOST_ALERTS)
    return Happened([listed(row) for row in answer.rows], answer.sql, answer.cut)


async def _counted(reads: Reads, name: str, window: Window, whole: int) -> Pair:
    """The rows of BOTH of one kind: both kinds are one question."""
    more: Mapping[str, str | Sequence[str]] = {"brand": name, "by": ("platform", "language")}
    answers = await asyncio.gather(
        reads.named("volume", window.given(**more), KEEP_S, around=BOTH),
        reads.named("volume", window.given_before(**more), KEEP_S, around=BOTH),
    )
    return Pair(*(replace(each, rows=[row for row in each.rows if row["whole"] == whole]) for each in answers))


# --- sums -------------------------------------------------------------------------------------------------------------
def total(answer: Answer, column: str) -> int:
    """The sum of a column."""
    return sum(count(row, column) for row in answer.rows)


def count(row: Row, column: str) -> int:
    """A whole number of a row; null is 0."""
    return int(str(row[column] or 0))


def decimal(row: Row, column: str) -> float | None:
    """A number of a row."""
    return None if row[column] is None else float(str(row[column]))


def mean_score(answer: Answer) -> float | None:
    """Query sentiment's score over all periods; None: nothing is labelled."""
    labelled = total(answer, "labelled")
    scores = [(decimal(row, "score"), count(row, "labelled")) for row in answer.rows]
    return sum(score * many for score, many in scores if score is not None) / labelled if labelled else None


def share_of(part_: int, whole: int) -> float | None:
    """Percent; None of nothing."""
    return 100 * part_ / whole if whole else None


def in_periods(rows: Sequence[Row], begins: Sequence[datetime]) -> list[Row | None]:
    """The row of each period; None: it has none."""
    found: list[Row | None] = [None] * len(begins)
    for row in rows:
        at = row["begins"]
        assert isinstance(at, datetime)
        index = bisect_right(begins, at.astimezone(UTC)) - 1
        if 0 <= index < len(found):
            found[index] = row
    return found


# --- addresses --------------------------------------------------------------------------------------------------------
def brand_url(name: str, **query: str) -> str:
    """The page of a brand. Browsers would read a name of dots as a folder."""
    asked = {key: value for key, value in query.items() if value}
    if any(step in (".", "..") for step in name.split("/")):
        return f"/brands?{urlencode({'name': name, **asked})}"
    return f"/brands/{quote(name, safe='')}" + (f"?{urlencode(asked)}" if asked else "")


def posts_url(name: str, begin: datetime, end: datetime, **more: str) -> str:
    """The page that lists the brand's posts of a time."""
    asked = {"brand": name, "from": rfc3339(begin, short=True), "to": rfc3339(end, short=True), **more}
    return f"/posts?{urlencode({key: value for key, value in asked.items() if value})}"
