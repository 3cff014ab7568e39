"""What user `analyst` of the embedded ClickHouse is served and refused, over HTTP as clients ask."""

from __future__ import annotations

import gzip
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.binding import format_bind_value
from pydantic import SecretStr

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.config.settings import Settings
from pipeline.embedded.analyst import NEWEST
from pipeline.embedded.analyst_names import READABLE
from schemas.queries import named_queries
from tests.support.analyst_corpus import IN_DEFAULT, REFUSED, SERVED, TABLES_BY_SCOPE
from tests.support.analyst_desk import Desk
from tests.support.queries import asked, called

SECRET = "s3cret"


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def desk(settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        client.command(f"INSERT INTO dead_letters (raw, rejected_at) SELECT '{SECRET}', now()")
        client.command("CREATE VIEW secrets AS SELECT * FROM dead_letters")
        client.command("CREATE FUNCTION read_out AS path -> file(path)")
        # What default has read of a file is a table of database default from then on.
        client.command(f"SELECT * FROM default.`{file}`")
        yield Desk(client, settings.clickhouse.url, settings.clickhouse.database, file)
        client.command("DROP FUNCTION read_out")
        client.command("DROP VIEW secrets")


def test_what_is_not_the_analysts_is_refused_in_every_spelling(desk: Desk) -> None:
    assert desk.client.command("SELECT raw FROM dead_letters") == SECRET
    assert len(REFUSED) > 270
    for statement in REFUSED:
        code, text = desk.ask(statement, param_t="dead_letters", param_d=desk.database, param_f="file")
        assert code in ((62, 164, 497) if statement else (0,)), (statement, code, text)
        assert SECRET not in text.replace(statement, ""), (statement, text)
    assert list(desk.file.parent.glob("*.out")) == []
    assert desk.client.command("SELECT count() FROM interactions") == 0


def test_another_database_lends_no_tables(desk: Desk) -> None:
    """However it is spelled: the engine takes what stands in a name behind a backslash for an escape."""
    escaped = desk.database[:-1] + f"\\x{ord(desk.database[-1]):02x}"
    assert desk.ask("SELECT 1", database=escaped)[0] == 81
    for statement in TABLES_BY_SCOPE + IN_DEFAULT:
        for database in (escaped, "default"):
            code, text = desk.ask(statement, database=database)
            assert code in (47, 62, 81, 497), (database, statement, text)
            assert SECRET not in text.replace(f"'{SECRET}'", "")


def test_a_name_that_became_a_tables_or_functions_is_refused_from_then_on(desk: Desk) -> None:
    """What may be asked is kept until names change."""
    for sql, make, drop in (
        ("WITH later AS (SELECT 1) SELECT * FROM later", "CREATE VIEW later AS SELECT * FROM dead_letters", "DROP VIEW later"),
        ("WITH 1 AS later SELECT later", "/**/CREATE FUNCTION later AS path -> file(path)", "DROP FUNCTION later"),
    ):
        for _ in range(2):
            assert desk.ask(sql) == (0, "1\n")
            desk.client.command(make)
            code, text = desk.ask(sql)
            assert code == 497, (sql, text)
            desk.client.command("INSERT INTO dead_letters (raw, rejected_at) SELECT '', now()")
            assert desk.ask(sql)[0] == 497
            desk.client.command(drop)


def test_the_systems_tables_are_not_read_by_another_spelling_of_its_database(desk: Desk) -> None:
    for table in ("processes", "tables", "server_settings"):
        sql = f"SELECT b.* FROM (WITH {table} AS (SELECT 1) SELECT * FROM {table}) AS a, {table} AS b"
        for database in ("system", r"syste\x6d"):
            assert desk.ask(sql, database=database)[0] in (81, 497)


def test_what_is_sent_as_the_analyst_is_short_and_plain(desk: Desk) -> None:
    assert desk.ask("SELECT 1 -- " + "x" * (128 << 10))[0] == 307
    assert desk.ask("INSERT INTO interactions FORMAT TSV\n" + "x" * (2 << 20))[0] == 307
    assert desk.ask("INSERT INTO interactions FORMAT TSV\nx")[0] == 164
    request = urllib.request.Request(desk.url, gzip.compress(b"SELECT 1"), {"Content-Encoding": "gzip"})
    with pytest.raises(urllib.error.HTTPError, match="501") as caught:
        urllib.request.urlopen(request, timeout=10)
    caught.value.close()
    form = b"--b\r\nContent-Disposition: form-data; name=param_a\r\n\r\n" + b"x" * (2 << 20) + b"\r\n--b--\r\n"
    request = urllib.request.Request(f"{desk.url}/?query=SELECT+1", form, {"Content-Type": "multipart/form-data; boundary=b"})
    with pytest.raises(urllib.error.HTTPError, match="413") as caught:
        urllib.request.urlopen(request, timeout=10)
    caught.value.close()


@pytest.mark.parametrize("statement", ["INSERT '" + "\\'" * 60_000, "INSERT " + "( " * 60_000, "DESC a" + " " * 120_000 + "!"])
def test_a_statement_made_to_be_slow_to_read_is_not(desk: Desk, statement: str) -> None:
    started = time.monotonic()
    assert desk.ask(statement)[0] != 0
    assert time.monotonic() - started < 100  # on a busy machine, too


def test_queries_of_every_day_are_served(desk: Desk) -> None:
    for statement in SERVED:
        code, text = desk.ask(statement, param_a="1")
        assert code == 0, (statement, text)


def test_named_queries_are_served_and_their_views_but_what_is_for_operators(desk: Desk) -> None:
    for query in named_queries().values():
        values = asked(query)
        parameters = {f"param_{name}": format_bind_value(value) for name, value in values.items()}
        code, text = desk.ask(query.sql, **parameters)
        assert (code == 0) != bool(query.operators), (query.name, text)
        code, text = desk.ask(f"SELECT * FROM {called(query, values)}")
        assert (code == 0) != bool(query.operators), (query.name, text)


def test_clickhouse_connect_works_as_the_analyst(desk: Desk, settings: Settings) -> None:
    asked = settings.clickhouse.model_copy(update={"user": "analyst", "password": SecretStr("")})
    with clickhouse_client(asked) as analyst:
        assert analyst.query("SELECT count() FROM interactions").result_rows == [(0,)]
        assert analyst.query_arrow("SELECT id FROM interactions").num_rows == 0
        assert analyst.query("SELECT {a:UInt8}", parameters={"a": 1}).result_rows == [(1,)]


def test_old_versions_are_not_seen_by_a_prewhere_either(desk: Desk) -> None:
    """The engine's own setting, which compose pins for its analyst, whom nobody refuses a PREWHERE."""
    insert = "INSERT INTO interactions (event_key, version, id, text, is_deleted) VALUES"
    desk.client.command(f"{insert} (1, 1, 'a', '{SECRET}', 0)")
    desk.client.command(f"{insert} (1, 2, 'a', '', 1)")
    sql = "SELECT text FROM interactions PREWHERE is_deleted = 0"
    assert desk.client.query(sql, settings={"final": 1}).result_rows == [(SECRET,)]
    assert desk.client.query(sql, settings=NEWEST).result_rows == []


def test_the_analyst_sees_the_newest_version_only(desk: Desk) -> None:
    """What was edited away or deleted is gone, though its part is not merged yet."""
    insert = "INSERT INTO interactions (event_key, version, id, text, is_deleted) VALUES"
    desk.client.command(f"{insert} (1, 1, 'a', '{SECRET}', 0)")
    desk.client.command(f"{insert} (1, 2, 'a', 'mended', 0)")
    for sql in (
        "SELECT text FROM interactions",
        "SELECT text FROM (SELECT * FROM interactions)",
        "SELECT text FROM interactions_now",
    ):
        assert desk.ask(sql) == (0, "mended\n")
        assert desk.ask(sql, final="0")[0] == 164
        assert desk.ask(sql, final="1") == (0, "mended\n")
    desk.client.command(f"{insert} (1, 3, 'a', '', 1)")
    for table in ("interactions", "interactions_now"):
        assert desk.ask(f"SELECT count() FROM {table}") == (0, "0\n")


@pytest.mark.parametrize(
    "setting",
    [
        "format_template_row",
        "format_schema",
        "output_format_schema",
        "max_memory_usage",
        "max_threads",
        "additional_table_filters",
    ],
)
def test_settings_that_name_files_or_widen_limits_are_refused(desk: Desk, setting: str) -> None:
    code, text = desk.ask("SELECT 1 FORMAT Template", **{setting: str(desk.file)})
    assert code == 164 and SECRET not in text
    assert desk.ask("SELECT 1", output_format_json_quote_64bit_integers="1", max_result_rows="5")[0] == 0


def test_the_functions_that_reach_out_are_known(desk: Desk) -> None:
    """Of those that are tables and functions too, one is served: format, which reads what stands in the statement. With another
    engine, look at what is new here and at the categories of system.functions."""
    sql = "SELECT name FROM system.functions WHERE name IN (SELECT name FROM system.table_functions)"
    both = {row[0] for row in desk.client.query(sql).result_rows}
    assert both == {"file", "format", "fuzzQuery"}
    assert {name for name in both if desk.ask(f"SELECT {name}('a', 'b')")[0] != 497} == {"format"}


def test_the_tables_are_the_programs_own(desk: Desk) -> None:
    there = {row[0] for row in desk.client.query("SHOW TABLES").result_rows}
    assert set(READABLE) <= there
    assert not set(READABLE) & {"dead_letters", "pending_changes"}
