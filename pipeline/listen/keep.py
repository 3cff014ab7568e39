"""`keep: mentions`: of a source's observations those that mention a tracked brand, by the matcher of the workers."""

from __future__ import annotations

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

    def use(self, brands: Brands) -> None:
        """Takes other brands over."""
        self._brands, self._matching = brands, None

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

        from pipeline.processors.mentions.step import BRANDS, Matching

        matching = self._matching = self._matching or Matching(self._brands.brands)
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
