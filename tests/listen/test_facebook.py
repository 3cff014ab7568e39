"""The driver of Facebook against a page on loopback. What it shares with Instagram is tested here (graph.py)."""

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
from tests.support.facebook_server import FacebookServer
from tests.support.graph_server import TOKEN
from tests.support.listener import cursors, listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.worker import wait_for

pytestmark = pytest.mark.slow

NOW = time.time()
NONE: list[Fault] = [""] * 9


@pytest.fixture
def facebook() -> Iterator[FacebookServer]:
    server = FacebookServer()
    with server.running():
        yield server


def fill(facebook: FacebookServer, first: int, last: int) -> None:
    for number in range(first, last + 1):
        facebook.world.post(number, NOW - 100_000 + number, f"post {number}")


def talk(facebook: FacebookServer, post: int, first: int, last: int) -> None:
    for number in range(first, last + 1):
        facebook.comment(post, number, NOW - 50_000 + number, f"comment {number}")


def keys(facebook: FacebookServer, **more: object) -> dict[str, object]:
    return {"platform": "facebook", "page": "100", "server": facebook.url, **more}


def polls(facebook: FacebookServer, token: str = TOKEN, **more: object) -> Driven:
    return Driven(source_of(**keys(facebook, **more)), token)


def posts(first: int, last: int) -> set[str]:
    return {f"100_{number}" for number in range(first, last + 1)}


def comments(post: int, first: int, last: int) -> set[str]:
    return {f"{post}_{number}" for number in range(first, last + 1)}


def ids(events: list[JsonObject]) -> set[str]:
    return {event["id"] for event in events}


def asked(facebook: FacebookServer) -> int:
    return facebook.requests.total()


def test_begins_with_the_newest_page_then_news_and_changes(facebook: FacebookServer) -> None:
    fill(facebook, 1, 60)
    talk(facebook, 50, 1_001, 1_070)
    source = polls(facebook)
    begun = source.poll()
    assert (
        ids(begun) == posts(13, 60) | comments(50, 1_021, 1_070) and asked(facebook) == 2
    )  # the newest page, and an older one
    fill(facebook, 61, 62)
    talk(facebook, 50, 1_071, 1_071)
    talk(facebook, 30, 1_072, 1_072)  # on the older page that was read, so it comes when the turn is there again
    facebook.world.edit(59, "edited", NOW)
    facebook.world.like(58, 3)
    events = source.poll() + source.poll()
    assert Counter(event["operation"] for event in events) == {"create": 4 + 12, "update": 4}  # two posts have more comments
    assert source.poll() == [] and not source.gaps and asked(facebook) == 2 + 3 * 2


def test_of_a_page_that_was_empty_all_is_new(facebook: FacebookServer) -> None:
    source = polls(facebook)
    assert source.poll() == [] and asked(facebook) == 1
    fill(facebook, 1, 70)
    talk(facebook, 1, 1_001, 1_130)
    assert ids(source.poll()) == posts(1, 70) | comments(1, 1_001, 1_130)
    assert asked(facebook) == 1 + 3 + 2 + 1 and not source.gaps  # pages of posts, two of comments, an older page


def test_news_of_many_pages_whatever_was_deleted(facebook: FacebookServer) -> None:
    fill(facebook, 1, 30)
    talk(facebook, 20, 1_001, 1_010)
    source = polls(facebook)
    source.poll()
    facebook.world.delete(30)  # the newest known one
    facebook.world.delete(1_010)
    fill(facebook, 31, 90)
    talk(facebook, 20, 1_011, 1_200)
    talk(facebook, 80, 2_001, 2_120)
    before = asked(facebook)
    assert ids(source.poll()) >= posts(31, 90) | comments(80, 2_001, 2_120) | comments(20, 1_011, 1_200)
    assert asked(facebook) - before == 3 + 2 + 3 + 1 and not source.gaps


