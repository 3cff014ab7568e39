"""Observations: what a platform's payload says of each item in it. A platform's mapper, `platforms/<platform>.py`, has

    def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]

It is pure: it hangs on its arguments alone, and raises Unreadable for a payload of another shape. What the pipeline takes
is made of them in changes.py: a create once, then updates of the groups that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from schemas.untyped import JsonObject


class Unreadable(Exception):
    """The payload has no shape that the platform's mapper knows; the text says what was found, and never a person's words."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a payload came from: what its mapper needs beside it."""

    host: str = ""
    """Of the server, or of the feed: `mastodon.social`. Ids that are local to it begin with it."""
    own: frozenset[str] = frozenset()
    """Ids and handles of one's own accounts, in small letters, without @: what they write is outbound."""


class Observation(NamedTuple):
    """The present state of one item; or its delete."""

    event: JsonObject
    """A canonical event (schemas/social_event.v1.json) without `operation` and `occurred_at`. Fields that the platform does not
    give are left out; an item without `created_at` gets the time of the poll that sees it first. Of a delete: `platform` and
    `id`."""
    at: str = ""
    """Since when it is so, by the platform, as 2026-11-28T12:00:00Z: of a post, when it was edited; blank: it does not say."""
    deleted: bool = False
    partial: frozenset[str] = frozenset()
    """Groups (text, metrics, author) of which this payload gives only a part, as an author's id without the name: they are sent
    with a create, and never replace a group."""
    original: object = None
    """The item's own part of the payload."""


class LeftOut(NamedTuple):
    """A part of the payload that is not mapped, by its kind in the platform's words: it is counted."""

    kind: str


def readable(items: list[object], observe: Callable[[JsonObject], list[Observation | LeftOut]]) -> list[Observation | LeftOut]:
    """Observes each item of a page; an item that can't be read is left out as `unreadable`. Raises Unreadable if none can."""
    found: list[Observation | LeftOut] = []
    errors: list[Unreadable] = []
    for item in items:
        try:
            found += observe(item if isinstance(item, dict) else {})
        except Unreadable as error:
            errors.append(error)
            found.append(LeftOut("unreadable"))
    if errors and len(errors) == len(items):
        raise errors[0]
    return found


Observe = Callable[[object, Origin], Iterator[Observation | LeftOut]]
