"""Makes a record of columns, from which decode would read these columns."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.processors.privacy import HASHED
from schemas import events
from schemas.times import rfc3339
from schemas.untyped import JsonObject, Row


def event_of(row: Row, seal: Callable[[str], str]) -> JsonObject:
    """The event of a row, as its source would send it: the brands it came with, without those matched in the text.

    E-mail address and phone number are the hashes that the row has, sealed (processors/privacy.py): read again, they stay.
    """
    event: JsonObject = {}
    for field in events.FIELDS:
        value = row[events.GIVEN.column if field.column == "brands" else field.column]
        if value is None or value == []:
            continue
        *parents, name = field.path.split(".")
        target = event
        for parent in parents:
            target = target.setdefault(parent, {})
        if field.column in HASHED:
            value = seal(value)
        target[name] = rfc3339(value, short=True) if field.column in events.TIMES else value
    return event