def test_more_posts_of_the_second_that_was_the_newest_one(facebook: FacebookServer) -> None:
    for number in range(31, 34):
        facebook.world.post(number, NOW - 5_000, f"post {number}")
    source = polls(facebook)
    source.poll()
    for number in range(34, 85):
        facebook.world.post(number, NOW - 5_000 + (number > 60), f"post {number}")
    assert ids(source.poll()) == posts(34, 84) and not source.gaps


def test_a_list_that_waits_for_long_goes_on_where_it_was(facebook: FacebookServer) -> None:
    fill(facebook, 1, 30)
    source = polls(facebook)
    source.poll()
    fill(facebook, 31, 130)
    facebook.faults.plan[:], facebook.faults.retry_after = ["", "", "429"], "3600"
    before = asked(facebook)
    source.run(starts=2)
    assert ids(source.events) >= posts(31, 130) and asked(facebook) - before == 5 + 1 + 1


def test_a_post_that_is_deleted_on_the_way_ends_its_comments_alone(facebook: FacebookServer) -> None:
    fill(facebook, 1, 5)
    talk(facebook, 3, 1_001, 1_001)
    source = polls(facebook)
    source.poll()
    talk(facebook, 3, 1_002, 1_100)
    talk(facebook, 2, 2_001, 2_100)
    facebook.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    facebook.world.delete(3)
    assert ids(source.poll()) == comments(2, 2_001, 2_050) and source.poll() == []


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(4))
def test_a_fault_costs_one_request(facebook: FacebookServer, fault: Fault, position: int) -> None:
    fill(facebook, 1, 30)
    talk(facebook, 30, 1_000, 1_000)
    source = polls(facebook)
    source.poll()
    fill(facebook, 31, 70)
    talk(facebook, 69, 1_001, 1_080)
    before = asked(facebook)
    facebook.faults.plan[:] = [*NONE[:position], fault]
    assert ids(source.poll(starts=2)) >= posts(31, 70) | comments(69, 1_001, 1_080)
    assert asked(facebook) - before == 2 + 1 + 1 + 1  # pages of posts, of comments, an older page, the fault
    assert source.poll() == [] and not source.gaps


def test_pages_shift_and_repeat(facebook: FacebookServer) -> None:
    fill(facebook, 1, 30)
    source = polls(facebook)
    source.poll()
    fill(facebook, 31, 100)
    facebook.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    fill(facebook, 101, 150)  # on the way, two pages more
    source.poll()
    assert ids(source.events) >= posts(31, 100) and not source.gaps
    source.poll()
    assert ids(source.events) >= posts(31, 150) and source.poll() == [] and not source.gaps


def test_a_page_for_ever_ends_with_a_gap(facebook: FacebookServer) -> None:
    fill(facebook, 1, 30)
    talk(facebook, 30, 1_001, 1_001)
    source = polls(facebook)
    source.poll()
    fill(facebook, 31, 100)
    talk(facebook, 98, 1_002, 1_150)
    facebook.repeats = 10_000
    before = asked(facebook)
    source.poll()
    assert len(source.gaps) == 2 and all(gap.since < gap.until for gap in source.gaps) and asked(facebook) - before <= 5


def test_comments_on_older_posts_are_seen_in_turn(facebook: FacebookServer) -> None:
    fill(facebook, 1, 280)
    talk(facebook, 60, 1_001, 1_001)
    source = polls(facebook)
    for _ in range(10):
        source.poll()
    before = asked(facebook)
    talk(facebook, 60, 1_002, 1_160)
    facebook.world.edit(70, "edited", NOW)
    events = [event for _ in range(10) for event in source.poll()]
    assert ids(events) >= comments(60, 1_002, 1_160) and Counter(event["operation"] for event in events)["update"] == 2
    assert asked(facebook) - before == 10 * 2 + 3


