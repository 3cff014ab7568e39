"""A record made of columns: what decode would read these columns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.processors.privacy import HASHED
from schemas import events
from schemas.times import rfc3339


def event_of(row: Mapping[str, Any], seal: Callable[[str], str]) -> dict[str, Any]:
    """The event that a row says, as its source would send it: its own brands, without those that were found in the text.

    E-mail address and phone number are the hashes that the row has, sealed (processors/privacy.py): read again, they stay.
    """
    event: dict[str, Any] = {}
    for field in events.FIELDS:
        value = row[events.GIVEN.column if field.column == "brands" else field.column]
        if value is None or value == []:
            continue
        *parents, name = field.path.split(".")
        place = event
        for parent in parents:
            place = place.setdefault(parent, {})
        if field.column in HASHED:
            value = seal(value)
        place[name] = rfc3339(value, short=True) if field.column in events.TIMES else value
    return event
