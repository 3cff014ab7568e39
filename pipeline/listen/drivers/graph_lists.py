"""Lists of the Graph API, newest first, with what is inside of each object: a feed with the comments of its posts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.listen.timer import possible
from pipeline.sources.platforms.meta_text import inside
from pipeline.sources.platforms.values import id_of, object_of, objects_of, time_of
from schemas.untyped import JsonObject

LONGEST_AFTER = 2_000
"""Characters; longer ones are none, as they come back in cursors and URLs."""
_IDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.$:=+-]{0,299}").fullmatch
"""Of objects, as they come back in cursors and URLs, too: neither .. nor a ? lead elsewhere."""


@dataclass(frozen=True)
class Edge:
    """A list, as `20531316728/feed`."""

    name: str
    path: str
    fields: str
    """Of its objects, the inner page among them."""
    at: tuple[str, ...]
    """By which time it is ordered: the first of these fields that an object has."""
    inner: str = ""
    """The page inside of each object; blank: none."""
    inner_fields: str = ""
    inner_at: str = ""
    inner_query: dict[str, str] = field(default_factory=dict)
    is_old: bool = True
    """Whether what is new may be inside of old objects: their pages are read again, in turn."""
    query: dict[str, str] = field(default_factory=dict)


class Thread(NamedTuple):
    """The rest of a page inside of an object."""

    ident: str
    after: str
    oldest: str
    """Of what was seen of it."""


class Listed(NamedTuple):
    """A page. Its times descend, but nothing relies on that."""

    payload: JsonObject
    first: str
    """The id of its first object; blank: there is none."""
    newest: str
    oldest: str
    talk: str
    """When the newest inner object was written; blank: there is none."""
    after: str
    """Where the next page begins; blank: this is the last one."""
    threads: list[Thread]
    """Inner pages that are not all here."""


def listed(edge: Edge, payload: JsonObject, now: float) -> Listed:
    """The page in an answer."""
    items = objects_of(payload.get("data"))
    times = possible((time for item in items if (time := _time(item, edge.at))), now)
    ids = [ident for item in items if (ident := _id(item))]
    threads, talks = list[Thread](), list[str]()
    for item in items if edge.inner else ():
        ident, said = _id(item), _times(item, edge, now)
        talks += said
        rest = after_of(object_of(item.get(edge.inner)))
        if rest and said and ident:
            threads.append(Thread(ident, rest, min(said)))
    first = ids[0] if ids else ""
    return Listed(
        payload, first, max(times, default=""), min(times, default=""), max(talks, default=""), after_of(payload), threads
    )


def after_of(page: JsonObject) -> str:
    """The cursor of the page after this one; blank: none follows."""
    paging = object_of(page.get("paging"))
    after = object_of(paging.get("cursors")).get("after")
    usable = isinstance(after, str) and len(after) <= LONGEST_AFTER and after.isascii() and after.isprintable()
    return str(after) if usable and paging.get("next") else ""


def thread_times(edge: Edge, payload: JsonObject, now: float) -> list[str]:
    """When what a page of a thread holds was written."""
    return _times({edge.inner: payload}, edge, now)


def _id(item: JsonObject) -> str:
    """Blank: none that stands in a URL as it is."""
    ident = id_of(item.get("id")) or ""
    return ident if _IDENT(ident) else ""


def _times(item: JsonObject, edge: Edge, now: float) -> list[str]:
    said = objects_of(inside(item, edge.inner))
    return possible((time for each in said if (time := time_of(each.get(edge.inner_at)))), now)


def _time(item: JsonObject, names: tuple[str, ...]) -> str | None:
    return next((time for name in names if (time := time_of(item.get(name)))), None)
