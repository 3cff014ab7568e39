"""Comments on a channel's videos, by polls of commentThreads.list, newest first.

A poll reads pages until it meets the newest known thread, then one page of older threads, in turn the newest five: so counts
and edits of 500 threads are seen. A thread shows five answers at most; the others are fetched by comments.list once its
count of answers changes. A list costs one unit of the key's quota, which is back at midnight in California.

The cursor: `mark` (when the newest known thread was written), `counts` (of threads with more answers than they show: how many
were fetched), `again` and `depth` (where older threads are read next); within a poll `top` (the newest thread of it), `page`
(the page that comes next), `last` and `tries` (the oldest thread so far, and how many pages brought no older one), `begun`,
`met` (the news are there), `left` (threads whose answers are missing), `replies` (the next page of the first one's) and `asked`
(how many of its pages were read).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

from pipeline.listen.api import parsed
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.drivers.youtube_errors import NoAnswers, StalePage, judged
from pipeline.listen.social_sources import YouTube
from pipeline.listen.states import Failed, NoCredentials
from pipeline.listen.timer import possible, text_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import count_of, object_of, objects_of, time_of
from schemas.untyped import JsonObject

PAGE, MOST = 100, 1_000
"""Items of a page; threads of a page that are taken."""
AGAIN = 4
"""Pages below the first one that are read again."""
MOST_TRIES = 3
"""Pages in a row that bring nothing older; then the list ends."""
MOST_ANSWERS = 200
"""Pages of one thread's answers; more are a circle."""
MOST_COUNTS = PAGE * (AGAIN + 1)
"""Threads whose number of fetched answers is known: all that are read again. One that is forgotten costs a unit a poll."""
LATE_S = 300.0
"""A poll that has failed for so long begins anew: its page's token may have ended."""
REST_S = 1.0
"""Between pages of the past."""


class Threads(NamedTuple):
    """A page of threads."""

    payload: JsonObject
    times: list[str]
    """When each was written, newest first."""
    more: dict[str, int]
    """Of the threads that have more answers than the page shows: how many they have."""
    next: str
    """The token of the page that follows; blank: none does."""


