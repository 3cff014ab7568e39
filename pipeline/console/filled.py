"""A statement with its parameters filled in: text that runs as it stands, and gives what the page shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

import regex

from pipeline.console.strange import UNSEEN

Values = Mapping[str, object]
"""Parameter -> its value: text, number, time, list of them, or None."""
# Strings, quoted names and comments are one token each: a { inside is none of ours. Nothing backtracks.
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*+'|"(?:[^"\\]|\\.)*+"|`(?:[^`\\]|\\.)*+`|--[^\n]*+|/\*.*?\*/|\{(?P<name>\w+):(?P<type>[^{}]+)\}""",
    re.DOTALL,
)
_ESCAPED = regex.compile(rf"(?V1){UNSEEN}")
_TEXT = {"String", "LowCardinality(String)"}


def plain(values: Values, sql: str) -> dict[str, object]:
    """The values as they are sent. Times become text in UTC, in the precision of their type, so that what is sent and what is
    shown are the same."""
    exact = {found["name"] for found in _TOKEN.finditer(sql) if found["name"] and "DateTime64" in found["type"]}
    return {name: _plain(value, name in exact) for name, value in values.items()}


def filled(sql: str, values: Values) -> str:
    """The statement with these values (of `plain`) as literals of their types; safe with any value.

    What nobody sees stands there as its escape: in a string it means the same. Raises KeyError for a value that is missing.
    """

    def written(found: re.Match[str]) -> str:
        return _cast(values[found["name"]], found["type"]) if found["name"] else found[0]

    return _visible(_TOKEN.sub(written, sql))


def _plain(value: object, exact: bool) -> object:
    if isinstance(value, (list, tuple)):
        return [_plain(each, exact) for each in value]
    if isinstance(value, datetime):
        moment = (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None)
        return moment.isoformat(sep=" ", timespec="microseconds" if exact else "seconds")
    if isinstance(value, date):
        return value.isoformat()
    return value


def _cast(value: object, type_: str) -> str:
    if type_ == "Identifier":
        return "`" + str(value).replace("\\", "\\\\").replace("`", "\\`") + "`"
    literal = _literal(value)
    return literal if type_ in _TEXT and value is not None else f"CAST({literal} AS {type_})"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{_visible(text)}'"


def _visible(text: str) -> str:
    return _ESCAPED.sub(lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode(errors="replace")), text)
