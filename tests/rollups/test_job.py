"""The job: whatever happened to the rows, what it fills equals what a SELECT gives; a restart goes on from its commit."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker, one_line
from pipeline.config.settings import Settings
from pipeline.control.rollups import SETTINGS
from pipeline.fence import OpenFence
from pipeline.kafka.client import kafka_admin
from pipeline.migrate import migrate
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.rollups import job as module
from pipeline.rollups import table
from pipeline.rollups.asked import Asked
from pipeline.rollups.job import Job, Statements
from pipeline.rollups.marks import read_marks, write_mark
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.reader import SignalReader
from pipeline.rollups.rollup import QUARTER_S, Rollup, Span, quarter_of
from pipeline.rollups.versions import Versions
from pipeline.sinks.signals import Signals
from schemas.signals import Signal
from schemas.times import utc_now
from tests.rollups.test_quarters import insert, row
from tests.support.worker import wait_for

OLD = datetime(2026, 9, 30, 23, tzinfo=UTC)
ALL = [Span(0, quarter_of(datetime(2040, 1, 1, tzinfo=UTC)))]
BRANDS = ("Acme", "Other")


class Broken:
    """A rollup whose statements fail."""

    name = "broken"
    prompt = True
    rules = ""

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        return "INSERT INTO quarters SELECT throwIf(1)"

    def differences(self, spans: Sequence[Span]) -> str:
        return "SELECT 1"


class House:
    """The tables, the topic, and jobs that run one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.asked, self._term = settings, Asked(), 0
        self.client: Client = clickhouse_client(settings.clickhouse)
        topic = settings.kafka.topic("signals")
        self._signals = Signals(settings.kafka.client(), topic, OpenFence(), Vitals(), "test")

    def tell(self, *minutes: datetime, upcoming: bool = False) -> None:
        field = {"upcoming": minutes} if upcoming else {"touched": dict.fromkeys(minutes, BRANDS)}
        self._signals.send(Signal(utc_now(), 1, **field), 0)

    @contextmanager
    def working(self, rollups: Sequence[Rollup] = (Quarters(),)) -> Iterator[None]:
        """A leader's job, in a term of its own."""
        self._term += 1
        stop, reader, versions = threading.Event(), SignalReader(self.settings.kafka), Versions(self._term)
        other = clickhouse_client(self.settings.clickhouse)
        job = Job(rollups, reader, statements_of(self.client), statements_of(other), versions, self.asked)
        failed: list[BaseException] = []

        def work() -> None:
            try:
                job.run(stop, lambda: None)
            except BaseException as error:
                failed.append(error)
            finally:
                reader.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            other.close()
            assert not failed, failed

    def differing(self) -> int:
        return sum(count for _, count in self.client.query(Quarters().differences(ALL), settings=SETTINGS).result_rows)

    def versions(self) -> set[int]:
        return {int(version) for (version,) in self.client.query("SELECT DISTINCT version FROM quarters FINAL").result_rows}

    def marks(self) -> dict[str, int]:
        return read_marks(asker(self.client), (Quarters(), Broken()))

    def equal(self) -> None:
        wait_for("the rollup has what changed", lambda: self.differing() == 0)


@pytest.fixture
def house(emptied: Settings, monkeypatch: pytest.MonkeyPatch) -> House:
    migrate(emptied)
    monkeypatch.setattr(module, "MEASURE_S", 0.0)
    monkeypatch.setattr(module, "ENDS_S", 0.0)
    monkeypatch.setattr(module, "REST_FOR_SECOND", 0.0)
    monkeypatch.setattr("pipeline.rollups.waiting.SETTLE_S", 0.5)
    return House(emptied)


def statements_of(client: Client) -> Statements:
    ask = asker(client)

    def write(statement: str) -> None:
        with one_line(client):
            client.command(statement, settings=SETTINGS)

    return Statements(write, lambda sql, more: ask(sql, SETTINGS))


def lag(quarter: str) -> float:
    return float(metrics.ROLLUP_LAG.labels(quarter)._value.get())


def test_what_was_there_is_filled_and_what_changes_is_made_anew(house: House) -> None:
    now = utc_now().replace(second=0, microsecond=0)
    insert(house.client, *(row(key) for key in range(300)), *(row(key, created_at=now) for key in range(1_000, 1_050)))
    with house.working():
        wait_for("all is filled", lambda: house.marks() == {"quarters": 0})
        assert house.differing() == 0 and house.versions()

        insert(house.client, *(row(key, 2, brands=["New"]) for key in range(0, 300, 2)), row(2_000, created_at=now))
        assert house.differing()
        house.tell(*(row(key)["created_at"].replace(second=0) for key in range(0, 300, 2)), now)
        house.equal()
        wait_for("nothing waits", lambda: lag("running") == lag("older") == 0)

        insert(house.client, *(row(key, 3, is_deleted=1) for key in range(50)))
        house.tell(*{row(key)["created_at"].replace(second=0) for key in range(50)}, upcoming=True)
        house.equal()  # the sender was killed before it said that they have changed

        house.client.command("TRUNCATE TABLE quarters")
        day = Span(quarter_of(OLD), quarter_of(OLD + timedelta(days=1)))
        house.asked.ask(day)
        wait_for("it is done", lambda: not house.asked.progress().left)
        assert house.asked.progress().failed == "" and house.asked.progress().of == len(range(*day)) + 1
        counts = house.client.query("SELECT max(quarter) < now() - 86400, count() > 50 FROM quarters FINAL").result_rows
        assert counts == [(1, 1)], "this day alone"


