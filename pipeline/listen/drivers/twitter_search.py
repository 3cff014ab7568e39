"""X's recent search: the posts of a query since an id, newest first, in steps of one request.

A place, which is in the cursor: `since`, an id up to which everything was taken; and of a search in progress `to`, which
`since` becomes at its end, `low`, the lowest id so far, `next`, X's token, and `until`, an id in place of a forgotten token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

from pipeline.http.answer import Answer
from pipeline.listen.api import Api, parsed
from pipeline.listen.driver import Gap, Page
from pipeline.listen.drivers.twitter_problems import judge, named
from pipeline.listen.drivers.twitter_times import Clock, id_at, time_at
from pipeline.listen.spending import Spending
from pipeline.listen.states import Failed
from pipeline.listen.timer import text_of
from pipeline.sources.platforms.twitter_post import post_id
from pipeline.sources.platforms.values import object_of, objects_of
from schemas.untyped import JsonObject

SPAN_S, EDGE_S = 7 * 86_400.0, 60.0
"""How far back X searches, and how far from that edge a search begins that would begin before it."""
SLACK_S = 30.0
"""The search finds a post so long after it was written, at the latest; the stream has it earlier."""
LEAST = 10
"""Posts of a page, which X bills: it takes no smaller number."""
IDLE = 3
"""Pages without a post that is older than those before, after which a search ends."""
FIELDS = {
    "tweet.fields": "id,text,created_at,author_id,conversation_id,lang,entities,referenced_tweets,public_metrics,"
    "edit_history_tweet_ids,note_tweet,display_text_range,geo",
    "user.fields": "id,name,username,public_metrics,protected,verified,verified_type,description,entities",
    "place.fields": "id,full_name",
    "expansions": "author_id,referenced_tweets.id,referenced_tweets.id.author_id,geo.place_id",
}


class Step(NamedTuple):
    """What one request gave."""

    page: Page
    done: bool


class Search:
    """The search for one query."""

    def __init__(self, api: Api, server: str, query: str, clock: Clock, most: int = 100) -> None:
        """`most`: posts of one page."""
        self._api, self._url, self._clock = api, f"{server}/2/tweets/search/recent", clock
        self._most, self._asked = most, {"query": query, **FIELDS}

    @property
    def spending(self) -> Spending:
        """What the source costs."""
        return self._api.spending

    async def walk(self, place: JsonObject) -> AsyncGenerator[Page, None]:
        """The pages of a search, to its end; from a place without `since` the newest page alone. Raises SourceError."""
        done = False
        while not done:
            page, done = await self.step(place)
            place = page.cursor
            yield page

    async def step(self, place: JsonObject) -> Step:
        """One request. Raises SourceError."""
        begun = asyncio.get_running_loop().time()
        with self.spending.room(LEAST, self._most, past=self._api.is_past) as most:
            answer = await self._api.get(self._url, self._query(place) | {"max_results": str(most)}, expect=(400,))
            self._clock.note(answer.headers)
            if answer.status == 400:
                return self._refused(answer, place)
            page = parsed(answer)
            self.spending.paid(str(each.get("id")) for each in objects_of(object_of(page).get("data")))
        if not isinstance(page, dict) or not isinstance(page.get("meta"), dict):
            raise Failed("the answer is no page of a search")
        gap = None
        if "to" not in place:
            took = asyncio.get_running_loop().time() - begun
            place = {**place, "to": id_at(self._clock.now() - took - SLACK_S)}
            gap = self._gap(place)
        place, done, torn = _following(place, page)
        payloads: list[object] = [page] if page.get("data") or page.get("errors") else []
        return Step(Page(payloads, place, gap or torn), done)

    def _query(self, place: JsonObject) -> dict[str, str]:
        named = {"since_id": place.get("since"), "until_id": place.get("until"), "next_token": place.get("next")}
        return self._asked | {name: value for name, value in named.items() if value}

    def _refused(self, answer: Answer, place: JsonObject) -> Step:
        """Goes on where X names a part of the place. Raises Failed."""
        names = named(answer)
        if names & {"next_token", "pagination_token"} and "next" in place:
            return Step(Page([], _by_ids(place)), False)
        if "until_id" in names and "until" in place:  # no older posts can be asked for
            return Step(Page([], _ended(place)), True)
        if "since_id" in names and (gap := self._gap(place)) is not None:
            return Step(Page([], {**place, "since": id_at(self._clock.now() - SPAN_S + EDGE_S)}, gap), False)
        raise judge(answer, self._clock.now()) or Failed("X refuses the search")

    def _gap(self, place: JsonObject) -> Gap | None:
        """What lies before the span of the search."""
        edge = self._clock.now() - SPAN_S
        if "since" not in place or time_at(place["since"]) >= edge:
            return None
        return Gap(text_of(time_at(place["since"])), text_of(edge + EDGE_S), "X's recent search goes back seven days")


def _following(place: JsonObject, page: JsonObject) -> tuple[JsonObject, bool, Gap | None]:
    """The place after a page, whether the search ended, and the gap if it ended too early."""
    ids = [int(name) for each in objects_of(page.get("data")) if (name := post_id(each.get("id")))]
    token = object_of(page["meta"]).get("next_token")
    if "since" not in place or not (ids or token):
        return _ended(place), True, None
    low = place.get("low")
    if ids and (low is None or min(ids) < int(low)):
        if not token:
            return _ended(place), True, None
        return {**place, "low": str(min(ids)), "next": str(token), "idle": 0}, False, None
    idle = place.get("idle", 0) + 1
    if idle > IDLE:
        until = "" if low is None else text_of(time_at(low))
        return _ended(place), True, Gap(text_of(time_at(place["since"])), until, "X's pages repeat")
    return {**(_by_ids(place) if ids else {**place, "next": str(token)}), "idle": idle}, False, None


def _by_ids(place: JsonObject) -> JsonObject:
    """Goes on below the lowest id in place of X's token."""
    rest = {name: value for name, value in place.items() if name != "next"}
    return {**rest, "until": place["low"]} if "low" in place else rest


def _ended(place: JsonObject) -> JsonObject:
    return {"since": str(max(int(place.get("since", 1)), int(place["to"])))}
