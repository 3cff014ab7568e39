"""Forums of Discourse, by polls of /posts.json, newest first.

A poll reads pages of new posts until it meets the newest known one, then one page of older posts, in turn the newest ten: so
edits and counts of 500 posts are seen. The cursor: `mark` and `at` (id and time of the newest known post), `again` and `depth`
(where older posts are read next); within a poll `top` and `top_at` (the newest post of it), `before` and `tries` (the page that
comes next, and how often it brought nothing), `below` and `met` (the news are there, since when; the older page is left).

Versions of Discourse differ in /posts.json?before=N: older ones include post N, and list only the 50 ids below it, of which
none may be public. So an empty page ends nothing: it is asked for again, and after that 50 ids are skipped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.sources_file import Discourse
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import object_of, objects_of, time_of
from schemas.untyped import JsonObject

PAGE, MOST = 50, 1_000
"""Ids that older versions list; posts of a page that are taken."""
AGAIN, SHORT = 9, 20
"""Pages below the first one that are read again; a forum whose first page has fewer posts has no more."""
MOST_TRIES = 20
"""Pages in a row that bring nothing; then the list ends."""
LATE_S = 300.0
"""An older page that has failed for so long is left for the next poll: it must not hold up the news."""
REST_S = 1.0
"""Between pages of the past: a forum allows 200 requests a minute, and what comes live shares them."""


class _Posts(NamedTuple):
    """A page. Its ids descend, but nothing relies on that."""

    payload: object
    times: dict[int, str]
    """When each post was written, by its id."""

    def newest(self) -> tuple[int, str]:
        """Its id, and when it was written; 0 of an empty page."""
        return max(self.times.items(), default=(0, ""))

    def oldest_at(self) -> str:
        """When the post with the lowest id was written."""
        return min(self.times.items(), default=(0, ""))[1]


class _Below(NamedTuple):
    """The page that follows."""

    before: int
    """0: there is none."""
    tries: int
    gave_up: bool = False
    """Because pages bring nothing."""


class DiscourseDriver:
    """A forum."""

    def __init__(self, source: Discourse, reach: Reach) -> None:
        parts = urlsplit(source.url)
        self._source, self._reach = source, reach
        self.origin = Origin(parts.netloc + parts.path, source.own_accounts())
        if token := reach.token.get_secret_value():
            reach.api.headers["Api-Key"] = token
            if source.user:
                reach.api.headers["Api-Username"] = source.user
        reach.api.judge = _judged

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The new posts, the newest first, and a page of older ones."""
        now = self._reach.timer.now()
        if not 0.0 <= now - cursor.get("met", now) <= max(LATE_S, self._source.every.total_seconds()):
            cursor = {name: value for name, value in cursor.items() if name not in ("met", "below")}
        while "below" not in cursor:
            posts = await self._posts(cursor.get("before"))
            cursor, gap = _after(cursor, posts, now)
            yield Page([posts.payload], cursor, gap)
        if cursor["below"]:
            before = cursor.get("again") or cursor["below"]
            posts = await self._posts(before)
            cursor = _after_older(cursor, before, posts)
            yield Page([posts.payload], cursor)
        else:
            yield Page([], {name: cursor[name] for name in ("mark", "at") if name in cursor})

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """All posts down to `since`, or to the first one."""
        earliest = text_of(since)
        while (before := cursor.get("before")) != 0:
            posts = await self._posts(before)
            below = _below(before, cursor.get("tries", 0), posts)
            oldest = posts.oldest_at() or cursor.get("oldest", "")
            gap = None
            if oldest and oldest < earliest:
                below = _Below(0, 0)
            elif below.gave_up and posts.newest()[0] > (before or 0):
                gap = Gap(earliest, oldest, f"the forum gives the same page again and again, in place of posts before {before}")
            cursor = {"before": below.before, "tries": below.tries, "oldest": oldest}
            yield Page([posts.payload], cursor, gap)
            await self._reach.timer.sleep(REST_S)

    async def check(self) -> str:
        """How many posts the newest page has, and as whom it sees them."""
        posts = await self._posts(None)
        who = "everybody" if "Api-Key" not in self._reach.api.headers else self._source.user or "the key's user"
        if not posts.times:
            return f"{self._source.url}: no posts, as {who} sees it"
        newest = f"{len(posts.times)} posts on the newest page, the last of {posts.newest()[1]}"
        return f"{self._source.url}: {newest}, as {who} sees it"

    async def close(self) -> None:
        """Nothing is open."""

    async def _posts(self, before: int | None) -> _Posts:
        query = {} if before is None else {"before": str(before)}
        answer = await self._reach.api.get(f"{self._source.url}/posts.json", query)
        payload = parsed(answer)
        found = payload.get("latest_posts") if isinstance(payload, dict) else None
        if not isinstance(found, list) or len(found) > MOST:
            raise Failed("the answer has no list of posts, or far too many: is url that of a forum of Discourse?")
        ids = {post["id"]: time_of(post.get("created_at")) or "" for post in objects_of(found) if type(post.get("id")) is int}
        return _Posts(payload, ids)


