"""Clocks that were set: a time that our clock gave before is no reason to rest for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pipeline.listen.api import LONGEST_WAIT_S, Limit
from pipeline.listen.states import Waiting
from schemas.untyped import JsonObject
from tests.support import google_play_server, graph_server
from tests.support.discourse_server import DiscourseServer
from tests.support.driving import Driven, source
from tests.support.facebook_server import FacebookServer
from tests.support.google_play_server import GooglePlayServer
from tests.support.linkedin_server import PAGE, TOKEN, LinkedInServer
from tests.support.mastodon_server import MastodonServer
from tests.support.platform_server import PlatformServer
from tests.support.reddit_server import CLIENT, SECRET, RedditServer
from tests.support.rss_server import RssServer
from tests.support.youtube_server import CHANNEL, KEY, YouTubeServer

YEAR_S = 365 * 86_400.0


@pytest.fixture(
    params=[RssServer, DiscourseServer, RedditServer, YouTubeServer, LinkedInServer, FacebookServer, GooglePlayServer]
)
def server(request: pytest.FixtureRequest) -> Iterator[PlatformServer]:
    made: PlatformServer = request.param()
    with made.running():
        yield made


def driven(server: PlatformServer) -> Driven:
    if isinstance(server, RssServer):
        return Driven(source(platform="rss", url=f"{server.url}/feed"))
    if isinstance(server, DiscourseServer):
        return Driven(source(platform="discourse", url=server.url))
    if isinstance(server, YouTubeServer):
        return Driven(source(platform="youtube", channel=CHANNEL, server=server.url), KEY)
    if isinstance(server, LinkedInServer):
        return Driven(source(platform="linkedin", page=PAGE, server=server.url), TOKEN)
    if isinstance(server, FacebookServer):
        return Driven(source(platform="facebook", page="100", server=server.url), graph_server.TOKEN)
    if isinstance(server, GooglePlayServer):
        play = {"package": google_play_server.PACKAGE, "server": server.url, "login": f"{server.url}/token"}
        return Driven(source(platform="google_play", **play), google_play_server.key_file())
    app = {"server": server.url, "login": server.url, "client_id": CLIENT}
    return Driven(source(platform="reddit", subreddits=["kettles"], comments=False, **app), SECRET)


def of_a_year_ahead(server: PlatformServer, now: float) -> JsonObject:
    """What a poll leaves in the cursor, whose clock is a year ahead."""
    if isinstance(server, RssServer):
        return {"rest": now + YEAR_S}
    if isinstance(server, DiscourseServer):
        return {"met": now + YEAR_S, "below": 20}
    if isinstance(server, YouTubeServer):
        return {"begun": now + YEAR_S, "met": True, "below": ""}
    if isinstance(server, LinkedInServer):
        ahead = int((now + YEAR_S) * 1000)
        return {"mark": ahead, "until": ahead, "start": 300}
    if isinstance(server, FacebookServer):
        return {"begun": now + YEAR_S, "left": ["feed again"]}
    if isinstance(server, GooglePlayServer):
        walk = {"begun": now + YEAR_S, "after": "300", "first": "", "pages": 3, "top": "", "all": True}
        return {"read": now + YEAR_S, "whole": now + YEAR_S, "walk": walk}
    return {"begun": now + YEAR_S, "left": ["info"]}


def test_a_poll_after_the_clock_was_set_back_finds_what_is_new(server: PlatformServer) -> None:
    now = time.time()
    for number in range(1, 31):
        server.world.post(number, now - 3_600 + number, f"post {number}")
    listener = driven(server)
    listener.poll()
    listener.cursors["live"] = {**listener.cursors["live"], **of_a_year_ahead(server, now)}
    server.world.post(31, now, "post 31")
    listener.poll()
    assert any("post 31" in text for text in listener.texts)


def test_a_clock_that_is_ahead_and_is_set_back_hides_nothing(server: PlatformServer) -> None:
    listener = driven(server)
    if isinstance(server, GooglePlayServer):
        server.has_clock = False  # else it grants no token: our clock is wrong
    server.world.post(1, time.time() - 60, "post 1")
    listener.timer.ahead = 86_400.0
    listener.poll()
    for number, ahead in ((2, 86_400.0), (3, 86_400.0 + 900.0), (4, 0.0), (5, 900.0)):
        server.world.post(number, time.time(), f"post {number}")
        listener.timer.ahead = ahead
        listener.poll()
        assert any(f"post {number}" in text for text in listener.texts)


def test_a_stream_that_was_refused_by_a_clock_ahead_is_tried_again() -> None:
    server, path = MastodonServer(), "/api/v1/streaming"
    server.world.post(1, time.time(), "post 1")
    with server.running():
        listener = Driven(source(platform="mastodon", server=server.url))
        listener.run(lambda: bool(listener.texts))
        tried = server.requests[path]
        listener.cursors["live"]["again"] = time.time() + YEAR_S
        listener.run(lambda: server.requests[path] > tried, starts=5)
        assert server.requests[path] > tried


def test_a_limit_of_a_clock_that_was_set_back_is_none() -> None:
    limit = Limit(until=time.time() + 3_600, why="the platform asks to wait")
    with pytest.raises(Waiting):
        limit.check(time.time())
    limit.until = time.time() + LONGEST_WAIT_S + 60
    limit.check(time.time())
    assert limit.until == 0.0, "a wait that is asked for now counts again"
