"""Rescore, against the real engine: what it looks at, that it counts nothing twice, and that it can be done again."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError
from pipeline.maintenance import rescore as module
from pipeline.maintenance import scan
from pipeline.maintenance.rescore import rescore
from pipeline.processors.sentiment.memory import MemoryLabeller, label_of
from schemas import events
from tests.integration.test_deferred import START, VERSION, Asked, final, insert
from tests.support.worker import wait_for

BLANK = {"sentiment_status": ""}


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def test_rows_that_a_worker_would_label_are_and_no_others(settings: Settings, client: Client) -> None:
    insert(client, 1)
    insert(client, 2, **BLANK)
    insert(client, 3, direction="outbound", **BLANK)
    insert(client, 4, brands=[], **BLANK)
    insert(client, 5, text="", **BLANK)
    insert(client, 6, is_deleted=1, **BLANK)
    insert(client, 7, language="xx", **BLANK)
    insert(client, 8, direction="inbound", sentiment_status="labelled", sentiment_model="old@1", sentiment_label="neutral")
    labeller = MemoryLabeller()
    planned = rescore(settings.clickhouse, labeller, dry_run=True)
    assert planned.rows == 4
    assert planned.before == {"deferred": 1, "none": 2, "neutral": 1}
    assert planned.after == {label_of("text 1"): 3, "unknown": 1}
    assert {version for *_, version in final(client).values()} == {0}
    told: list[tuple[int, int]] = []
    assert rescore(settings.clickhouse, labeller, progress=lambda done, total: told.append((done, total))) == planned
    assert (told[0], told[-1]) == ((0, 4), (4, 4))
    found = final(client, "sentiment_label, sentiment_status, version - {v:UInt64}, sentiment_model, metrics_likes")
    label = label_of("text 1")
    assert found == {
        1: (label, "labelled", 1, "memory@1", 1), 2: (label, "labelled", 1, "memory@1", 2), 3: ("", "", 0, "", 3),
        4: ("", "", 0, "", 4), 5: ("", "", 0, "", 5), 7: ("", "unknown", 1, "", 7), 8: (label, "labelled", 1, "memory@1", 8),
    }  # fmt: skip
    assert rescore(settings.clickhouse, labeller).rows == 0
    assert final(client, "sentiment_label, sentiment_status, version - {v:UInt64}, sentiment_model, metrics_likes") == found


def test_another_model_labels_anew_and_each_row_counts_once(settings: Settings, client: Client) -> None:
    insert(client, *range(50))
    assert rescore(settings.clickhouse, MemoryLabeller("a@1")).rows == 50
    first = Asked(name="a@1")
    assert rescore(settings.clickhouse, first).rows == 0 and not first.texts, "what has its label is not read again"
    assert rescore(settings.clickhouse, MemoryLabeller("b@2")).rows == 50
    rows = final(client, "sentiment_model, version - {v:UInt64}")
    assert set(rows.values()) == {("b@2", 2)} and len(rows) == 50
    labels = "SELECT count() FROM interactions WHERE sentiment_status = 'labelled'"
    assert client.command(f"{labels} GROUP BY event_key, sentiment_model HAVING count() > 1") in ("", [], None)


def test_since_and_brand_leave_others_alone(settings: Settings, client: Client) -> None:
    insert(client, *range(4), **BLANK)
    insert(client, 9, brands=["B"], **BLANK)
    assert rescore(settings.clickhouse, MemoryLabeller(), since=START + timedelta(minutes=2), brand="A").rows == 2
    assert rescore(settings.clickhouse, MemoryLabeller(), since=datetime(2027, 1, 1, tzinfo=UTC)).rows == 0
    with pytest.raises(EarshotError, match="no row mentions a brand named 'C'"):
        rescore(settings.clickhouse, MemoryLabeller(), brand="C")


def test_in_many_chunks_with_an_edit_and_a_rematch_meanwhile(
    settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "CHUNK_ROWS", 7)
    monkeypatch.setattr(module, "AT_ONCE", 3)
    insert(client, *range(30), **BLANK)
    labeller = Asked()

    def meddle() -> None:
        labeller.meddle = lambda: None
        edit: dict[str, Any] = {"created_at": START, "version": VERSION + events.CHANGE_STEP, "revision": 5, "text": "edited"}
        insert(client, 0, **edit, **BLANK)
        insert(client, 1, version=VERSION + events.BRANDS_STEP, brands=["A", "B"], **BLANK)

    labeller.meddle = meddle
    rescore(settings.clickhouse, labeller)
    rows = final(client, "text, brands, sentiment_status, version - {v:UInt64}")
    assert rows[0] == ("edited", ["A"], "", 32)
    assert rows[1] == ("text 1", ["A", "B"], "labelled", 3)
    assert {values[2:] for key, values in rows.items() if key > 1} == {("labelled", 1)}
    assert rescore(settings.clickhouse, labeller).rows == 1


RESCORE = """
import sys
from pipeline.processors.sentiment.memory import MemoryLabeller
from pipeline.maintenance.rescore import rescore
from pipeline.config.load import load
print(rescore(load().clickhouse, MemoryLabeller("new@1", delay_s=0.0005)).rows)
"""


def test_killed_in_the_middle_and_done_again(settings: Settings, client: Client) -> None:
    client.command(
        "INSERT INTO interactions (event_key, revision, version, created_at, brands, text, sentiment_status, sentiment_model) "
        f"SELECT number, number + 1, {VERSION}, toDateTime64('2026-09-01 10:00:00', 3, 'UTC') + number % 5000, ['A'], "
        "'text ' || toString(number), 'labelled', 'old@1' FROM numbers(8000)"
    )
    command, environ = [sys.executable, "-c", RESCORE], child_environment(settings)
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    new = "SELECT count() FROM interactions WHERE sentiment_model = 'new@1'"
    try:
        wait_for("rows change", lambda: int(str(client.command(new))) > 0 or process.poll() is not None, every=0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, errors
    again = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert 0 < int(again.stdout) < 8_000
    found = client.query(
        f"SELECT count(), countIf(sentiment_model = 'new@1'), countIf(version = {VERSION} + 1), "
        "countIf(revision = event_key + 1) FROM interactions FINAL"
    )
    assert found.result_rows == [(8_000,) * 4]
    assert int(str(client.command(new))) == 8_000
