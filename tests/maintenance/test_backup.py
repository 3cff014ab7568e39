"""A backup, restored into an empty database: the same, and whoever was erased since is not there."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer

from pipeline.clickhouse.fingerprints import check
from pipeline.clickhouse.migrations import RESTORING, check_tables
from pipeline.config.settings import Settings
from pipeline.customers.state import State
from pipeline.embedded.stack import Stack
from pipeline.errors import EarshotError, MigrationError
from pipeline.maintenance import restore
from pipeline.maintenance.backup_manifest import NAME, kept_tables, read_manifest
from pipeline.privacy import parts
from pipeline.privacy.noted import Notes, read_notes
from pipeline.privacy.place import Sets, where
from pipeline.privacy.register import TABLES
from pipeline.privacy.whole_folder import whole_folder
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.customers import CustomerTables
from pipeline.sinks.erased_customers import suppressed
from pipeline.sinks.erasures import write_receipt
from schemas.contacts import DEFAULT
from schemas.erasures import Erasure, Keys
from tests.support.commands import Run, set_variables
from tests.support.customers import House, emails, link
from tests.support.persons import AT, Planted, plant, plant_rows
from tests.support.tables import own_database

GONE = [Planted(f"gone{number}mark") for number in range(10)]
STAYS = Planted("staysmark")
FAMILIES, LINKS, ALERTS, SILENCES = 300, 50, 150, 50
GRAPH = ("identity_edges", "identity_commands", "identity_queue", "assignments", "assignment_changes")
RECORD = ("identity_commands", "assignment_changes")
"""What was decided, and by which moves a person left, stays by keys."""
SAME = {
    "alerts": "SELECT * FROM alerts FINAL ORDER BY alert_key, version",
    "alerts_now": "SELECT * FROM alerts_now FINAL ORDER BY alert_key",
    "silences": "SELECT * FROM alert_silences FINAL ORDER BY silence_id",
    "records": "SELECT * FROM customers FINAL ORDER BY profile",
    "edges": "SELECT DISTINCT edge, kind, a, b, type, basis, rule, held, claimed FROM identity_edges ORDER BY ALL",
    "links": "SELECT * FROM identity_commands FINAL WHERE action != 'erase' ORDER BY sequence",
    "customers": "SELECT profile, customer FROM assignments FINAL WHERE is_deleted = 0 ORDER BY profile",
    "queue": "SELECT edge, reason FROM identity_queue FINAL WHERE is_deleted = 0 ORDER BY edge",
    "cases": "SELECT * FROM cases FINAL ORDER BY ALL",
    "terms": "SELECT name, max(term) FROM leaders GROUP BY name ORDER BY name",
    "rates": "SELECT * FROM rates ORDER BY ALL",
}
OTHERS = tuple(
    sorted({*kept_tables()} - {*SAME, *GRAPH, *restore.UNITED, "alert_silences", "leaders", "customers", "identity_rules"})
)
SAME |= {table: f"SELECT * FROM {table} FINAL ORDER BY ALL" for table in OTHERS}
EARLY = Planted("earlymark")
"""Who was erased before; ClickHouse's own RESTORE brought a dead letter of theirs."""


class Side:
    """A database, as it is read and changed."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.house = settings, House(settings)
        self.client: Client = self.house.client

    def state(self) -> State:
        """Of `earshot customers`, with the key of step privacy."""
        leader = self.house.leader()
        key = self.settings.privacy.hash_key.get_secret_value()
        state = State(CustomerTables(leader.inserter), Pseudonymise(key.encode(), "", DEFAULT).hashes)
        state.start(self.house.term, leader.lease.generation)
        return state

    def erased(self) -> None:
        """As `earshot customers` does when it sees the suppressions."""
        state = self.state()
        state.suppress(suppressed(state.query), again=True)

    def seen(self) -> dict[str, list[tuple[object, ...]]]:
        return {name: [tuple(map(repr, row)) for row in self.client.query(sql).result_rows] for name, sql in SAME.items()}

    def of(self, person: Planted) -> dict[str, int]:
        """How many rows of each table are the person's."""
        accounts = (person.bird, person.by_handle, person.forum, person.record)
        sets = Sets(", ".join(map(str, accounts)), ", ".join(str(person.event(n)) for n in (0, 1, 2, 3, 90, 95)))
        places = [place for place in TABLES.values() if place.findable and place.erase != "none"]
        found = {each.name: f"SELECT count() FROM {each.name} FINAL WHERE {where(each, sets)}" for each in places}
        counts = {name: int(str(self.client.command(sql))) for name, sql in found.items()}
        return {name: count for name, count in counts.items() if count and name not in RECORD}


