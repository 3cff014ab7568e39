"""Servers of thirteen platforms, in a process of their own: SOURCES accounts, all with posts at one rate.

The servers are those of the tests, one for each account. Each judges its requests (tests/support/ledger.py).
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle
from multiprocessing.connection import Connection
from random import Random
from threading import Event, Thread
from typing import Any, NamedTuple

from benchmarks.standard import WORDS
from tests.support import (
    app_store_server,
    google_play_server,
    graph_server,
    linkedin_server,
    telegram_server,
    twitter_server,
    vk_server,
    youtube_server,
)
from tests.support.app_store_server import AppStoreServer
from tests.support.bluesky_server import BlueskyServer
from tests.support.discourse_server import DiscourseServer
from tests.support.facebook_server import FacebookServer
from tests.support.google_play_server import GooglePlayServer
from tests.support.ledger import Ledger, ratio
from tests.support.linkedin_server import LinkedInServer
from tests.support.mastodon_server import MastodonServer
from tests.support.platform_server import PlatformServer
from tests.support.reddit_server import CLIENT, SECRET, RedditServer
from tests.support.rss_server import RssServer
from tests.support.telegram_server import TelegramServer
from tests.support.twitter_server import TwitterServer
from tests.support.vk_server import VkServer
from tests.support.youtube_server import YouTubeServer

SOURCES = 100
APART = 1_000_000
"""Between the numbers of two accounts' items: no two have the same ids."""
HELD_S = 25.0
"""A request of VK and Telegram without news is held for so long, as there."""
LISTED = 400
"""Entries of a feed."""


class Platform(NamedTuple):
    """How one of its accounts is served."""

    server: Callable[[], PlatformServer]
    keys: Callable[[str], Mapping[str, object]]
    """Of the source, by the server's URL."""
    token: Callable[[], str] = str
    """Blank: none."""


class Source(NamedTuple):
    """A source as sources.yaml has it, and its credential; blank: it has none."""

    keys: Mapping[str, object]
    token: str


class Requests(NamedTuple):
    """Of all servers: how many, and `listen.requests_ratio` over them."""

    asked: int
    ratio: float


PLATFORMS = {
    "rss": Platform(lambda: _feed(), lambda url: {"url": f"{url}/feed"}),
    "mastodon": Platform(MastodonServer, lambda url: {"server": url}),
    "bluesky": Platform(BlueskyServer, lambda url: {"server": url.replace("http", "ws", 1)}),
    "discourse": Platform(DiscourseServer, lambda url: {"url": url}),
    "reddit": Platform(
        RedditServer,
        lambda url: {"server": url, "login": url, "client_id": CLIENT, "subreddits": ["kettles"], "comments": False},
        lambda: SECRET,
    ),
    "twitter": Platform(TwitterServer, lambda url: {"server": url, "query": "item"}, lambda: twitter_server.TOKEN),
    "youtube": Platform(
        YouTubeServer, lambda url: {"server": url, "channel": youtube_server.CHANNEL}, lambda: youtube_server.KEY
    ),
    "telegram": Platform(lambda: _held(TelegramServer()), lambda url: {"server": url}, lambda: telegram_server.TOKEN),
    "vk": Platform(
        lambda: _held(VkServer()), lambda url: {"server": url, "group": vk_server.GROUP}, lambda: vk_server.TOKEN
    ),
    "linkedin": Platform(
        LinkedInServer, lambda url: {"server": url, "page": linkedin_server.PAGE}, lambda: linkedin_server.TOKEN
    ),
    "facebook": Platform(FacebookServer, lambda url: {"server": url, "page": "100"}, lambda: graph_server.TOKEN),
    "google_play": Platform(
        GooglePlayServer,
        lambda url: {"server": url, "login": f"{url}/token", "package": google_play_server.PACKAGE},
        google_play_server.key_file,
    ),
    "app_store": Platform(
        AppStoreServer,
        lambda url: {
            "server": url, "app": app_store_server.APP, "key_id": app_store_server.KEY_ID, "issuer": app_store_server.ISSUER,
        },
        app_store_server.key_file,
    ),
}  # fmt: skip


def _feed() -> RssServer:
    server = RssServer()
    server.entries = LISTED
    return server


def _held(server: TelegramServer | VkServer) -> PlatformServer:
    server.held_s = HELD_S
    return server


class Accounts:
    """The process, as the measurement sees it."""

    def __init__(self, connection: Connection, sources: list[Source]) -> None:
        self._connection = connection
        self.sources = sources

    def posted(self) -> dict[str, int]:
        """How many items each source has so far."""
        found: dict[str, int] = self._asked("posted")
        return found

    def requests(self) -> Requests:
        """What the servers were asked so far."""
        return Requests(*self._asked("requests"))

    def stop(self) -> dict[str, int]:
        """No more items come; how many each source has."""
        found: dict[str, int] = self._asked("stop")
        return found

    def _asked(self, question: str) -> Any:
        self._connection.send(question)
        return self._connection.recv()


@contextmanager
def accounts(rate: float, every_s: float) -> Iterator[Accounts]:
    """All servers, with `rate` items a second of all accounts together, in turns; each is asked each `every_s`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, rate, every_s), daemon=True)
    process.start()
    try:
        yield Accounts(ours, ours.recv())
    finally:
        process.terminate()
        process.join()


# --- in the process -----------------------------------------------------------------------------------------------------
class _Account(NamedTuple):
    name: str
    server: PlatformServer
    first: int
    """The number of its first item."""


def _serve(connection: Connection, rate: float, every_s: float) -> None:
    with ExitStack() as running:
        there, sources = list[_Account](), list[Source]()
        for number, platform in zip(range(SOURCES), cycle(PLATFORMS), strict=False):
            how, name = PLATFORMS[platform], f"{platform}{number}"
            there.append(_Account(name, how.server(), number * APART + 1))
            there[-1].server.ledger = Ledger(every_s)
            running.enter_context(there[-1].server.running())
            keys = {"name": name, "platform": platform, "every": f"{every_s:g}s", "allow": ["127.0.0.1"]}
            sources.append(Source({**keys, **how.keys(there[-1].server.url)}, how.token()))
        connection.send(sources)
        _answer(connection, there, rate)


def _answer(connection: Connection, there: list[_Account], rate: float) -> None:
    posted, stop = {each.name: 0 for each in there}, Event()
    posting = Thread(target=_post, args=(there, posted, rate, stop), daemon=True)
    posting.start()
    while True:
        match connection.recv():
            case "requests":
                ledgers = [each.server.ledger for each in there if each.server.ledger is not None]
                connection.send((sum(each.requests for each in ledgers), ratio(ledgers, 0)))
            case "stop":
                stop.set()
                posting.join()
                connection.send(posted)
            case _:
                connection.send(posted)


def _post(there: list[_Account], posted: dict[str, int], rate: float, stop: Event) -> None:
    random, begun = Random(1), time.monotonic()
    for number, account in enumerate(cycle(there)):
        if stop.wait(max(0.0, begun + number / rate - time.monotonic())):
            return
        words = " ".join(random.choices(WORDS, k=random.randrange(5, 40)))
        item = posted[account.name]
        account.server.world.post(account.first + item, time.time(), f"item {item} of {account.name}. {words}")
        posted[account.name] = item + 1
