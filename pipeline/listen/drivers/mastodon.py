"""Mastodon, and servers with its API: a timeline by its stream, and by REST for what the stream missed.

Each start connects the stream first, then asks for the newest page, so nothing falls between. Where the page does not reach
down to the newest status that is known, the gap is filled upwards, a page at a time. While the stream lasts the newest page is
asked for again each `every`: it has the numbers of likes, which no stream has. Requests that fail beside a stream leave it
open. A server that refuses the stream to who has no token is polled each `every`, if it shows the timeline to everybody.

The cursor: `newest` (id) and `at` (its time) of what is known, `gap` (mastodon_timeline.Fetched), the address `stream`, `asked`
for at that time, and `again`: when a refused stream is tried again. That of the backfill: `before` (an id) and `at`.

Not found: what reached the server late, with an id older than the newest known one, while no stream was open.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from pipeline.http.lasting import Socket
from pipeline.listen.driver import Gap, Page, Reach, merged, together
from pipeline.listen.drivers.mastodon_timeline import NOTHING, Fetched, Timeline, elsewhere, ids_of, is_left, judge, rank
from pipeline.listen.sources_file import AnySource, Mastodon
from pipeline.listen.states import Failed, NoCredentials
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import object_of, objects_of, time_of
from pipeline.sources.recorded.json_text import NotJson
from pipeline.sources.recorded.json_text import parsed as json_value
from schemas.untyped import JsonObject

IDLE_S, SIGN_S = 60.0, 20.0
"""A stream without any sign for so long is broken; a quiet one says so often that it lives."""
PACE_S = 1.0
"""Between pages of a gap and of the backfill: servers allow 300 requests in five minutes."""
TRIES = 5
"""Of a request beside a stream."""
DAY_S = 86_400.0
FORGOTTEN = "the server's timeline does not reach back to the newest status that is known"
OF_STATUSES = ("update", "status.update")
OF_OBJECTS = (*OF_STATUSES, "notification", "conversation")


class MastodonDriver:
    """A timeline."""

    def __init__(self, source: Mastodon, reach: Reach) -> None:
        """Raises NoCredentials for a home timeline without a token."""
        self._token = reach.token.get_secret_value()
        if source.timeline == "home" and not self._token:
            raise NoCredentials("a home timeline needs a token: name token_env or token_file")
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._source, self._timer = source, reach.timer
        logged_in = partial(judge, logged_in=bool(self._token))
        self._api = replace(reach.api, headers={**reach.api.headers, **headers}, judge=logged_in)
        self._timeline = Timeline(source, self._api)
        self._reach, self._others = reach, tuple[AnySource, ...]()
        self._left_to_them = frozenset[str]()
        self._begun = False
        """Before the newest page is there, frames do not move the cursor: what lies below the page may be missed."""
        self.origin = Origin(urlsplit(source.server).hostname or "", source.own_accounts())

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The newest page, then the stream until it breaks; or, where it is refused, what is new by REST."""
        streams = self._token or not 0.0 < cursor.get("again", 0.0) - self._timer.now() <= DAY_S
        if streams and not 0 <= self._timer.now() - cursor.get("asked", 0.0) < DAY_S:
            cursor = {**cursor, "stream": await self._timeline.stream_url(), "asked": self._timer.now()}
            yield Page([], cursor)
        async with AsyncExitStack() as stack:
            socket = await self._connected(stack, cursor["stream"]) if streams else None
            if socket is not None:
                async for batch in together(merged(_frames(socket), self._beside(cursor)), SIGN_S):
                    yield (page := self._page(batch, cursor))
                    cursor = page.cursor
                raise Failed("the server ended the stream")
        if streams:
            cursor = {**cursor, "again": self._timer.now() + DAY_S}
        if "gap" not in cursor:
            yield (page := self._page([await self._begin(cursor)], cursor))
            cursor = page.cursor
        while gap := cursor.get("gap"):
            await self._timer.sleep(PACE_S)
            yield (page := self._page([await self._timeline.fill(gap)], cursor))
            cursor = page.cursor

    async def _connected(self, stack: AsyncExitStack, url: str) -> Socket | None:
        """None: the server streams to nobody without a token."""
        try:
            return await stack.enter_async_context(self._api.websocket(url, idle_s=IDLE_S))
        except NoCredentials:
            if self._token:
                raise
            return None

    async def _begin(self, cursor: JsonObject) -> Fetched:
        """The newest page, and the gap between it and what is known."""
        statuses = await self._timeline.page()
        known, gap = cursor.get("newest"), cursor.get("gap")
        oldest = min(ids_of(statuses), key=rank, default=None)
        if known is None or oldest is None or rank(oldest) <= rank(known):
            return Fetched(statuses, gap)
        return Fetched(statuses, {**(gap or {"after": known, "at": cursor.get("at", "")}), "upto": oldest})

    async def _beside(self, cursor: JsonObject) -> AsyncGenerator[object, None]:
        """By REST, beside the stream: the newest page, what is missed below it, then the newest page again and again."""
        fetched, tries = None, 0
        while True:
            gap = fetched.gap if fetched else None
            if fetched is not None:
                await self._timer.sleep(PACE_S if gap else self._source.every.total_seconds())
            try:
                if fetched is None:
                    found = await self._begin(cursor)
                else:
                    found = await self._timeline.fill(gap) if gap else Fetched(await self._timeline.page(), None)
            except Failed:
                tries += 1
                if tries == TRIES:
                    raise
                await self._timer.sleep(2.0**tries)
                continue
            fetched, tries = found, 0
            yield fetched

    @property
    def _elsewhere(self) -> frozenset[str]:
        """Servers whose accounts are left to another source, by the file as it is now: a stream may last for weeks."""
        if (others := self._reach.others()) is not self._others:
            self._others, self._left_to_them = others, elsewhere(self._source, others)
        return self._left_to_them

    def _page(self, batch: list[object], cursor: JsonObject) -> Page:
        """Of frames and pages, in their order."""
        payloads, cursor, lost = list[object](), dict(cursor), None
        for each in batch:
            if isinstance(each, Fetched):
                lost = self._fetched(each, cursor) or lost
                if statuses := [status for status in each.statuses if not is_left(status, self._elsewhere)]:
                    payloads.append(statuses)
                continue
            frame = object_of(each)
            if frame.get("event") == "update" and self._begun:
                _advance(cursor, object_of(frame.get("payload")))
            if frame.get("event") not in OF_STATUSES or not is_left(frame.get("payload"), self._elsewhere):
                payloads.append(each)
        return Page(payloads, cursor, lost)

    def _fetched(self, page: Fetched, cursor: JsonObject) -> Gap | None:
        """Notes in the cursor how far the page reaches."""
        self._begun, before, known = True, cursor.pop("gap", {}), cursor.setdefault("newest", NOTHING)
        cursor |= {"gap": page.gap} if page.gap else {}
        oldest = min(ids_of(page.statuses), key=rank, default=NOTHING)
        if page.gap or known == NOTHING or rank(oldest) <= rank(known):  # else the stream still owes what lies between
            for status in objects_of(page.statuses):
                _advance(cursor, status)
        if not page.lost:
            return None
        times = (time_of(status.get("created_at")) for status in objects_of(page.statuses))
        return Gap(before.get("at", ""), min(filter(None, times), default=""), FORGOTTEN)

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """Pages from the newest on, to the first status from before `since`, or to where the timeline ends."""
        before, at = cursor.get("before"), cursor.get("at", "")
        while True:
            statuses = await self._timeline.page(**({"max_id": before} if before else {}))
            oldest = min(ids_of(statuses), key=rank, default=None)
            if oldest is None or (before is not None and rank(oldest) >= rank(before)):
                break
            old = [each for each in statuses if 0 < _seconds(each) < since]
            before, at = oldest, min((text_of(_seconds(each)) for each in statuses if _seconds(each)), default=at)
            kept = [each for each in statuses if each not in old and not is_left(each, self._elsewhere)]
            yield Page([kept] if kept else [], {"before": before, "at": at})
            if old:
                return
            await self._timer.sleep(PACE_S)
        if self._source.timeline == "home":
            lost = Gap(text_of(since), at, "the server keeps only the newest statuses of a home timeline")
            yield Page([], {"before": before or NOTHING, "at": at}, lost)

    async def check(self) -> str:
        """Whose the token is, and how many statuses a page has."""
        who = await self._timeline.who() if self._token else "nobody"
        count = len(await self._timeline.page())
        stream = "" if self._token else "; servers from 4.2 on stream to nobody without a token: such a one is polled"
        return f"{self.origin.host}: logged in as {who}; its timeline {self._source.timeline} gives {count} statuses{stream}"

    async def close(self) -> None:
        """Nothing is open."""


