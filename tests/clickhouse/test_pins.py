"""The settings that the delivery contract hangs on: what breaks without each, and that nothing we write goes without them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import SecretStr

from pipeline.clickhouse import fingerprints
from pipeline.clickhouse.arrow import arrow_stream
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.fenced_inserter import FencedInserter
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import check_tables, migrate_tables
from pipeline.clickhouse.pins import PINS, Pin, unmet
from pipeline.clickhouse.query import asker
from pipeline.config.keys import HashKeys
from pipeline.config.retention import RetentionSettings
from pipeline.config.settings import ClickHouseSettings, Settings
from pipeline.control.rollups import SETTINGS as STATEMENTS
from pipeline.errors import MigrationError
from pipeline.fence import OpenFence
from pipeline.generate.history import TableLetters
from pipeline.identity.rules_file import RulesFile
from pipeline.listen.driver import Gap
from pipeline.listen.record import Record
from pipeline.listen.tables import Health, Tables
from pipeline.maintenance.check import check_accounts
from pipeline.maintenance.group_offsets import Lost, accept_loss, events_states
from pipeline.maintenance.rematch import rematch
from pipeline.migrate import check, migrate
from pipeline.monitoring.health import Vitals
from pipeline.notify.delivery_log import ClickHouseLog, Delivery
from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.store import LateDay
from pipeline.processors.mentions.business_hours import Calendar
from pipeline.rollups.marks import write_mark
from pipeline.rollups.rollup import Span, statements
from pipeline.rollups.tables import load_rollups
from pipeline.rollups.threads import Threads
from pipeline.sinks import cases, raised_hashes
from pipeline.sinks.acts import record
from pipeline.sinks.alerts import AlertTables
from pipeline.sinks.calendars import changes as calendar_changes
from pipeline.sinks.cases import CaseTable
from pipeline.sinks.customers import CustomerTables
from pipeline.sinks.erasures import suppress, suppression_rows, write_receipt
from pipeline.sinks.in_force import changed_files, changed_panels
from pipeline.sinks.landing import Landing
from pipeline.sinks.rates import changes as rate_changes
from schemas.acts import Act
from schemas.alerts import Alert, Member, Scope, State
from schemas.erasures import Erasure, Keys
from schemas.evidence import SENT_COLUMNS, parse
from schemas.hashes import Chain
from schemas.identity import Command
from schemas.signals import Candidate
from tests.contracts.test_sinks import make_batch
from tests.support.hostile_profile import ProfileProxy
from tests.support.isolation import ROOT
from tests.support.letters import ROWS

NOW = datetime.now(UTC)
REPLACES_ITSELF = {"alert_watermarks", "identity_marks", "identity_rules"}
"""One row a name or version: a repeated one replaces itself. So does one of leaders, lost_offsets, retention and
schema_migrations, which are written without a token."""
TABLES = "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
IMPORTED = {"customers", "console_names", "console_sessions"}
"""Written by `earshot crm import`: tests/integration/test_crm.py; and by the console."""

TABLE = """
CREATE TABLE t (k UInt64, v UInt64, s LowCardinality(String), at DateTime, CONSTRAINT well CHECK s != 'bad')
ENGINE = ReplacingMergeTree(v) PARTITION BY toYYYYMM(at) ORDER BY k SETTINGS non_replicated_deduplication_window = 100"""


class Bench(NamedTuple):
    """`client` has the settings of the case, `pinned` those that Earshot sends."""

    client: Client
    pinned: Client

    def write(self, rows: pl.DataFrame, token: str = "a", **more: object) -> None:
        block = memoryview(arrow_stream(rows))
        settings = {"insert_deduplication_token": token, **more}
        self.client.raw_insert("t", rows.columns, block, settings, fmt="ArrowStream")  # type: ignore[arg-type]

    def count(self, table: str = "t") -> int:
        return int(str(self.pinned.command(f"SELECT count() FROM {table}")))


def rows(count: int, **columns: object) -> pl.DataFrame:
    types = {"k": pl.UInt64, "v": pl.UInt64}
    return pl.DataFrame({"k": range(count), "v": [1] * count, "s": ["x"] * count, **columns}, schema_overrides=types)


# --- each says whether the contract holds ----------------------------------------------------------------------------
def what_is_acknowledged_is_there(bench: Bench) -> bool:
    bench.pinned.command("ALTER TABLE t ADD CONSTRAINT slow CHECK sleepEachRow(0.001) = 0")
    try:
        bench.write(rows(200), max_execution_time=0.1)
    except ClickHouseError:
        return True
    return bench.count() == 200


def twice_is_once(bench: Bench) -> bool:
    bench.write(rows(10))
    bench.write(rows(10))
    return bench.count() == 10


def a_new_version_is_written_whatever_is_there(bench: Bench) -> bool:
    bench.write(rows(10))
    for _ in range(2):
        bench.client.command("INSERT INTO t SELECT k, v + 1, s, at FROM t WHERE v = 1")
    return bench.count() == 30


def what_failed_in_part_is_repeated_whole(bench: Bench) -> bool:
    bad = pl.Series(["bad" if k == 2500 else "x" for k in range(5000)])
    with pytest.raises(ClickHouseError, match="well"):
        bench.write(rows(5000, s=bad), max_insert_block_size_rows=1000)
    Bench(bench.pinned, bench.pinned).write(rows(5000))
    return bench.count() == 5000


def a_view_has_each_row_once(bench: Bench) -> bool:
    bench.pinned.command(
        "CREATE TABLE kept (k UInt64) ENGINE = MergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 9"
    )
    bench.pinned.command("CREATE MATERIALIZED VIEW view TO kept AS SELECT k FROM t")
    bench.write(rows(10))
    bench.write(rows(10))
    return bench.count("kept") == 10


def what_a_view_refuses_is_not_acknowledged(bench: Bench) -> bool:
    bench.pinned.command("CREATE TABLE kept (k UInt64, CONSTRAINT small CHECK k < 5) ENGINE = MergeTree ORDER BY k")
    bench.pinned.command("CREATE MATERIALIZED VIEW view TO kept AS SELECT k FROM t")
    return not _taken(lambda: bench.write(rows(10)))


def each_version_of_an_insert_is_there(bench: Bench) -> bool:
    bench.write(rows(3, k=[1, 1, 1], v=[1, 2, 3]))
    return bench.count() == 3


def many_months_are_one_insert(bench: Bench) -> bool:
    months = pl.select(pl.datetime_range(pl.date(2020, 1, 1), pl.date(2023, 12, 1), "1mo")).to_series()
    return _taken(lambda: bench.write(rows(48, at=months)))


def a_blank_field_is_no_fault(bench: Bench) -> bool:
    return _taken(lambda: bench.write(rows(3, s=["a", None, "b"])))


def replaced_rows_are_seen(bench: Bench) -> bool:
    bench.write(rows(1))
    bench.write(rows(1, v=[2]), "b")
    return bench.client.command("SELECT count() FROM t") == 2


def a_change_of_the_table_holds_at_once(bench: Bench) -> bool:
    bench.write(rows(1))
    bench.pinned.command("ALTER TABLE t UPDATE s = 'other' WHERE s = 'x'", settings={"mutations_sync": 0})
    return bench.client.command("SELECT any(s) FROM t") == "other"


def _taken(write: Callable[[], None]) -> bool:
    try:
        write()
    except ClickHouseError:
        return False
    return True


def _refused_or_whole(sql: str, **limits: object) -> Callable[[Bench], bool]:
    """An answer that does not fit into a limit of the profile is an error."""

    def holds(bench: Bench) -> bool:
        whole = bench.pinned.query(sql).result_rows
        try:
            return bool(bench.client.query(sql, settings={"max_block_size": 100, **limits}).result_rows == whole)
        except ClickHouseError:
            return True

    return holds


class Case(NamedTuple):
    opposite: str
    holds: Callable[[Bench], bool] | None
    """None: the embedded engine can't show it."""
    unseen: str = ""


