"""User `analyst` of the embedded ClickHouse tries to read what is not for analysts, to write and to run past the limits."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import read_migrations
from pipeline.config.settings import Settings
from pipeline.embedded.analyst_names import ANALYST, READABLE, WITHHELD
from pipeline.embedded.analyst_rows import ROWS, filters
from schemas.queries import named_queries
from tests.support.analyst_corpus import QUOTED
from tests.support.analyst_desk import Desk

MADE = re.compile(r"^CREATE (?:OR REPLACE )?(?:TABLE|DICTIONARY|VIEW|MATERIALIZED VIEW) (?:IF NOT EXISTS )?(\w+)")
SECRET = "s3cret"
PRIVATE = "p41vate"
"""What stands in texts that are not for analysts; the public ones are numbers."""
CLEAR = [
    "SELECT name, email, phone FROM customers",
    "SELECT c.email FROM interactions AS i JOIN customers AS c ON c.profile = i.account_key",
    "SELECT email FROM people",  # a view that default has made
    "SELECT claimed FROM identity_edges",
    "SELECT why FROM identity_commands",
    "SELECT fingerprint FROM key_fingerprints",
    "SELECT * FROM dictionary('customer_of')",
]
TEXTS = [
    "SELECT text FROM interactions WHERE visibility = 'private'",
    "SELECT text FROM interactions WHERE kind IN ('message', 'email', 'call')",
    "SELECT text FROM interactions WHERE event_key > 100",
    "SELECT text FROM {db}.interactions FINAL WHERE event_key > 100",
    "SELECT text FROM interactions_now WHERE event_key > 100",
    "SELECT text FROM since(day = '2026-01-01') WHERE event_key > 100",
    "WITH x AS (SELECT * FROM interactions) SELECT text FROM x WHERE event_key > 100",
    "SELECT text FROM view(SELECT * FROM interactions) WHERE event_key > 100",
    "SELECT text FROM (SELECT '' AS text UNION ALL SELECT text FROM interactions) WHERE text LIKE '%p41%'",
    "SELECT i.text FROM account_events AS a JOIN interactions AS i USING (event_key) WHERE event_key > 100",
    "SELECT groupArray(event_key) FROM interactions WHERE event_key > 100",
    "SELECT count() FROM interactions WHERE text LIKE '%p41vate%'",
    "SELECT interactions.text FROM alert_events AS interactions_, interactions WHERE interactions.event_key > 100",
    "SELECT text FROM interactions AS alerts WHERE event_key > 100",
    "SELECT text FROM (SELECT * FROM interactions SETTINGS additional_table_filters = map()) WHERE event_key > 100",
    "SELECT text FROM interactions WHERE event_key > 100 SETTINGS additional_table_filters = {}",
    "SELECT text FROM interactions WHERE event_key > 100 SETTINGS query_plan_merge_filters = 1",
    "SELECT text FROM merge('{db}', '^interactions$')",
    "SELECT * FROM mergeTreeIndex('{db}', 'interactions')",
    "SELECT text FROM interactions WHERE event_key = 7",  # public in its first version, which is not merged yet
    "SELECT text FROM interactions PREWHERE version = 1",
]
LETTERS = [
    "SELECT raw FROM dead_letters",
    "SELECT * FROM secrets",
    "SELECT 's3cret' IN (SELECT raw FROM dead_letters)",
    "SELECT change FROM pending_changes",
    "SELECT * FROM numbers((SELECT count() FROM dead_letters))",
]
FILES = [
    "SELECT file('{file}')",
    "SELECT * FROM file('{file}', LineAsString)",
    "SELECT * FROM `{file}`",
    "SELECT * FROM url('file://{file}', LineAsString)",
    "SELECT * FROM s3('http://127.0.0.1:1/b/k', LineAsString)",
    "SELECT * FROM remote('127.0.0.1', '{db}', 'dead_letters')",
    "SELECT text FROM interactions INTO OUTFILE '{file}.out'",
]
OTHERS = [
    "SELECT * FROM system.users",
    "SELECT * FROM system.settings_profile_elements",
    "SELECT query, Settings FROM system.processes",
    "SELECT * FROM system.query_log",
    "SHOW CREATE USER default",
    "SHOW GRANTS FOR default",
    "EXECUTE AS default SELECT text FROM interactions",
    "KILL QUERY WHERE 1",
]
WRITES = [
    "INSERT INTO interactions (event_key) VALUES (1)",
    "INSERT INTO interactions SELECT * FROM interactions",
    "CREATE VIEW mine AS SELECT * FROM customers",
    "CREATE TEMPORARY TABLE mine (a UInt8)",
    "ALTER TABLE interactions DELETE WHERE 1",
    "OPTIMIZE TABLE interactions FINAL",
    "SET readonly = 0",
    "SYSTEM RELOAD DICTIONARY customer_of",
]
LIMITS = [
    "SELECT 1 SETTINGS max_execution_time = 3600",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "SELECT 1 SETTINGS max_threads = 64",
    "SELECT 1 SETTINGS max_result_bytes = 0",
    "SELECT repeat('x', 1000000) FROM numbers(1000)",
]


@pytest.fixture
def desk(emptied: Settings, tmp_path: Path) -> Iterator[Desk]:
    """Texts of 1 to 9 are numbers, but the newest version of 7 is private; those from 101 on are in private."""
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)
    insert = "INSERT INTO interactions (event_key, version, text, kind, visibility, created_at)"
    with clickhouse_client(emptied.clickhouse) as client:
        client.command("SYSTEM STOP MERGES interactions")
        client.command(
            f"{insert} SELECT number + 1, 1, toString(number % 3 + 1), 'post', 'public', '2026-01-02' FROM numbers(9)"
        )
        client.command(f"{insert} SELECT 7, 2, '{PRIVATE}', 'post', 'private', '2026-01-02'")
        client.command(f"{insert} SELECT 101, 1, '{PRIVATE}', 'post', 'private', '2026-01-02'")
        for number, kind in enumerate(("message", "email", "call"), 102):
            client.command(f"{insert} SELECT {number}, 1, '{PRIVATE}', '{kind}', '', '2026-01-02'")
        client.command(f"INSERT INTO dead_letters (raw, rejected_at) SELECT '{SECRET}', now()")
        client.command(f"INSERT INTO pending_changes (change, arrived_at) SELECT '{SECRET}', now()")
        client.command(f"INSERT INTO customers (profile, email) SELECT 1, '{SECRET}'")
        client.command("CREATE VIEW secrets AS SELECT * FROM dead_letters")
        client.command("CREATE VIEW people AS SELECT * FROM customers")
        client.command("CREATE VIEW since AS SELECT * FROM interactions WHERE created_at >= {day:DateTime}")
        yield Desk(client, emptied.clickhouse.url, emptied.clickhouse.database, file)
        for view in ("secrets", "people", "since"):
            client.command(f"DROP VIEW {view}")
        client.command("SYSTEM START MERGES interactions")


@pytest.mark.parametrize(
    "statements", [CLEAR, TEXTS, QUOTED, LETTERS, FILES, OTHERS, WRITES, LIMITS], ids=lambda each: each[0].replace("/", " ")
)
def test_what_is_not_for_analysts_is_refused_or_empty(desk: Desk, statements: list[str]) -> None:
    assert desk.client.command(f"SELECT count() FROM interactions FINAL WHERE text = '{PRIVATE}'") == 5
    for statement in statements:
        code, text = desk.ask(statement)
        assert code or text.strip() in ("", "0", "[]"), (statement, text)
        said = text.replace(str(desk.file), "").partition("In query")[0]
        assert SECRET not in said.replace("'s3cret'", "") and PRIVATE not in said.replace("%p41vate%", ""), (statement, text)
    for statement in QUOTED:
        assert desk.ask(statement)[0] == 0, "it would be refused for what it reads, not because it sees nothing"
    assert not list(desk.file.parent.glob("*.out"))


def test_what_everybody_said_in_public_is_served(desk: Desk) -> None:
    for table in ("interactions", "interactions_now"):
        assert desk.ask(f"SELECT count(), max(text), max(event_key) FROM {table}") == (0, "8\t3\t9\n")
    assert desk.client.command("SELECT count() FROM interactions FINAL") == 13


def test_a_query_ends_at_its_limit(desk: Desk) -> None:
    started = time.monotonic()
    assert desk.ask("SELECT count() FROM numbers(10000000000000) WHERE NOT ignore(number)", max_execution_time="1")[0] == 159
    assert time.monotonic() - started < 100


def test_filters_are_of_one_database_and_hold_any_name() -> None:
    pinned = filters("my-db", ANALYST)["additional_table_filters"]
    assert r"'my-db.interactions': 'visibility != \'private\' AND" in pinned and "'my-db.customers': '0'" in pinned
    assert r"'it\'s\\.customers': '0'" in filters("it's\\", ANALYST)["additional_table_filters"]


def test_no_dictionary_holds_personal_data() -> None:
    """No filter reaches them, and a named query may ask any: they hold numbers, and names of brands and currencies at most."""
    made = re.findall(r"DICTIONARY (\w+) \(([^)]*)\)", " ".join(text for each in read_migrations() for text in each.statements))
    assert [name for name, _ in made][:1] == ["customer_of"]
    for name, columns in made:
        for column in columns.split(", "):
            assert re.fullmatch(r"(brand|currency) String|\w+ (U?Int\d+|Float64|Date|DateTime.*)", column), (name, column)


def test_each_table_is_for_analysts_or_left_out_on_purpose() -> None:
    """A new one is named in READABLE (then deploy/clickhouse/analyst.xml grants it) or in WITHHELD, with the reason."""
    made = {name for migration in read_migrations() for text in migration.statements for name in MADE.findall(text)}
    views = {query.view for query in named_queries().values()}
    assert made | views | {"schema_migrations"} == set(READABLE) | set(WITHHELD)
    assert not set(READABLE) & set(WITHHELD) and set(ROWS) <= set(READABLE)
    assert all(WITHHELD.values())
