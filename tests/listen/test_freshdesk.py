"""The driver of Freshdesk against a helpdesk on loopback."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from pipeline.listen.states import Failed, NoCredentials, Waiting
from schemas.untyped import JsonObject
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.freshdesk_server import KEY, FreshdeskServer
from tests.support.platform_server import Fault

pytestmark = pytest.mark.slow

NOW = float(int(time.time()))
NONE: list[Fault] = [""] * 9


@pytest.fixture
def desk() -> Iterator[FreshdeskServer]:
    server = FreshdeskServer()
    with server.running():
        yield server


def fill(desk: FreshdeskServer, first: int, last: int, at: float = 0.0) -> None:
    for number in range(first, last + 1):
        desk.world.post(number, at or NOW - 100_000 + number, f"ticket {number}")


def polls(desk: FreshdeskServer, token: str = KEY) -> Driven:
    return Driven(source_of(platform="freshdesk", server=desk.url), token)


def numbers(events: list[JsonObject]) -> list[int]:
    return sorted(int(event["id"].rpartition(":")[2]) for event in events if event["operation"] == "create")


def asked(desk: FreshdeskServer) -> int:
    return desk.requests.total()


def test_begins_with_the_newest_tickets_then_news_answers_and_changes(desk: FreshdeskServer) -> None:
    fill(desk, 1, 50)
    desk.answer(10, 901, NOW - 99_000, "an old answer", author="us")
    source = polls(desk)
    assert numbers(source.poll()) == [10, *range(22, 51)] and asked(desk) == 1
    assert source.poll() == [] and asked(desk) == 2, "ticket 10 is asked for again, its conversations are not"
    fill(desk, 51, 52, NOW - 9_000)
    desk.answer(52, 1_001, NOW - 8_000, "sorry", author="us")
    desk.answer(10, 1_002, NOW - 7_000, "thanks")
    desk.world.edit(49, "edited", NOW - 6_000)
    events = source.poll()
    assert numbers(events) == [51, 52, 901, 1_001, 1_002] and asked(desk) == 2 + 1 + 2
    assert Counter(event["operation"] for event in events) == {"create": 5, "update": 1}
    directions = {int(event["id"].rpartition(":")[2]): event["direction"] for event in events if ":c:" in event["id"]}
    assert directions == {901: "outbound", 1_001: "outbound", 1_002: "inbound"}
    assert source.poll() == [] and source.poll() == [] and asked(desk) == 5 + 2 and not source.gaps


def test_tickets_that_change_while_pages_are_read(desk: FreshdeskServer) -> None:
    fill(desk, 1, 20)
    source = polls(desk)
    source.poll()
    fill(desk, 21, 240)
    desk.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    desk.world.edit(21, "edited", NOW)  # all others move up
    source.poll()
    assert numbers(source.events) == [*range(1, 241)]
    assert source.poll() == [] and not source.gaps


def test_many_tickets_of_one_second(desk: FreshdeskServer) -> None:
    fill(desk, 1, 5)
    source = polls(desk)
    source.poll()
    fill(desk, 6, 340, NOW - 5_000)  # as an import makes them
    assert numbers(source.poll()) == [*range(6, 341)]
    fill(desk, 341, 341, NOW - 4_000)
    assert numbers(source.poll()) == [341] and not source.gaps


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(4))
def test_a_fault_costs_one_request(desk: FreshdeskServer, fault: Fault, position: int) -> None:
    fill(desk, 1, 20)
    source = polls(desk)
    source.poll()
    fill(desk, 21, 140)
    desk.answer(30, 1_001, NOW - 2_000, "sorry", author="us")
    desk.answer(31, 1_002, NOW - 1_000, "sorry", author="us")
    before = asked(desk)
    desk.faults.plan[:] = [*NONE[:position], fault]
    assert numbers(source.poll(starts=2)) == [*range(21, 141), 1_001, 1_002]
    assert asked(desk) - before == 2 + 2 + 1
    assert source.poll() == [] and not source.gaps


def test_a_long_conversation_and_a_ticket_that_is_deleted_on_the_way(desk: FreshdeskServer) -> None:
    fill(desk, 1, 3)
    source = polls(desk)
    source.poll()
    for number in range(1_001, 1_251):
        desk.answer(1, number, NOW - 5_000 + number, f"answer {number}")
    desk.answer(2, 2_001, NOW - 5_000, "answer 2001")
    desk.faults.plan[:] = ["", "500"]
    with pytest.raises(Failed):
        source.poll()
    desk.world.delete(2)
    assert numbers(source.poll()) == [*range(1_001, 1_251)] and source.poll() == [] and not source.gaps


def test_a_ticket_whose_answers_fail_for_ever_holds_up_no_others(desk: FreshdeskServer) -> None:
    fill(desk, 1, 3)
    source = polls(desk)
    source.poll()
    for ticket in (1, 2, 3):
        desk.answer(ticket, 1_000 + ticket, NOW - 9_000, "thanks")
    desk.broken = 1
    for number in (4, 5):
        with pytest.raises(Failed, match="500"):
            source.poll()
        source.timer.ahead += 301
        fill(desk, number, number, NOW - 5_000 + number)
    with pytest.raises(Failed, match="500"):
        source.poll()
    assert numbers(source.events) == [1, 2, 3, 4, 5, 1_002, 1_003]
    desk.broken = 0
    assert numbers(source.poll()) == [1_001] and source.poll() == [] and not source.gaps


def test_the_past(desk: FreshdeskServer) -> None:
    fill(desk, 1, 250)
    desk.answer(100, 1_001, NOW - 99_895, "answer 1001")
    source = polls(desk)
    desk.faults.plan[:] = ["", "500"]
    assert numbers(source.backfill(NOW - 100_000 + 41, starts=2)) == [*range(41, 251), 1_001]
    before = asked(desk)
    assert source.backfill(NOW - 100_000 + 41) == [] and asked(desk) == before


def test_what_freshdesk_refuses(desk: FreshdeskServer) -> None:
    fill(desk, 1, 3)
    with pytest.raises(NoCredentials, match="refuses the API key") as error:
        polls(desk, "wr0ng").poll()
    assert "wr0ng" not in str(error.value)
    with pytest.raises(NoCredentials, match="should hold an API key"):
        polls(desk, "").poll()
    source = polls(desk)
    for status, state, line in ((403, NoCredentials, "may not see tickets"), (404, Failed, "is server that of a helpdesk")):
        desk.status = status
        with pytest.raises(state, match=line):
            source.poll()
    desk.status, desk.faults.retry_after = 200, "40"
    desk.faults.plan[:] = ["429"]
    with pytest.raises(Waiting) as waits:
        source.poll()
    assert waits.value.until == pytest.approx(time.time() + 40, abs=30)
    assert len(source.poll()) == 3 and KEY not in str(source.cursors)
    assert source.check().startswith(f"{desk.url}: 3 tickets on the newest page, the last change at 20")


def test_each_item_once_in_its_last_state_whatever_fails(desk: FreshdeskServer) -> None:
    random, tickets, answers = Random(7), 5, 10_000
    source = polls(desk)
    fill(desk, 1, tickets)
    source.poll()
    desk.faults.share, desk.faults.retry_after = 0.2, "9"
    desk.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for step in range(1, 16):
        count = random.choice((0, 1, 5, 120, 230))
        fill(desk, tickets + 1, tickets + count, NOW - 90_000 + 100 * step)
        tickets += count
        for each in random.sample(range(1, tickets + 1), 3):
            answers += 1
            desk.answer(each, answers, NOW - 90_000 + 100 * step + 50, f"answer {answers}")
            desk.world.edit(each, f"edit {step} of {each}", NOW - 90_000 + 100 * step + random.randrange(99))
        source.run(starts=random.choice((1, 1, 9)))
    desk.faults.share = 0.0
    source.poll()
    assert source.operations["create"] == tickets + answers - 10_000 and not source.gaps
    texts = {int(event["id"].rpartition(":")[2]): event["text"] for event in source.events if "text" in event}
    wanted = {number: item.text for number, item in desk.world.items().items()}
    assert {number: text.removeprefix("A kettle\n") for number, text in texts.items()} == wanted
