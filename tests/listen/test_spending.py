"""What a source may cost and may ask for: a month's sum, a rate limit, an hour's wait; not one request more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
import pytest
from aiohttp import web

from pipeline.listen.costs import costs_of, line_of
from pipeline.listen.drivers.twitter_times import id_at
from pipeline.listen.record import Record, read
from pipeline.listen.shares import weights_of
from pipeline.listen.source import Cost
from pipeline.listen.spending import MOST_IDS, Spending
from pipeline.listen.states import Spent, Waiting
from tests.support.driving import Driven, Fast
from tests.support.driving import source as source_of
from tests.support.twitter_server import RECENT, TOKEN, TwitterServer

pytestmark = pytest.mark.timeout(120)
SUM = Cost("USD", 0.005, 0.5)
"""100 items."""


class At(Fast):
    """A clock that a test sets."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.set(at)

    def set(self, at: str) -> None:
        """It goes on from then."""
        self.ahead = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() - time.time()


def names(first: int, count: int = 1) -> list[str]:
    return [str(number) for number in range(first, first + count)]


def again(timer: At, spending: Spending) -> Spending:
    """As the next listener reads it in the source's record."""
    record = read(b"x", Record("x", "cups").next({"live": {}} | spending.dump(), b"", 0).dump())
    assert isinstance(record, Record)
    return Spending(timer, SUM, record.taken("kettles").cursor.get("spent"))


# --- the count --------------------------------------------------------------------------------------------------------
def test_a_sum_ends_its_month_and_the_next_one_begins_anew() -> None:
    timer = At("2026-11-20")
    spending = Spending(timer, SUM)
    with spending.room(10, 100) as most:
        assert most == 100
        with pytest.raises(Waiting, match="another request") as waits:
            spending.check(10)
        assert not isinstance(waits.value, Spent)
        spending.paid(names(0, 60))
    with spending.room(10, 100) as most:
        assert most == 40
        spending.paid(names(0, 60) + names(100, 31))
    for each in (spending, again(timer, spending)):
        each.check(9)
        with pytest.raises(Spent, match=r"^its budget for November is spent$") as spent:
            each.check(10)
        assert datetime.fromtimestamp(spent.value.until, UTC) == datetime(2026, 12, 1, tzinfo=UTC)
        figures = each.figures()
        assert figures is not None and (figures.currency, figures.sum, figures.until.isoformat()) == (
            "USD",
            0.5,
            "2026-12-01T00:00:00+00:00",
        )
        assert [round(value, 6) for value in (figures.spent, figures.left or 0.0, figures.pace)] == [0.455, 0.045, 0.455 * 30]
    timer.set("2026-12-01")
    with again(timer, spending).room(10, 100) as most:
        assert most == 100


def test_an_item_counts_once_a_day() -> None:
    timer = At("2026-11-20")
    spending = Spending(timer, SUM)
    spending.paid(names(0, 20))
    again(timer, spending).paid(names(0, 20))
    spending.check(80)
    timer.set("2026-11-21")
    spending.paid(names(0, 20))
    spending.check(60)
    with pytest.raises(Spent):
        spending.check(61)
    spending.paid(names(0, MOST_IDS + 20))
    assert len(orjson.dumps(spending.dump())) < 70_000, "it is part of each record"


def test_a_clock_that_jumps_over_a_months_end_and_back_spends_no_sum_twice() -> None:
    timer = At("2026-11-30T23:00:00")
    spending, paid = Spending(timer, SUM), 0
    for at in (
        "2026-11-30T23:00:00",
        "2026-12-01",
        "2026-11-30T23:01:00",
        "2026-12-02",
        "1970-01-01",
        "2026-11-30T23:02:00",
        "2026-12-03",
    ):
        timer.set(at)
        spending = again(timer, spending)
        while True:
            try:
                with spending.room(10, 100) as most:
                    spending.paid(names(paid, most))
                    paid += most
            except Spent:
                break
    assert paid == 200, "each month's sum"


def test_a_back_fill_leaves_half_of_the_sum() -> None:
    spending = Spending(At("2026-11-20"), SUM)
    with spending.room(10, 100, past=True) as most:
        spending.paid(names(0, most))
    assert most == 50
    with pytest.raises(Spent):
        spending.check(10, past=True)
    spending.check(50)


def test_without_a_sum_it_is_counted_all_the_same_and_without_a_price_nothing_is() -> None:
    timer = At("2026-11-20")
    spending, free = Spending(timer, Cost("USD", 0.01)), Spending(timer)
    for each in (spending, free):
        with each.room(10, 100) as most:
            each.paid(names(0, most))
    figures = spending.figures()
    assert figures is not None and (figures.spent, figures.left, figures.pace) == (1.0, None, 30.0)
    assert free.figures() is None and free.dump() == {}


# --- requests ---------------------------------------------------------------------------------------------------------
class Rationed(TwitterServer):
    """Says how many requests of its window are left, and answers any."""

    left = 450

    async def _recent(self, request: web.Request) -> web.Response:
        answer = await super()._recent(request)
        self.left -= 1
        answer.headers["x-rate-limit-remaining"] = str(max(0, self.left))
        return answer


