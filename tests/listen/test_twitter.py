"""X's recent search as a listener uses it: first start, news, pages, faults, places that X forgot, the past, refusals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pipeline.listen import api
from pipeline.listen.drivers import twitter_search
from pipeline.listen.drivers.twitter_times import id_at, time_at
from pipeline.listen.states import Failed, NoCredentials, Waiting
from schemas.untyped import JsonObject
from tests.support.driving import SHORT, Driven
from tests.support.driving import source as source_of
from tests.support.platform_server import Fault
from tests.support.twitter_server import RECENT, TOKEN, TwitterServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
DAY_S = 86_400.0


@pytest.fixture
def server() -> Iterator[TwitterServer]:
    server = TwitterServer()
    with server.running():
        yield server


def polls(server: TwitterServer, token: str = TOKEN, **more: object) -> Driven:
    source = source_of(platform="twitter", query="cup", server=server.url, **{"stream": False, **more})
    return Driven(source, token, beside=frozenset(("a",)))


def post(server: TwitterServer, count: int, first: int = 0, before_s: float = 3_600.0) -> None:
    """Posts that are there when the server is asked, one a second."""
    now = time.time()
    for number in range(first, first + count):
        at = now - before_s + number - first
        server.world.post(number, at, f"cup {number}")
        server.versions[number] = [str(int(id_at(at)) + number)]


def no_faults(count: int) -> list[Fault]:
    return [""] * count


def requests(server: TwitterServer) -> int:
    return server.requests[RECENT]


def test_one_page_then_what_is_new(server: TwitterServer) -> None:
    post(server, 250)
    heard, before = polls(server), time.time()
    heard.poll()
    assert heard.operations == {"create": 100} and heard.pages == requests(server) == 1
    assert before - 1 <= time_at(heard.cursors["live"]["since"]) + twitter_search.SLACK_S <= time.time() + 1
    heard.poll()
    assert heard.operations == {"create": 100} and requests(server) == 2
    for number in range(1_000, 1_350):
        server.world.post(number, time.time(), f"cup {number}")
    server.world.post(2_000, time.time(), "a kettle")
    heard.poll()
    assert heard.operations == {"create": 450} and requests(server) == 2 + 4
    server.world.edit(1_349, "cup, edited", time.time())
    server.world.like(1_348, 7)
    server.world.delete(1_347)
    heard.poll()
    assert heard.operations == {"create": 450, "update": 2} and not heard.gaps


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty", "stall"])
def test_a_failed_request_costs_one_more(server: TwitterServer, fault: Fault, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "LIMITS", SHORT if fault == "stall" else api.LIMITS)
    heard = polls(server)
    heard.poll()
    for number in range(350):
        server.world.post(number, time.time(), f"cup {number}")
    server.faults.plan = [*no_faults(at), fault]
    ended = False
    while not ended:
        with suppress(Failed):  # aiohttp itself repeats a request whose connection, an older one, breaks off
            heard.poll()
            ended = True
    assert heard.operations == {"create": 350} and requests(server) == 1 + 4 + 1


def test_a_walk_goes_on_elsewhere_while_posts_come_and_go(server: TwitterServer) -> None:
    heard = polls(server)
    heard.poll()
    for number in range(350):
        server.world.post(number, time.time(), f"cup {number}")
    heard.run(lambda: heard.pages == 3)
    server.world.delete(349)
    server.world.post(500, time.time(), "cup, in the middle of a poll")
    heard.poll()
    heard.poll()
    assert heard.operations == {"create": 351}


def test_a_token_that_x_forgot_is_replaced_by_an_id(server: TwitterServer) -> None:
    heard = polls(server)
    heard.poll()
    for number in range(350):
        server.world.post(number, time.time(), f"cup {number}")
    server.forgets_tokens = True
    heard.poll()
    assert heard.operations == {"create": 350} and requests(server) == 1 + 4 + 3


def test_pages_that_repeat_are_passed_by(server: TwitterServer) -> None:
    heard = polls(server)
    heard.poll()
    for number in range(350):
        server.world.post(number, time.time(), f"cup {number}")
    server.repeats = True
    heard.poll()
    assert heard.operations == {"create": 350} and not heard.gaps


def test_a_place_before_the_seven_days_is_a_gap(server: TwitterServer) -> None:
    now = time.time()
    post(server, 120, before_s=DAY_S)
    heard = polls(server)
    heard.cursors["live"] = {"since": id_at(now - 9 * DAY_S)}
    heard.poll()
    assert heard.operations == {"create": 120} and requests(server) == 3
    (gap,) = heard.gaps
    assert "seven days" in gap.reason and gap.since < gap.until
    heard.poll()
    assert len(heard.gaps) == 1


def test_the_past_ends_where_it_should(server: TwitterServer) -> None:
    post(server, 250, before_s=2 * DAY_S)
    post(server, 250, 1_000, before_s=3_600)
    heard = polls(server)
    heard.poll()
    heard.run(lambda: heard.pages == 2, "back", time.time() - DAY_S)
    heard.backfill(time.time() - DAY_S)
    assert heard.operations == {"create": 250} and not heard.gaps
    heard = polls(server)
    heard.backfill(time.time() - 30 * DAY_S)
    assert heard.operations == {"create": 500} and len(heard.gaps) == 1


@pytest.mark.parametrize(
    ("status", "problem", "state", "says"),
    [
        (401, {"title": "Unauthorized"}, NoCredentials, "401: Unauthorized"),
        (
            403,
            {"title": "Client Forbidden", "reason": "client-not-enrolled"},
            NoCredentials,
            "Client Forbidden, client-not-enrolled",
        ),
        (402, {"title": "CreditsDepleted"}, Waiting, "402: CreditsDepleted"),
        (429, {"title": "UsageCapExceeded", "type": "https://api.x.com/2/problems/usage-capped"}, Waiting, "UsageCapExceeded"),
        (429, {"title": "Too Many Requests"}, Waiting, "429"),
        (400, {"errors": [{"message": "missing\nEOF"}], "title": "Invalid Request"}, Failed, ": Invalid Request, missing EOF"),
        (503, {"title": "Service Unavailable"}, Failed, "503: Service"),
    ],
)
def test_refusals_say_why(server: TwitterServer, status: int, problem: JsonObject, state: type[Exception], says: str) -> None:
    server.problem = status, problem
    heard = polls(server)
    with pytest.raises(state) as found:
        heard.poll()
    assert says in str(found.value) and "\n" not in str(found.value) and TOKEN not in str(found.value)
    assert (heard.limit.until > time.time() + 600) == (state is Waiting)


def test_a_wrong_token_and_none(server: TwitterServer) -> None:
    with pytest.raises(NoCredentials, match="401"):
        polls(server, "another").check()
    with pytest.raises(NoCredentials, match="bearer token"):
        polls(server, "").check()


def test_a_try_reads_little_and_leaves_the_stream_alone(server: TwitterServer) -> None:
    post(server, 50)
    heard = polls(server, stream=True)
    heard.beside = None
    assert "0 rules" in heard.check()
    heard.poll()
    assert heard.operations == {"create": 10} and server.reads == 10
    assert not server.rules and not server.connections


@pytest.mark.parametrize("off", [3_600.0, -3_600.0])
def test_a_clock_an_hour_off_loses_nothing(server: TwitterServer, off: float) -> None:
    heard = polls(server)
    heard.timer.ahead = off
    heard.poll()
    server.world.post(1, time.time(), "cup")
    heard.poll()
    assert heard.texts == ["cup"]
