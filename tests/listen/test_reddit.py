"""The driver of Reddit against a server on loopback that speaks its API."""

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
from schemas.untyped import JsonObject
from tests.support.driving import SHORT, Driven
from tests.support.driving import source as source_of
from tests.support.listener import cursors, listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.reddit_server import CLIENT, SECRET, RedditServer, name_of
from tests.support.worker import wait_for

pytestmark = pytest.mark.slow

NOW = time.time()
NONE: list[Fault] = [""] * 9


@pytest.fixture
def reddit() -> Iterator[RedditServer]:
    server = RedditServer()
    with server.running():
        yield server


def fill(reddit: RedditServer, first: int, last: int, text: str = "post") -> None:
    for number in range(first, last + 1):
        reddit.world.post(number, NOW - 100_000 + number, f"{text} {number}")


def names(reddit: RedditServer, first: int, last: int) -> set[str]:
    return {name_of(reddit.world.items()[number]) for number in range(first, last + 1)}


def keys(reddit: RedditServer, **more: object) -> dict[str, object]:
    found = {"platform": "reddit", "client_id": CLIENT, "server": reddit.url, "login": reddit.url, "subreddits": ["kettles"]}
    return {**found, **more}


def polls(reddit: RedditServer, token: str = SECRET, **more: object) -> Driven:
    return Driven(source_of(**keys(reddit, **{"comments": False, **more})), token)


def ids(events: list[JsonObject]) -> set[str]:
    return {event["id"] for event in events}


def asked(reddit: RedditServer) -> int:
    return reddit.requests.total() - reddit.requests["/api/v1/access_token"]


def test_begins_with_the_newest_page_then_news(reddit: RedditServer) -> None:
    fill(reddit, 1, 150)
    fill(reddit, 1001, 1003, "re: post")
    source = polls(reddit, comments=True)
    assert ids(source.poll()) == names(reddit, 51, 150) | names(reddit, 1001, 1003)
    assert asked(reddit) == 2 and reddit.granted == 1  # a page of each listing
    fill(reddit, 151, 153)
    fill(reddit, 1004, 1004, "re: post")
    assert ids(source.poll()) == names(reddit, 151, 153) | names(reddit, 1004, 1004)
    assert source.poll() == [] and reddit.granted == 1 and not source.gaps
    assert asked(reddit) == 2 + 3 + 3  # from now on also the three that the newest page shows no more


def test_of_a_listing_that_was_empty_all_is_new(reddit: RedditServer) -> None:
    source = polls(reddit)
    assert source.poll() == []
    fill(reddit, 1, 250)
    assert ids(source.poll()) == names(reddit, 1, 250) and not source.gaps


def test_news_of_many_pages_whatever_was_deleted(reddit: RedditServer) -> None:
    fill(reddit, 1, 60)
    source = polls(reddit)
    source.poll()
    reddit.world.delete(60)  # the newest known one
    fill(reddit, 61, 290)
    before = asked(reddit)
    events = source.poll()
    assert ids(events) == names(reddit, 60, 290) and Counter(event["operation"] for event in events)["delete"] == 1
    assert asked(reddit) - before == 4 and not source.gaps  # three pages of news, what the pages did not show


def test_edits_counts_and_deletes_of_items_that_the_listing_shows_no_more(reddit: RedditServer) -> None:
    fill(reddit, 1, 100)
    source = polls(reddit)
    source.poll()
    fill(reddit, 101, 250)
    source.poll()
    reddit.world.edit(20, "edited", NOW)
    reddit.world.like(240, 7)
    reddit.world.delete(245)
    events = source.poll() + source.poll() + source.poll()
    assert Counter(event["operation"] for event in events) == {"update": 2, "delete": 1}
    assert name_of(reddit.world.items()[245]) not in source.cursors["live"]["ids"]["t3"]


def test_a_deleted_item_is_asked_for_once(reddit: RedditServer) -> None:
    fill(reddit, 1, 5)
    source = polls(reddit)
    source.poll()
    reddit.world.delete(5)
    assert [event["operation"] for event in source.poll()] == ["delete"]
    before = asked(reddit)
    assert source.poll() == [] and asked(reddit) == before + 1