NUMBERS = "SELECT number FROM numbers(100000)"
COUNT = f"SELECT count() FROM ({NUMBERS})"
CASES = {
    "async_insert": Case("1", None, "it has no queue of inserts"),
    "wait_for_async_insert": Case("0", None, "it has no queue of inserts"),
    "timeout_overflow_mode": Case("break", what_is_acknowledged_is_there),
    "deduplicate_insert": Case("disable", twice_is_once),
    "deduplicate_insert_select": Case("enable_even_for_bad_queries", a_new_version_is_written_whatever_is_there),
    "use_strict_insert_block_limits": Case("1", what_failed_in_part_is_repeated_whole),
    "deduplicate_blocks_in_dependent_materialized_views": Case("0", a_view_has_each_row_once),
    "materialized_views_ignore_errors": Case("1", what_a_view_refuses_is_not_acknowledged),
    "optimize_on_insert": Case("1", each_version_of_an_insert_is_there),
    "max_partitions_per_insert_block": Case("10", many_months_are_one_insert),
    "input_format_null_as_default": Case("0", a_blank_field_is_no_fault),
    "final": Case("1", replaced_rows_are_seen),
    "apply_mutations_on_fly": Case("0", a_change_of_the_table_holds_at_once),
    "use_query_cache": Case("1", None, "it has no cache of answers"),
    "result_overflow_mode": Case("break", _refused_or_whole(NUMBERS, max_result_rows=3)),
    "read_overflow_mode": Case("break", _refused_or_whole(COUNT, max_rows_to_read=3)),
    "group_by_overflow_mode": Case(
        "any", _refused_or_whole(f"SELECT count() FROM ({NUMBERS} GROUP BY number)", max_rows_to_group_by=3)
    ),
    "set_overflow_mode": Case("break", _refused_or_whole(f"{COUNT} WHERE number IN ({NUMBERS})", max_rows_in_set=3)),
    "join_overflow_mode": Case(
        "break", _refused_or_whole(f"{COUNT} AS a JOIN ({NUMBERS}) AS b USING number", max_rows_in_join=3)
    ),
    "distinct_overflow_mode": Case(
        "break", _refused_or_whole(f"SELECT count() FROM (SELECT DISTINCT number FROM ({NUMBERS}))", max_rows_in_distinct=3)
    ),
    "sort_overflow_mode": Case("break", _refused_or_whole(f"{NUMBERS} ORDER BY number", max_rows_to_sort=3)),
    "transfer_overflow_mode": Case("break", None, "only servers of a cluster transfer"),
}


