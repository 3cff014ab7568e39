"""Bluesky's driver against a Jetstream of each version: cursors, accounts, breaks, gaps, back-fill, speed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from pipeline.config.settings import Settings
from pipeline.listen.drivers import bluesky
from pipeline.migrate import migrate
from tests.support.bluesky_server import FAN, POST, BlueskyServer, did_of
from tests.support.driving import Driven, source
from tests.support.listener import listening as listening_with
from tests.support.listener import sent, start_listener, write_sources
from tests.support.worker import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
HOUR_US = 3_600_000_000
INES = did_of("ines")


@pytest.fixture
def server() -> Iterator[BlueskyServer]:
    server = BlueskyServer()
    with server.running():
        yield server


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def post(server: BlueskyServer, number: int, author: str = "ines") -> None:
    server.world.post(number, time.time(), f"post {number}", author)


def listening(server: BlueskyServer, version: int = 1, **keys: object) -> Driven:
    return Driven(source(platform="bluesky", server=server.address, version=version, **keys))


def begin(server: BlueskyServer, driven: Driven) -> None:
    """Follows until the first post came."""

    def first() -> bool:
        if server.sockets and not server.frames:
            post(server, 1)
        return bool(driven.events)

    driven.run(first)


def test_what_is_new_comes_and_after_a_break_nothing_is_missed(server: BlueskyServer, version: int) -> None:
    post(server, 1)
    driven = listening(server, version)

    def changes() -> bool:
        if server.sockets and len(server.frames) == 1:
            post(server, 2)
            server.world.edit(2, "post 2, edited", time.time())
            server.world.like(1, 1)
            server.world.delete(1)
            server.identity(INES, "ines.example")
            server.add("{")
            server.breaks()
        if driven.errors and len(server.frames) == 7:
            post(server, 3)
        return len(driven.events) == 6

    driven.run(changes)
    assert driven.operations == {"create": 4, "update": 1, "delete": 1}
    assert driven.texts == ["post 2", "", "", "post 3"] and len(driven.errors) == 1 and not driven.gaps
    post(server, 4)
    driven.run(lambda: len(driven.events) == 7)
    assert driven.texts[-1] == "post 4" and server.requests.total() == 3


@pytest.mark.parametrize("fault", ["500", "reset", "html"])
def test_a_request_that_fails_costs_one_more(server: BlueskyServer, version: int, fault: str) -> None:
    driven = listening(server, version)
    begin(server, driven)
    for number in range(2, 2_002):
        post(server, number)
    server.requests.clear()
    server.faults.plan[:] = [fault]  # type: ignore[list-item]
    driven.run(lambda: len(driven.events) == 2_001)
    assert driven.operations == {"create": 2_001} and server.requests.total() == 2


def test_accounts_are_named_to_the_server(server: BlueskyServer, version: int) -> None:
    driven = listening(server, version, accounts=[INES])

    def posts() -> bool:
        if server.sockets and not server.frames:
            server.identity(did_of("tom"), "tom.example")
            post(server, 1, "tom")
            post(server, 2)
            server.world.like(2, 1)
        return bool(driven.events)

    driven.run(posts)
    assert driven.texts == ["post 2"]
    if version == 1:
        assert server.greetings[0]["payload"]["wantedDids"] == [INES] and "requireHello=true" in server.urls[0]
    else:
        assert f"dids={INES}" in server.urls[0]


def test_ten_thousand_accounts(server: BlueskyServer, version: int) -> None:
    accounts = [f"did:plc:{number:024}" for number in range(9_999)]
    driven = listening(server, version, accounts=[*accounts, INES])

    def posts() -> bool:
        if server.sockets and not server.frames:
            post(server, 1, "tom")
            post(server, 2)
        return bool(driven.events)

    driven.run(posts)
    assert driven.texts == ["post 2"] and len(server.urls[0]) < 1_000


def test_the_whole_network_is_never_quiet(server: BlueskyServer, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bluesky, "QUIET_S", 0.3)
    driven = listening(server, version)
    driven.run(lambda: bool(driven.errors))
    assert "no message for 0.3 s" in str(driven.errors[0])


def test_a_quiet_stream_of_accounts_lives_and_its_cursor_follows(
    server: BlueskyServer, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"QUIET_S": 0.2, "SIGN_S": 0.1, "BEHIND_US": 100_000}.items():
        monkeypatch.setattr(bluesky, name, value)
    driven = listening(server, version, accounts=[INES])
    begin(server, driven)
    first = driven.cursors["live"]["us"]
    driven.run(lambda: driven.cursors["live"]["us"] > first + 500_000)
    assert not driven.errors and driven.cursors["live"]["us"] < time.time() * 1e6 - 50_000


def test_what_jetstream_no_longer_has_is_a_gap(server: BlueskyServer, version: int) -> None:
    driven = listening(server, version)
    begin(server, driven)
    now = int(time.time() * 1e6)
    driven.cursors["live"]["us"] = now - 50 * HOUR_US
    server.frames.clear()
    server.kept_since = now - 36 * HOUR_US
    record = {"$type": POST, "text": "late", "createdAt": "2026-01-01T00:00:00Z"}
    for hours in (49, 35, 2):
        server.commit(INES, POST, f"3z{hours}", "create", record, now - hours * HOUR_US)
    driven.run(lambda: len(driven.events) == 3)
    assert [gap.reason for gap in driven.gaps] == ["Jetstream keeps 36 hours"]
    lost = driven.gaps[0]
    assert lost.since < lost.until and "T" in lost.until


@pytest.mark.parametrize("hours", [2, 40])
def test_accounts_that_rest_are_no_gap_unless_it_was_too_long(server: BlueskyServer, hours: int) -> None:
    driven = listening(server, 1, accounts=[INES])
    begin(server, driven)
    driven.cursors["live"]["us"] = int(time.time() * 1e6) - hours * HOUR_US
    server.frames.clear()
    post(server, 2)
    driven.run(lambda: len(driven.events) == 2)
    assert len(driven.gaps) == (hours == 40)


def test_an_error_of_the_server_is_named(server: BlueskyServer) -> None:
    server.ends_with = "ConsumerTooSlow"
    driven = listening(server, 2)
    driven.run(lambda: bool(driven.errors))
    assert str(driven.errors[0]) == "the server ended the stream: ConsumerTooSlow"


def test_a_clock_that_is_ahead_misses_nothing_after_a_break(server: BlueskyServer) -> None:
    driven = listening(server)
    driven.timer.ahead = 3_600.0
    driven.run(lambda: bool(server.sockets))  # the stream breaks before anything came
    begin(server, driven)
    assert driven.cursors["live"]["us"] < time.time() * 1_000_000, "by the network's clock, not by ours"


def test_a_time_far_ahead_moves_no_cursor(server: BlueskyServer) -> None:
    driven = listening(server)
    begin(server, driven)
    record = {"$type": POST, "text": "ahead", "createdAt": "2026-01-01T00:00:00Z"}

    def ahead() -> bool:
        if server.sockets and len(server.frames) == 1:
            server.commit(INES, POST, "3z1", "create", record, int(time.time() * 1e6) + 48 * HOUR_US)
        return len(driven.events) == 2

    driven.run(ahead)
    assert driven.cursors["live"]["us"] < time.time() * 1e6


def test_the_past_comes_by_a_connection_of_its_own(server: BlueskyServer, version: int) -> None:
    now = int(time.time() * 1e6)
    record = {"$type": POST, "text": "old", "createdAt": "2026-01-01T00:00:00Z"}
    for minutes in range(100, 0, -1):
        server.commit(INES, POST, f"3z{minutes}", "create", record, now - minutes * 60_000_000)
    driven = listening(server, version)

    def until_now() -> bool:
        if len(driven.events) == 50 and len(server.frames) == 100:
            post(server, 1)  # its frame shows that the past is over
        return False

    driven.run(until_now, part="back", since=time.time() - 50.5 * 60)
    assert 50 <= len(driven.events) <= 51 and not driven.errors and not driven.gaps


def test_the_past_of_quiet_accounts_ends(server: BlueskyServer, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bluesky, "SIGN_S", 0.2)
    driven = listening(server, version, accounts=[INES])
    driven.run(part="back", since=time.time() - 3_600)
    assert not driven.events and not driven.errors


def test_a_break_in_the_past_goes_on_there(server: BlueskyServer, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bluesky, "SIGN_S", 0.3)
    for number in range(1, 2_001):
        post(server, number)
    driven = listening(server, version)

    def broken() -> bool:
        if driven.pages == 2 and not driven.errors:
            server.breaks()
        return False

    driven.run(broken, part="back", since=time.time() - 3_600)
    assert driven.operations == {"create": 2_000}


def test_check_says_how_new_the_newest_frame_is(server: BlueskyServer, version: int) -> None:
    threading.Timer(0.5, lambda: post(server, 1)).start()
    assert "127.0.0.1: its newest frame is from 20" in listening(server, version).check()
    assert listening(server, version, accounts=[INES, FAN]).check() == "127.0.0.1: it takes 2 accounts"


def test_recorded_frames_flow_with_little_work(server: BlueskyServer) -> None:
    frame = {"$type": POST, "text": "coffee " * 20, "createdAt": "2026-01-01T00:00:00Z", "langs": ["en"]}
    commit = {"rev": "3r", "operation": "create", "collection": POST, "rkey": "3k", "record": frame, "cid": "bafy"}
    text = orjson.dumps({"did": INES, "time_us": 1, "kind": "commit", "commit": commit})
    driven, played = listening(server), list[str]()
    begin(server, driven)

    def all_there() -> bool:
        if server.sockets and not played:
            played.extend(uri for uri, _ in server.play_frames([orjson.loads(text)], 5_000, 0.4))
        return len(driven.events) == 1 + len(played) > 1

    driven.run(all_there)
    assert len(played) == 2_000 and {event["id"] for event in driven.events[1:]} == set(played)


def test_a_listener_brings_each_post_once(settings: Settings, tmp_path: Path, server: BlueskyServer) -> None:
    migrate(settings)
    write_sources(tmp_path / "sources.yaml", [{"name": "sky", "platform": "bluesky", "server": server.address}])
    listens = listening_with(settings, tmp_path / "sources.yaml")
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("it listens", lambda: bool(server.sockets))
    for number in range(1, 6):
        post(server, number)
    server.world.edit(3, "post 3, edited", time.time())
    server.world.like(4, 1)
    server.world.delete(2)
    wait_for("all came", lambda: len(sent(listens)) == 8)
    server.requests.clear()
    server.closes = True
    server.breaks()
    time.sleep(4)
    assert server.requests.total() <= 2, "a server that ends each stream is asked ever more seldom"
    server.closes = False
    assert listener.stop() == 0
    for number in range(6, 16):
        post(server, number)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("what it missed came", lambda: len(sent(listens)) == 18)
    assert listener.stop() == 0
    operations = Counter(event["operation"] for event in sent(listens))
    assert operations == {"create": 16, "update": 1, "delete": 1}