def _after(cursor: JsonObject, posts: _Posts, now: float) -> tuple[JsonObject, Gap | None]:
    """Where the poll goes on, with `below` once the newest known post is met; what is missing, if the list ended before."""
    mark, before = cursor.get("mark"), cursor.get("before")
    top, top_at = posts.newest() if before is None else (cursor["top"], cursor["top_at"])  # newer ones came since: next poll
    below = _below(before, cursor.get("tries", 0), posts)
    if mark is not None and below.before > mark + 1:
        return {**cursor, "top": top, "top_at": top_at, "before": below.before, "tries": below.tries}, None
    gap = None
    if mark is not None and below.gave_up:
        gap = Gap(cursor.get("at", ""), posts.oldest_at(), f"the forum gives no posts between {mark} and {before}")
    known: JsonObject = {name: cursor[name] for name in ("mark", "at", "again", "depth") if name in cursor}
    if top > (mark or 0):
        known |= {"mark": top, "at": top_at}
    whole = before is None and len(posts.times) < SHORT
    return {**known, "met": now, "below": 0 if whole else below.before}, gap


def _after_older(cursor: JsonObject, before: int, posts: _Posts) -> JsonObject:
    depth, below = cursor.get("depth", 0) + 1, _below(before, 0, posts)
    known: JsonObject = {name: cursor[name] for name in ("mark", "at") if name in cursor}
    over = below.tries or depth >= AGAIN or not below.before
    return known if over else {**known, "again": below.before, "depth": depth}


def _below(before: int | None, tries: int, posts: _Posts) -> _Below:
    """The page below the one that was asked for with `before` (None: the newest one)."""
    lowest = min(posts.times, default=0)
    if before is None or (posts.times and lowest < before):
        return _Below(lowest, 0)
    tries += 1
    if tries > MOST_TRIES:
        return _Below(0, tries, gave_up=True)
    if tries == 1 or posts.newest()[0] > before:  # another page than the one that was asked for
        return _Below(before, tries)
    return _Below(max(0, before - PAGE), tries)


def _judged(answer: Answer, now: float) -> SourceError | None:
    try:
        body = object_of(orjson.loads(answer.body))
    except orjson.JSONDecodeError:
        body = {}
    if answer.status == 403 and body.get("error_type") == "not_logged_in":
        return NoCredentials("the forum shows nothing without a login: name token_env and user")
    if answer.status == 403 and body.get("error_type") == "invalid_access":
        return NoCredentials("the forum refuses the key, or what it asks for is not allowed to user")
    if answer.status == 404:
        return Failed("status 404: is url that of the forum, with its path?")
    wait = object_of(body.get("extras")).get("wait_seconds")
    if answer.status == 429 and isinstance(wait, int | float) and "retry-after" not in answer.headers:
        return Waiting("the forum asks to wait: status 429", now + wait)
    return None


def make(source: Discourse, reach: Reach) -> DiscourseDriver:
    """The driver of a forum."""
    return DiscourseDriver(source, reach)
