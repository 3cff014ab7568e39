"""The driver of Telegram against a server on loopback that speaks its Bot API."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import orjson
import pytest

from pipeline.config.settings import Settings
from pipeline.http.outgoing import Limits
from pipeline.listen.driver import Page
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.drivers.telegram import KEPT_S, QUIET_S
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support.driving import Driven
from tests.support.driving import source as source_of
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.platform_server import Fault
from tests.support.telegram_server import BOT, SECRET, TOKEN, TelegramServer
from tests.support.worker import wait_for

pytestmark = pytest.mark.slow

NOW = float(int(time.time()))


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    server = TelegramServer()
    with server.running():
        yield server


def fill(telegram: TelegramServer, first: int, last: int, text: str = "post") -> None:
    for number in range(first, last + 1):
        telegram.world.post(number, NOW - 100_000 + number, f"{text} {number}")


def hears(telegram: TelegramServer, token: str = TOKEN, **keys: object) -> Driven:
    source = source_of(**{"platform": "telegram", "server": telegram.url, **keys})
    return Driven(source, token, beside=frozenset({"a"}))


def heard(source: Driven, events: int, starts: int = 50) -> None:
    """Runs until so many events came."""
    source.run(lambda: len(source.events) >= events, starts=starts)
    assert len(source.events) == events


def texts(page: Page) -> list[str]:
    (answer,) = page.payloads
    assert isinstance(answer, dict)
    return [update["channel_post"]["text"] for update in answer["result"]]


def test_an_update_is_confirmed_only_when_the_page_after_it_is_asked_for(telegram: TelegramServer) -> None:
    """That is when Kafka has its events: the runner asks for the next page after that."""
    source = hears(telegram)
    fill(telegram, 1, 150)

    async def goes() -> None:
        async with source._reach() as reach:
            driver = make_driver(source.source, reach)
            pages = driver.pages({})
            first = await anext(pages)
            assert telegram.offsets == [None] and len(telegram.updates) == 150 and len(texts(first)) == 100
            await pages.aclose()  # a crash before Kafka has it: the next listener gets the same
            again = driver.pages({})
            assert (await anext(again)).payloads == first.payloads and telegram.offsets == [None, None]
            second = await anext(again)
            assert telegram.offsets[-1] == 200 and len(telegram.updates) == 50 and texts(second)[0] == "post 101"
            await again.aclose()

    asyncio.run(goes())
    assert orjson.loads(telegram.allowed)[0] == "message" and "message_reaction" in telegram.allowed


def test_news_edits_and_deletes_of_business_chats(telegram: TelegramServer) -> None:
    source = hears(telegram)
    fill(telegram, 1, 3)
    fill(telegram, 4, 5, "b: hello")
    telegram.world.edit(2, "edited", NOW - 10)
    telegram.world.delete(5)
    telegram.add(message_reaction_count={"message_id": 1})
    heard(source, 7)
    assert source.operations == {"create": 5, "update": 1, "delete": 1}
    assert {event["id"] for event in source.events} == {
        *(f"-1001234567890:{number}" for number in range(1, 4)), f"bc:{BOT}:7:4", f"bc:{BOT}:7:5",
    }  # fmt: skip
    fill(telegram, 6, 6)
    heard(source, 8)
    assert not source.gaps and not source.unreadable and SECRET not in str(source.cursors)


@pytest.mark.parametrize("fault", ["500", "reset", "half", "html", "empty"])
@pytest.mark.parametrize("position", range(3))
def test_a_fault_costs_one_request(telegram: TelegramServer, fault: Fault, position: int) -> None:
    telegram.held_s = 60.0
    source = hears(telegram)
    fill(telegram, 1, 250)
    broken: list[Fault] = [*[""] * position, fault]  # type: ignore[list-item]
    telegram.faults.plan[:] = broken
    heard(source, 250)
    assert len(telegram.offsets) <= 3 + 1 + 1  # three pages, the fault, and the request that the end broke off
    assert [event["text"] for event in source.events] == [f"post {number}" for number in range(1, 251)]


def test_without_updates_it_shows_signs_of_life_and_writes_no_cursor(telegram: TelegramServer) -> None:
    telegram.held_s = 0.0
    source = hears(telegram)
    fill(telegram, 1, 1)
    heard(source, 1)
    before, pages = source.cursors["live"], source.pages
    source.run(lambda: source.pages > pages + 5)
    assert source.cursors["live"] == before and len(source.events) == 1


def test_a_day_without_a_listener_is_a_gap(telegram: TelegramServer) -> None:
    source = hears(telegram)
    fill(telegram, 1, 1)
    heard(source, 1)
    source.timer.ahead += 2 * KEPT_S
    fill(telegram, 2, 2)
    heard(source, 2)
    (gap,) = source.gaps
    assert gap.since < gap.until and "24 hours" in gap.reason


def test_numbers_that_begin_anew_after_a_quiet_week_lose_nothing(telegram: TelegramServer) -> None:
    source = hears(telegram)
    fill(telegram, 1, 1)
    heard(source, 1)
    pages = source.pages
    source.run(lambda: source.pages > pages)
    source.timer.ahead += QUIET_S + 60
    telegram.next_id = 3
    fill(telegram, 2, 2)
    heard(source, 2)
    assert source.cursors["live"]["offset"] == 4


def test_nor_do_they_after_a_clock_that_was_a_year_ahead(telegram: TelegramServer) -> None:
    source = hears(telegram)
    source.timer.ahead = 365 * 86_400.0
    fill(telegram, 1, 1)
    heard(source, 1)
    pages = source.pages
    source.run(lambda: source.pages > pages)
    source.timer.ahead = QUIET_S + 60
    telegram.next_id = 3
    fill(telegram, 2, 2)
    heard(source, 2)


def test_another_bot_begins_without_an_offset(telegram: TelegramServer) -> None:
    source = hears(telegram)
    source.cursors["live"] = {"bot": "1", "offset": 1_000_000, "came": time.time()}
    fill(telegram, 1, 1)
    heard(source, 1)
    assert telegram.offsets[0] is None


def test_what_telegram_refuses_is_a_state_with_its_reason(telegram: TelegramServer) -> None:
    def fails(driven: Driven, kind: type[SourceError], line: str) -> None:
        with pytest.raises(kind, match=line) as error:
            driven.poll()
        assert SECRET not in str(error.value)

    fails(hears(telegram, ""), NoCredentials, "should hold a bot's token")
    fails(hears(telegram, f"{BOT}/../x:{SECRET}"), NoCredentials, "should hold a bot's token")
    fails(hears(telegram, f"1{TOKEN}"), NoCredentials, "knows no bot")
    telegram.webhook = "https://hook.example"
    fails(hears(telegram), Failed, "a webhook is set")
    telegram.webhook = ""
    telegram.other_getter = True
    fails(hears(telegram), Failed, "another program gets")
    both = hears(telegram)
    both.beside = frozenset({"0", "a", "b"})
    fails(both, Failed, "source 0 is the same bot")
    both.beside = frozenset({"a", "b"})
    fill(telegram, 1, 1)
    heard(both, 1)
    telegram.offsets.clear()
    telegram.retry_after = 3600
    with pytest.raises(Waiting) as error:
        hears(telegram).poll()
    assert error.value.until == pytest.approx(time.time() + 3_600, abs=5) and len(telegram.offsets) == 0


def test_a_check_disturbs_no_listener(telegram: TelegramServer) -> None:
    fill(telegram, 1, 3)
    tried = Driven(source_of(platform="telegram", server=telegram.url), TOKEN)
    assert "3 updates wait" in tried.check() and "privacy mode" in tried.check()
    assert tried.poll() == [] and telegram.offsets == [] and tried.backfill(0) == []
    telegram.webhook = "https://hook.example"
    with pytest.raises(Failed, match="a webhook is set"):
        tried.check()


def test_a_server_that_stalls(telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(telegram, 1, 5)
    source = hears(telegram)
    telegram.faults.plan[:] = ["stall"]
    with monkeypatch.context() as patched, pytest.raises(Failed, match="no answer within"):
        patched.setattr("pipeline.listen.api.LIMITS", Limits(total_s=0.3))  # nothing has to succeed within it
        source.poll()
    telegram.faults.plan.clear()  # a busy machine may have sent nothing
    heard(source, 5)


def test_each_message_once_in_its_last_state_whatever_fails(telegram: TelegramServer) -> None:
    random, number = Random(7), 0
    source, telegram.held_s = hears(telegram), 0.01
    telegram.faults.share, telegram.faults.retry_after = 0.2, "9"
    telegram.faults.kinds = ("500", "reset", "half", "html", "empty", "429")
    for _ in range(20):
        count = random.choice((1, 5, 60, 160))
        fill(telegram, number + 1, number + count, random.choice(("post", "b: hello")))
        number += count
        for each in random.sample(range(max(1, number - 100), number), min(number - 1, 3)):
            telegram.world.edit(each, f"{telegram.world.items()[each].text[:4]} edited {number}", NOW + number)
        source.run(lambda: not telegram.updates, starts=random.choice((1, 3, 60)))
    telegram.faults.share = 0.0
    source.run(lambda: not telegram.updates)
    last = {event["id"].rpartition(":")[2]: event["text"] for event in source.events}
    assert source.operations["create"] == number
    assert last == {str(item.number): item.text for item in telegram.world.items().values()}


@pytest.mark.timeout(120)
def test_a_listener_sends_each_message_once(settings: Settings, telegram: TelegramServer, tmp_path: Path) -> None:
    migrate(settings)
    fill(telegram, 1, 5)
    (tmp_path / "token").write_text(TOKEN)
    source: JsonObject = {"name": "bot", "platform": "telegram", "server": telegram.url, "token_file": "token"}
    write_sources(tmp_path / "sources.yaml", [source])
    listens = listening(settings, tmp_path / "sources.yaml")
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the posts came, and are confirmed", lambda: len(sent(listens)) == 5 and not telegram.updates)
    fill(telegram, 6, 6, "b: hello")
    telegram.world.edit(2, "edited", time.time())
    telegram.world.delete(6)
    wait_for("the changes came", lambda: len(sent(listens)) == 8)
    assert listener.stop() == 0
    fill(telegram, 7, 7)
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("the new post came", lambda: len(sent(listens)) == 9 and not telegram.updates)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 7, "update": 1, "delete": 1}
