"""The driver of YouTube against a server on loopback that speaks its Data API."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from pipeline.config.settings import Settings
from pipeline.http.outgoing import Limits
from pipeline.listen.drivers.youtube_errors import midnight
from pipeline.listen.states import Failed, NoCredentials, Waiting
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.worker import wait_for
from tests.support.youtube_server import CHANNEL, KEY, YouTubeServer

pytestmark = pytest.mark.slow

NOW = float(int(time.time()))
NONE: list[Fault] = [""] * 9


@pytest.fixture
def youtube() -> Iterator[YouTubeServer]:
    server = YouTubeServer()
    with server.running():
        yield server


def fill(youtube: YouTubeServer, first: int, last: int, text: str = "comment") -> None:
    for number in range(first, last + 1):
        youtube.world.post(number, NOW - 100_000 + number, f"{text} {number}")


def polls(youtube: YouTubeServer, key: str = KEY, **keys: object) -> Driven:
    return Driven(source_of(**{"platform": "youtube", "channel": CHANNEL, "server": youtube.url, **keys}), key)


def ids(events: list[JsonObject]) -> set[str]:
    return {event["id"] for event in events}


def named(first: int, last: int) -> set[str]:
    return {f"Ug{number}" for number in range(first, last + 1)}


def test_begins_with_the_newest_then_news_edits_and_counts(youtube: YouTubeServer) -> None:
    fill(youtube, 1, 350)
    source = polls(youtube)
    assert ids(source.poll()) == named(151, 350) and youtube.units == 2  # the newest page, and an older one
    fill(youtube, 351, 353)
    youtube.world.edit(340, "edited", NOW)
    youtube.world.like(339, 7)
    events = source.poll()
    assert Counter(event["operation"] for event in events) == {"create": 3 + 100, "update": 2}  # 100: the next older page
    (edited,) = [event for event in events if event.get("text") == "edited"]
    assert edited["occurred_at"] == datetime.fromtimestamp(NOW, UTC).isoformat().replace("+00:00", "Z")
    assert edited["id"] == "Ug340" and not source.gaps


def test_news_of_many_pages_whatever_was_deleted(youtube: YouTubeServer) -> None:
    fill(youtube, 1, 60)
    source = polls(youtube)
    source.poll()
    assert youtube.units == 1  # there are no older ones
    youtube.world.delete(60)  # the newest known one
    fill(youtube, 61, 400)
    assert ids(source.poll()) == named(61, 400) and not source.gaps and youtube.units == 1 + 4


def test_of_a_channel_that_had_no_comments_all_are_new(youtube: YouTubeServer) -> None:
    source = polls(youtube)
    assert source.poll() == [] and "no comments" in source.check()
    fill(youtube, 1, 250)
    assert ids(source.poll()) == named(1, 250) and not source.gaps


def test_answers_that_a_thread_does_not_show_are_fetched_once_their_count_changes(youtube: YouTubeServer) -> None:
    fill(youtube, 1, 2)
    fill(youtube, 3, 7, "re 1:")
    source = polls(youtube)
    assert len(source.poll()) == 7 and youtube.by == {"commentThreads": 1}  # five are shown
    fill(youtube, 8, 250, "re 1:")
    events = source.poll()
    assert ids(events) >= {f"Ug1.{number}" for number in range(8, 251)} and youtube.by["comments"] == 3
    answer = next(event for event in events if event["id"] == "Ug1.8")
    assert (answer["kind"], answer["in_reply_to"], answer["conversation_id"]) == ("reply", "Ug1", "Ug1")
    assert source.poll() == [] and youtube.by["comments"] == 3
    youtube.world.delete(8)
    source.poll()
    assert youtube.by["comments"] == 6
    fill(youtube, 251, 251, "re 2:")
    youtube.world.delete(1)
    assert "Ug2.251" in ids(source.poll()) and source.poll() == []


def test_many_threads_with_many_answers_cost_their_answers_once(youtube: YouTubeServer) -> None:
    """All that are read again: a unit a thread and poll would use up the day's quota."""
    fill(youtube, 1, 210)
    for thread in range(1, 211):
        fill(youtube, thread * 1_000, thread * 1_000 + 5, f"re {thread}:")
    source = polls(youtube)
    for _ in range(6):
        source.poll()
    assert youtube.by["comments"] == 210