class YouTubeDriver:
    """A channel."""

    def __init__(self, source: YouTube, reach: Reach) -> None:
        """Raises NoCredentials without an API key."""
        if not (key := reach.token.get_secret_value()):
            raise NoCredentials("token_env or token_file should hold an API key")
        self._source, self._reach = source, reach
        self.origin = Origin("", source.own_accounts())
        reach.api.headers["X-Goog-Api-Key"] = key
        reach.api.judge = judged

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The new threads, the newest first, a page of older ones, and the answers that these do not show."""
        now = self._reach.timer.now()
        if not 0.0 <= now - cursor.get("begun", now) <= max(LATE_S, self._source.every.total_seconds()):
            cursor = _kept(cursor)
        cursor = {"begun": now, **cursor}
        try:
            while "met" not in cursor:
                threads = await self._threads(cursor.get("page", ""))
                cursor, gap = _after(cursor, threads)
                yield Page([threads.payload], cursor, gap)
            if below := cursor.get("below"):
                threads = await self._threads(cursor.get("again") or below)
                cursor = _after_older(cursor, threads)
                yield Page([threads.payload], cursor)
        except StalePage:
            yield Page([], {name: value for name, value in _kept(cursor).items() if name not in ("again", "depth")})
            return
        while cursor.get("left"):
            page = await self._answers(cursor)
            cursor = page.cursor
            yield page
        yield Page([], _kept(cursor))

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """All threads down to `since`, or to the first one, with their answers."""
        earliest = text_of(since)
        while not cursor.get("over") or cursor.get("left"):
            if cursor.get("left"):
                page = await self._answers(cursor)
            else:
                try:
                    threads = await self._threads(cursor.get("page", ""))
                except StalePage:
                    page = Page([], {})  # from the newest one on: what is known is not sent again
                else:
                    page = Page([threads.payload], _further(cursor, threads, earliest))
            cursor = page.cursor
            yield page
            await self._reach.timer.sleep(REST_S)

    async def check(self) -> str:
        """How many threads the newest page has."""
        threads = await self._threads("")
        if not threads.times:
            return f"channel {self._source.channel}: no comments"
        return (
            f"channel {self._source.channel}: {len(threads.times)} threads on the newest page, the last of {threads.times[0]}"
        )

    async def close(self) -> None:
        """Nothing is open."""

    async def _threads(self, page: str) -> Threads:
        query = {"part": "snippet,replies", "allThreadsRelatedToChannelId": self._source.channel, "order": "time"}
        payload = await self._list("commentThreads", query, page)
        items = objects_of(payload["items"])
        more = dict[str, int]()
        for item in items:
            count, ident = count_of(object_of(item.get("snippet")).get("totalReplyCount")) or 0, item.get("id")
            if isinstance(ident, str) and count > len(objects_of(object_of(item.get("replies")).get("comments"))):
                more[ident[:200]] = count
        times = possible(filter(None, map(_written, items)), self._reach.timer.now())
        return Threads(payload, sorted(times, reverse=True), more, _token(payload))

    async def _answers(self, cursor: JsonObject) -> Page:
        """A page of the answers of the first thread that lacks some."""
        (thread, count), *others = cursor["left"]
        over = {name: value for name, value in cursor.items() if name not in ("replies", "asked")} | {"left": others}
        over["counts"] = dict(
            [*(pair for pair in cursor.get("counts", {}).items() if pair[0] != thread), (thread, count)][-MOST_COUNTS:]
        )
        try:
            payload = await self._list("comments", {"part": "snippet", "parentId": thread}, cursor.get("replies", ""))
        except (NoAnswers, StalePage):
            return Page([], over)
        following, asked = _token(payload), cursor.get("asked", 0) + 1
        if following in ("", cursor.get("replies")):
            return Page([payload], over)
        if asked >= min(MOST_ANSWERS, MOST_TRIES + 2 * count // PAGE):
            now = text_of(self._reach.timer.now())
            return Page([payload], over, Gap("", now, "YouTube gives the answers of one thread without an end"))
        return Page([payload], {**cursor, "replies": following, "asked": asked})

    async def _list(self, what: str, query: dict[str, str], page: str) -> JsonObject:
        """The answer, with a list `items`."""
        # As HTML: in plain text, a < that somebody wrote could not be told from a tag of YouTube's.
        asked = {**query, "textFormat": "html", "maxResults": str(PAGE)} | ({"pageToken": page} if page else {})
        payload = parsed(await self._reach.api.get(f"{self._source.server}/youtube/v3/{what}", asked))
        if not isinstance(payload, dict) or not isinstance(payload.get("items"), list) or len(payload["items"]) > MOST:
            raise Failed("the answer has no list of comments, or far too many")
        return payload


def _kept(cursor: JsonObject) -> JsonObject:
    """What goes from poll to poll."""
    return {name: cursor[name] for name in ("mark", "counts", "again", "depth") if name in cursor}


def _after(cursor: JsonObject, threads: Threads) -> tuple[JsonObject, Gap | None]:
    """Where the poll goes on, with `met` once the newest known thread is met; what is missing, if the pages go round."""
    mark, top = cursor.get("mark"), cursor.get("top") or max(threads.times, default="")
    cursor, oldest = _with_answers(_deeper(cursor, threads), threads), min(threads.times, default="")
    over = mark is None or not threads.next or bool(oldest and oldest < mark)
    if not over and cursor["tries"] < MOST_TRIES:
        return {**cursor, "top": top, "page": threads.next}, None
    gap = None if over else Gap(mark or "", cursor["last"], "YouTube gives the same comments again and again")
    return {**cursor, "mark": max(top, mark or ""), "met": True, "below": threads.next}, gap


def _after_older(cursor: JsonObject, threads: Threads) -> JsonObject:
    """The cursor after an older page: the next poll reads the one below it."""
    depth, cursor = cursor.get("depth", 0) + 1, _with_answers(cursor, threads)
    over = depth >= AGAIN or not threads.next or threads.next == cursor.get("again")
    known = {name: value for name, value in cursor.items() if name not in ("below", "again", "depth")}
    return known if over else {**known, "again": threads.next, "depth": depth}


def _further(cursor: JsonObject, threads: Threads, earliest: str) -> JsonObject:
    """The cursor of a back-fill after a page."""
    cursor, oldest = _with_answers(_deeper(cursor, threads), threads), min(threads.times, default=earliest)
    over = not threads.next or oldest < earliest or cursor["tries"] >= MOST_TRIES
    return {**cursor, "over": True} if over else {**cursor, "page": threads.next}


def _deeper(cursor: JsonObject, threads: Threads) -> JsonObject:
    """Whether the page brought older threads than those before it."""
    oldest, last = min(threads.times, default=""), cursor.get("last", "")
    deeper = bool(oldest) and (not last or oldest < last)
    return {**cursor, "last": oldest if deeper else last, "tries": 0 if deeper else cursor.get("tries", 0) + 1}


def _with_answers(cursor: JsonObject, threads: Threads) -> JsonObject:
    """With the threads of the page whose answers are to be fetched."""
    known, left = cursor.get("counts", {}), cursor.get("left", [])
    asked = {thread for thread, _ in left}
    return {**cursor, "left": left + [[t, n] for t, n in threads.more.items() if known.get(t) != n and t not in asked]}


def _written(item: JsonObject) -> str:
    comment = object_of(object_of(object_of(item.get("snippet")).get("topLevelComment")).get("snippet"))
    return time_of(comment.get("publishedAt")) or ""


def _token(payload: JsonObject) -> str:
    token = payload.get("nextPageToken")
    return token if isinstance(token, str) and len(token) < 2_000 else ""


def make(source: YouTube, reach: Reach) -> YouTubeDriver:
    """The driver of a channel. Raises NoCredentials."""
    return YouTubeDriver(source, reach)
