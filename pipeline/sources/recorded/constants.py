"""Constants of a mapping that the schema of events refuses: each would make a dead letter of every row."""

from __future__ import annotations

import re
from datetime import datetime

from pipeline.sources.recorded.convert import converter
from pipeline.sources.recorded.reasons import Unmappable
from pipeline.sources.recorded.times import is_sensible
from schemas.events import PLATFORM_PATTERN, TIMES, Field


def refusal(field: Field, constant: object) -> str | None:
    """Why events with this constant would be refused; None if they would not."""
    if field.values:
        return None if constant in field.values else f"is not one of {', '.join(field.values)}"
    if field.path == "platform" and not (isinstance(constant, str) and re.fullmatch(PLATFORM_PATTERN, constant)):
        return _platform(constant)
    try:
        value = converter(field)(constant)
    except Unmappable as error:
        return f"can't be its value: {error}"
    if field.column in TIMES and not is_sensible(datetime.fromisoformat(str(value))):
        return "lies outside 1995 to tomorrow"
    texts = value if isinstance(value, list) else [value]
    if field.limit and any(isinstance(text, str) and len(text.encode()) > field.limit for text in texts):
        return f"has more than {field.limit} bytes"
    return None


def _platform(constant: object) -> str:
    plain = re.sub(r"[^a-z0-9_.-]+", "_", str(constant).lower()).strip("_")
    near = f": write {plain}" if re.fullmatch(PLATFORM_PATTERN, plain) else ""
    return f"is no platform: its name is in lower case, a letter, then letters, digits, _ . -{near}"
