"""A page of LinkedIn, by polls of organizationalEntityNotifications: what is done to its posts, and where it is mentioned.

Made from the documented shape: no recording was at hand. So nothing relies on the order of an answer: a poll asks for a span of
time, from a little before the last poll until now, page after page until one is not full. The last poll was when LinkedIn says
that it answered: our clock may be ahead.

The cursor: `mark` (until when all is read, in ms since 1970); within a poll `until` (its end), `start` (how many notifications
were read) and `at` (the next `mark`).
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import quote

import orjson
from yarl import URL

from pipeline.http.answer import Answer
from pipeline.listen.api import parsed
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.social_sources import LinkedIn
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.linkedin import ASKED
from pipeline.sources.platforms.observation import Origin
from pipeline.sources.platforms.values import object_of
from schemas.untyped import JsonObject

PAGE, MOST = 100, 10_000
"""Notifications of a page, and of one span: more is a circle."""
DAY_S, KEPT_S = 86_400.0, 60 * 86_400.0
"""A day in UTC, at whose end the app's requests are counted anew; so long LinkedIn keeps notifications."""
LATE_S = 600.0
"""A notification may come so late: the span begins that much earlier."""
SPAN_S, REST_S = 5 * 86_400.0, 1.0
"""Of the past that is asked for at once; between its pages."""


class Listed(NamedTuple):
    """A page of notifications."""

    payload: JsonObject
    size: int
    at: float
    """When LinkedIn answered, by its own clock, in ms since 1970; inf: it does not say."""


class LinkedInDriver:
    """A page."""

    def __init__(self, source: LinkedIn, reach: Reach) -> None:
        """Raises NoCredentials without an access token."""
        if not (token := reach.token.get_secret_value()):
            raise NoCredentials("token_env or token_file should hold the access token of an administrator of the page")
        self._source, self._reach = source, reach
        self.origin = Origin(str(source.page), source.own_accounts())
        reach.api.headers |= {
            "Authorization": f"Bearer {token}",
            "LinkedIn-Version": source.version,
            "X-Restli-Protocol-Version": "2.0.0",
        }
        reach.api.judge = _judged

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The notifications since the last poll."""
        now = self._reach.timer.now()
        mark, oldest, gap = cursor.get("mark", _ms(now)), _ms(now - KEPT_S), None
        if mark < oldest:
            gap = Gap(text_of(mark / 1000), text_of(now - KEPT_S), "LinkedIn keeps notifications for 60 days")
        first = max(min(mark, _ms(now)) - _ms(LATE_S), oldest)
        until, start, at = cursor.get("until", _ms(now)), cursor.get("start", 0), cursor.get("at")
        if not first < until <= _ms(now):  # our clock was set back
            until, start, at = _ms(now), 0, None
        while True:
            found = await self._notifications(first, until, start)
            start += found.size
            at = min(until, found.at) if at is None else at
            if found.size < PAGE or start >= MOST:
                yield Page([found.payload], {"mark": at}, gap or _circle(first, until, start))
                return
            yield Page([found.payload], {"mark": mark, "until": until, "start": start, "at": at}, gap)
            gap = None

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """The notifications back to `since`, of 60 days at most, newest first, a span at a time."""
        now = self._reach.timer.now()
        earliest, gap = max(_ms(since), _ms(now - KEPT_S)), None
        if since < now - KEPT_S and "until" not in cursor:
            gap = Gap(text_of(since), text_of(now - KEPT_S), "LinkedIn keeps notifications for 60 days")
        until, start = cursor.get("until", _ms(now)), cursor.get("start", 0)
        while until > earliest:
            first = max(until - _ms(SPAN_S), earliest)
            found = await self._notifications(first, until, start)
            start += found.size
            if found.size < PAGE or start >= MOST:
                gap, until, start = gap or _circle(first, until, start), first, 0
            yield Page([found.payload], {"until": until, "start": start}, gap)
            gap = None
            await self._reach.timer.sleep(REST_S)

    async def check(self) -> str:
        """How many notifications the last day brought."""
        now = self._reach.timer.now()
        found = (await self._notifications(_ms(now - 86_400), _ms(now), 0)).size
        return f"page {self._source.page}: {found}{' or more' if found == PAGE else ''} notifications in the last day"

    async def close(self) -> None:
        """Nothing is open."""

    async def _notifications(self, first: int, until: int, start: int) -> Listed:
        """A page. The brackets of Rest.li stay as they are, a URN's colons do not."""
        page = quote(f"urn:li:organization:{self._source.page}", safe="")
        span = f"timeRange=(start:{first},end:{until})&start={start}&count={PAGE}"
        query = f"q=criteria&actions=List({','.join(ASKED)})&organizationalEntity={page}&{span}"
        url = URL(f"{self._source.server}/rest/organizationalEntityNotifications?{query}", encoded=True)
        answer = await self._reach.api.get(url)
        payload = parsed(answer)
        found = payload.get("elements") if isinstance(payload, dict) else None
        if not isinstance(payload, dict) or not isinstance(found, list) or len(found) > MOST:
            raise Failed("the answer has no list of notifications, or far too many")
        return Listed(payload, len(found), _dated(answer))


def _circle(first: int, until: int, start: int) -> Gap | None:
    if start < MOST:
        return None
    return Gap(text_of(first / 1000), text_of(until / 1000), f"LinkedIn lists more than {MOST:,} notifications of this time")


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _dated(answer: Answer) -> float:
    try:
        return _ms(parsedate_to_datetime(answer.headers.get("date", "")).timestamp())
    except (ValueError, OverflowError):
        return math.inf


def _judged(answer: Answer, now: float) -> SourceError | None:
    try:
        body = object_of(orjson.loads(answer.body))
    except orjson.JSONDecodeError:
        body = {}
    code = str(body.get("code"))
    if answer.status == 429 and "retry-after" not in answer.headers:
        return Waiting("the app's requests of the day are used up", now - now % DAY_S + DAY_S)
    if answer.status == 426 or code in ("NONEXISTENT_VERSION", "VERSION_MISSING"):
        return Failed("LinkedIn no longer has this version of its API: set key version to one of the last months, as 202610")
    if answer.status == 401:
        return NoCredentials("LinkedIn refuses the access token (status 401): tokens end after 60 days")
    if answer.status == 403:
        return NoCredentials("no administrator of the page, or the app lacks rw_organization_admin (status 403)")
    if answer.status == 404:
        return Failed("the page was deleted, or is none (status 404): look at key page")
    return None


def make(source: LinkedIn, reach: Reach) -> LinkedInDriver:
    """The driver of a page. Raises NoCredentials."""
    return LinkedInDriver(source, reach)
