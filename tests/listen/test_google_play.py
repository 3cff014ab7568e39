"""The driver of Google Play against a server on loopback, which takes what the service account's key signed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from joserfc.jwk import RSAKey

from pipeline.listen.states import Failed, NoCredentials, Waiting
from schemas.untyped import JsonObject
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.google_play_server import ACCOUNT, PACKAGE, GooglePlayServer, key_file
from tests.support.platform_server import Fault

pytestmark = pytest.mark.slow

NOW = time.time()
DAY_S = 86_400.0
NONE: list[Fault] = [""] * 9


@pytest.fixture
def play() -> Iterator[GooglePlayServer]:
    server = GooglePlayServer()
    with server.running():
        yield server


def fill(play: GooglePlayServer, first: int, last: int) -> None:
    for number in range(first, last + 1):
        play.world.post(number, NOW - 10_000 + number, f"review {number}")


def polls(play: GooglePlayServer, token: str | None = None, **more: object) -> Driven:
    keys = {"platform": "google_play", "package": PACKAGE, "server": play.url, "login": f"{play.url}/token", **more}
    return Driven(source_of(**keys), key_file() if token is None else token)


def reviews(first: int, last: int) -> set[str]:
    return {f"r{number}" for number in range(first, last + 1)}


def ids(events: list[JsonObject]) -> set[str]:
    return {event["id"] for event in events}


def asked(play: GooglePlayServer) -> int:
    return play.requests.total() - play.requests["/token"]


def test_begins_with_the_newest_page_then_news_edits_and_answers(play: GooglePlayServer) -> None:
    fill(play, 1, 150)
    source = polls(play)
    begun = source.poll()
    assert ids(begun) == reviews(51, 150) and asked(play) == 1 and play.granted == 1
    created = {event["id"]: event["created_at"] for event in begun}
    assert created["r51"] < created["r150"] < begun[0]["created_at"][:10] + "U", "by their last change, and not by the poll"
    fill(play, 151, 153)
    play.world.edit(20, "edited", NOW)
    play.world.like(150, 4)
    play.world.post(9_001, NOW - 1, "answer to 149", author="us")
    events = source.poll()
    assert Counter((event["operation"], event["id"]) for event in events) == Counter(
        {("create", each): 1 for each in ("r151", "r152", "r153", "r20", "r149/reply")} | {("update", "r150"): 1}
    )
    play.world.edit(20, "edited again", NOW + 5)
    (event,) = source.poll()
    assert (event["operation"], event["text"]) == ("update", "edited again") and "created_at" not in event
    assert source.poll() == [] and asked(play) == 4 and play.granted == 1 and not source.gaps


def test_news_of_many_pages_and_faults(play: GooglePlayServer) -> None:
    for position, fault in enumerate(("500", "reset", "half", "html", "empty")[:4]):
        first = 1_000 * position
        fill(play, first + 1, first + 30)
        source = polls(play)
        source.poll()
        fill(play, first + 31, first + 300)
        before = play.requests.total()
        play.ahead = source.timer.ahead = 3_600  # the token is over: it is the first request
        play.faults.plan[:] = [*NONE[:position], fault]  # type: ignore[list-item]
        assert ids(source.poll(starts=2)) >= reviews(first + 31, first + 300)
        assert play.requests.total() - before == 1 + 3 + 1
        assert source.poll() == [] and not source.gaps
        play.ahead = 0.0


def test_each_day_all_pages_are_read_since_their_order_is_not_promised(play: GooglePlayServer) -> None:
    fill(play, 1, 250)
    source = polls(play)
    source.poll()
    play.shuffled = True
    fill(play, 251, 251)
    assert "r251" not in ids(source.poll())
    source.timer.ahead = play.ahead = DAY_S + 60
    assert "r251" in ids(source.poll())
    before = asked(play)
    assert source.poll() == [] and asked(play) == before + 1


def test_what_is_older_than_a_week_is_a_gap(play: GooglePlayServer) -> None:
    fill(play, 1, 250)
    source = polls(play)
    assert ids(source.backfill(NOW - 30 * DAY_S)) == reviews(1, 250) and asked(play) == 3
    (gap,) = source.gaps
    assert "the last week" in gap.reason and gap.since < gap.until
    assert source.backfill(NOW - 30 * DAY_S) == [] and len(source.gaps) == 1
    source.poll()
    source.timer.ahead = play.ahead = 9 * DAY_S
    play.faults.plan[:] = ["500"]
    source.run(starts=2)
    assert len(source.gaps) == 2 and source.gaps[1].since < source.gaps[1].until
    source.poll()
    assert len(source.gaps) == 2


def test_a_page_for_ever_ends_with_a_gap(play: GooglePlayServer) -> None:
    fill(play, 1, 5)
    source = polls(play)
    source.poll()
    fill(play, 6, 400)
    play.repeats = 10_000
    source.poll()
    assert len(source.gaps) == 1 and asked(play) == 1 + 2


def test_of_an_app_that_had_no_reviews_all_are_new(play: GooglePlayServer) -> None:
    source = polls(play)
    assert source.poll() == []
    fill(play, 1, 250)
    assert ids(source.poll()) == reviews(1, 250) and asked(play) == 1 + 3


def test_tokens(play: GooglePlayServer) -> None:
    fill(play, 1, 5)
    source = polls(play)
    source.poll()
    play.tokens.clear()  # revoked
    source.poll()
    assert play.granted == 2 and "ya29" not in str(source.cursors) + repr(source.shared)
    other = json.loads(key_file()) | {"private_key": RSAKey.generate_key(2048).as_pem(private=True).decode()}
    with pytest.raises(NoCredentials, match="refuses the service account's key, or our clock is wrong: invalid_grant") as error:
        polls(play, json.dumps(other)).poll()
    assert "Bad" not in str(error.value)
    before = play.requests.total()
    locked = RSAKey.generate_key(2048).as_pem(private=True, password="tea").decode()
    for broken in (
        "",
        "{}",
        "x",
        *(json.dumps(other | {"private_key": key}) for key in ("-----BEGIN PRIVATE KEY-----\nx", locked)),
    ):
        with pytest.raises(NoCredentials, match="should be the JSON key of a service account"):
            polls(play, broken).poll()
    assert play.requests.total() == before
    assert source.check() == f"{PACKAGE}: 5 reviews on the newest page, as {ACCOUNT} sees it"


@pytest.mark.parametrize(
    ("status", "error", "state", "line", "wait"),
    [
        (403, {"errors": [{"reason": "quotaExceeded"}]}, Waiting, "Google's quota is used up: quotaExceeded", 3_600),
        (403, {"errors": [{"reason": "userRateLimitExceeded"}]}, Waiting, "Google's quota is used up", 60),
        (429, {"status": "RESOURCE_EXHAUSTED"}, Waiting, "Google's quota is used up: RESOURCE_EXHAUSTED", 60),
        (
            403,
            {"status": "PERMISSION_DENIED", "message": "A"},
            NoCredentials,
            f"{ACCOUNT} may not read .* PERMISSION_DENIED",
            0,
        ),
        (404, {"status": "NOT_FOUND"}, Failed, "there is no such app", 0),
        (500, {"status": "INTERNAL"}, Failed, "status 500", 0),
    ],
)
def test_what_google_refuses(
    play: GooglePlayServer, status: int, error: JsonObject, state: type[Exception], line: str, wait: float
) -> None:
    play.error = status, error
    with pytest.raises(state, match=line) as found:
        polls(play).poll()
    assert asked(play) == 1
    if isinstance(found.value, Waiting):
        assert found.value.until == pytest.approx(time.time() + wait, abs=30)


def test_each_review_once_in_its_last_state_whatever_fails(play: GooglePlayServer) -> None:
    random, number = Random(7), 5
    source = polls(play)
    fill(play, 1, number)
    source.poll()
    play.faults.share, play.faults.retry_after = 0.2, "9"
    play.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for step in range(1, 16):
        count = random.choice((0, 1, 5, 120, 330))
        fill(play, number + 1, number + count)
        number += count
        for each in random.sample(range(1, number), min(number - 1, 3)):
            play.world.edit(each, f"edit {step} of {each}", NOW - 10_000 + number + 0.5)
        source.run(starts=random.choice((1, 1, 9)))
    play.faults.share = 0.0
    source.poll()
    assert source.operations["create"] == number and not source.gaps
    texts = {event["id"]: event["text"] for event in source.events if "text" in event}
    assert texts == {f"r{item.number}": item.text for item in play.world.newest()}
