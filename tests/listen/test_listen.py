"""A listener against a server that speaks the platform's protocol: first events, changes, restarts, take-overs, pauses."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config.settings import Settings
from pipeline.listen.status import healths, pause, source_named
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support import fast_listener
from tests.support.listener import cursors, listening, sent, start_listener, write_sources
from tests.support.mastodon_server import MastodonServer
from tests.support.oracle import connect
from tests.support.rss_server import RssServer
from tests.support.topics import read_topic
from tests.support.worker import Worker, wait_for

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def feed() -> Iterator[RssServer]:
    server = RssServer()
    now = time.time()
    for number in range(5):
        server.world.post(number, now - 3_600 + number, f"post {number}")
    with server.running():
        yield server


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return tmp_path / "sources.yaml"


@pytest.fixture
def listens(settings: Settings, sources: Path, feed: RssServer) -> Settings:
    """Settings with a source `blog`, which asks each second."""
    migrate(settings)
    write_sources(sources, [{"name": "blog", "platform": "rss", "url": f"{feed.url}/feed", "every": "1s"}])
    return listening(settings, sources)


def operations(settings: Settings) -> Counter[str]:
    return Counter(event["operation"] for event in sent(settings))


def state(settings: Settings, name: str = "blog") -> JsonObject:
    return healths(settings).get(name, {})


def stopped(listener: Worker) -> None:
    assert listener.stop() == 0


def test_creates_once_then_what_changed_over_restarts(listens: Settings, feed: RssServer, tmp_path: Path) -> None:
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(listens)) == 5)
    feed.world.edit(3, "post 3, edited", time.time())
    feed.world.post(5, time.time(), "post 5")
    wait_for("the changes came", lambda: len(sent(listens)) == 7)
    stopped(listener)
    feed.world.edit(1, "post 1, edited", time.time())
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("what changed meanwhile came", lambda: len(sent(listens)) == 8)
    wait_for("its state is written", lambda: state(listens).get("state") == "running")
    stopped(listener)
    assert operations(listens) == {"create": 6, "update": 2}
    assert {event["source"]["name"] for event in sent(listens)} == {"blog"}
    record = cursors(listens)["blog"]
    assert record.epoch == 2 and record.cursor["live"]["feed"] == f"{feed.url}/feed"


def test_the_table_knows_what_a_deleted_topic_knew(listens: Settings, feed: RssServer, tmp_path: Path) -> None:
    from pipeline.kafka.topics import migrate_topics
    from tests.support.topics import delete_topic

    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(listens)) == 5)
    stopped(listener)
    delete_topic(listens.kafka, listens.kafka.topic("cursors"))
    migrate_topics(listens.kafka)
    feed.world.post(9, time.time(), "post 9")
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the new post came", lambda: len(sent(listens)) == 6)
    stopped(listener)
    assert operations(listens) == {"create": 6} and cursors(listens)["blog"].epoch == 2


def test_a_killed_listeners_sources_run_elsewhere(listens: Settings, feed: RssServer, tmp_path: Path) -> None:
    first = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(listens)) == 5)
    other = listening(listens, listens.sources or Path())
    second = start_listener(other, tmp_path / "2.log")
    second.wait_ready()
    killed, survivor = (first, second) if cursors(listens)["blog"].epoch == 1 else (second, first)
    killed.kill()
    feed.world.post(6, time.time(), "post 6")
    wait_for("the other one found it", lambda: len(sent(listens)) == 6)  # about 10 s, on a quiet machine
    stopped(survivor)
    assert operations(listens) == {"create": 6}


def test_a_paused_source_rests_until_it_is_resumed(listens: Settings, feed: RssServer, tmp_path: Path) -> None:
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(listens)) == 5)
    pause(listens, source_named(listens, "blog"), True)
    wait_for("it is paused", lambda: state(listens).get("state") == "paused")
    feed.world.post(6, time.time(), "post 6")
    asked = feed.requests["/feed"]
    stopped(listener)
    listener = start_listener(listens, tmp_path / "2.log")
    listener.wait_ready()
    wait_for("it is paused after a restart", lambda: state(listens).get("state") == "paused")
    assert feed.requests["/feed"] == asked and len(sent(listens)) == 5
    pause(listens, source_named(listens, "blog"), False)
    wait_for("the new post came", lambda: len(sent(listens)) == 6)
    stopped(listener)


def test_a_pause_is_in_each_partition(listens: Settings) -> None:
    pause(listens, source_named(listens, "blog"), True)
    found = {message.partition() for message in read_topic(listens.kafka, listens.kafka.topic("cursors"))}
    assert found == set(range(listens.kafka.partitions)), "with another credential the source is in another partition"


def test_a_stream_whose_keys_change_goes_on_where_it_was(settings: Settings, sources: Path, tmp_path: Path) -> None:
    server = MastodonServer()
    migrate(settings)
    server.world.post(0, time.time(), "status 0")
    with server.running():
        keys = {"name": "toot", "platform": "mastodon", "server": server.url}
        write_sources(sources, [keys])
        own = listening(settings, sources)
        listener = start_listener(own, tmp_path / "1.log")
        for turn in (1, 2):
            post_ten(server, own, turn)
            write_sources(sources, [{**keys, "own": [f"@turn{turn}"]}])
        wait_for("it runs anew", lambda: epoch(own) == 3)
        server.world.post(99, time.time(), "status 99")
        wait_for("it goes on", lambda: "99" in {text.rpartition(" ")[2] for text in statuses(own)})
        stopped(listener)
        again = [text for text, times in statuses(own).items() if times > 1]
        assert again == [], "what it sent just before a change is sent once"


def post_ten(server: MastodonServer, settings: Settings, turn: int) -> None:
    """Ten statuses come by the stream of this start of the source."""
    wait_for("it streams", lambda: epoch(settings) == turn and len(server.sockets) > 0)
    for number in range(turn * 10, turn * 10 + 10):
        server.world.post(number, time.time(), f"status {number}")
        time.sleep(0.02)
    wait_for("they came", lambda: len(statuses(settings)) == 10 * turn + 1)


def epoch(settings: Settings) -> int:
    record = cursors(settings).get("toot")
    return 0 if record is None else record.epoch


def statuses(settings: Settings) -> Counter[str]:
    """How often each was created."""
    return Counter(event["text"] for event in sent(settings) if event["operation"] == "create" and event["kind"] == "post")


def test_a_file_that_changes_is_taken_over(listens: Settings, feed: RssServer, tmp_path: Path) -> None:
    assert listens.sources is not None
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(listens)) == 5)
    page = {"name": "page", "platform": "rss", "url": feed.url, "every": "1s"}
    write_sources(listens.sources, [page])
    wait_for("the page's feed came", lambda: {"page"} == cursors(listens).keys() - {"blog"})
    asked = feed.requests["/feed"]
    feed.world.post(7, time.time(), "post 7")
    wait_for("of the page", lambda: any(event["source"]["name"] == "page" for event in sent(listens)))
    listens.sources.write_text("sources: [")
    wait_for("it says that the file is broken", lambda: bool(listener.said("the last good sources stay active")))
    wait_for("it goes on", lambda: feed.requests["/feed"] > asked + 2)
    stopped(listener)


def test_a_failing_source_says_why_and_goes_on(listens: Settings, feed: RssServer, tmp_path: Path) -> None:
    feed.faults.plan[:] = ["500", "html"]
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(listens)) == 5)
    wait_for("it runs", lambda: state(listens).get("state") == "running")
    assert state(listens)["errors"] == 2
    feed.faults.retry_after = "3600"
    feed.faults.plan[:] = ["429"]
    wait_for("it waits", lambda: state(listens).get("state") == "waiting")
    assert "429" in state(listens)["reason"] and state(listens)["until"].timestamp() > time.time() + 3_000
    stopped(listener)
    with connect(listens) as client:
        assert client.command("SELECT count() FROM source_gaps") == 0
    before = state(listens)
    feed.faults.share, feed.faults.kinds = 1.0, ("500",)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("it fails", lambda: state(listens).get("state") == "failing")
    stopped(listener)
    dead = state(listens)
    assert dead["listener"] != before["listener"] and dead["last_contact"] == before["last_contact"], "since when it is dead"
    assert dead["last_event"] == before["last_event"]


def test_a_refused_credential_is_tried_each_hour_at_last(
    listens: Settings, feed: RssServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fast_listener.FACTOR, "3000")
    monkeypatch.setenv(fast_listener.BEGIN, str(time.time()))
    monkeypatch.setenv("BLOG_TOKEN", "kettle")
    feed.faults.share, feed.faults.kinds = 1.0, ("401",)
    blog = {"name": "blog", "platform": "rss", "url": f"{feed.url}/feed", "every": "1s", "token_env": "BLOG_TOKEN"}
    write_sources(listens.sources or Path(), [blog])
    listener = start_listener(listens, tmp_path / "1.log", ("-m", "tests.support.fast_listener"))
    wait_for("it is refused for the fifth time", lambda: state(listens).get("errors", 0) >= 5)
    refused = state(listens)
    stopped(listener)
    assert refused["state"] == "no credentials"
    assert (refused["until"] - refused["since"]).total_seconds() / 60 > 1 + 4 + 16 + 60 + 59
