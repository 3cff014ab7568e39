"""A listener with a source of X, over a restart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.migrate import migrate
from tests.support.listener import cursors, listening, sent, start_listener, write_sources
from tests.support.twitter_server import TOKEN, TwitterServer
from tests.support.worker import wait_for

pytestmark = pytest.mark.timeout(120)


def test_a_listener_has_each_post_once(settings: Settings, tmp_path: Path) -> None:
    server = TwitterServer()
    server.blank_s = 0.1
    with server.running():
        _once(settings, server, tmp_path)


def _once(settings: Settings, server: TwitterServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    for number in range(20):
        server.world.post(number, time.time(), f"cup {number}")
    migrate(settings)
    running = listening(settings, tmp_path / "sources.yaml")
    file = {
        "name": "cups",
        "platform": "twitter",
        "query": "cup",
        "server": server.url,
        "token_file": str(tmp_path / "token"),
        "every": "1s",
        "backfill": "1d",
        "own": ["ines"],
    }
    write_sources(tmp_path / "sources.yaml", [file])
    listener = start_listener(running, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(running)) == 20 and server.connections == 1)
    server.world.post(30, time.time(), "cup 30")
    server.world.edit(30, "cup 30, edited", time.time())
    wait_for("the stream gives them", lambda: len(sent(running)) == 22)
    assert listener.stop() == 0
    server.world.post(31, time.time(), "cup 31")
    server.world.like(30, 5)
    server.world.delete(29 - 10)
    listener = start_listener(running, tmp_path / "2.log")
    wait_for("what came between is here", lambda: len(sent(running)) == 24)
    server.world.post(32, time.time(), "cup 32")
    wait_for("the stream goes on", lambda: len(sent(running)) == 25)
    assert listener.stop() == 0
    events = sent(running)
    creates = [event["id"] for event in events if event["operation"] == "create"]
    assert sorted(creates) == sorted(versions[0] for versions in server.versions.values())
    assert len(creates) == 23 and [event["operation"] for event in events].count("update") == 2
    assert {event["direction"] for event in events if event["operation"] == "create"} == {"outbound"}
    record = cursors(running)["cups"].dump()
    assert TOKEN.encode() not in record and TOKEN not in (tmp_path / "1.log").read_text() + (tmp_path / "2.log").read_text()