def changed(side: Side) -> int:
    """Changes of each kind, and how many."""
    house = side.house
    for table in GRAPH:  # what is planted there is no evidence
        side.client.command(f"TRUNCATE TABLE {table} SYNC")
    state = side.state()
    persons = [
        (key, 9_000 + n) for n, person in enumerate((*GONE, STAYS)) for key in (person.bird, person.forum, person.record)
    ]
    state.take(emails(*persons), imported=True)
    pairs = [(1_000_000 + 2 * n + part, 5_000 + n) for n in range(FAMILIES) for part in (0, 1)]
    state.take(emails(*pairs), imported=True)
    for n in range(LINKS):
        state.command(link(state, pairs[4 * n][0], pairs[4 * n + 2][0]))
    fired = {"rule": "volume", "brand": "Acme", "samples": [1, 2], "changed_at": AT, "since": AT, "last_at": AT}
    acked = {**fired, "state": "acknowledged", "actor": "ines", "comment": "seen", "changed_at": AT + timedelta(minutes=1)}
    numbered = [{"alert_key": 900 + n, "term": 1} for n in range(ALERTS)]
    first = {**fired, "state": "firing", "actor": "", "comment": "", "version": 1}
    insert(side.client, "alerts", *({**first, **each} for each in numbered))
    insert(side.client, "alerts", *({**acked, "version": 2, **each} for each in numbered))
    silences = ({"silence_id": 50 + n, "version": 1, "comment": f"quiet {n}"} for n in range(SILENCES))
    insert(side.client, "alert_silences", *silences)
    insert(side.client, "rates", {"currency": "USD", "day": AT.date(), "rate": 1.25, "version": 5})
    for keys in (side.settings.privacy.hash_keys, side.settings.privacy.data_keys):
        check(side.client, keys)
    assert house.term == 1
    return FAMILIES * 2 + LINKS + 2 * ALERTS + SILENCES


def insert(client: Client, table: str, *rows: dict[str, object]) -> None:
    names = list(rows[0])
    client.insert(table, [[row[name] for name in names] for row in rows], column_names=names)


@pytest.fixture
def target(stack: Stack, settings: Settings) -> Iterator[Settings]:
    with own_database(stack.clickhouse) as database:
        yield settings.model_copy(update={"clickhouse": database})


def test_after_a_thousand_changes_and_ten_erasures_it_is_the_same_without_the_ten(
    settings: Settings, target: Settings, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notes = tmp_path / "erasures.jsonl"
    set_variables(monkeypatch, settings)
    monkeypatch.setenv("EARSHOT_PRIVACY__ERASURES_FILE", str(notes))
    assert run("migrate").code == 0
    before = Side(settings)
    plant(before.client, *GONE, STAYS)
    plant_rows(before.client, OTHERS, "other\xff\0mark")
    assert changed(before) >= 1_000
    whole = before.of(STAYS)
    done = run("backup", "kept")
    assert done.code == 0, done.err
    assert "are in no backup" in done.out and "BACKUP TABLE" in done.out and ".interactions" in done.out
    folder = tmp_path / "kept"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600} and folder.stat().st_mode & 0o777 == 0o700
    assert run("backup", "kept").code == 1, "it is there"
    with monkeypatch.context() as patched:
        patched.setattr(parts, "await_graph", lambda client, keys, patience_s: before.erased())
        for person in GONE:
            erased = run("person", "erase", "--customer", f"twitter:{person.id}", "--yes")
            assert erased.code == 0, erased.err
    assert len(read_notes(notes).erasures) == len(GONE)
    assert run("person", "readmit", "--account", f"twitter:{GONE[0].id}").code == 0
    Notes(notes).readmission([1])  # of an erasure that nobody has
    set_variables(monkeypatch, target)
    monkeypatch.setenv("EARSHOT_PRIVACY__ERASURES_FILE", str(notes))
    after = Side(target)
    insert(after.client, "leaders", {"name": "control", "term": 0, "holder": 0, "released": True, "changed_at": AT})  # 009 does
    insert(after.client, "dead_letters", *({**row, "rejected_at": AT} for row in EARLY.rows("dead_letters")))
    write_receipt(after.client, Erasure("ines", id=99, hidden_at=AT, purged_at=AT))
    insert(after.client, "suppressions", {"kind": "account", "key": EARLY.bird, "erasure": 99, "at": AT})
    refused(run, monkeypatch, folder, after.client)
    beside(run, after.settings)
    killed(run, monkeypatch, after.client)
    done = run("restore", "kept")
    assert done.code == 0, done.err
    check_tables(after.client)
    assert after.of(EARLY) == {}
    assert not {GONE[0].bird} & {*suppressed(after.house.leader().inserter.query)}, "readmitted since"
    assert {person.mark: left for person in GONE if (left := after.of(person))} == {}
    kept = {name: count for name, count in whole.items() if TABLES[name].backup == "kept"}
    assert {name: after.of(STAYS).get(name) for name in kept} == kept
    expected, there = before.seen(), after.seen()
    for name, rows in expected.items():
        if name != "terms":
            assert there[name] == rows, name
    assert there["terms"] == [("'control'", "1000"), ("'customers'", "1001")], "above what was taken since the backup"
    assert len(run("person", "receipts").out.splitlines()) > len(GONE)
    again = run("restore", "kept")
    assert again.code == 1 and "is not empty" in again.err
    after.house.term = 1
    after.erased()
    assert after.seen()["customers"] == expected["customers"], "whoever leads next finds nothing to change"