def test_a_thread_that_is_gone_when_its_answers_are_asked_for_costs_no_others(youtube: YouTubeServer) -> None:
    fill(youtube, 1, 2)
    for parent in (1, 2):
        fill(youtube, parent * 100, parent * 100 + 9, f"re {parent}:")
    source = polls(youtube)
    youtube.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    youtube.world.delete(2)  # the first that is asked for
    assert len(ids(source.poll())) == 5 and youtube.by["comments"] == 2  # five were shown before


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(4))
def test_a_fault_costs_one_request(youtube: YouTubeServer, fault: Fault, position: int) -> None:
    fill(youtube, 1, 60)
    source = polls(youtube)
    source.poll()
    fill(youtube, 61, 240)
    fill(youtube, 241, 249, "re 240:")
    before = youtube.requests.total()
    youtube.faults.plan[:] = [*NONE[:position], fault]
    events = source.poll(starts=2)
    assert ids(events) == named(61, 240) | {f"Ug240.{number}" for number in range(241, 250)}
    assert youtube.requests.total() - before == 3 + 1 + 1  # three pages, the answers, the fault
    assert source.poll() == []


@pytest.mark.parametrize("shown", [0, 1])
def test_a_page_whose_token_has_ended_is_asked_for_anew(youtube: YouTubeServer, shown: int) -> None:
    fill(youtube, 1, 60)
    source = polls(youtube)
    source.poll()
    fill(youtube, 61, 360)
    broken: list[Fault] = ["", "500"]
    youtube.faults.plan[:] = broken[: 2 * shown]
    if shown:
        with pytest.raises(Failed):
            source.poll()
    youtube.ends = 1
    source.poll()
    fill(youtube, 361, 362)
    source.poll()
    assert ids(source.events) == named(1, 362) and not source.gaps and source.operations == {"create": 362}


def test_pages_that_go_round_end_with_a_gap(youtube: YouTubeServer) -> None:
    fill(youtube, 1, 60)
    source = polls(youtube)
    source.poll()
    fill(youtube, 61, 500)
    youtube.repeats = True
    source.poll()
    (gap,) = source.gaps
    assert gap.since < gap.until and "again and again" in gap.reason and youtube.units < 10
    source.backfill(0)
    assert youtube.units < 20


def test_older_threads_are_read_in_turn(youtube: YouTubeServer) -> None:
    fill(youtube, 1, 900)
    source = polls(youtube)
    for _ in range(6):
        source.poll()
    assert ids(source.events) == named(401, 900) and youtube.units == 12
    youtube.world.like(420, 9)
    events = [event for _ in range(5) for event in source.poll()]
    assert [(event["id"], event["metrics"]["likes"]) for event in events] == [("Ug420", 9)]


def test_the_past_to_a_time_with_its_answers_and_on_after_faults(youtube: YouTubeServer) -> None:
    fill(youtube, 1, 400)
    fill(youtube, 401, 409, "re 250:")
    source = polls(youtube)
    youtube.faults.plan[:] = ["", "500", "", "half"]
    youtube.ends = 1
    found = ids(source.backfill(NOW - 100_000 + 201, starts=3))
    assert found == named(101, 400) | {f"Ug250.{number}" for number in range(401, 410)}  # to the page that reaches it
    units = youtube.units
    assert source.backfill(NOW - 100_000 + 201) == [] and youtube.units == units


@pytest.mark.parametrize("reason", ["quotaExceeded", "rateLimitExceeded", "dailyLimitExceeded"])
def test_a_quota_in_each_spelling_waits_until_midnight_in_california(youtube: YouTubeServer, reason: str) -> None:
    source = polls(youtube)
    youtube.refuse = 403, reason
    with pytest.raises(Waiting, match="quota of the day") as error:
        source.poll()
    assert error.value.until == pytest.approx(midnight(time.time()), abs=5)
    source.timer.ahead = 0.0
    beside = polls(youtube)
    beside.limit = source.limit  # another channel of this key
    with pytest.raises(Waiting):
        beside.poll()
    assert youtube.units == 1


def test_a_quota_of_the_minute_waits_a_minute(youtube: YouTubeServer) -> None:
    source = polls(youtube)
    youtube.refuse, youtube.metadata = (429, "rateLimitExceeded"), {"quota_limit": "defaultPerMinutePerProject"}
    with pytest.raises(Waiting, match="of the minute") as error:
        source.poll()
    assert error.value.until == pytest.approx(time.time() + 60, abs=5)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-30T07:59:59Z", "2026-11-30T08:00:00Z"),
        ("2026-11-30T08:00:00Z", "2026-12-01T08:00:00Z"),
        ("2026-07-01T12:00:00Z", "2026-07-02T07:00:00Z"),
        ("2026-11-01T07:30:00Z", "2026-11-02T08:00:00Z"),  # the clocks are set back on that day
    ],
)
def test_midnight_in_california(now: str, until: str) -> None:
    assert midnight(datetime.fromisoformat(now).timestamp()) == datetime.fromisoformat(until).timestamp()


