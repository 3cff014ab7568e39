"""The page of a brand, made of its data: figures with their change, charts, and the tables beside them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from pipeline.console.brand_data import (
    Brand,
    Happened,
    Pair,
    Row,
    Shares,
    count,
    decimal,
    in_periods,
    mean_score,
    posts_url,
    share_of,
    total,
)
from pipeline.console.charts import Chart, Line, Mark, Value
from pipeline.console.part import Part as Had
from pipeline.console.reads import Answer
from pipeline.console.spans import Window
from schemas.alerts import Alert

MOST_LINES = 8
"""Of a chart; the table beside it has all."""
BEFORE, TONE = "the time before", "Tone, −1 to 1"
T = TypeVar("T")


class Figure(NamedTuple):
    """A number over the whole window. `change`: in percent of the time before, or the difference where it is a share or mean
    itself; None: there is nothing to compare with."""

    label: str
    now: float | None
    unit: str
    digits: int
    before: float | None
    change: float | None
    change_unit: str
    failed: bool = False
    """It could not be read."""


class Period(NamedTuple):
    """A line of a table by period; `row` and `before` are None where a query has no row."""

    begins: datetime
    row: Row | None
    before: Row | None
    href: str


class Part(NamedTuple):
    """A platform, a language or a brand, and its part of the whole, in percent."""

    name: str
    mentions: int
    percent: float | None
    before: int
    percent_before: float | None
    href: str = ""


# --- figures ----------------------------------------------------------------------------------------------------------
def figures(brand: Brand) -> list[Figure]:
    """All of them; those of a part that can't be had say so."""
    return [
        *_of(brand.volume, ["Mentions"], _counts),
        *_of(brand.tone, ["Negative", TONE], _tones),
        *_of(brand.shares, ["Share of voice"], lambda shares: _own_share(brand.name, shares)),
        *_of(brand.volume, ["Engagement", "Reach"], _counts),
    ]


def _of(part: Had[T], labels: Sequence[str], made: Callable[[T], list[Figure]]) -> list[Figure]:
    if part.value is None:
        return [Figure(label, None, "", 0, None, None, "", True) for label in labels]
    return [figure for figure in made(part.value) if figure.label in labels]


def _counts(pair: Pair) -> list[Figure]:
    return [_sum(label, pair, label.lower()) for label in ("Mentions", "Engagement", "Reach")]


def _tones(pair: Pair) -> list[Figure]:
    shares = [share_of(total(each, "negative"), total(each, "labelled")) for each in (pair.now, pair.before)]
    negative = _level("Negative", shares[0], shares[1], "%", 1, "points")
    return [negative, _level(TONE, mean_score(pair.now), mean_score(pair.before), "", 2, "")]


def _own_share(name: str, shares: Shares) -> list[Figure]:
    """None without a competitor: all of it would say nothing."""
    all_ = panel(shares)
    own = next((part for part in all_ if part.name == name), None)
    now, before = (own.percent, own.percent_before) if own else (None, None)
    return [_level("Share of voice", now, before, "%", 1, "points")] if len(all_) > 1 else []


def _sum(label: str, pair: Pair, column: str) -> Figure:
    now, before = total(pair.now, column), total(pair.before, column)
    return Figure(label, now, "", 0, before, 100 * (now - before) / before if before else None, "%")


def _level(label: str, now: float | None, before: float | None, unit: str, digits: int, change_unit: str) -> Figure:
    change = None if now is None or before is None else now - before
    return Figure(label, now, unit, digits, before, change, change_unit)


# --- charts -----------------------------------------------------------------------------------------------------------
def volume_chart(name: str, window: Window, pair: Pair, happened: Happened | None) -> Chart:
    """Mentions by period."""
    rows = periods(name, window, pair)
    lines = [
        Line("mentions", [count(each.row, "mentions") if each.row else 0 for each in rows], "main"),
        Line(BEFORE, [count(each.before, "mentions") if each.before else 0 for each in rows], "before"),
    ]
    return Chart(window.begins, lines, "mentions", marks(happened), [each.href for each in rows])


