"""A person is erased while worker, control and customers run: nothing of them is found, nothing brings it back, nobody else
loses anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.kafka.event_producer import EventProducer, record_of
from pipeline.migrate import migrate
from pipeline.privacy.register import TABLES
from schemas.identity import account_key
from tests.support.commands import Run, set_variables
from tests.support.control import EAGER, controlled, start_control
from tests.support.customers_process import start_customers, stewarded
from tests.support.topics import lag, read_topic
from tests.support.worker import Worker, wait_for

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
COLUMNS = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{}' AND default_kind != 'ALIAS'"
ANN = account_key("twitter", "annmark-id")
KEPT = {"acts", "suppressions", "erasures", "schema_migrations"}


@pytest.fixture
def settings(emptied: Settings, tmp_path: Path) -> Settings:
    rules = tmp_path / "alerts.yaml"
    rules.write_text("rules: [{name: all, type: reach, followers: 1, negative: false}]")
    brands = tmp_path / "brands.yaml"
    brands.write_text("brands: [{name: Acme, keywords: [acme]}]")
    return controlled(stewarded(emptied), rules).model_copy(update={"brands": brands})


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def post(who: str, name: str, minutes: int = 0, **more: Any) -> dict[str, Any]:
    """With the author's marker in each text."""
    author = {
        "id": f"{who}-id",
        "handle": f"{who}_bird",
        "name": f"{who} name",
        "email": f"{who}@example.org",
        "bio": f"{who} bio",
        "url": f"https://example.org/{who}",
        "followers": 9,
        "accounts": [f"forum:{who}-forum"],
    }
    return {
        "id": f"{who}-{name}",
        "platform": "twitter",
        "kind": "post",
        "created_at": f"{NOW + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}",
        "text": f"{who} says acme {name}",
        "conversation_id": f"{who}-talk-{name}",
        "author": author,
        **more,
    }


def update(who: str, name: str, **more: Any) -> dict[str, Any]:
    """It names no author, unless `more` does."""
    fields = {"operation": "update", "occurred_at": f"{NOW + timedelta(minutes=9):%Y-%m-%dT%H:%M:%SZ}"}
    return {"id": f"{who}-{name}", "platform": "twitter", "text": f"{who} says more of acme {name}", **fields, **more}


def send(settings: Settings, *events: dict[str, Any]) -> None:
    with EventProducer(settings.kafka) as producer:
        for event in events:
            producer.produce(*record_of(orjson.dumps(event)))


def found(client: Client, mark: str) -> dict[str, int]:
    """How many rows of each table hold the marker in any column, old versions too."""
    tables = {}
    for table in set(TABLES) - KEPT:
        columns = ", ".join(f"toString({name})" for (name,) in client.query(COLUMNS.format(table)).result_rows)
        where = f"arrayExists(text -> position(text, '{mark}') > 0, [{columns}])"
        if rows := int(str(client.command(f"SELECT count() FROM {table} WHERE {where}"))):
            tables[table] = rows
    return tables


def dropped(worker: Worker) -> int:
    [count] = re.findall(r'^earshot_events_dropped_total{reason="erased"} (\d+)', worker.ask("/metrics")[1], re.MULTILINE) or [
        0
    ]
    return int(count)


