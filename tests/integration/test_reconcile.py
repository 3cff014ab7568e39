"""Reconcile, against the real engine: rows of one event become one, with what workers land meanwhile, and after a kill."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.control import reconciling
from pipeline.control.background import Background
from pipeline.control.reconciling import Reconciling
from pipeline.fence import GivenUp
from pipeline.maintenance.reconcile import reconcile
from pipeline.monitoring import metrics
from pipeline.processors.one_row import OneRow
from pipeline.sinks import one_row as module
from pipeline.sinks.alerts import RECONCILED, AlertTables
from pipeline.sinks.changes import unheard
from pipeline.sinks.one_row import Arrived, Reconciled, SeveralRows
from schemas.times import utc_now
from tests.sinks.test_interactions import Lander
from tests.support.control_parts import leader_of
from tests.support.hot_path import new_index
from tests.support.worker import wait_for


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


@pytest.fixture
def lander(client: Client) -> Lander:
    return Lander(client)


def post(name: str = "1", day: int = 1, **more: Any) -> dict[str, Any]:
    created_at = f"2026-09-{day:02}T10:00:00Z"
    return {"id": name, "platform": "x", "kind": "post", "created_at": created_at, "text": "acme"} | more


def change(operation: str, day: int, name: str = "1", **more: Any) -> dict[str, Any]:
    return {"id": name, "platform": "x", "operation": operation, "occurred_at": f"2026-10-{day:02}T10:00:00Z"} | more


def forgotten(lander: Lander, *records: dict[str, Any]) -> None:
    """The records land with a worker that knows no event: they come after its dedup window."""
    lander.use(new_index())
    lander.landed(*records)


def run(settings: Settings) -> Reconciled:
    return reconcile(settings.clickhouse, settle_s=0.01)


def final(client: Client, columns: str) -> list[tuple[Any, ...]]:
    order = "ORDER BY id, created_at"
    return [tuple(row) for row in client.query(f"SELECT {columns} FROM interactions FINAL {order}").result_rows]


def merge(client: Client) -> None:
    client.command("OPTIMIZE TABLE interactions FINAL")


STATE = "id, text, metrics_likes, toDayOfMonth(created_at), toDayOfMonth(other_created_at)"


@pytest.mark.parametrize("merged", [True, False])
def test_a_create_after_the_window_under_another_time_becomes_an_update(
    settings: Settings, client: Client, lander: Lander, merged: bool
) -> None:
    lander.landed(post(metrics={"likes": 5}), post("2"))
    lander.landed(change("update", 2, metrics={"likes": 6}))
    forgotten(lander, post(day=3, text="acme, edited"), post("3"))
    if merged:
        merge(client)
    assert len(final(client, "id")) == 4
    planned = reconcile(settings.clickhouse, dry_run=True)
    assert (planned.events, planned.rows) == ({"x": 1}, 1) and len(final(client, "id")) == 4
    assert run(settings) == planned
    assert final(client, STATE) == [("1", "acme, edited", 6, 1, 3), ("2", "acme", None, 1, 1), ("3", "acme", None, 1, 1)]
    assert run(settings) == Reconciled(), "a second run changes nothing"
    merge(client)
    assert run(settings) == Reconciled()
    gone = client.query("SELECT id, text, platform FROM interactions WHERE moved_to > 0").result_rows
    assert gone == [("", "", "x")], "no text is left of a moved row"


def test_no_label_is_left_of_a_moved_row(settings: Settings, client: Client, lander: Lander) -> None:
    lander.landed(post())
    forgotten(lander, post(day=3, text="acme, edited"))
    label = "version + 1 AS version, 'negative' AS sentiment_label, 'labelled' AS sentiment_status"
    client.command(f"INSERT INTO interactions SELECT * REPLACE ({label}) FROM interactions")
    run(settings)
    assert final(client, "text, sentiment_label") == [("acme, edited", "negative")]
    merge(client)
    gone = client.query("SELECT sentiment_label, sentiment_status FROM interactions WHERE moved_to > 0").result_rows
    assert gone == [("", "")]


def test_changes_after_that_find_the_row_whatever_time_they_name(settings: Settings, client: Client, lander: Lander) -> None:
    lander.landed(post())
    forgotten(lander, post(day=3, text="acme, edited"))
    run(settings)
    forgotten(lander, change("update", 2, created_at="2026-09-03T10:00:00Z", metrics={"likes": 7}))
    forgotten(lander, change("update", 3, author={"followers": 9}))
    columns = "id, text, metrics_likes, author_followers, toDayOfMonth(created_at)"
    assert final(client, columns) == [("1", "acme, edited", 7, 9, 1)]
    forgotten(lander, change("delete", 4, created_at="2026-09-03T10:00:00Z"))
    assert final(client, "id") == []
    forgotten(lander, post(day=5, text="back"))
    run(settings)
    assert final(client, "id") == []
    merge(client)
    assert client.query("SELECT text FROM interactions WHERE text != ''").result_rows == []


@pytest.mark.parametrize("of", [1, 3])
def test_a_delete_of_one_of_the_rows_is_the_events(settings: Settings, client: Client, lander: Lander, of: int) -> None:
    lander.landed(post())
    if of == 1:
        lander.landed(change("delete", 2))
        forgotten(lander, post(day=3, text="back"))
    else:
        forgotten(lander, post(day=3, text="back"))
        lander.landed(change("delete", 2, created_at="2026-09-03T10:00:00Z"))
    run(settings)
    assert final(client, "id") == []
    assert run(settings) == Reconciled()


def test_rows_of_one_minute_from_two_partitions(settings: Settings, client: Client, lander: Lander) -> None:
    client.command("SYSTEM STOP MERGES interactions")
    lander.landed(post(text="first"))
    lander.use(new_index())
    batch = lander.feed(post(text="second", metrics={"likes": 5}))
    batch.events = batch.events.with_columns(partition=pl.lit(7, pl.Int32), offset=pl.lit(0, pl.Int64))
    lander.land(batch)
    assert run(settings).rows == 0
    assert final(client, STATE) == [("1", "second", 5, 1, 1)]
    assert run(settings) == Reconciled()
    client.command("SYSTEM START MERGES interactions")


@pytest.mark.parametrize("of", ["kept", "moved"])
def test_a_change_that_was_on_its_way_meanwhile_is_not_lost(
    settings: Settings, client: Client, lander: Lander, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker read a row before it was reconciled, and its change of it lands after that, and after a merge."""
    lander.landed(post())
    forgotten(lander, post(day=3, text="acme, edited"))
    day = 1 if of == "kept" else 3
    lander.use(new_index())
    late = lander.feed(change("update", 2, created_at=f"2026-09-{day:02}T10:00:00Z", metrics={"likes": 7}))
    apply = SeveralRows.apply

    def meddled(rows: SeveralRows, plan: OneRow) -> None:
        apply(rows, plan)
        if lander.flying:
            lander.land(late)
            merge(client)

    monkeypatch.setattr(SeveralRows, "apply", meddled)
    run(settings)
    assert final(client, STATE) == [("1", "acme, edited", 7, 1, 3)]
    assert run(settings) == Reconciled()