@pytest.fixture
def pinned(bare: Settings) -> Iterator[Client]:
    with clickhouse_client(bare.clickhouse) as client:
        client.command(TABLE)
        client.command("SYSTEM STOP MERGES t")
        yield client


@pytest.mark.parametrize("pin", [pytest.param(pin, id=pin.name) for pin in PINS])
def test_the_contract_breaks_without_a_setting_and_holds_with_it(pin: Pin, pinned: Client, bare: Settings) -> None:
    case = CASES[pin.name]
    assert pin.without and pinned.get_client_setting(pin.name) == pin.value
    if case.holds is None:
        assert case.unseen
        return
    with clickhouse_client(bare.clickhouse) as client:
        client.set_client_setting(pin.name, case.opposite)
        assert not case.holds(Bench(client, pinned)), "what the setting guards against does not happen"
        pinned.command("DROP TABLE IF EXISTS view")
        pinned.command("DROP TABLE IF EXISTS kept")
        pinned.command("DROP TABLE t")
        pinned.command(TABLE)
        pinned.command("SYSTEM STOP MERGES t")
    assert case.holds(Bench(pinned, pinned)), pin.without


def test_all_clients_are_made_in_one_place_and_nothing_overrides_a_pin() -> None:
    """So no insert of any module goes without: not one of tomorrow either."""
    makes = re.compile(r"\b(get_client|create_client|get_async_client|create_async_client|HttpClient)\b")
    names = re.compile("|".join(rf'["\']{pin.name}["\']' for pin in PINS))
    # A person's queries count each row once; words that explain an alert may be of a part of the posts.
    may = {
        "clickhouse/client.py": makes,
        "clickhouse/pins.py": names,
        "clickhouse/query.py": re.compile('"final"'),
        "embedded/analyst.py": re.compile('"final"'),
        # Its rows travel in an INSERT ... SELECT, and its token counts for them.
        "clickhouse/fenced_inserter.py": re.compile('"deduplicate_insert_select"'),
        # A quarter-hour's words may be of conversations from more months than that.
        "control/rollups.py": re.compile('"max_partitions_per_insert_block"'),
        # A piece of a backup may be of a decade.
        "maintenance/restore.py": re.compile('"max_partitions_per_insert_block"'),
        "processors/alerts/explain.py": re.compile('"timeout_overflow_mode"'),
    }
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        text = path.read_text()
        allowed = may.get(str(path.relative_to(ROOT / "pipeline")))
        found = {match[0] for pattern in (makes, names) for match in pattern.finditer(text)}
        assert not {word for word in found if allowed is None or not allowed.fullmatch(word)}, path


