"""Why a row or a value has no place in an event, in words that hold nothing of the value itself."""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal

import orjson

SHOWN = 40


class Unmappable(Exception):
    """The value, or the row, can't be read; the text is the reason, for a person. It never quotes the file."""


def as_text(value: object) -> str:
    """A string unchanged; anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)  # of any length
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # integers of more than 64 bits inside
        return json.dumps(value, ensure_ascii=False, default=str)


def shape(value: object) -> str:
    """The form of a value without its content: `'99.99.9999 99:99'`, `'Aaaa aa'`. Reports travel; people's words must not."""
    text = as_text(value)
    shown = text if len(text) <= SHOWN else text[: SHOWN - 3]
    return f"'{''.join(map(_sign, shown))}{'...' if shown != text else ''}'"


def _sign(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "N":
        return "9"
    if category[0] in "LM":
        return "A" if category == "Lu" else "a"
    return character if " " <= character <= "~" else "?"
