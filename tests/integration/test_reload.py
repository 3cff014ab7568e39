"""brands.yaml and alerts.yaml change under a running worker: good, broken, gone; and a rematch beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.kafka.event_producer import EventProducer, record_of
from pipeline.maintenance.rematch import rematch
from pipeline.migrate import migrate
from schemas.signals import parse_signal
from tests.support.beside import beside
from tests.support.topics import read_topic
from tests.support.worker import Worker, wait_for

CREATED = "2026-09-01T10:00:00Z"


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def tracked(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"brands": tmp_path / "brands.yaml", "alerts": tmp_path / "alerts.yaml"})


@pytest.fixture
def client(tracked: Settings) -> Iterator[Client]:
    migrate(tracked)
    with clickhouse_client(tracked.clickhouse) as client:
        yield client


@pytest.fixture
def worker(client: Client, tracked: Settings, tmp_path: Path) -> Iterator[Worker]:
    track(tracked, {"name": "Acme", "keywords": ["acme"]})
    rule(tracked, "recall")
    worker = Worker(tracked, tmp_path / "worker.log")
    try:
        worker.wait_ready()
        yield worker
    finally:
        worker.close()


def track(settings: Settings, *brands: dict[str, Any]) -> None:
    assert settings.brands is not None
    moved = settings.brands.with_suffix(".new")
    moved.write_text(yaml.safe_dump({"brands": list(brands)}))
    moved.rename(settings.brands)


def rule(settings: Settings, *words: str) -> None:
    assert settings.alerts is not None
    moved = settings.alerts.with_suffix(".new")
    moved.write_text(yaml.safe_dump({"rules": [{"name": "crisis", "type": "keyword", "words": {"any": list(words)}}]}))
    moved.rename(settings.alerts)


def send(settings: Settings, *events: dict[str, Any]) -> None:
    with EventProducer(settings.kafka) as producer:
        for event in events:
            producer.produce(*record_of(orjson.dumps(event)))


def post(identifier: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "platform": "x", "kind": "post", "created_at": CREATED, "text": text} | more


def brands_of(client: Client, identifier: str) -> list[str] | None:
    rows = client.query("SELECT brands FROM interactions FINAL WHERE id = {id:String}", {"id": identifier}).result_rows
    return list(rows[0][0]) if rows else None


def test_a_good_file_is_taken_over_and_a_broken_one_is_not(tracked: Settings, client: Client, worker: Worker) -> None:
    path, numbers = tracked.brands, itertools.count()
    assert path is not None

    def lands_with(expected: list[str]) -> None:
        identifier = str(next(numbers))
        send(tracked, post(identifier, "an acme gizmo"))
        wait_for("it lands", lambda: brands_of(client, identifier) is not None)
        assert brands_of(client, identifier) == expected

    def said(what: str) -> Callable[[], bool]:
        return lambda: worker.said(what)

    def metric(line: str) -> Callable[[], bool]:
        return lambda: f"{line}\n" in worker.ask("/metrics")[1]

    lands_with(["Acme"])
    track(tracked, {"name": "Gizmo", "keywords": ["gizmo"]}, {"name": "Other"})
    wait_for("two brands", said(f"{path}: 2 brands are active"))
    lands_with(["Gizmo"])

    path.write_text("brands: [{name: Acme, keywords: [acme, '']}]")
    wait_for("it says so", said(f"the last good brands stay active: {path}: brands.0 (Acme): keywords.1: it is empty"))
    wait_for("the metric", metric("earshot_brands_stale 1.0"))
    lands_with(["Gizmo"])

    path.unlink()
    wait_for("it says so", said(f"the last good brands stay active: {path}: No such file"))
    lands_with(["Gizmo"])

    track(tracked, {"name": "Acme", "keywords": ["acme"]})
    wait_for("the metric", metric("earshot_brands_stale 0.0"))
    lands_with(["Acme"])
    assert metric('earshot_brands_reloads_total{result="failed"} 2.0')()
    assert metric('earshot_brands_reloads_total{result="ok"} 2.0')()
    assert worker.exit_code is None


def test_good_rules_are_taken_over_and_broken_ones_are_not(tracked: Settings, worker: Worker) -> None:
    path, numbers = tracked.alerts, itertools.count()
    assert path is not None

    def raised() -> dict[str, set[str]]:
        topic = read_topic(tracked.kafka, tracked.kafka.topic("signals"))
        heard = [each for record in topic for each in parse_signal(record.value()).candidates]
        return {f"{each.event_key:016x}": set(each.words) for each in heard}

    def raises(*expected: str) -> None:
        """An event that says three words raises these; it is told with the next that says `hull`, which always is a word."""
        before, number = len(raised()), next(numbers)
        send(tracked, post(str(number), "acme recall lawsuit hull"))
        wait_for("a candidate", lambda: len(raised()) > before)
        assert list(raised().values())[-1] == {"hull", *expected}

    def metric(line: str) -> Callable[[], bool]:
        return lambda: f"{line}\n" in worker.ask("/metrics")[1]

    rule(tracked, "lawsuit", "hull")
    wait_for("one rule", lambda: worker.said(f"{path}: 1 rules are active"))
    raises("lawsuit")
    path.write_text("rules: [{name: crisis, type: keyword, words: {any: []}}]")
    wait_for("it says so", lambda: worker.said(f"the last good rules stay active: {path}: rules.0 (crisis): words.any"))
    wait_for("the metric", metric("earshot_rules_stale 1.0"))
    raises("lawsuit")
    path.unlink()
    wait_for("it says so", lambda: worker.said(f"the last good rules stay active: {path}: No such file"))
    raises("lawsuit")
    rule(tracked, "recall", "hull")
    wait_for("the metric", metric("earshot_rules_stale 0.0"))
    raises("recall")
    assert metric('earshot_rules_reloads_total{result="failed"} 2.0')()
    assert metric('earshot_rules_reloads_total{result="ok"} 2.0')()
    assert metric("earshot_brands_stale 0.0")()
    assert worker.exit_code is None


def test_a_rematch_beside_a_worker_that_lands_edits(tracked: Settings, client: Client, worker: Worker) -> None:
    """Whatever comes first, rematch or edit: each event ends with its last text and counts, and with the brands of that."""
    count = 300
    send(tracked, *(post(str(n), "a gizmo of old", metrics={"likes": 0}) for n in range(count)))
    wait_for("all land", lambda: client.command("SELECT count() FROM interactions FINAL") == count)
    track(tracked, {"name": "Gizmo", "keywords": ["gizmo"]})
    wait_for("the new brand", lambda: worker.said("1 brands are active"))

    def changes() -> Iterator[dict[str, Any]]:
        for n in range(count):
            change = {"id": str(n), "platform": "x", "operation": "update", "occurred_at": "2026-09-01T11:00:00Z"}
            kinds = ({"metrics": {"likes": n}}, {"text": "without"}, {"text": "now a GIZMO"})
            yield change | kinds[n % 3]

    def feed() -> None:
        every = list(changes())
        for start in range(0, count, 30):
            send(tracked, *every[start : start + 30])

    with beside(feed, "feed"):
        rematch(tracked, ["Gizmo"])
    edited = "SELECT count() FROM interactions FINAL WHERE text_at > created_at OR metrics_at > created_at"
    # The first edit changes no counts: 0 likes are 0 likes, but it is an edit.
    wait_for("all edits land", lambda: client.command(edited) == count)
    rematch(tracked, ["Gizmo"])
    rows = client.query("SELECT toUInt32(id), text, metrics_likes, brands FROM interactions FINAL ORDER BY 1").result_rows
    texts = ("a gizmo of old", "without", "now a GIZMO")
    expected = [(n, texts[n % 3], 0 if n % 3 else n, [] if n % 3 == 1 else ["Gizmo"]) for n in range(count)]
    assert [(number, text, likes, list(brands)) for number, text, likes, brands in rows] == expected
    assert rematch(tracked, ["Gizmo"]).rows == 0
