"""Parses the times of recorded files: each parser returns an aware time, or raises ValueError."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.config.zone import zone_hint
from pipeline.sources.recorded.zone_names import tokens, zone_named
from schemas.events import EARLIEST
from schemas.times import rfc3339

Parser = Callable[[object], datetime]

_MARK = "\x00zone\x00"
"""Stands for a zone's name, in the text and in the format."""
YEARS = range(1995, 2100)
"""A number of seconds lies in these years in one unit only."""
EARLIEST_MOMENT = datetime.fromisoformat(EARLIEST)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
FIRST_SNOWFLAKE = 29_700_859_247
"""Twitter counted its ids up to this one; only later ones hold a time."""
INSTAGRAM_EPOCH_MS = 1_314_220_021_721


_UNITS = {"epoch_s": 1, "epoch_ms": 10**3, "epoch_us": 10**6, "epoch_ns": 10**9}


def epoch_in(unit: str) -> Parser:
    """The parser of a number of these units since 1970. It refuses a number that gives no sensible year."""
    per_second = _UNITS[unit]

    def parse(given: object) -> datetime:
        number = Decimal(str(given).strip())
        if not number.is_finite():
            raise ValueError("no number")
        moment = _since_1970(number / per_second)
        if moment is not None and moment.year in YEARS:
            return moment
        year = f"the year {moment.year}" if moment is not None else "no year that there is"
        fit = [
            name for name, each in _UNITS.items() if (other := _since_1970(number / each)) is not None and other.year in YEARS
        ]
        raise ValueError(f"as {unit} it is in {year}" + (f": it looks like time: {fit[0]}" if fit else ""))

    return parse


def is_sensible(moment: datetime) -> bool:
    """Whether an event may have this time: `created_at` lies between 1995 and tomorrow."""
    return EARLIEST_MOMENT <= moment <= datetime.now(UTC) + timedelta(days=1)


def _since_1970(seconds: Decimal) -> datetime | None:
    try:
        return EPOCH + timedelta(milliseconds=round(float(seconds * 1000), 3))
    except OverflowError:
        return None


def snowflake(identifier: object) -> datetime:
    """The time in a tweet's id."""
    number = int(str(identifier))
    if number < FIRST_SNOWFLAKE:
        raise ValueError("the id is too small to hold a time")
    return EPOCH + timedelta(milliseconds=(number >> 22) + SNOWFLAKE_EPOCH_MS)


def shortcode(code: object) -> datetime:
    """The time in the media id that an Instagram shortcode spells."""
    text = str(code)
    if not 1 <= len(text) <= 11:
        raise ValueError("a shortcode has up to 11 characters")
    media = int.from_bytes(base64.b64decode(text.rjust(12, "A"), altchars=b"-_", validate=True), "big")
    return EPOCH + timedelta(milliseconds=(media >> 23) + INSTAGRAM_EPOCH_MS)


FORMATS: dict[str, Parser] = {
    "iso": lambda text: datetime.fromisoformat(str(text)),
    **{unit: epoch_in(unit) for unit in _UNITS},
    "snowflake": snowflake,
    "shortcode": shortcode,
}

ZONED = FORMATS.keys() - {"iso"}
"""The formats that need no zone."""


def parse_zone(name: str) -> tzinfo:
    """`+05:30`, or a name of the time zone database."""
    if name[:1] in "+-" and name[1:2].isdigit():
        offset = datetime.strptime(name, "%z").utcoffset()
        assert offset is not None
        return timezone(offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}{zone_hint(name)}") from None


def parser(time: str, zone: str | None) -> Callable[[object], str]:
    """A function from a file's value to RFC 3339 in UTC, with milliseconds if there are any.

    A zone in the text counts before `zone`. The function raises ValueError with a reason that does not quote the value.
    """
    parse = FORMATS.get(time) or partial(_by_format, time)
    local = parse_zone(zone) if zone else None
    named = time == "iso" or "%Z" in time

    def text_of(given: object) -> str:
        try:
            moment = parse(given)
        except (ValueError, ArithmeticError) as error:
            found = _with_named_zone(time, str(given), local) if named else None
            if found is None:
                raise ValueError(_reason(time, error)) from None
            moment = found
        if moment.tzinfo is None:
            if local is None:
                raise ValueError("the time has no zone, and the mapping names none")
            moment = moment.replace(tzinfo=local)
        return rfc3339(moment, short=True)

    return text_of


def _by_format(time: str, given: object) -> datetime:
    """Raises ValueError for a format with %Z: Python drops the zone that it reads there."""
    if "%Z" in time:
        raise ValueError("the text names no zone where the format has %Z")
    return datetime.strptime(str(given), time)


def _with_named_zone(time: str, text: str, local: tzinfo | None) -> datetime | None:
    """The time of a text that names its zone, as 21:13:43 UTC; None if it does not."""
    for start, end in tokens(text):
        try:
            if time == "iso":
                moment = datetime.fromisoformat(text[:start].strip()) if end == len(text) else None
            else:
                marked = f"{text[:start]}{_MARK}{text[end:]}"
                moment = datetime.strptime(marked, time.replace("%Z", _MARK))
        except ValueError:
            continue
        if moment is not None and moment.tzinfo is None:
            return moment.replace(tzinfo=zone_named(text[start:end], moment, local))
    return None


def _reason(time: str, error: Exception) -> str:
    """The error without the value, which Python's own texts quote."""
    if isinstance(error, ArithmeticError):
        return "no number"
    text = str(error)
    if "invalid literal" in text:
        return "no whole number"
    if time == "iso" and "isoformat" in text.lower():
        return "it is not in ISO 8601"
    return f"it is not in the format {time}" if "%" in time and ("does not match" in text or "remains" in text) else text
