"""What user `console` of the embedded ClickHouse is served and refused, over HTTP: as an analyst, with tables and limits of its
own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_connect.driver.binding import format_bind_value

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.analyst_names import CONSOLE, READABLE, WITHHELD
from schemas.queries import named_queries
from tests.support.analyst_desk import Desk
from tests.support.queries import asked, called

Ask = Callable[..., tuple[int, str]]
SLOW = "SELECT count() FROM numbers(10000000000000) WHERE NOT ignore(number)"
ACT = "INSERT INTO acts (at, id, actor, way, act, outcome) VALUES (now64(3), 1, 'ines', 'api', 'lift', 'done')"


@pytest.fixture
def ask(emptied: Settings, tmp_path: object) -> Iterator[Ask]:
    """Asks as user console."""
    console = emptied.console
    login = {"user": console.clickhouse_user, "password": console.clickhouse_password.get_secret_value()}
    with clickhouse_client(emptied.clickhouse) as client:
        desk = Desk(client, emptied.clickhouse.url, emptied.clickhouse.database, emptied.embedded.data_dir)
        insert = "INSERT INTO interactions (event_key, version, text, kind, visibility, created_at) VALUES"
        for row in (
            "1, 1, 'old', 'post', 'public'",
            "1, 2, 'new', 'post', 'public'",
            "2, 1, 'was', 'post', 'public'",
            "2, 2, 'is', 'post', 'private'",
            "3, 1, 'told', 'message', ''",
        ):
            client.command(f"{insert} ({row}, now64(3))")
        client.command("INSERT INTO dead_letters (raw, rejected_at) VALUES ('as it came', now64(3))")
        client.command(ACT)
        yield lambda statement, **values: desk.ask(statement, **{**login, **values})


def test_it_reads_what_an_analyst_reads_and_the_tables_of_the_pages(ask: Ask) -> None:
    for table in (*READABLE, "acts", "dead_letters", "leaders", "source_cursors"):
        if not table.startswith("q_") and table != "assignments_as_of":
            assert ask(f"SELECT * FROM {table} LIMIT 1")[0] == 0, table
    assert ask("SELECT raw FROM dead_letters") == (0, "as it came\n")
    assert ask("SELECT actor, act FROM acts") == (0, "ines\tlift\n")
    for table in set(WITHHELD) - set(CONSOLE.readable):
        if not table.startswith("q_"):
            assert ask(f"SELECT * FROM {table}")[0] == 497, table


def test_it_reads_the_newest_rows_alone_and_none_that_is_private(ask: Ask) -> None:
    assert ask("SELECT text FROM interactions") == (0, "new\n")
    assert ask("SELECT text FROM interactions", final="0")[0] == 164
    assert ask("SELECT text FROM interactions PREWHERE version = 1")[0] == 497


def test_named_queries_are_served_but_the_audit_of_operators(ask: Ask) -> None:
    for query in named_queries().values():
        values = asked(query)
        code, text = ask(query.sql, **{f"param_{name}": format_bind_value(value) for name, value in values.items()})
        assert (code == 0) == (query.view in CONSOLE.views), (query.name, text)
        assert (ask(f"SELECT * FROM {called(query, values)}")[0] == 0) == (query.view in CONSOLE.views), query.name
    assert {query.view for query in named_queries().values()} - {*CONSOLE.views} == {"q_audit"}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO acts (id) VALUES (1)",
        "ALTER TABLE acts DELETE WHERE 1",
        "SELECT raw FROM dead_letters INTO OUTFILE 'out'",
        "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
        "SELECT * FROM system.processes",
        "SELECT 1 SETTINGS max_execution_time = 60",
        "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 60)",
        "SELECT * FROM (SELECT 1 SETTINGS max_result_rows = 0)",
        "SELECT repeat('x', 1000000) FROM numbers(1000)",
        "SELECT number FROM numbers(200000)",
    ],
)
def test_what_writes_reaches_out_or_has_no_end_is_refused(ask: Ask, statement: str) -> None:
    assert ask(statement)[0] in (164, 241, 396, 497)


def test_its_limits_may_be_smaller_and_no_larger(ask: Ask) -> None:
    for setting in ("max_execution_time=6", "max_execution_time=0", "max_result_rows=0", "max_threads=9"):
        name, _, value = setting.partition("=")
        assert ask("SELECT 1", **{name: value})[0] == 164, name
    cut = {"max_result_rows": "10", "result_overflow_mode": "break", "max_block_size": "8192"}
    code, text = ask("SELECT number FROM numbers(100000)", **cut)
    assert code == 0 and 10 <= len(text.split()) <= 8_192, "cut off"


def test_a_query_ends_after_five_seconds_and_four_run_at_a_time(ask: Ask) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        codes = [code for code, _ in pool.map(ask, [SLOW] * 5)]
    assert codes == [159] * 5, "the fifth has waited for its turn"
    assert 4 < time.monotonic() - started < 100


def test_who_has_not_its_password_is_refused(ask: Ask) -> None:
    assert ask("SELECT 1") == (0, "1\n")
    for password in ("", "x", "\xff"):
        assert ask("SELECT 1", password=password)[0] == 516
    assert ask("SELECT 1 FROM dead_letters", user="analyst", password="")[0] == 497
