"""Feeds, by polls: RSS, Atom, JSON Feed; of a page, the feed that it names.

The cursor: `feed` (the URL that is asked: the source's, or that of the feed which its page names), `named` (when the page named
it), `etag`, `modified`, and `rest`, before which the feed asks not to be fetched.

A page is asked again each day, and whenever the feed that it named fails: whoever changes a page for an hour is heard for a day
at most. Of a feed that becomes a page, as during maintenance, no other feed is followed. Where a redirect leads is not kept.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

from pipeline.http.answer import Answer
from pipeline.listen.driver import Page, Reach
from pipeline.listen.sources_file import Rss
from pipeline.listen.states import Failed, NoCredentials
from pipeline.sources.platforms.observation import Origin, Unreadable
from pipeline.sources.platforms.rss_document import HtmlPage
from schemas.untyped import JsonObject

LONGEST_REST_S, DAY_S = 3_600.0, 86_400.0
LONGEST_MARK = 1_000
"""Characters of an ETag, which comes back with each request."""
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
        now, url = self._reach.timer.now(), self._source.url
        named = cursor.get("named", 0.0)
        if named and 0 <= now - named < DAY_S:
            url = cursor["feed"]
        try:
            page = await self._page(url, cursor if url == cursor.get("feed") else {})
        except (Failed, NoCredentials):
            if url != self._source.url:
                yield Page([], {})
            raise
        yield page if url == self._source.url else page._replace(cursor={**page.cursor, "named": named})

    async def _page(self, url: str, cursor: JsonObject) -> Page:
        asked = {"If-None-Match": cursor.get("etag", ""), "If-Modified-Since": cursor.get("modified", "")}
        headers = {"Accept": _ACCEPT} | {name: value for name, value in asked.items() if value}
        answer = await self._reach.api.get(url, headers=headers, expect=(304,))
        if answer.status == 304:
            return Page([], {**cursor, "rest": self._rest(answer)})
        payload, named = await self._parsed(answer, follow=not cursor)
        if named:
            return Page([payload], {"feed": named, "named": self._reach.timer.now(), "rest": self._rest(answer)})
        marks = {"etag": _mark(answer, "etag"), "modified": _mark(answer, "last-modified")}
        return Page([payload], {"feed": url, "rest": self._rest(answer), **marks})

    async def _parsed(self, answer: Answer, follow: bool = True) -> tuple[JsonObject, str]:
        """The feed; and its URL, if it is the first one that a page of HTML names, which counts with `follow` alone."""
        try:
            return await self._reach.feeds.parse(answer.body, answer.url), ""
        except HtmlPage as page:
            if not page.feeds or not follow:
                raise Failed(str(page)) from None
            named = page.feeds[0]
        except Unreadable as error:
            raise Failed(str(error)) from None
        inner = await self._reach.api.get(named, headers={"Accept": _ACCEPT})
        try:
            return await self._reach.feeds.parse(inner.body, inner.url), named
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
        payload, named = await self._parsed(await self._reach.api.get(self._source.url, headers={"Accept": _ACCEPT}))
        return f"{named or self._source.url}: {len(payload.get('entries', ()))} entries"

    async def close(self) -> None:
        """Nothing is open."""


def _mark(answer: Answer, name: str) -> str:
    """The header, if it may be in a cursor and in a request: servers write any bytes."""
    mark = answer.headers.get(name, "")
    return mark if mark.isascii() and mark.isprintable() and len(mark) <= LONGEST_MARK else ""


def make(source: Rss, reach: Reach) -> RssDriver:
    """The driver of a feed."""
    return RssDriver(source, reach)