RECONCILE = """
from pipeline.config.load import load
from pipeline.control import reconciling
from pipeline.control.background import Background
from pipeline.control.reconciling import Reconciling
from pipeline.fence import GivenUp
from pipeline.maintenance.reconcile import reconcile
from pipeline.monitoring import metrics
from pipeline.sinks import one_row
one_row.EVENTS = 60
print(reconcile(load().clickhouse, settle_s=0.1).rows)
"""
MANY = 600


def fill(client: Client) -> None:
    """Events with likes of 1 that landed on one day, and again with likes of 2 under another time a day later."""
    columns = "event_key, revision, version, id, platform, kind, operation, created_at, occurred_at, text, text_at, "
    columns += "metrics_likes, metrics_at, topic, offset, ingested_at"
    for copy, day in ((0, 1), (1, 11)):
        at = f"toDateTime64('2026-09-{day:02} 10:00:00', 3, 'UTC') + number"
        client.command(
            f"INSERT INTO interactions ({columns}) SELECT sipHash64(number), number * 2 + {copy}, "
            f"bitShiftLeft(toUInt64(toUnixTimestamp64Milli({at})), 22), toString(number), 'x', 'post', 'create', {at}, {at}, "
            f"'text', {at}, {copy + 1}, {at}, 'events', number + {copy * MANY}, "
            f"toDateTime64('2026-09-{day + 5:02} 10:00:00', 3, 'UTC') FROM numbers({MANY})"
        )


