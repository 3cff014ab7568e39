"""The filters of the templates: what strangers wrote, links, times, numbers. All is safe in HTML, and says what it cut.

| filter | gives |
|---|---|
| `said` | a text in `<bdi>`; `plain`: the same for a title, without markup |
| `link` | an http or https link with its host beside it, or the text of what is none |
| `when` | a time in UTC, which the script shows in the reader's zone |
| `timed` | a text as `said`, each time in UTC within it as `when` |
| `number`, `counted`, `size`, `lasting` | a number with its unit; how many of a thing; bytes; a duration |
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from markupsafe import Markup, escape

from pipeline.console import strange
from pipeline.console.strange import text_of

NONE = "–"
"""What stands for no value."""
_THIN = "\u202f"
"""Between a number and its unit: no line breaks there."""
_LONGEST_URL = 2_000
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
"""Browsers drop some of these and read others as a slash: the host would not be the one that is shown."""
_TIMES = re.compile(r"(\b\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC\b)", re.ASCII)
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]")
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def said(value: object, most: int = strange.MOST) -> Markup:
    """The text in `<bdi class="said">`, whose direction is its own; of unseen characters their numbers, cut visibly."""
    pieces = "".join(_marked_up(each) for each in strange.parts(text_of(value), most))
    return Markup(f'<bdi class="said">{pieces}</bdi>')  # nothing of it is unescaped; Markup.format took half a page's time


def plain(value: object, most: int = 120) -> str:
    """The same without markup, in one line: for a title or an attribute."""
    return strange.plain(" ".join(text_of(value).split()), most)


def link(url: object, text: object = None, most: int = 200) -> Markup:
    """A link to a page of strangers, in a tab of its own, with the host beside it.

    Only http and https. What is another scheme, hides its host or is longer than a browser takes is shown as text.
    """
    address = text_of(url).strip()
    target = _target(address)
    if target is None:
        return said(address if text is None else text, most)
    href, host = target
    return Markup('<a href="{}" rel="noopener noreferrer nofollow" target="_blank">{}</a> <bdi class="host">({})</bdi>').format(
        href, said(address if text is None else text, most), host
    )


def when(at: object, to: str = "seconds") -> Markup:
    """`<time>` with the time in UTC as its text and on hover; the script puts the reader's zone in. `to`: minutes or seconds.

    Takes what ClickHouse and JSON give: a datetime (without a zone it is UTC), a date, ISO text, seconds since 1970. What is
    none of them is shown as text.
    """
    if at is None or at == "":
        return Markup(NONE)
    moment = _moment(at)
    if moment is None:
        return said(at)
    text = moment.replace(tzinfo=None).isoformat(sep=" ", timespec=to) + " UTC"
    machine = moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return Markup(f'<time datetime="{machine}" title="{text}" data-to="{escape(to)}">{text}</time>')


def timed(value: object, most: int = strange.MOST) -> Markup:
    """A text of ours, as `said`; each time in it, as 2026-11-30 10:15:00 UTC, as `when`: a page has one zone."""
    text = text_of(value)
    pieces = _TIMES.split(text) if len(text) <= most else [text]
    return Markup("").join(_time_or_text(each, most) for each in pieces if each)


def _time_or_text(piece: str, most: int) -> Markup:
    if _TIMES.fullmatch(piece) and _moment(piece.removesuffix(" UTC")):
        return when(piece.removesuffix(" UTC"), "seconds" if piece.count(":") > 1 else "minutes")
    return said(piece, most)


def number(value: object, unit: str = "", digits: int | None = None) -> str:
    """1,234.5 with its unit: whole numbers in full, others with three figures, or with `digits` behind the point."""
    value = float(value) if isinstance(value, Decimal) else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NONE if value is None else text_of(value)
    if not math.isfinite(value):
        return NONE
    if digits is None:
        digits = 0 if isinstance(value, int) or abs(value) >= 100 or value == 0 else _digits(value)
    return f"{value:,.{digits}f}".replace("-", "\u2212") + (unit and _THIN + unit)


def counted(count: int, one: str, many: str = "") -> str:
    """1 event, 2 events."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def size(count: float | None) -> str:
    """Bytes: 12.3 kB."""
    if count is None or not math.isfinite(count):
        return NONE
    step = 0
    while abs(count) >= 1000 and step < len(_BYTES) - 1:
        count, step = count / 1000, step + 1
    return number(int(count) if step == 0 else float(count), _BYTES[step])


def lasting(value: float | timedelta | None) -> str:
    """A duration, of seconds: 850 ms, 12 s, 3 min 20 s, 2 h 5 min, 4 d 3 h."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None or not math.isfinite(seconds):
        return NONE
    sign, seconds = ("\u2212" if seconds < 0 else ""), abs(seconds)
    if round(seconds, 3) < 1:
        return sign + (f"{round(seconds * 1000):d}{_THIN}ms" if seconds else f"0{_THIN}s")
    left = round(seconds)
    at = next(index for index, (length, _) in enumerate(_STEPS) if left >= length)
    said = list[str]()
    for length, unit in _STEPS[at : at + 2]:
        count, left = divmod(left, length)
        if count:
            said.append(f"{count:,}{_THIN}{unit}")
    return sign + " ".join(said)


FILTERS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each for each in (said, timed, plain, link, when, number, counted, size, lasting)
}
"""By the names that templates call."""


def _marked_up(piece: strange.Part) -> str:
    """HTML."""
    if piece.kind == "mark":
        return f'<span class="unseen" title="{escape(piece.title)}">{escape(piece.text)}</span>'
    return f'<span class="left">{escape(piece.text)}</span>' if piece.kind == "left" else escape(piece.text)


def _digits(value: float) -> int:
    """The digits behind the point of a number with three figures."""
    return min(max(2 - math.floor(math.log10(abs(value))), 0), 9)


def _target(url: str) -> tuple[str, str] | None:
    """The address that the browser is given, and its host; None: it is no link."""
    if len(url) > _LONGEST_URL or _NOT_IN_URL.search(url):
        return None
    try:
        split = urlsplit(url)
        port, host = split.port, split.hostname or ""
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:  # a UnicodeError is one
        return None
    if ":" in host:
        host = f"[{host}]"
    if split.scheme not in ("http", "https") or "@" in split.netloc or not _HOST.fullmatch(host):
        return None
    try:
        url.encode()
    except UnicodeEncodeError:
        return None
    return urlunsplit(split._replace(netloc=host + (f":{port}" if port is not None else ""))), host


def _moment(at: object) -> datetime | None:
    try:
        if isinstance(at, str):
            at = datetime.fromisoformat(at)
        if isinstance(at, datetime):
            return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        if isinstance(at, date):
            return datetime(at.year, at.month, at.day, tzinfo=UTC)
        if isinstance(at, (int, float)) and not isinstance(at, bool):
            return datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
