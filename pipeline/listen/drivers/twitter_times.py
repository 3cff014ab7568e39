"""X's times: the time inside of an id, and X's own clock, which ours may differ from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from pipeline.listen.timer import Timer
from pipeline.sources.platforms.twitter_post import EPOCH_MS


class Clock:
    """X's clock, by the newest Date header; until there is one, ours."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._ahead: float | None = None
        """Of the event loop's clock, which nobody sets."""

    def note(self, headers: Mapping[str, str]) -> None:
        """Takes in the Date of an answer."""
        try:
            date = parsedate_to_datetime(headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return
        self._ahead = date - asyncio.get_running_loop().time()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._timer.now() if self._ahead is None else self._ahead + asyncio.get_running_loop().time()


def id_at(seconds: float) -> str:
    """The least id that a post of this time can have."""
    return str(max(1, (int(seconds * 1000) - EPOCH_MS) << 22))


def time_at(name: str) -> float:
    """When the post with this id was written."""
    return ((int(name) >> 22) + EPOCH_MS) / 1000
