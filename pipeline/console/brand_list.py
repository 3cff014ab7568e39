"""All brands with the figures of their last day."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.console.brand_data import KEEP_S, Row, count, decimal, in_periods, share_of
from pipeline.console.charts import Value
from pipeline.console.reads import Reads
from pipeline.console.spans import Window, window

SHOWN = 50
"""Brands of a page."""
MOST = 50_000
"""Brands that are ordered, of those with mentions: those with fewer are left out."""
_ORDER = f"SELECT brand, mentions FROM (QUERY) ORDER BY mentions DESC, brand LIMIT {MOST}"


@dataclass(frozen=True, slots=True)
class Day:
    """A brand's last day."""

    brand: str
    mentions: int
    before: int
    """The day before."""
    negative: float | None
    """Percent of what is labelled."""
    score: float | None
    line: Sequence[Value]
    """Mentions by hour."""

    @property
    def change(self) -> float | None:
        """Of the mentions, in percent."""
        return 100 * (self.mentions - self.before) / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class Days:
    """A page of brands, those with the most mentions first; those of brands.yaml without any, too."""

    brands: list[Day]
    sql: dict[str, str]
    """What was asked: the statement of each query."""
    found: int
    """Brands on all pages."""
    pages: int


async def days(reads: Reads, known: Sequence[str], search: str, page: int, now: datetime) -> Days:
    """Page `page` (from 1 on; one that is not there is empty) of the brands whose names hold `search`. Raises ReadFailed."""
    day = window("24h", "", "", now)
    newest, older = await asyncio.gather(
        reads.named("volume", day.given(period="all"), KEEP_S, MOST, around=_ORDER),
        reads.named("volume", day.given_before(period="all"), KEEP_S, MOST, around=_ORDER),
    )
    mentions, earlier = ({str(row["brand"]): count(row, "mentions") for row in each.rows} for each in (newest, older))
    names = await asyncio.to_thread(_ordered, known, mentions, earlier, search)
    shown = names[(page - 1) * SHOWN : page * SHOWN]
    asked = {"the last day of all brands": newest.sql, "the day before": older.sql}
    tones, lines = dict[str, Row](), dict[str, Sequence[Value]]()
    if shown:
        tone, (lines, sql) = await asyncio.gather(
            reads.named("sentiment", day.given(period="all", brand=shown), KEEP_S), _lines(reads, shown, day)
        )
        tones = {str(row["brand"]): row for row in tone.rows}
        asked |= {"tone": tone.sql, "lines": sql}
    brands = [
        Day(
            name,
            mentions.get(name, 0),
            earlier.get(name, 0),
            share_of(count(row, "negative"), count(row, "labelled")) if (row := tones.get(name)) else None,
            decimal(row, "score") if row else None,
            lines.get(name, []),
        )
        for name in shown
    ]
    return Days(brands, asked, len(names), max(-(-len(names) // SHOWN), 1))


def _ordered(known: Sequence[str], mentions: Mapping[str, int], earlier: Mapping[str, int], search: str) -> list[str]:
    """Those with the most mentions first."""
    held = search.casefold()
    names = [name for name in {**dict.fromkeys(known), **mentions, **earlier} if held in name.casefold()]
    return sorted(names, key=lambda name: (-mentions.get(name, 0), -earlier.get(name, 0), name))


async def _lines(reads: Reads, names: list[str], day: Window) -> tuple[dict[str, Sequence[Value]], str]:
    """Mentions of each brand by hour."""
    answer = await reads.named("volume", day.given(period="hour", brand=names), KEEP_S)
    by_brand: dict[str, list[Row]] = {name: [] for name in names}
    for row in answer.rows:
        by_brand[str(row["brand"])].append(row)
    first = day.start.replace(minute=0)
    hours = [first + timedelta(hours=n) for n in range(25)]
    lines: dict[str, Sequence[Value]] = {
        name: [count(row, "mentions") if row else 0 for row in in_periods(rows, hours)] for name, rows in by_brand.items()
    }
    return lines, answer.sql