def test_a_listing_that_fails_for_long_does_not_hold_up_the_others(reddit: RedditServer) -> None:
    fill(reddit, 1, 5)
    source = polls(reddit, comments=True)
    source.poll()
    for ahead, found in ((0, 1), (10, 0), (300, 1)):
        fill(reddit, len(reddit.world.items()) + 1, len(reddit.world.items()) + 1)
        source.timer.ahead += ahead
        before = len(source.events)
        reddit.faults.plan[:] = ["", "500"] if found else ["500"]
        with pytest.raises(Failed):
            source.poll()
        assert len(source.events) - before == (2 if ahead == 300 else found)


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(5))
def test_a_fault_costs_one_request(reddit: RedditServer, fault: Fault, position: int) -> None:
    fill(reddit, 1, 60)
    source = polls(reddit)
    source.poll()
    fill(reddit, 61, 300)
    reddit.world.delete(60)
    source.timer.ahead += 90_000  # the token is over: it is the first request
    before = reddit.requests.total()
    reddit.faults.plan[:] = [*NONE[:position], fault]
    found = ids(source.poll(starts=2))
    assert (
        reddit.requests.total() - before == 1 + 3 + 1 + 1
    )  # the token, pages of news, known items that these did not show, the fault
    assert found | ids(source.poll()) == names(reddit, 60, 300) and found >= names(reddit, 61, 300)
    assert source.poll() == [] and not source.gaps


def test_pages_shift_and_repeat_and_their_last_item_is_deleted(reddit: RedditServer) -> None:
    fill(reddit, 1, 60)
    source = polls(reddit)
    source.poll()
    fill(reddit, 61, 400)
    reddit.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    fill(reddit, 401, 560)
    reddit.world.delete(301)  # the next page would follow it
    reddit.repeats = 1
    source.poll()
    assert source.cursors["live"]["lists"]["new"]["mark"] == 400
    source.poll()
    assert all(source.known.has("reddit", name) for name in names(reddit, 1, 560)) and not source.gaps
    assert all(event["operation"] == "delete" for event in source.poll())


def test_more_news_than_a_listing_holds_are_a_gap(reddit: RedditServer) -> None:
    fill(reddit, 1, 60)
    source = polls(reddit)
    source.poll()
    fill(reddit, 61, 1_300)
    assert ids(source.poll()) == names(reddit, 301, 1_300)
    (gap,) = source.gaps
    assert "ends after 1000 items" in gap.reason and gap.since < gap.until
    fill(reddit, 1_301, 1_301)
    assert len(source.poll()) == 1 and len(source.gaps) == 1


def test_a_listing_that_gives_one_page_for_ever_ends_with_a_gap(reddit: RedditServer) -> None:
    fill(reddit, 1, 60)
    source = polls(reddit)
    source.poll()
    fill(reddit, 61, 400)
    reddit.repeats = 10_000
    before = asked(reddit)
    source.poll()
    assert len(source.gaps) == 1 and asked(reddit) - before <= 5


def test_the_past_to_a_time_or_to_the_end_of_the_listing(reddit: RedditServer) -> None:
    fill(reddit, 1, 1_200)
    fill(reddit, 2_001, 2_150, "re: post")
    source = polls(reddit, comments=True)
    reddit.faults.plan[:] = ["", "", "500", "", "half"]
    found = ids(source.backfill(NOW - 100_000 + 850, starts=3))
    assert found == names(reddit, 801, 1_200) | names(reddit, 2_001, 2_150) and not source.gaps
    assert asked(reddit) == 4 + 2 + 2
    assert source.backfill(NOW - 100_000 + 850) == [] and asked(reddit) == 8
    other = polls(reddit)
    assert ids(other.backfill(0)) == names(reddit, 201, 1_200) and len(other.gaps) == 1


def test_a_search(reddit: RedditServer) -> None:
    fill(reddit, 1, 5)
    fill(reddit, 6, 8, "kettle")
    source = polls(reddit, subreddits=[], query="kettle")
    assert ids(source.poll()) == names(reddit, 6, 8) and source.check() == "search: 3 posts on the newest page"


def test_tokens(reddit: RedditServer) -> None:
    fill(reddit, 1, 5)
    source = polls(reddit, contact="otto")
    source.poll()
    reddit.tokens.clear()  # revoked
    fill(reddit, 6, 6)
    assert len(source.poll()) == 1 and reddit.granted == 2
    source.timer.ahead += reddit.lasts - 60
    source.poll()
    assert reddit.granted == 3
    (agent,) = reddit.agents
    assert agent.startswith("server:earshot.client-id:") and agent.endswith(" (by /u/otto)")
    with pytest.raises(NoCredentials, match="refuses client_id and the app's secret") as error:
        polls(reddit, "wr0ng").poll()
    assert "wr0ng" not in str(error.value)
    with pytest.raises(NoCredentials, match="the secret of the app"):
        polls(reddit, "").poll()
    assert "token-" not in str(source.cursors) + repr(source.shared) and SECRET not in str(source.cursors)
    reddit.faults.plan[:] = ["401", "", "401"]
    with pytest.raises(NoCredentials):
        source.poll()


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        (403, "private", "r/kettles: private (status 403)"),
        (403, "quarantined", "r/kettles: quarantined (status 403)"),
        (404, "banned", "r/kettles: banned (status 404)"),
        (404, None, "r/kettles: there is no such subreddit (status 404)"),
        (403, "A person's <words>", "the platform refuses the credential, or lacks a permission: status 403"),
    ],
)
def test_what_is_not_there(reddit: RedditServer, status: int, reason: str | None, line: str) -> None:
    reddit.refuse = status, {"message": "No", "error": status, "reason": reason}
    with pytest.raises(Failed if status == 404 else NoCredentials) as error:
        polls(reddit).poll()
    assert str(error.value) == line


