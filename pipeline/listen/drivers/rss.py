"""Feeds, by polls: RSS, Atom, JSON Feed; of a page, the feed that it names.

The cursor: `feed` (its URL), `etag`, `modified`, and `rest`, before which the feed asks not to be fetched.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from pipeline.http.answer import Answer
from pipeline.listen.driver import Page, Reach
from pipeline.listen.sources_file import Rss
from pipeline.listen.states import Failed
from pipeline.sources.platforms.observation import Origin, Unreadable
from pipeline.sources.platforms.rss_document import feeds_of
from schemas.untyped import JsonObject

LONGEST_REST_S = 3_600.0
_ACCEPT = "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, text/html;q=0.5, */*;q=0.1"


class RssDriver:
    """A feed."""

    def __init__(self, source: Rss, reach: Reach) -> None:
        self._source, self._reach = source, reach
        self.origin = Origin(urlsplit(source.url).hostname or "", source.own_accounts())

    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """The feed as it is; no payload where it has not changed."""
        if 0.0 < cursor.get("rest", 0.0) - self._reach.timer.now() <= LONGEST_REST_S:  # else our clock was set back
            return
        asked = {"If-None-Match": cursor.get("etag", ""), "If-Modified-Since": cursor.get("modified", "")}
        headers = {"Accept": _ACCEPT} | {name: value for name, value in asked.items() if value}
        answer = await self._reach.api.get(cursor.get("feed", self._source.url), headers=headers, expect=(304,))
        if answer.status == 304:
            yield Page([], {**cursor, "rest": self._rest(answer)})
            return
        payload, url = await self._parsed(answer)
        marks = {"etag": answer.headers.get("etag", ""), "modified": answer.headers.get("last-modified", "")}
        yield Page([payload], {"feed": url, "rest": self._rest(answer)} | ({} if url != answer.url else marks))

    async def _parsed(self, answer: Answer) -> tuple[JsonObject, str]:
        """The feed and its URL; of a page of HTML, the first feed that it names."""
        try:
            return await self._reach.feeds.parse(answer.body, answer.url), answer.url
        except Unreadable as error:
            named = feeds_of(answer.body, answer.url)
            if not named:
                raise Failed(str(error)) from None
        inner = await self._reach.api.get(named[0], headers={"Accept": _ACCEPT})
        try:
            return await self._reach.feeds.parse(inner.body, inner.url), named[0]
        except Unreadable as error:
            raise Failed(str(error)) from None

    def _rest(self, answer: Answer) -> float:
        age = re.search(r"max-age=(\d{1,9})", answer.headers.get("cache-control", ""))
        return self._reach.timer.now() + min(LONGEST_REST_S, float(age[1])) if age else 0.0

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """Nothing: a feed has no past but what its first poll gave."""
        for page in list[Page]():
            yield page

    async def check(self) -> str:
        """How many entries it has."""
        payload, url = await self._parsed(await self._reach.api.get(self._source.url, headers={"Accept": _ACCEPT}))
        return f"{url}: {len(payload.get('entries', ()))} entries"

    async def close(self) -> None:
        """Nothing is open."""


def make(source: Rss, reach: Reach) -> RssDriver:
    """The driver of a feed."""
    return RssDriver(source, reach)
