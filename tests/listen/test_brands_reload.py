"""`keep: mentions` by the brands as they are now: another brands.yaml is taken over while sources go on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.config.watched_file import EVERY_S, WatchedFile
from pipeline.listen.app import Listen
from pipeline.listen.keep import Mentioning
from pipeline.listen.timer import Timer
from pipeline.migrate import migrate
from pipeline.processors.mentions import step
from pipeline.processors.mentions.brands import Brand, parse_brands
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.rss_server import RssServer
from tests.support.worker import wait_for

KETTLES = parse_brands(b"brands: [{name: Kettle, keywords: [kettle]}]", Path("brands.yaml"))


def seen(name: str, text: str) -> Observation:
    return Observation({"platform": "mastodon", "id": name, "kind": "post", "text": text})


async def test_no_matcher_is_built_in_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of 10,000 brands takes seconds, in which no source would hear anything."""
    built = list[threading.Thread]()

    class Noted(step.Matching):
        def __init__(self, brands: Sequence[Brand], words: Sequence[str] = ()) -> None:
            built.append(threading.current_thread())
            super().__init__(brands, words)

    monkeypatch.setattr(step, "Matching", Noted)
    mentioning, known = Mentioning(KETTLES), Known()
    both = await asyncio.gather(*(asyncio.to_thread(mentioning.keep, [seen("a", "my kettle")], known) for _ in range(2)))
    assert [len(kept) for kept in both] == [1, 1] and len(built) == 1
    teapots = parse_brands(b"brands: [{name: Teapot, keywords: [teapot]}]", Path("brands.yaml"))
    await asyncio.to_thread(mentioning.use, teapots)
    assert mentioning.keep([seen("a", "my kettle")], known) == []
    assert len(built) == 2 and threading.current_thread() not in built


async def test_changed_files_are_read_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brands, sources = tmp_path / "brands.yaml", tmp_path / "sources.yaml"
    brands.write_text("brands: [{name: Kettle}]")
    write_sources(sources, [{"name": "blog", "platform": "rss", "url": "https://blog.example.org"}])
    listen = Listen(Settings(brands=brands, sources=sources), Timer(), {})
    read = list[threading.Thread]()
    looked = asyncio.Event()

    def check(file: WatchedFile[object], use: object) -> None:
        read.append(threading.current_thread())

    async def arrange() -> None:
        looked.set()

    monkeypatch.setattr(WatchedFile, "check", check)
    monkeypatch.setattr(listen, "_arrange", arrange)
    monkeypatch.setattr(listen, "_say", lambda: looked.set())
    watching = asyncio.create_task(listen._watch())
    await asyncio.wait_for(looked.wait(), 60)
    watching.cancel()
    assert len(read) >= 2 and threading.current_thread() not in read, f"a look each {EVERY_S} s"


@pytest.mark.timeout(180)
def test_a_listener_takes_other_brands_over(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    brands, sources, feed = tmp_path / "brands.yaml", tmp_path / "sources.yaml", RssServer()
    brands.write_text("brands: [{name: Kettle, keywords: [kettle]}]")
    for number, text in enumerate(("my kettle leaks", "tea", "a teapot")):
        feed.world.post(number, time.time() - 60 + number, text)
    with feed.running():
        source = {"name": "blog", "platform": "rss", "url": f"{feed.url}/feed", "every": "1s", "keep": "mentions"}
        write_sources(sources, [source])
        own = listening(settings.model_copy(update={"brands": brands}), sources)
        listener = start_listener(own, tmp_path / "listen.log")
        try:
            wait_for("the mention came", lambda: len(sent(own)) == 1)
            brands.write_text("brands: [{name: Teapot, keywords: [teapot]}]")
            wait_for("the other brand is taken over", lambda: listener.said("are active"))
            feed.world.post(9, time.time(), "another teapot")
            wait_for("its mentions came", lambda: len(sent(own)) == 3)
        finally:
            listener.kill()
    assert sorted(event["text"] for event in sent(own)) == ["a teapot", "another teapot", "my kettle leaks"]
