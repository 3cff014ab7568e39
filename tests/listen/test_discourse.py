"""The driver of Discourse against a forum on loopback."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.config.settings import Settings
from pipeline.listen.states import Failed, NoCredentials, Waiting
from pipeline.migrate import migrate
from tests.support.discourse_server import DiscourseServer
from tests.support.driving import SHORT, Driven
from tests.support.driving import source as source_of
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.worker import wait_for

pytestmark = pytest.mark.slow

NOW = time.time()
NONE: list[Fault] = [""] * 9


@pytest.fixture
def forum() -> Iterator[DiscourseServer]:
    server = DiscourseServer(path="/forum")
    with server.running():
        yield server


def fill(forum: DiscourseServer, first: int, last: int) -> None:
    for number in range(first, last + 1):
        forum.world.post(number, NOW - 100_000 + number, f"post {number}")


def polls(forum: DiscourseServer, token: str = "", **keys: object) -> Driven:
    return Driven(source_of(platform="discourse", url=f"{forum.url}/forum", **keys), token)


def asked(forum: DiscourseServer) -> int:
    return forum.requests.total()


def test_begins_with_the_newest_page_then_news_and_changes(forum: DiscourseServer) -> None:
    fill(forum, 1, 120)
    source = polls(forum)
    begun = source.poll()
    host = forum.url.removeprefix("http://")
    assert {event["id"] for event in begun} == {f"{host}/forum:{number}" for number in range(21, 121)}
    assert asked(forum) == 2 and not source.gaps  # the newest page, and an older one
    fill(forum, 121, 130)
    forum.world.edit(119, "edited", NOW)
    forum.world.like(118, 3)
    forum.world.delete(117)
    events = source.poll()
    assert Counter(event["operation"] for event in events) == {"create": 30, "update": 2, "delete": 1}  # 20 of the older page
    assert source.poll() == []


def test_news_of_many_pages_whatever_was_deleted(forum: DiscourseServer) -> None:
    fill(forum, 1, 60)
    source = polls(forum)
    source.poll()
    forum.hidden.add(60)  # the newest known one
    fill(forum, 61, 310)
    before = asked(forum)
    assert {event["id"].rpartition(":")[2] for event in source.poll()} >= {str(number) for number in range(61, 311)}
    assert asked(forum) - before == 6 and not source.gaps  # five pages of news, an older one


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(4))
def test_a_fault_costs_one_request(forum: DiscourseServer, fault: Fault, position: int) -> None:
    fill(forum, 1, 60)
    source = polls(forum)
    source.poll()
    fill(forum, 61, 170)
    before = asked(forum)
    forum.faults.plan[:] = [*NONE[:position], fault]
    events = source.poll(starts=2)
    assert {event["id"].rpartition(":")[2] for event in events} >= {str(number) for number in range(61, 171)}
    assert asked(forum) - before == 3 + 1 + 1  # three pages of news, an older one, the fault
    assert source.poll() == []


def test_an_older_page_that_fails_for_long_does_not_hold_up_news(forum: DiscourseServer) -> None:
    fill(forum, 1, 60)
    source = polls(forum)
    forum.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    fill(forum, 61, 61)
    source.timer.ahead += 301
    assert len(source.poll()) == 11


def test_pages_shift_and_repeat(forum: DiscourseServer) -> None:
    fill(forum, 1, 60)
    source = polls(forum)
    source.poll()
    fill(forum, 61, 170)
    forum.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    fill(forum, 171, 230)  # on the way, two pages more
    forum.repeats = 1
    source.poll()
    assert source.cursors["live"]["mark"] == 170
    source.poll()
    assert source.known.has("discourse", f"{forum.url.removeprefix('http://')}/forum:61")
    events = source.poll()
    assert events == [] and source.cursors["live"]["mark"] == 230 and not source.gaps


def test_a_forum_that_gives_one_page_for_ever_ends_with_a_gap(forum: DiscourseServer) -> None:
    fill(forum, 1, 60)
    source = polls(forum)
    source.poll()
    fill(forum, 61, 300)
    forum.repeats = 10_000
    source.poll()
    (gap,) = source.gaps
    assert "60" in gap.reason and gap.since < gap.until and source.cursors["live"]["mark"] == 300
    assert asked(forum) < 40
    assert [page for page in source.backfill(0) if page["operation"] == "create"] == [] and len(source.gaps) == 2


@pytest.mark.parametrize("window", [False, True])
def test_the_past_over_holes(window: bool) -> None:
    server = DiscourseServer(window=window)
    with server.running():
        fill(server, 1, 400)
        server.hidden.update(range(120, 280))
        source = Driven(source_of(platform="discourse", url=server.url))
        ids = {event["id"].rpartition(":")[2] for event in source.backfill(0)}
        assert ids == {str(number) for number in range(1, 401)} - {str(number) for number in server.hidden} and not source.gaps


def test_the_past_to_a_time_and_on_after_faults(forum: DiscourseServer) -> None:
    fill(forum, 1, 400)
    source = polls(forum)
    forum.faults.plan[:] = ["", "500", "", "half"]
    ids = {int(event["id"].rpartition(":")[2]) for event in source.backfill(NOW - 100_000 + 240, starts=3)}
    assert ids == set(range(201, 401)) and asked(forum) == 6
    assert source.backfill(NOW - 100_000 + 240) == [] and asked(forum) == 6


def test_older_posts_are_read_again_in_turn(forum: DiscourseServer) -> None:
    fill(forum, 1, 700)
    source = polls(forum)
    for _ in range(10):
        source.poll()
    forum.world.edit(250, "edited", NOW)
    forum.world.like(640, 9)
    events = [event for _ in range(10) for event in source.poll()]
    assert Counter(event["operation"] for event in events)["update"] == 2


def test_a_small_forum_costs_one_request(forum: DiscourseServer) -> None:
    fill(forum, 1, 3)
    source = polls(forum)
    assert len(source.poll()) == 3 and source.poll() == [] and asked(forum) == 2
    empty = polls(forum)
    forum.hidden.update((1, 2, 3))
    assert empty.poll() == [] and "no posts" in empty.check()


def test_what_a_forum_refuses(forum: DiscourseServer) -> None:
    fill(forum, 1, 3)
    forum.key = "k3y"
    with pytest.raises(NoCredentials, match="shows nothing without a login"):
        polls(forum).poll()
    with pytest.raises(NoCredentials, match="refuses the key") as error:
        polls(forum, "wrong-k3y", user="otto").poll()
    assert "wrong" not in str(error.value)
    source = polls(forum, "k3y", user="otto")
    assert len(source.poll()) == 3 and "as otto sees it" in source.check() and "k3y" not in str(source.cursors)
    with pytest.raises(Failed, match="with its path"):
        Driven(source_of(platform="discourse", url=forum.url)).poll()


def test_waits_as_long_as_the_forum_asks(forum: DiscourseServer) -> None:
    fill(forum, 1, 3)
    source = polls(forum)
    forum.wait_seconds, before = 30, time.time()
    with pytest.raises(Waiting) as error:
        source.poll()
    assert before - 1 <= error.value.until - 30 <= time.time() + 1
    assert asked(forum) == 1
    forum.faults.retry_after = "3600"
    forum.faults.plan[:] = ["429"]
    with pytest.raises(Waiting) as error:
        source.poll()
    assert before - 1 <= error.value.until - 3_630 <= time.time() + 1


def test_a_server_that_stalls(forum: DiscourseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.listen.api.LIMITS", SHORT)
    fill(forum, 1, 5)
    source = polls(forum)
    forum.faults.plan[:] = ["stall"]
    with pytest.raises(Failed, match="no answer within"):
        source.poll()
    assert len(source.poll()) == 5


@pytest.mark.timeout(120)
def test_a_listener_sends_each_post_once(settings: Settings, forum: DiscourseServer, tmp_path: Path) -> None:
    migrate(settings)
    fill(forum, 1, 5)
    sources = tmp_path / "sources.yaml"
    write_sources(sources, [{"name": "forum", "platform": "discourse", "url": f"{forum.url}/forum", "every": "1s"}])
    listens = listening(settings, sources)
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came", lambda: len(sent(listens)) == 5)
    fill(forum, 6, 6)
    forum.world.edit(2, "edited", time.time())
    forum.world.like(3, 4)
    forum.world.delete(4)
    wait_for("the changes came", lambda: len(sent(listens)) == 9)
    assert listener.stop() == 0
    fill(forum, 7, 7)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the new post came", lambda: len(sent(listens)) == 10)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 7, "update": 2, "delete": 1}


def test_each_post_once_in_its_last_state_whatever_fails(forum: DiscourseServer) -> None:
    random, number = Random(7), 0
    source = polls(forum)
    forum.faults.share, forum.faults.kinds, forum.faults.retry_after = (
        0.2,
        ("500", "reset", "half", "html", "empty", "429"),
        "9",
    )
    for _ in range(40):
        count = random.choice((0, 1, 5, 60, 160)) if number else 5
        fill(forum, number + 1, number + count)
        number += count
        for each in random.sample(range(max(1, number - 400), number), min(number - 1, 5)):
            forum.world.like(each, random.randrange(9))
        forum.repeats = random.choice((0, 0, 1))
        source.run(starts=random.choice((1, 1, 9)))
    forum.faults.share, forum.repeats = 0.0, 0
    for _ in range(20):
        source.poll()
    assert source.operations["create"] == number and not source.gaps
    likes = {event["id"]: event["metrics"]["likes"] for event in source.events if "metrics" in event}
    host = forum.url.removeprefix("http://")
    newest = forum.world.newest()[:450]
    assert [likes[f"{host}/forum:{item.number}"] for item in newest] == [item.likes for item in newest]
