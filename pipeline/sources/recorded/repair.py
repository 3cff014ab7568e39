"""Repairs texts whose UTF-8 was read as Latin-1 or Windows-1252 before they were written ("Ã©" for "é").

The exports of Facebook and Instagram are such files. `suspected` sees such texts, so that a report can name the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

_BROKEN = re.compile("[\u00c2-\u00df][\u0080-\u00bf]|[\u00e0-\u00ef][\u0080-\u00bf]{2}|[\u00f0-\u00f4][\u0080-\u00bf]{3}")
"""The bytes of one character in UTF-8, each as a character of Latin-1."""

_FROM_1252 = {ord(bytes((byte,)).decode("cp1252", "replace")): byte for byte in range(0x80, 0xA0)}
"""The characters that Windows-1252 has for bytes which are none in Latin-1."""


def latin1(text: str) -> str:
    """The text with each character whose UTF-8 was read as Latin-1 put together again; the others stay."""
    if text.isascii() or _BROKEN.search(text) is None:
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return _BROKEN.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    try:
        return match[0].encode("latin-1").decode("utf-8")
    except UnicodeError:
        return match[0]


def ftfy(text: str) -> str:
    """The text as the package ftfy repairs it: Windows-1252 and mixtures, too, where that is certain."""
    if text.isascii():
        return text
    import ftfy as package  # its tables take a moment to load

    fixed: str = package.fix_encoding(text)
    return fixed


REPAIRS: dict[str, Callable[[str], str]] = {"latin1": latin1, "ftfy": ftfy}


def repair_texts(values: dict[str, object], repair: Callable[[str], str]) -> None:
    """Repairs every text in a row, where it is; keys stay."""
    open_: list[dict[str, object] | list[object]] = [values]
    while open_:
        inside = open_.pop()
        places: Iterable[tuple[Any, object]] = inside.items() if isinstance(inside, dict) else enumerate(inside)
        for place, value in list(places):
            if isinstance(value, str):
                inside[place] = repair(value)
            elif isinstance(value, dict | list):
                open_.append(value)


def suspected(values: dict[str, object]) -> str | None:
    """The repair that a text in a row seems to need, if any does."""
    open_: list[object] = [values]
    while open_:
        value = open_.pop()
        if isinstance(value, str):
            if not value.isascii() and (name := _suspected(value)) is not None:
                return name
        elif isinstance(value, dict | list):
            open_ += value.values() if isinstance(value, dict) else value
    return None


def _suspected(text: str) -> str | None:
    for name, as_read in (("latin1", text), ("ftfy", text.translate(_FROM_1252))):
        try:
            as_read.encode("latin-1").decode("utf-8")
            return name
        except UnicodeError:
            continue
    return None
