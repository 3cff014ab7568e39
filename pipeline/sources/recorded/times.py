"""Parses the times of recorded files: each parser returns an aware time, or raises ValueError."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.config.zone import zone_hint
from schemas.times import rfc3339

Parser = Callable[[object], datetime]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
FIRST_SNOWFLAKE = 29_700_859_247
"""Twitter counted its ids up to this one; only later ones hold a time."""
INSTAGRAM_EPOCH_MS = 1_314_220_021_721


def epoch(seconds: object) -> datetime:
    return EPOCH + timedelta(seconds=float(str(seconds)))


def epoch_ms(milliseconds: object) -> datetime:
    return EPOCH + timedelta(milliseconds=float(str(milliseconds)))


def snowflake(identifier: object) -> datetime:
    """The time in a tweet's id."""
    number = int(str(identifier))
    if number < FIRST_SNOWFLAKE:
        raise ValueError("the id is too small to hold a time")
    return epoch_ms((number >> 22) + SNOWFLAKE_EPOCH_MS)


def shortcode(code: object) -> datetime:
    """The time in the media id that an Instagram shortcode spells."""
    text = str(code)
    if not 1 <= len(text) <= 11:
        raise ValueError("a shortcode has up to 11 characters")
    media = int.from_bytes(base64.b64decode(text.rjust(12, "A"), altchars=b"-_", validate=True), "big")
    return epoch_ms((media >> 23) + INSTAGRAM_EPOCH_MS)


FORMATS: dict[str, Parser] = {
    "iso": lambda text: datetime.fromisoformat(str(text)),
    "epoch_s": epoch,
    "epoch_ms": epoch_ms,
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
    """A function from a file's value to RFC 3339 in UTC, with milliseconds if there are any."""
    parse = FORMATS.get(time) or (lambda text: datetime.strptime(str(text), time))
    local = parse_zone(zone) if zone else None

    def text_of(given: object) -> str:
        moment = parse(given)
        if moment.tzinfo is None:
            if local is None:
                raise ValueError("the time has no zone, and the mapping names none")
            moment = moment.replace(tzinfo=local)
        return rfc3339(moment, short=True)

    return text_of
