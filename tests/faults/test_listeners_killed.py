"""Listeners killed at random moments while platforms fail: each item is one row, in its last state."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from aiohttp import web

from pipeline.config.settings import Settings
from pipeline.migrate import migrate
from tests.support import (
    app_store_server,
    fast_listener,
    freshdesk_server,
    google_play_server,
    graph_server,
    linkedin_server,
    telegram_server,
    vk_server,
    youtube_server,
)  # fmt: skip
from tests.support.app_store_server import AppStoreServer
from tests.support.bluesky_server import BlueskyServer
from tests.support.discourse_server import DiscourseServer
from tests.support.facebook_server import FacebookServer
from tests.support.freshdesk_server import FreshdeskServer
from tests.support.google_play_server import GooglePlayServer
from tests.support.instagram_server import InstagramServer
from tests.support.ledger import Ledger, ratio
from tests.support.linkedin_server import LinkedInServer
from tests.support.listener import listening, start_listener, write_sources
from tests.support.mastodon_server import MastodonServer
from tests.support.oracle import connect
from tests.support.platform_server import Fault, Faults, PlatformServer
from tests.support.reddit_server import CLIENT, SECRET, RedditServer
from tests.support.rss_server import RssServer
from tests.support.telegram_server import TelegramServer
from tests.support.twitter_server import TOKEN, TwitterServer
from tests.support.vk_server import VkServer
from tests.support.worker import Worker, wait_for
from tests.support.youtube_server import YouTubeServer

COMMAND = ("-m", "tests.support.fast_listener")
FACTOR, EVERY, EVERY_S = 240, "4m", 240.0
"""A poll each four minutes is one a second; an hour of waiting is 15 seconds."""
FAILING = 0.2
FAULTS: tuple[Fault, ...] = ("500", "reset", "half", "429")
ITEM = re.compile(r"item (\d+) of (\w+)\.[^\n]*")


class Kind(NamedTuple):
    """A platform of this test."""

    server: Callable[[], PlatformServer]
    source: Callable[[str], Mapping[str, object]]
    """Its keys in sources.yaml, of the server's URL."""
    changes: frozenset[str]
    """What the platform shows of changes: edit, delete."""
    shown: int
    """Items that it lists again, the newest: of older ones, what changed during an outage stays unknown."""
    before: str = ""
    """What its server's texts begin with, of the kind of items that can change."""


class WholeFeed(RssServer):
    """A feed that lists all its items."""

    entries = 10_000


EDITS, BOTH, NONE = frozenset({"edit"}), frozenset({"edit", "delete"}), frozenset[str]()
KINDS = {
    "rss": Kind(WholeFeed, lambda url: {"url": f"{url}/feed"}, EDITS, 10_000),
    "mastodon": Kind(MastodonServer, lambda url: {"server": url}, BOTH, 0),
    "bluesky": Kind(BlueskyServer, lambda url: {"server": url.replace("http", "ws", 1)}, NONE, 10_000),
    "discourse": Kind(lambda: DiscourseServer(path="/forum"), lambda url: {"url": f"{url}/forum"}, EDITS, 20),
    "reddit": Kind(
        RedditServer,
        lambda url: {"server": url, "login": url, "client_id": CLIENT, "subreddits": ["kettles"], "comments": False},
        EDITS,
        50,
    ),
    "twitter": Kind(TwitterServer, lambda url: {"server": url, "query": "item"}, NONE, 10_000),
}


def _play() -> GooglePlayServer:
    server = GooglePlayServer()
    server.has_clock = False  # the listener's runs faster
    return server


def _linkedin() -> LinkedInServer:
    server = LinkedInServer()
    begin = float(os.environ[fast_listener.BEGIN])
    # A poll asks for a span of the listener's time.
    server.told = lambda moment: begin + (moment - begin) / FACTOR
    server.clock = lambda: begin + (time.time() - begin) * FACTOR
    return server


class HeldTelegram(TelegramServer):
    """Holds a request without news for longer than a poll lasts, as Telegram does."""

    held_s = 2.0


class HeldVk(VkServer):
    """The same; and its key ends now and then."""

    held_s = 2.0

    async def _poll(self, request: web.Request) -> web.Response:
        self.key = 1 + self.calls["poll"] // 100
        return await super()._poll(request)


