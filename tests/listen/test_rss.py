"""The driver of feeds against servers that change for a while, lie in headers, or send pages that somebody wrote on purpose."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from aiohttp import web

from pipeline.listen.states import Failed
from tests.support.driving import Driven, source
from tests.support.rss_server import RssServer

DAY_S = 86_400.0


class Changing(RssServer):
    """`/moved` redirects to `/feed/other`; `page` is what `/` says, and `/maintained`, else a feed; `/gone` is no more; the
    headers of `/odd` are odd."""

    page, moved = "", True

    def routes(self) -> list[web.RouteDef]:
        more = [web.get("/moved", self._moved), web.get("/odd", self._odd), web.get("/gone", self._gone)]
        more.append(web.get("/maintained", self._maintained))
        return [web.get("/", self._changing), *more, *super().routes()[1:]]

    async def _changing(self, request: web.Request) -> web.Response:
        return web.Response(text=self.page, content_type="text/html")

    async def _moved(self, request: web.Request) -> web.Response:
        if self.moved:
            raise web.HTTPFound("/feed/other")
        return await self._feed(request)

    async def _odd(self, request: web.Request) -> web.Response:
        answer = await self._feed(request)
        answer.headers["ETag"] = b'"caf\xe9"'.decode("utf-8", "surrogateescape")
        return answer

    async def _maintained(self, request: web.Request) -> web.Response:
        return await (self._changing(request) if self.page else self._feed(request))

    async def _gone(self, request: web.Request) -> web.Response:
        raise web.HTTPNotFound


def naming(feed: str) -> str:
    return f'<!doctype html><link rel="alternate" type="application/rss+xml" href="{feed}"><body>Hello'


@pytest.fixture
def server() -> Iterator[Changing]:
    changing = Changing()
    changing.world.post(1, time.time(), "It leaks")
    with changing.running():
        yield changing


def test_where_a_redirect_leads_is_not_kept(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=f"{server.url}/moved"))
    assert len(driven.poll()) == 1 and driven.cursors["live"]["feed"] == f"{server.url}/moved"
    server.moved = False
    driven.poll()
    assert server.requests["/feed/other"] == 1 and server.requests["/moved"] == 2


def test_a_page_that_names_another_feed_for_a_while_is_asked_again(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=server.url))
    server.page = naming("/feed/evil")
    driven.poll()
    server.page = naming("/feed/good")
    driven.poll()
    assert server.requests["/feed/evil"] == 2 and server.requests["/"] == 1, "a page is not asked each time"
    driven.timer.ahead += DAY_S + 1
    driven.poll()
    driven.poll()
    assert server.requests["/feed/evil"] == 2 and server.requests["/feed/good"] == 2 and server.requests["/"] == 2


def test_of_a_feed_that_becomes_a_page_for_a_while_no_other_feed_is_followed(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=f"{server.url}/maintained"))
    assert len(driven.poll()) == 1
    server.page = naming("/feed/of-the-host")
    with pytest.raises(Failed, match="HTML"):
        driven.poll()
    server.page = ""
    driven.poll()
    assert not server.requests["/feed/of-the-host"] and driven.cursors["live"]["feed"] == f"{server.url}/maintained"


def test_a_page_whose_feed_is_gone_is_asked_again(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=server.url))
    driven.cursors["live"] = {"feed": f"{server.url}/gone", "named": driven.timer.now()}
    server.page = naming("/feed/good")
    with pytest.raises(Failed, match="404"):
        driven.poll()
    assert len(driven.poll()) == 1 and driven.cursors["live"]["feed"] == f"{server.url}/feed/good"


def test_a_header_that_no_cursor_may_hold_is_left_out(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=f"{server.url}/odd"))
    assert len(driven.poll()) == 1
    server.world.post(2, time.time(), "Again")
    assert len(driven.poll()) == 1, "it is asked again"


def test_a_page_written_on_purpose_keeps_this_process_from_nothing(server: Changing) -> None:
    server.page = naming("/feed") + "<div>" * 120_000
    driven = Driven(source(platform="rss", url=server.url))
    began = time.process_time()
    with pytest.raises(Failed, match="processor|parser|memory|HTML"):
        driven.poll()
    assert time.process_time() - began < 5, "its own time, without that of the child which parses"
