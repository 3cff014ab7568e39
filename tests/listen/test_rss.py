"""The driver of feeds against servers that change for a while, lie in headers, or send pages that somebody wrote on purpose."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from aiohttp import web

from pipeline.listen.states import Failed
from tests.support.driving import Driven, source
from tests.support.rss_server import RssServer

DAY_S = 86_400.0


class Changing(RssServer):
    """`/moved` redirects to `/feed/other`; `page` is what `/` says, and `/maintained`, else a feed; `/gone` is no more."""

    page, moved = "", True

    def routes(self) -> list[web.RouteDef]:
        more = [web.get("/moved", self._moved), web.get("/gone", self._gone)]
        more.append(web.get("/maintained", self._maintained))
        return [web.get("/", self._changing), *more, *super().routes()[1:]]

    async def _changing(self, request: web.Request) -> web.Response:
        return web.Response(text=self.page, content_type="text/html")

    async def _moved(self, request: web.Request) -> web.Response:
        if self.moved:
            raise web.HTTPFound("/feed/other")
        return await self._feed(request)

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


def asked(server: Changing, driven: Driven) -> set[str]:
    """The paths that a poll asks for."""
    before = server.requests.copy()
    driven.poll()
    return set(server.requests - before)


def test_where_a_redirect_leads_is_not_kept(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=f"{server.url}/moved"))
    assert asked(server, driven) == {"/moved", "/feed/other"}
    server.moved = False
    assert asked(server, driven) == {"/moved"} and len(driven.events) == 1


def test_a_page_that_names_another_feed_for_a_while_is_asked_again(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=server.url))
    server.page = naming("/feed/evil")
    assert asked(server, driven) == {"/", "/feed/evil"}
    server.page = naming("/feed/good")
    assert asked(server, driven) == {"/feed/evil"}, "a page is not asked each time"
    driven.timer.ahead += DAY_S + 1
    assert asked(server, driven) == {"/", "/feed/good"}
    assert asked(server, driven) == {"/feed/good"}


def test_of_a_feed_that_becomes_a_page_for_a_while_no_other_feed_is_followed(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=f"{server.url}/maintained"))
    assert len(driven.poll()) == 1
    server.page = naming("/feed/of-the-host")
    with pytest.raises(Failed, match="HTML"):
        driven.poll()
    server.page = ""
    assert asked(server, driven) == {"/maintained"} and "/feed/of-the-host" not in server.requests


def test_a_page_whose_feed_is_gone_is_asked_again(server: Changing) -> None:
    driven = Driven(source(platform="rss", url=server.url))
    driven.cursors["live"] = {"feed": f"{server.url}/gone", "named": driven.timer.now()}
    server.page = naming("/feed/good")
    with pytest.raises(Failed, match="404"):
        driven.poll()
    assert len(driven.poll()) == 1 and driven.cursors["live"]["feed"] == f"{server.url}/feed/good"


FEED = b"<rss version='2.0'><channel><item><guid>1</guid><title>It leaks</title></item></channel></rss>"


class Odd(socketserver.StreamRequestHandler):
    """A server whose ETag is in Latin-1."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(FEED)}\r\nConnection: close\r\n"
        self.wfile.write(head.encode() + b'ETag: "caf\xe9"\r\n\r\n' + FEED)


def test_a_header_that_no_cursor_may_hold_is_left_out() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Odd) as odd:
        threading.Thread(target=odd.serve_forever).start()
        driven = Driven(source(platform="rss", url=f"http://127.0.0.1:{odd.server_address[1]}/feed"))
        try:
            assert len(driven.poll()) == 1 and driven.cursors["live"]["etag"] == ""
            assert driven.poll() == [], "it is asked again"
        finally:
            odd.shutdown()


def test_a_page_written_on_purpose_keeps_this_process_from_nothing(server: Changing) -> None:
    server.page = naming("/feed") + "<div>" * 120_000
    driven = Driven(source(platform="rss", url=server.url))
    began = time.process_time()
    with pytest.raises(Failed, match="processor|parser|memory|HTML"):
        driven.poll()
    assert time.process_time() - began < 5, "its own time, without that of the child which parses"