OTHERS = {
    "youtube": Kind(YouTubeServer, lambda url: {"server": url, "channel": youtube_server.CHANNEL}, EDITS, 20),
    "telegram": Kind(HeldTelegram, lambda url: {"server": url}, EDITS, 10_000),
    "vk": Kind(HeldVk, lambda url: {"server": url, "group": vk_server.GROUP}, BOTH, 10_000, "re 1: "),
    "linkedin": Kind(_linkedin, lambda url: {"server": url, "page": linkedin_server.PAGE}, BOTH, 10_000),
    "facebook": Kind(FacebookServer, lambda url: {"server": url, "page": "100"}, EDITS, 20),
    "instagram": Kind(InstagramServer, lambda url: {"server": url, "account": "200"}, EDITS, 20),
    "google_play": Kind(
        _play,
        lambda url: {"server": url, "login": f"{url}/token", "package": google_play_server.PACKAGE},
        EDITS,
        10_000,
    ),
    "app_store": Kind(
        AppStoreServer,
        lambda url: {
            "server": url, "app": app_store_server.APP, "key_id": app_store_server.KEY_ID, "issuer": app_store_server.ISSUER,
        },
        EDITS,
        10_000,
    ),
    "freshdesk": Kind(FreshdeskServer, lambda url: {"server": url}, EDITS, 10_000),
}  # fmt: skip
TOKENS: dict[str, Callable[[], str]] = {
    "twitter": lambda: TOKEN,
    "reddit": lambda: SECRET,
    "facebook": lambda: graph_server.TOKEN,
    "instagram": lambda: graph_server.TOKEN,
    "google_play": google_play_server.key_file,
    "app_store": app_store_server.key_file,
    "freshdesk": lambda: freshdesk_server.KEY,
    "youtube": lambda: youtube_server.KEY,
    "telegram": lambda: telegram_server.TOKEN,
    "vk": lambda: vk_server.TOKEN,
    "linkedin": lambda: linkedin_server.TOKEN,
}


class Size(NamedTuple):
    """How much one test holds."""

    sources: int
    items: int
    """Of all sources together."""
    seconds: float
    kills: int
    kinds: Mapping[str, Kind] = KINDS


SHORT = pytest.param(Size(6, 600, 15, 2), id="short")
LONG = pytest.param(Size(12, 20_000, 240, 20), marks=pytest.mark.faults, id="20 kills")
OF_OTHERS = pytest.param(Size(12, 20_000, 240, 20, OTHERS), marks=pytest.mark.faults, id="20 kills of others")


@dataclass
class Place:
    """One source, its server, and what has happened there."""

    name: str
    platform: str
    server: PlatformServer
    kind: Kind
    random: Random
    base: int
    """The number of its first item: no two servers of a platform have the same ids."""
    texts: list[list[str]] = field(default_factory=list)
    """Of each item, in their order; a blank one: it was deleted."""
    first: int = 0
    """Items before it came when the source had not begun."""

    def happens(self) -> None:
        """A new item; now and then a change of one of the newest."""
        number = len(self.texts)
        self.texts.append([f"item {number} of {self.name}."])
        self.server.world.post(self.base + number, time.time(), self.kind.before + self.texts[number][-1])
        change, one = self.random.choice(("", "", "", "edit", "delete")), max(0, number - self.random.randrange(1, 15))
        if change not in self.kind.changes or not self.texts[one][-1]:
            return
        if change == "edit":
            self.texts[one].append(f"item {one} of {self.name}. Edited when {number} came")
            self.server.world.edit(self.base + one, self.kind.before + self.texts[one][-1], time.time())
        else:
            self.texts[one].append("")
            self.server.world.delete(self.base + one)

    def wrong(self, found: Mapping[tuple[str, int], Sequence[str]]) -> Iterator[str]:
        """What is wrong with the rows of its items."""
        for number, texts in enumerate(self.texts):
            may = texts if number < len(self.texts) - self.kind.shown else texts[-1:]
            may = may if number >= self.first else [*texts, ""]
            if len(rows := found.get((self.name, number), [""])) != 1 or rows[0] not in may:
                yield f"item {number} of {self.name} is {rows} and not {may}"


@pytest.fixture
def places() -> Iterator[Callable[[Size], list[Place]]]:
    with ExitStack() as running:

        def make(size: Size) -> list[Place]:
            made = []
            for number in range(size.sources):
                platform = [*size.kinds][number % len(size.kinds)]
                server = size.kinds[platform].server()
                server.ledger = Ledger(EVERY_S / FACTOR)
                running.enter_context(server.running())
                made.append(
                    Place(f"{platform}{number}", platform, server, size.kinds[platform], Random(number), number * 100_000)
                )
            return made

        yield make


