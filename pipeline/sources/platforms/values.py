"""Values as platforms write them. Each function returns None for a value of another type: the field is then left out."""

from __future__ import annotations

from calendar import month_abbr
from datetime import UTC, datetime

from schemas.events import NAME_BYTES
from schemas.times import rfc3339
from schemas.untyped import JsonObject

_MONTHS = {name: number for number, name in enumerate(month_abbr) if name}


def event(**fields: object) -> JsonObject:
    """The fields that have a value; an object or a list without one is left out, too."""
    return {name: value for name, value in fields.items() if value or (value is not None and value != {} and value != [])}


def text_of(value: object) -> str | None:
    """A string that is not blank."""
    return value if isinstance(value, str) and value.strip() else None


def name_of(value: object) -> str | None:
    """A string that is not blank, as short as names and handles have to be."""
    return value if isinstance(value, str) and value.strip() and fits(value, NAME_BYTES) else None


def fits(text: str, most: int) -> bool:
    """Whether the text has at most so many bytes of UTF-8."""
    return len(text) <= most // 4 or len(text.encode(errors="surrogatepass")) <= most


def id_of(value: object) -> str | None:
    """An id, which platforms write as a string or as a whole number."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def count_of(value: object) -> int | None:
    """A count: a whole number from 0 on."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else None


def object_of(value: object) -> JsonObject:
    """The JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects_of(value: object) -> list[JsonObject]:
    """The JSON objects of a list; what else it holds is left out."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def time_of(value: object) -> str | None:
    """A time of ISO 8601 with a zone, in UTC; None without a zone, and for any other text."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if value[-1] == "Z" and value[7:8] == "-" and value[10:11] == "T":  # as most platforms write it: five times as fast
        if len(value) == 20:
            return value
        if len(value) == 24 and value[19] == ".":
            return value if value[20:23] != "000" else value[:19] + "Z"
    return _utc(moment) if moment.tzinfo else None


def time_of_seconds(value: object) -> str | None:
    """A time in seconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        return None
    return _utc(datetime.fromtimestamp(value, UTC))


def time_of_milliseconds(value: object) -> str | None:
    """A time in milliseconds since 1970."""
    return (
        time_of_seconds(value / 1000) if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1e14 else None
    )


def time_in_words(value: object) -> str | None:
    """`Wed Oct 10 20:19:24 +0000 2018`, as Twitter's first API and Weibo write it."""
    if not isinstance(value, str):
        return None
    try:
        if len(value) == 30 and value[19:26] == " +0000 " and value[13] == value[16] == ":" and value[8] != " ":
            written = f"{value[26:]}-{_MONTHS[value[4:7]]:02}-{value[8:10]}T{value[11:19]}Z"
            datetime.fromisoformat(written)  # a quarter of the time that the rest takes
            return written
        _, month, day, clock, zone, year = value.split()
        moment = datetime.fromisoformat(f"{year}-{_MONTHS[month]:02}-{day:0>2}T{clock}{zone[:3]}:{zone[3:]}")
    except (ValueError, KeyError):
        return None
    return _utc(moment)


def _utc(moment: datetime) -> str | None:
    try:
        return rfc3339(moment, short=True)
    except (ValueError, OverflowError):
        return None
