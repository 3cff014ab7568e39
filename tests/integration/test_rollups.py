"""A worker and control keep the rollups through edits, deletes and kills; `earshot rollups` compares, repairs and rebuilds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.api.client import ask as ask_api
from pipeline.config.settings import Settings
from pipeline.maintenance.reconcile import reconcile
from pipeline.maintenance.rematch import rematch
from pipeline.maintenance.rescore import rescore
from pipeline.migrate import migrate
from pipeline.processors.alerts.rules import DEFAULT_RULES
from pipeline.processors.sentiment.memory import MemoryLabeller
from pipeline.rollups.tables import load_rollups
from pipeline.sinks.changes import Changes
from schemas.times import utc_now
from tests.support.commands import Run, set_variables
from tests.support.control import EAGER, controlled, event, send, stamp, start_control
from tests.support.oracle import connect
from tests.support.rollups import differences
from tests.support.worker import Worker, wait_for

pytestmark = pytest.mark.timeout(900)

NONE = "rollups: 0 rows of 0 days differ\n"


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    migrate(emptied)
    return controlled(emptied, DEFAULT_RULES)


@pytest.fixture
def control(settings: Settings, tmp_path: Path) -> Iterator[Worker]:
    control = start_control(settings, tmp_path / "control.log", EAGER)
    try:
        control.wait_ready()
        yield control
    finally:
        control.close()


def number(settings: Settings, sql: str) -> int:
    with connect(settings) as client:
        return int(str(client.command(sql)))


def begun(settings: Settings) -> None:
    """Returns when each rollup has its mark."""
    of = len(load_rollups(settings.roles, settings.brands))
    marks = "SELECT uniqExact(rollup) FROM rollup_marks"
    wait_for("control has begun", lambda: number(settings, marks) == of, timeout=300)


def equal(settings: Settings) -> None:
    assert differences(settings, patience_s=300) == []


def test_what_lands_and_what_changes_is_in_the_rollups(settings: Settings, control: Worker, tmp_path: Path) -> None:
    old = "2026-03-29T01:{:02}:00Z"
    posts = [event(f"{n}", "Acme", f"acme {n}", created_at=old.format(n)) for n in range(60)]
    posts += [event(f"now {n}", "Acme", rating=4.0) for n in range(20)] + [event(f"none {n}", "", brands=[]) for n in range(5)]
    paid = {"amount": 5.0, "currency": "USD"}
    posts += [event(f"order {n}", "Shop", kind="order", order={"id": f"{n}", **paid}) for n in range(9)]
    posts += [event(f"follow {n}", "Shop", kind="follow", target="shop") for n in range(9)]
    posts += [event(f"measure {n}", "Shop", kind="measure", measure={"name": "visits", "value": n}) for n in range(9)]
    worker = Worker(settings, tmp_path / "worker.log")
    try:
        worker.wait_ready()
        send(settings, posts)
        mentions = "SELECT sum(mentions) FROM quarters FINAL WHERE brand = '{}'"
        wait_for("they are counted", lambda: number(settings, mentions.format("Acme")) == 80, timeout=300)
        wait_for("those without a brand, too", lambda: number(settings, mentions.format("")) == 5, timeout=300)

        change = {"platform": "x", "occurred_at": stamp()}
        send(settings, [{"id": f"{n}", "operation": "delete", **change} for n in range(0, 60, 3)])
        send(
            settings,
            [{"id": f"{n}", "operation": "update", "brands": ["Bolt"], "text": "bolt", **change} for n in range(1, 60, 3)],
        )
        kinds = ("order", "follow", "measure")
        send(settings, [{"id": f"{kind} {n}", "operation": "delete", **change} for kind in kinds for n in range(3)])
        send(settings, posts)  # a replay
        wait_for("they are counted", lambda: number(settings, mentions.format("Bolt")) == 20, timeout=300)
        wait_for("they are gone", lambda: number(settings, mentions.format("Acme")) == 40, timeout=300)
        equal(settings)
        left = "SELECT countIf(conversion = 'converted' AND converted < 5) FROM orders FINAL"
        wait_for("control has written the rates", lambda: number(settings, left) == 6, timeout=300)
        assert number(settings, "SELECT count() FROM relations FINAL") == 6
        assert number(settings, "SELECT sum(value) FROM measures FINAL") == sum(range(3, 9))
    finally:
        worker.close()

    brands = tmp_path / "brands.yaml"
    brands.write_text("brands: [{name: Acme, keywords: [bolt]}, {name: Rest, keywords: [acme]}]")
    changing = Changes(settings.kafka, "test").changing
    own = settings.model_copy(update={"brands": brands})
    assert rematch(own, ["Acme", "Rest"], changing=changing).rows
    assert rescore(settings.clickhouse, MemoryLabeller(), changing=changing).rows
    with connect(settings) as client:  # the event of a row has another one, of a minute before all others
        client.command(
            "INSERT INTO interactions SELECT * REPLACE ('2026-03-01 00:00:07'::DateTime64(3, 'UTC') AS created_at, "
            "'2020-01-01'::DateTime64(3, 'UTC') AS landed_at) FROM interactions FINAL WHERE id = 'now 1'"
        )
    assert reconcile(settings.clickhouse, settle_s=0.01, changing=changing).rows == 1
    equal(settings)
    assert number(settings, "SELECT sum(negative + neutral + positive) FROM quarters FINAL WHERE brand = 'Acme'")
    assert number(settings, "SELECT countIf(quarter = '2026-03-01 00:00:00') FROM quarters FINAL") == 1


def test_differences_are_found_and_put_right_by_the_command(
    settings: Settings, control: Worker, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, settings)
    first, second, third, fourth = (f"{utc_now().date() - timedelta(days=days):%Y-%m-%d}" for days in (7, 6, 5, 4))
    monkeypatch.setattr("pipeline.maintenance.rollups.PATIENCE_S", 0.0)
    with connect(settings) as client:
        client.command(
            "INSERT INTO interactions (event_key, version, platform, created_at, brands) "
            f"SELECT number, 1, 'x', toDateTime64('{first} 12:00:00', 3, 'UTC') + INTERVAL number HOUR, ['Acme'] "
            "FROM numbers(48)"
        )
    begun(settings)
    done = run("rollups", "rebuild", "--from", first, "--to", fourth)
    assert (done.code, done.out) == (0, "the rollups are made anew\n")
    assert number(settings, "SELECT sum(mentions) FROM quarters FINAL") == 48

    filled = "SELECT toUInt32(max(filled_from)) FROM rollup_marks FINAL"
    wait_for("all is filled", lambda: number(settings, filled) == 0, timeout=300)
    assert run("rollups", "check").out == NONE
    assert not re.search("control fills", run("status").out)
    with connect(settings) as client:
        client.command(
            "INSERT INTO quarters SELECT * REPLACE (mentions + 1 AS mentions, version + 1 AS version) FROM quarters FINAL"
        )
    found = run("rollups", "check", "--from", second)
    assert found.code == 1 and found.out.endswith("rollups: 36 rows of 2 days differ\n") and third in found.out
    found = run("rollups", "check", "--repair")
    assert (found.code, found.out.splitlines()[-1]) == (0, "rollups: 48 rows of 3 days differed; repaired")
    assert run("rollups", "check")[:2] == (0, NONE)
    with connect(settings) as client:  # what is erased by hand, nobody signals
        client.command("DELETE FROM interactions WHERE event_key < 12", settings={"lightweight_deletes_sync": 2})
    found = run("rollups", "check", "--repair")
    assert (found.code, found.out.splitlines()[-1]) == (0, "rollups: 12 rows of 1 day differed; repaired")
    assert number(settings, "SELECT sum(mentions) FROM quarters FINAL") == 36
    assert run("rollups", "check")[:2] == (0, NONE)
    wrong = run("rollups", "check", "--from", second, "--to", first)
    assert (wrong.code, wrong.err) == (2, f"earshot: --from {second} is not before --to {first}\n")
    control.stop()
    assert run("rollups", "rebuild").code == 3


def test_control_ends_in_time_while_a_statement_of_the_rollups_runs(settings: Settings, control: Worker) -> None:
    """`earshot up` gives it half a minute, as `stop` does."""
    begun(settings)
    with connect(settings) as client:
        client.command(  # one conversation: a statement of many seconds, however small its piece
            "INSERT INTO interactions (event_key, version, platform, kind, created_at, brands, conversation_id) "
            "SELECT number, 1, 'x', 'comment', toDateTime64('2026-03-01', 3, 'UTC'), ['Acme'], 'c' FROM numbers(300000)"
        )
    body = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-01T00:15:00Z"}
    assert ask_api(settings, "control", "POST", "/rollups", body)["left"]
    running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO threads%'"
    wait_for("the statement runs", lambda: number(settings, running) > 0, timeout=300)
    assert control.stop() == 0, control.tail()
