"""A listener that is cut off from Kafka: what it has read but not sent must not come after what its successor sends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web
from confluent_kafka.admin import AdminClient

from pipeline.config.settings import Settings
from tests.support.control import fresh
from tests.support.forked import Forked, forked_stack
from tests.support.link import Link
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.rss_server import RssServer
from tests.support.worker import Worker, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
PATIENCE_S = 120.0


class CountedFeed(RssServer):
    """A feed that counts what it gave."""

    given = 0

    async def _feed(self, request: web.Request) -> web.Response:
        answer = await super()._feed(request)
        self.given += 1
        return answer


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    with forked_stack(tmp_path_factory.mktemp("forked")) as stack:
        yield stack


@pytest.fixture
def feed() -> Iterator[CountedFeed]:
    server = CountedFeed()
    server.world.post(1, time.time() - 60, "post 1")
    with server.running():
        yield server


def texts(settings: Settings) -> list[str]:
    return [event["text"] for event in sent(settings)]


def members(settings: Settings) -> int:
    group = f"{settings.kafka.group}-listen"
    admin = AdminClient({**settings.kafka.client(), "log_level": 0})
    return len(admin.describe_consumer_groups([group])[group].result(60).members)


def test_what_it_could_not_send_comes_no_more(forked: Forked, feed: CountedFeed, tmp_path: Path) -> None:
    with ExitStack() as closing:
        settings = closing.enter_context(fresh(forked, tmp_path))
        link = closing.enter_context(Link(forked.links["first"], forked.behind["first"]))
        blog = {"name": "blog", "platform": "rss", "url": f"{feed.url}/feed", "every": "1s"}
        write_sources(tmp_path / "sources.yaml", [blog])
        own = listening(settings, tmp_path / "sources.yaml")
        cut_off = own.model_copy(update={"kafka": own.kafka.model_copy(update={"bootstrap": f"127.0.0.1:{link.port}"})})
        first = started(closing, cut_off, tmp_path / "first.log")
        wait_for("it runs the source", lambda: texts(settings) == ["post 1"], PATIENCE_S)
        link.cut()
        feed.world.post(2, time.time(), "post 2")
        given = feed.given
        wait_for("it has read the post", lambda: feed.given > given, PATIENCE_S)
        feed.world.edit(2, "post 2, edited", time.time())
        second = started(closing, listening(settings, tmp_path / "sources.yaml"), tmp_path / "second.log")
        wait_for("the other one has sent it", lambda: "post 2, edited" in texts(settings), PATIENCE_S, 0.5)
        link.heal()
        wait_for("both listen", lambda: members(settings) == 2, PATIENCE_S, 0.5)
        first.wait_ready(timeout=PATIENCE_S)
        second.wait_ready(timeout=PATIENCE_S)
        feed.world.post(3, time.time(), "post 3")
        wait_for("the next post came", lambda: "post 3" in texts(settings), PATIENCE_S, 0.5)
        assert sorted(texts(settings)) == ["post 1", "post 2, edited", "post 3"]


def started(closing: ExitStack, settings: Settings, log: Path) -> Worker:
    listener = start_listener(settings, log)
    closing.callback(listener.kill)
    return listener
