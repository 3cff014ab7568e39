"""Minutes since 1970: the unit of windows, rings and signals."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE_S = 60
DAY_MINUTES = 1440
STEP_S = 300
"""Of the history of counts, and of the spikes that are judged by it: five minutes."""


def minute_of(at: datetime) -> int:
    """The minute that the moment is in."""
    return int(at.timestamp()) // MINUTE_S


def time_of(minute: int) -> datetime:
    """When the minute begins."""
    return datetime.fromtimestamp(minute * MINUTE_S, UTC)


def floor(at: datetime) -> datetime:
    """The beginning of the moment's minute."""
    return at.replace(second=0, microsecond=0)