def nothing_left(client: Client) -> None:
    """Of ann, within START."""
    last: list[object] = []

    def nothing() -> bool:
        last[:] = [found(client, "annmark"), ANN in accounts(client)]
        return last == [{}, False]

    try:
        wait_for("nothing of her is found", nothing, every=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from None


def landed(client: Client, *ids: str) -> bool:
    return int(str(client.command(f"SELECT uniqExact(id) FROM interactions WHERE id IN {ids + ('',)}"))) == len(ids)


def accounts(client: Client) -> set[int]:
    """Whose keys tables computed from interactions hold."""
    queries = (
        "SELECT account_key FROM account_quarters",
        "SELECT account_key FROM account_events",
        "SELECT customer FROM threads",
    )
    return {int(key) for sql in queries for (key,) in client.query(sql).result_rows}


def records_go(settings: Settings, run: Run) -> None:
    """Of topics, all that has been read: by the real processes."""
    [receipt] = re.findall(r"\b[0-9a-f]{16}\b", run("person", "receipts").out)
    wait_for("all is committed", lambda: not lag(settings.kafka), every=1)
    done = run("person", "erase", "--customer", "twitter:annmark-id", "--topics", "delete", "--yes")
    assert done.code == 0, done.err
    assert "of everybody, not of this person alone" in done.out
    assert list(read_topic(settings.kafka, settings.kafka.topic("events"))) == []
    said = run("person", "receipts", receipt).out
    assert re.search(rf"{settings.kafka.topic('events')} deleted \S+ \S+ UTC \(\d+ records\), ", said), said
    assert f"{settings.kafka.topic('alerts')} no date" in said


def test_a_person_is_erased_and_stays_so(
    client: Client, settings: Settings, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_variables(monkeypatch, settings)
    with ExitStack() as running:

        def started(process: Worker) -> Worker:
            running.callback(process.close)
            return process

        worker = started(Worker(settings, tmp_path / "worker.log"))
        control = started(start_control(settings, tmp_path / "control.log", EAGER))
        customers = started(start_customers(settings, tmp_path / "customers.log"))
        for process in (worker, control, customers):
            process.wait_ready()
        send(settings, *(post(who, str(n), n) for who in ("annmark", "bobmark") for n in range(3)), update("annmark", "0"))
        send(settings, update("annmark", "waits", author={"id": "annmark-id"}), post("bobmark", "last"))
        wait_for("all lands", lambda: landed(client, *(f"annmark-{n}" for n in range(3)), "bobmark-last"))
        wait_for("rollups have both", lambda: len(accounts(client)) >= 2 and "account_quarters" in found(client, "annmark"))
        wait_for("the graph has her", lambda: bool(client.query(f"SELECT 1 FROM identity_edges WHERE a = {ANN}").result_rows))
        others = found(client, "bobmark")

        erased = run("person", "erase", "--customer", "twitter:annmark-id", "--why", "she asked", "--yes")
        assert erased.code == 0 or "graph: `earshot customers` has" in erased.err, erased.err
        for said in ("3 events are erased", "interactions", settings.kafka.topic("events")):
            assert said in erased.out
        nothing_left(client)

        # She comes back; her address comes without an account, and from another one, which is somebody else; all of the topic
        # is read again; a batch was on its way.
        replayed = [record.value() for record in read_topic(settings.kafka, settings.kafka.topic("events"))]
        client.command(
            "INSERT INTO interactions (event_key, platform, id, author_id, text, created_at, ingested_at) "
            "VALUES (7, 'twitter', 'annmark-late', 'annmark-id', 'annmark is late', now(), now())"
        )
        address = {"email": "annmark@example.org"}
        send(settings, post("annmark", "new"), update("annmark", "new"), post("annmark", "mail", author=address))
        send(settings, update("annmark", "1"), post("bobmark", "address", author={"id": "another", **address}))
        worker.stop()
        worker = started(Worker(settings, tmp_path / "again.log"))
        send(settings, *(orjson.loads(value) for value in replayed if value), post("bobmark", "after"))
        wait_for("others land", lambda: landed(client, "bobmark-after"))
        wait_for("what was read again is dropped", lambda: dropped(worker) >= len(replayed) - 4, every=0.5)
        nothing_left(client)
        assert {table for table, rows in others.items() if found(client, "bobmark").get(table, 0) < rows} == set()
        assert client.query("SELECT author_email FROM interactions WHERE id = 'bobmark-address'").result_rows == [("",)]
        again = run("person", "erase", "--customer", "twitter:annmark-id", "--yes")
        assert again.code == 1 and "is erased already, and nothing has come since: receipt " in again.err, again
        assert re.search(r" UTC, 3 events(; it waits for graph: control goes on with it)?$", again.err)
        wait_for("it is hidden everywhere", lambda: "waits" not in run("person", "receipts").out)
        records_go(settings, run)
        assert "she asked" in run("person", "receipts").out
        assert not client.query(f"SELECT 1 FROM identity_edges WHERE a = {ANN}").result_rows
        texts = " ".join(str(client.query(f"SELECT * FROM {table}").result_rows) for table in ("acts", "erasures"))
        assert "erase person" in texts and "annmark" not in texts, "on record, by nobody's name"

        readmitted = run("person", "readmit", "--account", "twitter:annmark-id", "--why", "she came back")
        assert readmitted.code == 0, readmitted.err
        send(settings, post("annmark", "1"), post("annmark", "2"))

        def lands() -> bool:
            send(settings, post("annmark", f"back{datetime.now(UTC):%H%M%S%f}"))
            return bool(client.query("SELECT 1 FROM interactions WHERE id LIKE 'annmark-back%'").result_rows)

        wait_for("she lands again", lands, every=0.5)
        assert not landed(client, "annmark-1") and not landed(client, "annmark-new"), "what was erased stays so"
        assert run("person", "readmit", "--account", "twitter:annmark-id").code == 1
