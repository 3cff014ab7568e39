"""Questions of the pages to a real ClickHouse: few at a time, short, equal ones once, and what runs as it is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from pipeline.config.settings import ClickHouseSettings, Settings
from pipeline.console import reads as module
from pipeline.console.reads import Answer, ReadFailed, Reads
from pipeline.embedded.analyst_names import CONSOLE
from pipeline.embedded.child import free_port
from pipeline.embedded.password import password_of
from pipeline.embedded.stack import Stack
from pipeline.errors import SettingsError, UnknownName
from schemas.queries import named_queries
from tests.support.link import Link
from tests.support.queries import asked

SLOW = "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sipHash64(number), {n:UInt8})"
RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%processes%'"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clickhouse(emptied: Settings) -> ClickHouseSettings:
    return emptied.clickhouse


@pytest.fixture
def as_console(stack: Stack, clickhouse: ClickHouseSettings) -> ClickHouseSettings:
    return clickhouse.model_copy(update={"user": "console", "password": password_of(stack.data_dir, "console")})


@asynccontextmanager
async def reading(clickhouse: ClickHouseSettings, clock: Clock, seconds: float = 60.0) -> AsyncIterator[Reads]:
    reads = Reads(clickhouse, clock, seconds)
    try:
        yield reads
    finally:
        reads.close()


async def test_an_answer_has_its_rows_its_statement_and_its_time(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        sql = (
            "SELECT number AS n, {said:String} AS said, {at:DateTime64(3, 'UTC')} AS at "
            "FROM numbers({most:UInt64}) LIMIT {most:UInt64}"
        )
        at = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
        answer = await reads.ask(sql, {"said": "it's \\ \u202e\n\t\0{n:String}", "at": at, "most": 2})
        assert answer.columns == ("n", "said", "at")
        assert answer.rows == [{"n": n, "said": "it's \\ \u202e\n\t\0{n:String}", "at": at} for n in (0, 1)]
        assert (answer.cut, answer.at) == (False, datetime.fromtimestamp(clock.now, UTC))
        again = await reads.ask(answer.sql)
        assert (again.rows, again.sql) == (answer.rows, answer.sql)


async def test_named_queries_run_as_they_are_shown(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        for query in named_queries().values():
            given = {name: value if isinstance(value, list) else str(value) for name, value in asked(query).items()}
            answer = await reads.named(query.name, given)
            assert answer.columns == tuple(query.columns)
            assert (await reads.ask(answer.sql)).rows == answer.rows


async def test_a_value_that_can_not_be_is_refused_before_anything_is_asked(clock: Clock) -> None:
    async with reading(ClickHouseSettings(url="http://127.0.0.1:9"), clock) as reads:
        for given in ({"from": "0001-01-01"}, {"limit": "10000000000000000000000"}, {"nothing": "x"}, {"brand": "\ud800"}):
            with pytest.raises(SettingsError):
                await reads.named("volume", given)
        for name in ("volumes", "SELECT 1", ""):
            with pytest.raises(Exception, match="no query is named"):
                await reads.named(name, {})
        assert UnknownName.exit_code == 1


async def test_more_rows_than_the_limit_are_cut_and_it_says_so(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        exact, more = await asyncio.gather(*(reads.ask(f"SELECT number FROM numbers({n})", most=10) for n in (10, 11)))
        assert (len(exact.rows), exact.cut, len(more.rows), more.cut) == (10, False, 10, True)


async def test_a_result_of_many_bytes_is_cut(
    clickhouse: ClickHouseSettings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    async with reading(clickhouse, clock) as reads:
        answer = await reads.ask("SELECT repeat('x', 100000) AS text FROM numbers(1000)")
        assert answer.cut
        assert len(answer.rows) < 20


async def test_equal_questions_at_the_same_moment_run_once(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        answers = await asyncio.gather(*(reads.ask("SELECT generateUUIDv4() AS id, sleep(0.2)") for _ in range(20)))
        assert len({str(answer.rows[0]["id"]) for answer in answers}) == 1
        assert (await reads.ask("SELECT generateUUIDv4() AS id, sleep(0.2)")).rows != answers[0].rows


async def test_who_goes_away_does_not_take_the_answer_from_others(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        first, second = (asyncio.create_task(reads.ask("SELECT 1 AS one, sleep(2)")) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).rows[0]["one"] == 1
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_an_answer_is_kept_for_its_seconds_and_then_gone(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:

        async def ask(keep_s: float) -> Answer:
            return await reads.ask("SELECT generateUUIDv4() AS id", keep_s=keep_s)

        kept = await ask(5)
        clock.now += 4
        assert await ask(5) is kept
        assert await ask(2) is not kept
        assert await ask(0) is not kept
        clock.now += 4
        assert (await ask(5)).rows != kept.rows


async def test_nothing_stays_in_memory_when_its_seconds_are_over(clickhouse: ClickHouseSettings) -> None:
    reads = Reads(clickhouse)
    await reads.ask("SELECT 1", keep_s=1.0)
    assert reads._kept.size > 0
    async with asyncio.timeout(60):
        while reads._kept.size:
            await asyncio.sleep(0.05)
    reads.close()


async def test_a_named_query_up_to_now_is_kept_too(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        kept = await reads.named("volume", {"from": "3h"}, keep_s=5)
        clock.now += 1
        assert await reads.named("volume", {"from": ["3h"]}, keep_s=5) is kept


async def test_nobody_waits_for_the_next_answer_while_the_last_one_is_not_too_old(
    clickhouse: ClickHouseSettings, clock: Clock
) -> None:
    async with reading(clickhouse, clock) as reads:

        async def ask() -> Answer:
            return await reads.named("volume", {"from": "3h"}, keep_s=5, old_s=30)

        first = await ask()
        clock.now += 6
        assert await ask() is first, "old, but not too old"
        await asyncio.gather(*reads._running.values())
        second = await ask()
        assert second.at > first.at, "it was asked for meanwhile"
        clock.now += 31
        assert (await ask()).at > second.at, "too old"
        clock.now += 6
        reads.away_since = second.at
        assert (await ask()).at.timestamp() == clock.now, "while ClickHouse is away nothing old is shown"
        reads.forget("volume")
        clock.now += 6
        assert (await ask()).at.timestamp() == clock.now, "somebody has changed it"


async def test_a_query_without_end_is_ended_by_the_server_and_says_why(
    clickhouse: ClickHouseSettings, clock: Clock
) -> None:  # fmt: skip
    async with reading(clickhouse, clock, 3.0) as reads:
        with pytest.raises(ReadFailed, match="took longer than 3 s") as raised:
            await reads.ask(SLOW, {"n": 1})
        assert raised.value.since is reads.away_since is None
        assert (await reads.ask(RUNNING)).rows == [{"count()": 0}]


async def test_three_run_at_a_time_and_a_fourth_for_page_now(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock, 6.0) as reads, reading(clickhouse, clock) as other:
        slow = [asyncio.create_task(reads.ask(SLOW, {"n": n})) for n in range(3)]
        await asyncio.sleep(0.5)
        fifth = asyncio.create_task(reads.ask("SELECT 5 AS five"))
        await asyncio.sleep(0.2)
        assert not fifth.done()
        assert (await reads.ask("SELECT 6 AS six", first=True)).rows == [{"six": 6}]
        assert not fifth.done() and int(str((await other.ask(RUNNING)).rows[0]["count()"])) <= 3
        for task in slow:
            with pytest.raises(ReadFailed, match="took longer"):
                await task
        assert (await fifth).rows == [{"five": 5}]


async def test_more_questions_than_places_wait_for_each_other(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    """As of a page: each takes nearly the time that one may, and none is refused."""
    async with reading(clickhouse, clock, 6.0) as reads:
        answers = await asyncio.gather(*(reads.ask(f"SELECT {n} AS n, sleep(2.5)") for n in range(8)))
        assert [answer.rows[0]["n"] for answer in answers] == list(range(8))


async def test_a_question_for_which_clickhouse_has_no_place_is_asked_again(
    as_console: ClickHouseSettings, clock: Clock
) -> None:  # fmt: skip
    async with reading(as_console, clock) as reads, reading(as_console, clock) as other:
        await asyncio.gather(reads.ask("SELECT 0"), other.ask("SELECT 0"))
        slow = [asyncio.create_task(reads.ask(SLOW, {"n": n}, first=True)) for n in range(4)]
        await asyncio.sleep(0.5)
        assert (await other.ask("SELECT 1 AS one")).rows == [{"one": 1}]
        assert len(await asyncio.gather(*slow, return_exceptions=True)) == 4  # the server ends them


async def test_who_waits_for_a_place_is_told_as_soon_as_clickhouse_is_away(clock: Clock) -> None:
    async with reading(ClickHouseSettings(url="http://127.0.0.1:9"), clock) as reads:
        for _ in range(3):
            await reads._places.take(False, 1)
        waiting = asyncio.create_task(reads.ask("SELECT 1"))
        while not reads._places._waiting:
            await asyncio.sleep(0)
        with pytest.raises(ReadFailed, match="refused"):
            await reads.ask("SELECT 2", first=True)
        with pytest.raises(ReadFailed, match="refused") as raised:
            await waiting
        assert raised.value.since == reads.away_since is not None


async def test_who_finds_no_place_in_time_is_told(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock, 0.2) as reads:
        for first in (False, False, False, True):
            await reads._places.take(first, 1)
        for first in (False, True):
            with pytest.raises(ReadFailed, match="too many others ask"):
                await reads.ask("SELECT 1", first=first)


async def test_while_clickhouse_is_away_it_says_since_when_and_comes_back_by_itself(
    clickhouse: ClickHouseSettings, clock: Clock
) -> None:  # fmt: skip
    with Link(free_port(), urlsplit(clickhouse.url).port or 0) as link:
        link.cut()
        async with reading(clickhouse.model_copy(update={"url": f"http://127.0.0.1:{link.port}"}), clock, 2.0) as reads:
            since = datetime.fromtimestamp(clock.now, UTC)
            for broken, jump in ((link.cut, 1), (link.hold, 1), (link.cut, -3600)):
                broken()
                for _ in range(3):
                    with pytest.raises(ReadFailed) as raised:
                        await reads.ask("SELECT 1")
                    assert raised.value.since == reads.away_since == since
                    clock.now += 0.6
                link.heal()
                clock.now += jump
                assert (await reads.ask("SELECT 1 AS one")).rows == [{"one": 1}]
                assert reads.away_since is None
                since = datetime.fromtimestamp(clock.now, UTC)


async def test_a_query_that_ends_late_is_no_outage(
    clickhouse: ClickHouseSettings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(clickhouse, clock, 1.0) as reads:
        await reads.ask("SELECT 1")
        monkeypatch.setattr(module, "read", lambda *_: time.sleep(4))
        with pytest.raises(ReadFailed, match="took longer than 1 s"):
            await reads.ask("SELECT 2")
        assert reads.away_since is None


async def test_a_wrong_password_is_a_reason(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse.model_copy(update={"password": SecretStr("wrong")}), clock) as reads:
        with pytest.raises(ReadFailed, match="Authentication failed"):
            await reads.ask("SELECT 1")


async def test_user_console_reads_what_pages_show_and_nothing_else(as_console: ClickHouseSettings, clock: Clock) -> None:
    async with reading(as_console, clock) as reads:
        for table in ("interactions", "alerts", "acts", "cases", "dead_letters"):
            assert (await reads.ask(f"SELECT count() AS n FROM {table}")).rows == [{"n": 0}]
        for query in filter(lambda query: query.view in CONSOLE.views, named_queries().values()):
            await reads.named(query.name, {each.name: "1" for each in query.parameters if each.default is None})
        for sql in (
            "SELECT * FROM url('http://127.0.0.1')",
            "SELECT 1 INTO OUTFILE 'x'",
            "SELECT * FROM console_sessions",
            "INSERT INTO acts (act) VALUES ('x')",
            "SELEC 1",
        ):
            with pytest.raises(ReadFailed, match="ClickHouse (does not let the console read this|refuses the query)"):
                await reads.ask(sql)


async def test_what_is_too_large_for_user_console_says_what_to_do(as_console: ClickHouseSettings, clock: Clock) -> None:
    async with reading(as_console, clock) as reads:
        assert (await reads.ask("SELECT number FROM numbers(100000)", most=10)).cut
        for sql, why in (
            ("SELECT number FROM numbers(1000000)", "the result is larger than may be"),
            ("SELECT groupArray(number) FROM numbers(1000000000)", "needs more memory|took longer than 5 s"),
        ):
            with pytest.raises(ReadFailed, match=why):
                await reads.ask(sql)
        assert reads.away_since is None


async def test_a_missing_table_says_what_to_do(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        for sql in ("SELECT * FROM nothing_of_this_name", "SELECT nothing FROM interactions"):
            with pytest.raises(ReadFailed, match="run `earshot migrate`"):
                await reads.ask(sql)


async def test_what_was_kept_is_asked_again_once_somebody_has_changed_it(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        marks = iter("abc")
        reads.mark = lambda: next(marks)
        at = [(await reads.named("latest", {}, keep_s=10)).mark for _ in range(2)]
        reads.forget("volume")
        at.append((await reads.named("latest", {}, keep_s=10)).mark)
        reads.forget("latest")
        at.append((await reads.named("latest", {}, keep_s=10)).mark)
        assert at == ["a", "a", "a", "b"]


async def test_other_work_has_a_place_too_and_says_its_own_errors(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock, 0.2) as reads:
        assert await reads.run(lambda client: client.command("SELECT 7")) == 7

        def wrong(_: object) -> None:
            raise UnknownName("no such thing")

        with pytest.raises(UnknownName):
            await reads.run(wrong)
        for _ in range(3):
            await reads._places.take(False, 1)
        with pytest.raises(ReadFailed, match="too many others ask"):
            await reads.run(wrong)


async def test_a_statement_around_a_named_query_runs_as_it_is_shown(clickhouse: ClickHouseSettings, clock: Clock) -> None:
    async with reading(clickhouse, clock) as reads:
        answer = await reads.named("unanswered", {"limit": "3"}, around="SELECT count() AS n FROM (QUERY)")
        assert answer.rows == [{"n": 0}] == (await reads.ask(answer.sql)).rows