def test_no_insert_of_any_module_inherits_a_setting(bare: Settings, tmp_path: Path) -> None:
    """All that writes, under a profile that says the opposite of everything."""
    # ClickHouse refuses a cache together with the others.
    profile = {name: case.opposite for name, case in CASES.items() if name != "use_query_cache"}
    with ProfileProxy(bare.clickhouse.url, profile) as proxy:
        brands = tmp_path / "brands.yaml"
        brands.write_text("brands: [{name: Acme, keywords: [acme]}]")
        theirs = bare.clickhouse.model_copy(update={"url": proxy.url})
        _write_everywhere(bare.model_copy(update={"clickhouse": theirs, "brands": brands}))
        asyncio.run(_log_a_delivery(theirs))
        asyncio.run(_note_a_source(theirs))
    assert not {table: names for table, names in proxy.inherited.items() if names}
    with clickhouse_client(bare.clickhouse) as client:
        engines: dict[str, str] = {name: engine for name, engine in client.query(TABLES).result_rows}
        landed = client.query("SELECT brands FROM interactions FINAL ORDER BY created_at").result_rows
    assert engines.keys() == proxy.inherited.keys() | IMPORTED, "_write_everywhere writes to each table"
    absorbing = {table for table, engine in engines.items() if "non_replicated_deduplication_window" in engine}
    assert proxy.with_token - absorbing == REPLACES_ITSELF, "a table absorbs a repeated insert by its token"
    assert landed == [(["A"],), (["A"],), (["A", "Acme"],)]


async def _note_a_source(clickhouse: ClickHouseSettings) -> None:
    now = datetime.now(UTC)
    tables = Tables(partial(clickhouse_client, clickhouse))
    tables.keep(Record("blog", "a feed", 1, 1))
    tables.gap("blog", "rss", Gap("", "", "gone"))
    tables.note(Health("blog", "rss", "running", "", None, now, None, None, 0, 0, {}, None, "here", now))
    await tables.close()


def _write_everywhere(settings: Settings) -> None:
    migrate(settings.model_copy(update={"retention": RetentionSettings(tables={"alert_deliveries": 99})}))
    with clickhouse_client(settings.clickhouse) as client:
        inserter = Inserter(client, OpenFence(), Vitals(), "test")
        batch = make_batch(1)
        batch.events = batch.events.with_columns(text=pl.when(pl.col("id") == "3").then(pl.lit("acme")).otherwise("text"))
        Landing(inserter, TableLetters(inserter, ROWS), str).land([batch])
        tables = AlertTables(inserter)
        scope = Scope("Acme")
        alert = Alert(1, 1, "r", "reach", scope, State.FIRING, severity=1, since=NOW, last_at=NOW, changed_at=NOW)
        tables.write([alert], [Member("r", "Acme", 1, 1, NOW)], 0)
        tables.write_silence(Silence(1, 1, "", "", "", NOW, NOW, "", "", NOW), 0)
        tables.keep_watermark(NOW, NOW, 0)
        tables.write_candidates([(Candidate("r", "Acme", "x", "en", 1, NOW, NOW, 1.0), NOW)], False, 0)
        tables.write_late_days([LateDay(20_000, 28_800_000, 28_800_009)], NOW, 0)
        tables.write_arrivals([("blog", 3_600, 0, 1)], 0)
        _write_identity(CustomerTables(inserter))
        record(client, Act("ann", "api", "take"))
        suppress(inserter, suppression_rows(Keys([1], ["ab" * 32], [2]), 1, NOW))
        raised_hashes.note(inserter, Chain([b"the key", b"the next"]))
        write_receipt(client, Erasure("ann"))
        fenced = FencedInserter(client, OpenFence(), Vitals(), "test")
        fenced.begin("control", 1)
        CaseTable(fenced).write(cases.Case("Acme", "x", "1", "taken", "ann", "ann", "", NOW, NOW), 0)
        _write_threads(client, inserter)
        fingerprints.check(client, HashKeys(("the key",)))
        client.command("TRUNCATE TABLE account_events")
        ask = asker(client)
        for number, rollup in enumerate(load_rollups(None, None), 1):
            for statement in statements(rollup, [Span(0, 2_000_000)], number, lambda sql, more: ask(sql, STATEMENTS)):
                client.command(statement, settings=STATEMENTS)
            write_mark(client.command, rollup, 0, number)
    assert check_accounts(settings.clickhouse, repair=True, pause_s=0)
    assert events_states(settings.kafka)  # a fresh broker has its group's coordinator by then
    accept_loss(settings.kafka, settings.clickhouse, [Lost(settings.kafka.topic("events"), 0, 0, 2, 3)])
    assert rematch(settings, ["Acme"]).rows == 1


