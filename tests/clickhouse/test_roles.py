"""The roles of a ClickHouse server, deploy/clickhouse/: the embedded engine reads the files, and shows what they grant.

It can't log in as their users (EXECUTE AS is off in it). What they may read and insert is seen through views that run with
their rights; their limits, and all other grants, only as the engine shows them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.embedded.analyst_names import ANALYST, CONSOLE, READABLE, WITHHELD, Rights
from pipeline.embedded.analyst_rows import ROWS
from pipeline.errors import EarshotError
from pipeline.maintenance.server_backup import HAS_DISK, back_up_there, restore_statement, server_tables
from pipeline.privacy.purge import PURGED
from schemas.queries import named_queries
from tests.support.analyst_corpus import QUOTED
from tests.support.isolation import ROOT
from tests.support.queries import asked, called

Ask = Callable[[str], str]
CALLED = {"assignments_as_of": "assignments_as_of(at = '2026-01-01 00:00:00')"} | {
    query.view: called(query, asked(query)) for query in named_queries().values()
}
"""Views that take parameters, with some."""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    command = [sys.executable, "-m", "tests.support.roles_engine", str(tmp_path_factory.mktemp("engine"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ANALYST_PASSWORD": "secret", "CONSOLE_PASSWORD": "secret"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as engine:
        assert engine.stdin and engine.stdout

        def answer(statement: str) -> str:
            assert engine.stdin and engine.stdout
            print(json.dumps(statement), file=engine.stdin, flush=True)
            return str(json.loads(engine.stdout.readline()))

        yield answer
        engine.stdin.close()


def reads(ask: Ask, user: str, source: str) -> str:
    """What this user reads, or why not."""
    made = ask(f"CREATE OR REPLACE VIEW seen DEFINER = {user} SQL SECURITY DEFINER AS SELECT * FROM {source}")
    return made or ask("SELECT * FROM seen")


def test_the_engine_takes_the_files_and_says_what_they_grant(ask: Ask) -> None:
    assert ask("SHOW USERS").split() == ["admin", "analyst", "console", "default", "writer"]
    for name in ("admin", "analyst", "console", "writer"):
        assert ask(f"SHOW GRANTS FOR {name}") == f"GRANT {name} TO {name}"
    dictionaries = {f"dictGet\t{name}" for name in ("customer_of", "calendar_of", "business_seconds", "rate_on")}
    for user, readable, _ in (ANALYST, CONSOLE):
        granted = ask(f"SELECT access_type, table FROM system.grants WHERE role_name = '{user}'").splitlines()
        assert set(granted) == dictionaries | {*(f"SELECT\t{table}" for table in readable)}
        assert ask(f"SELECT select_filter FROM system.row_policies WHERE has(apply_to_list, '{user}')") == ROWS["interactions"]
    writes = ask("SELECT DISTINCT access_type FROM system.grants WHERE role_name = 'writer'").splitlines()
    assert set(writes) == {"ALTER DELETE", "INSERT", "OPTIMIZE", "SELECT", "SYSTEM RELOAD DICTIONARY", "dictGet"}
    deletes = ask("SELECT table FROM system.grants WHERE role_name = 'writer' AND access_type = 'ALTER DELETE' ORDER BY table")
    assert tuple(deletes.split()) == PURGED
    assert ask("SELECT table FROM system.grants WHERE role_name = 'writer' AND access_type = 'OPTIMIZE'") == "quarters"
    rights = ask("SELECT DISTINCT access_type FROM system.grants WHERE role_name = 'admin'").splitlines()
    for right in ("ALTER", "BACKUP", "CLUSTER", "CREATE", "DROP", "OPTIMIZE", "TRUNCATE"):
        assert any(each.split()[0] == right for each in rights), rights
    others = ("USER", "ROLE", "QUOTA", "PROFILE", "POLICY", "SOURCES", "FILE", "URL", "REMOTE", "DEFINER")
    assert not [each for each in rights if each.split()[-1] in others], rights


@pytest.mark.parametrize(
    ("user", "more"), [("analyst", set()), ("console", {"max_concurrent_queries_for_user", "max_result_rows"})]
)
def test_no_limit_of_who_only_reads_can_be_switched_off(ask: Ask, user: str, more: set[str]) -> None:
    limits = ask(
        f"SELECT setting_name, min, max FROM system.settings_profile_elements WHERE profile_name = '{user}' AND max IS NOT NULL"
        " ORDER BY 1"
    )
    assert [line.split("\t")[:2] for line in limits.splitlines()] == [
        [name, "1"] for name in sorted({"max_execution_time", "max_memory_usage", "max_result_bytes", "max_threads"} | more)
    ]


@pytest.mark.parametrize("rights", [ANALYST, CONSOLE], ids=lambda rights: rights.user)
def test_who_only_reads_reads_the_listed_tables_and_no_other(ask: Ask, rights: Rights) -> None:
    user = rights.user
    for table in rights.readable:
        assert "Exception" not in reads(ask, user, CALLED.get(table, table)), table
    for table in set(WITHHELD) - set(rights.readable):
        assert "ACCESS_DENIED" in reads(ask, user, CALLED.get(table, table)), table
    for function in (
        "file('engine.xml', LineAsString)",
        "url('http://127.0.0.1:1/', LineAsString)",
        "mergeTreeIndex('earshot', 'customers')",
    ):
        assert "ACCESS_DENIED" in reads(ask, user, function), function


def test_an_analyst_reads_no_row_that_is_private_in_its_newest_version(ask: Ask) -> None:
    ask("SYSTEM STOP MERGES interactions")
    insert = "INSERT INTO interactions (event_key, version, text, kind, visibility) VALUES "
    for row in (
        "1, 1, '3', 'post', 'public'",
        "102, 1, 'was', 'post', 'public'",
        "102, 2, 'is', 'post', 'private'",
        "103, 1, 'm', 'message', ''",
    ):
        assert ask(f"{insert} ({row})") == ""
    for table in ("interactions", "interactions_now", "interactions FINAL", "merge('earshot', '^interactions$')"):
        assert reads(ask, "analyst", f"(SELECT text FROM {table})") == "3", table
    assert reads(ask, "writer", "(SELECT count() FROM interactions FINAL)") == "3"
    for statement in QUOTED:
        assert reads(ask, "analyst", f"({statement})") in ("", "0"), statement


def test_a_writer_reads_and_inserts_and_makes_nothing(ask: Ask) -> None:
    for table in (*READABLE, *WITHHELD):
        assert reads(ask, "writer", f"(SELECT count() FROM {CALLED.get(table, table)})").isdigit(), table
    for table in ("columns", "parts", "settings", "tables"):
        assert reads(ask, "writer", f"(SELECT count() FROM system.{table})").isdigit()
    for user, taken in (("writer", True), ("analyst", False), ("console", False)):
        ask("CREATE OR REPLACE TABLE given (name String) ENGINE = Null")
        rights = f"DEFINER = {user} SQL SECURITY DEFINER"
        assert ask(f"CREATE MATERIALIZED VIEW passed TO alert_watermarks {rights} AS SELECT name FROM given") == ""
        assert ("ACCESS_DENIED" not in ask("INSERT INTO given VALUES ('x')")) == taken
        ask("DROP TABLE passed")


def test_clickhouse_backs_up_what_earshot_does_not_and_brings_it_back(ask: Ask) -> None:
    def command(statement: str) -> object:
        answer = ask(statement)
        assert not answer.startswith("Code:"), answer
        return answer.split("\t") if "\t" in answer else answer

    seen: list[tuple[int, int | None]] = []
    ask("INSERT INTO interactions (event_key, version, text, kind) VALUES (7, 1, 'kept', 'post')")
    assert command(HAS_DISK) == "1"
    back_up_there(command, "earshot", "first", lambda done, size: seen.append((done, size)))
    assert seen[-1][0] == seen[-1][1] != 0
    with pytest.raises(EarshotError, match="ClickHouse's own backup first: .*already exists"):
        back_up_there(command, "earshot", "first", lambda done, size: None)
    for table in server_tables():
        command(f"TRUNCATE TABLE {table}")
    command("ALTER TABLE interactions MODIFY TTL toDateTime(created_at) + INTERVAL 9000 DAY")
    assert "RESTORED" in str(command(restore_statement("earshot", "first", "earshot")))
    assert command("SELECT text FROM interactions WHERE event_key = 7") == "kept"
    assert command("SELECT count() FROM account_events") == "0", "rows come as they were: no view fills tables meanwhile"


def test_the_files_are_users_of_the_compose_file() -> None:
    text = Path(ROOT / "deploy/compose.yaml").read_text()
    for name in ("analyst", "console", "writer", "admin"):
        assert f"./clickhouse/{name}.xml:/etc/clickhouse-server/users.d/{name}.xml:ro" in text