def tone_chart(name: str, window: Window, pair: Pair, happened: Happened | None) -> Chart:
    """The negative and the positive part of what is labelled, by period."""
    rows = periods(name, window, pair)
    lines = [
        Line("negative", [_part(each.row, "negative") for each in rows], "negative"),
        Line("positive", [_part(each.row, "positive") for each in rows], "positive"),
        Line(f"negative, {BEFORE}", [_part(each.before, "negative") for each in rows], "before"),
    ]
    return Chart(window.begins, lines, "%", marks(happened), [each.href for each in rows], digits=1)


def share_chart(name: str, shares: Shares, happened: Happened | None) -> Chart:
    """Share of voice of the brand and of its competitors, by period; those with the most mentions."""
    rows = shares.by_period.rows
    times = sorted({row["begins"] for row in rows if isinstance(row["begins"], datetime)})
    by_brand: dict[str, dict[object, Value]] = {}
    for row in rows:  # of two versions of the panel in one period the newer one counts
        by_brand.setdefault(str(row["brand"]), {})[row["begins"]] = decimal(row, "percent")
    order = [name, *(part.name for part in panel(shares) if part.name != name)]
    lines = [
        Line(each, [by_brand.get(each, {}).get(time) for time in times], "main" if each == name else "other")
        for each in order[:MOST_LINES]
        if each in by_brand
    ]
    return Chart(times, lines, "%", marks(happened), digits=1)


def marks(happened: Happened | None) -> list[Mark]:
    """The alerts, to be drawn in."""
    return [_mark(each) for each in happened.alerts] if happened else []


def _mark(alert: Alert) -> Mark:
    return Mark(alert.since, f"{alert.rule}, severity {alert.severity}", f"/alerts/{alert.hex}", alert.severity)


def _part(row: Row | None, column: str) -> float | None:
    return share_of(count(row, column), count(row, "labelled")) if row else None


# --- tables -----------------------------------------------------------------------------------------------------------
def periods(name: str, window: Window, pair: Pair) -> list[Period]:
    """A line for each period, with the period that it compares with."""
    now, before = in_periods(pair.now.rows, window.begins), in_periods(pair.before.rows, window.before)
    before += [None] * (len(now) - len(before))
    return [
        Period(begin, now[index], before[index], posts_url(name, begin, window.end_of(index)))
        for index, begin in enumerate(window.begins)
    ]


def parts_of(name: str, window: Window, pair: Pair, by: str) -> list[Part]:
    """Platforms or languages, the largest first; what only the time before has stands last."""
    now, before = _mentions(pair.now.rows, by), _mentions(pair.before.rows, by)
    all_now, all_before = sum(now.values()), sum(before.values())

    def line(each: str) -> Part:
        here, there = now.get(each, 0), before.get(each, 0)
        href = posts_url(name, window.start, window.end, **{by: each}) if each and here else ""
        return Part(each, here, share_of(here, all_now), there, share_of(there, all_before), href)

    return sorted(map(line, {**now, **before}), key=lambda part: (-part.mentions, -part.before, part.name))


def panel(shares: Shares) -> list[Part]:
    """The brand and its competitors over the whole window, the largest first."""
    now = _mentions(newest_panel(shares.by_period), "brand")
    before = _mentions(newest_panel(shares.before), "brand")
    all_now, all_before = sum(now.values()), sum(before.values())

    def line(name: str) -> Part:
        there = before.get(name, 0)
        return Part(name, now[name], share_of(now[name], all_now), there, share_of(there, all_before))

    return sorted(map(line, now), key=lambda part: (-part.mentions, part.name))


def _mentions(rows: Sequence[Row], by: str) -> dict[str, int]:
    """The sum of mentions of each value of a column."""
    sums = Counter[str]()
    for row in rows:
        sums[str(row[by])] += count(row, "mentions")
    return dict(sums)


def newest_panel(answer: Answer) -> Sequence[Row]:
    """Rows of share_of_voice: those of the newest version of the panel."""
    newest = max((count(row, "version") for row in answer.rows), default=0)
    return [row for row in answer.rows if count(row, "version") == newest]


def versions(answer: Answer) -> int:
    """How many versions of the panel the time had."""
    return len({count(row, "version") for row in answer.rows})