def refused(run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path, client: Client) -> None:
    """Nothing is written by a restore that does not fit."""
    file = folder / "identity_edges.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    damaged = run("restore", "kept")
    assert damaged.code == 1 and "identity_edges.parquet is damaged" in damaged.err
    file.write_bytes(content)
    with monkeypatch.context() as patched:
        patched.setenv("EARSHOT_PRIVACY__HASH_KEY", "another")
        other = run("restore", "kept")
        assert other.code == 2 and "privacy.hash_key is not the key of the backup" in other.err
    manifest = folder / NAME
    text = manifest.read_text()
    manifest.write_text(text.replace("001_interactions", "001_others"))
    assert run("restore", "kept").code == 4
    manifest.write_text(text)
    check_tables(client)
    assert client.query("SELECT 1 FROM identity_edges LIMIT 1").result_rows == []


def beside(run: Run, settings: Settings) -> None:
    """A process runs."""
    consumer = Consumer({**settings.kafka.client(), "group.id": f"{settings.kafka.group}-control"})
    consumer.subscribe([settings.kafka.topic("signals")])
    while not consumer.assignment():
        consumer.poll(0.2)
    done = run("restore", "kept")
    assert done.code == 1 and "stop all processes first: `earshot control` runs" in done.err
    consumer.close()


def killed(run: Run, monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """Some of the tables are written, and the database says that it is not whole."""
    insert_: Callable[..., None] = restore._insert

    def dies(client: Client, table: str, piece: pa.RecordBatch, token: str) -> None:
        if table == "customers":
            raise KeyboardInterrupt
        insert_(client, table, piece, token)

    def loses(client: Client, table: str, piece: pa.RecordBatch, token: str) -> None:
        insert_(client, table, piece[1:] if table == "cases" else piece, token)

    def another(client: Client, table: str, piece: pa.RecordBatch, token: str) -> None:
        insert_(client, table, piece, token)
        if table == "cases":
            insert(client, RESTORING, {"run": "of another"})

    for instead, code, why in (
        (dies, 130, ""),
        (loses, 1, "table cases has 10 rows, and the backup 11: run it again"),
        (another, 1, "another `earshot restore` of this backup has begun since"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(restore, "_insert", instead)
            done = run("restore", "kept")
            assert done.code == code and why in done.err, done.err
    with pytest.raises(MigrationError, match="has not ended: run `earshot restore` again"):
        check_tables(client)
    for command in ("show", "erase", "readmit"):
        name = "--account" if command == "readmit" else "--customer"
        half = run("person", command, name, f"twitter:{GONE[0].id}")
        assert half.code == 4 and half.err.count("\n") == 1 and "has not ended" in half.err, half.err


def test_without_clickhouse_or_with_a_full_disk_nothing_is_left(run: Run, tmp_path: Path) -> None:
    assert run("backup", "kept").code == 3
    with (
        pytest.raises(EarshotError, match="No space left on device; nothing was backed up"),
        whole_folder(tmp_path / "kept", ["alerts.parquet"], "backup") as part,
    ):
        (part / "alerts.parquet").touch()
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").mkdir()
    with pytest.raises(EarshotError, match="is no whole backup: it has no manifest.json"):
        read_manifest(tmp_path / "kept")
    (tmp_path / "kept" / NAME).write_text("{")
    with pytest.raises(EarshotError, match="is damaged"):
        read_manifest(tmp_path / "kept")


def test_notes_of_erasures_survive_a_kill_and_name_the_line_that_is_none(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    first, second = Erasure("ines", "asked"), Erasure("ines")
    Notes(notes).erasure(first, Keys([1, 2], ["ab"]))
    with notes.open("ab") as file:
        file.write(b'{"erasure": "00')
    assert list(read_notes(notes).erasures) == [first.id], "what broke off was not begun"
    Notes(notes).erasure(second, Keys([3]))
    Notes(notes).events(second.id, [7])
    Notes(notes).events(second.id, [8])
    Notes(notes).readmission([second.id])
    assert read_notes(notes).readmitted == {second.id} and read_notes(notes).events == {second.id: [7, 8]}
    erasure, keys = read_notes(notes).erasures[first.id]
    assert (erasure.by, erasure.why, erasure.asked_at) == ("ines", "asked", first.asked_at) and keys == Keys([1, 2], ["ab"])
    notes.write_text("[]\n")
    with pytest.raises(EarshotError, match="line 1: it is no note"):
        read_notes(notes)
    with pytest.raises(EarshotError, match="nothing was begun"):
        Notes(tmp_path / "no" / "notes").erasure(first, Keys())


def test_marks_come_first_and_suppressions_last() -> None:
    tables = kept_tables()
    assert len(tables) == len(set(tables)) and tables[-1] == "suppressions"
    assert tables.index("identity_marks") < tables.index("identity_edges") < tables.index("leaders")
