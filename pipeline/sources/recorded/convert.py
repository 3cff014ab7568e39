"""Conversions of a value to the type of an event's field, and the words that stand for a missing value."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable
from decimal import Decimal
from math import isfinite

import orjson

from pipeline.processors.language_codes import language_tag
from pipeline.sources.recorded.ids import IDS, ends_in_point_zero, lost_digits
from pipeline.sources.recorded.markup import joined
from pipeline.sources.recorded.numbers import number
from pipeline.sources.recorded.reasons import Unmappable, as_text, shape
from pipeline.sources.recorded.times import parser
from schemas.events import ACCOUNT_PATTERN, TIMES, Field

Convert = Callable[[object], object]
TRUE, FALSE = {"true", "1", "yes", "t", "y", "1.0"}, {"false", "0", "no", "f", "n", "0.0"}
MISSING = ("NA", "N/A", "#N/A", "<NA>", "NULL", "NaN", "NaT", "None", "nil", r"\N", "-", "--", "—", "–")
"""The words of tools and people in an empty cell, in any case."""
TEXTS = ("text", "author.name", "author.bio", "original")
"""Fields in which those words may be meant: a text of one word, the name of a person."""
_MARKS = {"hashtags": "#＃", "mentions": "@＠", "author.handle": "@＠"}
"""The marks before a name that the event leaves out."""
_ITEM = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^,'"\[\](){}\s][^,\[\](){}]*))\s*(?:,|(?=['"\])}])|$)""")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def is_missing(value: object, words: frozenset[str]) -> bool:
    """Whether a value is one of the `words` (in lower case) for a missing one."""
    return isinstance(value, str) and value.casefold() in words


def missing_words(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.strip().casefold() for word in words)


def converter(field: Field) -> Convert:
    """The conversion to the field's type. It raises Unmappable with a reason that does not quote the value."""
    if field.column in TIMES:
        return timed(parser("iso", None))
    if field.path == "author.accounts":
        return _accounts
    if field.kind == "strings":
        return lambda value: _strings(value, _MARKS.get(field.path, ""))
    if field.path == "language":
        return _language
    if field.path in IDS:
        return _id
    if field.values:
        return lambda value: _one_of(field, as_text(value))
    if field.kind == "string":
        return _original if field.path == "original" else lambda value: _string(value, field.path in TEXTS, field.path)
    return {"int": _integer, "float": _float, "bool": _boolean}[field.kind]


def timed(parse: Callable[[object], str]) -> Convert:
    """The conversion of a time by one of the parsers of times.py."""

    def step(value: object) -> str:
        try:
            return parse(value)
        except (ValueError, OverflowError) as error:
            raise Unmappable(f"no time in {shape(value)}: {error}") from None

    return step


# --- texts ----------------------------------------------------------------------------------------------------------
def _string(value: object, is_text: bool, path: str) -> str | None:
    if isinstance(value, list | dict):
        text = joined(value) if is_text else None
        if text is None:
            kind = "a list" if isinstance(value, list) else "an object"
            raise Unmappable(f"{kind}: name the value inside it, as from: a.b or from: a.0")
        return text.strip() or None
    text = as_text(value)
    return text.lstrip(_MARKS[path]) or None if path in _MARKS else text


def _original(value: object) -> str:
    return as_text(value)


def _id(value: object) -> str | None:
    if reason := lost_digits(value) or ends_in_point_zero(value):
        raise Unmappable(f"{shape(value)}: {reason}")
    return _string(value, False, "id")


def _language(value: object) -> str:
    tag = language_tag(as_text(value))
    if tag is None:
        raise Unmappable(f"{shape(value)} is no language")
    return tag


def _one_of(field: Field, text: str) -> str:
    if text in field.values:
        return text
    if text.lower() in field.values:
        return text.lower()
    raise Unmappable(f"{shape(text)} is not one of {', '.join(field.values)}")


# --- lists ----------------------------------------------------------------------------------------------------------
def _strings(value: object, mark: str) -> list[str] | None:
    items = value if isinstance(value, list) else as_list(as_text(value))
    if any(isinstance(item, dict | list) for item in items):
        raise Unmappable("a list of objects: name the value inside each, as from: tags.*.name")
    texts = (as_text(item).strip() for item in items if item is not None)
    return [text for each in texts if (text := each.lstrip(mark) if mark else each)] or None


def _accounts(value: object) -> list[str] | None:
    texts = _strings(value, "")
    for text in texts or ():
        if not re.fullmatch(ACCOUNT_PATTERN, text):
            raise Unmappable(f"{shape(text)} is no account, as facebook:1024 or twitter:@name")
    return texts


def as_list(text: str) -> list[object]:
    """The elements of a cell that holds a list, as JSON or as Python or numpy print one; else the text alone."""
    if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
        return [text]
    try:
        given = orjson.loads(text)
        return given if isinstance(given, list) else [text]
    except orjson.JSONDecodeError:
        pass
    inner, items, at = text[1:-1], list[object](), 0
    while at < len(inner.rstrip()):
        match = _ITEM.match(inner, at)
        if match is None or match.end() == at:
            return [text]
        items.append(_item(match))
        at = match.end()
    return items


def _item(match: re.Match[str]) -> object:
    if (bare := match[3]) is not None:
        return None if bare.strip() == "None" else bare.strip()
    quoted = match[0].strip().rstrip(",").strip()
    try:
        return str(literal_eval(quoted))
    except (ValueError, SyntaxError):
        return match[1] or match[2] or ""


def splitter(separator: str) -> Convert:
    """A text to a list of its parts; a blank separator stands for any white space. A cell with a list stays one."""

    def step(value: object) -> object:
        if isinstance(value, list):
            return value
        text = as_text(value)
        items = as_list(text)
        if items != [text]:
            return items
        return [part.strip() for part in (text.split() if not separator.strip() else text.split(separator)) if part.strip()]

    return step


# --- numbers --------------------------------------------------------------------------------------------------------
def as_number(value: object, decimal: str | None = None, read: Callable[[str], Decimal] | None = None) -> Decimal:
    """The number of a value. Raises Unmappable."""
    try:
        if isinstance(value, int | float):
            return Decimal(str(int(value) if isinstance(value, bool) else value))
        if not isinstance(value, str | Decimal):
            raise ValueError("no number")
        return value if isinstance(value, Decimal) else read(value) if read else number(value, decimal)
    except ValueError as error:
        raise Unmappable(f"{shape(value)} is {error}") from None


def _integer(value: object) -> int:
    try:
        found = as_number(value)
    except Unmappable:
        raise Unmappable(f"{shape(value)} is no whole number") from None
    if found != found.to_integral_value() or abs(found) >= 1 << 63:
        raise Unmappable(f"{shape(value)} is no whole number" + _point_hint(value))
    return int(found)


def _point_hint(value: object) -> str:
    return ': decimal: "," reads the point as a mark of thousands' if re.fullmatch(r"\d{1,3}\.\d{3}", str(value)) else ""


def _float(value: object) -> float:
    try:
        found = float(as_number(value))
    except Unmappable as error:
        ratio = isinstance(value, str) and re.search(r"\d\s*/\s*\d|%$|[★⭐]", value)
        raise Unmappable(f"{error}" + (": scale: 5 reads it as a share of five" if ratio else "")) from None
    if not isfinite(found):
        raise Unmappable(f"{shape(value)} is too large")
    return found


def _boolean(value: object) -> bool:
    text = as_text(value).lower()
    if text not in TRUE | FALSE:
        raise Unmappable(f"{shape(text)} is neither true nor false")
    return text in TRUE