@pytest.fixture(scope="module")
def shared() -> Iterator[Rationed]:
    server = Rationed()
    now = time.time()
    for number in range(500):
        server.world.post(number, now - 3_600 + number, f"cup {number}")
        server.versions[number] = [str(int(id_at(now - 3_600 + number)) + number)]
    with server.running():
        yield server


@pytest.fixture
def server(shared: Rationed) -> Rationed:
    shared.left, shared.reads = 450, 0
    shared.requests.clear()
    return shared


def polls(server: TwitterServer, **more: object) -> Driven:
    source = source_of(platform="twitter", query="cup", server=server.url, stream=False, **more)
    heard = Driven(source, TOKEN, beside=frozenset(("a",)))
    heard.cursors["live"] = {"since": id_at(time.time() - 86_400)}
    return heard


def refused(heard: Driven) -> Waiting:
    with pytest.raises(Waiting) as found:
        heard.poll()
    return found.value


def test_a_months_sum_is_not_one_request_too_much(server: Rationed) -> None:
    heard = polls(server, spend=1.27)  # 254 posts, and X gives pages of ten and more
    heard.timer = timer = At("2026-11-20")
    assert str(refused(heard)) == "its budget for November is spent"
    assert server.requests[RECENT] == 3 and server.reads == 254 and heard.operations == {"create": 254}
    other = polls(server, spend=1.27)
    other.timer, other.spent, other.cursors = timer, heard.spent, heard.cursors
    for at in ("2026-11-20", "2026-11-30T23:59:59"):
        timer.set(at)
        spent = refused(other)
        assert datetime.fromtimestamp(spent.until, UTC) == datetime(2026, 12, 1, tzinfo=UTC)
    assert server.requests[RECENT] == 3
    timer.set("2026-12-01")
    other.poll()
    assert other.operations == {"create": 246} and server.requests[RECENT] == 6


def test_a_wait_of_an_hour_is_one(server: Rationed) -> None:
    heard = polls(server)
    server.faults.plan, server.faults.retry_after, before = ["429"], "3600", time.time()
    waits = refused(heard)
    assert str(waits) == "the platform asks to wait: status 429" and before <= waits.until - 3_600 <= time.time()
    heard.timer.ahead -= 60
    assert refused(heard).until == waits.until and server.requests[RECENT] == 1
    heard.timer.ahead += 60
    heard.poll()
    assert heard.operations == {"create": 500}


def test_of_three_requests_left_three_are_made(server: Rationed) -> None:
    heard = polls(server)
    server.left, before = 3, time.time()
    waits = refused(heard)
    assert str(waits) == "its rate limit is used up" and before <= waits.until - 899 <= time.time() + 2
    heard.timer.ahead -= 60
    assert refused(heard).until == waits.until and server.requests[RECENT] == 3
    heard.timer.ahead += 61
    server.left = 450
    heard.poll()
    assert heard.operations == {"create": 500}


def test_sources_share_a_limit_by_weight(server: Rationed) -> None:
    cups, more = polls(server, budget=2), polls(server, name="more")
    assert weights_of([more.source]) == {}
    cups.limit.shares.weights = weights_of([cups.source, more.source])
    assert cups.limit.shares.weights == {"a": 2.0, "more": 1.0}
    more.limit, server.left = cups.limit, 7
    more.cursors["live"] = {"since": id_at(time.time() + 3_600)}
    more.poll()
    assert server.requests[RECENT] == 1 and server.left == 6, "from now on both know what is left"
    waits = refused(cups)
    assert str(waits) == "its share of the rate limit is used up" and server.requests[RECENT] == 1 + 4
    cups.timer.ahead -= 60
    assert refused(cups).until == waits.until and server.requests[RECENT] == 1 + 4
    more.cursors["live"] = {"since": id_at(time.time() - 86_400)}
    assert str(refused(more)) == "its rate limit is used up" and server.requests[RECENT] == 1 + 4 + 2
    cups.timer.ahead += 60
    server.left = 450
    cups.poll()
    assert cups.operations == {"create": 500}


def test_a_back_fill_takes_half_of_a_window(server: Rationed) -> None:
    heard = polls(server)
    server.left = 5
    with pytest.raises(Waiting, match="what is left of its rate limit is for what comes live"):
        heard.backfill(time.time() - 86_400)
    assert server.requests[RECENT] == 4, "left are 4, 3, 2, and 1"


def test_what_is_left_until_when_and_the_pace_are_one_line() -> None:
    sources = [
        source_of(platform="twitter", name="cups", query="cup", spend=20),
        source_of(platform="twitter", name="pots", query="pot"),
        source_of(platform="rss", name="blog", url="https://blog.example.org"),
    ]
    spent = {"months": {"2026-11": 1_000}, "since": datetime(2026, 11, 1, tzinfo=UTC).timestamp()}
    found = costs_of(sources, {"cups": orjson.dumps(spent).decode()}, At("2026-11-11T00:00:00"))
    assert {name: line_of(figures) for name, figures in found.items()} == {
        "cups": "5.00 of 20.00 USD, 15.00 left until 2026-12-01; 15.00 a month at this pace",
        "pots": "0.00 USD; 0.00 a month at this pace",
    }
