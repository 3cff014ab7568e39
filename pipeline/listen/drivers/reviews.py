"""Reviews of an app, by polls, the newest change first: an edited review comes to the top.

A poll reads pages until it meets the newest known time; where the store does not promise its order, now and then all pages.

The cursor: `at` (the newest known time), `read` and `whole` (when the last poll began that came to its end, and the last one
that read all pages); within a poll `walk`: `begun`, `after` (the page that comes next), `first` and `pages` (against circles),
`top`, and `all`, if it reads all pages.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError

from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.timer import possible, text_of
from pipeline.sources.platforms.observation import Origin
from schemas.untyped import JsonObject

MOST_PAGES = 1_000
"""More are a circle."""
KEPT_S = 6 * 3_600.0
"""A poll that has failed for so long begins anew: marks of pages do not last."""
REST_S = 1.0
"""Between pages of the past."""
UNUSABLE = (ValueError, TypeError, KeyError, UnsupportedAlgorithm, JoseError)
"""What a file raises that is no usable key: no key at all, one with a password, one of a curve that nobody signs with."""


class Listed(NamedTuple):
    """A page of reviews."""

    payload: JsonObject
    first: str
    """The id of its first review; blank: there is none."""
    times: list[str]
    after: str
    """Where the next page begins; blank: this is the last one."""


class ReviewDriver(ABC):
    """An app in a store; a subclass has its requests."""

    what: str
    """The store, and how far back it gives reviews."""
    kept_s = math.inf
    whole_s = math.inf
    """How often all pages are read."""

    def __init__(self, reach: Reach, own: frozenset[str]) -> None:
        self._reach = reach
        self.origin = Origin("", own)

    @abstractmethod
    async def page(self, after: str) -> Listed:
        """The page at `after`; blank: the first one. Raises SourceError."""

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The newest reviews down to the newest known one; at the first start the first page."""
        now, mark = self._reach.timer.now(), cursor.get("at")
        known: JsonObject = {name: cursor[name] for name in ("at", "read", "whole") if name in cursor}
        walk, missed = cursor.get("walk", {}), None
        if not walk or not 0.0 <= now - walk["begun"] <= KEPT_S:
            whole = mark is not None and not 0.0 <= now - cursor.get("whole", now) < self.whole_s
            walk = {"begun": now, "after": "", "first": "", "pages": 0, "top": mark or "", "all": whole}
            missed = self._missed(cursor.get("read", now), now)
        while not walk.get("over"):
            found = await self._possible(walk["after"])
            walk = _further(walk, found)
            met = mark is None or (not walk["all"] and bool(found.times) and min(found.times) < mark)
            gap, missed = missed, None
            if walk["circle"] and not met:
                gap = Gap(str(mark), max(found.times, default=""), f"{self.what}: it gives the same page again and again")
            walk["over"] = met or not walk["after"]
            if walk["over"]:
                whole_at = walk["begun"] if mark is None or walk["all"] else cursor.get("whole", walk["begun"])
                known = {"at": walk["top"], "read": walk["begun"], "whole": whole_at}
            yield Page([found.payload], known if walk["over"] else {**known, "walk": walk}, gap)

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """All pages down to `since`."""
        now, earliest = self._reach.timer.now(), text_of(since)
        walk = cursor or {"begun": now, "after": "", "first": "", "pages": 0, "top": ""}
        gap = self._missed(since, now) if not cursor else None
        while not walk.get("over"):
            found = await self._possible(walk["after"])
            walk = _further(walk, found)
            if walk["circle"]:
                gap = Gap(earliest, max(found.times, default=""), f"{self.what}: it gives the same page again and again")
            walk["over"] = not walk["after"] or (bool(found.times) and min(found.times) < earliest)
            yield Page([found.payload], walk, gap)
            gap = None
            await self._reach.timer.sleep(REST_S)

    async def close(self) -> None:  # noqa: B027  # no driver of reviews keeps anything open
        """Nothing is open."""

    async def _possible(self, after: str) -> Listed:
        found = await self.page(after)
        return found._replace(times=possible(found.times, self._reach.timer.now()))

    def _missed(self, since: float, now: float) -> Gap | None:
        """What the store gives no more of the time since then."""
        if now - since <= self.kept_s:
            return None
        return Gap(text_of(since), text_of(now - self.kept_s), f"{self.what}: the console's files have the others")


def _further(walk: JsonObject, found: Listed) -> JsonObject:
    pages = walk["pages"] + 1
    circle = bool(found.after) and (found.after == walk["after"] or found.first == walk["first"] or pages >= MOST_PAGES)
    return {
        **walk,
        "after": "" if circle else found.after,
        "first": found.first,
        "pages": pages,
        "top": max([walk["top"], *found.times]),
        "circle": circle,
    }
