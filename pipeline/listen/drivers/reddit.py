"""Reddit, by polls of listings: new posts and comments of subreddits, a search.

A poll reads each listing, newest first, until it meets the newest known item, and then asks for up to 100 items that the
listings do not show now: some deleted, most too old. So counts and edits are seen, and deletes, which no listing shows.

An item is new if its id, a number, is above that of the newest known one: a deleted item hides none. That is why `before` is
never used: it gives nothing for ever once its item is deleted. `after` can fail in the same way, and then the page follows the
item above.

The cursor: `lists`, for each listing `mark` and `at` (number and time of the newest known item), and within a poll `top` and
`top_at` (the newest item of it), `after` (the item which the next page follows, and those above it), `last` (the last number
seen), `seen` (how many items); `left`, what the poll has yet to do, and `begun`, when it began; `ids`, the newest items;
`turn`, which of them are asked for.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import NamedTuple

from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.drivers.reddit_access import RedditAccess
from pipeline.listen.sources_file import Reddit
from pipeline.listen.states import Failed
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.observation import Observation, Origin, Unreadable
from pipeline.sources.platforms.reddit import observe
from pipeline.sources.platforms.values import object_of, objects_of
from schemas.untyped import JsonObject

PAGE, KNOWN, ANCHORS = 100, 250, 3
"""Items of a page; posts, and comments, that are asked for again; items that a page can follow, if some of them are deleted."""
MOST, WHOLE = 2_000, 200
"""A listing has about 1,000 items, a search fewer: more is a circle. One with fewer than WHOLE has lost none."""
AGAIN = "info"
LATE_S = 300.0
"""A poll that has failed for so long begins anew: one listing that fails must not hold up the others."""


class _Listing(NamedTuple):
    """A page of a listing, newest first."""

    payload: JsonObject
    names: list[str]
    """Ids with their kind: t3_abc."""
    created: list[float]
    """When each was written, in seconds since 1970."""
    following: bool
    """Whether a page follows."""

    def newest(self) -> tuple[int, float]:
        """The number of the newest item, and its time; 0 of an empty page."""
        return max(zip(map(_number, self.names), self.created, strict=True), default=(0, 0.0))

    def anchors(self) -> list[str]:
        """What the next page follows: the last item, or if that is gone the one above."""
        return self.names[: -ANCHORS - 1 : -1] if self.following else []


class RedditDriver:
    """Listings of Reddit."""

    def __init__(self, source: Reddit, reach: Reach) -> None:
        self._source, self._reach = source, reach
        self._access = RedditAccess(source, reach)
        self.origin = Origin("", source.own_accounts())
        named = "+".join(source.subreddits)
        self._lists: dict[str, tuple[str, dict[str, str]]] = {}
        if named:
            self._lists["new"] = f"/r/{named}/new", {}
        if named and source.comments:
            self._lists["comments"] = f"/r/{named}/comments", {}
        if source.query is not None:
            self._lists["search"] = "/search", {"q": source.query, "sort": "new", "type": "link"}

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """Each listing down to the newest known item, then known items that are not in it."""
        now = self._reach.timer.now()
        late = max(LATE_S, self._source.every.total_seconds())
        if not cursor.get("left") or not 0.0 <= now - cursor["begun"] <= late:
            cursor = {**cursor, "left": [*self._lists, AGAIN], "begun": now}
        shown = set[str]()
        while cursor.get("left"):
            if cursor["left"][0] == AGAIN:
                page = await self._again(cursor, shown)
            else:
                page = await self._step(cursor, shown)
            cursor = page.cursor
            yield page

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """Each listing down to `since`, or to its end."""
        left, state = cursor.get("left", [*self._lists]), cursor.get("state", {})
        while left:
            listing = await self._listing(left[0], state)
            before, state = state, _further(state, listing)
            over, gap = bool(listing.created) and listing.created[-1] < since, None
            if not over and _breaks_off(before, state):
                gap = Gap(text_of(since), _time(listing.created[-1:]), _end(left[0], state))
            if over or not state["after"]:
                left, state = left[1:], {}
            yield Page([listing.payload], {"left": left, "state": state}, gap)

    async def check(self) -> str:
        """Which of the subreddits are there, and how each is."""
        if not self._source.subreddits:
            listing = await self._listing("search", {})
            return f"search: {len(listing.names)} posts on the newest page"
        found = await self._access.get("/api/info", {"sr_name": ",".join(self._source.subreddits)})
        things = [object_of(child.get("data")) for child in objects_of(object_of(found.get("data")).get("children"))]
        kinds = {str(thing.get("display_name")).lower(): _kind(thing) for thing in things}
        return ", ".join(f"r/{name}: {kinds.get(name.lower(), 'not found')}" for name in self._source.subreddits)

    async def close(self) -> None:
        """Nothing is open."""

    async def _step(self, cursor: JsonObject, shown: set[str]) -> Page:
        """A page of the listing whose turn it is."""
        name, left = cursor["left"][0], cursor["left"]
        state: JsonObject = cursor.get("lists", {}).get(name, {})
        listing = await self._listing(name, state)
        shown.update(listing.names)
        mark, further, gap = state.get("mark"), _further(state, listing), None
        is_met = mark is None or not further["seen"] or further["last"] <= mark
        if not is_met and _breaks_off(state, further) and min(listing.created[-1:], default=math.inf) > state["at"]:
            gap = Gap(_time([state["at"]]), _time(listing.created[-1:]), _end(name, further))
        if is_met or not further["after"]:
            before = state if state else {"mark": 0, "at": self._reach.timer.now()}  # of an empty listing all is new
            newest = {"mark": further["top"], "at": further["top_at"]} if further["top"] > (mark or 0) else before
            further, left = {key: newest[key] for key in ("mark", "at") if key in newest}, left[1:]
        lists = {**cursor.get("lists", {}), name: further}
        return Page([listing.payload], {**cursor, "left": left, "lists": lists, "ids": _merged(cursor, listing.names)}, gap)

    async def _again(self, cursor: JsonObject, shown: set[str]) -> Page:
        """Known items that the listings did not show."""
        ids: dict[str, list[str]] = cursor.get("ids", {})
        turn, names = cursor.get("turn", 0), _asked(ids, shown, cursor.get("turn", 0))
        over = {key: value for key, value in cursor.items() if key not in ("left", "begun")}
        if not names:
            return Page([], over)
        payload = await self._access.get("/api/info", {"id": ",".join(names)})
        gone = self._gone(payload, names)
        kept = {kind: [name for name in those if name not in gone] for kind, those in ids.items()}
        return Page([payload], {**over, "ids": kept, "turn": turn + 1})

    def _gone(self, payload: JsonObject, names: list[str]) -> set[str]:
        """Those of `names` that are deleted or not in the answer: they need no other look. None where it can't be read."""
        seen = list[Observation]()
        with suppress(Unreadable):
            seen += [each for each in observe(payload, self.origin) if isinstance(each, Observation)]
        return set(names) - {each.event["id"] for each in seen if not each.deleted} if seen else set()

    async def _listing(self, name: str, state: JsonObject) -> _Listing:
        path, query = self._lists[name]
        after = {"after": state["after"][0]} if state.get("after") else {}
        payload = await self._access.get(path, {**query, **after, "limit": str(PAGE)})
        data = object_of(payload.get("data"))
        if not isinstance(data.get("children"), list):
            raise Failed("the answer is no listing")
        things = [object_of(child.get("data")) for child in objects_of(data["children"])]
        if any(child.get("kind") == "t5" for child in objects_of(data["children"])):
            raise Failed(f"{path.removesuffix('/new')[1:]}: there is no such subreddit")
        named = [(str(thing.get("name")), thing.get("created_utc")) for thing in things]
        dated = [(name, float(at)) for name, at in named if _number(name) and isinstance(at, int | float)]
        return _Listing(payload, [name for name, _ in dated], [at for _, at in dated], bool(data.get("after")))


