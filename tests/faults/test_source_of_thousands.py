"""A source of 5,000 items, polled 50 times over three restarts: each item is created once, and each change is sent once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from pipeline.config.settings import Settings
from pipeline.kafka.topics import migrate_topics
from pipeline.migrate import migrate
from tests.support.listener import cursors, listening, sent, start_listener, write_sources
from tests.support.platform_server import Item
from tests.support.rss_server import RssServer
from tests.support.topics import delete_topic
from tests.support.worker import Worker, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3_600)]
LISTED, EACH, POLLS, RESTARTS = 4_000, 20, 50, (13, 26, 39)
"""The feed lists the newest 4,000, as many as are read of a feed; 20 more come before each poll; which come after a restart."""
TEXTS, COUNTS = 150, 250
"""Changes before each poll."""
PATIENCE_S = 300.0


class ChangingFeed(RssServer):
    """A feed with counts of comments. It gives the world as it is at one moment: `turn` is held meanwhile."""

    entries = LISTED

    def __init__(self) -> None:
        super().__init__()
        self.turn = threading.Lock()
        self.given = 0

    async def _feed(self, request: web.Request) -> web.Response:
        with self.turn:
            self.given += 1
            return await super()._feed(request)

    def _entry(self, item: Item) -> str:
        counts = f'<slash:comments xmlns:slash="http://purl.org/rss/1.0/modules/slash/">{item.likes}</slash:comments>'
        return super()._entry(item).replace("</item>", f"{counts}</item>")


class Author:
    """What happens on the feed between two polls."""

    def __init__(self, feed: ChangingFeed) -> None:
        self._feed, self._random = feed, Random(17)
        self.items = 0
        self.changed: Counter[str] = Counter()
        self.polls = 0

    def writes(self, items: int) -> None:
        for number in range(self.items, self.items + items):
            self._feed.world.post(number, time.time() - 86_400 + number, f"post {number}")
        self.items += items

    def changes(self) -> None:
        """Texts and counts of some of the newest items, and new items."""
        with self._feed.turn:
            self.polls += 1
            newest = range(self.items - LISTED // 2, self.items)
            for number in self._random.sample(newest, TEXTS):
                self._feed.world.edit(number, f"post {number}, edited before poll {self.polls}", time.time())
            for number in self._random.sample(newest, COUNTS):
                self._feed.world.like(number, self._feed.world.items()[number].likes + 1)
            self.writes(EACH)
            self.changed.update({"text": TEXTS, "metrics": COUNTS})

    def polled(self) -> None:
        """Returns once the feed has been given as it is now."""
        with self._feed.turn:
            given = self._feed.given
        wait_for("the next poll", lambda: self._feed.given > given, PATIENCE_S)


@pytest.fixture
def feed() -> Iterator[ChangingFeed]:
    server = ChangingFeed()
    with server.running():
        yield server


@pytest.mark.parametrize("deleted", [False, True], ids=["topic there", "topic deleted"])
def test_creates_are_items_and_updates_are_changes(
    settings: Settings, feed: ChangingFeed, deleted: bool, tmp_path: Path
) -> None:
    migrate(settings)
    blog = {"name": "blog", "platform": "rss", "url": f"{feed.url}/feed", "every": "1s"}
    write_sources(tmp_path / "sources.yaml", [blog])
    listens, author, begun = listening(settings, tmp_path / "sources.yaml"), Author(feed), time.monotonic()
    author.writes(LISTED)
    listener = start_listener(listens, tmp_path / "0.log")
    try:
        author.polled()
        for turn in range(1, POLLS + 1):
            if turn in RESTARTS:
                author.polled()  # the poll before has been sent; this one may break off
            author.changes()
            if turn in RESTARTS:
                listener = restarted(listener, listens, deleted, tmp_path / f"{turn}.log")
            author.polled()
        author.polled()
        author.polled()
        assert listener.stop() == 0
    finally:
        listener.kill()
    check(listens, author, feed, time.monotonic() - begun)


def restarted(listener: Worker, settings: Settings, deleted: bool, log: Path) -> Worker:
    """Stops it, and starts another one, which has the table alone if `deleted`."""
    assert listener.stop() == 0
    if deleted:
        delete_topic(settings.kafka, settings.kafka.topic("cursors"))
        migrate_topics(settings.kafka)
    return start_listener(settings, log)


def check(settings: Settings, author: Author, feed: ChangingFeed, seconds: float) -> None:
    events = sent(settings)
    operations = Counter(event["operation"] for event in events)
    updates = [event for event in events if event["operation"] == "update"]
    groups = Counter(group for event in updates for group in ("text", "metrics") if group in event)
    polls = f"{author.polls} polls with changes, of {feed.given}"
    print(f"{author.items} items, {polls}: {dict(operations)}, of them {dict(groups)}; {seconds:.0f} s")
    assert len({event["id"] for event in events}) == author.items
    assert operations["create"] == author.items and operations.keys() == {"create", "update"}
    assert groups == author.changed
    assert cursors(settings)["blog"].epoch == len(RESTARTS) + 1