def test_the_past_to_a_time_and_on_after_faults(facebook: FacebookServer) -> None:
    fill(facebook, 1, 100)
    talk(facebook, 90, 1_001, 1_120)
    source = polls(facebook)
    facebook.faults.plan[:] = ["", "500", "", "half"]
    found = ids(source.backfill(NOW - 100_000 + 40, starts=3))
    assert found == posts(26, 100) | comments(90, 1_001, 1_120) and asked(facebook) == 3 + 2 + 2
    assert source.backfill(NOW - 100_000 + 40) == [] and asked(facebook) == 7


def test_tags_and_conversations(facebook: FacebookServer) -> None:
    facebook.tag(301, NOW - 900, "tagged 301")
    facebook.message(9, 401, NOW - 800, "message 401")
    facebook.message(9, 402, NOW - 790, "answer 402", author="us")
    source = polls(facebook, tagged=True, messages=True)
    assert ids(source.poll()) == {"100_301", "m_401", "m_402"} and asked(facebook) == 3
    assert {event["id"]: event["direction"] for event in source.events}["m_402"] == "outbound"
    facebook.tag(302, NOW - 700, "tagged 302")
    for number in range(403, 440):
        facebook.message(9, number, NOW - 1_000 + number, f"message {number}")
    facebook.message(8, 500, NOW - 400, "message 500")
    assert ids(source.poll()) == {"100_302", "m_500"} | {f"m_{number}" for number in range(403, 440)}
    assert asked(facebook) == 3 + 4 and source.poll() == [] and not source.gaps
    assert source.check() == "Acme Coffee (100): feed, tagged, conversations"
    assert "conversations.limit" in facebook.asked[-1].replace("%2E", ".")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ({"code": 190, "error_subcode": 460}, "Meta refuses the token: code 190: the person's password has changed"),
        ({"code": 190}, "Meta refuses the token: code 190"),
        (
            {"code": 10, "message": "(#10) This endpoint requires the 'pages_read_engagement' permission or EAAB-token"},
            "the token lacks a permission, of pages_read_engagement: code 10",
        ),
        ({"code": 200, "message": "no"}, "the token lacks a permission: code 200"),
        (
            {"code": 100, "error_subcode": 33, "message": "Object with ID '100' does not exist"},
            "there is no such page or account, it became private, or the token has no part in it: code 100",
        ),
        ({"code": 2}, "Meta is not well: code 2"),
        ({"code": 2635}, "Meta has ended this version of the Graph API: raise key version (code 2635)"),
        ({"code": 5}, "Meta refuses the request: code 5"),
    ],
)
def test_what_meta_refuses(facebook: FacebookServer, error: JsonObject, line: str) -> None:
    facebook.error = error
    with pytest.raises((Failed, NoCredentials)) as found:
        polls(facebook).poll()
    assert str(found.value) == line and asked(facebook) == 1
    assert isinstance(found.value, NoCredentials) == (error["code"] in (190, 10, 200))


def test_tokens(facebook: FacebookServer) -> None:
    with pytest.raises(NoCredentials, match="it has expired") as error:
        polls(facebook, "EAAB-wr0ng").poll()
    assert "wr0ng" not in str(error.value)
    with pytest.raises(NoCredentials, match="should hold an access token"):
        polls(facebook, "").poll()
    source = polls(facebook)
    source.poll()
    assert TOKEN not in str(source.cursors) + str(facebook.asked)


@pytest.mark.parametrize("code", [4, 17, 32, 613, 80_001])
def test_waits_when_a_limit_is_used_up(facebook: FacebookServer, code: int) -> None:
    fill(facebook, 1, 5)
    source = polls(facebook)
    facebook.error, facebook.regain = {"code": code}, 17
    with pytest.raises(Waiting, match=f"rate limit is used up: code {code}") as error:
        source.poll()
    assert error.value.until == pytest.approx(time.time() + 17 * 60, abs=30)
    facebook.error, facebook.regain = None, 0
    assert len(source.poll()) == 5 and asked(facebook) == 2


