"""`keep: mentions`: of a source's observations those that mention a tracked brand, by the matcher of the workers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.processors.mentions.brands import Brands
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation

if TYPE_CHECKING:
    from pipeline.processors.mentions.step import Matching

REACTIONS = ("like", "repost", "reaction", "vote")


class Mentioning:
    """Of one listener. What was sent of an item before is kept, whatever it says now; a reaction is kept with its target. What
    was dropped is not known: an edit that mentions a brand makes it a create. A delete of an item that is not known is dropped.

    Restart: nothing to restore, `Known` has it.
    """

    def __init__(self, brands: Brands) -> None:
        self._brands = brands
        self._matching: Matching | None = None
        """Made when the first source needs it."""
        self._lock = threading.Lock()

    def use(self, brands: Brands) -> None:
        """Takes other brands over. Not in the event loop: the matcher of 10,000 brands takes seconds, and until it is ready
        the one before counts."""
        with self._lock:
            self._matching = None if self._matching is None else _matching_of(brands)
            self._brands = brands

    def keep(self, observations: Sequence[Observation], known: Known) -> list[Observation]:
        """Those to send, in their order. `observations`: of one source. What follows in them of a kept item is kept, too; a
        reaction may come before its target."""
        mentioning = zip(observations, self._mentions(observations), strict=True)
        items, reactions, kept = set[str](), set[str](), list[bool]()
        for seen, mentions in mentioning:
            name, platform = seen.event["id"], seen.event["platform"]
            kept.append(mentions or name in items or known.has(platform, name))
            if kept[-1]:
                items.add(name)
        for place, seen in enumerate(observations):
            name, target = seen.event["id"], seen.event.get("target") if seen.event.get("kind") in REACTIONS else None
            if name in reactions or target in items or known.has(seen.event["platform"], target):
                reactions.add(name)
                kept[place] = True
        return [seen for seen, stays in zip(observations, kept, strict=True) if stays]

    def _mentions(self, observations: Sequence[Observation]) -> list[bool]:
        import polars as pl

        from pipeline.processors.mentions.step import BRANDS

        matching = self._matching or self._first()
        frame = pl.DataFrame(
            {
                "platform": [seen.event["platform"] for seen in observations],
                "text": [None if seen.deleted else seen.event.get("text") for seen in observations],
                "mentions": [[] if seen.deleted else seen.event.get("mentions") for seen in observations],
                "brands": [None] * len(observations),
            },
            {"platform": pl.String, "text": pl.String, "mentions": BRANDS, "brands": BRANDS},
        )
        return (matching.brands(frame).list.len() > 0).to_list()

    def _first(self) -> Matching:
        with self._lock:
            matching = self._matching = self._matching or _matching_of(self._brands)
        return matching


def _matching_of(brands: Brands) -> Matching:
    from pipeline.processors.mentions.step import Matching

    return Matching(brands.brands)
