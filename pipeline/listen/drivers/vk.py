"""A community of VK, by the Bots Long Poll: messages, posts, comments.

The server of the long poll numbers its answers (`ts`). A listener asks once where it is, and again where that may have changed.
An old number is answered by `failed`: 1 and 3, events are lost; 2, the key ended, and none is. What was lost is a gap; with
`wall_token_env`, posts of the wall and their comments are read again from when VK answered last, by wall.get and
wall.getComments, which a community's key may not call.

The cursor: `ts`, `at` (when VK answered last, within half an hour), `missed` (the place of vk_wall.py, while it is read).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.listen.api import parsed
from pipeline.listen.credentials import variable
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.drivers.vk_api import method
from pipeline.listen.drivers.vk_wall import Wall, over
from pipeline.listen.social_sources import Vk
from pipeline.listen.states import Failed, NoCredentials, SourceError
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import id_of, object_of
from schemas.untyped import JsonObject

WAIT_S, TRIED_S = 25, 1
"""How long VK holds a request without news; where the source is only tried."""
NOTED_S, REST_S = 1800.0, 1.0
LOST, ENDED, ALL_LOST = 1, 2, 3
MOST_FAILED = 3
"""Answers `failed` in a row: then it rests. Requests of the long poll without an answer in a row: then it may be elsewhere."""
WANTED = (
    "message_new", "message_reply", "message_edit", "wall_post_new", "wall_reply_new", "wall_reply_edit", "wall_reply_delete",
)  # fmt: skip


class Poll(NamedTuple):
    """Where the long poll goes on."""

    server: str
    key: str
    ts: str


@dataclass
class _Begun:
    """The last beginning of a listener; never in a cursor."""

    poll: Poll | None = field(default=None, repr=False)
    failures: int = 0
    """Requests of the long poll that failed since the last one that did not."""


class VkDriver:
    """A community."""

    def __init__(self, source: Vk, reach: Reach) -> None:
        """Raises NoCredentials without the community's key, and where the variable of the service key has none."""
        if not reach.token.get_secret_value():
            raise NoCredentials("token_env or token_file should hold the community's access key")
        self._source, self._reach = source, reach
        self.origin = Origin(str(source.group), source.own_accounts())
        begun = reach.shared.setdefault(f"vk {source.server} {source.group}", _Begun())
        assert isinstance(begun, _Begun)
        self._begun = begun
        self._wall: Wall | None = None
        if source.wall_token_env:
            token = variable(source.wall_token_env, "wall_token_env", reach.environ)
            self._wall = Wall(reach.api, source.server, source.group, token)

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """What was missed, if anything was; then the events, until it breaks."""
        poll = (self._begun.poll if "ts" in cursor else None) or await self._begin()
        if "ts" in cursor:
            poll = poll._replace(ts=cursor["ts"])
        else:
            page = self._lost(cursor, poll.ts) if "at" in cursor else self._heard(cursor, poll.ts, [])
            cursor = page.cursor
            yield page
        tried, failures = self._reach.beside is None, 0
        while failures < MOST_FAILED:
            while "missed" in cursor:
                cursor, payloads = await self._again(cursor)
                yield Page(payloads, cursor)
            begun, before = self._reach.timer.now(), poll.ts
            answer = await self._answer(poll, TRIED_S if tried else WAIT_S)
            failed, news = answer.get("failed"), bool(answer.get("updates"))
            if failed in (ENDED, ALL_LOST):
                self._begun.poll = None
            failures = failures + 1 if failed else 0
            if failed == ALL_LOST:  # a start without `ts` begins with what is new, and says what is lost
                cursor = {name: value for name, value in cursor.items() if name != "ts"}
                yield Page([], cursor)
            if failed in (ENDED, ALL_LOST):
                poll = (await self._begin())._replace(**({"ts": poll.ts} if failed == ENDED else {}))
            else:
                poll = poll._replace(ts=_ts(answer))
            if failed != ENDED:
                page = self._lost(cursor, poll.ts) if failed else self._heard(cursor, poll.ts, [answer] if news else [])
                cursor = page.cursor
                yield page
                if tried:
                    return
            if (poll.ts == before or not news) and 0.0 <= self._reach.timer.now() - begun < REST_S:
                # It holds no request, or its place does not move: the same events come again.
                await self._reach.timer.sleep(REST_S)
        raise Failed("the long poll fails again and again")

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """The wall's posts back to `since`, with their comments; a gap without a service key."""
        if self._wall is None:
            if not cursor.get("told"):
                reason = "a community's key reads no past: name wall_token_env"
                yield Page([], {"told": True}, Gap(text_of(since), text_of(self._reach.timer.now()), reason))
            return
        cursor = {"since": since, **cursor}
        while not over(cursor):
            payloads, cursor = await self._wall.step(cursor)
            yield Page(payloads, cursor)
            await self._reach.timer.sleep(REST_S)

    async def check(self) -> str:
        """Which of the events that are heard are switched off."""
        answer = await self._method("groups.getLongPollSettings")
        settings = object_of(answer["response"])
        if not settings.get("is_enabled"):
            raise Failed("the Bots Long Poll API is switched off: Manage, API usage, Long Poll API")
        off = [name for name in WANTED if not object_of(settings.get("events")).get(name)]
        return f"community {self._source.group}: " + (
            f"switched off: {', '.join(off)}" if off else "all events are switched on"
        )

    async def close(self) -> None:
        """Nothing is open."""

    async def _begin(self) -> Poll:
        found = object_of((await self._method("groups.getLongPollServer"))["response"])
        server, key = found.get("server"), found.get("key")
        if not isinstance(server, str) or not isinstance(key, str) or "://" not in server:
            raise Failed("VK names no server for the long poll")
        self._begun.poll = Poll(server, key, _ts(found))
        return self._begun.poll

    async def _answer(self, poll: Poll, wait_s: int) -> JsonObject:
        query = {"act": "a_check", "key": poll.key, "ts": poll.ts, "wait": str(wait_s)}
        try:
            answer = object_of(parsed(await self._reach.api.get(poll.server, query, held=True)))
        except SourceError:
            self._begun.failures += 1
            if self._begun.failures >= MOST_FAILED:
                self._begun.poll = None
            raise
        self._begun.failures = 0
        if answer.get("failed") not in (None, LOST, ENDED, ALL_LOST) or not (answer.get("failed") or "updates" in answer):
            raise Failed("the long poll answers without events")
        return answer

    def _heard(self, cursor: JsonObject, ts: str, payloads: list[object]) -> Page:
        now, at = self._reach.timer.now(), cursor.get("at")
        noted = now if at is None or payloads or not 0.0 <= now - at < NOTED_S else at
        return Page(payloads, {**cursor, "ts": ts, "at": noted})

    def _lost(self, cursor: JsonObject, ts: str) -> Page:
        """Events are lost, up to now."""
        now, at = self._reach.timer.now(), cursor.get("at", self._reach.timer.now())
        again = ": posts and comments of the wall are read again" if self._wall else ", posts and comments among them"
        missed = {"missed": {"since": at}} if self._wall else {}
        gap = Gap(text_of(at), text_of(now), f"VK lost events of the long poll{again}")
        return Page([], {**cursor, **missed, "ts": ts, "at": now}, gap)

    async def _again(self, cursor: JsonObject) -> tuple[JsonObject, list[object]]:
        """A step through what was missed."""
        if self._wall is None or over(cursor["missed"]):  # the service key was taken out meanwhile
            return {name: value for name, value in cursor.items() if name != "missed"}, []
        payloads, place = await self._wall.step(cursor["missed"])
        return {**cursor, "missed": place}, payloads

    async def _method(self, name: str) -> JsonObject:
        token, params = self._reach.token.get_secret_value(), {"group_id": str(self._source.group)}
        return await method(self._reach.api, self._source.server, name, params, token)


def _ts(answer: JsonObject) -> str:
    ts = id_of(answer.get("ts"))
    if ts is None or len(ts) > 100:
        raise Failed("the long poll answers without its place")
    return ts


def make(source: Vk, reach: Reach) -> VkDriver:
    """The driver of a community. Raises NoCredentials."""
    return VkDriver(source, reach)