def test_the_next_leader_goes_on_from_what_was_committed(house: House) -> None:
    with house.working():
        wait_for("there is nothing to fill", lambda: house.marks() == {"quarters": 0})
    insert(house.client, *(row(key) for key in range(100)))
    house.tell(*{row(key)["created_at"].replace(second=0) for key in range(100)})
    with house.working():
        house.equal()
    first = house.versions()
    assert min(first) > 2 << 32
    insert(house.client, row(500, created_at=OLD + timedelta(days=3)))
    house.tell(OLD + timedelta(days=3))
    with house.working():
        house.equal()
    assert len(house.versions() - first) == 1, "nothing else was made anew"

    group, admin = f"{house.settings.kafka.group}-rollups", kafka_admin(house.settings.kafka)
    admin.delete_consumer_groups([group])[group].result(30)
    insert(house.client, row(600, created_at=OLD - timedelta(days=300)))
    with house.working():
        house.equal()  # nobody knows what was missed
        wait_for("all is filled again", lambda: house.marks() == {"quarters": 0})
    assert min(house.versions()) > 4 << 32


def test_a_rollup_that_fails_holds_no_other_back(house: House) -> None:
    insert(house.client, *(row(key) for key in range(50)))
    with house.working((Broken(), Quarters())):
        wait_for("the other one is filled", lambda: house.marks().get("quarters") == 0)
        house.asked.ask(Span(quarter_of(OLD), quarter_of(OLD)))
        wait_for("a person is told", lambda: bool(house.asked.progress().failed))
        assert house.asked.progress().failed.startswith("table broken: ") and house.differing() == 0
        insert(house.client, row(100, created_at=utc_now()))
        house.tell(utc_now())
        house.equal()
        wait_for("the lag says so", lambda: lag("running") + lag("older") > 0)
    assert metrics.ROLLUPS_FAILED.labels("broken")._value.get() >= 1
    assert QUARTER_S == 900


class Ruled(Quarters):
    """A rollup that follows rules."""

    def __init__(self, rules: str) -> None:
        self.rules = rules


def test_other_rules_fill_the_table_anew_and_so_do_the_ones_of_before(house: House) -> None:
    insert(house.client, *(row(key) for key in range(60)))
    versions: list[set[int]] = []
    for rules in ("a", "b", "a"):
        rollup = Ruled(rules)
        assert read_marks(asker(house.client), [rollup]) == {}, "what other rules have filled"
        with house.working([rollup]):
            filled = partial(read_marks, asker(house.client), [rollup])
            wait_for("all is filled", lambda: filled() == {"quarters": 0})  # noqa: B023  # called in this round alone
        assert house.differing() == 0
        versions.append(house.versions())
    assert max(versions[0]) < min(versions[1]) <= max(versions[1]) < min(versions[2])
    with house.working([Ruled("a")]):
        house.tell(OLD)
        wait_for("it is read", lambda: lag("older") == 0)
    assert read_marks(asker(house.client), [Ruled("a")]) == {"quarters": 0}


def test_a_quarter_that_was_left_by_minutes_is_made_whole_and_its_minutes_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control was killed in the midst of it, and no later signal speaks of it; or a statement of an earlier leader ends after
    the quarter was made whole, and its rows counted twice. Rows that are marked as gone would be read by each question."""
    for name in ("TIDY_S", "TIDY_SOON_S"):
        monkeypatch.setattr(table, name, 0.2)
    first = quarter_of(OLD) + 3
    insert(house.client, *(row(key) for key in range(300)))
    write_mark(house.client.command, Quarters(), 0, 1)
    minutes = range(first * 15, first * 15 + 15)
    for sql in (
        Quarters().rebuild([Span(0, first - 1), Span(first + 1, ALL[0].last)], 2),
        Quarters().rebuild_minutes(minutes, [first], 2),
        Quarters().rebuild_minutes([each + 15 for each in minutes], [], 1),
    ):
        house.client.command(sql, settings=SETTINGS)
    assert house.differing(), "twice, in the second of the two quarters"
    with house.working():
        wait_for("the minutes go", lambda: house.client.command("SELECT countIf(part > 0) FROM quarters") == 0)
        house.equal()
