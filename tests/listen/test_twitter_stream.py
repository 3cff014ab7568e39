"""X's filtered stream as a listener uses it: rules, breaks, stalls, gaps, sources that share a connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson
import pytest

from pipeline.listen.drivers import twitter, twitter_search, twitter_stream
from pipeline.listen.drivers.twitter_times import time_at
from pipeline.listen.states import NoCredentials, Waiting
from schemas.untyped import JsonObject
from tests.support.driving import PATIENCE_S, Driven
from tests.support.driving import source as source_of
from tests.support.platform_server import Fault
from tests.support.twitter_server import RECENT, RULES, STREAM, TOKEN, TwitterServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def server() -> Iterator[TwitterServer]:
    server = TwitterServer()
    server.blank_s = 0.1
    with server.running():
        yield server


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twitter_search, "SLACK_S", 0.3)
    monkeypatch.setattr(twitter, "SLACK_S", 0.3)
    monkeypatch.setattr(twitter, "SETTLE_S", 0.5)
    monkeypatch.setattr(twitter_stream, "IDLE_S", 0.6)


def keys(server: TwitterServer, name: str = "cups", query: str = "cup") -> JsonObject:
    return {"name": name, "platform": "twitter", "query": query, "server": server.url}


def listens(server: TwitterServer, name: str = "cups", query: str = "cup") -> Driven:
    return Driven(source_of(**keys(server, name, query)), TOKEN, beside=frozenset((name,)))


async def soon(condition: Callable[[], bool]) -> None:
    """Waits until it is true. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def caught_up(server: TwitterServer, searches: int = 2) -> None:
    """Waits until nothing is left to search: the last search of a stream begins SETTLE_S after it, and is the second or, on a
    slow machine, the first beside the stream."""
    await soon(lambda: server.requests[RECENT] >= searches)
    seen = 0
    while server.requests[RECENT] != seen:
        seen = server.requests[RECENT]
        await asyncio.sleep(2 * twitter.SETTLE_S)


def last_texts(heard: Driven) -> list[str]:
    """What each item says at last."""
    texts = dict[str, str]()
    for event in heard.events:
        texts |= {event["id"]: event["text"]} if "text" in event else {}
    return sorted(texts.values())


@asynccontextmanager
async def listened(*all_heard: Driven) -> AsyncIterator[None]:
    """Each runs beside the others."""
    tasks = [asyncio.create_task(each.keep_on()) for each in all_heard]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def post(server: TwitterServer, number: int, text: str = "cup") -> None:
    server.world.post(number, time.time(), f"{text} {number}")


async def test_what_was_there_what_comes_and_what_came_between(server: TwitterServer) -> None:
    post(server, 0)
    heard = listens(server)
    async with listened(heard):
        await soon(lambda: server.connections == 1 and heard.texts == ["cup 0"])
        post(server, 1)
        await asyncio.sleep(0.01)  # X's times are in milliseconds, and nobody edits in the one of the post
        server.world.edit(1, "cup, edited", time.time())
        post(server, 2, "kettle")
        await soon(lambda: last_texts(heard) == ["cup 0", "cup, edited"])
        await caught_up(server)
    post(server, 3)
    async with listened(heard):
        await soon(lambda: "cup 3" in heard.texts)
        await caught_up(server, server.requests[RECENT])
    assert last_texts(heard) == ["cup 0", "cup 3", "cup, edited"] and not heard.errors and not heard.gaps
    changes = [event for event in heard.events if event["operation"] == "update"]
    assert heard.operations["create"] == 3 and len(changes) <= 1, f"none where a search saw the edited one first: {changes}"
    assert server.requests[RECENT] <= 1 + 2 + 2 and server.requests[STREAM] == 2 and server.requests[RULES] == 3
    assert [(rule["value"], rule["tag"]) for rule in server.rules.values()] == [("cup", "earshot:cups")]


