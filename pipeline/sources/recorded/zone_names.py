"""Zones as texts name them after a time: UTC, EST, GMT+2, Europe/Berlin. Some names mean several zones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TOKEN = re.compile(r"(?<![^\W\d_])(?:[A-Za-z]+(?:/[A-Za-z_+-]+)*)?(?:[+-]\d{1,2}(?::?\d{2})?)?")
_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2}):?(\d{2})?", re.IGNORECASE)
_HOURS = {
    **dict.fromkeys(("UTC", "GMT", "UT", "Z", "WET"), 0.0),
    **{
        "WEST": 1,
        "CET": 1,
        "MEZ": 1,
        "CEST": 2,
        "MESZ": 2,
        "EET": 2,
        "EEST": 3,
        "MSK": 3,
        "TRT": 3,
        "PKT": 5,
        "NPT": 5.75,
        "WIB": 7,
    },
    **{
        "ICT": 7,
        "HKT": 8,
        "SGT": 8,
        "AWST": 8,
        "PHT": 8,
        "JST": 9,
        "KST": 9,
        "ACST": 9.5,
        "AEST": 10,
        "ACDT": 10.5,
        "AEDT": 11,
    },
    **{
        "NZST": 12,
        "NZDT": 13,
        "BRT": -3,
        "ART": -3,
        "EDT": -4,
        "EST": -5,
        "CDT": -5,
        "MDT": -6,
        "MST": -7,
        "PDT": -7,
        "PST": -8,
    },
    **{"AKDT": -8, "AKST": -9, "HST": -10, "SAST": 2, "CAT": 2, "EAT": 3, "WAT": 1},
}
_SEVERAL = ("IST", "CST", "BST", "AST", "SST", "GST", "AMT", "ECT")
"""Indian, Irish and Israel time; Central time and China's; and so on: the mapping's zone says which."""


def zone_named(token: str, moment: datetime, local: tzinfo | None) -> tzinfo:
    """The zone of a naive `moment` that a text names `token`; `local`: the mapping's zone, which knows its own short names.

    Raises ValueError for a name that is none, or that means several zones.
    """
    if isinstance(local, ZoneInfo):
        seasons = (moment.replace(month=month, day=1) for month in (1, 7))
        for each in (moment, moment.replace(fold=1), *seasons):
            there = each.replace(tzinfo=local)
            if there.tzname() == token.upper():
                return timezone(there.utcoffset() or timedelta(0))
    if match := _OFFSET.fullmatch(token):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-offset if match[1] == "-" else offset)
    if (hours := _HOURS.get(token.upper())) is not None:
        return timezone(timedelta(hours=hours))
    if token.upper() in _SEVERAL:
        raise ValueError(f"{token.upper()} is the name of several zones: name yours with the mapping's key zone")
    if "/" in token:
        try:
            return ZoneInfo(token)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ValueError("the zone in the text is not known")


def tokens(text: str) -> Iterator[tuple[int, int]]:
    """Where the text may hold the name of a zone, the likeliest place first: the last."""
    return ((match.start(), match.end()) for match in reversed(list(TOKEN.finditer(text))) if match[0])
