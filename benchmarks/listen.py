"""A listener: how fast payloads of platforms, feeds and mails become events on one core, and what a thousand feeds cost.

The payloads are the recorded ones of the folder EARSHOT_DATA (../shared/data); without it there are no rates.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import orjson
import yaml
from aiohttp import web

from benchmarks.ground import Ground, cpu_seconds, ground, peak_mb
from benchmarks.progress import bar
from benchmarks.report import MB, Figure
from pipeline.config.environment import child_environment
from pipeline.config.listening import ListenSettings
from pipeline.embedded.child import free_port
from pipeline.sources.platforms.observation import Observation, Observe, Origin, Unreadable
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.rss_document import HtmlPage
from tests.support.cassettes import bodies

RATE_NAMES = ("listen.map_rate", "listen.feed_rate", "listen.mail_rate")
FEEDS_NAMES = ("listen.feeds_cores", "listen.feeds_mb")
DATA = Path(os.environ.get("EARSHOT_DATA", "../shared/data")) / "platforms"
FOLDERS = {"twitter": ("twitter_v1_1", "twitter_v2"), "mastodon": ("mastodon",), "bluesky": ("bluesky",),
           "reddit": ("reddit",), "discourse": ("community_forum",)}  # fmt: skip
LISTS = ("data", "statuses", "results", "posts", "latest_posts", "feed", "notifications", "events")
"""Under these keys a page has its items."""
FEEDS, FEED_MINUTES = 1_000, 5
Load = Callable[[], int]
"""Does all once; the number of items."""


def rate_figures(passes: int) -> Iterator[Figure]:
    """Items a second: parse, map, dump, in one thread."""
    if not DATA.is_dir():
        raise RuntimeError(f"no recorded data: EARSHOT_DATA ({DATA.parent}) holds no platforms/")
    conditions = f"median of {passes} passes over the recorded payloads, one thread; parsed, mapped, dumped"
    for name, load in zip(RATE_NAMES, (_posts(), _feeds(), _mails()), strict=True):
        rates = []
        for _ in bar.track(range(passes), passes, name):
            started = time.process_time()
            rates.append(load() / (time.process_time() - started))
        yield Figure(name, median(rates), "items/s", conditions)


def _posts() -> Load:
    documents: list[tuple[Observe, bytes]] = []
    for platform, folders in FOLDERS.items():
        for path in sorted(each for folder in folders for each in (DATA / folder).iterdir()):
            documents += [(mapper(platform), body) for body in _bodies(path) if _is_read(mapper(platform), body)]

    def load() -> int:
        return sum(_mapped(observe, orjson.loads(body)) for observe, body in documents)

    return load


def _mapped(observe: Observe, payload: object) -> int:
    for each in observe(payload, Origin("host.example")):
        if isinstance(each, Observation):
            orjson.dumps(each.event)
    return _items(payload)


def _items(payload: object) -> int:
    """The posts that a page lists, as the platform counts them; 1 for a post alone."""
    if isinstance(payload, list):
        return sum(map(_items, payload))
    if isinstance(payload, dict):
        inner: Any = payload.get("data")
        if payload.get("kind") == "Listing" and isinstance(inner, dict):
            return sum(map(_items, inner.get("children") or ()))
        found = next((payload[key] for key in LISTS if isinstance(payload.get(key), list)), None)
        stream = payload.get("post_stream")
        found = stream.get("posts") if isinstance(stream, dict) else found
        if found is not None:
            return len(found)
    return 1


def _is_read(observe: Observe, body: bytes) -> bool:
    """Whether the mapper makes an event of it: mapping files read the other shapes."""
    try:
        return any(isinstance(each, Observation) for each in observe(orjson.loads(body), Origin("host.example")))
    except (Unreadable, orjson.JSONDecodeError):
        return False


def _bodies(path: Path) -> list[bytes]:
    """The payloads of a file: those of a recorded exchange, JSON, or JSON a line."""
    lines = path.read_bytes().split(b"\n")
    if path.suffix in (".csv", ".jsonl"):
        return lines
    try:
        return bodies(path)
    except ValueError:
        return lines


def _feeds() -> Load:
    documents = [path.read_bytes() for path in sorted((DATA / "rss_atom").iterdir())]

    def load() -> int:
        count, observe = 0, mapper("rss")
        for document in documents:
            try:
                for each in observe(document, Origin("host.example")):
                    if isinstance(each, Observation):
                        count += 1
                        orjson.dumps(each.event)
            except HtmlPage:
                continue
        return count

    return load


def _mails() -> Load:
    documents = [path.read_bytes() for path in sorted((DATA / "email").iterdir()) if path.suffix == ".eml"]

    def load() -> int:
        for document in documents:
            for each in mapper("email")(document, Origin()):
                if isinstance(each, Observation):
                    orjson.dumps(each.event)
        return len(documents)

    return load


# --- a thousand feeds -------------------------------------------------------------------------------------------------
def feeds_figures(seconds: int) -> Iterator[Figure]:
    """The cores that a listener takes for feeds which say that nothing is new, after their first poll."""
    with ground() as stage:
        cores, peak, asked = _measure(stage, seconds)
    conditions = f"{FEEDS:,} feeds every {FEED_MINUTES} minutes, {asked:,} answers 304 in {seconds} s"
    yield Figure(FEEDS_NAMES[0], cores, "cores", conditions)
    yield Figure(FEEDS_NAMES[1], peak, MB, conditions)


def _measure(stage: Ground, seconds: int) -> tuple[float, float, int]:
    port, asked, unchanged = free_port(), [0], [0]
    Thread(target=_serve, args=(port, asked, unchanged), daemon=True).start()
    sources = [
        {
            "name": f"feed{n}",
            "platform": "rss",
            "url": f"http://127.0.0.1:{port}/{n}",
            "every": f"{FEED_MINUTES}m",
            "allow": ["127.0.0.1"],
        }
        for n in range(FEEDS)
    ]
    path = stage.folder / "sources.yaml"
    path.write_text(yaml.safe_dump({"sources": sources}))
    with stage.run(stage.topic(1)) as plain:
        settings = plain.model_copy(update={"sources": path, "listen": ListenSettings(port=0)})
        process = subprocess.Popen([sys.executable, "-m", "pipeline.cli", "listen"], env=child_environment(settings))
        try:
            while asked[0] < FEEDS:
                if process.poll() is not None:
                    raise RuntimeError(f"the listener ended with exit code {process.returncode}")
                time.sleep(0.5)
            time.sleep(10)
            started, before, first = time.monotonic(), cpu_seconds(process.pid), unchanged[0]
            for _ in bar.track(range(seconds), seconds, "feeds"):
                time.sleep(1)
            cores = (cpu_seconds(process.pid) - before) / (time.monotonic() - started)
            return cores, peak_mb(process.pid), unchanged[0] - first
        finally:
            process.terminate()
            process.wait(30)


def _serve(port: int, asked: list[int], unchanged: list[int]) -> None:
    """Feeds of twenty entries, on this thread; counts requests, and answers 304."""
    entries = "".join(f"<item><guid>https://blog.example.org/{n}</guid><title>post {n}</title></item>" for n in range(20))
    text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>Blog</title>{entries}</channel></rss>'

    async def feed(request: web.Request) -> web.Response:
        asked[0] += 1
        if request.headers.get("If-None-Match") == '"1"':
            unchanged[0] += 1
            return web.Response(status=304)
        return web.Response(text=text, content_type="application/rss+xml", headers={"ETag": '"1"'})

    app = web.Application()
    app.add_routes([web.get("/{n}", feed)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, handle_signals=False)
