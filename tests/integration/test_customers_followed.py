"""A running worker follows what the leader of the customers writes: links reach its look-up map, rules its steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.identity.rules_file import BlockedValues, OfPlatform, RulesFile
from pipeline.kafka.event_producer import EventProducer, record_of
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.privacy import Pseudonymise
from pipeline.worker.customers import Following
from schemas.contacts import DEFAULT
from schemas.evidence import parse
from schemas.identity import account_key
from tests.support.topics import read_topic
from tests.support.worker import Worker, wait_for

ANN, BOB, KIM, LEE = (account_key("forum", name) for name in ("ann", "bob", "kim", "lee"))
TERM = 1 << 40


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    with clickhouse_client(settings.clickhouse) as client:
        yield client


def move(client: Client, sequence: int, profile: int, before: int, after: int) -> None:
    """As the leader writes it."""
    client.command(
        f"INSERT INTO assignment_changes (sequence, profile, before, after) VALUES ({sequence}, {profile}, {before}, {after})"
    )
    client.command(
        "INSERT INTO assignments (profile, customer, sequence, is_deleted) "
        f"VALUES ({profile}, {after}, {sequence}, {int(profile == after)})"
    )


def rule(client: Client, version: int, rules: RulesFile) -> None:
    client.insert("identity_rules", [[version, rules.model_dump_json()]], column_names=["version", "rules"])


def post(name: str, author: str, **more: Any) -> dict[str, Any]:
    fields = {"id": author, "email": f"{author}@example.org", **more}
    return {
        "id": name,
        "platform": "forum",
        "kind": "post",
        "text": "hi",
        "created_at": "2026-09-01T10:00:00Z",
        "author": fields,
    }


def test_links_and_rules_reach_a_running_worker(client: Client, settings: Settings, tmp_path: Path) -> None:
    move(client, TERM + 1, BOB, BOB, ANN)
    hashes = Pseudonymise(settings.privacy.hash_key.get_secret_value().encode(), "", DEFAULT).hashes
    worker = Worker(settings, tmp_path / "worker.log")

    def lands(name: str, author: str, **more: Any) -> tuple[int, str]:
        """The customer and the e-mail hash of a new post."""
        with EventProducer(settings.kafka) as producer:
            producer.produce(*record_of(orjson.dumps(post(name, author, **more))))
        where = f"FROM interactions WHERE id = '{name}'"
        wait_for("it lands", lambda: client.command(f"SELECT count() {where}") == 1)
        [row] = client.query(f"SELECT customer_key, author_email {where}").result_rows
        return row[0], row[1]

    def metric(line: str) -> bool:
        return f"{line}\n" in worker.ask("/metrics")[1]

    try:
        worker.wait_ready()
        assert lands("1", "bob")[0] == ANN, "what stood in assignments at its start"
        assert lands("2", "kim")[0] == KIM
        move(client, TERM + 2, BOB, ANN, BOB)
        move(client, TERM + 3, KIM, KIM, ANN)
        move(client, TERM + 4, LEE, LEE, ANN)
        wait_for("the last change", lambda: metric("earshot_customers_map_links 2.0"))
        assert lands("3", "kim")[0] == ANN and lands("4", "bob")[0] == BOB
        assert metric("earshot_evidence_sent_total 2.0")

        blocked = RulesFile(
            blocked=BlockedValues(emails=("ann@example.org",)), platforms={"forum": OfPlatform(given=("email",))}
        )
        rule(client, 1, blocked.kept(hashes))
        wait_for("the rules", lambda: worker.said("rules of identity, version 1, are in force"))
        assert lands("5", "ann") == (ANN, ""), "the address names nobody now"
        assert lands("6", "bob")[1] != ""
        client.command('INSERT INTO identity_rules (version, rules) VALUES (2, \'{"types": {"nose": {}}}\')')
        wait_for("it says so", lambda: worker.said("rules of identity, version 2, stay out of force here: types.nose"))
        assert lands("7", "ann") == (ANN, "")
    finally:
        worker.close()
    records = read_topic(settings.kafka, settings.kafka.topic("identity"))
    edges = pl.concat([parse(record.value() or b"")[0] for record in records])
    assert edges.select("a", "basis", "rule_version").rows() == [
        (BOB, "unknown", 0), (KIM, "unknown", 0), (BOB, "given", 1)
    ]  # fmt: skip


def test_each_change_counts_in_whatever_order_tables_are_read(client: Client) -> None:
    """Several pages, changes that assignments hold already or not yet, a profile that stands alone again."""
    step = Identity(KeyMap())
    following = Following(client, Vitals(), step, Pseudonymise(b"key", "", DEFAULT))
    move(client, TERM + 1, BOB, BOB, ANN)
    move(client, TERM + 2, ANN, ANN, ANN)
    client.command(f"INSERT INTO assignment_changes (sequence, profile, after) VALUES ({TERM + 3}, {KIM}, {ANN})")
    following.load()
    assert links(step) == {BOB: ANN, KIM: ANN}
    move(client, 2 * TERM + 1, BOB, ANN, BOB)
    client.command(f"INSERT INTO assignment_changes (sequence, profile, after) VALUES ({TERM + 4}, {BOB}, {KIM})")
    following.ask()
    assert links(step) == {KIM: ANN}, "what an older leader writes late changes nothing"
    following.ask()
    assert links(step) == {KIM: ANN}


def links(step: Identity) -> dict[int, int]:
    keys = pl.Series([ANN, BOB, KIM], dtype=pl.UInt64).to_numpy()
    return {key: value for key, value in zip(keys.tolist(), step.customers.of(keys).tolist(), strict=True) if key != value}
