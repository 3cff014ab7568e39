"""Observations: what a platform's payload says of each item in it. A platform's mapper, `platforms/<platform>.py`, has

    def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]

It is pure: it hangs on its arguments alone, and raises Unreadable for a payload of another shape. What the pipeline takes
is made of them in changes.py: a create once, then updates of the groups that changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, ParamSpec

from schemas.untyped import JsonObject

P = ParamSpec("P")
_AN_ID = re.compile(r"[0-9]+").fullmatch


class Unreadable(Exception):
    """The payload has no shape that the platform's mapper knows; the text says what was found, and never a person's words."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a payload came from: what its mapper needs beside it."""

    host: str = ""
    """Of the server, or of the feed: `mastodon.social`. Ids that are local to it begin with it."""
    own: frozenset[str] = frozenset()
    """Ids and handles of one's own accounts, in small letters, without @: what they write is outbound."""

    def owns(self, ids: Iterable[str | None], handles: Iterable[str | None]) -> bool:
        """Whether an account is one's own. A handle of digits names none: a stranger may take somebody's id as his handle."""
        return bool(self.own) and (
            any(each is not None and each.lower() in self.own for each in ids)
            or any(each is not None and not _AN_ID(each) and each.lower() in self.own for each in handles)
        )


class Observation(NamedTuple):
    """The present state of one item; or its delete."""

    event: JsonObject
    """A canonical event (schemas/social_event.v1.json) without `operation` and `occurred_at`. Fields that the platform does not
    give are left out; an item without `created_at` was created `at`, as it is seen first, or else with the poll that sees it
    first. Of a delete: `platform` and `id`."""
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
    first, failed = "", 0  # no error is kept: each holds on to its frames, and a page may have a million items
    for item in items:
        try:
            found += observe(item if isinstance(item, dict) else {})
        except Unreadable as error:
            first, failed = first or str(error), failed + 1
            found.append(LeftOut("unreadable"))
        except Exception as error:  # of one item: it costs no others
            first, failed = first or _unexpected(error), failed + 1
            found.append(LeftOut(_unexpected(error)))
    if failed and failed == len(items):
        raise Unreadable(first)
    return found


def alone(observe: Callable[P, Observation | LeftOut], *args: P.args, **kwargs: P.kwargs) -> Observation | LeftOut:
    """What `observe` returns of an item of a page; one that breaks it is left out, and costs no others. Raises Unreadable."""
    try:
        return observe(*args, **kwargs)
    except Unreadable:
        raise
    except Exception as error:
        return LeftOut(_unexpected(error))


def _unexpected(error: Exception) -> str:
    return f"unexpected {type(error).__name__}"


Observe = Callable[[object, Origin], Iterator[Observation | LeftOut]]
