"""Terms in ClickHouse, and the writes that name them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import fenced_inserter
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.fenced_inserter import FencedInserter
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.clickhouse.terms import Terms
from pipeline.config.settings import Settings
from pipeline.fence import GivenUp
from pipeline.kafka.lease import Lease
from pipeline.monitoring.health import Vitals
from pipeline.sinks.alerts import AlertTables
from schemas.alerts import Alert, Scope, State
from schemas.times import utc_now


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        yield client


class Process:
    """A leader with its terms and its tables; its lease lasts."""

    def __init__(self, client: Client) -> None:
        self.lease = Lease()
        self.lease.assigned(True)
        self.lease.confirmed(self.lease.now(), 600)
        self.terms = Terms(client, Inserter(client, self.lease, Vitals(), "test"), "control")
        self.inserter = FencedInserter(client, self.lease, Vitals(), "test")
        self.tables = AlertTables(self.inserter)

    def lead(self) -> tuple[int, bool]:
        term = self.terms.take(lambda: self.lease.check(self.lease.generation))
        self.inserter.begin("control", term.number)
        self.tables.term = term.number
        return term

    def write(self, *alerts: Alert) -> None:
        self.tables.write(alerts, [], self.lease.generation)


def test_each_term_is_higher_and_who_follows_one_that_was_not_handed_over_is_not_alone(client: Client) -> None:
    first, second = Process(client), Process(client)
    assert first.lead() == (1, True)
    assert second.lead() == (2, False)
    second.terms.release(2)
    assert first.lead() == (3, True)
    assert first.lead() == (4, False)


def test_two_that_take_the_same_number_at_once_get_different_ones(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Process(client), Process(client)
    write = first.terms._write

    def late(number: int, *, released: bool) -> None:
        if number == 1:
            assert second.lead() == (1, True)
        write(number, released=released)

    monkeypatch.setattr(first.terms, "_write", late)
    assert first.lead() == (2, False)


def test_who_leads_no_more_takes_no_term(client: Client) -> None:
    process = Process(client)
    process.lease.leaving()
    with pytest.raises(GivenUp):
        process.lead()
    assert client.command("SELECT max(term) FROM leaders") == 0


# --- writes -----------------------------------------------------------------------------------------------------------
def alert() -> Alert:
    now = utc_now()
    return Alert(
        key=(1 << 64) - 5, version=1, rule="many", type="threshold", scope=Scope("Acme's", "x"), state=State.FIRING, severity=7,
        since=now - timedelta(minutes=3), last_at=now, changed_at=now, raised_at=now, observed=12.5, upper=8.0, negative=3,
        terms=("it's", "a \\ kettle"), samples=(1, (1 << 64) - 1), summary="12 mentions\nand more", query="SELECT '1'",
    )  # fmt: skip


def test_what_a_leader_writes_is_read_as_it_was(client: Client) -> None:
    process = Process(client)
    process.lead()
    one = alert()
    for _ in range(2):
        process.write(one)
    assert process.tables.by_keys([one.key]) == [one]
    assert process.tables.standing(utc_now()) == [one]
    assert client.command("SELECT count() FROM alerts FINAL") == 1
    assert process.inserter.unsettled == 0


def test_what_is_more_than_a_statement_may_have_is_written_in_halves(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fenced_inserter, "_STATEMENT_BYTES", 60_000)
    process = Process(client)
    process.lead()
    many = [replace(alert(), key=number, summary="x" * 2_000) for number in range(50)]
    statements: list[int] = []
    send = process.inserter._send

    def counted(*given: Any) -> None:
        statements.append(1)
        send(*given)

    monkeypatch.setattr(process.inserter, "_send", counted)
    process.write(*many)
    assert client.command("SELECT count() FROM alerts FINAL") == 50
    assert 2 <= len(statements) <= 16
    assert process.inserter.unsettled == 0


def test_clickhouse_refuses_who_was_succeeded_however_long_its_lease_lasts(client: Client) -> None:
    old, heir = Process(client), Process(client)
    old.lead()
    generation = old.lease.generation
    heir.lead()
    with pytest.raises(GivenUp):
        old.write(alert())
    assert not old.lease.leads(generation)
    assert client.command("SELECT count() FROM alerts") == 0


def test_a_version_that_two_terms_wrote_is_as_the_newer_one_says(client: Client) -> None:
    """It takes a ClickHouse whose replicas know of a new term at different times."""
    old, heir = Process(client), Process(client)
    old.lead()
    first = alert()
    old.write(first)
    heir.lead()
    heir.write(first.change(utc_now(), state=State.ACKNOWLEDGED, actor="ines"))
    client.command("ALTER TABLE leaders DELETE WHERE term = 2", settings={"mutations_sync": 2})
    again = first.change(utc_now(), observed=13.0)
    old.write(again, again.change(utc_now(), observed=14.0))
    client.command("OPTIMIZE TABLE alerts FINAL")
    (now,) = heir.tables.standing(utc_now())
    assert (now.state, now.actor, now.version) == (State.ACKNOWLEDGED, "ines", 2)
    assert heir.tables.by_keys([first.key]) == [now]
    assert client.command("SELECT count() FROM alerts") == 4


def test_a_leader_writes_what_the_lists_of_alerts_lack(client: Client) -> None:
    """A server that is killed between the two tables, or a backup of one that is older, leaves them apart."""
    leader = Process(client)
    leader.lead()
    first, gone = replace(alert(), key=1), replace(alert(), key=2)
    leader.write(first, gone)
    leader.write(*(replace(each, version=2, state=State.RESOLVED) for each in (first, gone)))
    now = "SELECT * EXCEPT newest, newest FROM alerts_now FINAL ORDER BY alert_key"
    whole = client.query(now).result_rows
    client.command("DELETE FROM alerts_now WHERE version = 2 OR alert_key = 2")
    assert client.query(now).result_rows != whole
    leader.tables.level(leader.lease.generation)
    assert client.query(now).result_rows == whole
    leader.tables.level(leader.lease.generation)
    assert client.command("SELECT count() FROM alerts_now WHERE version = 2") == 2, "once more there is nothing to write"