def test_killed_half_way_and_run_again(settings: Settings, client: Client) -> None:
    fill(client)
    command, environ = [sys.executable, "-c", RECONCILE], child_environment(settings)
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    moved = "SELECT count() FROM interactions WHERE moved_to > 0"
    try:
        wait_for("rows move", lambda: int(str(client.command(moved))) > 0 or process.poll() is not None, every=0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, errors
    again = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert 0 < int(again.stdout) < MANY
    found = client.query(
        "SELECT count(), uniqExact(event_key), countIf(metrics_likes = 2), countIf(toDayOfMonth(created_at) = 1), "
        "countIf(text = 'text') FROM interactions FINAL"
    )
    assert found.result_rows == [(MANY,) * 5]
    merge(client)
    assert client.query("SELECT countIf(moved_to > 0), countIf(moved_to > 0 AND text != '') FROM interactions").result_rows == [
        (MANY, 0)
    ]
    assert run(settings) == Reconciled()


def test_events_with_long_texts_are_read_apart(
    settings: Settings, client: Client, lander: Lander, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = [str(number) for number in range(6)]
    lander.landed(*(post(name) for name in names))
    forgotten(lander, *(post(name, day=3, text="acme " * 1_000) for name in names))
    monkeypatch.setattr(module, "BYTES", 20_000)
    rows = SeveralRows(asker(client), lambda rows: None)
    plans = list(rows.plans(rows.ranges()[0], None, timedelta(0)))
    assert len(plans) > 2 and sum(plan.kept.height for plan in plans) == 6
    monkeypatch.setattr(module, "MOST_BYTES", 8_000)
    with caplog.at_level("WARNING"):
        assert run(settings) == Reconciled()
    assert "stay as they are" in caplog.text and len(final(client, "id")) == 12


def test_control_writes_what_it_read_before_it_rests(
    settings: Settings, client: Client, lander: Lander, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that lands meanwhile would be lost."""
    monkeypatch.setattr(reconciling, "SETTLE_S", 0.01)
    said: list[str] = []

    class Rests(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            said.append("rest")
            return False

    def ask(sql: str, more: Mapping[str, object]) -> pl.DataFrame:
        answer = asker(client)(sql, more)
        if "LIMIT 1 BY event_key, created_at" in sql:
            said.append("read")
        return answer

    apply = SeveralRows.apply

    def written(rows: SeveralRows, plan: OneRow) -> None:
        said.append("write")
        apply(rows, plan)

    monkeypatch.setattr(SeveralRows, "apply", written)
    lander.landed(post())
    forgotten(lander, post(day=3, text="acme, edited"))

    async def window() -> None:
        leader = leader_of(client=client)
        leader.inserter.begin("control", 1)
        generation = leader.lease.generation
        control = Reconciling(leader, AlertTables(leader.inserter), ask, Background(0.5), unheard)
        with leader.serving(generation):
            await control._window(Arrived(utc_now() - timedelta(hours=1), utc_now()), generation, Rests())
        leader.lease.stop()

    asyncio.run(window())
    assert "rest" in said and said[said.index("read") :][:2] == ["read", "write"]
    assert final(client, STATE) == [("1", "acme, edited", None, 1, 3)]


def test_control_reconciles_after_its_clock_was_set_back(
    settings: Settings, client: Client, lander: Lander, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "LATE", timedelta(0))
    monkeypatch.setattr(reconciling, "SETTLE_S", 0.01)

    async def step() -> None:
        leader, ahead = leader_of(client=client), utc_now() + timedelta(hours=5)
        leader.inserter.begin("control", 1)
        tables, generation = AlertTables(leader.inserter), leader.lease.generation
        with leader.serving(generation):
            tables.keep_watermark(ahead, ahead, generation, RECONCILED)
            lander.landed(post())
            forgotten(lander, post(day=3, text="acme, edited"))
            await asyncio.sleep(0.02)
            await Reconciling(leader, tables, asker(client), Background(1.0), unheard).step(generation, threading.Event())
        leader.lease.stop()

    asyncio.run(step())
    assert final(client, STATE) == [("1", "acme, edited", None, 1, 3)]


def test_control_reconciles_what_landed_since(
    settings: Settings, client: Client, lander: Lander, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "LATE", timedelta(0))
    monkeypatch.setattr(reconciling, "SETTLE_S", 0.01)

    async def steps() -> None:
        leader, stop = leader_of(client=client), threading.Event()
        leader.inserter.begin("control", 1)
        tables = AlertTables(leader.inserter)
        control = Reconciling(leader, tables, asker(client), Background(1.0), unheard)
        lander.landed(post("old"))
        forgotten(lander, post("old", day=3), post(author={"followers": 5}))
        with leader.serving(leader.lease.generation):
            generation = leader.lease.generation
            await control.step(generation, stop)
            assert len(final(client, "id")) == 3, "it begins with what lands from now on"
            await asyncio.sleep(0.01)
            edited = post(day=3, text="acme {it's} 50%", metrics={"likes": 7})
            forgotten(lander, edited, change("delete", 4, "old"))
            columns = "id, text, metrics_likes, author_followers, toDayOfMonth(created_at)"
            for _ in range(2):
                await asyncio.sleep(0.02)
                await control.step(generation, stop)
                assert final(client, columns) == [("1", "acme {it's} 50%", 7, 5, 1)], "the delete of one row deletes the event"
            merge(client)
            assert client.query("SELECT text FROM interactions WHERE is_deleted = 1 AND text != ''").result_rows == []
            counted = metrics.RECONCILED_ROWS._value.get()
            reached = tables.watermark(RECONCILED)
            await control.step(generation, stop)
            assert (metrics.RECONCILED_ROWS._value.get(), len(final(client, "id"))) == (counted, 1)
            again = tables.watermark(RECONCILED)
            assert reached is not None and again is not None and again > reached, "the next leader goes on from there"
        leader.lease.stop()
        with pytest.raises(GivenUp), leader.serving(generation):
            await control._window(Arrived(reached, utc_now()), generation, stop)

    asyncio.run(steps())


@pytest.mark.parametrize("window", ["within", "beyond"])
def test_the_case_of_another_created_at(
    settings: Settings, client: Client, lander: Lander, recorded: Path, window: str
) -> None:
    """The second create is an edit; the delete removes the event, whether the worker knew it or not."""
    first, edited, delete = (
        orjson.loads(line) for line in (recorded / "cases/other-created-at.jsonl").read_bytes().splitlines()
    )
    lander.landed(first)
    if window == "within":
        lander.landed(edited)
    else:
        forgotten(lander, edited)
        run(settings)
    assert final(client, "id, text, rating, toDayOfMonth(created_at)") == [("r1", "Acme is slow, edited", 1.0, 20)]
    lander.landed(delete)
    run(settings)
    assert final(client, "id") == []


def seconds(later: int) -> str:
    return f"2026-09-01T10:00:{later:02}Z"


LATE_CREATES = [
    post(text="back"),
    post(text="back", occurred_at="2026-10-05T10:00:00Z"),
    post(text="back", created_at=seconds(40)),
]


@pytest.mark.parametrize("create", LATE_CREATES)
@pytest.mark.parametrize("merged", [True, False])
def test_a_create_after_the_window_brings_no_deleted_event_back(
    settings: Settings, client: Client, lander: Lander, create: dict[str, Any], merged: bool
) -> None:
    lander.landed(post())
    lander.landed(change("delete", 2) | {"occurred_at": seconds(20)})
    forgotten(lander, create)
    assert final(client, "id") == []
    if merged:
        merge(client)
    run(settings)
    assert final(client, "id") == []


@pytest.mark.parametrize("create", LATE_CREATES)
@pytest.mark.parametrize("merged", [True, False])
def test_a_create_after_the_window_brings_no_deleted_event_back_after_reconcile(
    settings: Settings, client: Client, lander: Lander, create: dict[str, Any], merged: bool
) -> None:
    lander.landed(post())
    forgotten(lander, post(day=3))
    lander.landed(change("delete", 2, created_at="2026-09-03T10:00:00Z"))
    run(settings)
    forgotten(lander, create)
    assert final(client, "id") == []
    if merged:
        merge(client)
    run(settings)
    assert final(client, "id") == []


@pytest.mark.parametrize("merged", [True, False])
def test_the_first_create_again_after_reconcile_changes_nothing(
    settings: Settings, client: Client, lander: Lander, merged: bool
) -> None:
    lander.landed(post())
    forgotten(lander, post(day=3, text="acme, edited"))
    run(settings)
    forgotten(lander, post())
    if merged:
        merge(client)
    run(settings)
    assert final(client, STATE) == [("1", "acme, edited", None, 1, 3)]
