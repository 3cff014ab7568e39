"""Finds the format of times in a column: ISO 8601, numbers since 1970, or one of some hundred ways to write a date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from typing import NamedTuple

from pipeline.sources.recorded.times import EARLIEST_MOMENT, FORMATS, parser

ENOUGH = 0.95
"""The share of values that a format has to read."""
_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%y", "%m/%d/%y"),
    *("%d/%m/%y", "%Y%m%d", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%Y年%m月%d日"),
)
_LONG_DATES = (
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%B %d %Y",
    "%d. %B %Y",
    "%d %b, %Y",
    "%a, %d %b %Y",
    "%A, %B %d, %Y",
)
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%H.%M", "%H:%M:%S.%f", "%H.%M.%S", "%Hh%M", "%H时%M分")
_JOINS = (" ", ", ", "T", " at ", " - ", " um ")
_ZONES = ("", " %z", "%z", " %Z", " (%Z)")
_WHOLE = (
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %Z %Y",
    "%a %b %d %Y %H:%M:%S %Z%z",
    "%H:%M:%S %d.%m.%Y",
    "%H:%M %d.%m.%Y",
)


_MAY_BE = re.compile(r"(?=(?:\D*\d){3}).{6,45}")
_FORMS = {
    **dict.fromkeys(("%m", "%d", "%H", "%I"), r"\d{1,2}"),
    **dict.fromkeys(("%M", "%S", "%y"), r"\d{2}"),
    **dict.fromkeys(("%b", "%B", "%a", "%A"), r"[^\W\d_]{2,}\.?"),
    **{"%Y": r"\d{4}", "%f": r"\d{1,6}", "%p": r"[AaPp]\.?[Mm]\.?", "%z": r"(?:Z|[+-]\d\d:?\d\d)", "%Z": r"[A-Za-z][\w/+:-]*"},
}


class TimeFormat(NamedTuple):
    """A format of times.py or strptime."""

    time: str
    zoned: bool
    """Whether the texts name their zone."""
    either: str = ""
    """Another format that reads them as well: day and month are not certain."""


def time_format(texts: Sequence[str]) -> TimeFormat | None:
    """The format that reads nearly all texts as times from 1995 to tomorrow; None if none does."""
    if not texts:
        return None
    for name in ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns"):
        if _reads(FORMATS[name], texts):
            return TimeFormat(name, True)
    if _reads(_zoned("iso"), texts):
        return TimeFormat("iso", True)
    if _reads(_local("iso"), texts):
        return TimeFormat("iso", False)
    texts = [text.replace("\u202f", " ").replace("\xa0", " ") for text in texts]
    if sum(_MAY_BE.fullmatch(text) is not None for text in texts) < ENOUGH * len(texts):
        return None
    few = texts[:: max(1, len(texts) // 5)][:5]
    likely = [each for each in _formats(few) if sum(_form(each).fullmatch(text) is not None for text in few) >= len(few) - 1]
    fits = [each for each in likely if _reads(_reader(each), texts)]
    if not fits:
        return None
    spans = [_span(_reader(each), texts) for each in fits]
    best = min(range(len(fits)), key=lambda n: (spans[n], n))
    other = next((fits[n] for n in range(len(fits)) if spans[n] != spans[best]), "")
    return TimeFormat(fits[best], "%z" in fits[best] or "%Z" in fits[best], other)


@cache
def _form(time: str) -> re.Pattern[str]:
    """The form of texts of a format, to rule it out without parsing."""
    parts = re.split(r"(%.)", time)
    return re.compile("".join(_FORMS[part] if part in _FORMS else re.escape(part) for part in parts))


def _formats(few: Sequence[str]) -> Iterator[str]:
    """The formats whose date one of the texts begins with, and those that begin with something else."""
    yield from _WHOLE
    dates = [date for date in (*_DATES, *_LONG_DATES) if any(_form(date).match(text) for text in few)]
    for date in dates:
        yield from (f"{date}{join}{clock}{zone}" for join, clock, zone in product(_JOINS, _CLOCKS, _ZONES))
        yield date


def _reader(time: str) -> Callable[[object], datetime]:
    return _zoned(time) if "%z" in time or "%Z" in time else _local(time)


@cache
def _zoned(time: str) -> Callable[[object], datetime]:
    read = parser(time, None)
    return lambda text: datetime.fromisoformat(read(text))


@cache
def _local(time: str) -> Callable[[object], datetime]:
    read = parser(time, "UTC")
    return lambda text: datetime.fromisoformat(read(text))


def _reads(read: Callable[[object], datetime], texts: Sequence[str], share: float = ENOUGH) -> bool:
    latest, failed, most = datetime.now(UTC) + timedelta(days=1), 0, (1 - share) * len(texts)
    for text in texts:
        try:
            failed += not EARLIEST_MOMENT <= read(text) <= latest
        except (ValueError, ArithmeticError):
            failed += 1
        if failed > most:
            return False
    return True


def _span(read: Callable[[object], datetime], texts: Sequence[str]) -> timedelta:
    times = list[datetime]()
    for text in texts:
        try:
            times.append(read(text))
        except (ValueError, ArithmeticError):
            continue
    return max(times) - min(times)


def hidden_time(texts: Sequence[str]) -> str | None:
    """`snowflake` or `shortcode` if the ids hold times that fit; None if they hold none."""
    if all(text.isdigit() and 15 <= len(text) <= 19 for text in texts) and _reads(FORMATS["snowflake"], texts):
        return "snowflake"
    codes = [text for text in texts if len(text) == 11 and not text.isdigit() and text.lower() != text]
    if len(codes) == len(texts) and _reads(FORMATS["shortcode"], texts):
        return "shortcode"
    return None
