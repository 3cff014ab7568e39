"""Repairs texts whose UTF-8 was read as Latin-1 or Windows-1252 before they were written ("Ã©" for "é").

The exports of Facebook and Instagram are such files. `suspected` sees such texts, so that a report can name the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_BROKEN = re.compile("[\u00c2-\u00df][\u0080-\u00bf]|[\u00e0-\u00ef][\u0080-\u00bf]{2}|[\u00f0-\u00f4][\u0080-\u00bf]{3}")
"""The bytes of one character in UTF-8, each as a character of Latin-1."""


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


def repaired(value: object, repair: Callable[[str], str]) -> object:
    """The value with every text in it repaired; keys of objects stay."""
    if isinstance(value, str):
        return repair(value)
    if isinstance(value, dict):
        return {key: repaired(inner, repair) for key, inner in value.items()}
    return [repaired(inner, repair) for inner in value] if isinstance(value, list) else value


def suspected(value: object) -> str | None:
    """The repair that a text in the value seems to need, if any does."""
    if isinstance(value, str):
        return None if value.isascii() else _suspected(value)
    if isinstance(value, dict):
        value = list(value.values())
    return next((name for inner in value if (name := suspected(inner))), None) if isinstance(value, list) else None


def _suspected(text: str) -> str | None:
    for name, encoding in (("latin1", "latin-1"), ("ftfy", "cp1252")):
        try:
            text.encode(encoding).decode("utf-8")
            return name
        except UnicodeError:
            continue
    return None