def test_what_youtube_refuses_is_a_state_with_its_reason(youtube: YouTubeServer) -> None:
    with pytest.raises(NoCredentials, match="should hold an API key"):
        polls(youtube, "").poll()
    with pytest.raises(NoCredentials, match="API_KEY_INVALID") as error:
        polls(youtube, "wr0ng").poll()
    assert "wr0ng" not in str(error.value)
    with pytest.raises(Failed, match="deleted, is private, or is none"):
        polls(youtube, channel="UC" + "z" * 22).poll()
    for status, reason, state, line in (
        (403, "commentsDisabled", Failed, "comments off"),
        (403, "forbidden", NoCredentials, "the channel is private"),
        (403, "accessNotConfigured", NoCredentials, "accessNotConfigured"),
        (503, "backendError", Failed, "status 503"),
    ):
        youtube.refuse = status, reason
        with pytest.raises(state, match=line):
            polls(youtube).poll()
    youtube.refuse = None
    fill(youtube, 1, 3)
    source = polls(youtube)
    assert "3 threads" in source.check() and len(source.poll()) == 3 and KEY not in str(source.cursors)


def test_waits_as_long_as_it_is_asked_to(youtube: YouTubeServer) -> None:
    youtube.faults.retry_after = "3600"
    youtube.faults.plan[:] = ["429"]
    source = polls(youtube)
    with pytest.raises(Waiting) as error:
        source.poll()
    assert error.value.until == pytest.approx(time.time() + 3_600, abs=5) and youtube.requests.total() == 1


def test_a_server_that_stalls(youtube: YouTubeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(youtube, 1, 5)
    source = polls(youtube)
    youtube.faults.plan[:] = ["stall"]
    with monkeypatch.context() as patched, pytest.raises(Failed, match="no answer within"):
        patched.setattr("pipeline.listen.api.LIMITS", Limits(total_s=0.3))  # nothing has to succeed within it
        source.poll()
    youtube.faults.plan.clear()  # a busy machine may have sent nothing
    assert len(source.poll()) == 5


def test_each_comment_once_in_its_last_state_whatever_fails(youtube: YouTubeServer) -> None:
    random, number = Random(7), 0
    source = polls(youtube)
    youtube.faults.share, youtube.faults.retry_after = 0.2, "9"
    youtube.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for _ in range(30):
        count = random.choice((0, 1, 5, 120)) if number else 5
        fill(youtube, number + 1, number + count)
        number += count
        for each in random.sample(range(max(1, number - 300), number), min(number - 1, 5)):
            youtube.world.like(each, random.randrange(9))
        youtube.ends = random.choice((0, 0, 1))
        source.run(starts=random.choice((1, 1, 9)))
    youtube.faults.share, youtube.ends = 0.0, 0
    for _ in range(12):
        source.poll()
    assert source.operations["create"] == number and not source.gaps
    likes = {event["id"]: event["metrics"]["likes"] for event in source.events if "metrics" in event}
    assert all(likes[f"Ug{item.number}"] == item.likes for item in youtube.world.newest()[:450])


@pytest.mark.timeout(120)
def test_a_listener_sends_each_comment_once(settings: Settings, youtube: YouTubeServer, tmp_path: Path) -> None:
    migrate(settings)
    fill(youtube, 1, 5)
    (tmp_path / "key").write_text(KEY)
    source = {"name": "channel", "platform": "youtube", "channel": CHANNEL, "server": youtube.url, "every": "1s"}
    write_sources(tmp_path / "sources.yaml", [{**source, "token_file": "key"}])
    listens = listening(settings, tmp_path / "sources.yaml")
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the comments came", lambda: len(sent(listens)) == 5)
    fill(youtube, 6, 6)
    youtube.world.edit(2, "edited", time.time())
    youtube.world.delete(4)  # of which nobody tells
    wait_for("the changes came", lambda: len(sent(listens)) == 7)
    assert listener.stop() == 0
    fill(youtube, 7, 7, "re 2:")
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the answer came, and the count", lambda: len(sent(listens)) == 9)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 7, "update": 2}
