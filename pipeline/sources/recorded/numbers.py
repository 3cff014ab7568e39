"""Numbers as people and tools write them: 1,234 and 1 234, 1.2K, 3万, 4,5, 4/5, 80 %, stars."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, DecimalException

_GROUPS = r"[ _'’٬]"  # between the digits of thousands, in no language a decimal mark
_NUMBER = re.compile(r"([+\-−]?)\s*([\d.,٫]+(?:" + _GROUPS + r"[\d.,٫]+)*)(?:e([+-]?\d{1,3}))?\s*([^\W\d_]*)\.?", re.IGNORECASE)
_GROUPED = {mark: re.compile(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{2,3}})*{re.escape(mark)}\d{{3}}") for mark in ",."}
_SPACED = re.compile(rf"\d{{1,3}}(?:{_GROUPS}\d{{2,3}})*{_GROUPS}\d{{3}}(?:[.,٫]\d+)?")
_OUT_OF = re.compile(r"(.+?)\s*(?:/|\bof\b|\bout of\b|\bvon\b|\bsur\b|\bde\b|\bsu\b|\bиз\b)\s*([\d.,]+)", re.IGNORECASE)
_STARS, _NO_STARS = "★⭐🌟", "☆✩"
_FACTORS = {
    **dict.fromkeys(("k", "tsd", "тыс", "mil", "千", "천", "हज़ार"), 10**3),
    **dict.fromkeys(("万", "萬", "만"), 10**4),
    **dict.fromkeys(("lakh", "lac", "लाख"), 10**5),
    **dict.fromkeys(("m", "mn", "mio", "mln", "млн"), 10**6),
    **dict.fromkeys(("crore", "cr"), 10**7),
    **dict.fromkeys(("億", "亿", "억"), 10**8),
    **dict.fromkeys(("b", "bn", "mrd", "млрд"), 10**9),
}
MOST_DIGITS = 400


def number(text: str, decimal: str | None = None) -> Decimal:
    """The number of a text; raises ValueError with a reason that does not quote it.

    A comma or point before exactly three digits separates thousands unless it is the `decimal` mark; without `decimal` the
    point is one, and so is a comma that separates no thousands.
    """
    plain = unicodedata.normalize("NFKC", text) if not text.isascii() else text
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Sc", "Cf")).strip()
    match = _NUMBER.fullmatch(plain) if len(plain) <= MOST_DIGITS else None
    if match is None:
        raise ValueError("no number")
    sign, digits, exponent, unit = match.groups()
    factor = _FACTORS.get(unit.lower()) if unit else 1
    if factor is None:
        raise ValueError("no number")
    if re.search(_GROUPS, digits):
        if _SPACED.fullmatch(digits) is None:
            raise ValueError("no number")
        digits = re.sub(_GROUPS, "", digits)
    digits = digits.replace("٫", ".")
    try:
        value = Decimal(_without_groups(digits, decimal)).scaleb(int(exponent or 0)) * factor
    except DecimalException:
        raise ValueError("no number") from None
    return -value if sign in ("-", "−") and sign else value


def _without_groups(digits: str, decimal: str | None) -> str:
    """The digits with a point as decimal mark, and no other mark."""
    marks = [mark for mark in ",." if mark in digits]
    if len(marks) == 2:  # the last one is the decimal mark
        last = max(marks, key=digits.rfind)
        other = "," if last == "." else "."
        whole, _, fraction = digits.rpartition(last)
        if last in whole or (decimal and last != decimal) or not _GROUPED[other].fullmatch(whole):
            raise ValueError("no number")
        return f"{whole.replace(other, '')}.{fraction}"
    if not marks:
        return digits
    mark = marks[0]
    groups = _GROUPED[mark].fullmatch(digits) is not None
    if decimal == mark or (decimal is None and not groups) or (decimal is None and mark == "." and digits.count(mark) == 1):
        if digits.count(mark) > 1:
            raise ValueError("no number")
        return digits.replace(mark, ".")
    if not groups:
        raise ValueError("no number")
    return digits.replace(mark, "")


def scaled(text: str, scale: float, decimal: str | None = None) -> Decimal:
    """A score on a scale of `scale`: 4, 4/5, 8 of 10, 80 %, ★★★★☆. Raises ValueError."""
    plain = text.strip().replace("\ufe0f", "")
    if plain and set(plain) <= set(_STARS + _NO_STARS + "½ "):
        return Decimal(sum(c in _STARS for c in plain)) + Decimal("0.5") * plain.count("½")
    if plain.endswith(("%", "％")):
        return number(plain[:-1], decimal) / 100 * Decimal(str(scale))
    if match := _OUT_OF.fullmatch(plain):
        most = number(match[2], decimal)
        value = number(match[1], decimal)
        if not most or value > most:
            raise ValueError("more than the scale has")
        return value / most * Decimal(str(scale))
    return number(re.sub(r"\s*(?:stars?|sterne?|étoiles?|estrellas?)$", "", plain, flags=re.IGNORECASE), decimal)
