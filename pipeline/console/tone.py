"""The tone of page Now: each brand's last hour, and its quarter-hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.console.reads import Reads

SHOWN = 24
"""Brands of a page: those with the most mentions."""
QUARTER, QUARTERS = timedelta(minutes=15), 4
"""What figures and lines show: an hour. The query begins with whole quarter-hours."""
HOUR = timedelta(hours=1)
KEEP_S, OLD_S = 5.0, 30.0
_MOST = f"""SELECT brand, sum(mentions) AS mentions, count() OVER () AS brands
FROM (QUERY)
GROUP BY brand ORDER BY mentions DESC, brand LIMIT {SHOWN}"""
"""Which brands are shown: of ten thousand, those alone are read."""


@dataclass(frozen=True, slots=True)
class Tone:
    """A brand's last hour: the quarter-hours that begin within it, the running one included."""

    brand: str
    mentions: int
    labelled: int
    negative: int
    score: float | None
    """Mean from -1 to 1; None: none is labelled."""
    line: list[float | None]
    """The mean of each of the last quarter-hours; None: nothing in it is labelled."""

    @property
    def said(self) -> str:
        """The line in words."""
        known = [score for score in self.line if score is not None]
        between = f"from {min(known):.2f} to {max(known):.2f}" if known else "not known"
        return f"tone of the last hour by quarter-hours: {between}"

    @property
    def share(self) -> float | None:
        """Percent of the labelled that are negative."""
        return 100 * self.negative / self.labelled if self.labelled else None


@dataclass(frozen=True, slots=True)
class Tones:
    """The brands with mentions, those with the most first, and how many are left out."""

    brands: list[Tone]
    sql: dict[str, str]
    """What was asked: the statement of each question."""
    left_out: int


async def tones(reads: Reads, now: datetime, brand: str = "") -> Tones:
    """Named query sentiment by quarter-hours. Raises ReadFailed."""
    given: dict[str, str | Sequence[str]] = {"from": f"{QUARTERS * QUARTER // HOUR}h", "period": "quarter-hour"}
    if brand:
        given["brand"] = brand
    most = await reads.named("sentiment", given, KEEP_S, old_s=OLD_S, around=_MOST, first=True)
    names = [str(row["brand"]) for row in most.rows]
    if not names:
        return Tones([], {"SQL": most.sql}, 0)
    answer = await reads.named("sentiment", given | {"brand": names}, KEEP_S, old_s=OLD_S, first=True)
    by_brand: dict[str, list[dict[str, object]]] = {name: [] for name in names}
    for row in answer.rows:
        by_brand[str(row["brand"])].append(row)
    found = sorted((_tone(name, rows, now) for name, rows in by_brand.items()), key=lambda tone: (-tone.mentions, tone.brand))
    left_out = int(str(most.rows[0]["brands"])) - len(names)
    return Tones(found, {"SQL": answer.sql, "SQL of which brands are shown": most.sql}, left_out)


def _tone(brand: str, rows: list[dict[str, object]], now: datetime) -> Tone:
    score = {_time(row): _score(row) for row in rows}
    running = datetime.fromtimestamp(now.timestamp() // QUARTER.total_seconds() * QUARTER.total_seconds(), UTC)
    line = [score.get(running - QUARTER * back) for back in reversed(range(QUARTERS))]
    recent = [row for row in rows if _time(row) >= now - HOUR]
    mentions, labelled, negative = (sum(int(str(row[name])) for row in recent) for name in ("mentions", "labelled", "negative"))
    total = sum((_score(row) or 0.0) * int(str(row["labelled"])) for row in recent)
    return Tone(brand, mentions, labelled, negative, total / labelled if labelled else None, line)


def _time(row: dict[str, object]) -> datetime:
    begins = row["begins"]
    assert isinstance(begins, datetime)
    return begins


def _score(row: dict[str, object]) -> float | None:
    return None if row["score"] is None else float(str(row["score"]))