def _write_identity(tables: CustomerTables) -> None:
    numbers = {name: pl.Series([1], dtype=pl.UInt64) for name in ("profile", "before", "after", "customer", "edge", "sequence")}
    rows = pl.DataFrame(numbers)
    texts = {"kind": "value", "type": "email", "basis": "given"}
    record = {name: [1 if type_.is_numeric() else texts.get(name, "")] for name, type_ in SENT_COLUMNS.items()}
    tables.write_edges(parse(orjson.dumps({"version": 1, "imported": True, "edges": record}))[0], 1, 0)
    tables.write_command(Command(1, "release"), "", NOW, 0)
    tables.write_rules(1, RulesFile(), "ann", NOW, 0)
    tables.write_moves(rows.select("profile", "before", "after", "sequence"), 0, NOW, 0)
    tables.write_assignments(rows.select("profile", "customer", "sequence"), 0)
    tables.write_queue(rows.select("edge", "sequence", reason=pl.lit("held")), NOW, 0)
    tables.write_mark("breaker", 1, 1, 0)


def _write_threads(client: Client, inserter: Inserter) -> None:
    hours = {"Acme": Calendar.of({"mon": ("09:00-18:00",)}, "UTC", 1996)}
    noted = changed_files(inserter.query, {"alerts.yaml": "ab"}, NOW), changed_panels(inserter.query, {"Acme": ["Bolt"]}, NOW)
    for table, rows in [*calendar_changes(inserter.query, hours, NOW).rows, *noted]:
        inserter.insert_all(table, rows, 0)
    client.command(Threads().rebuild([Span(0, 4_000_000)], 1))
    for table, rows in rate_changes(inserter.query, "EUR", NOW):
        inserter.insert_all(table, rows.head(9), 0)


async def _log_a_delivery(clickhouse: ClickHouseSettings) -> None:
    log = ClickHouseLog(lambda: clickhouse_client(clickhouse))
    log.record([Delivery(1, 1, "ops", 1, True, "204", 12, NOW)])
    await log.close(10)


def test_what_is_as_needed_needs_no_word(bare: Settings) -> None:
    with clickhouse_client(bare.clickhouse) as client:
        assert unmet(client) == ""


def test_a_readonly_profile_is_said_in_one_line_before_anything_is_done(settings: Settings) -> None:
    migrate(settings)
    reader = settings.model_copy(
        update={"clickhouse": settings.clickhouse.model_copy(update={"user": "analyst", "password": SecretStr("")})}
    )
    said = r"^ClickHouse at http://\S+: async_insert is 1 and readonly for this user, it must be 0; [^\n]+$"
    with pytest.raises(MigrationError, match=said):
        check(reader)
    with pytest.raises(MigrationError, match=said):
        migrate(reader)


def test_a_time_limit_that_may_not_be_set_is_said(bare: Settings) -> None:
    with clickhouse_client(bare.clickhouse) as client:
        limit = client.server_settings["max_execution_time"]
        client.server_settings["max_execution_time"] = type(limit)(limit.name, "60", 1)
        with pytest.raises(MigrationError, match=r"^ClickHouse at http://\S+: Setting max_execution_time is readonly$"):
            migrate_tables(client)


def test_a_server_that_is_too_old_is_said(settings: Settings) -> None:
    with clickhouse_client(settings.clickhouse) as client:
        client.server_version = "25.8.3.1"
        with pytest.raises(MigrationError, match=r"it is version 25\.8\.3\.1, Earshot needs 26\.2 or newer"):
            check_tables(client)


def test_the_tables_queue_no_inserts_whatever_the_servers_default_is(settings: Settings) -> None:
    migrate(settings)
    with clickhouse_client(settings.clickhouse) as client:
        made = client.query(TABLES).result_rows
    assert made and not [name for name, engine in made if "async_insert = 0" not in engine]
