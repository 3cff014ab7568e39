"""Ids that lost digits on their way: a spreadsheet or a float kept the first 15 or 17 of them.

Such ids look whole and collapse: different posts become one. So they are refused, with the reason and the way out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

IDS = ("id", "in_reply_to", "conversation_id", "target", "author.id", "order.id")
"""The fields that hold the id of something."""
_SCIENTIFIC = re.compile(r"[+-]?\d[.,]\d*[eE]\+?\d{1,3}|[+-]?\d+[eE]\+\d{1,3}")
_POINT_ZERO = re.compile(r"(-?\d+)[.,]0+")
_LONG = re.compile(r"(?<![^\W_])[1-9]\d{15,}$")
EXACT = 1 << 53
_KEPT = 17, 15
"""The digits that a float keeps, and a spreadsheet."""
LOST = "lost their last digits"
WAY_OUT = "make the id of other columns, hash: [...], or export it as text"


def lost_digits(value: object) -> str | None:
    """The reason why this value is no whole id any more; None if it may be one."""
    if isinstance(value, float):
        if abs(value) >= EXACT or value != int(value):
            return f"ids as decimal numbers, they {LOST}: {WAY_OUT}"
        return None
    if isinstance(value, str) and _SCIENTIFIC.fullmatch(value):
        return f"ids in scientific notation, they {LOST}: {WAY_OUT}"
    match = _POINT_ZERO.fullmatch(value) if isinstance(value, str) else None
    if match and abs(int(match[1])) >= EXACT:
        return f"ids that were decimal numbers, they {LOST}: {WAY_OUT}"
    return None


def ends_in_point_zero(value: object) -> str | None:
    """The reason to refuse 848.0, which lost nothing but names nothing either: its post is 848."""
    if isinstance(value, float) or (isinstance(value, str) and _POINT_ZERO.fullmatch(value)):
        return "the id ends in .0, it went through a column of decimal numbers: find: '^[0-9]+' keeps the digits before it"
    return None


def rounded(ids: Iterable[str], others_lost: bool) -> bool:
    """Whether these ids of 16 digits and more were rounded: all of them end in the zeros that a float or spreadsheet leaves.

    `others_lost`: other ids of the column lost digits for sure. Without that a few zeros by chance are none that count.
    """
    zeros = several = 0
    for each in set(ids):
        match = _LONG.search(each)
        if match is None:
            continue
        tail = len(match[0]) - len(match[0].rstrip("0"))
        if tail == 0 or len(match[0]) - tail > _KEPT[len(match[0]) <= _KEPT[0]]:
            return False
        zeros += tail
        several += 1
    return zeros >= 1 if others_lost else several > 1 and zeros >= 3


def is_long(value: str) -> bool:
    """Whether an id ends in 16 digits, more than a spreadsheet keeps."""
    return _LONG.search(value) is not None
