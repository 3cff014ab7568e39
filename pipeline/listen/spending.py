"""What a source costs where its platform bills what it delivers, and the end of its sum for a month (UTC).

Counted is what the platform delivers, as it comes, by our own clock. The count is part of the source's record in topic cursors,
beside the cursor: what a listener that was killed had not written of it, the next one fetches, and so counts, again. An item
counts once a UTC day, as X bills it. What later months cost counts for this month, too, as then the clock was wrong: one that
goes over a month's end and back spends no sum twice.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from xxhash import xxh3_64_intdigest

from pipeline.listen.source import Cost
from pipeline.listen.states import Spent, Waiting
from pipeline.listen.timer import Timer, text_of
from pipeline.monitoring import source_metrics as metrics
from schemas.untyped import JsonObject

MOST_IDS, MOST_MONTHS = 6_000, 24
"""Items of today that are known, the newest: one that comes again beyond them counts again. Months that are kept."""
PAST = 0.5
"""A back-fill takes part in the month's sum only up to this: the rest is for what comes live."""
AGAIN_S, DAY_S = 5.0, 86_400.0
FREE = Cost("", 0.0)


class Figures(NamedTuple):
    """How a source stands this month, in `currency`."""

    currency: str
    spent: float
    sum: float | None
    """Key spend; None: no end."""
    left: float | None
    pace: float
    """What this month costs if it goes on so."""
    until: datetime
    """When the next month begins."""


class Spending:
    """Of one source: what comes live and its back-fill together. For one event loop. Restart: from `dump`."""

    def __init__(self, timer: Timer, cost: Cost | None = None, dumped: JsonObject | None = None) -> None:
        """`cost`: None where the platform bills nothing."""
        self._timer, self._cost, dumped = timer, cost or FREE, dumped or {}
        self._months: dict[str, int] = dumped.get("months", {}).copy()
        self._since: float = dumped.get("since", 0.0)
        """When it began to count."""
        self._day: str = dumped.get("day", "")
        ids = np.frombuffer(base64.b64decode(dumped.get("ids", "")), "<u8").tolist()
        self._ids = dict.fromkeys(ids)
        self._asked = 0
        """Items that requests which have no answer yet may bring."""

    def dump(self) -> JsonObject:
        """For the cursor in the source's record; nothing where nothing was billed."""
        if not self._months:
            return {}
        ids = base64.b64encode(np.array([*self._ids], "<u8").tobytes()).decode()
        return {"spent": {"months": self._months.copy(), "since": self._since, "day": self._day, "ids": ids}}

    # --- before and after a request -----------------------------------------------------------------------------------
    def check(self, least: int = 1, *, past: bool = False) -> None:
        """Raises Spent if the sum has no room for `least` items; Waiting if it may have some, once other requests are
        answered. `past`: for a back-fill."""
        free = self._free(past)
        if free >= least:
            return
        if free + self._asked >= least:
            raise Waiting("another request may use up its budget", self._timer.now() + AGAIN_S)
        raise Spent(f"its budget for {self._moment():%B} is spent", _next(self._moment()).timestamp())

    @contextmanager
    def room(self, least: int, most: int, *, past: bool = False) -> Iterator[int]:
        """How many items a request may ask for, `most` at most. Raises as `check`."""
        self.check(least, past=past)
        asked = int(min(most, self._free(past)))
        self._asked += asked
        try:
            yield asked
        finally:
            self._asked -= asked

    def paid(self, ids: Iterable[str]) -> None:
        """Items that came, by names of their own."""
        if not self._cost.price:
            return
        now = self._timer.now()
        if (day := text_of(now)[:10]) != self._day:
            self._day, self._ids = day, {}
        before = self._months.setdefault(day[:7], 0)
        for item in (xxh3_64_intdigest(name.encode()) for name in ids):
            if item not in self._ids:
                self._ids[item] = None
                self._months[day[:7]] += 1
        self._since = self._since or now
        self._ids = dict.fromkeys([*self._ids][-MOST_IDS:]) if len(self._ids) > MOST_IDS else self._ids
        if not before:
            self._months = dict(sorted(self._months.items())[-MOST_MONTHS:])

    # --- how it stands ------------------------------------------------------------------------------------------------
    def figures(self) -> Figures | None:
        """None where the platform bills nothing."""
        cost, now = self._cost, self._moment()
        if not cost.price:
            return None
        spent, begins, until = self._items() * cost.price, _first(now), _next(now)
        lasted = max(DAY_S, now.timestamp() - max(begins.timestamp(), self._since or now.timestamp()))
        pace = max(spent, spent / lasted * (until - begins).total_seconds())
        left = None if cost.spend is None else max(0.0, cost.spend - spent)
        return Figures(cost.currency, spent, cost.spend, left, pace, until)

    def say(self, source: str) -> None:
        """Its metrics."""
        if (figures := self.figures()) is not None:
            metrics.COST.labels(source).set(figures.spent)
            metrics.COST_PACE.labels(source).set(figures.pace)
            if figures.left is not None:
                metrics.COST_LEFT.labels(source).set(figures.left)

    def _free(self, past: bool) -> float:
        if self._cost.spend is None or not self._cost.price:
            return math.inf
        whole = math.floor(self._cost.spend * (PAST if past else 1.0) / self._cost.price + 1e-6)
        return whole - self._items() - self._asked

    def _items(self) -> int:
        month = f"{self._moment():%Y-%m}"
        return sum(items for each, items in self._months.items() if each >= month)

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._timer.now(), UTC)


def _first(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(now: datetime) -> datetime:
    return _first(_first(now) + timedelta(days=32))