def live(places: list[Place], size: Size) -> None:
    """All items come, spread over the time."""
    started = time.monotonic()
    for number in range(size.items):
        time.sleep(max(0.0, started + size.seconds * number / size.items - time.monotonic()))
        places[number % len(places)].happens()


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("size", [SHORT, LONG, OF_OTHERS])
def test_each_item_is_one_row_in_its_last_state(
    settings: Settings,
    places: Callable[[Size], list[Place]],
    size: Size,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """The figure listen.requests_ratio (ledger.ratio) is printed with -s, and is a property in --junit-xml."""
    monkeypatch.setenv(fast_listener.FACTOR, str(FACTOR))
    monkeypatch.setenv(fast_listener.BEGIN, str(time.time()))
    migrate(settings)
    there = places(size)
    write_sources(tmp_path / "sources.yaml", [source_of(place, monkeypatch) for place in there])
    worker = Worker(settings, tmp_path / "worker.log")
    listeners = [start(settings, tmp_path), start(settings, tmp_path)]
    try:
        wait_for("all sources have begun", lambda: begun(settings, there), every=1.0)
        for number, place in enumerate(there):
            place.first = len(place.texts)
            place.server.faults = Faults(FAILING, FAULTS, retry_after="3600", seed=number)
        living = threading.Thread(target=live, args=(there, size))
        living.start()
        kill(listeners, size, lambda: start(settings, tmp_path))
        living.join()
        with suppress(AssertionError):
            wait_for("all items are in their last state", lambda: not wrong(settings, there), 120, 1.0)
        figure = requests_ratio(there, size.kills)
        record_property("listen.requests_ratio", figure)
        assert wrong(settings, there)[:20] == []
        assert figure <= (1 if size.kills == 20 else 1.05), "a few requests in flight weigh more in the short form"
    finally:
        for process in (worker, *listeners):
            process.kill()


def requests_ratio(places: list[Place], kills: int) -> float:
    """The figure, printed with the counts of each source."""
    ledgers = {place.name: place.server.ledger for place in places if place.server.ledger is not None}
    for name, each in ledgers.items():
        print(f"{name}: {each.requests} requests, {each.failures} failed, needless: {dict(each.needless)}")
    figure = ratio([*ledgers.values()], kills)
    print(f"listen.requests_ratio {figure:.3f}")
    return figure


def source_of(place: Place, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, object]:
    monkeypatch.setenv(f"TOKEN_{place.name}", TOKENS.get(place.platform, str)())
    token = {"token_env": f"TOKEN_{place.name}"} if place.platform in TOKENS else {}
    return {"name": place.name, "platform": place.platform, "every": EVERY, **token, **place.kind.source(place.server.url)}


def begun(settings: Settings, places: list[Place]) -> bool:
    """Whether something of each source has landed. Something new happens everywhere."""
    for place in places:
        place.happens()
    with connect(settings) as client:
        return client.command("SELECT uniqExact(source_name) FROM interactions WHERE source_name != ''") == len(places)


def kill(listeners: list[Worker], size: Size, another: Callable[[], Worker]) -> None:
    """Kills one at random moments, and starts another in its place."""
    random = Random(size.kills)
    for _ in range(size.kills):
        time.sleep(size.seconds / size.kills * random.uniform(0.5, 1.2))
        one = random.randrange(len(listeners))
        listeners[one].kill()
        listeners[one] = another()


def start(settings: Settings, folder: Path) -> Worker:
    own = listening(settings, folder / "sources.yaml")
    return start_listener(own, folder / f"listen-{time.monotonic_ns()}.log", COMMAND)


def wrong(settings: Settings, places: list[Place]) -> list[str]:
    """Items that are missing, are there twice, or not in their last state; rows of no item."""
    with connect(settings) as client:
        rows = client.query("SELECT text FROM interactions FINAL WHERE source_name != '' AND kind != 'profile'").result_rows
    found: dict[tuple[str, int], list[str]] = {}
    strange = list[str]()
    for (text,) in rows:
        if match := ITEM.search(text):
            found.setdefault((match[2], int(match[1])), []).append(match[0].rstrip())
        else:
            strange.append(text)
    return [*(each for place in places for each in place.wrong(found)), *strange]
