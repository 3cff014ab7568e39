"""What user `analyst` of the embedded ClickHouse is served and refused, over HTTP as clients ask."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from pipeline import queries
from pipeline.connections import clickhouse_client
from pipeline.embedded.analyst import READABLE
from pipeline.migrate import migrate_tables
from pipeline.settings import Settings
from tests.integration.analyst_corpus import REFUSED, SERVED

SECRET = "s3cret"


class Desk(NamedTuple):
    """An analyst's: the client of `default` beside it, and a file with the secret in it."""

    client: Client
    url: str
    database: str
    file: Path

    def ask(self, statement: str, **values: str) -> tuple[int, str]:
        """The error's code, 0 without one, and the answer."""
        statement = statement.replace("{db}", self.database).replace("{file}", str(self.file))
        url = f"{self.url}/?{urlencode({'database': self.database, **values})}"
        try:
            with urllib.request.urlopen(url, statement.encode(), timeout=30) as answer:
                return 0, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                return int(error.headers["X-ClickHouse-Exception-Code"]), error.read().decode()


@pytest.fixture
def desk(settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        client.command(f"INSERT INTO dead_letters (raw) SELECT '{SECRET}'")
        client.command("CREATE VIEW secrets AS SELECT * FROM dead_letters")
        yield Desk(client, settings.clickhouse.url, settings.clickhouse.database, file)


def test_what_is_not_the_analysts_is_refused_in_every_spelling(desk: Desk) -> None:
    assert len(REFUSED) > 200
    for statement in REFUSED:
        code, text = desk.ask(statement, param_t="dead_letters", param_d=desk.database)
        assert code in ((62, 164, 497) if statement else (0,)), (statement, code, text)
        assert SECRET not in text.replace(statement, ""), (statement, text)
    assert list(desk.file.parent.glob("*.out")) == []
    assert desk.client.command("SELECT count() FROM interactions") == 0


def test_queries_of_every_day_are_served(desk: Desk) -> None:
    for statement in SERVED:
        code, text = desk.ask(statement, param_a="1")
        assert code == 0, (statement, text)


@pytest.mark.parametrize("name", [name for name in queries.NAMED if name != "rejects"])
def test_named_queries_are_served(desk: Desk, name: str) -> None:
    assert desk.ask(queries.sql_of(name))[0] == 0


def test_clickhouse_connect_works_as_the_analyst(desk: Desk, settings: Settings) -> None:
    asked = settings.clickhouse.model_copy(update={"user": "analyst", "password": SecretStr("")})
    with clickhouse_client(asked) as analyst:
        assert analyst.query("SELECT count() FROM interactions").result_rows == [(0,)]
        assert analyst.query_arrow("SELECT id FROM interactions").num_rows == 0
        assert analyst.query("SELECT {a:UInt8}", parameters={"a": 1}).result_rows == [(1,)]


def test_the_analyst_sees_the_newest_version_only(desk: Desk) -> None:
    """What was edited away or deleted is gone, though its part is not merged yet."""
    insert = "INSERT INTO interactions (event_key, version, id, text, is_deleted) VALUES"
    desk.client.command(f"{insert} (1, 1, 'a', '{SECRET}', 0)")
    desk.client.command(f"{insert} (1, 2, 'a', 'mended', 0)")
    for sql in ("SELECT text FROM interactions", "SELECT text FROM (SELECT * FROM interactions)"):
        assert desk.ask(sql) == (0, "mended\n")
        assert desk.ask(sql, final="0")[0] == 164
        assert desk.ask(sql, final="1") == (0, "mended\n")
    desk.client.command(f"{insert} (1, 3, 'a', '', 1)")
    assert desk.ask("SELECT count() FROM interactions") == (0, "0\n")


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