async def test_a_post_of_the_break_that_the_search_finds_late(server: TwitterServer) -> None:
    heard = listens(server)
    async with listened(heard):
        await soon(lambda: server.connections == 1)
        await caught_up(server)
    server.search_lag_s = 0.3
    post(server, 1)
    async with listened(heard):
        await soon(lambda: server.connections == 2)
        await soon(lambda: "cup 1" in heard.texts)


@pytest.mark.parametrize("end", ["closed", "silent", "disconnect", "broken"])
async def test_a_stream_that_ends_goes_on(server: TwitterServer, end: str) -> None:
    heard = listens(server)
    async with listened(heard):
        await soon(lambda: server.connections == 1)
        await caught_up(server)
        if end == "closed":
            server.line(None)
        elif end == "silent":
            server.blank_s = 3_600.0
            await soon(lambda: server.requests[STREAM] == 1)
        elif end == "disconnect":
            error = {"title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect"}
            server.line(orjson.dumps({"errors": [error]}))
        else:
            server.line(b'{"data": {"id": "1')
        post(server, 1)
        await soon(lambda: server.requests[STREAM] >= 2)
        server.blank_s = 0.1
        post(server, 2)
        await soon(lambda: sorted(heard.texts) == ["cup 1", "cup 2"])
        says = {"closed": "", "silent": "no line for", "disconnect": "operational-disconnect", "broken": "no JSON"}[end]
        assert [says] == [says for error in heard.errors[:1] if says in str(error)] or not (heard.errors or says)


