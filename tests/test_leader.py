"""Who leads, from when and until when: what the group says, by a clock that the test sets; and terms, in ClickHouse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import RequestTimedOutError
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import fenced_inserter
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.fenced_inserter import FencedInserter
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.clickhouse.terms import Terms
from pipeline.clock import steady
from pipeline.config.settings import Settings
from pipeline.fence import GivenUp
from pipeline.kafka.group import SESSION_S, watch
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from pipeline.sinks.alerts import AlertTables
from schemas.alerts import Alert, Scope, State
from schemas.times import utc_now

REBALANCING, UNKNOWN_MEMBER = 27, 25


@dataclass
class Group:
    """aiokafka's coordinator as `watch` sees it. An answer takes `takes_s`; none: the broker is away."""

    now: float = 1000.0
    takes_s: float = 0.0
    code: int | None = 0
    sent: list[tuple[str, bool]] = field(default_factory=list)
    """Each request, and whether this process led when it went."""

    def __post_init__(self) -> None:
        self.leader = Leader(lambda: self.now)
        watch(self, self.leader)

    async def _send_req(self, request: Any) -> Any:
        self.sent.append((type(request).__name__, self.leads))
        self.now += self.takes_s
        if self.code is None:
            raise RequestTimedOutError
        return SimpleNamespace(error_code=self.code)

    @property
    def leads(self) -> bool:
        return self.leader.leads(self.leader.generation)

    def says(self, code: int | None, kind: Any = HeartbeatRequest) -> None:
        self.code = code
        fields: dict[Any, tuple[Any, ...]] = {
            HeartbeatRequest: ("g", 1, "m"),
            LeaveGroupRequest: ("g", "m"),
            SyncGroupRequest: ("g", 1, "m", None, []),
        }
        request = kind(*fields.get(kind, ("g", 6000, 10000, "", None, "consumer", [])))
        try:
            asyncio.run(self._send_req(request))
        except RequestTimedOutError:
            assert code is None

    def joins(self, ours: bool = True) -> None:
        self.says(0, JoinGroupRequest)
        self.says(0, SyncGroupRequest)
        self.leader.assigned(ours)


# --- the lease --------------------------------------------------------------------------------------------------------
def test_who_is_assigned_leads_for_a_session_and_a_heartbeat_goes_on_with_it() -> None:
    group = Group()
    assert not group.leads
    group.joins()
    assert group.leads
    group.now += SESSION_S - 0.1
    group.says(0)
    group.now += SESSION_S - 0.1
    assert group.leads
    group.now += 0.1
    assert not group.leads


def test_who_stands_by_does_not_lead_however_well_it_hears_the_group() -> None:
    group = Group()
    group.joins(ours=False)
    group.says(0)
    assert not group.leads


def test_the_lease_ends_by_itself_when_no_broker_answers() -> None:
    group = Group()
    group.joins()
    generation = group.leader.generation
    group.leader.check(generation)
    group.now += SESSION_S
    group.says(None)
    with pytest.raises(GivenUp):
        group.leader.pass_through(generation)


def test_a_session_counts_from_when_the_request_was_sent() -> None:
    """The answer may have lain in the socket of a process that was frozen."""
    group = Group()
    group.joins()
    group.takes_s = SESSION_S + 1
    group.says(0)
    assert not group.leads


@pytest.mark.parametrize("code", [REBALANCING, UNKNOWN_MEMBER])
def test_an_answer_that_is_no_yes_confirms_nothing(code: int) -> None:
    group = Group()
    group.joins()
    group.now += 4
    group.says(code)
    group.now += 3
    assert not group.leads
    assert group.leader.unanswered_s() == 3


@pytest.mark.parametrize("kind", [JoinGroupRequest, LeaveGroupRequest])
def test_who_joins_anew_or_leaves_does_not_lead_when_it_says_so(kind: Any) -> None:
    group = Group()
    group.joins()
    generation = group.leader.generation
    group.says(0, kind)
    assert group.sent[-1] == (kind.__name__, False)
    group.says(0)  # a heartbeat that was on its way
    assert not group.leads
    group.leader.assigned(True)
    assert not group.leader.leads(generation)


def test_what_began_before_a_lapse_gives_up_also_when_nobody_noticed_the_lapse() -> None:
    group = Group()
    group.joins()
    before = group.leader.generation
    group.now += SESSION_S + 1
    group.says(0)
    assert group.leads
    with pytest.raises(GivenUp):
        group.leader.check(before)


def test_a_clock_that_somebody_sets_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at = steady()
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 0 <= steady() - at < 10


def test_the_loop_hears_of_begin_and_end() -> None:
    async def scenario() -> None:
        leader = Leader()
        begun = asyncio.create_task(leader.begun())
        await asyncio.sleep(0)
        await asyncio.to_thread(leader.confirmed, leader.now(), 0.4)
        await asyncio.to_thread(leader.assigned, True)
        generation = await asyncio.wait_for(begun, 1)
        ended = asyncio.create_task(leader.ended(generation))
        await asyncio.to_thread(leader.confirmed, leader.now(), 0.5)
        assert leader.leads(generation)
        await asyncio.wait_for(ended, 2)
        assert not leader.leads(generation)

        leader.confirmed(leader.now(), 60)
        generation = await asyncio.wait_for(leader.begun(), 1)
        await leader.rest(generation, 0.01)
        resting = asyncio.create_task(leader.rest(generation, 60))
        await asyncio.sleep(0)
        await asyncio.to_thread(leader.leaving)
        with pytest.raises(GivenUp):
            await asyncio.wait_for(resting, 1)

    asyncio.run(scenario())


# --- terms ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        yield client


class Process:
    """A leader with its terms and its tables; its lease lasts."""

    def __init__(self, client: Client) -> None:
        self.leader = Leader()
        self.leader.assigned(True)
        self.leader.confirmed(self.leader.now(), 600)
        self.terms = Terms(client, Inserter(client, self.leader, Vitals(), "test"), "control")
        self.inserter = FencedInserter(client, self.leader, Vitals(), "test")
        self.tables = AlertTables(self.inserter)

    def lead(self) -> tuple[int, bool]:
        term = self.terms.take(lambda: self.leader.check(self.leader.generation))
        self.inserter.begin("control", term.number)
        self.tables.term = term.number
        return term

    def write(self, *alerts: Alert) -> None:
        self.tables.write(alerts, [], self.leader.generation)


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
    process.leader.leaving()
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
    generation = old.leader.generation
    heir.lead()
    with pytest.raises(GivenUp):
        old.write(alert())
    assert not old.leader.leads(generation)
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
