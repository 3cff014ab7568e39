"""X's recent search as a listener uses it: first start, news, pages, faults, places that X forgot, the past, refusals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from pipeline.http.outgoing import Limits, Outgoing
from pipeline.listen import api
from pipeline.listen.drivers import twitter_search
from pipeline.listen.drivers.twitter_times import id_at, time_at
from pipeline.listen.states import Failed, NoCredentials, Waiting
from schemas.untyped import JsonObject
from tests.support.heard import Heard, hearing, source_of
from tests.support.platform_server import Fault
from tests.support.twitter_server import RECENT, TOKEN, TwitterServer

pytestmark = pytest.mark.timeout(60)
DAY_S = 86_400.0


@pytest.fixture
def server() -> Iterator[TwitterServer]:
    server = TwitterServer()
    with server.running():
        yield server


def source(server: TwitterServer) -> JsonObject:
    return {
        "name": "cups",
        "platform": "twitter",
        "query": "cup",
        "stream": False,
        "server": server.url,
        "token_env": "X_TOKEN",
    }


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


async def test_one_page_then_what_is_new(server: TwitterServer) -> None:
    post(server, 250)
    async with hearing(source(server), TOKEN) as heard:
        await heard.poll()
        assert heard.counts() == {"create": 100} and heard.pages == requests(server) == 1
        assert abs(time_at(heard.cursor["since"]) - time.time() + twitter_search.SLACK_S) < 5
        await heard.poll()
        assert heard.counts() == {"create": 100} and requests(server) == 2
        for number in range(1_000, 1_350):
            server.world.post(number, time.time(), f"cup {number}")
        server.world.post(2_000, time.time(), "a kettle")
        await heard.poll()
        assert heard.counts() == {"create": 450} and requests(server) == 2 + 4
        server.world.edit(1_349, "cup, edited", time.time())
        server.world.like(1_348, 7)
        server.world.delete(1_347)
        await heard.poll()
        assert heard.counts() == {"create": 450, "update": 2} and not heard.gaps


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty", "stall"])
async def test_a_failed_request_costs_one_more(
    server: TwitterServer, fault: Fault, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "LIMITS", Limits(total_s=0.3, body=32 << 20))
    async with hearing(source(server), TOKEN) as heard:
        await heard.poll()
        for number in range(350):
            server.world.post(number, time.time(), f"cup {number}")
        server.faults.plan = [*no_faults(at), fault]
        ended = False
        while not ended:
            with suppress(Failed):  # aiohttp itself repeats a request whose connection, an older one, breaks off
                await heard.poll()
                ended = True
        assert heard.counts() == {"create": 350} and requests(server) == 1 + 4 + 1


async def test_a_walk_goes_on_elsewhere_while_posts_come_and_go(server: TwitterServer) -> None:
    async with hearing(source(server), TOKEN) as heard:
        await heard.poll()
        for number in range(350):
            server.world.post(number, time.time(), f"cup {number}")
        await heard.poll(pages=2)
        server.world.delete(349)
        server.world.post(500, time.time(), "cup, in the middle of a poll")
        await heard.poll()
        await heard.poll()
        assert heard.counts() == {"create": 351}


async def test_a_token_that_x_forgot_is_replaced_by_an_id(server: TwitterServer) -> None:
    async with hearing(source(server), TOKEN) as heard:
        await heard.poll()
        for number in range(350):
            server.world.post(number, time.time(), f"cup {number}")
        server.forgets_tokens = True
        await heard.poll()
        assert heard.counts() == {"create": 350} and requests(server) == 1 + 4 + 3


async def test_pages_that_repeat_are_passed_by(server: TwitterServer) -> None:
    async with hearing(source(server), TOKEN) as heard:
        await heard.poll()
        for number in range(350):
            server.world.post(number, time.time(), f"cup {number}")
        server.repeats = True
        await heard.poll()
        assert heard.counts() == {"create": 350} and not heard.gaps


async def test_a_place_before_the_seven_days_is_a_gap(server: TwitterServer) -> None:
    now = time.time()
    post(server, 120, before_s=DAY_S)
    async with hearing(source(server), TOKEN) as heard:
        heard.cursor = {"since": id_at(now - 9 * DAY_S)}
        await heard.poll()
        assert heard.counts() == {"create": 120} and requests(server) == 3
        (gap,) = heard.gaps
        assert "seven days" in gap.reason and gap.since < gap.until
        await heard.poll()
        assert len(heard.gaps) == 1


async def test_the_past_ends_where_it_should(server: TwitterServer) -> None:
    post(server, 250, before_s=2 * DAY_S)
    post(server, 250, 1_000, before_s=3_600)
    async with hearing(source(server), TOKEN) as heard:
        await heard.poll()
        await heard.fill(time.time() - DAY_S, pages=1)
        await heard.fill(time.time() - DAY_S)
        assert heard.counts() == {"create": 250} and not heard.gaps
    async with hearing(source(server), TOKEN) as heard:
        await heard.fill(time.time() - 30 * DAY_S)
        assert heard.counts() == {"create": 500} and len(heard.gaps) == 1


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
async def test_refusals_say_why(
    server: TwitterServer, status: int, problem: JsonObject, state: type[Exception], says: str
) -> None:
    server.problem = status, problem
    async with hearing(source(server), TOKEN) as heard:
        with pytest.raises(state) as found:
            await heard.poll()
        assert says in str(found.value) and "\n" not in str(found.value) and TOKEN not in str(found.value)
        server.problem = None
        if state is Waiting:
            with pytest.raises(Waiting):
                await heard.poll()
            assert requests(server) == 1


async def test_a_wrong_token_and_none(server: TwitterServer) -> None:
    async with hearing(source(server), "another") as heard:
        with pytest.raises(NoCredentials):
            await heard.driver().check()
    client = Outgoing()
    with pytest.raises(NoCredentials, match="bearer token"):
        Heard(source_of(source(server)), client, {}, "").driver()
    await client.close()


async def test_a_try_reads_little_and_leaves_the_stream_alone(server: TwitterServer) -> None:
    post(server, 50)
    async with hearing({**source(server), "stream": True}, TOKEN) as heard:
        heard.beside = None
        assert "0 rules" in await heard.driver().check()
        await heard.poll()
        assert heard.counts() == {"create": 10} and server.reads == 10
        assert not server.rules and not server.connections


async def test_a_clock_an_hour_off_loses_nothing(server: TwitterServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.listen import timer

    real = time.time
    for off in (3_600.0, -3_600.0):
        monkeypatch.setattr(timer, "wall", lambda off=off: real() + off)
        async with hearing(source(server), TOKEN) as heard:
            await heard.poll()
            await asyncio.sleep(0.01)
            server.world.post(int(off) + 10_000, real(), f"cup {off}")
            await heard.poll()
            assert f"cup {off}" in heard.texts()