def _further(state: JsonObject, listing: _Listing) -> JsonObject:
    """The state of a listing after its page: `after` is empty once it ends."""
    last, seen = state.get("last"), state.get("seen", 0) + len(listing.names)
    lowest = _number(listing.names[-1]) if listing.names else last
    goes_on = bool(listing.names) and (last is None or lowest < last)
    anchors = listing.anchors() if goes_on else state.get("after", [])[1:]
    top, top_at = (state["top"], state["top_at"]) if "top" in state else listing.newest()  # newer ones came since: next poll
    known: JsonObject = {key: state[key] for key in ("mark", "at") if key in state}
    after = anchors if seen < MOST else []
    return {**known, "top": top, "top_at": top_at, "last": lowest if goes_on else last, "seen": seen, "after": after}


def _breaks_off(before: JsonObject, state: JsonObject) -> bool:
    """Whether the listing ended at its limit, or with pages that brought nothing."""
    return not state["after"] and (state["seen"] >= WHOLE or state["last"] == before.get("last"))


def _merged(cursor: JsonObject, names: Iterable[str]) -> dict[str, list[str]]:
    """The newest posts and comments, with these."""
    ids: dict[str, list[str]] = dict(cursor.get("ids", {}))
    for kind in ("t3", "t1"):
        fresh = {name for name in names if name.startswith(kind)}
        if fresh:
            ids[kind] = sorted({*ids.get(kind, ()), *fresh}, key=_number, reverse=True)[:KNOWN]
    return ids


def _asked(ids: dict[str, list[str]], shown: set[str], turn: int) -> list[str]:
    """Of those that were not shown the newest, among them all that left a listing; of the others some, in turn."""
    most = PAGE // max(1, len(ids)) // 2
    asked = list[str]()
    for names in ids.values():
        left = [name for name in names if name not in shown]
        older = left[most:]
        first = turn * most % max(1, len(older))
        asked += left[:most] + (older[first:] + older[:first])[:most]
    return asked


def _number(name: str) -> int:
    """Ids ascend with time within their kind; 0: it is none."""
    try:
        return int(name[3:], 36) if name[:3] in ("t1_", "t3_") and len(name) < 20 else 0
    except ValueError:
        return 0


def _time(created: list[float]) -> str:
    return text_of(created[0]) if created else ""


def _end(name: str, state: JsonObject) -> str:
    return f"Reddit's listing `{name}` ends after {state['seen']} items"


def _kind(subreddit: JsonObject) -> str:
    return "quarantined" if subreddit.get("quarantine") else str(subreddit.get("subreddit_type"))


def make(source: Reddit, reach: Reach) -> RedditDriver:
    """The driver of subreddits and searches. Raises NoCredentials."""
    return RedditDriver(source, reach)