def test_a_subreddit_that_never_was(reddit: RedditServer) -> None:
    with pytest.raises(Failed, match="r/nowhere: there is no such subreddit"):
        polls(reddit, subreddits=["nowhere"]).poll()
    source = polls(reddit, subreddits=["kettles", "Club", "nowhere"])
    assert source.check() == "r/kettles: public, r/Club: private, r/nowhere: not found"


def test_the_rate_limit_is_obeyed(reddit: RedditServer) -> None:
    fill(reddit, 1, 5)
    source = polls(reddit)
    reddit.remaining = 0.0
    assert len(source.poll()) == 5
    before = time.time()
    with pytest.raises(Waiting) as error:
        source.poll()
    assert before - 1 <= error.value.until - 300 <= time.time() + 1 and asked(reddit) == 1
    reddit.remaining = 50.0
    assert source.poll() == []


def test_a_server_that_stalls(reddit: RedditServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.listen.api.LIMITS", SHORT)
    fill(reddit, 1, 5)
    source = polls(reddit)
    reddit.faults.plan[:] = ["stall"]
    with pytest.raises(Failed, match="no answer within"):
        source.poll()
    assert len(source.poll()) == 5


@pytest.mark.timeout(120)
def test_a_listener_sends_each_item_once(
    settings: Settings, reddit: RedditServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDDIT_SECRET", SECRET)
    migrate(settings)
    fill(reddit, 1, 5)
    fill(reddit, 11, 12, "re: post")
    sources = tmp_path / "sources.yaml"
    write_sources(sources, [{"name": "kettles", "token_env": "REDDIT_SECRET", "every": "1s", **keys(reddit)}])
    listens = listening(settings, sources)
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the items came", lambda: len(sent(listens)) == 7)
    fill(reddit, 6, 6)
    reddit.world.edit(2, "edited", time.time())
    reddit.world.like(11, 4)
    reddit.world.delete(4)
    wait_for("the changes came", lambda: len(sent(listens)) == 11)
    assert listener.stop() == 0
    fill(reddit, 7, 7)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the new post came", lambda: len(sent(listens)) == 12)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 9, "update": 2, "delete": 1}
    assert "token-" not in str(cursors(listens)) + (tmp_path / "1.log").read_text() and reddit.granted == 2


def test_each_item_once_in_its_last_state_whatever_fails(reddit: RedditServer) -> None:
    random, number = Random(7), 0
    source = polls(reddit, comments=True)
    reddit.faults.share, reddit.faults.retry_after = 0.2, "9"
    reddit.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for _ in range(40):
        count = random.choice((0, 1, 5, 120, 330)) if number else 5
        fill(reddit, number + 1, number + count, random.choice(("post", "re: post")))
        number += count
        for each in random.sample(range(max(1, number - 200), number), min(number - 1, 5)):
            reddit.world.like(each, random.randrange(9))
        reddit.world.delete(random.randrange(max(1, number - 50), number + 1))
        reddit.repeats = random.choice((0, 0, 1))
        source.run(starts=random.choice((1, 1, 9)))
    reddit.faults.share, reddit.repeats = 0.0, 0
    for _ in range(12):
        source.poll()
    items = reddit.world.items().values()
    created = {event["id"] for event in source.events if event["operation"] == "create"}
    assert source.operations["create"] == len(created) and not source.gaps
    assert created >= {name_of(item) for item in items if not item.deleted}
    likes = {event["id"]: event["metrics"]["likes"] for event in source.events if "metrics" in event}
    deleted = {event["id"] for event in source.events if event["operation"] == "delete"}
    newest = sorted(items, key=lambda item: -item.number)[:200]
    assert [likes[name_of(item)] for item in newest if not item.deleted] == [item.likes for item in newest if not item.deleted]
    assert {name_of(item) for item in newest if item.deleted} & created <= deleted
