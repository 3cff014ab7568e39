"""Weekdays and times of day, as people write them: `mon-fri`, `08:00-18:00`."""

from __future__ import annotations

import re

from pipeline.config.document import hint

DAY, WEEK = 1_440, 10_080
"""Minutes."""
NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GERMAN = ("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag")
_SHORT = tuple(name[:3] for name in NAMES)


def _weekday(name: str) -> int:
    known = name.strip().lower()
    for names in (_SHORT, NAMES):
        if known in names:
            return names.index(known)
    names = _SHORT if len(known) <= 4 else NAMES
    german = next((day for day, name in enumerate(_GERMAN) if known in (name, name[:2])), None)
    near = f", did you mean {names[german]!r}?" if german is not None else hint(known, names)
    near = near or ": it should look like mon or mon-fri"
    raise ValueError(f"there is no day {name.strip()!r}{near}")


def weekdays(text: str) -> list[int]:
    """Of `mon-fri` or `mon`; sat-mon goes over Sunday."""
    first, *rest = (_weekday(name) for name in text.split("-", 1))
    last = rest[0] if rest else first
    return [day % 7 for day in range(first, last + 1 + 7 * (last < first))]


def span(text: str) -> tuple[int, int]:
    """The first minute of the day, and the minute after the last; past 1,440 it is of the next day."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", text.strip())
    if match is None or int(match[2]) > 59 or int(match[4]) > 59:
        raise ValueError(f"{text!r} are no hours: it should look like 08:00-18:00")
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if start >= DAY or end > DAY:
        raise ValueError(f"{text!r}: a day has the hours 00:00 to 24:00")
    if start == end:
        raise ValueError(f"{text!r} begin when they end: the whole day is 00:00-24:00")
    return start, end if end > start else end + DAY
