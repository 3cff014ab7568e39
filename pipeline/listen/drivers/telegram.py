"""Telegram, by getUpdates, a long poll: what the bot's chats say.

A request with an offset confirms the updates below it, and Telegram forgets them. So it is sent only when the next page is
asked for, that is, when Kafka has the one before: a crash brings updates twice, and loses none.

The cursor: `bot` (whose updates they are: an offset of another bot would confirm what was never read), `offset`, `at` (when
Telegram answered last, within half an hour) and `came` (when an update came last).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

import orjson

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.social_sources import Telegram
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.telegram import ASKED
from pipeline.sources.platforms.values import object_of, objects_of
from schemas.untyped import JsonObject

WAIT_S, MOST = 25, 100
"""How long Telegram holds a request without news; updates of an answer."""
KEPT_S = 24 * 3600.0
"""So long Telegram keeps updates."""
QUIET_S = 6 * 24 * 3600.0
"""After a week without updates their numbers begin anew, maybe lower: then all is confirmed, and no offset is sent."""
LARGEST = 1 << 62
"""No update's number is as large; one above it would leave no room in a cursor."""
NOTED_S, REST_S = 1800.0, 1.0
_TOKEN = re.compile(r"(\d{3,20}):[A-Za-z0-9_-]{3,200}").fullmatch


class TelegramDriver:
    """A bot."""

    def __init__(self, source: Telegram, reach: Reach) -> None:
        """Raises NoCredentials without a bot's token, Failed where a source with an earlier name is the same bot."""
        token = _TOKEN(reach.token.get_secret_value())
        if token is None:
            raise NoCredentials("token_env or token_file should hold a bot's token, as @BotFather gives it: 123456:ABC...")
        if (first := min(reach.beside or {source.name})) != source.name:
            raise Failed(f"source {first} is the same bot, of which Telegram gives each update to one alone")
        self._reach, self._bot = reach, token[1]
        self._url = f"{source.server}/bot{token[0]}"
        self.origin = Origin(token[1], source.own_accounts())
        reach.api.judge = _judged

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The updates, until it breaks; an empty page each WAIT_S without any."""
        cursor = cursor if cursor.get("bot") == self._bot else {"bot": self._bot}
        if self._reach.beside is None:  # beside a listener, whose request a second one would end
            yield Page([], cursor)
            return
        while True:
            begun, before = self._reach.timer.now(), cursor.get("offset")
            answer, numbers = await self._updates(self._offset(cursor))
            cursor, gap = self._after(cursor, numbers)
            yield Page([answer] if numbers else [], cursor, gap)
            if cursor.get("offset") == before and 0.0 <= self._reach.timer.now() - begun < REST_S:
                # It holds no request, or confirms nothing: the same updates come again.
                await self._reach.timer.sleep(REST_S)

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """Nothing: a bot sees no past."""
        for none in list[Page]():
            yield none

    async def check(self) -> str:
        """Who the bot is, and how many updates wait for it."""
        bot = object_of((await self._asked("getMe", {})).get("result"))
        hook = object_of((await self._asked("getWebhookInfo", {})).get("result"))
        if hook.get("url"):
            raise Failed(_WEBHOOK)
        groups = "all messages" if bot.get("can_read_all_group_messages") else "only commands and answers to it (privacy mode)"
        waiting = f"{hook.get('pending_update_count', 0)} updates wait, which a listener alone takes"
        return f"bot {self._bot}: {waiting}; of groups it sees {groups}"

    async def close(self) -> None:
        """Nothing is open."""

    def _offset(self, cursor: JsonObject) -> int | None:
        quiet_s = self._reach.timer.now() - cursor.get("came", 0.0)
        return cursor.get("offset") if 0.0 <= quiet_s <= QUIET_S else None  # else our clock was set back: nobody knows

    def _after(self, cursor: JsonObject, numbers: list[int]) -> tuple[JsonObject, Gap | None]:
        now, at = self._reach.timer.now(), cursor.get("at")
        gap = None
        if at is not None and now - at > KEPT_S + NOTED_S:
            gap = Gap(text_of(at), text_of(now - KEPT_S), "Telegram keeps updates for 24 hours")
        if at is None or not 0.0 <= now - at < NOTED_S or numbers:
            cursor = {**cursor, "at": now}
        return ({**cursor, "offset": max(numbers) + 1, "came": now} if numbers else cursor), gap

    async def _updates(self, offset: int | None) -> tuple[JsonObject, list[int]]:
        """The answer, and the numbers of its updates."""
        query = {"timeout": str(WAIT_S), "limit": str(MOST), "allowed_updates": orjson.dumps(ASKED).decode()}
        asked = query if offset is None else {**query, "offset": str(offset)}
        answer = await self._asked("getUpdates", asked, held=True)
        if not isinstance(answer.get("result"), list):
            raise Failed("the answer has no list of updates")
        numbers = [each.get("update_id") for each in objects_of(answer["result"])]
        return answer, [number for number in numbers if type(number) is int and 0 <= number < LARGEST]

    async def _asked(self, method: str, query: dict[str, str], held: bool = False) -> JsonObject:
        return object_of(parsed(await self._reach.api.get(f"{self._url}/{method}", query, held=held)))


_WEBHOOK = (
    "a webhook is set for the bot, and Telegram gives updates to it alone: delete it (deleteWebhook), or take another bot"
)


def _judged(answer: Answer, now: float) -> SourceError | None:
    try:
        body = object_of(orjson.loads(answer.body))
    except orjson.JSONDecodeError:
        return None
    wait = object_of(body.get("parameters")).get("retry_after")
    if answer.status == 429 and isinstance(wait, int | float) and "retry-after" not in answer.headers:
        return Waiting("Telegram asks to wait: status 429", now + wait)
    if answer.status in (401, 404):
        return NoCredentials(f"Telegram knows no bot with this token: status {answer.status}")
    if answer.status == 409:
        is_hook = "webhook" in str(body.get("description")).lower()
        return Failed(_WEBHOOK if is_hook else "another program gets the bot's updates, which one alone may: end it")
    return None


def make(source: Telegram, reach: Reach) -> TelegramDriver:
    """The driver of a bot. Raises SourceError."""
    return TelegramDriver(source, reach)