def _advance(cursor: JsonObject, status: JsonObject) -> None:
    for key in ids_of([status]):
        if rank(key) > rank(cursor["newest"]):
            cursor |= {"newest": key, "at": time_of(status.get("created_at")) or ""}


async def _frames(socket: Socket) -> AsyncIterator[object]:
    """Frames, with their payloads parsed. Raises NoCredentials where the server refuses the subscription."""
    async for text in socket:
        frame = _parsed(text)
        if isinstance(frame, dict) and "error" in frame and "event" not in frame:
            raise NoCredentials("the server refuses to stream this timeline: the token lacks a permission")
        if isinstance(frame, dict) and frame.get("event") in OF_OBJECTS and isinstance(frame.get("payload"), str):
            frame["payload"] = _parsed(frame["payload"])
        yield frame


def _parsed(text: str) -> object:
    """What is no JSON stays a text: the mapper counts it as unreadable."""
    try:
        return json_value(text)
    except NotJson:
        return text


def _seconds(status: object) -> float:
    """0 without a time."""
    time = time_of(object_of(status).get("created_at"))
    return datetime.fromisoformat(time).timestamp() if time else 0.0


def make(source: Mastodon, reach: Reach) -> MastodonDriver:
    """The driver of a timeline. Raises NoCredentials."""
    return MastodonDriver(source, reach)