@pytest.mark.parametrize(
    ("usage", "regain", "wait"), [(80, 0, 60), (95, 0, 240), (100, 0, 600), (60, 5, 300), (99, 9_999, 86_400)]
)
def test_slows_down_before_a_limit_is_used_up(facebook: FacebookServer, usage: int, regain: int, wait: int) -> None:
    fill(facebook, 1, 5)
    source = polls(facebook)
    facebook.usage, facebook.regain = usage, regain
    assert len(source.poll()) == 5
    with pytest.raises(Waiting, match=f"{usage} % of Meta's rate limit are used up") as error:
        source.poll()
    assert error.value.until == pytest.approx(time.time() + wait, abs=30) and asked(facebook) == 1


def test_a_list_that_is_refused_for_long_does_not_hold_up_the_others(facebook: FacebookServer) -> None:
    source = polls(facebook, tagged=True)
    facebook.error, facebook.of = {"code": 2}, "tagged"
    for number in (1, 2):
        fill(facebook, number, number)
        with pytest.raises(Failed):
            source.poll()
        assert ids(source.events) == posts(1, number)
        source.timer.ahead += 301


def test_a_server_that_stalls(facebook: FacebookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.listen.api.LIMITS", SHORT)
    fill(facebook, 1, 5)
    source = polls(facebook)
    facebook.faults.plan[:] = ["stall"]
    with pytest.raises(Failed, match="no answer within"):
        source.poll()
    assert len(source.poll()) == 5


@pytest.mark.timeout(240)
def test_a_listener_sends_each_item_once(
    settings: Settings, facebook: FacebookServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEBOOK_TOKEN", TOKEN)
    migrate(settings)
    fill(facebook, 1, 5)
    talk(facebook, 5, 1_001, 1_002)
    sources = tmp_path / "sources.yaml"
    write_sources(sources, [{"name": "acme", "token_env": "FACEBOOK_TOKEN", "every": "1s", **keys(facebook)}])
    listens = listening(settings, sources)
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the items came", lambda: len(sent(listens)) == 7)
    fill(facebook, 6, 6)
    facebook.world.edit(2, "edited", time.time())
    facebook.world.like(1_001, 4)
    wait_for("the changes came", lambda: len(sent(listens)) == 10)
    assert listener.stop() == 0
    fill(facebook, 7, 7)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the new post came", lambda: len(sent(listens)) == 11)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 9, "update": 2}
    assert TOKEN not in str(cursors(listens)) + (tmp_path / "1.log").read_text()


def test_each_item_once_in_its_last_state_whatever_fails(facebook: FacebookServer) -> None:
    random, number = Random(7), 0
    source = polls(facebook)
    facebook.faults.share, facebook.faults.retry_after = 0.2, "9"
    facebook.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for _ in range(15):
        count = random.choice((0, 1, 5, 30, 80)) if number else 5
        fill(facebook, number + 1, number + count)
        number += count
        for each in random.sample(range(max(1, number - 200), number), min(number - 1, 5)):
            facebook.world.like(each, random.randrange(9))
        post = random.randrange(max(1, number - 20), number + 1)
        first = 100_000 + len(facebook.under)
        for each in range(first, first + random.choice((1, 9, 120))):
            facebook.comment(post, each, NOW - 200_000 + each, f"comment {each}")
        source.run(starts=random.choice((1, 1, 9)))
    facebook.faults.share = 0.0
    for _ in range(20):
        source.poll()
    assert source.operations["create"] == number + len(facebook.under) and not source.gaps
    likes = {event["id"]: event["metrics"]["likes"] for event in source.events if "metrics" in event}
    newest = sorted(range(1, number + 1), reverse=True)[:220]
    assert [likes[f"100_{each}"] for each in newest] == [facebook.world.items()[each].likes for each in newest]