@pytest.mark.parametrize(
    ("fault", "at"), [*(("500", at) for at in range(5)), *(("half", at) for at in (0, 1, 2, 4)), ("html", 3)]
)
async def test_a_failed_request_costs_one_more(
    server: TwitterServer, fault: Fault, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Search, rules read, rule written, stream, search, search."""
    none: list[Fault] = [""]
    server.faults.plan = [*none * at, fault]
    monkeypatch.setattr(twitter, "SETTLE_S", 0.2)
    heard = listens(server)
    async with listened(heard):
        await soon(lambda: "live" in heard.cursors and server.connections == 1)
        # a search that is late, as one that is tried again, is the last; a stream of HTML had begun: its rules are read again
        requests = 6 + (2 if (at, fault) == (3, "html") else 1)
        await soon(lambda: sum(server.requests.values()) >= requests - 1)
        await caught_up(server)
        assert requests - 1 <= sum(server.requests.values()) <= requests


async def test_the_stream_moves_the_place(server: TwitterServer) -> None:
    heard = listens(server)
    async with listened(heard):
        await caught_up(server)
        await asyncio.sleep(1.0)
        before = time.time()
        post(server, 1)
        matching = [{"id": rule["id"]} for rule in server.rules.values()]
        far = {"id": "9" * 19, "text": "cup of another age", "author_id": "1"}
        server.line(orjson.dumps({"data": far, "matching_rules": matching}))
        await soon(lambda: len(heard.texts) == 2)
        # the server says its time in whole seconds
        assert before - twitter_search.SLACK_S - 1.1 <= time_at(heard.cursors["live"]["since"]) <= time.time()


async def test_a_quiet_stream_moves_the_place_too(server: TwitterServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twitter, "QUIET_S", 1.0)
    heard = listens(server)
    async with listened(heard):
        await caught_up(server)
        before = heard.cursors["live"]["since"]
        await soon(lambda: time_at(heard.cursors["live"]["since"]) > time_at(before) + 0.5)


async def test_each_post_once_over_faults_breaks_and_restarts(server: TwitterServer) -> None:
    server.faults.share, server.faults.kinds, server.search_lag_s = 0.2, ("500", "reset", "half"), 0.2
    heard = listens(server)
    for start in range(4):
        async with listened(heard):
            for number in range(start * 100, start * 100 + 100):
                post(server, number)
                if number % 40 == 39:
                    server.line(None)
                await asyncio.sleep(0.005)
    server.faults.share = 0.0
    async with listened(heard):
        await soon(lambda: len(heard.texts) == 400)
    assert heard.operations == {"create": 400} and len(set(heard.texts)) == 400


async def test_more_posts_than_wait_are_searched(server: TwitterServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twitter_stream, "MOST", 20)
    heard = listens(server)
    async with listened(heard):
        await caught_up(server)
        for number in range(100):
            post(server, number)
        await soon(lambda: len(heard.texts) == 100)
        assert any("could be sent" in str(error) for error in heard.errors)


async def test_sources_of_a_credential_share_the_connection(server: TwitterServer) -> None:
    theirs = server.put_rule("somebody else's", "theirs")
    server.put_rule("of a source that is gone", "earshot:gone")
    cups, kettles, more = listens(server), listens(server, "kettles", "kettle"), listens(server, "more-cups")
    for each in (cups, kettles, more):
        each.shared, each.beside = cups.shared, frozenset(("cups", "kettles", "more-cups"))
    async with listened(cups, kettles):
        async with listened(more):
            await caught_up(server, 3 + 3)
            assert server.connections == 1
            assert {rule["tag"] for rule in server.rules.values()} == {"theirs", "earshot:cups", "earshot:kettles"}
            post(server, 1)
            post(server, 2, "kettle and cup")
            post(server, 3, "kettle")
            await soon(lambda: [len(each.texts) for each in (cups, kettles, more)] == [2, 2, 2])
            cups.beside = kettles.beside = frozenset(("cups", "kettles"))
        await soon(lambda: server.connections == 2)
        post(server, 4)
        await soon(lambda: len(cups.texts) == 3)
    assert theirs in server.rules and not more.errors and not cups.errors


async def test_a_source_whose_sum_is_spent_takes_no_post_more_and_the_others_go_on(server: TwitterServer) -> None:
    cups, kettles = listens(server), listens(server, "kettles", "kettle")
    cups.source = source_of(**keys(server), spend=0.1)
    for each in (cups, kettles):
        each.shared, each.beside = cups.shared, frozenset(("cups", "kettles"))
    async with listened(cups, kettles):
        await caught_up(server, 2 + 2)
        for number in range(20):
            post(server, number)
        await soon(lambda: server.connections == 2 and bool(cups.errors))
        assert str(cups.errors[0]) == f"its budget for {datetime.now(UTC):%B} is spent"
        assert [rule["tag"] for rule in server.rules.values()] == ["earshot:kettles"]
        post(server, 30)
        post(server, 31, "kettle")
        await soon(lambda: kettles.texts == ["kettle 31"])
        await caught_up(server, server.requests[RECENT])
    assert len(cups.texts) == 20


async def test_a_query_that_changed_has_another_rule(server: TwitterServer) -> None:
    heard = listens(server)
    async with listened(heard):
        await soon(lambda: server.connections == 1)
    heard = listens(server, query="kettle")
    async with listened(heard):
        await soon(lambda: server.connections == 2)
        assert [rule["value"] for rule in server.rules.values()] == ["kettle"]


async def test_refusals_say_why(server: TwitterServer) -> None:
    wrong, first, other = listens(server, query="(cup"), listens(server), listens(server)
    async with listened(wrong):
        await soon(lambda: bool(wrong.errors))
    assert "refuses the query as a rule: UnprocessableEntity, the rule" in str(wrong.errors[0])
    async with listened(first):
        await soon(lambda: server.connections == 1)
        async with listened(other):
            await soon(lambda: bool(other.errors))
        assert isinstance(other.errors[0], Waiting) and "another connection" in str(other.errors[0])
        server.problem = 401, {"title": "Unauthorized"}
        server.line(None)
        await soon(lambda: any(isinstance(error, NoCredentials) for error in first.errors))
        server.problem = None
        post(server, 1)
        await soon(lambda: first.texts == ["cup 1"])
